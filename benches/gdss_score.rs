//! One evaluation of both score networks of QM9's size, by engine: graphs per second on one thread.
//!
//! ```text
//! cargo bench --bench gdss_score
//! ```
//!
//! `-- --rate call|step SET SIZES THREADS SECONDS [avx512|avx2|portable]` prints graphs per second of the fused engine alone, for
//! `benches/peer/gdss_networks.py`: SET is qm9, zinc250k or community_small, SIZES are numbers of nodes and of graphs, `9:1000,8:24`.
//! The weights are random: the time does not depend on them.

use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::fused::Instructions;
use equidrift_gdss::{
    BurnEngine, EdgeNetworkConfig, FusedEngine, GradientEngine, GraphBatch, NetworksConfig,
    NodeNetworkConfig, Projection, ScoreEngine, ScoreMatchingBatch, ScoreNetworkAConfig, ScoreNetworkXConfig,
    initial_parameters,
};

/// The published layer sizes: features; depth and width of the node network; layers, width and linear maps of the edge network.
fn networks(set: &str) -> NetworksConfig {
    let (features, (depth, nhid), (num_layers, width, num_linears)) = match set {
        "qm9" => (4, (2, 16), (3, 16, 3)),
        "zinc250k" => (9, (2, 16), (6, 16, 3)),
        "community_small" => (10, (3, 32), (5, 32, 2)),
        other => panic!("no set {other}"),
    };
    NetworksConfig {
        x: NodeNetworkConfig::ScoreNetworkX(ScoreNetworkXConfig {
            max_feat_num: features,
            depth,
            nhid,
            time_features: 0,
        }),
        adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
            max_feat_num: features,
            max_node_num: 38,
            nhid: width,
            num_layers,
            num_linears,
            c_init: 2,
            c_hid: 8,
            c_final: 4,
            adim: width,
            num_heads: 4,
            conv: Projection::Gcn,
            time_features: 0,
        }),
    }
}

/// Graphs of given sizes, padded to the largest.
struct Graphs {
    batch: usize,
    nodes: usize,
    features: usize,
    x: Vec<f32>,
    adj: Vec<f32>,
    mask: Vec<f32>,
    times: Vec<f64>,
    scale: Vec<f32>,
}

impl Graphs {
    fn new(sizes: &[usize], features: usize) -> Self {
        let (batch, nodes) = (sizes.len(), sizes.iter().copied().max().unwrap_or(0));
        let value = |k: usize| ((k * 7919) % 1000) as f32 / 500.0 - 1.0;
        let mut graphs = Self {
            batch,
            nodes,
            features,
            x: vec![0.0; batch * nodes * features],
            adj: vec![0.0; batch * nodes * nodes],
            mask: vec![0.0; batch * nodes],
            times: vec![0.5; batch],
            scale: vec![0.5; batch],
        };
        for (b, &size) in sizes.iter().enumerate() {
            for i in 0..size {
                let node = b * nodes + i;
                graphs.mask[node] = 1.0;
                for f in node * features..(node + 1) * features {
                    graphs.x[f] = value(f);
                }
                for j in 0..i {
                    let entry = value(node * nodes + j);
                    graphs.adj[node * nodes + j] = entry;
                    graphs.adj[(b * nodes + j) * nodes + i] = entry;
                }
            }
        }
        graphs
    }

    fn view(&self) -> GraphBatch<'_> {
        let Self { batch, nodes, features, x, adj, mask, times, .. } = self;
        GraphBatch { batch: *batch, nodes: *nodes, features: *features, x, adj, mask, times }
    }

    /// The noise of a training step, which is the graphs' own numbers.
    fn training(&self) -> ScoreMatchingBatch<'_> {
        let scale = &self.scale;
        ScoreMatchingBatch {
            graphs: self.view(),
            scale_x: scale,
            z_x: &self.x,
            scale_adj: scale,
            z_adj: &self.adj,
        }
    }
}

fn score(criterion: &mut Criterion) {
    let networks = networks("qm9");
    let parameters = initial_parameters(&networks, 1);
    let device = DeviceKind::Cpu.open().expect("the cpu is always there");
    let engines: [Box<dyn ScoreEngine>; 2] = [
        Box::new(FusedEngine::new(&networks, &parameters, 1).expect("sizes and weights fit")),
        Box::new(BurnEngine::new(&networks, &parameters, &device).expect("sizes and weights fit")),
    ];
    let mut group = criterion.benchmark_group("gdss_score_qm9");
    group.sample_size(20);
    for batch in [16, 128, 1024] {
        let graphs = Graphs::new(&vec![9; batch], networks.features());
        group.throughput(Throughput::Elements(batch as u64));
        for engine in &engines {
            group.bench_with_input(
                BenchmarkId::new(engine.name(), batch),
                &graphs.view(),
                |bencher, graphs| {
                    bencher.iter(|| engine.evaluate(graphs).expect("the batch is sound"));
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, score);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--rate", what, set, sizes, threads, seconds, rest @ ..] => {
            let instructions = match rest {
                [] => Instructions::Detect,
                ["avx512"] => Instructions::Avx512,
                ["avx2"] => Instructions::Avx2,
                ["portable"] => Instructions::Portable,
                other => panic!("no instructions {other:?}"),
            };
            let number = |text: &str| text.parse::<usize>().expect("a number");
            let sizes: Vec<usize> = sizes
                .split(',')
                .flat_map(|part| {
                    let (size, count) = part.split_once(':').expect("SIZE:COUNT");
                    vec![number(size); number(count)]
                })
                .collect();
            let seconds: f64 = seconds.parse().expect("a number of seconds");
            println!("{}", rate(what, set, &sizes, number(threads), seconds, instructions));
        }
        _ => {
            benches();
            Criterion::default().configure_from_args().final_summary();
        }
    }
}

/// Graphs per second of the fused engine: evaluations of both networks, or their losses and gradients.
fn rate(
    what: &str,
    set: &str,
    sizes: &[usize],
    threads: usize,
    seconds: f64,
    instructions: Instructions,
) -> f64 {
    let networks = networks(set);
    let parameters = initial_parameters(&networks, 1);
    let engine = FusedEngine::with_instructions(&networks, &parameters, threads, instructions)
        .expect("instructions of this machine");
    let graphs = Graphs::new(sizes, networks.features());
    let work = || match what {
        "step" => drop(engine.loss_and_gradient(&graphs.training()).expect("the batch is sound")),
        _ => drop(engine.evaluate(&graphs.view()).expect("the batch is sound")),
    };
    work();
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed().as_secs_f64() < seconds {
        work();
        done += sizes.len();
    }
    done as f64 / start.elapsed().as_secs_f64()
}
