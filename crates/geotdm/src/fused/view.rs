//! One system as the kernels see it, and the buffers they work in.

use equidrift_nn::sinusoid_of_both_ends;

use super::matrix::padded;

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
