//! How long velocities are remembered.

use serde::Serialize;

use super::Sets;
use crate::error::TrajectoryError;
use crate::metrics::{decorrelation_time, velocity_autocorrelation_of_set};
use crate::trajectory::Trajectory;

/// Normalised velocity autocorrelations of both sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VelocityComparison {
    /// Mean magnitude of the difference over lags of 1 and more.
    pub mean_difference: f64,
    /// Of the reference's second half from its first.
    pub reference_halves: Option<f64>,
    /// When the samples' first falls to 1/e: femtoseconds (or units of the simulation), or frames where no time is known;
    /// `None` if it does not within the lags.
    pub generated_decorrelation: Option<f64>,
    /// The reference's.
    pub reference_decorrelation: Option<f64>,
    /// For lags from 0.
    pub generated: Vec<f64>,
    /// Likewise.
    pub reference: Vec<f64>,
}

impl Sets<'_> {
    /// For lags that both sets have, at most `lags`; `None` if there is none, or if nothing moves.
    pub(super) fn velocity_autocorrelation(
        &self,
        lags: usize,
        step: Option<f64>,
    ) -> Result<Option<VelocityComparison>, TrajectoryError> {
        let lags = lags.min(self.common_frames().saturating_sub(2));
        if lags == 0 {
            return Ok(None);
        }
        let of = |set: &[Trajectory]| match velocity_autocorrelation_of_set(set, lags) {
            Ok(values) => Ok(Some(values)),
            Err(TrajectoryError::Value { .. } | TrajectoryError::TooFew { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let (Some(generated), Some(reference)) = (of(self.generated)?, of(&self.reference)?) else {
            return Ok(None);
        };
        let difference = |a: &[f64], b: &[f64]| {
            a[1..].iter().zip(&b[1..]).map(|(a, b)| (a - b).abs()).sum::<f64>() / lags as f64
        };
        let halves = (of(&self.halves[0])?, of(&self.halves[1])?);
        let step = step.unwrap_or(1.0);
        Ok(Some(VelocityComparison {
            mean_difference: difference(&reference, &generated),
            reference_halves: halves.0.zip(halves.1).map(|(first, second)| difference(&first, &second)),
            generated_decorrelation: decorrelation_time(&generated, step),
            reference_decorrelation: decorrelation_time(&reference, step),
            generated,
            reference,
        }))
    }

    /// Frames that every trajectory of both sets has.
    pub(super) fn common_frames(&self) -> usize {
        self.generated.iter().chain(&self.reference).map(Trajectory::frames).min().unwrap_or(0)
    }
}
