//! From a file of graphs to a training set: one-hot degrees and an adjacency of 0 and 1.

use std::path::Path;

use equidrift_gdss::GraphDataset;
use equidrift_graph::{Graph, ReadOptions, sorted_edges};

use crate::error::Error;
use crate::graph_input::GraphInput;
use crate::training::held_out::{HeldOut, Way, take_fraction, take_rows};
use crate::training::molecules::read_rows;
use crate::training::settings::Unusable;
use crate::training::tables::ValidationSettings;

/// A larger graph is a bad one. Networks and sampler are dense: time and memory grow with the square of the nodes.
pub(super) const MOST_NODES: usize = 1000;

/// Node features are one-hot degrees, each kept in a byte.
const MOST_NEIGHBOURS: usize = u8::MAX as usize;

/// Where graphs come from and which of them are used.
#[derive(Debug, Clone)]
pub struct GraphSource<'a> {
    /// A file of graphs, or a part of it.
    pub data: &'a GraphInput,
    /// A file of 0-based numbers of graphs, counted in `data`, that are left out.
    pub test_rows: Option<&'a Path>,
    /// Graphs that are not undirected and simple, or too large.
    pub on_bad_graph: Unusable,
}

/// A graph that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadGraph {
    /// 0-based number of the graph, counted in the data.
    pub row: u64,
    /// Why, with the file's name and the graph's place in it.
    pub reason: String,
}

/// A training set with what was found on the way.
#[derive(Debug, Clone)]
pub struct GraphSet {
    /// The graphs; the class of a node is its degree. Nodes without an edge take no part in the diffusion.
    pub graphs: GraphDataset,
    /// Graphs that cannot be used.
    pub bad_graphs: Vec<BadGraph>,
    /// Graphs of the data, bad ones and test rows among them.
    pub read: u64,
    /// Graphs left out because they are test rows.
    pub test_rows: u64,
    /// SHA-256 of the data file; of a prepared data set, that of its source.
    pub sha256: String,
    /// Graphs for validation; they are not in `graphs`. See [`GraphSet::hold_out`].
    pub held_out: Option<HeldOut>,
}

