//! Prepared graphs: edges in columns.
//!
//! | column | type | length | what |
//! | --- | --- | --- | --- |
//! | `row` | U32 | G | 0-based number of the graph in its source |
//! | `node_ptr` | U32 | G + 1 | graph k has nodes `node_ptr[k]..node_ptr[k + 1]` |
//! | `edge_ptr` | U32 | G + 1 | likewise edges |
//! | `edge_u`, `edge_v` | U8 or U16 | E | node numbers inside the graph, `u < v`, ascending |
//! | `node_label` | I32 | N | only where every graph of the source has node labels |
//! | `graph_label` | I32 | G | only where every graph of the source has a label |
//! | `split.SCHEME` | U8 | G | number of the part in the metadata, 255 for none |

use std::path::Path;

use equidrift_graph::{Graph, graph_from_edges, sorted_edges};

use super::columns::{self, Taker, View, Views, check_pointers};
use super::error::DatasetError;
use super::manifest::Kind;
use super::membership::{Memberships, part_names};
use super::metadata::PreparedMetadata;
use crate::error::Error;

/// The most nodes of a graph.
pub const MOST_NODES: usize = u16::MAX as usize;
/// The most graphs of a prepared data set.
pub const MOST_GRAPHS: u64 = 20_000_000;

/// The most nodes without an edge in all graphs together: a small file cannot ask for much memory.
const MOST_BARE_NODES: usize = 10_000_000;

/// Graphs in columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct GraphColumns {
    row: Vec<u32>,
    node_ptr: Vec<u32>,
    edge_ptr: Vec<u32>,
    edge_u: Vec<u16>,
    edge_v: Vec<u16>,
    pub(crate) node_label: Option<Vec<i32>>,
    pub(crate) graph_label: Option<Vec<i32>>,
}

impl GraphColumns {
    pub(crate) fn new() -> Self {
        Self { node_ptr: vec![0], edge_ptr: vec![0], ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }

    pub(crate) fn rows(&self) -> &[u32] {
        &self.row
    }

    /// Nodes of all graphs.
    pub(crate) fn nodes(&self) -> usize {
        self.node_ptr.last().map_or(0, |end| *end as usize)
    }

    /// Adds a graph; false if the columns can hold no more.
    pub(crate) fn push(&mut self, row: u32, graph: &Graph) -> bool {
        let node_end = u32::try_from(self.nodes() + graph.node_count());
        let edge_end = u32::try_from(self.edge_u.len() + graph.edge_count());
        let (Ok(node_end), Ok(edge_end)) = (node_end, edge_end) else { return false };
        if self.len() as u64 == MOST_GRAPHS || graph.node_count() > MOST_NODES {
            return false;
        }
        self.row.push(row);
        for (first, second) in sorted_edges(graph) {
            // Node numbers fit, checked above.
            self.edge_u.push(first as u16);
            self.edge_v.push(second as u16);
        }
        self.node_ptr.push(node_end);
        self.edge_ptr.push(edge_end);
        true
    }

    fn edges(&self, graph: usize) -> std::ops::Range<usize> {
        self.edge_ptr[graph] as usize..self.edge_ptr[graph + 1] as usize
    }

    fn node_range(&self, graph: usize) -> std::ops::Range<usize> {
        self.node_ptr[graph] as usize..self.node_ptr[graph + 1] as usize
    }

    pub(crate) fn views(&self) -> Views<'_> {
        let labels = [("node_label", &self.node_label), ("graph_label", &self.graph_label)];
        let labels =
            labels.into_iter().filter_map(|(name, labels)| Some((name, View::I32(labels.as_ref()?))));
        [
            ("row", View::U32(&self.row)),
            ("node_ptr", View::U32(&self.node_ptr)),
            ("edge_ptr", View::U32(&self.edge_ptr)),
            ("edge_u", View::narrowest(&self.edge_u)),
            ("edge_v", View::narrowest(&self.edge_v)),
        ]
        .into_iter()
        .chain(labels)
        .map(|(name, column)| (name.to_owned(), column))
        .collect()
    }

    fn take(taker: &mut Taker<'_>) -> Result<Self, DatasetError> {
        let mut columns = Self {
            row: taker.u32("row")?,
            node_ptr: taker.u32("node_ptr")?,
            edge_ptr: taker.u32("edge_ptr")?,
            edge_u: taker.narrow("edge_u")?,
            edge_v: taker.narrow("edge_v")?,
            node_label: None,
            graph_label: None,
        };
        if taker.has("node_label") {
            columns.node_label = Some(taker.i32("node_label")?);
        }
        if taker.has("graph_label") {
            columns.graph_label = Some(taker.i32("graph_label")?);
        }
        columns.check().map_err(|reason| taker.bad(reason))?;
        Ok(columns)
    }

