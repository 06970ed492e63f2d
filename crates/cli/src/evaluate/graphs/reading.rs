//! Sets of graphs from files.

use std::path::{Path, PathBuf};

use equidrift_graph::{Graph, GraphError, GraphFile, ReadOptions};

use super::failure;
use crate::exit::{Exit, Failure};
use crate::progress;

/// A graph of a file that is to be judged may have this many nodes.
const MOST_NODES: usize = 100_000;

/// How many bad graphs are shown one by one.
const SHOWN: usize = 10;

/// Where a set comes from.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    /// The part that was asked for.
    pub(super) part: Option<&'a str>,
    /// Whether a bad graph is an error.
    pub(super) strict: bool,
    /// The option that chooses the part.
    pub(super) option: &'static str,
}

/// A set that was read.
pub(super) struct GraphSet {
    pub(super) file: PathBuf,
    pub(super) part: Option<String>,
    pub(super) graphs: Vec<Graph>,
    /// Their numbers in the file, from 0.
    pub(super) numbers: Vec<u64>,
    /// Numbers of the graphs that could not be used, from 0.
    pub(super) bad: Vec<u64>,
}

impl Source<'_> {
    /// Reads the set, which must have a graph.
    pub(super) fn read(&self) -> Result<GraphSet, Failure> {
        let mut file = self.open()?;
        if let Some(part) = self.part {
            file = file.part(part).map_err(failure)?;
        } else if !file.splits().is_empty() {
            let names = file.splits().names().join(", ");
            progress::note(&format!(
                "note: {}: all its graphs are used; {} chooses a part ({names})",
                self.path.display(),
                self.option
            ));
        }
        self.collect(file, self.part.map(str::to_owned))
    }

    /// Reads a training set: without a part of its own, `train` of the scheme of the reference's part, if it is there.
    pub(super) fn read_training(&self, reference_part: Option<&str>) -> Result<GraphSet, Failure> {
        let scheme = reference_part.and_then(|part| part.split_once(':'));
        let train = scheme.map(|(scheme, _)| format!("{scheme}:train"));
        let Some(train) = train.filter(|_| self.part.is_none()) else { return self.read() };
        let file = self.open()?;
        if file.splits().part(&train).is_none() {
            return self.read();
        }
        let file = file.part(&train).map_err(failure)?;
        self.collect(file, Some(train))
    }

    fn open(&self) -> Result<GraphFile, Failure> {
        let options = ReadOptions { max_nodes: MOST_NODES, ..ReadOptions::default() };
        GraphFile::open_with(self.path, options).map_err(failure)
    }

    fn collect(&self, mut file: GraphFile, part: Option<String>) -> Result<GraphSet, Failure> {
        let (graphs, numbers, bad) = (Vec::new(), Vec::new(), Vec::new());
        let mut set = GraphSet { file: self.path.to_owned(), part, graphs, numbers, bad };
        while let Some(graph) = file.next() {
            match graph {
                Ok(graph) => {
                    set.graphs.push(graph);
                    set.numbers.extend(file.number());
                }
                Err(error) if error.is_bad_graph() && !self.strict => {
                    if set.bad.len() < SHOWN {
                        progress::note(&format!("warning: {error}"));
                    }
                    if let GraphError::BadGraph { graph, .. } = error {
                        set.bad.push(graph);
                    }
                }
                Err(error) => return Err(failure(error)),
            }
        }
        if set.bad.len() > SHOWN {
            let more = set.bad.len() - SHOWN;
            progress::note(&format!("warning: {}: {more} more bad graphs", self.path.display()));
        }
        if set.graphs.is_empty() && set.bad.is_empty() {
            let message = format_args!("{}: no graphs in it", self.path.display()).to_string();
            return Err(Failure::message(Exit::BadInput, message));
        }
        Ok(set)
    }
}
