//! Constant velocity, that of the last two given frames.

use super::frames_of;
use crate::error::TrajectoryError;

/// The next `frames` frames.
///
/// # Errors
/// [`TrajectoryError::Count`] if the positions are not whole frames, [`TrajectoryError::TooFew`] if fewer than two.
pub fn last_velocity<const D: usize>(
    given: &[[f32; D]],
    atoms: usize,
    frames: usize,
) -> Result<Vec<[f32; D]>, TrajectoryError> {
    let count = frames_of(given, atoms, "the last velocity", 2)?;
    let (before, last) = given[(count - 2) * atoms..].split_at(atoms);
    Ok((1..=frames)
        .flat_map(|step| {
            last.iter().zip(before).map(move |(last, before)| {
                std::array::from_fn(|k| {
                    let velocity = f64::from(last[k]) - f64::from(before[k]);
                    (f64::from(last[k]) + step as f64 * velocity) as f32
                })
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_straight_on() {
        let given = [[9.0, 9.0], [0.0, 0.0], [1.0, 1.0], [5.0, 0.0], [1.5, 1.0], [5.0, -1.0]];
        let next = last_velocity(&given, 2, 2).unwrap();
        assert_eq!(next, [[2.0, 1.0], [5.0, -2.0], [2.5, 1.0], [5.0, -3.0]]);
        assert!(last_velocity(&given[..2], 2, 2).is_err() && last_velocity(&given[..5], 2, 2).is_err());
    }
}
