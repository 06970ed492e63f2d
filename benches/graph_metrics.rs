//! Statistics of graphs and distances between sets of them, on drawn graphs.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use equidrift_graph::generators::{draw_set, recipe};
use equidrift_graph::mmd::{Bootstrap, Protocol, Resampling, Sample, squared_mmd};
use equidrift_graph::statistics::orbits;
use equidrift_graph::validity::block_fit;
use equidrift_graph::{Adjacency, Family, Graph, Statistic};

fn drawn(name: &str, count: u64) -> Vec<Graph> {
    recipe(name).map(|recipe| draw_set(&*recipe, 0..count, 1).collect()).unwrap_or_default()
}

fn statistics(criterion: &mut Criterion) {
    for name in ["community_small", "grid", "planar", "sbm"] {
        let graphs: Vec<Adjacency> = drawn(name, 20).iter().map(Adjacency::new).collect();
        let each = |graph: &Adjacency| orbits::counts(graph).len();
        criterion.bench_function(&format!("orbit counts, 20 graphs of {name}"), |bencher| {
            bencher.iter(|| graphs.iter().map(each).sum::<usize>());
        });
    }
    let planar = drawn("planar", 20);
    criterion.bench_function("spectral, 20 graphs of planar", |bencher| {
        bencher.iter(|| Statistic::Spectral.of_each(&planar, 1));
    });
}

fn distances(criterion: &mut Criterion) {
    let (first, second) = (drawn("planar", 128), drawn("sbm", 40));
    for (protocol, statistic) in
        [(Protocol::Gdss, Statistic::Clustering), (Protocol::Spectre, Statistic::Spectral)]
    {
        let of = |graphs: &[Graph]| statistic.of_each(graphs, 2).unwrap_or_default();
        let (first, second) = (of(&first), of(&second));
        for replicates in [0, 100] {
            let name = format!(
                "{protocol:?} {} MMD, 128 against 40 graphs, {replicates} replicates",
                statistic.name()
            );
            criterion.bench_function(&name, |bencher| {
                let first = Sample { statistics: &first, resampling: Resampling::Stream(0) };
                let second = Sample { statistics: &second, resampling: Resampling::Fixed };
                let bootstrap = Bootstrap { replicates, seed: 0 };
                bencher.iter(|| squared_mmd(protocol.kernel(statistic), first, second, bootstrap, 1));
            });
        }
    }
}

fn validity(criterion: &mut Criterion) {
    let planar: Vec<Adjacency> = drawn("planar", 20).iter().map(Adjacency::new).collect();
    criterion.bench_function("planarity, 20 graphs of planar", |bencher| {
        bencher.iter(|| planar.iter().filter(|graph| Family::Planar.contains(graph)).count());
    });
    let sbm: Vec<Adjacency> = drawn("sbm", 1).iter().map(Adjacency::new).collect();
    let mut group = criterion.benchmark_group("blocks");
    group.sample_size(10).bench_function("of 1 graph of sbm", |bencher| {
        bencher.iter_batched(|| &sbm[0], block_fit::fit, BatchSize::PerIteration);
    });
}

criterion_group!(benches, statistics, distances, validity);
criterion_main!(benches);
