//! One evaluation of both QM9-sized score networks, by engine: graphs per second on one thread.
//!
//! ```text
//! cargo bench --bench gdss_score
//! ```
//!
//! The weights are random: the time does not depend on them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{
    BurnEngine, EdgeNetworkConfig, FusedEngine, GraphBatch, NetworksConfig, NodeNetworkConfig, Projection,
    ScoreEngine, ScoreNetworkAConfig, ScoreNetworkXConfig, initial_parameters,
};

const NODES: usize = 9;
const FEATURES: usize = 4;

/// The published layer sizes for QM9.
fn networks() -> NetworksConfig {
    NetworksConfig {
        x: NodeNetworkConfig::ScoreNetworkX(ScoreNetworkXConfig {
            max_feat_num: FEATURES,
            depth: 2,
            nhid: 16,
            time_features: 0,
        }),
        adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
            max_feat_num: FEATURES,
            max_node_num: NODES,
            nhid: 16,
            num_layers: 3,
            num_linears: 3,
            c_init: 2,
            c_hid: 8,
            c_final: 4,
            adim: 16,
            num_heads: 4,
            conv: Projection::Gcn,
            time_features: 0,
        }),
    }
}

fn score(criterion: &mut Criterion) {
    let networks = networks();
    let parameters = initial_parameters(&networks, 1);
    let device = DeviceKind::Cpu.open().expect("the cpu is always there");
    let engines: [Box<dyn ScoreEngine>; 2] = [
        Box::new(FusedEngine::new(&networks, &parameters, 1).expect("sizes and weights fit")),
        Box::new(BurnEngine::new(&networks, &parameters, &device).expect("sizes and weights fit")),
    ];
    let mut group = criterion.benchmark_group("gdss_score_qm9");
    group.sample_size(20);
    for batch in [16, 128, 1024] {
        let noise =
            |count: usize| (0..count).map(|k| ((k * 7919) % 1000) as f32 / 500.0 - 1.0).collect::<Vec<_>>();
        let x = noise(batch * NODES * FEATURES);
        let mut adj = noise(batch * NODES * NODES);
        for graph in adj.chunks_exact_mut(NODES * NODES) {
            for i in 0..NODES {
                graph[i * NODES + i] = 0.0;
                for j in 0..i {
                    graph[i * NODES + j] = graph[j * NODES + i];
                }
            }
        }
        let mask = vec![1.0; batch * NODES];
        let times = vec![0.5; batch];
        let graphs = GraphBatch {
            batch,
            nodes: NODES,
            features: FEATURES,
            x: &x,
            adj: &adj,
            mask: &mask,
            times: &times,
        };
        group.throughput(Throughput::Elements(batch as u64));
        for engine in &engines {
            group.bench_with_input(BenchmarkId::new(engine.name(), batch), &graphs, |bencher, graphs| {
                bencher.iter(|| engine.evaluate(graphs).expect("the batch is sound"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, score);
criterion_main!(benches);
