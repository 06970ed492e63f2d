//! Equivariant graph convolution over the positions of one frame (Satorras, Hoogeboom, Welling, "E(n) equivariant graph
//! neural networks", ICML 2021, equations 3 to 6), in the form of GeoTDM (Han et al., NeurIPS 2024).
//!
//! ```text
//! m_ij = SiLU(W_2 SiLU(W_r h_i + W_s h_j + w_d s + W_e e_ij + b) + b_2)     s = |r|^2 or |r|, r = x_i - x_j
//! h_i <- MLP([h_i, sum_j m_ij])
//! x_i <- x_i + mean_j c_ij r                                              c_ij = MLP(m_ij)
//! ```
//!
//! The first map is split by its inputs, so that the products with `h` are made once for each node instead of once for each
//! edge.

use burn::tensor::Tensor;

use crate::activation::silu;
use crate::edge_list::EdgeList;
use crate::leaf::LayerError;
use crate::mlp::Linear;
use crate::parameter_tracker::ParameterTracker;
use crate::silu_mlp::SiluMlp;

/// How the lengths of edges enter a convolution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EdgeLength {
    /// Messages see `|r|^2`; `c` is divided by `sqrt(|r|^2 + 1e-8) + 1`.
    #[default]
    Squared,
    /// Messages see `|r|`; `c` is taken as it is.
    Plain,
}

/// Keeps the slope of the root finite at length 0.
const ROOT_OFFSET: f64 = 1e-8;

/// One layer.
#[derive(Debug, Clone)]
pub struct EquivariantConvolution {
    edge_first: Linear,
    edge_second: Linear,
    coordinate: SiluMlp,
    node_first: Linear,
    node_second: Linear,
    hidden: usize,
    edge_features: usize,
    length: EdgeLength,
    /// Of vectors, 1 or 2.
    channels: usize,
}

