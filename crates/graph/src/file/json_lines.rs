//! One graph a line as JSON, read.

use super::bounded_lines::BoundedLines;
use super::graph_file::Fault;
use super::input::Input;
use super::json_record::GraphRecord;
use super::node_budget::NodeBudget;
use crate::error::GraphError;
use crate::graph::Graph;

/// The longest line that is read, in bytes: some millions of edges.
const LONGEST_LINE: usize = 64 * 1024 * 1024;

pub(super) struct JsonLines {
    lines: BoundedLines,
    budget: NodeBudget,
}

impl JsonLines {
    pub(super) fn new(input: Input, budget: NodeBudget) -> Self {
        Self { lines: BoundedLines::new(input, LONGEST_LINE), budget }
    }

    pub(super) fn next(&mut self) -> Option<Result<Graph, Fault>> {
        loop {
            let result = match self.lines.next() {
                Err(source) => return Some(Err(Fault::of_stream(source))),
                Ok(None) => return None,
                Ok(Some(Ok(""))) => continue,
                Ok(Some(Err(reason))) => Err(GraphError::Line { reason }),
                Ok(Some(Ok(text))) => serde_json::from_str::<GraphRecord>(text)
                    .map_err(GraphError::Json)
                    .and_then(|record| record.graph(&mut self.budget)),
            };
            let line = self.lines.line();
            return Some(result.map_err(|source| Fault::of_graph(source, Some(line))));
        }
    }
}
