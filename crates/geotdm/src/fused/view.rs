//! One system as the kernels see it, and the buffers they work in.

use equidrift_nn::sinusoid_of_both_ends;

use crate::system::SystemGraph;
use equidrift_backend::kernels::matrix::padded;

/// Longest period of the sines of a difference.
const PERIOD: f64 = 10_000.0;

/// One system.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemView<'a> {
    pub(super) nodes: usize,
    /// All frames, given ones first.
    pub(super) frames: usize,
    pub(super) dimensions: usize,
    /// Receiver and sender.
    pub(super) edges: &'a [[usize; 2]],
    /// `[M, E]`.
    pub(super) edge_features: &'a [f32],
    /// 1 / number of edges of each receiver, 0 where there is none.
    pub(super) inverse_degree: &'a [f32],
}

impl SystemView<'_> {
    /// Features of an edge.
    pub(super) fn edge_width(&self) -> usize {
        self.edge_features.len().checked_div(self.edges.len()).unwrap_or(0)
    }
}

/// How positions follow what the layers make of them, where the prior is a linear forecast.
#[derive(Debug)]
pub(super) struct Motion<'a> {
    pub(super) pace: Pace<'a>,
    /// Deviations from the forecast in its own measure, `[N n, D]`; 0 in given frames.
    pub(super) deviations: &'a mut Vec<f32>,
    /// Sum of the steps, `[N n, D]`.
    pub(super) way: &'a mut [f32],
}

/// How far a step leads, `[N n]` each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace<'a> {
    /// Of positions.
    pub(super) positions: &'a [f32],
    /// Of deviations.
    pub(super) deviations: &'a [f32],
}

/// The same on the way back.
#[derive(Debug)]
pub(super) struct MotionBack<'a> {
    pub(super) pace: Pace<'a>,
    /// Gradient of the way, `[N n, D]`.
    pub(super) dway: &'a [f32],
    /// Gradient of the deviations, `[N n, D]`.
    pub(super) ddeviations: Vec<f32>,
}

/// Position `at` goes on by `step`.
#[inline(always)]
pub(super) fn move_on(
    x: &mut [f32],
    at: usize,
    step: f32,
    dimensions: usize,
    motion: &mut Option<Motion<'_>>,
) {
    match motion {
        None => x[at] += step,
        Some(motion) => {
            motion.way[at] += step;
            x[at] += motion.pace.positions[at / dimensions] * step;
            motion.deviations[at] += motion.pace.deviations[at / dimensions] * step;
        }
    }
}

/// The gradient of the step that position `at` made.
#[inline(always)]
pub(super) fn of_step(dx: &[f32], at: usize, dimensions: usize, motion: &Option<MotionBack<'_>>) -> f32 {
    motion.as_ref().map_or(dx[at], |motion| {
        let row = at / dimensions;
        motion.pace.positions[row] * dx[at]
            + motion.pace.deviations[row] * motion.ddeviations[at]
            + motion.dway[at]
    })
}

/// What the kernels need of a graph in other types than it has.
#[derive(Debug, Clone)]
pub(super) struct GraphArrays {
    inverse_degree: Vec<f32>,
    edge_features: Vec<f32>,
}

impl GraphArrays {
    pub(super) fn new(graph: &SystemGraph) -> Self {
        let mut degree = vec![0_u32; graph.nodes()];
        graph.edges().iter().for_each(|[receiver, _]| degree[*receiver] += 1);
        let inverse = |degree: u32| if degree == 0 { 0.0 } else { 1.0 / degree as f32 };
        Self {
            inverse_degree: degree.into_iter().map(inverse).collect(),
            edge_features: graph.edge_features().iter().map(|&x| x as f32).collect(),
        }
    }

