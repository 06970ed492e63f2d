//! Distances, angles and dihedral angles.

use nalgebra::Vector3;

/// Three coordinates as a vector in double precision.
pub(crate) fn vector(point: [f32; 3]) -> Vector3<f64> {
    Vector3::from(point.map(f64::from))
}

/// The distance of two points, in their unit.
#[must_use]
pub fn distance(a: [f32; 3], b: [f32; 3]) -> f64 {
    (vector(a) - vector(b)).norm()
}

/// The angle at `b` between the lines to `a` and `c`, in radians, 0 to π.
#[must_use]
pub fn angle(a: [f32; 3], b: [f32; 3], c: [f32; 3]) -> f64 {
    let (u, v) = (vector(a) - vector(b), vector(c) - vector(b));
    // The arc tangent is exact for small and for nearly straight angles, the arc cosine is not.
    u.cross(&v).norm().atan2(u.dot(&v))
}

/// The dihedral angle of four points about the line from the second to the third, in radians, -π to π, with the sign of
/// IUPAC (1974): positive if, looking along the line, the front must turn clockwise to cover the back.
#[must_use]
pub fn dihedral(points: [[f32; 3]; 4]) -> f64 {
    let [a, b, c, d] = points.map(vector);
    let (u, axis, w) = (b - a, c - b, d - c);
    let (front, back) = (u.cross(&axis), axis.cross(&w));
    (axis.norm() * u.dot(&back)).atan2(front.dot(&back))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_2, PI};

    use super::*;

    #[test]
    fn known_angles() {
        let (o, x, y) = ([0.0; 3], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0]);
        assert!((distance(x, y) - 13_f64.sqrt()).abs() < 1e-12);
        assert!((angle(x, o, y) - FRAC_PI_2).abs() < 1e-12);
        assert!((angle(x, o, [-1.0, 0.0, 0.0]) - PI).abs() < 1e-12);
        for degrees in [-170.0_f32, -90.0, -1.0, 0.0, 30.0, 60.0, 120.0, 179.0] {
            let turned = f64::from(degrees).to_radians();
            let end = [turned.cos() as f32, -turned.sin() as f32, 1.0];
            let found = dihedral([[1.0, 0.0, 0.0], o, [0.0, 0.0, 1.0], end]);
            // To someone who looks along +z, clockwise is from x towards y; the end is turned the other way.
            assert!((found + turned).abs() < 1e-6, "{degrees}: {}", found.to_degrees());
        }
    }
}
