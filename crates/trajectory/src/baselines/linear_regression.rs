//! Least squares: each predicted position, less the last given one, is a linear combination of the given positions, less the
//! last given one. The weights are the same for all coordinates and there is no constant, so that prediction turns and
//! shifts with its input, as that of an equivariant network does.

use nalgebra::{DMatrix, DVector};

use super::frames_of;
use crate::error::TrajectoryError;

/// Added to the diagonal of the normal equations, relative to its mean: keeps them solvable when given frames depend on one
/// another.
const RIDGE: f64 = 1e-9;

/// Who has weights of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each atom: molecules, in which atom 3 is always the same atom.
    PerAtom,
    /// All atoms have one set: bodies and pedestrians, whose numbers mean nothing.
    Shared,
}

/// Sums over training windows from which the weights follow.
#[derive(Debug, Clone)]
pub struct LinearRegression {
    given: usize,
    predicted: usize,
    sharing: Sharing,
    atoms: usize,
    /// `[given - 1, given - 1]` for each set of weights.
    products: Vec<DMatrix<f64>>,
    /// `[given - 1, predicted]` likewise.
    targets: Vec<DMatrix<f64>>,
    /// The solution, once asked for.
    weights: Option<Vec<DMatrix<f64>>>,
}

impl LinearRegression {
    /// For windows of `given + predicted` frames. With [`Sharing::Shared`] windows may have any number of atoms, and
    /// `atoms` is not looked at.
    ///
    /// # Errors
    /// [`TrajectoryError::TooFew`] if fewer than two frames are given or none is to be predicted.
    pub fn new(
        given: usize,
        predicted: usize,
        sharing: Sharing,
        atoms: usize,
    ) -> Result<Self, TrajectoryError> {
        for (points, found, needed) in [("given frames", given, 2), ("frames to predict", predicted, 1)] {
            if found < needed {
                return Err(TrajectoryError::TooFew { what: "a linear regression", points, needed, found });
            }
        }
        let sets = if sharing == Sharing::PerAtom { atoms } else { 1 };
        Ok(Self {
            given,
            predicted,
            sharing,
            atoms,
            products: vec![DMatrix::zeros(given - 1, given - 1); sets],
            targets: vec![DMatrix::zeros(given - 1, predicted); sets],
            weights: None,
        })
    }

    fn set_of(&self, atom: usize) -> usize {
        if self.sharing == Sharing::PerAtom { atom } else { 0 }
    }

    fn check_atoms(&self, atoms: usize) -> Result<(), TrajectoryError> {
        if self.sharing == Sharing::PerAtom && atoms != self.atoms {
            let (expected, found) = (self.atoms, atoms);
            return Err(TrajectoryError::Count { what: "atoms of the window", expected, found });
        }
        Ok(())
    }

    /// Takes a training window in: `[given + predicted, atoms, D]`.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] if it has another number of frames or atoms.
    pub fn learn<const D: usize>(
        &mut self,
        window: &[[f32; D]],
        atoms: usize,
    ) -> Result<(), TrajectoryError> {
        self.check_atoms(atoms)?;
        let expected = (self.given + self.predicted) * atoms;
        if window.len() != expected || atoms == 0 {
            return Err(TrajectoryError::Count {
                what: "positions of the window",
                expected,
                found: window.len(),
            });
        }
        for atom in 0..atoms {
            let set = self.set_of(atom);
            (0..D).for_each(|k| {
                let place = |t: usize| f64::from(window[t * atoms + atom][k]);
                let last = place(self.given - 1);
                let inputs = DVector::from_fn(self.given - 1, |t, _| place(t) - last);
                let outputs = DVector::from_fn(self.predicted, |s, _| place(self.given + s) - last);
                self.products[set].ger(1.0, &inputs, &inputs, 1.0);
                self.targets[set].ger(1.0, &inputs, &outputs, 1.0);
            });
        }
        self.weights = None;
        Ok(())
    }

