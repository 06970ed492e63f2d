//! A file of graphs, read graph by graph.

use std::io;
use std::path::{Path, PathBuf};

use super::edge_list::EdgeLists;
use super::graphml_reader::GraphMl;
use super::input::{self, Input, Measured};
use super::json_lines::JsonLines;
use super::node_budget::NodeBudget;
use super::splits::Splits;
use super::{Format, json_document};
use crate::error::GraphError;
use crate::graph::Graph;

/// A document that is one piece (JSON, GraphML) may have this many bytes after decompression.
const LONGEST_DOCUMENT: u64 = 1 << 30;

/// How to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// Its format; `None`: what the suffix names.
    pub format: Option<Format>,
    /// A graph with more nodes is a bad graph; at most `u32::MAX - 1`.
    pub max_nodes: usize,
}

impl Default for ReadOptions {
    /// The format of the suffix, graphs of at most 10 million nodes.
    fn default() -> Self {
        Self { format: None, max_nodes: 10_000_000 }
    }
}

/// The graphs of a file, in their order.
///
/// Edge lists, JSON lines and GraphML are read as they are asked for, in memory that does not grow with the file; a
/// JSON document is read when it is opened. The item number `i` is the file's graph `i`, bad ones included: after
/// [`GraphError::BadGraph`] the iteration goes on, after any other error it ends.
///
/// ```no_run
/// use std::path::Path;
/// use equidrift_graph::GraphFile;
///
/// let test: Vec<_> = GraphFile::open(Path::new("community_small.json"))?.part("gdss:test")?.collect::<Result<_, _>>()?;
/// # Ok::<(), equidrift_graph::GraphError>(())
/// ```
pub struct GraphFile {
    path: PathBuf,
    source: Source,
    splits: Splits,
    next: u64,
    failed: bool,
}

enum Source {
    /// Everything, with numbers.
    Read(std::vec::IntoIter<(u64, Result<Graph, GraphError>)>),
    JsonLines(JsonLines),
    EdgeLists(EdgeLists),
    GraphMl(Box<GraphMl>),
}

impl GraphFile {
    /// Open a file in the format that its suffix names.
    ///
    /// # Errors
    /// [`GraphError::UnknownFormat`], [`GraphError::File`], and [`GraphError::Document`] for a JSON document that
    /// cannot be read.
    pub fn open(path: &Path) -> Result<Self, GraphError> {
        Self::open_with(path, ReadOptions::default())
    }

    /// Open a file.
    ///
    /// # Errors
    /// As [`GraphFile::open`].
    pub fn open_with(path: &Path, options: ReadOptions) -> Result<Self, GraphError> {
        let format = options.format.map_or_else(|| Format::of_path(path), Ok)?;
        Self::from_reader(path, input::open(path)?, format, options)
    }

    /// Read from a stream; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`GraphFile::open`].
    pub fn from_reader(
        path: &Path,
        mut input: Input,
        format: Format,
        options: ReadOptions,
    ) -> Result<Self, GraphError> {
        let file = |source| GraphError::File { task: "read", path: path.to_owned(), source };
        input::skip_byte_order_mark(&mut *input).map_err(file)?;
        let budget = NodeBudget::new(options.max_nodes.min(u32::MAX as usize - 1));
        let mut splits = Splits::default();
        let source = match format {
            Format::JsonLines => Source::JsonLines(JsonLines::new(input, budget)),
            Format::EdgeList => Source::EdgeLists(EdgeLists::new(input, budget)),
            Format::GraphMl => {
                Source::GraphMl(Box::new(GraphMl::new(Measured::new(input, LONGEST_DOCUMENT), budget)))
            }
            Format::Json => {
                let document = json_document::read(Measured::new(input, LONGEST_DOCUMENT), budget);
                let document = document.map_err(|error| {
                    if error.is_io() {
                        return file(error.into());
                    }
                    let line = Some(error.line() as u64).filter(|line| *line > 0);
                    GraphError::Document { path: path.to_owned(), line, source: Box::new(error.into()) }
                })?;
                splits = document.splits;
                Source::Read((0..).zip(document.graphs).collect::<Vec<_>>().into_iter())
            }
        };
        Ok(Self { path: path.to_owned(), source, splits, next: 0, failed: false })
    }

