//! Grids, as in GraphRNN and GDSS.

use std::ops::RangeInclusive;

use super::{Recipe, uniform};
use crate::graph::{Graph, graph_of_simple_edges};
use crate::random::Random;

/// A standard grid with uniform numbers of rows and columns; node `(row, column)` has the number
/// `row * columns + column`.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Rows, and columns.
    pub sides: RangeInclusive<usize>,
}

impl Default for Grid {
    /// Sides of 10 to 19 nodes: 100 to 361 nodes.
    fn default() -> Self {
        Self { sides: 10..=19 }
    }
}

impl Grid {
    /// The grid of this shape.
    #[must_use]
    pub fn of_shape(rows: usize, columns: usize) -> Graph {
        let nodes = rows * columns;
        let edges = (0..nodes).flat_map(|node| {
            let right = (node % columns + 1 < columns).then_some((node, node + 1));
            let below = (node + columns < nodes).then_some((node, node + columns));
            right.into_iter().chain(below)
        });
        graph_of_simple_edges(nodes, edges)
    }
}

impl Recipe for Grid {
    fn draw(&self, random: &mut Random) -> Graph {
        let rows = uniform(random, &self.sides);
        Self::of_shape(rows, uniform(random, &self.sides))
    }
}
