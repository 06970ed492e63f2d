//! Distributions of bond lengths, bond angles and torsions of generated molecules beside real ones.

use std::f64::consts::PI;

use super::histogram::{Histogram, jensen_shannon};
use crate::error::TrajectoryError;
use crate::geometry::{angle, dihedral, distance};
use crate::topology::Topology;
use crate::trajectory::Trajectory;

/// Bins of each histogram.
pub const BINS: usize = 50;

/// What is measured in each frame of a molecule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InternalCoordinates {
    /// Pairs, for their distance in ångström.
    pub bonds: Vec<[usize; 2]>,
    /// Triples, for the angle at the middle atom in radians.
    pub angles: Vec<[usize; 3]>,
    /// Quadruples, for the dihedral angle in radians.
    pub torsions: Vec<[usize; 4]>,
}

/// One coordinate in both sets.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedCoordinate {
    /// Two, three or four atoms.
    pub atoms: Vec<usize>,
    /// Of the real frames.
    pub real: Histogram,
    /// Of the generated frames.
    pub generated: Histogram,
    /// Jensen-Shannon divergence in bits, 0 to 1.
    pub divergence: f64,
}

/// All coordinates of a kind in both sets.
#[derive(Debug, Clone, PartialEq)]
pub struct InternalComparison {
    /// Bond lengths; the range is that of both sets together.
    pub bonds: Vec<ComparedCoordinate>,
    /// Bond angles, 0 to π.
    pub angles: Vec<ComparedCoordinate>,
    /// Torsions, -π to π.
    pub torsions: Vec<ComparedCoordinate>,
}

impl InternalCoordinates {
    /// All bonds, angles and torsions of a molecule's bond graph.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let bonds = topology.bonds().iter().map(|bond| bond.map(|atom| atom as usize)).collect();
        Self { bonds, angles: topology.angles(), torsions: topology.torsions() }
    }

    /// Compares two sets of trajectories of the molecule; all frames of a set are pooled.
    ///
    /// # Errors
    /// [`TrajectoryError::TooFew`] if a set has no frame, [`TrajectoryError::NoSuchAtom`].
    pub fn compare(
        &self,
        real: &[Trajectory],
        generated: &[Trajectory],
    ) -> Result<InternalComparison, TrajectoryError> {
        for (points, set) in [("real frames", real), ("generated frames", generated)] {
            if set.iter().all(|trajectory| trajectory.frames() == 0) {
                let what = "a comparison of internal coordinates";
                return Err(TrajectoryError::TooFew { what, points, needed: 1, found: 0 });
            }
        }
        let atoms = real.iter().chain(generated).map(Trajectory::atoms).min().unwrap_or(0);
        let named = self.bonds.as_flattened().iter().chain(self.angles.as_flattened());
        if let Some(atom) = named.chain(self.torsions.as_flattened()).copied().find(|atom| *atom >= atoms) {
            return Err(TrajectoryError::NoSuchAtom { atom, atoms });
        }
        let each = |measure: &dyn Fn(&[[f32; 3]]) -> f64, atoms: &[usize], range: Option<(f64, f64)>| {
            compare_one(atoms, &values(real, measure), &values(generated, measure), range)
        };
        Ok(InternalComparison {
            bonds: self
                .bonds
                .iter()
                .map(|atoms @ [a, b]| each(&|x| distance(x[*a], x[*b]), atoms, None))
                .collect::<Result<_, _>>()?,
            angles: self
                .angles
                .iter()
                .map(|atoms @ [a, b, c]| each(&|x| angle(x[*a], x[*b], x[*c]), atoms, Some((0.0, PI))))
                .collect::<Result<_, _>>()?,
            torsions: self
                .torsions
                .iter()
                .map(|atoms| each(&|x| dihedral(atoms.map(|atom| x[atom])), atoms, Some((-PI, PI))))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl InternalComparison {
    /// Mean divergence of a kind, for example of [`InternalComparison::bonds`]; `None` if there is none of it.
    #[must_use]
    pub fn mean(coordinates: &[ComparedCoordinate]) -> Option<f64> {
        let sum: f64 = coordinates.iter().map(|coordinate| coordinate.divergence).sum();
        (!coordinates.is_empty()).then(|| sum / coordinates.len() as f64)
    }
}

fn values(set: &[Trajectory], measure: &dyn Fn(&[[f32; 3]]) -> f64) -> Vec<f64> {
    set.iter().flat_map(|trajectory| (0..trajectory.frames()).map(|t| measure(trajectory.frame(t)))).collect()
}

fn compare_one(
    atoms: &[usize],
    real: &[f64],
    generated: &[f64],
    range: Option<(f64, f64)>,
) -> Result<ComparedCoordinate, TrajectoryError> {
    let (low, high) = range.unwrap_or_else(|| {
        let both = || real.iter().chain(generated).copied();
        let (low, high) = (both().fold(f64::INFINITY, f64::min), both().fold(f64::NEG_INFINITY, f64::max));
        // Lengths that are all the same still need a bin to be in.
        if high > low { (low, high) } else { (low - 0.5, low + 0.5) }
    });
    let fill = |values: &[f64]| -> Result<Histogram, TrajectoryError> {
        let mut histogram = Histogram::new(low, high, BINS)?;
        values.iter().for_each(|value| histogram.add(*value));
        Ok(histogram)
    };
    let (real, generated) = (fill(real)?, fill(generated)?);
    let divergence = jensen_shannon(&real.fractions(), &generated.fractions())?;
    Ok(ComparedCoordinate { atoms: atoms.to_vec(), real, generated, divergence })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(step: f32, turn: f32) -> Trajectory {
        let mut topology = Topology::unknown(4);
        topology.set_bonds(vec![[0, 1], [1, 2], [2, 3]]).unwrap();
        let frames: Vec<f32> = (0..100)
            .flat_map(|t| {
                let angle = turn * t as f32;
                [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, step, angle.cos(), angle.sin(), step]
            })
            .collect();
        Trajectory::from_coordinates(topology, &frames, None).unwrap()
    }

    #[test]
    fn what_differs_is_found() {
        let (real, same, longer) = (chain(1.5, 0.1), chain(1.5, 0.1), chain(1.6, 0.1));
        let coordinates = InternalCoordinates::of(real.topology());
        assert_eq!(
            (coordinates.bonds.len(), coordinates.angles.len(), coordinates.torsions.len()),
            (3, 2, 1)
        );
        let all = [real];
        let equal = coordinates.compare(&all, &[same]).unwrap();
        for kind in [&equal.bonds, &equal.angles, &equal.torsions] {
            assert_eq!(InternalComparison::mean(kind), Some(0.0));
        }
        let other = coordinates.compare(&all, &[longer]).unwrap();
        let bonds: Vec<f64> = other.bonds.iter().map(|bond| bond.divergence).collect();
        assert_eq!((bonds[0], bonds[1]), (0.0, 1.0));
        assert_eq!(InternalComparison::mean(&other.torsions), Some(0.0));
        // A torsion that does not turn fills one of about fifty bins.
        let stiff = coordinates.compare(&all, &[chain(1.5, 0.0)]).unwrap();
        assert!(stiff.torsions[0].divergence > 0.8);
        assert_eq!(InternalComparison::mean(&[]), None);
        assert!(coordinates.compare(&all, &[]).is_err());
    }
}
