//! Data sets that are recipes: random graphs of published benchmarks, one recipe, one file.
//!
//! A graph is a function of the recipe, the seed and its number, so that a set can be drawn in any order and in parts:
//!
//! ```
//! use equidrift_graph::generators::{Planar, draw_set};
//!
//! let graphs: Vec<_> = draw_set(&Planar::default(), 0..10, 7).collect();
//! assert_eq!(graphs[3].node_count(), 64);
//! ```
//!
//! The numbers are not those of the published files (NumPy's and Python's generators made those), the laws are.

use std::ops::{Range, RangeInclusive};

use crate::graph::Graph;
use crate::random::Random;

mod community;
mod delaunay;
mod ego;
mod grid;
mod planar;
mod stochastic_block_model;
mod tree;

pub use community::Community;
pub use delaunay::{Triangulation, delaunay};
pub use ego::Ego;
pub use grid::Grid;
pub use planar::Planar;
pub use stochastic_block_model::StochasticBlockModel;
pub use tree::Tree;

/// A law of random graphs.
pub trait Recipe {
    /// One graph.
    fn draw(&self, random: &mut Random) -> Graph;
}

/// Names of the recipes that [`recipe`] knows.
pub const RECIPES: [&str; 5] = ["community_small", "grid", "planar", "sbm", "tree"];

/// A published recipe by the name of its data set.
#[must_use]
pub fn recipe(name: &str) -> Option<Box<dyn Recipe + Send + Sync>> {
    match name {
        "community_small" => Some(Box::new(Community::default())),
        "grid" => Some(Box::new(Grid::default())),
        "planar" => Some(Box::new(Planar::default())),
        "sbm" => Some(Box::new(StochasticBlockModel::default())),
        "tree" => Some(Box::new(Tree::default())),
        _ => None,
    }
}

/// The graphs of these numbers under a seed.
pub fn draw_set<'a>(
    recipe: &'a (impl Recipe + ?Sized),
    numbers: Range<u64>,
    seed: u64,
) -> impl Iterator<Item = Graph> + 'a {
    numbers.map(move |number| recipe.draw(&mut Random::keyed(seed, &[number])))
}

/// A whole number of a range, each equally likely.
fn uniform(random: &mut Random, range: &RangeInclusive<usize>) -> usize {
    range.start() + random.below((range.end() + 1).saturating_sub(*range.start()))
}
