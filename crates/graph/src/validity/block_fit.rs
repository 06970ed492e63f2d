//! Blocks of a graph by the smallest description length of a stochastic block model (Peixoto, "Parsimonious module
//! inference in large networks", Phys. Rev. Lett. 110, 148701, 2013; without degree correction).
//!
//! ```text
//! L = sum over pairs of blocks r <= s of [ln(N_rs + 1) + ln C(N_rs, e_rs)]      which edges there are, and how many
//!     + ln C(n - 1, B - 1) + ln n! - sum_r ln n_r! + ln n                       which nodes are where, and how many blocks
//! ```
//!
//! with `n_r` nodes and `e_rs` edges of `N_rs` possible ones. (The first line is the exact negative logarithm of the
//! likelihood with its edge probabilities integrated out.)
//!
//! The search is deterministic: for each number of blocks from 1 to [`MOST_STARTS`], spectral clustering gives a start
//! (leading eigenvectors of the normalised adjacency matrix, k-means from far-apart centres); single nodes are moved,
//! and blocks merged, as long as `L` falls. The best of these is split further (by the same clustering of the subgraph of a
//! block), with moves and merges after each split, as long as `L` falls.
//! It is a search, no proof: the minimum may be lower.

use nalgebra::{DMatrix, SymmetricEigen};

use crate::adjacency::Adjacency;

/// Largest number of blocks that is a start.
pub const MOST_STARTS: usize = 8;

/// Nodes, blocks and the edges among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocks {
    /// The block of each node.
    pub of_node: Vec<usize>,
    /// Nodes of each block; none is empty.
    pub sizes: Vec<usize>,
    /// Edges between blocks, `[B, B]`, symmetric; on the diagonal each edge once.
    edges: Vec<u64>,
}

impl Blocks {
    /// The blocks that nodes are assigned to; numbers are those of `of_node`, without gaps.
    #[must_use]
    pub fn new(graph: &Adjacency, of_node: Vec<usize>) -> Self {
        let mut sorted = of_node.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let of_node: Vec<usize> =
            of_node.iter().map(|block| sorted.partition_point(|other| other < block)).collect();
        let count = sorted.len();
        let mut blocks = Self { of_node, sizes: vec![0; count], edges: vec![0; count * count] };
        for node in 0..graph.nodes() {
            let block = blocks.of_node[node];
            blocks.sizes[block] += 1;
            for &other in graph.neighbours(node) {
                let other_block = blocks.of_node[other as usize];
                // Edges inside a block are met from both ends.
                if other_block != block || node < other as usize {
                    blocks.edges[block * count + other_block] += 1;
                }
            }
        }
        blocks
    }

    /// Edges between two blocks, or inside one.
    #[must_use]
    pub fn edges(&self, first: usize, second: usize) -> u64 {
        self.edges[first * self.sizes.len() + second]
    }
}

/// The blocks of the smallest description length that is found.
///
/// Cost: O(n^3) for the eigenvectors, O(n B^2) a sweep; 0.1 s for 200 nodes.
#[must_use]
pub fn fit(graph: &Adjacency) -> Blocks {
    let nodes: Vec<usize> = (0..graph.nodes()).collect();
    let search = Search::new(graph);
    let coordinates = leading_eigenvectors(graph, &nodes, MOST_STARTS);
    let starts =
        (1..=MOST_STARTS.min(nodes.len().max(1))).map(|count| k_means(&coordinates, nodes.len(), count));
    let settled = starts.map(|start| search.settle(start));
    let best = settled.min_by(|a, b| a.1.total_cmp(&b.1));
    Blocks::new(graph, best.map(|best| search.split_further(best)).unwrap_or_default())
}

/// The description length of a graph with its nodes in these blocks, in nats.
#[must_use]
pub fn description_length(graph: &Adjacency, of_node: &[usize]) -> f64 {
    Search::new(graph).length(&Blocks::new(graph, of_node.to_vec()))
}