    /// That every graph is simple.
    fn check(&self) -> Result<(), String> {
        let graphs = self.len();
        if graphs as u64 > MOST_GRAPHS {
            return Err(format!("it has more than {MOST_GRAPHS} graphs"));
        }
        check_pointers("node_ptr", &self.node_ptr, graphs, self.nodes())?;
        check_pointers("edge_ptr", &self.edge_ptr, graphs, self.edge_u.len())?;
        let labelled =
            |labels: &Option<Vec<i32>>, count: usize| labels.as_ref().is_none_or(|l| l.len() == count);
        if self.edge_v.len() != self.edge_u.len()
            || !labelled(&self.node_label, self.nodes())
            || !labelled(&self.graph_label, graphs)
        {
            return Err("its columns differ in length".to_owned());
        }
        let mut bare = 0;
        for graph in 0..graphs {
            let (nodes, edges) = (self.node_range(graph).len(), self.edges(graph));
            if nodes > MOST_NODES {
                return Err(format!("graph {graph} has {nodes} nodes"));
            }
            bare += nodes.saturating_sub(2 * edges.len());
            if bare > MOST_BARE_NODES {
                return Err(format!("it claims more than {MOST_BARE_NODES} nodes without an edge"));
            }
            let pairs = || edges.clone().map(|edge| (self.edge_u[edge], self.edge_v[edge]));
            if pairs().any(|(u, v)| u >= v || usize::from(v) >= nodes) || !pairs().is_sorted_by(|a, b| a < b)
            {
                return Err(format!("graph {graph} has an edge that is impossible or out of order"));
            }
        }
        Ok(())
    }
}

/// A prepared data set of graphs, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedGraphs {
    metadata: PreparedMetadata,
    columns: GraphColumns,
    memberships: Memberships,
}

impl PreparedGraphs {
    /// Puts the parts together and fills in the digest.
    pub(crate) fn new(
        mut metadata: PreparedMetadata,
        graphs: GraphColumns,
        memberships: Memberships,
    ) -> Self {
        metadata.data_sha256 = String::new();
        let mut set = Self { metadata, columns: graphs, memberships };
        set.metadata.data_sha256 = columns::digest(&set.all_views());
        set
    }

