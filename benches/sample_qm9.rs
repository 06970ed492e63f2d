//! From noise to canonical SMILES: molecules per second of the embedded models, by sampler, on one thread.
//!
//! ```text
//! cargo bench --bench sample_qm9
//! ```

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use equidrift::{GenerateRequest, Generator};
use equidrift_sampler::SamplerConfig;

const MOLECULES: u64 = 256;

fn sample(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sample_qm9");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MOLECULES));
    let samplers = [("predictor-corrector", 25), ("s4", 100), ("dpm-solver++", 20)];
    for (model, (name, steps)) in
        ["qm9-gdss", "qm9-gdss-ve"].into_iter().flat_map(|model| samplers.map(|sampler| (model, sampler)))
    {
        let request = GenerateRequest {
            num: MOLECULES,
            model: model.to_owned(),
            seed: 7,
            sampler: Some(SamplerConfig::by_name(name).expect("a listed name")),
            steps: Some(steps),
            threads: 1,
            ..GenerateRequest::default()
        };
        let generator = Generator::open(&request).expect("the embedded model opens");
        group.bench_function(BenchmarkId::new(format!("{model} {name}"), steps), |bencher| {
            bencher.iter(|| generator.molecules().expect("sampling works"));
        });
    }
    group.finish();
}

criterion_group!(benches, sample);
criterion_main!(benches);
