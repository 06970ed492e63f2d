//! Two dense communities with few bridges: community_small of GraphRNN and GDSS, comm20 of SPECTRE (recipe of Niu et al.,
//! "Permutation invariant graph generation via score-based generative modeling", AISTATS 2020).
//!
//! The published programme seeds the communities with their number: in its files all graphs of one size have the *same*
//! two communities, and only sizes and bridges are random (checked: the 100 graphs of community_small have 5 different
//! pairs). Here communities are drawn anew for each graph, as the recipe is described in the papers.

use std::ops::RangeInclusive;

use super::{Recipe, uniform};
use crate::components::components;
use crate::graph::{Graph, graph_of_simple_edges, sorted_edges};
use crate::random::Random;

/// Communities of equal size, each a random graph; every pair of communities is joined by bridges.
///
/// `n` is uniform on `nodes`; a community has the whole part of `n / communities` nodes, so odd `n` lose a node. Each
/// pair of nodes of different communities is a bridge with the probability that makes the expected number of bridges
/// `bridges_per_node` times the number of nodes; where there is none, the first nodes of the two are joined. A community
/// that comes out in several parts is treated as so many communities. The graph is connected.
#[derive(Debug, Clone, PartialEq)]
pub struct Community {
    /// Nodes asked for.
    pub nodes: RangeInclusive<usize>,
    /// Number of communities.
    pub communities: usize,
    /// Probability of an edge inside a community.
    pub edge_probability: f64,
    /// Expected bridges per node.
    pub bridges_per_node: f64,
}

impl Default for Community {
    /// community_small: 2 communities, 12 to 20 nodes, 0.7 and 0.05.
    fn default() -> Self {
        Self { nodes: 12..=20, communities: 2, edge_probability: 0.7, bridges_per_node: 0.05 }
    }
}

impl Recipe for Community {
    fn draw(&self, random: &mut Random) -> Graph {
        let communities = self.communities.max(1);
        let size = uniform(random, &self.nodes) / communities;
        let nodes = size * communities;
        let mut edges = Vec::new();
        for first in 0..nodes {
            for second in first + 1..nodes {
                if first / size == second / size && random.happens(self.edge_probability) {
                    edges.push((first, second));
                }
            }
        }
        let bridge_probability = 2.0 * self.bridges_per_node / ((communities.max(2) - 1) * size) as f64;
        let apart = components(&graph_of_simple_edges(nodes, edges.iter().copied()));
        for (place, part) in apart.iter().enumerate() {
            for other in &apart[place + 1..] {
                let before = edges.len();
                for first in part {
                    for second in other {
                        if random.happens(bridge_probability) {
                            edges.push((first.index(), second.index()));
                        }
                    }
                }
                if edges.len() == before {
                    edges.push((part[0].index(), other[0].index()));
                }
            }
        }
        let graph = graph_of_simple_edges(nodes, edges);
        graph_of_simple_edges(nodes, sorted_edges(&graph))
    }
}
