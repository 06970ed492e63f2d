//! Which nodes and edges of a padded batch are real.

use burn::tensor::Tensor;

/// Node and edge masks of a batch, computed once and used by every layer.
#[derive(Debug, Clone)]
pub struct GraphMask {
    nodes: Tensor<3>,
    edges: Tensor<4>,
    links: Tensor<4>,
}

impl GraphMask {
    /// From node flags `[B, N]` of 0 and 1.
    pub fn new(flags: Tensor<2>) -> Self {
        let [b, n] = flags.dims();
        let nodes: Tensor<3> = flags.reshape([b, n, 1]);
        let edges = nodes.clone().matmul(nodes.clone().swap_dims(1, 2)).reshape([b, 1, n, n]);
        let links = edges.clone() * (identity(n, &edges).neg().add_scalar(1.0));
        Self { nodes, edges, links }
    }

    /// Zeroes the features `[B, N, F]` of padded nodes.
    pub fn nodes(&self, x: Tensor<3>) -> Tensor<3> {
        x * self.nodes.clone()
    }

    /// Zeroes every channel `[B, C, N, N]` where either end is padding. The diagonal of real nodes stays.
    pub fn edges(&self, edges: Tensor<4>) -> Tensor<4> {
        edges * self.edges.clone()
    }

    /// As [`Self::edges`], and zeroes the diagonal.
    pub fn links(&self, edges: Tensor<4>) -> Tensor<4> {
        edges * self.links.clone()
    }
}

/// The identity `[1, 1, N, N]` on the device and in the precision of `like`.
pub(crate) fn identity(n: usize, like: &Tensor<4>) -> Tensor<4> {
    let eye = (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0_f32 } else { 0.0 }).collect();
    let data = burn::tensor::TensorData::new(eye, [1, 1, n, n]).convert_dtype(like.dtype());
    Tensor::from_data(data, (&like.device(), like.dtype()))
}
