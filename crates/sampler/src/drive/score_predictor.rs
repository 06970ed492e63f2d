//! Predicting the score of a schedule that has not been run.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Kernel ridge regression of log scores on features, with a Gaussian kernel.
///
/// Features are standardised; the kernel's width is the median distance between the training points (kept squared, as all
/// distances here). Cost: n³/3 for n
/// training points once, n for a prediction.
#[derive(Debug)]
pub(super) struct ScorePredictor {
    points: Vec<Vec<f64>>,
    center: Vec<f64>,
    scale: Vec<f64>,
    width: f64,
    mean: f64,
    weights: DVector<f64>,
}

/// Ridge of the regression, relative to the kernel's 1 on the diagonal: scores of near neighbours differ by noise.
const RIDGE: f64 = 1e-2;

impl ScorePredictor {
    /// Fits `scores` (positive, finite). `None` with fewer than two different points.
    pub(super) fn fit(features: &[Vec<f64>], scores: &[f64]) -> Option<Self> {
        let count = features.len();
        let size = features.first()?.len();
        if count < 2 || features.iter().any(|point| point.len() != size) {
            return None;
        }
        let n = count as f64;
        let center: Vec<f64> = (0..size).map(|j| features.iter().map(|p| p[j]).sum::<f64>() / n).collect();
        let scale: Vec<f64> = (0..size)
            .map(|j| {
                let variance =
                    features.iter().map(|p| (p[j] - center[j]) * (p[j] - center[j])).sum::<f64>() / n;
                if variance > 0.0 { libm::sqrt(variance) } else { 1.0 }
            })
            .collect();
        let points: Vec<Vec<f64>> =
            features.iter().map(|point| standardised(point, &center, &scale)).collect();
        let mut distances: Vec<f64> = (0..count)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| distance(&points[i], &points[j]))
            .filter(|d| *d > 0.0)
            .collect();
        if distances.is_empty() {
            return None;
        }
        distances.sort_by(f64::total_cmp);
        let width = distances[distances.len() / 2];
        let mut kernel =
            DMatrix::from_fn(count, count, |i, j| kernel(distance(&points[i], &points[j]), width));
        for i in 0..count {
            kernel[(i, i)] += RIDGE;
        }
        let logs: Vec<f64> = scores.iter().map(|score| libm::log(*score)).collect();
        let mean = logs.iter().sum::<f64>() / n;
        let targets = DVector::from_iterator(count, logs.iter().map(|log| log - mean));
        let factor: Cholesky<f64, Dyn> = kernel.cholesky()?;
        let weights = factor.solve(&targets);
        Some(Self { points, center, scale, width, mean, weights })
    }

    /// The predicted log score.
    pub(super) fn predict(&self, features: &[f64]) -> f64 {
        let point = standardised(features, &self.center, &self.scale);
        let pairs = self.points.iter().zip(self.weights.iter());
        self.mean + pairs.map(|(p, w)| w * kernel(distance(p, &point), self.width)).sum::<f64>()
    }
}

fn standardised(point: &[f64], center: &[f64], scale: &[f64]) -> Vec<f64> {
    point.iter().zip(center.iter().zip(scale)).map(|(x, (c, s))| (x - c) / s).collect()
}

/// Squared distance.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

fn kernel(distance: f64, width: f64) -> f64 {
    libm::exp(-0.5 * distance / width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smooth_score_is_predicted_between_its_points() {
        let score = |x: f64, y: f64| libm::exp(libm::sin(x) + 0.3 * y);
        let grid = || (0..81).map(|i| (f64::from(i % 9) / 4.0, f64::from(i / 9) / 4.0));
        let features: Vec<Vec<f64>> = grid().map(|(x, y)| vec![x, y, 7.0]).collect();
        let scores: Vec<f64> = grid().map(|(x, y)| score(x, y)).collect();
        let predictor = ScorePredictor::fit(&features, &scores).unwrap();
        for (x, y) in [(0.3, 0.4), (1.1, 1.7), (1.9, 0.2)] {
            let error = predictor.predict(&[x, y, 7.0]) - libm::log(score(x, y));
            assert!(error.abs() < 0.05, "{x} {y} {error}");
        }
        assert!(ScorePredictor::fit(&[vec![1.0], vec![1.0]], &[1.0, 2.0]).is_none());
        assert!(ScorePredictor::fit(&[], &[]).is_none());
    }
}
