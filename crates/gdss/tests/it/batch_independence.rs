//! A graph's result does not depend, in any bit, on the graphs beside it.

use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::TensorFile;
use equidrift_gdss::{EngineKind, GraphBatch, ScoreEngine};

use crate::checkpoints::checkpoints;

struct Graphs {
    nodes: usize,
    features: usize,
    x: Vec<f32>,
    adj: Vec<f32>,
    mask: Vec<f32>,
}

impl Graphs {
    fn of(golden: &TensorFile) -> Self {
        let get = |name: &str| golden.tensors[name].to_f32();
        let shape = &golden.tensors["in.x"].shape;
        Self {
            nodes: shape[1],
            features: shape[2],
            x: get("in.x"),
            adj: get("in.adj"),
            mask: get("in.flags"),
        }
    }

    fn len(&self) -> usize {
        self.mask.len() / self.nodes
    }

    /// The graphs `order` as one batch: outputs row by row, as bits.
    fn evaluate(&self, engine: &dyn ScoreEngine, order: &[usize]) -> Vec<(Vec<u32>, Vec<u32>)> {
        let (n, f) = (self.nodes, self.features);
        let gather = |values: &[f32], width: usize| -> Vec<f32> {
            order.iter().flat_map(|&g| &values[g * width..(g + 1) * width]).copied().collect()
        };
        let (x, adj, mask) = (gather(&self.x, n * f), gather(&self.adj, n * n), gather(&self.mask, n));
        let times = vec![0.5; order.len()];
        let batch = GraphBatch {
            batch: order.len(),
            nodes: n,
            features: f,
            x: &x,
            adj: &adj,
            mask: &mask,
            times: &times,
        };
        let out = engine.evaluate(&batch).unwrap();
        let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        out.x.chunks(n * f).map(bits).zip(out.adj.chunks(n * n).map(bits)).collect()
    }
}

fn independent(kind: EngineKind) {
    for checkpoint in checkpoints() {
        let engine = checkpoint.model().engine(kind, DeviceKind::Cpu).unwrap();
        let graphs = Graphs::of(&checkpoint.golden);
        let alone: Vec<_> = (0..graphs.len()).map(|g| graphs.evaluate(&*engine, &[g]).remove(0)).collect();
        // Large graphs take long in a batch of 64; a small one shows the same there.
        let many = if graphs.nodes <= 40 { 64 } else { 7 };
        let orders = [
            (0..graphs.len()).collect::<Vec<_>>(),
            (0..many).map(|i| (i * 3 + i / 5) % graphs.len()).collect(),
        ];
        for order in orders {
            for (row, (out, &graph)) in graphs.evaluate(&*engine, &order).iter().zip(&order).enumerate() {
                assert!(
                    *out == alone[graph],
                    "{} with {kind}: graph {graph} alone and as row {row} of {} differ",
                    checkpoint.name,
                    order.len()
                );
            }
        }
    }
}

#[test]
fn tensor_library() {
    independent(EngineKind::Burn);
}

#[test]
fn fused_kernel() {
    independent(EngineKind::Fused);
}