    /// Graphs in memory as if a file had been read; `path` is what messages call it. One with more than `options.max_nodes`
    /// nodes is a bad graph.
    #[must_use]
    pub fn of_graphs(
        path: &Path,
        graphs: impl IntoIterator<Item = Graph>,
        splits: Splits,
        options: ReadOptions,
    ) -> Self {
        let maximum = options.max_nodes;
        let checked = |graph: Graph| match graph.node_count() {
            nodes if nodes > maximum => Err(GraphError::TooManyNodes { nodes: nodes as u64, maximum }),
            _ => Ok(graph),
        };
        let graphs: Vec<_> = (0..).zip(graphs.into_iter().map(checked)).collect();
        let source = Source::Read(graphs.into_iter());
        Self { path: path.to_owned(), source, splits, next: 0, failed: false }
    }

    /// The splits that the file carries; only JSON documents do.
    #[must_use]
    pub fn splits(&self) -> &Splits {
        &self.splits
    }

    /// The number in the file, from 0, of the graph that was given last, good or bad.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Only the graphs of one part, `SCHEME:PART` (or `PART` if only one scheme has it), in the order of its list. To be
    /// called before the first graph is taken.
    ///
    /// # Errors
    /// [`GraphError::UnknownSplit`], [`GraphError::SplitBeyondEnd`].
    pub fn part(mut self, name: &str) -> Result<Self, GraphError> {
        let unknown = || GraphError::UnknownSplit {
            path: self.path.clone(),
            wanted: name.to_owned(),
            known: self.splits.names(),
        };
        let wanted = self.splits.part(name).ok_or_else(unknown)?;
        let Source::Read(graphs) = self.source else { return Err(unknown()) };
        let mut graphs: Vec<_> = graphs.map(Some).collect();
        let count = graphs.len();
        let mut part = Vec::with_capacity(wanted.len().min(count));
        for &number in wanted {
            // A graph can be listed once; a second mention is as wrong as one beyond the end.
            let entry = usize::try_from(number).ok().and_then(|number| graphs.get_mut(number)?.take());
            let beyond = || GraphError::SplitBeyondEnd {
                path: self.path.clone(),
                split: name.to_owned(),
                graph: number,
                graphs: count,
            };
            part.push(entry.ok_or_else(beyond)?);
        }
        self.source = Source::Read(part.into_iter());
        Ok(self)
    }
}

impl Iterator for GraphFile {
    type Item = Result<Graph, GraphError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let result = match &mut self.source {
            Source::Read(graphs) => {
                let (number, result) = graphs.next()?;
                self.next = number;
                result.map_err(|source| Fault::of_graph(source, None))
            }
            Source::JsonLines(lines) => lines.next()?,
            Source::EdgeLists(lists) => lists.next()?,
            Source::GraphMl(document) => document.next()?,
        };
        let graph = self.next;
        self.next += 1;
        Some(result.map_err(|Fault { kind, line, source }| {
            self.failed = kind != FaultKind::Graph;
            let path = self.path.clone();
            match (kind, *source) {
                (FaultKind::Graph, source) => {
                    GraphError::BadGraph { path, graph, line, source: source.into() }
                }
                (FaultKind::Stream, GraphError::Stream(source)) => {
                    GraphError::File { task: "read", path, source }
                }
                (_, source) => GraphError::Document { path, line, source: source.into() },
            }
        }))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    Graph,
    Document,
    Stream,
}

/// What a reader stumbled over; the file's name and the graph's number are added here.
pub(super) struct Fault {
    kind: FaultKind,
    line: Option<u64>,
    source: Box<GraphError>,
}

impl Fault {
    /// One graph is bad.
    pub(super) fn of_graph(source: GraphError, line: Option<u64>) -> Self {
        Self { kind: FaultKind::Graph, line, source: source.into() }
    }

    /// The document cannot be read further.
    pub(super) fn of_document(source: GraphError, line: Option<u64>) -> Self {
        Self { kind: FaultKind::Document, line, source: source.into() }
    }

    /// The stream cannot be read further.
    pub(super) fn of_stream(source: io::Error) -> Self {
        Self { kind: FaultKind::Stream, line: None, source: GraphError::Stream(source).into() }
    }
}
