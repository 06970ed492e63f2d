//! A file of graphs into columns.

use std::io;
use std::path::Path;

use equidrift_graph::file::{Splits, compact};
use equidrift_graph::{Format, Graph, GraphError, GraphFile, ReadOptions};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::columns::hexadecimal;
use super::error::DatasetError;
use super::graphs::{GraphColumns, MOST_GRAPHS, MOST_NODES};
use super::metadata::{DropReason, Dropped, DroppedRecord};
use crate::error::Error;

/// The longest JSON document whose labels are read, in bytes.
const LONGEST_DOCUMENT: u64 = 1 << 30;

/// What a file was found to hold.
pub(crate) struct GraphSource {
    pub(crate) entries: u64,
    pub(crate) records: u64,
    /// SHA-256 of the graphs as JSON lines; `None` if one of them is bad.
    pub(crate) content_sha256: Option<String>,
    /// The splits that the file carries.
    pub(crate) splits: Splits,
}

/// The digest of graphs as JSON lines, `{"n":3,"edges":[[0,1],[1,2]]}` each: the same however they are packed.
pub(crate) struct ContentDigest(Option<Sha256>);

impl ContentDigest {
    pub(crate) fn new() -> Self {
        Self(Some(Sha256::new()))
    }

    pub(crate) fn add(&mut self, graph: &Graph) {
        struct Sink<'a>(&'a mut Sha256);
        impl io::Write for Sink<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.update(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        if let Some(hasher) = &mut self.0 {
            // A hasher takes everything.
            let _ = compact::write(graph, &mut Sink(hasher));
            hasher.update(b"\n");
        }
    }

    fn spoil(&mut self) {
        self.0 = None;
    }

    pub(crate) fn finish(self) -> Option<String> {
        self.0.map(|hasher| hexadecimal(&hasher.finalize()))
    }
}

/// Reads a file into `columns`; a graph that cannot be used is counted in `dropped` as of `source`. `None` if a stop was
/// asked.
///
/// # Errors
/// A file that cannot be opened or read to its end; with `fail` a graph that cannot be used.
#[expect(clippy::too_many_arguments, reason = "two of them are results")]
pub(crate) fn read_graphs(
    path: &Path,
    format: Format,
    most_nodes: usize,
    fail: bool,
    source: usize,
    columns: &mut GraphColumns,
    dropped: &mut Dropped,
    stop: &dyn Fn() -> bool,
) -> Result<Option<GraphSource>, Error> {
    let max_nodes = most_nodes.min(MOST_NODES);
    let options = ReadOptions { format: Some(format), max_nodes };
    let mut file = GraphFile::open_with(path, options).map_err(DatasetError::from)?;
    let mut content = ContentDigest::new();
    let (before, mut entries) = (columns.len(), 0_u64);
    let splits = file.splits().clone();
    for graph in file.by_ref() {
        if stop() {
            return Ok(None);
        }
        let row = entries;
        entries += 1;
        let (why, line, reason) = match graph {
            Ok(graph) => {
                content.add(&graph);
                // Rows are below the limit, checked here.
                if entries > MOST_GRAPHS || !columns.push(row as u32, &graph) {
                    let (path, what) = (path.to_owned(), "graphs, nodes or edges together");
                    return Err(DatasetError::TooMany { path, what, maximum: MOST_GRAPHS }.into());
                }
                continue;
            }
            Err(error) if fail || !error.is_bad_graph() => return Err(DatasetError::from(error).into()),
            Err(GraphError::BadGraph { graph, line, source, .. }) => {
                let large = matches!(*source, GraphError::TooManyNodes { .. });
                let why = if large { DropReason::TooLarge } else { DropReason::BadGraph };
                (why, line.unwrap_or(graph), source.to_string())
            }
            Err(error) => return Err(DatasetError::from(error).into()),
        };
        content.spoil();
        dropped.add(DroppedRecord { source, line, why, reason });
    }
    let records = (columns.len() - before) as u64;
    Ok(Some(GraphSource { entries, records, content_sha256: content.finish(), splits }))
}

/// The labels of a JSON document in which every graph has them.
pub(crate) struct Labels {
    pub(crate) nodes: Option<Vec<i32>>,
    pub(crate) graphs: Option<Vec<i32>>,
}

/// Reads `node_labels` and `label` of a document `{"graphs": [...]}`; other documents have none. To be called after
/// [`read_graphs`] has found every graph in order and none bad.
pub(crate) fn read_labels(path: &Path) -> Result<Labels, Error> {
    #[derive(Deserialize)]
    struct Document {
        graphs: Vec<Labelled>,
    }
    #[derive(Deserialize)]
    struct Labelled {
        node_labels: Option<Vec<i32>>,
        label: Option<i32>,
        n: usize,
    }
    let read = |source| Error::Read { path: path.to_owned(), source };
    let none = Labels { nodes: None, graphs: None };
    let file = std::fs::File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.len() > LONGEST_DOCUMENT {
        return Ok(none);
    }
    // Labels of another sort are passed over, as all attributes are.
    let Ok(document) = serde_json::from_reader::<_, Document>(io::BufReader::new(file)) else {
        return Ok(none);
    };
    let graphs = document.graphs.iter().map(|graph| graph.label).collect();
    let complete =
        |graph: &Labelled| graph.node_labels.as_ref().is_some_and(|labels| labels.len() == graph.n);
    let nodes = document.graphs.iter().all(complete);
    let nodes =
        nodes.then(|| document.graphs.into_iter().flat_map(|g| g.node_labels.unwrap_or_default()).collect());
    Ok(Labels { nodes, graphs })
}
