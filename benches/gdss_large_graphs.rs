//! Networks of the released grid checkpoint's size on graphs of 32 to 361 nodes, by engine: one evaluation of both, and one loss
//! with its gradient, on one thread.
//!
//! ```text
//! cargo bench --bench gdss_large_graphs
//! ```
//!
//! The weights are random: the time does not depend on them.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{
    BurnEngine, EdgeNetworkConfig, FusedEngine, GradientEngine, GraphBatch, NetworksConfig,
    NodeNetworkConfig, Projection, ScoreEngine, ScoreMatchingBatch, ScoreNetworkAConfig, ScoreNetworkXConfig,
    initial_parameters,
};

const FEATURES: usize = 5;
/// Graphs and nodes of each.
const SHAPES: [(usize, usize); 9] =
    [(16, 32), (16, 48), (16, 64), (1, 64), (16, 96), (16, 125), (1, 125), (1, 200), (1, 361)];

fn networks() -> NetworksConfig {
    NetworksConfig {
        x: NodeNetworkConfig::ScoreNetworkX(ScoreNetworkXConfig {
            max_feat_num: FEATURES,
            depth: 5,
            nhid: 32,
            time_features: 0,
        }),
        adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
            max_feat_num: FEATURES,
            max_node_num: 361,
            nhid: 32,
            num_layers: 7,
            num_linears: 2,
            c_init: 2,
            c_hid: 8,
            c_final: 4,
            adim: 32,
            num_heads: 4,
            conv: Projection::Gcn,
            time_features: 0,
        }),
    }
}

fn large_graphs(criterion: &mut Criterion) {
    let networks = networks();
    let parameters = initial_parameters(&networks, 1);
    let device = DeviceKind::Cpu.open().expect("the cpu is always there");
    let fused = FusedEngine::new(&networks, &parameters, 1).expect("sizes and weights fit");
    let burn = BurnEngine::new(&networks, &parameters, &device).expect("sizes and weights fit");
    for (batch, nodes) in SHAPES {
        let noise =
            |count: usize| (0..count).map(|k| ((k * 7919) % 1000) as f32 / 500.0 - 1.0).collect::<Vec<_>>();
        let symmetric = || {
            let mut matrices = noise(batch * nodes * nodes);
            for graph in matrices.chunks_exact_mut(nodes * nodes) {
                for i in 0..nodes {
                    graph[i * nodes + i] = 0.0;
                    for j in 0..i {
                        graph[i * nodes + j] = graph[j * nodes + i];
                    }
                }
            }
            matrices
        };
        let (x, adj) = (noise(batch * nodes * FEATURES), symmetric());
        let (z_x, z_adj) = (x.clone(), symmetric());
        let (mask, times, scale) = (vec![1.0; batch * nodes], vec![0.5; batch], vec![0.5; batch]);
        let (x, adj, mask, times) = (&x[..], &adj[..], &mask[..], &times[..]);
        let graphs = GraphBatch { batch, nodes, features: FEATURES, x, adj, mask, times };
        let training =
            ScoreMatchingBatch { graphs, scale_x: &scale, z_x: &z_x, scale_adj: &scale, z_adj: &z_adj };
        let parameter = format!("{batch} of {nodes} nodes");
        let mut group = criterion.benchmark_group("gdss_score_large");
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(2))
            .warm_up_time(Duration::from_millis(500));
        group.throughput(Throughput::Elements(batch as u64));
        let engines: [(&str, &dyn ScoreEngine); 2] = [("fused", &fused), ("burn", &burn)];
        for (name, engine) in engines {
            group.bench_with_input(BenchmarkId::new(name, &parameter), &graphs, |bencher, graphs| {
                bencher.iter(|| engine.evaluate(graphs).expect("the batch is sound"));
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group("gdss_gradient_large");
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(2))
            .warm_up_time(Duration::from_millis(500));
        group.throughput(Throughput::Elements(batch as u64));
        let engines: [(&str, &dyn GradientEngine); 2] = [("fused", &fused), ("burn", &burn)];
        for (name, engine) in engines {
            group.bench_with_input(BenchmarkId::new(name, &parameter), &training, |bencher, training| {
                bencher.iter(|| engine.loss_and_gradient(training).expect("the batch is sound"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, large_graphs);
criterion_main!(benches);
