//! Delaunay triangulation of points in the plane, by insertion (Bowyer 1981, Watson 1981) with one point at infinity.
//!
//! Coordinates are whole numbers, so that the two predicates (on which side of a line, inside which circle) are exact and
//! no triangulation can fail. The point at infinity closes the hull: a triangle with it stands for the half-plane beyond a
//! hull edge, and the whole plane is triangulated at every moment (Guibas & Stolfi 1985).

use std::cmp::Ordering;

/// Coordinates are below this, so that the circle test fits 128 bits.
const END: i32 = 1 << 30;

/// The point at infinity.
const INFINITY: usize = usize::MAX;

/// A triangulation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Triangulation {
    /// Triangles as numbers of points, counterclockwise.
    pub triangles: Vec<[usize; 3]>,
    /// Edges as numbers of points, smaller first, ascending.
    pub edges: Vec<(usize, usize)>,
}

/// The Delaunay triangulation: no point lies inside the circle through the corners of a triangle.
///
/// Points that lie all on one line have edges between neighbours and no triangle; a point that is there twice is used
/// once. Where four points lie on one circle either diagonal may be taken. Cost: O(n^2) for n points.
///
/// # Panics
/// If a coordinate is negative, or 2^30 or more.
#[must_use]
pub fn delaunay(points: &[[i32; 2]]) -> Triangulation {
    assert!(points.iter().flatten().all(|x| (0..END).contains(x)), "coordinates must be on 0..2^30");
    let Some([first, second, third]) = start(points) else { return on_a_line(points) };
    let mut triangles = vec![
        [first, second, third],
        [second, first, INFINITY],
        [third, second, INFINITY],
        [first, third, INFINITY],
    ];
    let mut seen: std::collections::HashSet<[i32; 2]> =
        [first, second, third].map(|point| points[point]).into();
    for point in 0..points.len() {
        if seen.insert(points[point]) {
            insert(&mut triangles, points, point);
        }
    }
    triangles.retain(|triangle| !triangle.contains(&INFINITY));
    let mut edges: Vec<_> = triangles.iter().flat_map(|[a, b, c]| [(*a, *b), (*b, *c), (*c, *a)]).collect();
    edges.iter_mut().for_each(|edge| *edge = (edge.0.min(edge.1), edge.0.max(edge.1)));
    edges.sort_unstable();
    edges.dedup();
    Triangulation { triangles, edges }
}

/// Three points that are not on one line, counterclockwise.
fn start(points: &[[i32; 2]]) -> Option<[usize; 3]> {
    let second = points.iter().position(|point| *point != points[0])?;
    let side = |third: &[i32; 2]| side(points[0], points[second], *third);
    let third = points.iter().position(|point| side(point) != Ordering::Equal)?;
    Some(if side(&points[third]) == Ordering::Greater { [0, second, third] } else { [second, 0, third] })
}

fn on_a_line(points: &[[i32; 2]]) -> Triangulation {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by_key(|point| points[*point]);
    order.dedup_by_key(|point| points[*point]);
    let mut edges: Vec<_> =
        order.windows(2).map(|pair| (pair[0].min(pair[1]), pair[0].max(pair[1]))).collect();
    edges.sort_unstable();
    Triangulation { triangles: Vec::new(), edges }
}

/// Takes out the triangles whose circle contains the point, and joins the point with the edges around the hole.
fn insert(triangles: &mut Vec<[usize; 3]>, points: &[[i32; 2]], point: usize) {
    let mut around = Vec::new();
    triangles.retain(|triangle| {
        let gone = in_circle(points, triangle, points[point]);
        if gone {
            let [a, b, c] = *triangle;
            around.extend([(a, b), (b, c), (c, a)]);
        }
        !gone
    });
    // An edge inside the hole is there once in each direction.
    let outer = around.iter().filter(|(a, b)| !around.contains(&(*b, *a)));
    triangles.extend(outer.map(|(a, b)| [*a, *b, point]));
}

/// Whether `point` lies inside the circle through a triangle's corners; with a corner at infinity the circle is the
/// half-plane to the left of the other two, with the open line between them.
fn in_circle(points: &[[i32; 2]], triangle: &[usize; 3], point: [i32; 2]) -> bool {
    if let Some(place) = triangle.iter().position(|corner| *corner == INFINITY) {
        let (a, b) = (points[triangle[(place + 1) % 3]], points[triangle[(place + 2) % 3]]);
        return match side(a, b, point) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => (point > a.min(b)) && (point < a.max(b)),
        };
    }
    let [a, b, c] = triangle.map(|corner| {
        let [x, y] = [0, 1].map(|axis| i128::from(points[corner][axis]) - i128::from(point[axis]));
        [x, y, x * x + y * y]
    });
    let minor = |p: [i128; 3], q: [i128; 3]| p[0] * q[1] - p[1] * q[0];
    a[2] * minor(b, c) + b[2] * minor(c, a) + c[2] * minor(a, b) > 0
}

/// `Greater` if `c` lies to the left of the line from `a` to `b`, `Less` if to the right.
fn side(a: [i32; 2], b: [i32; 2], c: [i32; 2]) -> Ordering {
    let difference = |p: [i32; 2], axis: usize| i128::from(p[axis]) - i128::from(a[axis]);
    (difference(b, 0) * difference(c, 1)).cmp(&(difference(b, 1) * difference(c, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_with_its_centre() {
        let found = delaunay(&[[0, 0], [4, 0], [4, 4], [0, 4], [2, 2], [2, 2]]);
        assert_eq!(found.edges, [(0, 1), (0, 3), (0, 4), (1, 2), (1, 4), (2, 3), (2, 4), (3, 4)]);
        assert_eq!(found.triangles.len(), 4);
    }

    #[test]
    fn points_on_a_line_and_fewer_than_three_points() {
        assert_eq!(delaunay(&[[0, 0], [9, 9], [3, 3], [5, 5]]).edges, [(0, 2), (1, 3), (2, 3)]);
        assert_eq!(delaunay(&[[1, 1], [0, 0]]).edges, [(0, 1)]);
        for points in [&[][..], &[[1, 2]], &[[1, 2], [1, 2]]] {
            assert_eq!(delaunay(points), Triangulation::default());
        }
    }

    #[test]
    fn a_point_beyond_the_end_of_a_line_joins_its_end_only() {
        let found = delaunay(&[[0, 0], [1, 0], [0, 1], [5, 0], [9, 0]]);
        assert_eq!(found.edges, [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]);
    }

    #[test]
    fn the_corners_of_the_allowed_square_do_not_overflow() {
        let (low, high) = (0, END - 1);
        let found = delaunay(&[[low, low], [high, low], [high, high], [low, high], [END / 2, END / 2]]);
        assert_eq!((found.triangles.len(), found.edges.len()), (4, 8));
    }
}
