//! Average and final displacement error (Alahi et al., "Social LSTM", 2016), per system as GeoTDM takes them: the mean over
//! the atoms of a system of the distance to the true place; ADE is its mean over the predicted frames, FDE its value in
//! the last.

use serde::{Deserialize, Serialize};

use crate::error::TrajectoryError;

/// Errors of one sample of one system, in the positions' unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Displacement {
    /// Mean over atoms and frames.
    pub ade: f64,
    /// Mean over atoms in the last frame.
    pub fde: f64,
}

/// Errors of a set of systems with `K` samples each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DisplacementSummary {
    /// Mean over samples and systems: what GeoTDM publishes for N-body systems and molecules.
    pub mean: Displacement,
    /// Mean over systems of the best sample's error, chosen for each system (not for each atom), for ADE and FDE
    /// separately: what is published for pedestrians.
    pub best: Displacement,
    /// Samples of each system, `K`.
    pub samples: usize,
    /// Number of systems.
    pub systems: usize,
}

/// The error of one sample. Positions `[T, N, D]`, frame by frame; `D` is 2 or 3.
///
/// # Errors
/// [`TrajectoryError::Count`] if the two are of different length or not made of whole frames,
/// [`TrajectoryError::TooFew`] without frames.
pub fn displacement<const D: usize>(
    predicted: &[[f32; D]],
    truth: &[[f32; D]],
    atoms: usize,
) -> Result<Displacement, TrajectoryError> {
    let (expected, found) = (truth.len(), predicted.len());
    if found != expected || (atoms > 0 && !expected.is_multiple_of(atoms)) {
        return Err(TrajectoryError::Count { what: "predicted positions", expected, found });
    }
    if atoms == 0 || truth.is_empty() {
        return Err(TrajectoryError::TooFew {
            what: "a displacement error",
            points: "positions",
            needed: 1,
            found: 0,
        });
    }
    let distance = |(a, b): (&[f32; D], &[f32; D])| -> f64 {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
    };
    let distances: Vec<f64> = predicted.iter().zip(truth).map(distance).collect();
    let last = &distances[distances.len() - atoms..];
    Ok(Displacement {
        ade: distances.iter().sum::<f64>() / distances.len() as f64,
        fde: last.iter().sum::<f64>() / atoms as f64,
    })
}

impl DisplacementSummary {
    /// From the errors of each system's samples.
    ///
    /// # Errors
    /// [`TrajectoryError::TooFew`] without systems or samples, [`TrajectoryError::Count`] if the systems have different
    /// numbers of samples.
    pub fn of(systems: &[Vec<Displacement>]) -> Result<Self, TrajectoryError> {
        let samples = systems.first().map_or(0, Vec::len);
        if samples == 0 {
            let what = "a summary of displacement errors";
            return Err(TrajectoryError::TooFew { what, points: "samples", needed: 1, found: 0 });
        }
        if let Some(other) = systems.iter().map(Vec::len).find(|found| *found != samples) {
            return Err(TrajectoryError::Count {
                what: "samples of a system",
                expected: samples,
                found: other,
            });
        }
        let count = systems.len() as f64;
        let mean_of =
            |value: &dyn Fn(&[Displacement]) -> f64| systems.iter().map(|s| value(s)).sum::<f64>() / count;
        let mean = |field: fn(&Displacement) -> f64| {
            mean_of(&|system| system.iter().map(field).sum::<f64>() / samples as f64)
        };
        let best = |field: fn(&Displacement) -> f64| {
            mean_of(&|system| system.iter().map(field).fold(f64::INFINITY, f64::min))
        };
        Ok(Self {
            mean: Displacement { ade: mean(|d| d.ade), fde: mean(|d| d.fde) },
            best: Displacement { ade: best(|d| d.ade), fde: best(|d| d.fde) },
            samples,
            systems: systems.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Two atoms, two frames in the plane.
        let truth = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
        let predicted = [[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [1.0, 4.0]];
        let error = displacement(&predicted, &truth, 2).unwrap();
        assert_eq!(error, Displacement { ade: 9.0 / 4.0, fde: 2.0 });
        let other = Displacement { ade: 1.0, fde: 5.0 };
        let summary = DisplacementSummary::of(&[vec![error, other], vec![other, other]]).unwrap();
        assert_eq!(summary.mean, Displacement { ade: (2.25 + 3.0) / 4.0, fde: 17.0 / 4.0 });
        assert_eq!(summary.best, Displacement { ade: 1.0, fde: 3.5 });
        assert!(displacement(&predicted[..3], &truth, 2).is_err());
        assert!(displacement::<3>(&[], &[], 2).is_err());
        assert!(DisplacementSummary::of(&[]).is_err());
        assert!(DisplacementSummary::of(&[vec![error], vec![]]).is_err());
    }
}