struct Search<'a> {
    graph: &'a Adjacency,
    /// ln k!
    ln_factorials: Vec<f64>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Adjacency) -> Self {
        let largest = (graph.nodes() * graph.nodes()).max(1);
        let mut ln_factorials = Vec::with_capacity(largest + 1);
        ln_factorials.push(0.0);
        let mut sum = 0.0;
        ln_factorials.extend((1..=largest).map(|k| {
            sum += (k as f64).ln();
            sum
        }));
        Self { graph, ln_factorials }
    }

    fn ln_choose(&self, n: usize, k: usize) -> f64 {
        self.ln_factorials[n] - self.ln_factorials[k] - self.ln_factorials[n - k]
    }

    /// The edges between two blocks.
    fn edges_term(&self, blocks: &Blocks, first: usize, second: usize) -> f64 {
        let size = blocks.sizes[first];
        let possible =
            if first == second { size * size.saturating_sub(1) / 2 } else { size * blocks.sizes[second] };
        ((possible + 1) as f64).ln() + self.ln_choose(possible, blocks.edges(first, second) as usize)
    }

    /// All edges of one or two blocks.
    fn rows(&self, blocks: &Blocks, first: usize, second: usize) -> f64 {
        let count = blocks.sizes.len();
        let of_first: f64 = (0..count).map(|other| self.edges_term(blocks, first, other)).sum();
        let of_second =
            (0..count).filter(|other| *other != first).map(|other| self.edges_term(blocks, second, other));
        of_first + if first == second { 0.0 } else { of_second.sum() }
    }

    /// The partition of the nodes.
    fn partition_term(&self, blocks: &Blocks) -> f64 {
        let (nodes, count) = (self.graph.nodes(), blocks.sizes.len());
        let inside: f64 = blocks.sizes.iter().map(|size| self.ln_factorials[*size]).sum();
        let of_sizes =
            if nodes == 0 { 0.0 } else { self.ln_choose(nodes - 1, count - 1) + (nodes as f64).ln() };
        of_sizes + self.ln_factorials[nodes] - inside
    }

    fn length(&self, blocks: &Blocks) -> f64 {
        let count = blocks.sizes.len();
        let pairs = (0..count).flat_map(|first| (first..count).map(move |second| (first, second)));
        pairs.map(|(first, second)| self.edges_term(blocks, first, second)).sum::<f64>()
            + self.partition_term(blocks)
    }

    /// Splits, each followed by moves and merges, until nothing helps.
    fn split_further(&self, mut best: (Vec<usize>, f64)) -> Vec<usize> {
        // Each round lowers the length; the number is a guard only.
        for _ in 0..self.graph.nodes() {
            let count = best.0.iter().max().map_or(0, |last| last + 1);
            let split = (0..count).map(|block| self.settle(self.split(&best.0, block)));
            match split.min_by(|a, b| a.1.total_cmp(&b.1)) {
                Some(split) if split.1 < best.1 - 1e-9 => best = split,
                _ => break,
            }
        }
        best.0
    }

    /// Moves and merges until nothing helps.
    fn settle(&self, start: Vec<usize>) -> (Vec<usize>, f64) {
        let mut blocks = Blocks::new(self.graph, start);
        loop {
            blocks = self.move_nodes(blocks);
            let length = self.length(&blocks);
            let count = blocks.sizes.len();
            let pairs = (0..count).flat_map(|first| (0..first).map(move |second| (first, second)));
            let merged = pairs.map(|(first, second)| {
                let join = |block: &usize| if *block == first { second } else { *block };
                let merged = Blocks::new(self.graph, blocks.of_node.iter().map(join).collect());
                let length = self.length(&merged);
                (merged, length)
            });
            match merged.min_by(|a, b| a.1.total_cmp(&b.1)) {
                Some((merged, shorter)) if shorter < length - 1e-9 => blocks = merged,
                _ => return (blocks.of_node, length),
            }
        }
    }

    /// Sweeps over the nodes; each goes where the length is smallest.
    fn move_nodes(&self, mut blocks: Blocks) -> Blocks {
        for _ in 0..100 {
            let mut moved = false;
            for node in 0..self.graph.nodes() {
                moved |= self.move_node(&mut blocks, node);
            }
            // A block that lost its last node is no block.
            blocks = Blocks::new(self.graph, blocks.of_node);
            if !moved {
                break;
            }
        }
        blocks
    }

    fn move_node(&self, blocks: &mut Blocks, node: usize) -> bool {
        let from = blocks.of_node[node];
        let count = blocks.sizes.len();
        if blocks.sizes[from] == 1 {
            return false; // merging does that
        }
        let mut edges_to = vec![0_u64; count];
        for &other in self.graph.neighbours(node) {
            edges_to[blocks.of_node[other as usize]] += 1;
        }
        let (mut best, mut gain) = (from, -1e-9);
        for to in (0..count).filter(|to| *to != from) {
            let before = self.rows(blocks, from, to);
            // ln n_from! n_to! grows by the logarithm of what it is multiplied with.
            let order = ((blocks.sizes[to] + 1) as f64 / blocks.sizes[from] as f64).ln();
            shift(blocks, node, from, to, &edges_to);
            let change = self.rows(blocks, from, to) - before - order;
            shift(blocks, node, to, from, &edges_to);
            if change < gain {
                (best, gain) = (to, change);
            }
        }
        if best != from {
            shift(blocks, node, from, best, &edges_to);
        }
        best != from
    }

    /// A block cut in two by spectral clustering of its subgraph.
    fn split(&self, of_node: &[usize], block: usize) -> Vec<usize> {
        let nodes: Vec<usize> = (0..of_node.len()).filter(|node| of_node[*node] == block).collect();
        let coordinates = leading_eigenvectors(self.graph, &nodes, 2);
        let halves = k_means(&coordinates, nodes.len(), 2.min(nodes.len()));
        let mut split = of_node.to_vec();
        let new = of_node.iter().max().map_or(0, |last| last + 1);
        for (node, half) in nodes.iter().zip(halves) {
            if half == 1 {
                split[*node] = new;
            }
        }
        split
    }
}

