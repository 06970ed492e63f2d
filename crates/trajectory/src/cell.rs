//! The periodic cell.

use serde::{Deserialize, Serialize};

/// A periodic cell: its three edge vectors as rows, in ångström.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cell(pub [[f64; 3]; 3]);

impl Cell {
    /// A box with right angles.
    #[must_use]
    pub fn orthorhombic(a: f64, b: f64, c: f64) -> Self {
        Self([[a, 0.0, 0.0], [0.0, b, 0.0], [0.0, 0.0, c]])
    }

    /// From three lengths (ångström) and the three angles alpha, beta, gamma (degrees): the first edge along x, the
    /// second in the xy plane. `None` if no such cell exists.
    #[must_use]
    pub fn from_lengths_and_angles(lengths: [f64; 3], angles: [f64; 3]) -> Option<Self> {
        let [a, b, c] = lengths;
        // Exactly zero for right angles, so that a box stays a box.
        let cosine = |angle: f64| if angle == 90.0 { 0.0 } else { angle.to_radians().cos() };
        let [alpha, beta, gamma] = angles.map(cosine);
        let sine = (1.0 - gamma * gamma).sqrt();
        let cy = (alpha - beta * gamma) / sine;
        let cz = (1.0 - beta * beta - cy * cy).sqrt();
        let cell = Self([[a, 0.0, 0.0], [b * gamma, b * sine, 0.0], [c * beta, c * cy, c * cz]]);
        cell.is_proper().then_some(cell)
    }

    /// Lengths (ångström) and angles alpha, beta, gamma (degrees).
    #[must_use]
    pub fn lengths_and_angles(&self) -> ([f64; 3], [f64; 3]) {
        let dot = |i: usize, j: usize| -> f64 { (0..3).map(|k| self.0[i][k] * self.0[j][k]).sum() };
        let lengths = [0, 1, 2].map(|i| dot(i, i).sqrt());
        let angle = |i: usize, j: usize| {
            let product = dot(i, j);
            if product == 0.0 {
                90.0
            } else {
                (product / lengths[i] / lengths[j]).clamp(-1.0, 1.0).acos().to_degrees()
            }
        };
        (lengths, [angle(1, 2), angle(0, 2), angle(0, 1)])
    }

    /// Volume in cubic ångström.
    #[must_use]
    pub fn volume(&self) -> f64 {
        nalgebra::Matrix3::from_fn(|i, j| self.0[i][j]).determinant().abs()
    }

    /// Whether its numbers are finite and it has a volume.
    #[must_use]
    pub fn is_proper(&self) -> bool {
        self.0.as_flattened().iter().all(|value| value.is_finite()) && self.volume() > 0.0
    }

    /// The shortest vector that leads from one point to an image of another, given the difference of the two, and the
    /// largest distance up to which this is certain (half the smallest height of the cell).
    #[must_use]
    pub fn minimum_image(&self) -> Option<MinimumImage> {
        let rows = nalgebra::Matrix3::from_fn(|i, j| self.0[i][j]);
        let inverse = rows.try_inverse()?;
        // The height over a face is one over the length of the reciprocal vector.
        let heights = [0, 1, 2].map(|i| 1.0 / inverse.column(i).norm());
        Some(MinimumImage { rows, inverse, reach: heights.into_iter().fold(f64::INFINITY, f64::min) / 2.0 })
    }
}

/// Finds nearest images in one cell.
#[derive(Debug, Clone)]
pub struct MinimumImage {
    rows: nalgebra::Matrix3<f64>,
    inverse: nalgebra::Matrix3<f64>,
    reach: f64,
}

impl MinimumImage {
    /// Distances below this are found exactly, in ångström.
    #[must_use]
    pub fn reach(&self) -> f64 {
        self.reach
    }

    /// The squared length of the difference's nearest image; exact below [`Self::reach`] squared.
    #[must_use]
    pub fn squared_distance(&self, difference: [f64; 3]) -> f64 {
        let vector = nalgebra::RowVector3::from(difference);
        let fraction = (vector * self.inverse).map(|value| value - value.round());
        let mut shortest = f64::INFINITY;
        // In a skewed cell the rounded fraction may miss the nearest image by one.
        for shift in 0..27_i32 {
            let shift = [shift % 3 - 1, shift / 3 % 3 - 1, shift / 9 - 1].map(f64::from);
            shortest =
                shortest.min(((fraction + nalgebra::RowVector3::from(shift)) * self.rows).norm_squared());
        }
        shortest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_angles_and_volume() {
        let lengths = [10.0, 12.0, 14.0];
        let angles = [70.0, 80.0, 100.0];
        let cell = Cell::from_lengths_and_angles(lengths, angles).unwrap();
        let (found_lengths, found_angles) = cell.lengths_and_angles();
        for k in 0..3 {
            assert!((lengths[k] - found_lengths[k]).abs() < 1e-12);
            assert!((angles[k] - found_angles[k]).abs() < 1e-12);
        }
        let [a, b, c] = angles.map(|angle: f64| angle.to_radians().cos());
        let volume = 1680.0 * (1.0 - a * a - b * b - c * c + 2.0 * a * b * c).sqrt();
        assert!((cell.volume() - volume).abs() < 1e-9);
        assert_eq!(
            Cell::from_lengths_and_angles([2.0, 3.0, 4.0], [90.0; 3]),
            Some(Cell::orthorhombic(2.0, 3.0, 4.0))
        );
        assert_eq!(Cell::from_lengths_and_angles(lengths, [10.0, 90.0, 170.0]), None);
    }

    #[test]
    fn nearest_images() {
        let image = Cell::orthorhombic(10.0, 10.0, 10.0).minimum_image().unwrap();
        assert_eq!(image.reach(), 5.0);
        assert!((image.squared_distance([9.0, 0.0, 21.0]) - 2.0).abs() < 1e-12);
        // Compared with a search over many images in a skewed cell.
        let cell = Cell::from_lengths_and_angles([7.0, 8.0, 9.0], [60.0, 75.0, 110.0]).unwrap();
        let image = cell.minimum_image().unwrap();
        for k in 0..200 {
            let difference = [f64::from(k) * 0.37, f64::from(k * k % 31) - 15.0, f64::from(k % 17) * 1.1];
            let mut best = f64::INFINITY;
            for n in 0..50_653_i32 {
                let shift = [n % 37 - 18, n / 37 % 37 - 18, n / 1369 - 18].map(f64::from);
                let square: f64 = (0..3)
                    .map(|d| {
                        let moved: f64 = (0..3).map(|i| shift[i] * cell.0[i][d]).sum();
                        (difference[d] + moved).powi(2)
                    })
                    .sum();
                best = best.min(square);
            }
            if best.sqrt() < image.reach() {
                assert!((image.squared_distance(difference) - best).abs() < 1e-9);
            }
        }
    }
}
