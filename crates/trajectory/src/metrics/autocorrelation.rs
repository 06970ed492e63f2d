//! How long a motion remembers itself.

use crate::error::TrajectoryError;
use crate::geometry::dihedral;
use crate::trajectory::Trajectory;

/// Normalised autocorrelation of velocities, `C(0) = 1`, for lags of 0 to `lags` frames: the mean over atoms and start
/// frames of `v(t) · v(t + lag)`, divided by that at lag 0. Velocities are differences of successive frames, so that a
/// trajectory of `T` frames has `T - 1` of them. Cost: O(T · N · lags).
///
/// # Errors
/// [`TrajectoryError::TooFew`] if there are fewer than `lags + 2` frames; [`TrajectoryError::Value`] if nothing moves.
pub fn velocity_autocorrelation(trajectory: &Trajectory, lags: usize) -> Result<Vec<f64>, TrajectoryError> {
    velocity_autocorrelation_of_set(std::slice::from_ref(trajectory), lags)
}

/// The same of several trajectories: products are taken within each, the mean over all.
///
/// # Errors
/// [`TrajectoryError::TooFew`] if one has fewer than `lags + 2` frames or there is none; [`TrajectoryError::Value`] if nothing
/// moves.
pub fn velocity_autocorrelation_of_set(set: &[Trajectory], lags: usize) -> Result<Vec<f64>, TrajectoryError> {
    let frames = set.iter().map(Trajectory::frames).min().unwrap_or(0);
    if frames < lags + 2 {
        let what = "a velocity autocorrelation of this many lags";
        return Err(TrajectoryError::TooFew { what, points: "frames", needed: lags + 2, found: frames });
    }
    let series: Vec<Vec<Vec<f64>>> = set
        .iter()
        .map(|trajectory| {
            let velocity = |t: usize| {
                let (now, before) =
                    (trajectory.frame(t).as_flattened(), trajectory.frame(t - 1).as_flattened());
                now.iter().zip(before).map(|(now, before)| f64::from(*now) - f64::from(*before)).collect()
            };
            (1..trajectory.frames()).map(velocity).collect()
        })
        .collect();
    normalised(mean_products(&series, lags), "the mean squared velocity")
}

/// For each lag the mean over all starts of all series of the scalar product of vectors that far apart.
fn mean_products(series: &[Vec<Vec<f64>>], lags: usize) -> Vec<f64> {
    let at_lag = |lag: usize| -> f64 {
        let product = |vectors: &[Vec<f64>], t: usize| -> f64 {
            vectors[t].iter().zip(&vectors[t + lag]).map(|(a, b)| a * b).sum()
        };
        let starts: usize = series.iter().map(|vectors| vectors.len() - lag).sum();
        let sum: f64 = series
            .iter()
            .map(|vectors| (0..vectors.len() - lag).map(|t| product(vectors, t)).sum::<f64>())
            .sum();
        sum / starts as f64
    };
    (0..=lags).map(at_lag).collect()
}

/// Normalised autocorrelation of a torsion (four atoms): of the unit vector `(cos, sin)` less its mean, so that the jump
/// from π to -π is none. `C(0) = 1`; lags of 0 to `lags` frames.
///
/// # Errors
/// [`TrajectoryError::TooFew`] if there are fewer than `lags + 1` frames, [`TrajectoryError::NoSuchAtom`],
/// [`TrajectoryError::Value`] if the torsion does not change.
pub fn torsion_autocorrelation(
    trajectory: &Trajectory,
    torsion: [usize; 4],
    lags: usize,
) -> Result<Vec<f64>, TrajectoryError> {
    let atoms = trajectory.atoms();
    if let Some(atom) = torsion.into_iter().find(|atom| *atom >= atoms) {
        return Err(TrajectoryError::NoSuchAtom { atom, atoms });
    }
    let angles = (0..trajectory.frames()).map(|t| dihedral(torsion.map(|atom| trajectory.frame(t)[atom])));
    let (cosines, sines): (Vec<f64>, Vec<f64>) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
    autocorrelation(&[cosines, sines], lags)
}

/// The same of several trajectories: products are taken within each; the mean that is taken away is that of all.
///
/// # Errors
/// As [`torsion_autocorrelation`], of the shortest.
pub fn torsion_autocorrelation_of_set(
    set: &[Trajectory],
    torsion: [usize; 4],
    lags: usize,
) -> Result<Vec<f64>, TrajectoryError> {
    let atoms = set.iter().map(Trajectory::atoms).min().unwrap_or(0);
    if let Some(atom) = torsion.into_iter().find(|atom| *atom >= atoms) {
        return Err(TrajectoryError::NoSuchAtom { atom, atoms });
    }
    let frames = set.iter().map(Trajectory::frames).min().unwrap_or(0);
    if frames < lags + 1 {
        let what = "an autocorrelation of this many lags";
        return Err(TrajectoryError::TooFew { what, points: "frames", needed: lags + 1, found: frames });
    }
    let mut series: Vec<Vec<Vec<f64>>> = set
        .iter()
        .map(|trajectory| {
            let angle = |t: usize| dihedral(torsion.map(|atom| trajectory.frame(t)[atom]));
            (0..trajectory.frames()).map(angle).map(|angle| vec![angle.cos(), angle.sin()]).collect()
        })
        .collect();
    for component in 0..2 {
        let count = series.iter().map(Vec::len).sum::<usize>() as f64;
        let mean = series.iter().flatten().map(|vector| vector[component]).sum::<f64>() / count;
        series.iter_mut().flatten().for_each(|vector| vector[component] -= mean);
    }
    normalised(mean_products(&series, lags), "the variance")
}