impl GraphSet {
    /// Reads and featurises the graphs. There are as many node classes as the largest degree of all graphs needs, or
    /// `features` where that is given. `stop` is asked now and then; when it answers true, `None` is returned.
    ///
    /// # Errors
    /// A file that cannot be read; a bad graph, where that is to fail; a test row beyond the end of the data; no graph
    /// with an edge left; a degree above 255.
    pub fn read(
        source: &GraphSource<'_>,
        features: Option<usize>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Self>, Error> {
        let excluded = source.test_rows.map(read_rows).transpose()?.unwrap_or_default();
        let mut bad_graphs = Vec::new();
        let (mut graphs, mut read, mut left_out) = (Vec::new(), 0, 0);
        let options = ReadOptions { max_nodes: MOST_NODES, ..ReadOptions::default() };
        for (row, graph) in (0..).zip(source.data.open(options)?) {
            read = row + 1;
            if row % 1024 == 0 && stop() {
                return Ok(None);
            }
            match graph {
                _ if excluded.contains_key(&row) => left_out += 1,
                Ok(graph) => graphs.push((row, graph)),
                Err(error) if error.is_bad_graph() && source.on_bad_graph == Unusable::Skip => {
                    bad_graphs.push(BadGraph { row, reason: error.to_string() });
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let (Some((&row, &line)), Some(path)) = (excluded.range(read..).next(), source.test_rows) {
            return Err(Error::RowBeyondEnd { path: path.to_owned(), line, row, rows: read });
        }
        let largest =
            graphs.iter().flat_map(|(row, graph)| degrees(graph).map(|degree| (degree, *row))).max();
        let (degree, row) = largest.unwrap_or_default();
        if degree > MOST_NEIGHBOURS {
            let (input, most) = (source.data.to_string(), MOST_NEIGHBOURS);
            return Err(Error::TooManyNeighbours { input, graph: row, degree, most });
        }
        let mut set = GraphDataset::new(features.unwrap_or(degree + 1));
        for (row, graph) in &graphs {
            let classes: Vec<u8> = degrees(graph).map(|degree| degree as u8).collect();
            if let Some(degree) =
                classes.iter().map(|&class| usize::from(class)).find(|&d| d >= set.features())
            {
                let reason = format!(
                    "{}: graph {row} has a node of degree {degree}; those trained on have degrees below {}",
                    source.data,
                    set.features()
                );
                bad_graphs.push(BadGraph { row: *row, reason });
                continue;
            }
            let edges: Vec<_> = sorted_edges(graph).into_iter().map(|(a, b)| (a, b, 1)).collect();
            set.push(*row, &classes, &edges)?;
        }
        if set.node_counts().is_empty() {
            return Err(Self::nothing_left(source, read, left_out));
        }
        let sha256 = source.data.sha256()?;
        Ok(Some(Self { graphs: set, bad_graphs, read, test_rows: left_out, sha256, held_out: None }))
    }

    /// Takes the graphs that `settings` hold out away from the training set, and keeps them as [`GraphSet::held_out`].
    /// `false` where `stop` answered true.
    ///
    /// # Errors
    /// As [`MoleculeSet::hold_out`](crate::training::MoleculeSet::hold_out).
    pub fn hold_out(
        &mut self,
        settings: &ValidationSettings,
        source: &GraphSource<'_>,
        seed: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, Error> {
        let (graphs, unusable, digest) = match Way::of(settings)? {
            Way::None => return Ok(true),
            Way::Rows(path) => (take_rows(&mut self.graphs, self.read, path, source.test_rows)?, 0, None),
            Way::Fraction(fraction) => (take_fraction(&mut self.graphs, fraction, seed), 0, None),
            Way::Data(path) => {
                let data = &GraphInput::of_path(path);
                let source = GraphSource { data, test_rows: None, on_bad_graph: Unusable::Skip };
                let Some(set) = Self::read(&source, Some(self.graphs.features()), stop)? else {
                    return Ok(false);
                };
                (set.graphs, set.bad_graphs.len() as u64, Some(set.sha256))
            }
        };
        if self.graphs.node_counts().is_empty() {
            return Err(Self::nothing_left(source, self.read, self.test_rows));
        }
        let held_out = HeldOut::new(graphs, unusable, digest, self.graphs.nodes());
        self.held_out = Some(held_out.map_err(|largest| Error::NothingHeldOut {
            path:
                settings.rows.as_deref().or(settings.data.as_deref()).unwrap_or(&source.data.path).to_owned(),
            largest,
        })?);
        Ok(true)
    }

    fn nothing_left(source: &GraphSource<'_>, graphs: u64, test_rows: u64) -> Error {
        Error::NoTrainingGraphs { input: source.data.to_string(), graphs, test_rows }
    }
}

/// Degree of each node.
fn degrees(graph: &Graph) -> impl Iterator<Item = usize> + '_ {
    graph.node_indices().map(|node| graph.neighbors(node).count())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A path, a star with an isolated node, a loop, a triangle, a graph without edges, a square.
    const DATA: &str = concat!(
        "{\"n\": 3, \"edges\": [[0, 1], [1, 2]]}\n",
        "{\"n\": 5, \"edges\": [[0, 1], [0, 2], [0, 3]]}\n",
        "{\"n\": 2, \"edges\": [[0, 0]]}\n",
        "{\"n\": 3, \"edges\": [[0, 1], [1, 2], [0, 2]]}\n",
        "{\"n\": 2, \"edges\": []}\n",
        "{\"n\": 4, \"edges\": [[0, 1], [1, 2], [2, 3], [0, 3]]}\n",
    );

    struct Place {
        folder: tempfile::TempDir,
        data: GraphInput,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("data.jsonl");
            fs::write(&path, DATA).unwrap();
            Self { folder, data: GraphInput { path, part: None } }
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }

        fn source<'a>(&'a self, test_rows: Option<&'a Path>) -> GraphSource<'a> {
            GraphSource { data: &self.data, test_rows, on_bad_graph: Unusable::Skip }
        }

        fn read(&self, test_rows: Option<&Path>) -> Result<GraphSet, Error> {
            GraphSet::read(&self.source(test_rows), None, &|| false).map(|set| set.expect("not stopped"))
        }
    }

    fn rows(graphs: &GraphDataset) -> Vec<u64> {
        (0..graphs.len()).map(|index| graphs.row(index)).collect()
    }

    #[test]
    fn the_class_of_a_node_is_its_degree() {
        let place = Place::new();
        let set = place.read(None).unwrap();
        assert_eq!((rows(&set.graphs), set.read), (vec![0, 1, 3, 4, 5], 6));
        assert_eq!((set.graphs.features(), set.graphs.nodes()), (4, 5), "degrees 0 to 3");
        assert_eq!((set.bad_graphs.len(), set.bad_graphs[0].row), (1, 2));
        assert!(set.bad_graphs[0].reason.contains("data.jsonl"), "{}", set.bad_graphs[0].reason);
        let star = set.graphs.dense(&[1]);
        assert_eq!(star.x[..8], [0., 0., 0., 1., 0., 1., 0., 0.]);
        assert_eq!(star.adj[..5], [0., 1., 1., 1., 0.]);
        assert_eq!(star.mask, [true, true, true, true, false], "an isolated node takes no part");
        assert_eq!(set.graphs.node_counts(), [(3, 2), (4, 2)].into());
        assert!(GraphSet::read(&place.source(None), None, &|| true).unwrap().is_none(), "stopped");
    }

    #[test]
    fn test_rows_and_parts_are_left_out_and_mistakes_are_named() {
        let place = Place::new();
        let set = place.read(Some(&place.file("rows.txt", "1\n3\n"))).unwrap();
        assert_eq!((rows(&set.graphs), set.test_rows, set.graphs.features()), (vec![0, 4, 5], 2, 3));
        let beyond = place.read(Some(&place.file("beyond.txt", "1\n6\n"))).unwrap_err().to_string();
        assert!(beyond.contains("beyond.txt:2") && beyond.contains('6'), "{beyond}");
        let failing = GraphSource { on_bad_graph: Unusable::Fail, ..place.source(None) };
        let error = GraphSet::read(&failing, None, &|| false).unwrap_err().to_string();
        assert!(error.contains("data.jsonl") && error.contains("graph 2"), "{error}");
        let all = place.read(Some(&place.file("all.txt", "0\n1\n3\n5\n"))).unwrap_err();
        assert!(matches!(all, Error::NoTrainingGraphs { graphs: 6, test_rows: 4, .. }), "{all}");

        // A star of 256 neighbours, and a graph that is too large.
        let edges: Vec<String> = (1..=256).map(|leaf| format!("[0,{leaf}]")).collect();
        let star = format!("{{\"n\": 257, \"edges\": [{}]}}\n", edges.join(","));
        let hub =
            Place { data: GraphInput { path: place.file("hub.jsonl", &star), part: None }, ..Place::new() };
        assert!(matches!(hub.read(None), Err(Error::TooManyNeighbours { degree: 256, graph: 0, .. })));
        let large = format!("{DATA}{{\"n\": 1001, \"edges\": [[0, 1]]}}\n");
        let large = Place {
            data: GraphInput { path: place.file("large.jsonl", &large), part: None },
            ..Place::new()
        };
        assert_eq!(
            large.read(None).unwrap().bad_graphs.iter().map(|bad| bad.row).collect::<Vec<_>>(),
            [2, 6]
        );
    }

    #[test]
    fn graphs_are_held_out_by_rows_share_or_file() {
        let place = Place::new();
        let hold_out = |settings: ValidationSettings| {
            let mut set = place.read(None)?;
            assert!(set.hold_out(&settings, &place.source(None), 3, &|| false)?);
            Ok::<_, Error>(set)
        };
        let listed = place.file("rows.txt", "5\n0\n");
        let set = hold_out(ValidationSettings { rows: Some(listed), ..Default::default() }).unwrap();
        assert_eq!((rows(&set.held_out.unwrap().graphs), rows(&set.graphs)), (vec![0, 5], vec![1, 3, 4]));
        // Of graphs of one size a share can always be held out.
        let alike = "{\"n\": 3, \"edges\": [[0, 1], [1, 2]]}\n".repeat(5);
        let alike = GraphInput { path: place.file("alike.jsonl", &alike), part: None };
        let alike = GraphSource { data: &alike, test_rows: None, on_bad_graph: Unusable::Fail };
        let mut set = GraphSet::read(&alike, None, &|| false).unwrap().unwrap();
        let share = ValidationSettings { fraction: 0.4, ..Default::default() };
        assert!(set.hold_out(&share, &alike, 3, &|| false).unwrap());
        let held_out = set.held_out.unwrap();
        assert_eq!((held_out.graphs.len(), held_out.too_large, set.graphs.len()), (2, 0, 3));
        assert_eq!(set.graphs.features(), held_out.graphs.features());
        // Of a file of its own: a degree that no training graph has, and more nodes than they have.
        let edges: Vec<String> = (1..=4).map(|leaf| format!("[0,{leaf}]")).collect();
        let text = format!(
            "{{\"n\": 5, \"edges\": [{}]}}\n{{\"n\": 2, \"edges\": [[0, 1]]}}\n{{\"n\": 6, \"edges\": [[4, 5]]}}\n",
            edges.join(",")
        );
        let data = Some(place.file("own.jsonl", &text));
        let held_out = hold_out(ValidationSettings { data, ..Default::default() }).unwrap().held_out.unwrap();
        assert_eq!((rows(&held_out.graphs), held_out.unusable, held_out.too_large), (vec![1], 1, 1));
    }
}
