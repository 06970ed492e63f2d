//! A JSON document, read: one graph, a list of graphs, or `{"graphs": [...], "splits": {...}}`.
//!
//! The document is not kept: each graph is made when its object ends.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::input::Measured;
use super::json_record::GraphRecord;
use super::node_budget::NodeBudget;
use super::splits::Splits;
use crate::error::GraphError;
use crate::graph::Graph;

/// What a document holds.
pub(super) struct Document {
    pub(super) graphs: Vec<Result<Graph, GraphError>>,
    pub(super) splits: Splits,
}

/// Read a document to its end.
pub(super) fn read(input: Measured, budget: NodeBudget) -> Result<Document, serde_json::Error> {
    let mut state = State { budget, document: Document { graphs: Vec::new(), splits: Splits::default() } };
    let mut json = serde_json::Deserializer::from_reader(input);
    Top(&mut state).deserialize(&mut json)?;
    json.end()?;
    Ok(state.document)
}

struct State {
    budget: NodeBudget,
    document: Document,
}

impl State {
    fn add(&mut self, record: GraphRecord) {
        self.document.graphs.push(record.graph(&mut self.budget));
    }
}

/// The whole document.
struct Top<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a graph, a list of graphs or an object with `graphs`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        List(self.0).visit_seq(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut single = GraphRecord::default();
        let (mut is_single, mut is_set) = (false, false);
        while let Some(key) = items.next_key::<String>()? {
            match key.as_str() {
                "graphs" => {
                    is_set = true;
                    items.next_value_seed(List(&mut *self.0))?;
                }
                "splits" => self.0.document.splits = items.next_value()?,
                "n" => single.n = Some(items.next_value()?),
                "nodes" => single.nodes = Some(items.next_value()?),
                "edges" | "links" => single.edges = Some(items.next_value()?),
                "directed" => single.directed = items.next_value()?,
                "multigraph" => single.multigraph = items.next_value()?,
                _ => drop(items.next_value::<IgnoredAny>()?),
            }
            is_single |= matches!(key.as_str(), "n" | "nodes" | "edges" | "links");
        }
        match (is_set, is_single) {
            (true, false) => Ok(()),
            (false, true) => {
                self.0.add(single);
                Ok(())
            }
            (true, true) => Err(A::Error::custom("both a graph and a list of graphs")),
            (false, false) => Err(A::Error::custom("neither a graph nor an object with `graphs`")),
        }
    }
}

/// The list of graphs.
struct List<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of graphs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(record) = items.next_element()? {
            self.0.add(record);
        }
        Ok(())
    }
}
