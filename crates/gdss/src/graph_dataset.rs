//! Training graphs in little memory: a class per node and valued edges.
//!
//! Molecules (class = element, value = bond order, or whatever level [`crate::BondsConfig`] says) and plain graphs (class =
//! degree, value 1) have the same form: node features are the one-hot class, the adjacency holds the values. Batches are
//! written out dense on demand; the set itself takes about 5 bytes per edge and 1 per node.

use std::collections::BTreeMap;

use equidrift_sampler::path::DataMoments;

/// A graph that does not fit into the set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphDatasetError {
    /// More nodes than an edge can name.
    #[error("row {row}: a graph of {nodes} nodes; at most {maximum} are possible")]
    TooManyNodes {
        /// Row of the data file.
        row: u64,
        /// Nodes of the graph.
        nodes: usize,
        /// The limit.
        maximum: usize,
    },
    /// A node class beyond the number of features.
    #[error("row {row}: node {node} has class {class}, the set has {features} classes")]
    Class {
        /// Row of the data file.
        row: u64,
        /// The node.
        node: usize,
        /// Its class.
        class: u8,
        /// Number of classes.
        features: usize,
    },
    /// An edge that joins a node to itself or names a node that is not there.
    #[error("row {row}: edge {first}-{second} is impossible in a graph of {nodes} nodes")]
    Edge {
        /// Row of the data file.
        row: u64,
        /// One end.
        first: usize,
        /// The other end.
        second: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    first: u16,
    second: u16,
    value: u8,
}

/// What a graph of a set is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphSummary {
    /// Row of the data file.
    pub row: u64,
    /// Nodes, with and without an edge.
    pub nodes: usize,
}

/// A set of graphs with one-hot node classes.
#[derive(Debug, Clone, Default)]
pub struct GraphDataset {
    features: usize,
    nodes: usize,
    rows: Vec<u64>,
    /// End of each graph's part of `classes` and `edges`.
    ends: Vec<(usize, usize)>,
    classes: Vec<u8>,
    edges: Vec<Edge>,
}

impl GraphDataset {
    /// An empty set of graphs with `features` node classes.
    pub fn new(features: usize) -> Self {
        Self { features, ..Self::default() }
    }

    /// Adds the graph of row `row` of the data: a class per node and edges `(one end, other end, value)`.
    ///
    /// # Errors
    /// [`GraphDatasetError`]; the set is then unchanged.
    pub fn push(
        &mut self,
        row: u64,
        classes: &[u8],
        edges: &[(usize, usize, u8)],
    ) -> Result<(), GraphDatasetError> {
        let nodes = classes.len();
        let maximum = usize::from(u16::MAX);
        if nodes > maximum {
            return Err(GraphDatasetError::TooManyNodes { row, nodes, maximum });
        }
        if let Some(node) = classes.iter().position(|&class| usize::from(class) >= self.features) {
            let (class, features) = (classes[node], self.features);
            return Err(GraphDatasetError::Class { row, node, class, features });
        }
        if let Some(&(first, second, _)) = edges.iter().find(|(a, b, _)| a == b || *a.max(b) >= nodes) {
            return Err(GraphDatasetError::Edge { row, first, second, nodes });
        }
        self.nodes = self.nodes.max(nodes);
        self.rows.push(row);
        self.classes.extend(classes);
        // Both ends are below 2^16, checked above.
        self.edges.extend(edges.iter().map(|&(first, second, value)| Edge {
            first: first as u16,
            second: second as u16,
            value,
        }));
        self.ends.push((self.classes.len(), self.edges.len()));
        Ok(())
    }

    /// Removes the graphs for which `taken` answers true; they become a set of their own. Both keep the order.
    #[must_use]
    pub fn split_off(&mut self, mut taken: impl FnMut(GraphSummary) -> bool) -> Self {
        let [mut kept, mut split] = [Self::new(self.features), Self::new(self.features)];
        for index in 0..self.len() {
            let summary = GraphSummary { row: self.row(index), nodes: self.classes(index).len() };
            let to = if taken(summary) { &mut split } else { &mut kept };
            to.nodes = to.nodes.max(summary.nodes);
            to.rows.push(summary.row);
            to.classes.extend(self.classes(index));
            to.edges.extend(self.edges(index));
            to.ends.push((to.classes.len(), to.edges.len()));
        }
        *self = kept;
        split
    }

