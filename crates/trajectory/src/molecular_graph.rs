//! What GeoTDM's network is told of a molecule besides its positions: features of atoms, and edges with their distance in
//! bonds (Han et al. 2024, released configuration).

use crate::element::Element;
use crate::error::TrajectoryError;
use crate::topology::Topology;

/// Width of an atom's features: three powers of the charge for each atomic number below ten.
pub const NODE_FEATURES: usize = 30;
/// Edges reach over so many bonds.
pub const MOST_HOPS: usize = 3;
/// Width of an edge's one-hot class.
pub const EDGE_CLASSES: usize = 4;

/// A directed edge and its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MolecularEdge {
    /// Who receives the message.
    pub receiver: usize,
    /// Who sends it.
    pub sender: usize,
    /// In the graph of near atoms: bonds between them less one. In the full graph: bonds between them, 0 if more than
    /// [`MOST_HOPS`].
    pub class: usize,
}

/// Features `[N, 30]`, row-major: number `3 z + p` is `(z / 10)^p` for the atomic number `z` and `p` = 0, 1, 2, the rest 0.
///
/// # Errors
/// [`TrajectoryError::Value`] for an element that is not known or heavier than fluorine.
pub fn node_features(elements: &[Element]) -> Result<Vec<f32>, TrajectoryError> {
    let mut features = vec![0.0; NODE_FEATURES * elements.len()];
    for (row, element) in features.chunks_exact_mut(NODE_FEATURES).zip(elements) {
        let z = usize::from(element.0);
        if !(1..10).contains(&z) {
            let expected = "1 to 9 (hydrogen to fluorine)";
            return Err(TrajectoryError::Value { what: "an atomic number", value: z as f64, expected });
        }
        for power in 0..3 {
            row[3 * z + power] = (z as f64 / 10.0).powi(power as i32) as f32;
        }
    }
    Ok(features)
}

/// Every ordered pair at most three bonds apart, by receiver, then sender. Cost: O(N²).
#[must_use]
pub fn near_edges(topology: &Topology) -> Vec<MolecularEdge> {
    pairs(topology, |hops| hops.map(|hops| hops - 1))
}

/// Every ordered pair (the switch `fc` of the original).
#[must_use]
pub fn all_edges(topology: &Topology) -> Vec<MolecularEdge> {
    pairs(topology, |hops| Some(hops.unwrap_or(0)))
}

fn pairs(topology: &Topology, class: impl Fn(Option<usize>) -> Option<usize>) -> Vec<MolecularEdge> {
    let neighbours = topology.neighbours();
    let mut edges = Vec::new();
    for receiver in 0..topology.atoms() {
        // Breadth first; `None` beyond the reach.
        let mut hops = vec![None; topology.atoms()];
        hops[receiver] = Some(0);
        let mut shell = vec![receiver];
        for distance in 1..=MOST_HOPS {
            let mut next = Vec::new();
            for atom in shell {
                for other in &neighbours[atom] {
                    if hops[*other].is_none() {
                        hops[*other] = Some(distance);
                        next.push(*other);
                    }
                }
            }
            shell = next;
        }
        let others = (0..topology.atoms()).filter(|sender| *sender != receiver);
        edges.extend(
            others.filter_map(|sender| Some(MolecularEdge { receiver, sender, class: class(hops[sender])? })),
        );
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_five() {
        let mut topology = Topology::unknown(5);
        topology.set_bonds(vec![[0, 1], [1, 2], [2, 3], [3, 4]]).unwrap();
        let near: Vec<(usize, usize)> = near_edges(&topology)
            .iter()
            .filter(|edge| edge.receiver == 0)
            .map(|e| (e.sender, e.class))
            .collect();
        assert_eq!(near, [(1, 0), (2, 1), (3, 2)]);
        let all: Vec<usize> =
            all_edges(&topology).iter().filter(|edge| edge.receiver == 0).map(|edge| edge.class).collect();
        assert_eq!(all, [1, 2, 3, 0]);
        assert!(node_features(&[Element(16)]).is_err() && node_features(&[Element::UNKNOWN]).is_err());
    }
}
