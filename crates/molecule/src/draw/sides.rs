//! Where the second line of a double bond goes.

use std::collections::VecDeque;

use petgraph::graph::NodeIndex;

use super::{Point, neighbours};
use crate::molecule::{BondOrder, MolecularGraph};

/// The lines a bond is drawn as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Lines {
    /// One on the axis.
    Single,
    /// One on the axis, a shorter one to its left (-1) or right (1).
    Side(f64),
    /// Two, the axis between them.
    Both,
    /// Three.
    Triple,
}

/// The lines of a double bond: the shorter one inside its ring; in a chain on the side with more neighbours; on both sides
/// where one end has no other neighbour or neither side has more.
pub(super) fn lines_of_bond(
    molecule: &MolecularGraph,
    first: usize,
    second: usize,
    points: &[Point],
) -> Lines {
    let side = |of: Point| side_of(points[first], points[second], of);
    if let Some(ring) = smallest_ring(molecule, first, second) {
        let count = ring.len() as f64;
        let centre = [0, 1].map(|axis| ring.iter().map(|atom| points[*atom][axis]).sum::<f64>() / count);
        return Lines::Side(side(centre));
    }
    let alone = |atom: usize| neighbours(molecule, atom).count() == 1;
    let cumulated = |atom: usize| {
        let order = |edge| molecule.edge_weight(edge).copied();
        let double = |edge: &petgraph::graph::EdgeIndex| order(*edge) == Some(BondOrder::Double);
        let at = NodeIndex::new(atom);
        molecule.neighbors(at).filter_map(|other| molecule.find_edge(at, other)).filter(double).count() > 1
    };
    if [first, second].into_iter().any(|end| alone(end) || cumulated(end)) {
        return Lines::Both;
    }
    let others = [(first, second), (second, first)]
        .into_iter()
        .flat_map(|(end, other)| neighbours(molecule, end).filter(move |atom| *atom != other));
    let sum: f64 = others.map(|atom| side(points[atom])).sum();
    if sum == 0.0 { Lines::Side(1.0) } else { Lines::Side(sum.signum()) }
}

/// -1 or 1: the side of the line from `a` to `b` on which a point lies, as [`Lines::Side`] counts it.
pub(super) fn side_of(a: Point, b: Point, point: Point) -> f64 {
    let cross = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]);
    if cross >= 0.0 { 1.0 } else { -1.0 }
}

/// The atoms of the smallest ring with this bond: a shortest way from one end to the other without it.
fn smallest_ring(molecule: &MolecularGraph, first: usize, second: usize) -> Option<Vec<usize>> {
    let mut came_from = vec![usize::MAX; molecule.node_count()];
    came_from[first] = first;
    let mut queue = VecDeque::from([first]);
    while let Some(atom) = queue.pop_front() {
        for next in neighbours(molecule, atom) {
            if came_from[next] != usize::MAX || (atom == first && next == second) {
                continue;
            }
            came_from[next] = atom;
            if next == second {
                let mut ring = vec![second];
                while ring.last() != Some(&first) {
                    ring.extend(ring.last().map(|last| came_from[*last]));
                }
                return Some(ring);
            }
            queue.push_back(next);
        }
    }
    None
}
