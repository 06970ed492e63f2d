//! Judging molecules: molecules per second of MOSES, by what is asked for, on all cores.
//!
//! ```text
//! cargo bench --bench evaluate_molecules
//! ```
//!
//! Needs the data sets (`EQUIDRIFT_DATA`, default `../shared/data`); without them nothing is measured.

use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use equidrift_molecule::evaluation::{Evaluator, SampleFile};
use equidrift_molecule::metrics::{ChemNet, Wanted, available_threads};
use equidrift_molecule::{Chematic, Chemistry, SmilesLines};

fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("EQUIDRIFT_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = root.join(name);
    if !path.exists() {
        println!("skipped: no {}", path.display());
    }
    path.exists().then_some(path)
}

fn evaluate(criterion: &mut Criterion) {
    let Some(moses) = data("molecules/moses_test.smi.gz") else { return };
    let smiles: Vec<String> = SmilesLines::open(&moses)
        .expect("the file opens")
        .take(10_000)
        .map(|line| line.expect("a molecule").smiles)
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("molecules.smi");
    std::fs::write(&path, smiles.join("\n")).expect("the file is written");

    let mut group = criterion.benchmark_group("evaluate_molecules");
    group.sample_size(10);
    group.throughput(Throughput::Elements(smiles.len() as u64));
    for (name, nspdk) in [("validity_uniqueness", false), ("with_nspdk", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut evaluator = Evaluator::new(&Chematic);
                evaluator.wanted = Wanted { nspdk, chemnet: None };
                evaluator.judge(SampleFile::open(&path).expect("the file opens")).expect("it is judged")
            });
        });
    }
    if let Some(net) = data("metrics/chemnet_v0.13.npz") {
        let net = ChemNet::read(&net).expect("the weights are read");
        let canonical: Vec<String> =
            smiles[..1_000].iter().map(|smiles| Chematic.canonicalise(smiles).expect("a molecule")).collect();
        group.throughput(Throughput::Elements(canonical.len() as u64));
        group.bench_function("chemnet_activations", |bencher| {
            bencher.iter(|| net.encode(&canonical, available_threads(), &|_| {}));
        });
    }
    group.finish();
}

criterion_group!(benches, evaluate);
criterion_main!(benches);
