//! Stochastic block models of SPECTRE (Martinkus et al. 2022).

use std::ops::RangeInclusive;

use super::{Recipe, uniform};
use crate::graph::{Graph, graph_of_simple_edges};
use crate::random::Random;

/// Blocks of nodes; each pair of nodes is joined independently, with one probability inside a block and another between
/// blocks. Not every draw is connected (196 of SPECTRE's 200 are).
#[derive(Debug, Clone, PartialEq)]
pub struct StochasticBlockModel {
    /// Number of blocks, uniform.
    pub blocks: RangeInclusive<usize>,
    /// Nodes of each block, uniform and independent.
    pub block_nodes: RangeInclusive<usize>,
    /// Probability of an edge inside a block.
    pub inside: f64,
    /// Probability of an edge between blocks.
    pub between: f64,
}

impl Default for StochasticBlockModel {
    /// 2 to 5 blocks of 20 to 40 nodes, 0.3 and 0.005.
    fn default() -> Self {
        Self { blocks: 2..=5, block_nodes: 20..=40, inside: 0.3, between: 0.005 }
    }
}

impl Recipe for StochasticBlockModel {
    fn draw(&self, random: &mut Random) -> Graph {
        let blocks = uniform(random, &self.blocks);
        let mut block_of = Vec::new();
        for block in 0..blocks {
            let size = uniform(random, &self.block_nodes);
            block_of.extend(std::iter::repeat_n(block, size));
        }
        let mut edges = Vec::new();
        for first in 0..block_of.len() {
            for second in first + 1..block_of.len() {
                let probability =
                    if block_of[first] == block_of[second] { self.inside } else { self.between };
                if random.happens(probability) {
                    edges.push((first, second));
                }
            }
        }
        graph_of_simple_edges(block_of.len(), edges)
    }
}