    /// Keeps the graphs for which `kept` answers true.
    pub fn retain(&mut self, mut kept: impl FnMut(GraphSummary) -> bool) {
        let _ = self.split_off(|graph| !kept(graph));
    }

    /// Number of graphs.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no graph.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// `F`, number of node classes.
    pub fn features(&self) -> usize {
        self.features
    }

    /// `N`, nodes of the largest graph.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Nodes of graph `index`.
    pub fn size(&self, index: usize) -> usize {
        self.ends[index].0 - self.start(index).0
    }

    /// Row of the data file that graph `index` came from.
    pub fn row(&self, index: usize) -> u64 {
        self.rows[index]
    }

    /// Classes of the nodes of graph `index`, and its edges (one end, other end, value).
    pub fn graph(&self, index: usize) -> (&[u8], impl Iterator<Item = (usize, usize, u8)> + '_) {
        let edges = self.edges(index).iter();
        let edges = edges.map(|edge| (usize::from(edge.first), usize::from(edge.second), edge.value));
        (self.classes(index), edges)
    }

    /// How many graphs have how many nodes with an edge. Nodes without an edge do not take part in the diffusion (their
    /// mask is 0), so graphs without any edge are not counted.
    pub fn node_counts(&self) -> BTreeMap<usize, u64> {
        let mut counts = BTreeMap::new();
        let mut bonded = vec![false; self.nodes];
        for index in 0..self.len() {
            bonded.fill(false);
            for edge in self.edges(index) {
                bonded[usize::from(edge.first)] = true;
                bonded[usize::from(edge.second)] = true;
            }
            let nodes = bonded.iter().filter(|&&b| b).count();
            if nodes > 0 {
                *counts.entry(nodes).or_insert(0) += 1;
            }
        }
        counts
    }

    /// Mean and variance of the edge values, absent edges as 0, over the pairs of nodes that take part in the diffusion (see
    /// [`GraphDataset::node_counts`]).
    pub fn edge_moments(&self) -> DataMoments {
        let pairs: f64 =
            self.node_counts().iter().map(|(&n, &graphs)| graphs as f64 * (n * (n - 1) / 2) as f64).sum();
        let sum = |power: i32| self.edges.iter().map(|edge| f64::from(edge.value).powi(power)).sum();
        DataMoments::of_sums(pairs, sum(1), sum(2))
    }

    /// The graphs with these indices, dense and padded to `N`.
    pub fn dense(&self, indices: &[usize]) -> CleanGraphs {
        let (n, f) = (self.nodes, self.features);
        let mut x = vec![0.0; indices.len() * n * f];
        let mut adj = vec![0.0; indices.len() * n * n];
        for (slot, &index) in indices.iter().enumerate() {
            for (node, &class) in self.classes(index).iter().enumerate() {
                x[(slot * n + node) * f + usize::from(class)] = 1.0;
            }
            let matrix = &mut adj[slot * n * n..][..n * n];
            for edge in self.edges(index) {
                let (a, b) = (usize::from(edge.first), usize::from(edge.second));
                matrix[a * n + b] = f64::from(edge.value);
                matrix[b * n + a] = f64::from(edge.value);
            }
        }
        CleanGraphs::new(indices.len(), n, f, x, adj)
    }

    fn start(&self, index: usize) -> (usize, usize) {
        index.checked_sub(1).map_or((0, 0), |before| self.ends[before])
    }

    fn classes(&self, index: usize) -> &[u8] {
        &self.classes[self.start(index).0..self.ends[index].0]
    }

    fn edges(&self, index: usize) -> &[Edge] {
        &self.edges[self.start(index).1..self.ends[index].1]
    }
}

