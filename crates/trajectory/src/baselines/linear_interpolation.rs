use super::frames_of;
use crate::error::TrajectoryError;

/// Each atom goes at one speed along the straight line from its last position before the gap to its first behind it: positions
/// `[T, N, D]` of `frames` frames between `before` and `behind`, both `[frames, N, D]`.
///
/// # Errors
/// [`TrajectoryError::TooFew`] without a frame on either side, [`TrajectoryError::Count`] for positions that are not whole frames.
pub fn linear_interpolation<const D: usize>(
    before: &[[f32; D]],
    behind: &[[f32; D]],
    atoms: usize,
    frames: usize,
) -> Result<Vec<[f32; D]>, TrajectoryError> {
    for side in [before, behind] {
        frames_of(side, atoms, "a linear interpolation", 1)?;
    }
    let (from, to) = (&before[before.len() - atoms..], &behind[..atoms]);
    let at = |t: usize| {
        let share = (t + 1) as f32 / (frames + 1) as f32;
        from.iter()
            .zip(to)
            .map(move |(from, to)| std::array::from_fn(|k| from[k] + share * (to[k] - from[k])))
    };
    Ok((0..frames).flat_map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_atoms_on_their_ways() {
        let before = [[9.0, 9.0], [9.0, 9.0], [0.0, 0.0], [1.0, 0.0]];
        let behind = [[4.0, 8.0], [1.0, -4.0], [5.0, 5.0], [5.0, 5.0]];
        let between = linear_interpolation(&before, &behind, 2, 3).unwrap();
        assert_eq!(between, [[1.0, 2.0], [1.0, -1.0], [2.0, 4.0], [1.0, -2.0], [3.0, 6.0], [1.0, -3.0]]);
        assert!(linear_interpolation(&before, &[], 2, 3).is_err());
        assert!(linear_interpolation(&before[..3], &behind, 2, 3).is_err());
    }
}