    fn all_views(&self) -> Views<'_> {
        let mut columns = self.columns.views();
        columns.extend(self.memberships.views());
        columns
    }

    /// Opens a file of `datasets prepare`.
    ///
    /// # Errors
    /// As [`super::PreparedMolecules::open`], with [`DatasetError::Kind`] for molecules.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (metadata, columns) = PreparedMetadata::read(path)?;
        if metadata.kind != Kind::Graphs {
            let (expected, found) = (Kind::Graphs.name(), metadata.kind.name());
            return Err(DatasetError::Kind { path: path.to_owned(), expected, found }.into());
        }
        let mut taker = Taker { columns, path };
        let graphs = GraphColumns::take(&mut taker)?;
        metadata.check_rows(graphs.rows()).map_err(|reason| taker.bad(reason))?;
        let memberships = Memberships::take(&metadata, graphs.len(), &mut taker)?;
        taker.finish()?;
        Ok(Self { metadata, columns: graphs, memberships })
    }

    /// Writes the file atomically; equal data sets give equal bytes.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Encode`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let metadata = serde_json::to_string(&self.metadata).map_err(|source| Error::Encode { source })?;
        let write = |source| Error::Write { path: path.to_owned(), source };
        columns::write(path, &metadata, &self.all_views()).map_err(write)
    }

    /// What it says of itself.
    #[must_use]
    pub fn metadata(&self) -> &PreparedMetadata {
        &self.metadata
    }

    /// Number of graphs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// 0-based number of a graph in its source.
    #[must_use]
    pub fn row(&self, graph: usize) -> u64 {
        u64::from(self.columns.row[graph])
    }

    /// Nodes of a graph.
    #[must_use]
    pub fn nodes(&self, graph: usize) -> usize {
        self.columns.node_range(graph).len()
    }

    /// Edges of a graph, smaller node first, ascending.
    pub fn edges(&self, graph: usize) -> impl ExactSizeIterator<Item = (usize, usize)> + '_ {
        let columns = &self.columns;
        columns
            .edges(graph)
            .map(|edge| (usize::from(columns.edge_u[edge]), usize::from(columns.edge_v[edge])))
    }

    /// A graph.
    #[must_use]
    pub fn graph(&self, graph: usize) -> Graph {
        // Edges are possible and there once, checked on the way in.
        graph_from_edges(self.nodes(graph), self.edges(graph)).unwrap_or_default()
    }

    /// The label of every node of a graph, if the data set has labels.
    #[must_use]
    pub fn node_labels(&self, graph: usize) -> Option<&[i32]> {
        self.columns.node_label.as_ref().map(|labels| &labels[self.columns.node_range(graph)])
    }

    /// The label of a graph, if the data set has labels.
    #[must_use]
    pub fn label(&self, graph: usize) -> Option<i32> {
        self.columns.graph_label.as_ref().map(|labels| labels[graph])
    }

    /// The graphs of a part, ascending: `SCHEME:PART`, or `PART` if only one scheme has it.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<Vec<usize>> {
        self.memberships.part(&self.metadata.splits, name)
    }

    /// Every `SCHEME:PART`.
    #[must_use]
    pub fn part_names(&self) -> Vec<String> {
        part_names(&self.metadata.splits)
    }

    /// Whether another set has the same graphs from the same places; splits and metadata may differ.
    #[must_use]
    pub fn has_graphs_of(&self, other: &Self) -> bool {
        self.columns == other.columns
    }

    /// Whether it has these graphs.
    pub(crate) fn has_columns(&self, columns: &GraphColumns) -> bool {
        self.columns == *columns
    }

    pub(crate) fn memberships(&self) -> &Memberships {
        &self.memberships
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::datasets::metadata::{Dropped, PREPARED_VERSION, Source};

    fn small() -> PreparedGraphs {
        let mut columns = GraphColumns::new();
        assert!(columns.push(0, &graph_from_edges(3, [(2, 1), (0, 1)]).unwrap()));
        assert!(columns.push(2, &graph_from_edges(300, [(299, 0)]).unwrap()));
        columns.node_label = Some((0..303).collect());
        columns.graph_label = Some(vec![-1, 7]);
        let metadata = PreparedMetadata {
            format_version: PREPARED_VERSION,
            kind: Kind::Graphs,
            name: "small".to_owned(),
            programme: "test".to_owned(),
            chemistry: None,
            atoms: Vec::new(),
            most_nodes: MOST_NODES,
            sources: vec![Source {
                file: "small.json".to_owned(),
                sha256: Some("0".repeat(64)),
                content_sha256: None,
                drawn: None,
                rows: 3,
                entries: 3,
                records: 2,
            }],
            splits: BTreeMap::new(),
            dropped: Dropped::default(),
            data_sha256: String::new(),
        };
        PreparedGraphs::new(metadata, columns, Memberships::default())
    }

    #[test]
    fn a_set_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.eds");
        let set = small();
        set.write(&path).unwrap();
        let back = PreparedGraphs::open(&path).unwrap();
        assert_eq!(back, set);
        assert_eq!(back.edges(0).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
        assert_eq!((back.nodes(1), back.row(1), back.graph(1).edge_count()), (300, 2, 1));
        assert_eq!((back.node_labels(0), back.label(0)), (Some(&[0, 1, 2][..]), Some(-1)));
    }

    #[test]
    fn what_is_well_formed_but_no_graph_is_refused() {
        type Change = fn(&mut GraphColumns);
        let changes: [(Change, &str); 8] = [
            (|columns| columns.edge_v[0] = 0, "impossible or out of order"),
            (|columns| columns.edge_v[1] = 3, "impossible or out of order"),
            (|columns| columns.edge_u.swap(0, 1), "impossible or out of order"),
            (|columns| columns.edge_ptr[1] = 9, "edge_ptr"),
            (|columns| columns.node_label = Some(vec![1]), "differ in length"),
            (|columns| columns.graph_label = Some(vec![]), "differ in length"),
            (|columns| columns.node_ptr[2] = 70_000, "has 69997 nodes"),
            (
                |columns| {
                    // Half a million graphs that claim the most nodes each, in a file of a few MiB.
                    let graphs = 500_000;
                    columns.row = (0..graphs).collect();
                    columns.edge_ptr = vec![0; graphs as usize + 1];
                    columns.node_ptr = (0..=graphs).map(|graph| graph.saturating_mul(65_535)).collect();
                    (columns.edge_u, columns.edge_v) = (Vec::new(), Vec::new());
                },
                "nodes",
            ),
        ];
        for (change, reason) in changes {
            let mut set = small();
            set.columns.node_label = None;
            set.columns.graph_label = None;
            change(&mut set.columns);
            set.metadata.sources[0].rows = 1_000_000;
            set.metadata.sources[0].records = set.columns.len() as u64;
            let set = PreparedGraphs::new(set.metadata, set.columns, set.memberships);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("small.eds");
            set.write(&path).unwrap();
            let error = PreparedGraphs::open(&path).unwrap_err().to_string();
            assert!(error.contains("no intact prepared data set") && error.contains(reason), "{error}");
        }
    }
}
