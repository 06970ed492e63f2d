//! Edge lists: `u v` per line, 0-based, smaller first, ascending; what NetworkX's `read_edgelist` and most tools take.
//!
//! An edge list cannot say how many nodes a graph has, so the writer puts a comment `# nodes N edges E` first, which
//! other readers skip and ours uses. Blank lines and further comments are skipped; anything after the two numbers of a
//! line (weights, attributes) is ignored.

use std::io::{BufRead, Write};

use crate::error::GraphError;
use crate::graph::{AttributedGraph, Graph, graph_from_edges, sorted_edges};

/// A file cannot make us allocate more nodes than this.
const MOST_NODES: usize = 10_000_000;

/// Write one graph.
///
/// # Errors
/// [`GraphError::Stream`].
pub fn write<V, E>(graph: &AttributedGraph<V, E>, out: &mut dyn Write) -> Result<(), GraphError> {
    writeln!(out, "# nodes {} edges {}", graph.node_count(), graph.edge_count())?;
    for (first, second) in sorted_edges(graph) {
        writeln!(out, "{first} {second}")?;
    }
    Ok(())
}

/// Read one graph. Without the comment on the first line the graph has the nodes `0..=largest number`.
///
/// # Errors
/// [`GraphError::EdgeListLine`] with the line number, [`GraphError::Edge`] for a loop or a repeated edge,
/// [`GraphError::Stream`].
pub fn read(input: impl BufRead) -> Result<Graph, GraphError> {
    let mut stated = None;
    let mut edges = Vec::new();
    let mut largest = None;
    for (number, line) in input.lines().enumerate() {
        let line = line?;
        let bad = |reason| GraphError::EdgeListLine { line: number as u64 + 1, reason };
        let text = line.trim();
        if let Some(comment) = text.strip_prefix('#') {
            if number == 0 {
                stated = nodes_of_comment(comment);
            }
            continue;
        }
        if text.is_empty() {
            continue;
        }
        let mut ends = text.split_whitespace().map(str::parse::<usize>);
        let (Some(Ok(first)), Some(Ok(second))) = (ends.next(), ends.next()) else {
            return Err(bad("expected two node numbers"));
        };
        if first.max(second) >= MOST_NODES {
            return Err(bad("node number above 9,999,999"));
        }
        largest = largest.max(Some(first.max(second)));
        edges.push((first, second));
    }
    let needed = largest.map_or(0, |node| node + 1);
    graph_from_edges(stated.filter(|nodes| *nodes <= MOST_NODES).unwrap_or(needed), edges)
}

fn nodes_of_comment(comment: &str) -> Option<usize> {
    let mut words = comment.split_whitespace();
    (words.next() == Some("nodes")).then(|| words.next()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_graph_reads_back_with_its_isolated_nodes() {
        let graph = graph_from_edges(5, [(3, 1), (0, 1)]).unwrap();
        let mut bytes = Vec::new();
        write(&graph, &mut bytes).unwrap();
        assert_eq!(bytes, b"# nodes 5 edges 2\n0 1\n1 3\n");
        let back = read(&bytes[..]).unwrap();
        assert_eq!((back.node_count(), sorted_edges(&back)), (5, sorted_edges(&graph)));
    }

    #[test]
    fn bad_lines_are_reported_with_their_number() {
        for text in ["0 1\n1 x\n", "0 1\n7\n", "0 1\n-1 2\n", "0 1\n0 99999999999\n"] {
            assert!(
                matches!(read(text.as_bytes()), Err(GraphError::EdgeListLine { line: 2, .. })),
                "{text:?}"
            );
        }
        assert!(matches!(read(&b"0 1\n1 0\n"[..]), Err(GraphError::Edge { .. })));
        assert!(matches!(read(&b"# nodes 2 edges 1\n0 5\n"[..]), Err(GraphError::Edge { nodes: 2, .. })));
    }
}
