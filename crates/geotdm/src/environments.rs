//! Environments of nodes: what they and their surroundings are, as numbers.

use crate::system::SystemGraph;

/// Edges that an environment reaches over.
const ROUNDS: usize = 2;
/// Features of a node that tell its environment.
pub const ENVIRONMENT_FEATURES: usize = 16;

/// A node as bits of its features, where nodes are told apart.
pub(crate) fn feature_bits(graph: &SystemGraph, node: usize) -> Vec<u64> {
    let width = graph.node_width();
    graph.node_features()[node * width..][..width].iter().map(|value| value.to_bits()).collect()
}

/// Numbers that are equal, but for collisions of 64 bits, where nodes have equal features and receive equal edges from nodes that are
/// equal in the same way: two rounds of Weisfeiler and Leman (1968). The order of nodes and edges does not matter.
#[must_use]
pub fn environments(graph: &SystemGraph) -> Vec<u64> {
    // SplitMix64 (Steele, Lea and Flood 2014) as a hash of a list.
    let hash = |numbers: &mut dyn Iterator<Item = u64>| {
        numbers.fold(0x9e37_79b9_7f4a_7c15_u64, |state, number| {
            let mut z = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    };
    let mut found: Vec<u64> =
        (0..graph.nodes()).map(|node| hash(&mut feature_bits(graph, node).into_iter())).collect();
    let width = graph.edge_width();
    for _ in 0..ROUNDS {
        let mut received = vec![Vec::new(); graph.nodes()];
        for (number, &[receiver, sender]) in graph.edges().iter().enumerate() {
            let features = graph.edge_features()[number * width..][..width].iter();
            let mut numbers = features.map(|value| value.to_bits()).chain(std::iter::once(found[sender]));
            received[receiver].push(hash(&mut numbers));
        }
        found = found
            .iter()
            .zip(received)
            .map(|(&own, mut received)| {
                received.sort_unstable();
                hash(&mut std::iter::once(own).chain(received))
            })
            .collect();
    }
    found
}

/// An environment as signs, -1 or +1: bits of its number. Two environments share all of them with a probability of 1 in 65,536.
pub(crate) fn signs(environment: u64) -> impl Iterator<Item = f64> {
    (0..ENVIRONMENT_FEATURES).map(move |bit| if environment >> bit & 1 == 1 { 1.0 } else { -1.0 })
}
