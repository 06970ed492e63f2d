//! The straight line through each atom's given positions by least squares, gone on.

use super::frames_of;
use crate::error::TrajectoryError;

/// The next `frames` frames.
///
/// # Errors
/// [`TrajectoryError::Count`] if the positions are not whole frames, [`TrajectoryError::TooFew`] if fewer than two.
pub fn line_fit<const D: usize>(
    given: &[[f32; D]],
    atoms: usize,
    frames: usize,
) -> Result<Vec<[f32; D]>, TrajectoryError> {
    let count = frames_of(given, atoms, "a line", 2)?;
    // Times measured from their mean, so that place and slope are fitted apart.
    let middle = (count - 1) as f64 / 2.0;
    let spread: f64 = (0..count).map(|t| (t as f64 - middle).powi(2)).sum();
    let fits: Vec<[(f64, f64); D]> = (0..atoms)
        .map(|atom| {
            std::array::from_fn(|k| {
                let place = |t: usize| f64::from(given[t * atoms + atom][k]);
                let mean = (0..count).map(place).sum::<f64>() / count as f64;
                let slope = (0..count).map(|t| (t as f64 - middle) * place(t)).sum::<f64>() / spread;
                (mean, slope)
            })
        })
        .collect();
    Ok((count..count + frames)
        .flat_map(|t| {
            fits.iter().map(move |fit| fit.map(|(mean, slope)| (mean + slope * (t as f64 - middle)) as f32))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_and_noise_is_averaged() {
        let line = |t: f32| [1.0 + 0.5 * t, -2.0 * t, 3.0];
        let given: Vec<[f32; 3]> = (0..10).map(|t| line(t as f32)).collect();
        let next = line_fit(&given, 1, 5).unwrap();
        for (s, found) in next.iter().enumerate() {
            let expected = line(10.0 + s as f32);
            assert!((0..3).all(|k| (found[k] - expected[k]).abs() < 1e-5));
        }
        // 0, 1, 0, 1: slope 1/5, mean 1/2.
        let zigzag = [[0.0], [1.0], [0.0], [1.0]];
        assert!((line_fit(&zigzag, 1, 1).unwrap()[0][0] - 1.0).abs() < 1e-6);
        assert!(line_fit(&given[..1], 1, 1).is_err());
    }
}