    /// The graph with so many frames.
    pub(super) fn view<'a>(
        &'a self,
        graph: &'a SystemGraph,
        frames: usize,
        dimensions: usize,
    ) -> SystemView<'a> {
        SystemView {
            nodes: graph.nodes(),
            frames,
            dimensions,
            edges: graph.edges(),
            edge_features: &self.edge_features,
            inverse_degree: &self.inverse_degree,
        }
    }

    /// Features of nodes in the first `frames` frames, with those of the time behind them, one for all frames or one for each: the
    /// number of rows (a row for each node, or for each node and frame), and the rows, padded.
    pub(super) fn node_rows(
        &self,
        graph: &SystemGraph,
        frames: usize,
        times: &[Vec<f64>],
        inputs: usize,
    ) -> (usize, Vec<f32>) {
        let (width, of_node) = (graph.node_width(), graph.feature_frames());
        let taken = frames.min(of_node.max(times.len()));
        let stride = padded(inputs);
        let mut rows = Vec::with_capacity(graph.nodes() * taken * stride);
        for node in graph.node_features().chunks_exact(of_node * width) {
            for frame in 0..taken {
                let features = &node[frame.min(of_node - 1) * width..][..width];
                let time = times.get(frame).or(times.last()).into_iter().flatten();
                rows.extend(features.iter().chain(time).map(|&x| x as f32));
                rows.resize(rows.len().next_multiple_of(stride), 0.0);
            }
        }
        (graph.nodes() * taken, rows)
    }
}

/// Rows of nodes repeated for each frame, unless they are there for each.
pub(super) fn in_all_frames(rows: Vec<f32>, nodes: usize, frames: usize, width: usize) -> Vec<f32> {
    if rows.len() == nodes * frames * width {
        return rows;
    }
    rows.chunks_exact(width).flat_map(|row| std::iter::repeat_n(row, frames).flatten().copied()).collect()
}

/// The sum over the frames of each node, `[N n, width]` to `[N, width]`.
pub(super) fn over_frames(rows: &[f32], frames: usize, width: usize) -> Vec<f32> {
    let node = |node: &[f32]| {
        let mut sum = vec![0.0; width];
        for row in node.chunks_exact(width) {
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        sum
    };
    rows.chunks_exact(frames * width).flat_map(node).collect()
}

/// Takes the mean over all points away.
pub(super) fn without_mean(points: &mut [f32], dimensions: usize) {
    let count = (points.len() / dimensions) as f64;
    for k in 0..dimensions {
        let sum: f64 = points.iter().skip(k).step_by(dimensions).map(|&x| f64::from(x)).sum();
        let mean = (sum / count) as f32;
        points.iter_mut().skip(k).step_by(dimensions).for_each(|x| *x -= mean);
    }
}

/// Sines and cosines of every difference of two of `n` frames, `[2 n - 1, padded features]`; row c is that of `n - 1 - c`.
#[derive(Debug, Clone)]
pub(super) struct Differences {
    pub(super) table: Vec<f32>,
    pub(super) width: usize,
}

impl Differences {
    pub(super) fn new(frames: usize, features: usize) -> Self {
        let width = padded(features);
        let last = frames as f64 - 1.0;
        let row = |row: usize| {
            let values = sinusoid_of_both_ends(last - row as f64, features, PERIOD);
            let padding = std::iter::repeat_n(0.0, width - features);
            values.into_iter().map(|value| value as f32).chain(padding)
        };
        Self { table: (0..2 * frames - 1).flat_map(row).collect(), width }
    }
}

/// Arrays that are used again from layer to layer.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// Array `which` with room for exactly `size` numbers, which hold anything.
    pub(super) fn take(&mut self, which: usize, size: usize) -> Vec<f32> {
        if self.0.len() <= which {
            self.0.resize_with(which + 1, Vec::new);
        }
        let mut buffer = std::mem::take(&mut self.0[which]);
        buffer.resize(size, 0.0);
        buffer
    }

    /// Gives an array back.
    pub(super) fn give(&mut self, which: usize, buffer: Vec<f32>) {
        self.0[which] = buffer;
    }
}
