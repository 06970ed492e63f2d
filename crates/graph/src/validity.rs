//! Whether a graph belongs to a family that is defined by a property: one family, one file.

use serde::{Deserialize, Serialize};

use crate::adjacency::Adjacency;

pub mod block_fit;
pub mod planarity;
pub mod stochastic_block_model;
pub mod tree;

/// A family of graphs with a test of membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// Connected and planar.
    Planar,
    /// Connected, without a cycle.
    Tree,
    /// A tree of which a path remains when the leaves are removed twice.
    Lobster,
    /// A stochastic block model of 2 to 5 blocks of 20 to 40 nodes with edge probabilities 0.3 and 0.005, by SPECTRE's
    /// test ([`stochastic_block_model`]).
    Sbm,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Planar, Self::Tree, Self::Lobster, Self::Sbm];

    /// Its name, lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Planar => "planar",
            Self::Tree => "tree",
            Self::Lobster => "lobster",
            Self::Sbm => "sbm",
        }
    }

    /// Whether a graph belongs to it; a graph without nodes never does.
    #[must_use]
    pub fn contains(self, graph: &Adjacency) -> bool {
        match self {
            Self::Planar => graph.component_count() == 1 && planarity::is_planar(graph),
            Self::Tree => tree::is_tree(graph),
            Self::Lobster => tree::is_lobster(graph),
            Self::Sbm => stochastic_block_model::is_published_model(graph),
        }
    }
}