    /// Solves for the weights; after it [`LinearRegression::predict`] works.
    ///
    /// # Errors
    /// [`TrajectoryError::TooFew`] if nothing, or nothing that moves, was learnt.
    pub fn solve(&mut self) -> Result<(), TrajectoryError> {
        let weights = self.products.iter().zip(&self.targets).map(|(products, targets)| {
            let mut regular = products.clone();
            let ridge = RIDGE * products.trace() / products.nrows() as f64;
            for k in 0..products.nrows() {
                regular[(k, k)] += ridge;
            }
            let what = "a linear regression";
            let too_few =
                TrajectoryError::TooFew { what, points: "windows in which atoms move", needed: 1, found: 0 };
            regular.cholesky().map(|factors| factors.solve(targets)).ok_or(too_few)
        });
        self.weights = Some(weights.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// The weights that all atoms share, `[predicted, given - 1]`; none before [`LinearRegression::solve`].
    #[must_use]
    pub fn shared_weights(&self) -> Option<Vec<Vec<f64>>> {
        let weights = self.weights.as_ref().filter(|_| self.sharing == Sharing::Shared)?.first()?;
        Some(weights.column_iter().map(|column| column.iter().copied().collect()).collect())
    }

    /// The frames after the given ones, `[predicted, atoms, D]`.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] if the given frames do not fit, [`TrajectoryError::TooFew`] before
    /// [`LinearRegression::solve`].
    pub fn predict<const D: usize>(
        &self,
        given: &[[f32; D]],
        atoms: usize,
    ) -> Result<Vec<[f32; D]>, TrajectoryError> {
        self.check_atoms(atoms)?;
        let found = frames_of(given, atoms, "a linear regression", self.given)?;
        if found != self.given {
            return Err(TrajectoryError::Count { what: "given frames", expected: self.given, found });
        }
        let what = "a prediction";
        let unsolved = TrajectoryError::TooFew { what, points: "solved regressions", needed: 1, found: 0 };
        let weights = self.weights.as_ref().ok_or(unsolved)?;
        let mut predicted = vec![[0.0; D]; self.predicted * atoms];
        for atom in 0..atoms {
            let weights = &weights[self.set_of(atom)];
            for k in 0..D {
                let place = |t: usize| f64::from(given[t * atoms + atom][k]);
                let last = place(self.given - 1);
                for s in 0..self.predicted {
                    let moved: f64 = (0..self.given - 1).map(|t| weights[(t, s)] * (place(t) - last)).sum();
                    predicted[s * atoms + atom][k] = (last + moved) as f32;
                }
            }
        }
        Ok(predicted)
    }
}

#[cfg(test)]
mod tests {
    use equidrift_graph::random::Random;

    use super::*;

    /// Two oscillators of different frequency about moving centres: each obeys a linear recurrence.
    fn window(random: &mut Random, frames: usize) -> Vec<[f32; 2]> {
        let mut start = || random.uniform() * 4.0 - 2.0;
        let bodies: Vec<[f64; 6]> = (0..2).map(|_| std::array::from_fn(|_| start())).collect();
        (0..frames)
            .flat_map(|t| {
                bodies
                    .iter()
                    .zip([0.4_f64, 0.7])
                    .map(move |([a, b, c, d, e, f], omega)| {
                        let (sine, cosine) = (omega * t as f64).sin_cos();
                        [(a * sine + b * cosine + e) as f32, (c * sine + d * cosine + f) as f32]
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn a_linear_law_is_learnt_and_turns_with_its_input() {
        let mut random = Random::keyed(2, &[]);
        let mut regression = LinearRegression::new(10, 20, Sharing::PerAtom, 2).unwrap();
        let mut shared = LinearRegression::new(10, 20, Sharing::Shared, 0).unwrap();
        for _ in 0..60 {
            let window = window(&mut random, 30);
            regression.learn(&window, 2).unwrap();
            shared.learn(&window, 2).unwrap();
        }
        assert!(regression.predict(&window(&mut random, 10), 2).is_err(), "not solved yet");
        regression.solve().unwrap();
        shared.solve().unwrap();
        let fresh = window(&mut random, 30);
        let predicted = regression.predict(&fresh[..20], 2).unwrap();
        let worst = |predicted: &[[f32; 2]]| -> f32 {
            let pairs = predicted.as_flattened().iter().zip(fresh[20..].as_flattened());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(worst(&predicted) < 1e-2, "{}", worst(&predicted));
        // The given frames are of four-dimensional motions of one frequency each: one law for both is found too.
        assert!(worst(&shared.predict(&fresh[..20], 2).unwrap()) < 5e-2);
        let turn = |points: &[[f32; 2]]| -> Vec<[f32; 2]> {
            points.iter().map(|[x, y]| [-y + 3.0, *x - 1.0]).collect()
        };
        let turned = regression.predict(&turn(&fresh[..20]), 2).unwrap();
        for (a, b) in turned.as_flattened().iter().zip(turn(&predicted).as_flattened()) {
            assert!((a - b).abs() < 1e-2);
        }
        assert!(regression.learn(&fresh[..50], 2).is_err() && regression.predict(&fresh[..22], 2).is_err());
        assert!(LinearRegression::new(1, 1, Sharing::Shared, 0).is_err());
        let mut empty = LinearRegression::new(3, 1, Sharing::Shared, 0).unwrap();
        assert!(empty.solve().is_err());
    }
}
