//! One large network of the user's, read with more patience than a data set of graphs: any names for nodes, loops and
//! repeated edges left out and counted.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use equidrift_graph::{Format, Graph, GraphFile, graph_from_edges};
use equidrift_molecule::{MoleculeError, TextLines};

use super::error::DatasetError;
use super::file_format::FileFormat;
use crate::error::Error;

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 64 * 1024;
/// The most nodes of a network.
const MOST_NODES: usize = 10_000_000;
/// The most edges of a network.
const MOST_EDGES: usize = 100_000_000;

/// A network and what was left out of it.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) graph: Graph,
    loops: u64,
    repeated: u64,
}

impl Network {
    /// What was found, for people.
    pub(super) fn found(&self) -> String {
        format!(
            "{} nodes, {} edges ({} loops and {} repeated edges left out)",
            self.graph.node_count(),
            self.graph.edge_count(),
            self.loops,
            self.repeated
        )
    }
}

/// Reads a network. An edge list has two names of nodes a line, anything behind them is passed over, `#` and `%` begin
/// comments; other formats must hold one graph.
///
/// # Errors
/// A file that cannot be read, or that holds no network.
pub(super) fn read_network(path: &Path, format: Option<FileFormat>) -> Result<Network, Error> {
    match format.map_or_else(|| FileFormat::of_path(path), Ok)? {
        FileFormat::Graphs(Format::EdgeList) => read_edges(path),
        FileFormat::Graphs(format) => {
            let options = equidrift_graph::ReadOptions { format: Some(format), max_nodes: MOST_NODES };
            let mut graphs = GraphFile::open_with(path, options).map_err(DatasetError::from)?;
            let nothing = |reason: Option<String>| DatasetError::Nothing { path: path.to_owned(), reason };
            let graph = graphs.next().ok_or_else(|| nothing(None))?.map_err(DatasetError::from)?;
            match graphs.next() {
                None => Ok(Network { graph, loops: 0, repeated: 0 }),
                Some(_) => {
                    Err(nothing(Some("it holds several graphs, expected one network".to_owned())).into())
                }
            }
        }
        _ => Err(DatasetError::UnknownFormat { path: path.to_owned() }.into()),
    }
}

fn read_edges(path: &Path) -> Result<Network, Error> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let (mut seen, mut edges) = (HashSet::new(), Vec::new());
    let (mut loops, mut repeated) = (0, 0);
    for line in TextLines::open(path, LONGEST_LINE)? {
        let line = line?;
        let fault = |reason: String| MoleculeError::Line { path: path.to_owned(), line: line.line, reason };
        let text = line.text.map_err(|error| fault(error.reason))?;
        if text.is_empty() || text.starts_with(['#', '%']) {
            continue;
        }
        let mut names = text.split(|c: char| c.is_whitespace() || c == ',').filter(|name| !name.is_empty());
        let (Some(first), Some(second)) = (names.next(), names.next()) else {
            return Err(fault("expected two names of nodes".to_owned()).into());
        };
        let mut number = |name: &str| {
            let next = numbers.len();
            // Most names have been seen before.
            numbers.get(name).copied().unwrap_or_else(|| *numbers.entry(name.to_owned()).or_insert(next))
        };
        let (a, b) = (number(first), number(second));
        if a == b {
            loops += 1;
        } else if seen.insert((a.min(b), a.max(b))) {
            edges.push((a.min(b), a.max(b)));
        } else {
            repeated += 1;
        }
        let too_many = |what, maximum| DatasetError::TooMany { path: path.to_owned(), what, maximum };
        if numbers.len() > MOST_NODES {
            return Err(too_many("nodes", MOST_NODES as u64).into());
        }
        if edges.len() > MOST_EDGES {
            return Err(too_many("edges", MOST_EDGES as u64).into());
        }
    }
    if edges.is_empty() {
        return Err(DatasetError::Nothing { path: path.to_owned(), reason: None }.into());
    }
    let graph = graph_from_edges(numbers.len(), edges).map_err(DatasetError::from)?;
    Ok(Network { graph, loops, repeated })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Network, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_network(&path, None)
    }

    #[test]
    fn names_may_be_anything_and_what_is_not_simple_is_left_out() {
        // As Citeseer's list of citations: identifiers, both directions, a paper that cites itself.
        let text = "# cites\nbradshaw97 100157\n100157 bradshaw97\n100157 100157\n100157,giles98 0.5\n\n";
        let network = read("citeseer.edges", text).unwrap();
        assert_eq!((network.graph.node_count(), network.graph.edge_count()), (3, 2));
        assert_eq!((network.loops, network.repeated), (1, 1));
        assert!(network.found().contains("3 nodes, 2 edges (1 loops and 1 repeated"));
        let network = read("a.json", r#"{"n": 3, "edges": [[0, 1]]}"#).unwrap();
        assert_eq!(network.graph.node_count(), 3);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        assert!(
            read("a.edges", "a b\nc\n").unwrap_err().to_string().contains("a.edges:2: expected two names")
        );
        assert!(read("a.edges", "# nothing\n").is_err() && read("a.edges", "a a\n").is_err());
        let two = "{\"n\": 1, \"edges\": []}\n{\"n\": 1, \"edges\": []}\n";
        assert!(read("a.jsonl", two).unwrap_err().to_string().contains("several graphs"));
        assert!(read("a.smi", "CC\n").is_err());
    }
}
