//! Random perturbed graphs for the tests of engines, in double and in single precision.

use equidrift_gdss::{GraphBatch, ScoreMatchingBatch};

/// A small deterministic generator (SplitMix64), uniform on [-1, 1).
pub(crate) struct Uniform(pub(crate) u64);

impl Uniform {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// Perturbed graphs with random masks, and noise.
pub(crate) struct Graphs {
    batch: usize,
    nodes: usize,
    features: usize,
    x: Vec<f64>,
    adj: Vec<f64>,
    mask: Vec<f64>,
    scale_x: Vec<f64>,
    z_x: Vec<f64>,
    scale_adj: Vec<f64>,
    z_adj: Vec<f64>,
    times: Vec<f64>,
}

impl Graphs {
    /// `size` bounds the entries of the adjacency.
    pub(crate) fn random(batch: usize, nodes: usize, features: usize, size: f64, seed: u64) -> Self {
        let mut u = Uniform(seed);
        // The first graph has all nodes; real nodes of the others come in any order.
        let mask: Vec<f64> =
            (0..batch * nodes).map(|i| f64::from(u8::from(i < nodes || u.next() < 0.4))).collect();
        let mut x =
            || -> Vec<f64> { (0..batch * nodes * features).map(|i| u.next() * mask[i / features]).collect() };
        let (x, z_x) = (x(), x());
        let mut symmetric = |size: f64| {
            let mut a = vec![0.0; batch * nodes * nodes];
            for b in 0..batch {
                for i in 0..nodes {
                    for j in i + 1..nodes {
                        let value = (u.next() * size * mask[b * nodes + i] * mask[b * nodes + j]) as f32;
                        a[(b * nodes + i) * nodes + j] = f64::from(value);
                        a[(b * nodes + j) * nodes + i] = f64::from(value);
                    }
                }
            }
            a
        };
        let (adj, z_adj) = (symmetric(size), symmetric(1.5));
        let mut scale = || (0..batch).map(|_| 0.6 + 0.4 * u.next()).collect::<Vec<_>>();
        let (scale_x, scale_adj) = (scale(), scale());
        let times = (0..batch).map(|_| 0.5 + 0.5 * u.next()).collect();
        Self { batch, nodes, features, x, adj, mask, scale_x, z_x, scale_adj, z_adj, times }
    }

    /// Graphs whose first nodes are real, as many as `sizes` say.
    pub(crate) fn of_sizes(sizes: &[usize], features: usize) -> Self {
        let nodes = sizes.iter().copied().max().unwrap_or(0);
        let mut graphs = Self::random(sizes.len(), nodes, features, 0.8, 17);
        let mut u = Uniform(23);
        for (b, &size) in sizes.iter().enumerate() {
            for i in 0..nodes {
                graphs.mask[b * nodes + i] = f64::from(u8::from(i < size));
                for j in 0..nodes {
                    let (above, below) = ((b * nodes + i) * nodes + j, (b * nodes + j) * nodes + i);
                    let edge = if i < j && j < size { f64::from(u.next() as f32) } else { 0.0 };
                    if i < j {
                        (graphs.adj[above], graphs.adj[below]) = (edge, edge);
                        let noise = if j < size { u.next() } else { 0.0 };
                        (graphs.z_adj[above], graphs.z_adj[below]) = (noise, noise);
                    }
                }
                for f in (b * nodes + i) * features..(b * nodes + i + 1) * features {
                    let real = graphs.mask[b * nodes + i];
                    (graphs.x[f], graphs.z_x[f]) = (real * u.next(), real * u.next());
                }
            }
        }
        graphs
    }

    /// The same numbers in single precision.
    pub(crate) fn single(&self) -> Single {
        let to = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        Single {
            shape: (self.batch, self.nodes, self.features),
            arrays: [&self.x, &self.adj, &self.mask, &self.scale_x, &self.z_x, &self.scale_adj, &self.z_adj]
                .map(|a| to(a)),
            times: self.times.clone(),
        }
    }

    pub(crate) fn view(&self) -> ScoreMatchingBatch<'_, f64> {
        let (batch, nodes, features) = (self.batch, self.nodes, self.features);
        ScoreMatchingBatch {
            graphs: GraphBatch {
                batch,
                nodes,
                features,
                x: &self.x,
                adj: &self.adj,
                mask: &self.mask,
                times: &self.times,
            },
            scale_x: &self.scale_x,
            z_x: &self.z_x,
            scale_adj: &self.scale_adj,
            z_adj: &self.z_adj,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Single {
    pub(crate) shape: (usize, usize, usize),
    pub(crate) arrays: [Vec<f32>; 7],
    pub(crate) times: Vec<f64>,
}

impl Single {
    pub(crate) fn view(&self) -> ScoreMatchingBatch<'_> {
        let (batch, nodes, features) = self.shape;
        let [x, adj, mask, scale_x, z_x, scale_adj, z_adj] = &self.arrays;
        ScoreMatchingBatch {
            graphs: GraphBatch { batch, nodes, features, x, adj, mask, times: &self.times },
            scale_x,
            z_x,
            scale_adj,
            z_adj,
        }
    }

    /// The graphs of these indices, in this order.
    pub(crate) fn select(&self, order: &[usize]) -> Self {
        let (batch, nodes, features) = self.shape;
        let arrays = self.arrays.each_ref().map(|array| {
            let width = array.len() / batch;
            order.iter().flat_map(|&g| &array[g * width..(g + 1) * width]).copied().collect()
        });
        let times = order.iter().map(|&g| self.times[g]).collect();
        Self { shape: (order.len(), nodes, features), arrays, times }
    }

    /// Node features, adjacency and mask with absent nodes behind the others, up to `nodes`; the rest is left out.
    pub(crate) fn padded(&self, nodes: usize) -> [Vec<f32>; 3] {
        let (batch, present, features) = self.shape;
        let [x, adj, mask, ..] = &self.arrays;
        let spread = |values: &[f32], (rows, width): (usize, usize), (all_rows, all): (usize, usize)| {
            let mut out = vec![0.0; batch * all_rows * all];
            for (k, row) in values.chunks_exact(width).enumerate() {
                let (b, i) = (k / rows, k % rows);
                out[(b * all_rows + i) * all..][..width].copy_from_slice(row);
            }
            out
        };
        [
            spread(x, (present, features), (nodes, features)),
            spread(adj, (present, present), (nodes, nodes)),
            spread(mask, (1, present), (1, nodes)),
        ]
    }
}
