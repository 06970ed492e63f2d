//! Uniform random labelled trees, as in Bergmeister et al. 2024.

use super::Recipe;
use crate::graph::{Graph, graph_of_simple_edges};
use crate::random::Random;

/// A tree on `nodes` labelled nodes, each of the `nodes^(nodes - 2)` equally likely: a random sequence of Prüfer (1918),
/// decoded in linear time.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// Number of nodes.
    pub nodes: usize,
}

impl Default for Tree {
    /// 64 nodes.
    fn default() -> Self {
        Self { nodes: 64 }
    }
}

impl Tree {
    /// The edges of the tree with this Prüfer sequence, whose numbers must be below its length + 2.
    fn edges_of_sequence(sequence: &[usize]) -> Vec<(usize, usize)> {
        let last = sequence.len() + 1;
        let mut degrees = vec![1_usize; last + 1];
        sequence.iter().for_each(|node| degrees[*node] += 1);
        let leaf_from =
            |start: usize, degrees: &[usize]| (start..last).find(|node| degrees[*node] == 1).unwrap_or(last);
        // `lowest` is the lowest node that was a leaf before; a node below it that becomes one is the next leaf.
        let mut lowest = leaf_from(0, &degrees);
        let mut leaf = lowest;
        let mut edges = Vec::with_capacity(last);
        for &node in sequence {
            edges.push((leaf.min(node), leaf.max(node)));
            degrees[node] -= 1;
            if degrees[node] == 1 && node < lowest {
                leaf = node;
            } else {
                lowest = leaf_from(lowest + 1, &degrees);
                leaf = lowest;
            }
        }
        edges.push((leaf, last));
        edges
    }
}

impl Recipe for Tree {
    fn draw(&self, random: &mut Random) -> Graph {
        let edges = match self.nodes {
            0 | 1 => Vec::new(),
            nodes => {
                let sequence: Vec<usize> = (0..nodes - 2).map(|_| random.below(nodes)).collect();
                Self::edges_of_sequence(&sequence)
            }
        };
        graph_of_simple_edges(self.nodes, edges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::sorted_edges;

    #[test]
    fn a_known_sequence() {
        // The example of Wikipedia's article, with numbers from 0.
        assert_eq!(Tree::edges_of_sequence(&[3, 3, 3, 4]), [(0, 3), (1, 3), (2, 3), (3, 4), (4, 5)]);
    }

    #[test]
    fn every_tree_of_five_nodes_comes_equally_often() {
        let mut counts = std::collections::BTreeMap::new();
        let mut random = Random::keyed(3, &[]);
        for _ in 0..25_000 {
            *counts.entry(sorted_edges(&Tree { nodes: 5 }.draw(&mut random))).or_insert(0.0) += 1.0;
        }
        assert_eq!(counts.len(), 125);
        // Chi-square with 124 degrees of freedom is below 189 with probability 0.9998.
        let chi: f64 = counts.values().map(|count: &f64| (count - 200.0).powi(2) / 200.0).sum();
        assert!(chi < 189.0, "{chi}");
    }

    #[test]
    fn the_smallest_trees() {
        let mut random = Random::keyed(1, &[]);
        for nodes in 0..4 {
            let tree = Tree { nodes }.draw(&mut random);
            assert_eq!((tree.node_count(), tree.edge_count()), (nodes, nodes.saturating_sub(1)));
        }
    }
}