/// Moves a node with `edges_to` each block (none to itself) from one block to another.
fn shift(blocks: &mut Blocks, node: usize, from: usize, to: usize, edges_to: &[u64]) {
    let count = blocks.sizes.len();
    blocks.of_node[node] = to;
    blocks.sizes[from] -= 1;
    blocks.sizes[to] += 1;
    for (block, edges) in edges_to.iter().enumerate() {
        blocks.edges[from * count + block] -= edges;
        if block != from {
            blocks.edges[block * count + from] -= edges;
        }
        blocks.edges[to * count + block] += edges;
        if block != to {
            blocks.edges[block * count + to] += edges;
        }
    }
}

/// Rows of the eigenvectors of the largest eigenvalues of `D^-1/2 A D^-1/2` on these nodes, `[nodes, count]`, row-major;
/// zeros where there are fewer nodes than eigenvectors asked for.
fn leading_eigenvectors(graph: &Adjacency, nodes: &[usize], count: usize) -> Vec<f64> {
    let size = nodes.len();
    if size == 0 {
        return Vec::new();
    }
    let mut matrix = DMatrix::<f64>::zeros(size, size);
    for (row, node) in nodes.iter().enumerate() {
        for column in
            graph.neighbours(*node).iter().filter_map(|other| nodes.binary_search(&(*other as usize)).ok())
        {
            matrix[(row, column)] = 1.0;
        }
    }
    let scale: Vec<f64> = matrix.row_iter().map(|row| 1.0 / row.sum().max(1.0).sqrt()).collect();
    for row in 0..size {
        for column in 0..size {
            matrix[(row, column)] *= scale[row] * scale[column];
        }
    }
    let eigen = SymmetricEigen::new(matrix);
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let entry = |index: usize| {
        let (row, vector) = (index / count, index % count);
        order.get(vector).map_or(0.0, |column| eigen.eigenvectors[(row, *column)])
    };
    (0..size * count).map(entry).collect()
}

/// Clusters of rows by their first `count` coordinates, scaled to unit length; centres start far apart.
fn k_means(rows: &[f64], size: usize, count: usize) -> Vec<usize> {
    if size == 0 {
        return Vec::new();
    }
    let width = rows.len() / size;
    let points: Vec<Vec<f64>> = rows
        .chunks(width)
        .map(|row| {
            let row = &row[..count.min(width)];
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
            row.iter().map(|x| x / norm).collect()
        })
        .collect();
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    let nearest = |point: &[f64], centres: &[Vec<f64>]| {
        let distances = centres.iter().map(|centre| distance(point, centre)).enumerate();
        distances.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
    };
    let mut centres = vec![points[0].clone()];
    while centres.len() < count {
        let far = points.iter().max_by(|a, b| nearest(a, &centres).1.total_cmp(&nearest(b, &centres).1));
        centres.extend(far.cloned());
    }
    let mut clusters = vec![0; size];
    for _ in 0..50 {
        let assigned: Vec<usize> = points.iter().map(|point| nearest(point, &centres).0).collect();
        let settled = assigned == clusters;
        clusters = assigned;
        if settled {
            break;
        }
        for (cluster, centre) in centres.iter_mut().enumerate() {
            let members: Vec<&Vec<f64>> = points
                .iter()
                .zip(&clusters)
                .filter(|(_, of)| **of == cluster)
                .map(|(point, _)| point)
                .collect();
            if !members.is_empty() {
                for (axis, value) in centre.iter_mut().enumerate() {
                    *value = members.iter().map(|member| member[axis]).sum::<f64>() / members.len() as f64;
                }
            }
        }
    }
    clusters
}
