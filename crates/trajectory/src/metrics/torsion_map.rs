//! The joint distribution of two torsions (Ramachandran map), its free energy and its basins.

use std::f64::consts::PI;

use super::histogram::jensen_shannon;
use crate::error::TrajectoryError;
use crate::geometry::dihedral;
use crate::trajectory::Trajectory;

/// Boltzmann's constant in kcal/mol/K.
const BOLTZMANN: f64 = 0.001_987_204_26;

/// Counts over two angles in radians, -π to π each, in `bins × bins` squares; the first angle is the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorsionMap {
    bins: usize,
    counts: Vec<u64>,
}

impl TorsionMap {
    /// An empty map.
    ///
    /// # Errors
    /// [`TrajectoryError::TooFew`] without bins.
    pub fn new(bins: usize) -> Result<Self, TrajectoryError> {
        match bins {
            0 => Err(TrajectoryError::TooFew { what: "a torsion map", points: "bins", needed: 1, found: 0 }),
            _ => Ok(Self { bins, counts: vec![0; bins * bins] }),
        }
    }

    /// Counts a pair of angles; each is taken modulo 2π. What is not finite is passed over.
    pub fn add(&mut self, first: f64, second: f64) {
        if !(first.is_finite() && second.is_finite()) {
            return;
        }
        let bin = |angle: f64| {
            let turn = (angle + PI).rem_euclid(2.0 * PI) / (2.0 * PI);
            ((turn * self.bins as f64) as usize).min(self.bins - 1)
        };
        let place = bin(first) * self.bins + bin(second);
        self.counts[place] += 1;
    }

    /// Counts two torsions, four atoms each, in every frame.
    ///
    /// # Errors
    /// [`TrajectoryError::NoSuchAtom`].
    pub fn add_trajectory(
        &mut self,
        trajectory: &Trajectory,
        torsions: [[usize; 4]; 2],
    ) -> Result<(), TrajectoryError> {
        let atoms = trajectory.atoms();
        if let Some(atom) = torsions.as_flattened().iter().copied().find(|atom| *atom >= atoms) {
            return Err(TrajectoryError::NoSuchAtom { atom, atoms });
        }
        for frame in (0..trajectory.frames()).map(|t| trajectory.frame(t)) {
            let [first, second] = torsions.map(|torsion| dihedral(torsion.map(|atom| frame[atom])));
            self.add(first, second);
        }
        Ok(())
    }

    /// Row by row.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Jensen-Shannon divergence in bits from another map of the same size.
    ///
    /// # Errors
    /// Those of [`jensen_shannon`].
    pub fn divergence(&self, other: &Self) -> Result<f64, TrajectoryError> {
        let masses = |map: &Self| -> Vec<f64> { map.counts.iter().map(|count| *count as f64).collect() };
        jensen_shannon(&masses(self), &masses(other))
    }

    /// Free energy in kcal/mol above the fullest square; infinite where nothing was counted.
    #[must_use]
    pub fn free_energy(&self, kelvin: f64) -> Vec<f64> {
        let most = self.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        self.counts.iter().map(|count| -BOLTZMANN * kelvin * (*count as f64 / most).ln()).collect()
    }

    /// The fraction of all pairs whose square's middle `inside(first, second)` (radians) accepts: a basin's population.
    #[must_use]
    pub fn population(&self, inside: impl Fn(f64, f64) -> bool) -> f64 {
        let middle = |bin: usize| -PI + (bin as f64 + 0.5) * 2.0 * PI / self.bins as f64;
        let counted: u64 = self
            .counts
            .iter()
            .enumerate()
            .filter(|(place, _)| inside(middle(place / self.bins), middle(place % self.bins)))
            .map(|(_, count)| count)
            .sum();
        counted as f64 / self.counts.iter().sum::<u64>().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_free_energy_and_basins() {
        let mut map = TorsionMap::new(4).unwrap();
        for _ in 0..3 {
            map.add(-3.0, 3.0);
        }
        map.add(3.0 * PI + 0.1, 0.1);
        map.add(f64::NAN, 0.0);
        assert_eq!((map.counts()[3], map.counts()[2]), (3, 1));
        let energy = map.free_energy(300.0);
        assert_eq!(energy[3], 0.0);
        assert!((energy[2] - BOLTZMANN * 300.0 * 3_f64.ln()).abs() < 1e-12 && energy[0].is_infinite());
        assert_eq!(map.population(|first, second| first < 0.0 && second > PI / 2.0), 0.75);
        assert_eq!(map.divergence(&map).unwrap(), 0.0);
        let mut other = TorsionMap::new(4).unwrap();
        assert!(map.divergence(&other).is_err());
        other.add(1.0, 1.0);
        assert_eq!(map.divergence(&other).unwrap(), 1.0);
    }
}
