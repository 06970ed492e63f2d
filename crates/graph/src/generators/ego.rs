//! Ego networks of a larger network: ego_small and ego of GraphRNN and GDSS, from a network of the user's.

use petgraph::graph::NodeIndex;

use crate::components::components;
use crate::graph::{AttributedGraph, Graph, graph_of_simple_edges};

/// Which neighbourhoods are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ego {
    /// Steps from the centre.
    pub radius: usize,
    /// Fewest nodes, the centre among them.
    pub min_nodes: usize,
    /// Most nodes.
    pub max_nodes: usize,
    /// Whether only the largest connected component is used (of equal ones the first).
    pub largest_component: bool,
}

impl Default for Ego {
    /// ego_small: radius 1, 4 to 18 nodes, of the largest component (there Citeseer's; its first 200 networks).
    fn default() -> Self {
        Self { radius: 1, min_nodes: 4, max_nodes: 18, largest_component: true }
    }
}

impl Ego {
    /// ego of GraphRNN: radius 3, 50 to 399 nodes.
    #[must_use]
    pub fn large() -> Self {
        Self { radius: 3, min_nodes: 50, max_nodes: 399, ..Self::default() }
    }

    /// The ego networks of acceptable size, in the order of their centres; their nodes keep the order of the network.
    ///
    /// Cost: each centre looks at `max_nodes` nodes and their neighbours at most.
    pub fn networks<'a, V, E>(
        &'a self,
        network: &'a AttributedGraph<V, E>,
    ) -> impl Iterator<Item = Graph> + 'a {
        let centres = if self.largest_component {
            // The first of the largest.
            components(network).into_iter().rev().max_by_key(Vec::len).unwrap_or_default()
        } else {
            network.node_indices().collect()
        };
        centres.into_iter().filter_map(|centre| {
            let nodes = self.neighbourhood(network, centre)?;
            (nodes.len() >= self.min_nodes).then(|| induced(network, &nodes))
        })
    }

    /// The nodes near a centre, ascending; `None` if they are too many.
    fn neighbourhood<V, E>(
        &self,
        network: &AttributedGraph<V, E>,
        centre: NodeIndex,
    ) -> Option<Vec<NodeIndex>> {
        let mut seen = std::collections::HashSet::from([centre]);
        let mut nodes = vec![centre];
        let mut layer = 0;
        for _ in 0..self.radius {
            let end = nodes.len();
            for place in layer..end {
                for neighbour in network.neighbors(nodes[place]) {
                    if seen.insert(neighbour) {
                        nodes.push(neighbour);
                        if nodes.len() > self.max_nodes {
                            return None;
                        }
                    }
                }
            }
            layer = end;
        }
        nodes.sort_unstable();
        Some(nodes)
    }
}

/// The subgraph on these nodes, ascending.
fn induced<V, E>(network: &AttributedGraph<V, E>, nodes: &[NodeIndex]) -> Graph {
    let mut edges = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let later = network.neighbors(*node).filter_map(|other| nodes.binary_search(&other).ok());
        edges.extend(later.filter(|other| *other > place).map(|other| (place, other)));
    }
    edges.sort_unstable();
    graph_of_simple_edges(nodes.len(), edges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{graph_from_edges, sorted_edges};

    #[test]
    fn neighbourhoods_with_the_edges_among_them() {
        // A triangle 1-2-3 with a tail 3-4-5, and a pair 0-6 apart.
        let network = graph_from_edges(7, [(1, 2), (2, 3), (3, 1), (3, 4), (4, 5), (0, 6)]).unwrap();
        let networks = |ego: &Ego| -> Vec<_> {
            ego.networks(&network).map(|graph| (graph.node_count(), sorted_edges(&graph))).collect()
        };
        let ego = Ego { radius: 1, min_nodes: 3, max_nodes: 4, largest_component: true };
        let triangle = (3, vec![(0, 1), (0, 2), (1, 2)]);
        let paw = (4, vec![(0, 1), (0, 2), (1, 2), (2, 3)]);
        let path = (3, vec![(0, 1), (1, 2)]);
        assert_eq!(networks(&ego), [triangle.clone(), triangle, paw.clone(), path.clone()]);
        let two = Ego { radius: 2, min_nodes: 2, largest_component: false, ..ego.clone() };
        assert_eq!(networks(&two), [(2, vec![(0, 1)]), paw.clone(), paw, path, (2, vec![(0, 1)])]);
        assert!(networks(&Ego { max_nodes: 2, min_nodes: 1, ..ego }).len() == 1);
    }
}
