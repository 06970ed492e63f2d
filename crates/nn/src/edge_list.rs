//! Directed edges of sparse graphs: values of nodes at the ends of edges, and sums of edges at their receivers.

use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};

/// The edges of `G` systems of `N` nodes and `M` edges each. Every row may carry `T` frames: nodes are `[G, N T, C]`, edges
/// `[G, M T, C]`, the frames of one node or edge side by side.
#[derive(Debug, Clone)]
pub struct EdgeList {
    systems: usize,
    nodes: usize,
    edges: usize,
    /// Places among the `G N` nodes, `[G M]`.
    receivers: Tensor<1, Int>,
    senders: Tensor<1, Int>,
    /// 1 / number of edges with this receiver, 0 where there is none, `[G, N, 1, 1]`.
    inverse_degree: Tensor<4>,
}

impl EdgeList {
    /// Edges `[receiver, sender]` of each system; the numbers of edges must be equal and every node below `nodes`.
    ///
    /// # Panics
    /// If a system has another number of edges than the first, or an edge ends at a node that does not exist.
    #[must_use]
    pub fn new(nodes: usize, systems: &[&[[usize; 2]]], device: &Device, dtype: DType) -> Self {
        let edges = systems.first().map_or(0, |edges| edges.len());
        let mut degree = vec![0_u32; systems.len() * nodes];
        let (mut receivers, mut senders) = (Vec::new(), Vec::new());
        for (system, list) in systems.iter().enumerate() {
            assert_eq!(list.len(), edges, "systems of one list have equally many edges");
            for &[receiver, sender] in *list {
                assert!(receiver < nodes && sender < nodes, "edge {receiver}-{sender} of {nodes} nodes");
                degree[system * nodes + receiver] += 1;
                receivers.push((system * nodes + receiver) as i64);
                senders.push((system * nodes + sender) as i64);
            }
        }
        let inverse = degree.iter().map(|&d| if d == 0 { 0.0 } else { 1.0 / f64::from(d) }).collect();
        let inverse = TensorData::new::<f64, _>(inverse, [systems.len(), nodes, 1, 1]).convert_dtype(dtype);
        let indices = |values: Vec<i64>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), device)
        };
        Self {
            systems: systems.len(),
            nodes,
            edges,
            receivers: indices(receivers),
            senders: indices(senders),
            inverse_degree: Tensor::from_data(inverse, (device, dtype)),
        }
    }

    /// Number of systems `G`.
    #[must_use]
    pub fn systems(&self) -> usize {
        self.systems
    }

    /// Nodes `N` of each.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Edges `M` of each.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.edges
    }

    /// The values of each edge's receiver, `[G, N T, C]` to `[G, M T, C]`. Cost: one copy.
    #[must_use]
    pub fn at_receivers(&self, x: Tensor<3>) -> Tensor<3> {
        self.take(x, &self.receivers)
    }

    /// The values of each edge's sender.
    #[must_use]
    pub fn at_senders(&self, x: Tensor<3>) -> Tensor<3> {
        self.take(x, &self.senders)
    }

    fn take(&self, x: Tensor<3>, ends: &Tensor<1, Int>) -> Tensor<3> {
        let [g, rows, channels] = x.dims();
        let frames = rows / self.nodes;
        // All frames of a node are one contiguous row, and rows are copied as they are.
        x.reshape([g * self.nodes, frames * channels]).select(0, ends.clone()).reshape([
            g,
            self.edges * frames,
            channels,
        ])
    }

    /// The sum over the edges of each receiver, `[G, M T, C]` to `[G, N T, C]`; 0 at a node without edges. The order of
    /// the additions is that of the edges, so a system's sums do not depend on the systems beside it.
    #[must_use]
    pub fn sum_at_receivers(&self, edges: Tensor<3>) -> Tensor<3> {
        let [g, rows, channels] = edges.dims();
        let frames = rows / self.edges;
        let zeros = Tensor::<2>::zeros([g * self.nodes, frames * channels], (&edges.device(), edges.dtype()));
        let rows = edges.reshape([g * self.edges, frames * channels]);
        zeros.select_assign(0, self.receivers.clone(), rows, IndexingUpdateOp::Add).reshape([
            g,
            self.nodes * frames,
            channels,
        ])
    }

    /// The mean over the edges of each receiver; 0 at a node without edges.
    #[must_use]
    pub fn mean_at_receivers(&self, edges: Tensor<3>) -> Tensor<3> {
        let sums = self.sum_at_receivers(edges);
        let [g, rows, channels] = sums.dims();
        let sums = sums.reshape([g, self.nodes, rows / self.nodes, channels]);
        (sums * self.inverse_degree.clone()).reshape([g, rows, channels])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_sums_and_means() {
        let (device, dtype) = (Device::flex(), DType::F64);
        let systems: [&[[usize; 2]]; 2] = [&[[0, 1], [0, 2], [2, 2]], &[[1, 0], [1, 1], [1, 2]]];
        let edges = EdgeList::new(3, &systems, &device, dtype);
        // Two frames, one channel: node i of system g at frame t holds 10 g + i + t / 2.
        let values: Vec<f64> =
            (0..12).map(|k| f64::from(10 * (k / 6) + k % 6 / 2) + 0.5 * f64::from(k % 2)).collect();
        let x = Tensor::<3>::from_data(TensorData::new(values, [2, 6, 1]), (&device, dtype));
        let host = |x: Tensor<3>| x.try_into_vec_as::<f64>().unwrap();
        assert_eq!(host(edges.at_senders(x.clone()))[..6], [1.0, 1.5, 2.0, 2.5, 2.0, 2.5]);
        assert_eq!(host(edges.at_receivers(x.clone()))[6..], [11.0, 11.5, 11.0, 11.5, 11.0, 11.5]);
        let sent = edges.at_senders(x);
        assert_eq!(host(edges.sum_at_receivers(sent.clone()))[..6], [3.0, 4.0, 0.0, 0.0, 2.0, 2.5]);
        assert_eq!(host(edges.mean_at_receivers(sent))[6..], [0.0, 0.0, 11.0, 11.5, 0.0, 0.0]);
    }
}
