//! The marginal score of GeoTDM's unconditional tables (Han et al. 2024): the mean difference of two histogram densities
//! over 50 bins of the real data.
//!
//! Its unit is one over that of the data, so that scores of different systems do not compare; generated values outside the
//! real range are not counted; and it is not 0 for equal sets, because a value on an edge of two bins counts in neither.
//! It is here to stand beside published numbers; [`super::jensen_shannon`] has none of these faults.

use crate::error::TrajectoryError;

/// Bins of the histogram.
const BINS: usize = 50;

/// The densities that the score compares.
#[derive(Debug, Clone, PartialEq)]
pub struct MarginalDensities {
    /// Of the real data, one for each bin.
    pub real: Vec<f64>,
    /// Of the generated data.
    pub generated: Vec<f64>,
}

impl MarginalDensities {
    /// Both densities in the bins of the real data.
    ///
    /// # Errors
    /// [`TrajectoryError::TooFew`] if a set is empty; [`TrajectoryError::Value`] if all real values are the same.
    pub fn of(real: &[f32], generated: &[f32]) -> Result<Self, TrajectoryError> {
        for (points, set) in [("real values", real), ("generated values", generated)] {
            if set.is_empty() {
                return Err(TrajectoryError::TooFew {
                    what: "the marginal score",
                    points,
                    needed: 1,
                    found: 0,
                });
            }
        }
        let low = f64::from(real.iter().copied().fold(f32::INFINITY, f32::min));
        let high = f64::from(real.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let width = (high - low) / BINS as f64;
        if !(width.is_finite() && width > 0.0) {
            let expected = "more than 0 and finite";
            return Err(TrajectoryError::Value {
                what: "the range of the real values",
                value: high - low,
                expected,
            });
        }
        let mut counts = [[0_u64; BINS]; 2];
        for value in real {
            // The last bin has its upper end in it, as histograms of NumPy and PyTorch.
            let bin = ((f64::from(*value) - low) / width) as usize;
            counts[0][bin.min(BINS - 1)] += 1;
        }
        for value in generated {
            let place = (f64::from(*value) - low) / width;
            // Strictly nearer to the centre than half a bin: a value on an edge is in no bin.
            if place > 0.0 && place < BINS as f64 && place.fract() != 0.0 {
                counts[1][place as usize] += 1;
            }
        }
        let density = |counts: [u64; BINS], all: usize| -> Vec<f64> {
            counts.iter().map(|count| *count as f64 / (width * all as f64)).collect()
        };
        Ok(Self { real: density(counts[0], real.len()), generated: density(counts[1], generated.len()) })
    }

    /// Mean magnitude of the difference.
    #[must_use]
    pub fn score(&self) -> f64 {
        let differences =
            self.real.iter().zip(&self.generated).map(|(real, generated)| (real - generated).abs());
        differences.sum::<f64>() / self.real.len() as f64
    }
}

/// The score of one component; a set's score is the mean over components (coordinates of N-body systems; bonds of a
/// molecule, all pairs nearer than 1.6 Å in the first frame of the first sample).
///
/// # Errors
/// As [`MarginalDensities::of`].
pub fn marginal(real: &[f32], generated: &[f32]) -> Result<f64, TrajectoryError> {
    Ok(MarginalDensities::of(real, generated)?.score())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_uniform_set() {
        // 0.01, 0.03, ... 0.99 of width 0.98 against the same shifted by half: half of the mass lies outside.
        let real: Vec<f32> = (0..5000).map(|k| k as f32 / 4999.0).collect();
        let shifted: Vec<f32> = real.iter().map(|x| x + 0.5).collect();
        // Density 1 against 0 in the first half and 1 in the second: mean difference 1/2.
        assert!((marginal(&real, &shifted).unwrap() - 0.5).abs() < 0.02);
        assert!(marginal(&real, &real).unwrap() < 0.02);
        assert!(marginal(&[1.0, 1.0], &real).is_err() && marginal(&real, &[]).is_err());
    }
}
