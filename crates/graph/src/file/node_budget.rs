//! How many nodes a file may claim: a number costs a file nothing, the nodes would cost us memory.

use crate::error::GraphError;

/// All graphs of a file together may have this many nodes that are only a number: without an edge and without an entry.
const MOST_BARE_NODES: u64 = 10_000_000;

/// What is left of the budget of a file.
#[derive(Debug, Clone)]
pub(super) struct NodeBudget {
    max_nodes: usize,
    bare_nodes: u64,
}

impl NodeBudget {
    /// Graphs of at most `max_nodes` nodes.
    pub(super) fn new(max_nodes: usize) -> Self {
        Self { max_nodes, bare_nodes: 0 }
    }

    /// The node count of a graph whose nodes are listed one by one, if it is acceptable.
    pub(super) fn listed(&self, nodes: u64) -> Result<usize, GraphError> {
        match usize::try_from(nodes) {
            Ok(count) if count <= self.max_nodes => Ok(count),
            _ => Err(GraphError::TooManyNodes { nodes, maximum: self.max_nodes }),
        }
    }

    /// The node count of a graph that only states it, if it is acceptable.
    pub(super) fn claimed(&mut self, nodes: u64, edges: usize) -> Result<usize, GraphError> {
        let count = self.listed(nodes)?;
        self.bare_nodes = self.bare_nodes.saturating_add(nodes.saturating_sub(2 * edges as u64));
        if self.bare_nodes > MOST_BARE_NODES {
            return Err(GraphError::TooManyBareNodes { maximum: MOST_BARE_NODES });
        }
        Ok(count)
    }
}
