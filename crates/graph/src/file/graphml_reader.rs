//! GraphML, read graph by graph.
//!
//! Nodes are numbered in their order. Attributes (`data`), descriptions and layout extensions are passed over; ports,
//! hyperedges and graphs inside nodes are no simple graphs and make their graph a bad one. Edges may name nodes that
//! come later. Entities of a document's own are not expanded.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::graph_file::Fault;
use super::input::Measured;
use super::node_budget::NodeBudget;
use crate::error::GraphError;
use crate::graph::{Graph, graph_from_edges};

pub(super) struct GraphMl {
    reader: Reader<Measured>,
    budget: NodeBudget,
    buffer: Vec<u8>,
    /// Elements that are open; the first must be `graphml`.
    depth: usize,
    seen_root: bool,
}

/// A graph as far as it is read.
#[derive(Default)]
struct Partial {
    /// Elements that were open when it began.
    depth: usize,
    /// 1-based, of its first tag.
    line: u64,
    directed: bool,
    places: HashMap<String, usize>,
    edges: Vec<(String, String)>,
    fault: Option<GraphError>,
}

/// What a step through the document gave.
enum Step {
    More,
    Graph(Partial),
    End,
}

impl GraphMl {
    pub(super) fn new(input: Measured, budget: NodeBudget) -> Self {
        Self { reader: Reader::from_reader(input), budget, buffer: Vec::new(), depth: 0, seen_root: false }
    }

    pub(super) fn next(&mut self) -> Option<Result<Graph, Fault>> {
        let mut graph = None;
        loop {
            match self.step(&mut graph) {
                Ok(Step::More) => {}
                Ok(Step::End) => return None,
                Ok(Step::Graph(partial)) => {
                    let line = partial.line;
                    return Some(partial.finish(&self.budget).map_err(|e| Fault::of_graph(e, Some(line))));
                }
                Err(GraphError::Stream(source)) => return Some(Err(Fault::of_stream(source))),
                Err(source) => {
                    return Some(Err(Fault::of_document(source, Some(self.reader.get_ref().line()))));
                }
            }
        }
    }

    fn step(&mut self, graph: &mut Option<Partial>) -> Result<Step, GraphError> {
        self.buffer.clear();
        let line = self.reader.get_ref().line();
        let event = self.reader.read_event_into(&mut self.buffer).map_err(xml)?;
        let (tag, empty) = match &event {
            Event::Start(tag) => (tag, false),
            Event::Empty(tag) => (tag, true),
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                let ended = graph.as_ref().is_some_and(|graph| graph.depth == self.depth);
                return Ok(graph.take_if(|_| ended).map_or(Step::More, Step::Graph));
            }
            Event::Eof if self.depth > 0 || graph.is_some() => {
                return Err(GraphError::GraphMl { reason: "the document is cut off" });
            }
            Event::Eof if !self.seen_root => {
                return Err(GraphError::GraphMl { reason: "no `graphml` element in it" });
            }
            Event::Eof => return Ok(Step::End),
            _ => return Ok(Step::More),
        };
        let name = tag.local_name();
        if self.depth == 0 {
            if name.as_ref() != "graphml" || self.seen_root {
                return Err(GraphError::GraphMl {
                    reason: "expected one `graphml` element around everything",
                });
            }
            self.seen_root = true;
        }
        let mut ended = None;
        match graph {
            None if name.as_ref() == "graph" => {
                let partial = Partial::start(tag, self.depth, line)?;
                if empty {
                    ended = Some(partial);
                } else {
                    *graph = Some(partial);
                }
            }
            None => {}
            Some(graph) => graph.add(name.as_ref(), tag)?,
        }
        self.depth += usize::from(!empty);
        Ok(ended.map_or(Step::More, Step::Graph))
    }
}

impl Partial {
    fn start(tag: &BytesStart<'_>, depth: usize, line: u64) -> Result<Self, GraphError> {
        let directed = attribute(tag, "edgedefault")?.as_deref() == Some("directed");
        Ok(Self { depth, line, directed, ..Self::default() })
    }

    /// An element inside the graph.
    fn add(&mut self, name: &str, tag: &BytesStart<'_>) -> Result<(), GraphError> {
        let needed = |key: &'static str, reason| attribute(tag, key)?.ok_or(GraphError::GraphMl { reason });
        let fault = match name {
            "node" => {
                let id = needed("id", "a `node` without `id`")?;
                let place = self.places.len();
                match self.places.entry(id) {
                    std::collections::hash_map::Entry::Vacant(entry) => {
                        entry.insert(place);
                        None
                    }
                    std::collections::hash_map::Entry::Occupied(entry) => {
                        Some(GraphError::RepeatedNode { node: entry.key().clone() })
                    }
                }
            }
            "edge" => {
                let source = needed("source", "an `edge` without `source`")?;
                let target = needed("target", "an `edge` without `target`")?;
                self.edges.push((source, target));
                let directed = attribute(tag, "directed")?.map_or(self.directed, |value| value == "true");
                directed.then_some(GraphError::Kind { kind: "directed" })
            }
            "graph" => Some(GraphError::Kind { kind: "nested" }),
            "hyperedge" | "port" => Some(GraphError::Kind { kind: "hyper" }),
            _ => None,
        };
        if self.fault.is_none() {
            self.fault = fault;
        }
        Ok(())
    }

    fn finish(self, budget: &NodeBudget) -> Result<Graph, GraphError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.directed && self.edges.is_empty() {
            return Err(GraphError::Kind { kind: "directed" });
        }
        let nodes = budget.listed(self.places.len() as u64)?;
        let find = |edge: usize, node: &String| {
            self.places.get(node).copied().ok_or_else(|| GraphError::UnknownNode { edge, node: node.clone() })
        };
        let edges = self.edges.iter().enumerate();
        let edges = edges.map(|(place, (source, target))| Ok((find(place, source)?, find(place, target)?)));
        graph_from_edges(nodes, edges.collect::<Result<Vec<_>, GraphError>>()?)
    }
}

fn attribute(tag: &BytesStart<'_>, key: &str) -> Result<Option<String>, GraphError> {
    let found = tag.try_get_attribute(key).map_err(|error| xml(error.into()))?;
    let value =
        found.map(|found| found.normalized_value(XmlVersion::Implicit1_0).map(std::borrow::Cow::into_owned));
    value.transpose().map_err(xml)
}

fn xml(source: quick_xml::Error) -> GraphError {
    match source {
        // The operating system's answer, not the document's fault.
        quick_xml::Error::Io(source) => GraphError::Stream(std::io::Error::new(source.kind(), source)),
        source => GraphError::Xml { source },
    }
}