/// Normalised autocorrelation of the components of a vector, each less its mean.
///
/// # Errors
/// [`TrajectoryError::TooFew`] if there are fewer than `lags + 1` points, [`TrajectoryError::Value`] if nothing changes.
pub fn autocorrelation(components: &[Vec<f64>], lags: usize) -> Result<Vec<f64>, TrajectoryError> {
    let points = components.iter().map(Vec::len).min().unwrap_or(0);
    if points < lags + 1 {
        let what = "an autocorrelation of this many lags";
        return Err(TrajectoryError::TooFew { what, points: "points", needed: lags + 1, found: points });
    }
    let centred: Vec<Vec<f64>> = components
        .iter()
        .map(|values| {
            let mean = values[..points].iter().sum::<f64>() / points as f64;
            values[..points].iter().map(|value| value - mean).collect()
        })
        .collect();
    let at_lag = |lag: usize| -> f64 {
        let sum: f64 = centred
            .iter()
            .map(|values| values.iter().zip(&values[lag..]).map(|(a, b)| a * b).sum::<f64>())
            .sum();
        sum / (points - lag) as f64
    };
    normalised((0..=lags).map(at_lag).collect(), "the variance")
}

fn normalised(mut values: Vec<f64>, what: &'static str) -> Result<Vec<f64>, TrajectoryError> {
    let first = values[0];
    if !(first.is_finite() && first > 0.0) {
        return Err(TrajectoryError::Value { what, value: first, expected: "more than 0" });
    }
    values.iter_mut().for_each(|value| *value /= first);
    Ok(values)
}

/// When a normalised autocorrelation first falls to 1/e, in units of `step`, between lags by a straight line; `None` if it
/// does not.
#[must_use]
pub fn decorrelation_time(autocorrelation: &[f64], step: f64) -> Option<f64> {
    let level = (-1.0_f64).exp();
    let lag = autocorrelation.iter().position(|value| *value <= level)?;
    let Some(before) = lag.checked_sub(1) else { return Some(0.0) };
    let (high, low) = (autocorrelation[before], autocorrelation[lag]);
    Some(step * (before as f64 + (high - level) / (high - low)))
}

#[cfg(test)]
mod tests {
    use equidrift_graph::random::Random;

    use super::*;
    use crate::topology::Topology;

    #[test]
    fn an_oscillator_keeps_its_phase() {
        // x = cos ωt: velocities are sin(ω(t + 1/2)) times a constant, and their autocorrelation is cos ω lag.
        let omega = 0.05_f64;
        let frames = 12_567; // one hundred periods
        let coordinates: Vec<f32> = (0..frames)
            .flat_map(|t| {
                [(omega * f64::from(t)).cos() as f32 * 10.0, (omega * f64::from(t)).sin() as f32 * 10.0, 0.0]
            })
            .collect();
        let trajectory = Trajectory::from_coordinates(Topology::unknown(1), &coordinates, None).unwrap();
        let found = velocity_autocorrelation(&trajectory, 100).unwrap();
        for (lag, value) in found.iter().enumerate() {
            assert!((value - (omega * lag as f64).cos()).abs() < 1e-4, "{lag}: {value}");
        }
        let still = Trajectory::from_coordinates(Topology::unknown(1), &[1.0; 30], None).unwrap();
        assert!(velocity_autocorrelation(&still, 3).is_err());
        assert!(velocity_autocorrelation(&still, 9).is_err());
    }

    #[test]
    fn a_process_of_known_memory() {
        // x' = ρ x + noise has the autocorrelation ρ^lag and falls to 1/e after -1/ln ρ steps.
        let mut random = Random::keyed(8, &[]);
        let rho: f64 = 0.9;
        let mut x = 0.0;
        let series: Vec<f64> = (0..200_000)
            .map(|_| {
                x = rho * x + random.uniform() - 0.5;
                x
            })
            .collect();
        let found = autocorrelation(&[series], 40).unwrap();
        for lag in [1, 5, 10, 20] {
            assert!((found[lag] - rho.powi(lag as i32)).abs() < 0.03, "{lag}: {}", found[lag]);
        }
        let time = decorrelation_time(&found, 2.0).unwrap();
        assert!((time / 2.0 + 1.0 / rho.ln()).abs() < 0.6, "{time}");
        assert_eq!(decorrelation_time(&[1.0, 0.9], 1.0), None);
        let exact: Vec<f64> = (0..30).map(|lag| rho.powi(lag)).collect();
        assert!((decorrelation_time(&exact, 1.0).unwrap() + 1.0 / rho.ln()).abs() < 0.02);
    }
}
