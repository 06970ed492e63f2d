//! Superposition: the rotation and translation that bring one set of points nearest to another (Kabsch, Acta Cryst. A 32,
//! 922, 1976; the sign of the determinant as in Kabsch 1978).

use nalgebra::{Matrix3, Vector3};

use crate::error::TrajectoryError;
use crate::geometry::vector;
use crate::trajectory::Trajectory;

/// A motion of space: first turn, then shift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Superposition {
    /// A proper rotation (determinant 1).
    pub rotation: Matrix3<f64>,
    /// In the points' unit.
    pub translation: Vector3<f64>,
    /// Root of the mean squared distance after the motion, in the points' unit.
    pub rmsd: f64,
}

impl Superposition {
    /// The motion that brings `mobile` nearest to `target` in the least squares sense. Reflections are not allowed, so that
    /// mirror images stay apart.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] if the sets are of different size, [`TrajectoryError::TooFew`] if they are empty.
    pub fn of(mobile: &[[f32; 3]], target: &[[f32; 3]]) -> Result<Self, TrajectoryError> {
        if mobile.len() != target.len() {
            let (expected, found) = (target.len(), mobile.len());
            return Err(TrajectoryError::Count { what: "points to superpose", expected, found });
        }
        if mobile.is_empty() {
            return Err(TrajectoryError::TooFew {
                what: "superposition",
                points: "points",
                needed: 1,
                found: 0,
            });
        }
        let centre = |points: &[[f32; 3]]| -> Vector3<f64> {
            points.iter().map(|point| vector(*point)).sum::<Vector3<f64>>() / points.len() as f64
        };
        let (from, to) = (centre(mobile), centre(target));
        let covariance: Matrix3<f64> =
            mobile.iter().zip(target).map(|(a, b)| (vector(*b) - to) * (vector(*a) - from).transpose()).sum();
        let svd = covariance.svd(true, true);
        let (u, v_t) = (svd.u.unwrap_or_else(Matrix3::identity), svd.v_t.unwrap_or_else(Matrix3::identity));
        // If the best orthogonal matrix is a reflection, the direction of the smallest singular value is turned round;
        // nalgebra sorts them in falling order.
        let sign = (u * v_t).determinant().signum();
        let rotation = u * Matrix3::from_diagonal(&Vector3::new(1.0, 1.0, sign)) * v_t;
        let translation = to - rotation * from;
        let squares: f64 = mobile
            .iter()
            .zip(target)
            .map(|(a, b)| (rotation * vector(*a) + translation - vector(*b)).norm_squared())
            .sum();
        Ok(Self { rotation, translation, rmsd: (squares / mobile.len() as f64).sqrt() })
    }

    /// Where the motion brings a point.
    #[must_use]
    pub fn apply(&self, point: [f32; 3]) -> [f32; 3] {
        (self.rotation * vector(point) + self.translation).map(|value| value as f32).into()
    }
}

/// Superposes every frame on `target` (one position for each atom) by the atoms `by` (all if it is empty), and moves all
/// atoms along. Cells are left as they are. Cost: O(frames · atoms).
///
/// # Errors
/// [`TrajectoryError::NoSuchAtom`], and those of [`Superposition::of`].
pub fn superpose(
    trajectory: &mut Trajectory,
    target: &[[f32; 3]],
    by: &[usize],
) -> Result<(), TrajectoryError> {
    let atoms = trajectory.atoms();
    if target.len() != atoms {
        let found = target.len();
        return Err(TrajectoryError::Count { what: "atoms of the target", expected: atoms, found });
    }
    if let Some(atom) = by.iter().copied().find(|atom| *atom >= atoms) {
        return Err(TrajectoryError::NoSuchAtom { atom, atoms });
    }
    let pick = |points: &[[f32; 3]]| -> Vec<[f32; 3]> {
        if by.is_empty() { points.to_vec() } else { by.iter().map(|atom| points[*atom]).collect() }
    };
    let goal = pick(target);
    for frame in 0..trajectory.frames() {
        let positions = trajectory.frame_mut(frame);
        let motion = Superposition::of(&pick(positions), &goal)?;
        positions.iter_mut().for_each(|point| *point = motion.apply(*point));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use equidrift_graph::random::Random;
    use nalgebra::{Rotation3, Unit};

    use super::*;

    fn points(random: &mut Random, count: usize) -> Vec<[f32; 3]> {
        (0..count).map(|_| std::array::from_fn(|_| (random.uniform() * 6.0 - 3.0) as f32)).collect()
    }

    #[test]
    fn a_motion_is_found_again() {
        let mut random = Random::keyed(4, &[]);
        for count in [1, 2, 3, 4, 9, 21] {
            let start = points(&mut random, count);
            let axis = Unit::new_normalize(Vector3::new(random.uniform(), random.uniform() - 0.5, 0.3));
            let rotation = Rotation3::from_axis_angle(&axis, random.uniform() * 6.0);
            let moved: Vec<[f32; 3]> = start
                .iter()
                .map(|point| {
                    (rotation * vector(*point) + Vector3::new(5.0, -7.0, 1.0)).map(|v| v as f32).into()
                })
                .collect();
            let motion = Superposition::of(&start, &moved).unwrap();
            assert!(motion.rmsd < 1e-5, "{count} points: {}", motion.rmsd);
            assert!((motion.rotation.determinant() - 1.0).abs() < 1e-12);
            if count > 3 {
                assert!((motion.rotation - rotation.matrix()).norm() < 1e-5);
            }
        }
    }

    #[test]
    fn mirror_images_stay_apart_and_the_rotation_is_the_best() {
        let mut random = Random::keyed(5, &[]);
        let start = points(&mut random, 8);
        let mirrored: Vec<[f32; 3]> = start.iter().map(|[x, y, z]| [-x, *y, *z]).collect();
        let motion = Superposition::of(&start, &mirrored).unwrap();
        assert!((motion.rotation.determinant() - 1.0).abs() < 1e-12);
        assert!(motion.rmsd > 0.5);
        // No small turn about any axis does better.
        let rmsd = |extra: Rotation3<f64>| -> f64 {
            let centre: Vector3<f64> = start.iter().map(|point| vector(*point)).sum::<Vector3<f64>>() / 8.0;
            let goal: Vector3<f64> = mirrored.iter().map(|point| vector(*point)).sum::<Vector3<f64>>() / 8.0;
            let sum: f64 = start
                .iter()
                .zip(&mirrored)
                .map(|(a, b)| {
                    (extra * motion.rotation * (vector(*a) - centre) - (vector(*b) - goal)).norm_squared()
                })
                .sum();
            (sum / 8.0).sqrt()
        };
        for axis in [Vector3::x_axis(), Vector3::y_axis(), Vector3::z_axis()] {
            for turn in [-0.01, 0.01, 1.0, 2.0, 3.0] {
                assert!(rmsd(Rotation3::from_axis_angle(&axis, turn)) > motion.rmsd - 1e-9);
            }
        }
    }
}