/// A padded batch of unperturbed graphs.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanGraphs {
    /// `B`, number of graphs.
    pub batch: usize,
    /// `N`, nodes per graph including padding.
    pub nodes: usize,
    /// `F`, features per node.
    pub features: usize,
    /// Node features `[B, N, F]`.
    pub x: Vec<f64>,
    /// Adjacency `[B, N, N]`, symmetric with zero diagonal.
    pub adj: Vec<f64>,
    /// `[B, N]`: whether the node has an edge. Nodes without one count as padding.
    pub mask: Vec<bool>,
}

impl CleanGraphs {
    /// A batch whose mask is taken from the adjacency: 1 where a row's absolute sum exceeds 1e-5, as the released
    /// programme does it.
    ///
    /// # Panics
    /// If `x` or `adj` do not hold `B N F` and `B N N` values.
    pub fn new(batch: usize, nodes: usize, features: usize, x: Vec<f64>, adj: Vec<f64>) -> Self {
        assert_eq!(x.len(), batch * nodes * features, "x is not [B, N, F]");
        assert_eq!(adj.len(), batch * nodes * nodes, "adj is not [B, N, N]");
        let mask = if nodes == 0 {
            Vec::new()
        } else {
            adj.chunks(nodes).map(|row| row.iter().map(|a| a.abs()).sum::<f64>() > 1e-5).collect()
        };
        Self { batch, nodes, features, x, adj, mask }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ethanol_and_methane() -> GraphDataset {
        let mut set = GraphDataset::new(3);
        set.push(7, &[0, 0, 2], &[(0, 1, 1), (1, 2, 1)]).unwrap();
        set.push(9, &[0], &[]).unwrap();
        set.push(11, &[1, 0], &[(0, 1, 3)]).unwrap();
        set
    }

    #[test]
    fn graphs_come_back_dense_and_padded() {
        let set = ethanol_and_methane();
        assert_eq!((set.len(), set.nodes(), set.features(), set.row(2)), (3, 3, 3, 11));
        let batch = set.dense(&[2, 0]);
        assert_eq!(batch.x[..9], [0., 1., 0., 1., 0., 0., 0., 0., 0.]);
        assert_eq!(batch.adj[..9], [0., 3., 0., 3., 0., 0., 0., 0., 0.]);
        assert_eq!(batch.x[9..], [1., 0., 0., 1., 0., 0., 0., 0., 1.]);
        assert_eq!(batch.adj[9..], [0., 1., 0., 1., 0., 1., 0., 1., 0.]);
        assert_eq!(batch.mask, [true, true, false, true, true, true]);
    }

    #[test]
    fn atoms_without_bonds_are_masked_and_not_counted() {
        let set = ethanol_and_methane();
        assert!(set.dense(&[1]).mask.iter().all(|&real| !real));
        assert_eq!(set.node_counts(), BTreeMap::from([(2, 1), (3, 1)]));
        // Four pairs of such atoms: bonds 1, 1 and 3, and none.
        assert_eq!(set.edge_moments(), DataMoments { mean: 1.25, variance: 1.1875 });
    }

    #[test]
    fn a_set_can_be_split() {
        let mut set = ethanol_and_methane();
        let whole = set.dense(&[0, 2]);
        let split = set.split_off(|graph| graph.nodes == 3 || graph.row == 9);
        assert_eq!((split.row(0), split.row(1), split.nodes()), (7, 9, 3));
        assert_eq!((set.len(), set.row(0), set.nodes()), (1, 11, 2));
        assert_eq!(split.dense(&[0]).adj, whole.adj[..9]);
        assert_eq!(set.dense(&[0]).adj, [0., 3., 3., 0.]);
        assert_eq!(set.edge_moments(), DataMoments { mean: 3.0, variance: 0.0 });
        set.retain(|graph| graph.nodes > 5);
        assert!(set.is_empty());
    }

    #[test]
    fn impossible_graphs_are_refused() {
        let mut set = GraphDataset::new(2);
        assert!(matches!(set.push(0, &[2], &[]), Err(GraphDatasetError::Class { class: 2, .. })));
        assert!(matches!(set.push(0, &[0, 1], &[(0, 2, 1)]), Err(GraphDatasetError::Edge { second: 2, .. })));
        assert!(matches!(set.push(0, &[0, 1], &[(1, 1, 1)]), Err(GraphDatasetError::Edge { .. })));
        assert!(set.is_empty());
    }
}