impl EquivariantConvolution {
    /// Reads `{name}.edge_mlp`, `{name}.node_mlp` and `{name}.coord_mlp`, each with its linear maps `actions.0` and
    /// `actions.2`; `hidden` is the width of nodes and messages.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        hidden: usize,
        edge_features: usize,
        length: EdgeLength,
    ) -> Result<Self, LayerError> {
        Self::read_channels(from, name, hidden, edge_features, length, 1)
    }

    /// The same with `channels` (1 or 2) vectors for each node, of which the positions are the first: `coord_mlp` has as many
    /// outputs.
    ///
    /// # Errors
    /// As [`EquivariantConvolution::read`].
    pub fn read_channels(
        from: &ParameterTracker<'_>,
        name: &str,
        hidden: usize,
        edge_features: usize,
        length: EdgeLength,
        channels: usize,
    ) -> Result<Self, LayerError> {
        let linear = |part: &str, inputs, outputs| from.linear(&format!("{name}.{part}"), inputs, outputs);
        let coordinate = ["0", "2"].map(|map| format!("{name}.coord_mlp.actions.{map}"));
        Ok(Self {
            edge_first: linear("edge_mlp.actions.0", 2 * hidden + 1 + edge_features, hidden)?,
            edge_second: linear("edge_mlp.actions.2", hidden, hidden)?,
            coordinate: SiluMlp::read_named(
                from,
                [&coordinate[0], &coordinate[1]],
                [hidden, hidden, channels],
            )?,
            node_first: linear("node_mlp.actions.0", 2 * hidden, hidden)?,
            node_second: linear("node_mlp.actions.2", hidden, hidden)?,
            hidden,
            edge_features,
            length,
            channels,
        })
    }

    /// Features `h` `[G, N T, hidden]` and positions `x` `[G, N T, D]` after the layer. `edge_features` `[G, M, E]` are the
    /// same in all frames; they may be left out if E = 0.
    ///
    /// Cost of a frame: 2 H² (M + 4 N) multiplications for messages and nodes, and 2 H² M for the coordinates.
    pub fn forward(
        &self,
        h: Tensor<3>,
        x: Tensor<3>,
        edges: &EdgeList,
        edge_features: Option<&Tensor<3>>,
    ) -> (Tensor<3>, Tensor<3>) {
        let (h, step) = self.step(h, x.clone(), None, edges, edge_features);
        (h, x + step)
    }

    /// Features after the layer, and the step of the positions, `[G, N T, D]`. With a second channel `u` `[G, N T, D]` it has
    /// the differences of that, too, each times its second number and not divided by a length.
    pub fn step(
        &self,
        h: Tensor<3>,
        x: Tensor<3>,
        u: Option<Tensor<3>>,
        edges: &EdgeList,
        edge_features: Option<&Tensor<3>>,
    ) -> (Tensor<3>, Tensor<3>) {
        let width = self.hidden;
        let node = self.node_first.weight();
        let of_node = h.clone().matmul(columns(&node, 0, width)) + self.node_first.bias().unsqueeze::<3>();
        if edges.edges() == 0 {
            return (self.node_second.over_features(silu(of_node), None), x.zeros_like());
        }
        let r = edges.at_receivers(x.clone()) - edges.at_senders(x);
        let square = r.clone().square().sum_dim(2);
        let length = match self.length {
            EdgeLength::Squared => square.clone(),
            EdgeLength::Plain => root(square.clone()),
        };
        let messages = self.messages(h, length, edges, edge_features);
        let numbers = self.coordinate.over_features(messages.clone());
        let c = if self.channels == 1 { numbers.clone() } else { numbers.clone().narrow(2, 0, 1) };
        let c = match self.length {
            EdgeLength::Squared => c / square.add_scalar(ROOT_OFFSET).sqrt().add_scalar(1.0),
            EdgeLength::Plain => c,
        };
        let way = match u.filter(|_| self.channels == 2) {
            None => r * c,
            Some(u) => {
                let difference = edges.at_receivers(u.clone()) - edges.at_senders(u);
                r * c + difference * numbers.narrow(2, 1, 1)
            }
        };
        let step = edges.mean_at_receivers(way);
        let received = edges.sum_at_receivers(messages).matmul(columns(&node, width, width));
        (self.node_second.over_features(silu(of_node + received), None), step)
    }

    /// `[G, M T, hidden]`.
    fn messages(
        &self,
        h: Tensor<3>,
        length: Tensor<3>,
        edges: &EdgeList,
        edge_features: Option<&Tensor<3>>,
    ) -> Tensor<3> {
        let weight = self.edge_first.weight();
        let width = self.hidden;
        let received = h.clone().matmul(columns(&weight, 0, width)) + self.edge_first.bias().unsqueeze::<3>();
        let sent = h.matmul(columns(&weight, width, width));
        let [g, rows, _] = length.dims();
        let frames = rows / edges.edges();
        let of_edge = match edge_features {
            Some(features) if self.edge_features > 0 => {
                let features = features
                    .clone()
                    .reshape([g, edges.edges(), 1, self.edge_features])
                    .expand([g, edges.edges(), frames, self.edge_features])
                    .reshape([g, rows, self.edge_features]);
                Tensor::cat(vec![length, features], 2)
            }
            _ => length,
        };
        let inputs = of_edge.dims()[2];
        let of_edge = of_edge.matmul(columns(&weight, 2 * width, inputs));
        let first = silu(edges.at_receivers(received) + edges.at_senders(sent) + of_edge);
        silu(self.edge_second.over_features(first, None))
    }
}

/// `count` columns of a weight `[out, in]`, as `[1, count, out]`.
fn columns(weight: &Tensor<2>, first: usize, count: usize) -> Tensor<3> {
    weight.clone().narrow(1, first, count).transpose().unsqueeze()
}

/// The square root with slope 0 at 0, where the length of a vector has no slope.
fn root(square: Tensor<3>) -> Tensor<3> {
    let zero = square.clone().equal_elem(0.0);
    square.mask_fill(zero.clone(), 1.0).sqrt().mask_fill(zero, 0.0)
}
