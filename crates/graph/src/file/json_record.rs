//! One graph as JSON, read: `{"n": 3, "edges": [[0, 1]]}`, or node-link.
//!
//! In a list of edges both forms may stand: `[u, v]` and `{"source": u, "target": v}`; anything further in them
//! (weights, keys, attributes) is passed over.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node_budget::NodeBudget;
use crate::error::GraphError;
use crate::graph::{Graph, graph_from_edges};

/// The parts of a graph as they stand.
#[derive(Deserialize, Default)]
pub(super) struct GraphRecord {
    #[serde(default)]
    pub(super) n: Option<u64>,
    #[serde(default)]
    pub(super) nodes: Option<Vec<Node>>,
    /// NetworkX before 3.4 names them `links`.
    #[serde(default, alias = "links")]
    pub(super) edges: Option<Vec<Edge>>,
    #[serde(default)]
    pub(super) directed: bool,
    #[serde(default)]
    pub(super) multigraph: bool,
}

#[derive(Deserialize)]
pub(super) struct Node {
    id: NodeId,
}

/// What nodes are called; NetworkX writes any of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum NodeId {
    Number(i64),
    Text(Box<str>),
}

pub(super) struct Edge(NodeId, NodeId);

impl GraphRecord {
    /// The graph; nodes are numbered in the order of their list.
    pub(super) fn graph(self, budget: &mut NodeBudget) -> Result<Graph, GraphError> {
        if self.directed {
            return Err(GraphError::Kind { kind: "directed" });
        }
        if self.multigraph {
            return Err(GraphError::Kind { kind: "multi" });
        }
        let edges = self.edges.ok_or(GraphError::NoGraph { missing: "edges" })?;
        match (self.nodes, self.n) {
            (Some(nodes), _) => named(nodes, edges, budget),
            (None, Some(nodes)) => numbered(nodes, edges, budget),
            (None, None) => Err(GraphError::NoGraph { missing: "n" }),
        }
    }
}

fn numbered(nodes: u64, edges: Vec<Edge>, budget: &mut NodeBudget) -> Result<Graph, GraphError> {
    let nodes = budget.claimed(nodes, edges.len())?;
    let number = |edge: usize, id: NodeId| match id {
        NodeId::Number(number) if number >= 0 => Ok(number as usize),
        id => Err(GraphError::UnknownNode { edge, node: id.to_string() }),
    };
    let edges = edges.into_iter().enumerate();
    let edges = edges.map(|(place, Edge(first, second))| Ok((number(place, first)?, number(place, second)?)));
    graph_from_edges(nodes, edges.collect::<Result<Vec<_>, GraphError>>()?)
}

fn named(nodes: Vec<Node>, edges: Vec<Edge>, budget: &mut NodeBudget) -> Result<Graph, GraphError> {
    let count = budget.listed(nodes.len() as u64)?;
    let mut places = HashMap::with_capacity(count);
    for (place, node) in nodes.into_iter().enumerate() {
        let name = node.id.to_string();
        if places.insert(node.id, place).is_some() {
            return Err(GraphError::RepeatedNode { node: name });
        }
    }
    let find = |edge: usize, id: &NodeId| {
        places.get(id).copied().ok_or_else(|| GraphError::UnknownNode { edge, node: id.to_string() })
    };
    let edges = edges.iter().enumerate();
    let edges = edges.map(|(place, Edge(first, second))| Ok((find(place, first)?, find(place, second)?)));
    graph_from_edges(count, edges.collect::<Result<Vec<_>, GraphError>>()?)
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeIdVisitor)
    }
}

struct NodeIdVisitor;

impl Visitor<'_> for NodeIdVisitor {
    type Value = NodeId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a node, a whole number or a text")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<NodeId, E> {
        Ok(NodeId::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<NodeId, E> {
        i64::try_from(number).map(NodeId::Number).map_err(|_| E::custom("the node's number is too large"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NodeId, E> {
        Ok(NodeId::Text(text.into()))
    }
}

impl<'de> Deserialize<'de> for Edge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EdgeVisitor)
    }
}

struct EdgeVisitor;

impl<'de> Visitor<'de> for EdgeVisitor {
    type Value = Edge;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an edge, [u, v] or {\"source\": u, \"target\": v}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Edge, A::Error> {
        let (Some(first), Some(second)) = (items.next_element()?, items.next_element()?) else {
            return Err(A::Error::invalid_length(1, &self));
        };
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Edge(first, second))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Edge, A::Error> {
        let (mut source, mut target) = (None, None);
        while let Some(key) = items.next_key::<String>()? {
            match key.as_str() {
                "source" => source = Some(items.next_value()?),
                "target" => target = Some(items.next_value()?),
                _ => drop(items.next_value::<IgnoredAny>()?),
            }
        }
        match (source, target) {
            (Some(source), Some(target)) => Ok(Edge(source, target)),
            (None, _) => Err(A::Error::missing_field("source")),
            (_, None) => Err(A::Error::missing_field("target")),
        }
    }
}
