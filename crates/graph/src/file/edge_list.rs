//! Edge lists: `u v` per line, 0-based, smaller first, ascending; what NetworkX's `read_edgelist` and most tools take.
//!
//! An edge list cannot say how many nodes a graph has, nor where the next graph begins, so the writer puts a comment
//! `# nodes N edges E` before each graph, which other readers skip and ours uses. A file without such a line is one
//! graph with the nodes `0..=largest number`. Blank lines and further comments are skipped; anything after the two
//! numbers of a line (weights, attributes) is passed over.

use std::io::Write;

use super::bounded_lines::BoundedLines;
use super::graph_file::Fault;
use super::input::Input;
use super::node_budget::NodeBudget;
use crate::error::GraphError;
use crate::graph::{AttributedGraph, Graph, graph_from_edges, sorted_edges};

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

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

/// What `# nodes N edges E` says.
#[derive(Clone, Copy)]
struct Stated {
    nodes: u64,
    edges: u64,
}

/// A graph as far as it is read.
struct Partial {
    stated: Option<Stated>,
    edges: Vec<(usize, usize)>,
    /// 1-based, of each edge.
    lines: Vec<u64>,
    fault: Option<Fault>,
}

impl Partial {
    fn new(stated: Option<Stated>) -> Self {
        Self { stated, edges: Vec::new(), lines: Vec::new(), fault: None }
    }
}

pub(super) struct EdgeLists {
    lines: BoundedLines,
    budget: NodeBudget,
    /// The first line of the next graph was read with the last one.
    next: Option<Partial>,
}

impl EdgeLists {
    pub(super) fn new(input: Input, budget: NodeBudget) -> Self {
        Self { lines: BoundedLines::new(input, LONGEST_LINE), budget, next: None }
    }

    pub(super) fn next(&mut self) -> Option<Result<Graph, Fault>> {
        let mut graph = self.next.take();
        loop {
            let text = match self.lines.next() {
                Err(source) => return Some(Err(Fault::of_stream(source))),
                Ok(None) => break,
                Ok(Some(text)) => text,
            };
            let edge = match text {
                Ok("") => continue,
                Ok(text) => match text.strip_prefix('#') {
                    Some(comment) => {
                        let Some(stated) = stated(comment) else { continue };
                        let following = Partial::new(Some(stated));
                        if graph.is_some() {
                            self.next = Some(following);
                            break;
                        }
                        graph = Some(following);
                        continue;
                    }
                    None => edge(text),
                },
                Err(reason) => Err(GraphError::Line { reason }),
            };
            let graph = graph.get_or_insert_with(|| Partial::new(None));
            if graph.fault.is_none() {
                let line = self.lines.line();
                match edge.and_then(|edge| self.check(graph.stated, edge)) {
                    Ok(edge) => {
                        graph.edges.push(edge);
                        graph.lines.push(line);
                    }
                    Err(source) => graph.fault = Some(Fault::of_graph(source, Some(line))),
                }
            }
        }
        graph.map(|graph| self.finish(graph))
    }

    /// An edge, if the graph can have it.
    fn check(
        &self,
        stated: Option<Stated>,
        (first, second): (u64, u64),
    ) -> Result<(usize, usize), GraphError> {
        let nodes = self.budget.listed(stated.map_or(first.max(second) + 1, |stated| stated.nodes))?;
        // Node numbers fit `usize` wherever the file could be meant.
        let (first, second) = (first as usize, second as usize);
        if first.max(second) >= nodes {
            return Err(GraphError::EdgeBeyondNodes { first, second, nodes });
        }
        if first == second {
            return Err(GraphError::SelfLoop { node: first });
        }
        Ok((first, second))
    }

    fn finish(&mut self, partial: Partial) -> Result<Graph, Fault> {
        if let Some(fault) = partial.fault {
            return Err(fault);
        }
        let found = partial.edges.len() as u64;
        if let Some(Stated { edges: stated, .. }) = partial.stated.filter(|stated| stated.edges != found) {
            return Err(Fault::of_graph(GraphError::EdgeCount { stated, found }, Some(self.lines.line())));
        }
        let largest = partial.edges.iter().map(|edge| edge.0.max(edge.1) as u64 + 1).max();
        let nodes = partial.stated.map_or(largest.unwrap_or(0), |stated| stated.nodes);
        let nodes = self.budget.claimed(nodes, partial.edges.len());
        let graph = nodes.and_then(|nodes| graph_from_edges(nodes, partial.edges.iter().copied()));
        graph.map_err(|source| {
            let line = match source {
                GraphError::RepeatedEdge { first, second } => {
                    let again =
                        |edge: &(usize, usize)| (edge.0.min(edge.1), edge.0.max(edge.1)) == (first, second);
                    let repeated =
                        partial.edges.iter().zip(&partial.lines).filter(|(edge, _)| again(edge)).nth(1);
                    repeated.map(|(_, line)| *line)
                }
                _ => None,
            };
            Fault::of_graph(source, line)
        })
    }
}

fn edge(text: &str) -> Result<(u64, u64), GraphError> {
    let mut ends = text.split_whitespace().map(str::parse::<u64>);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(second))) if first.max(second) < u64::MAX => Ok((first, second)),
        _ => Err(GraphError::Line { reason: "expected two node numbers" }),
    }
}

fn stated(comment: &str) -> Option<Stated> {
    let mut words = comment.split_whitespace();
    let mut number = |name: &str| (words.next() == Some(name)).then(|| words.next()?.parse().ok()).flatten();
    let (nodes, edges) = (number("nodes")?, number("edges")?);
    Some(Stated { nodes, edges })
}
