//! The MOSES suite without FCD of a SMILES file against another, with the time of each part.
//!
//! ```text
//! cargo run --release -p equidrift-molecule --example moses_metrics -- GENERATED REFERENCE [SA_TABLE [MOST_LINES]]
//! ```

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use equidrift_molecule::descriptors::FragmentScores;
use equidrift_molecule::metrics::available_threads;
use equidrift_molecule::metrics::moses::MosesSet;
use equidrift_molecule::{Chematic, Chemistry, SmilesLines};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [generated, reference, ..] = &arguments[..] else { return Err("two files are needed".into()) };
    let scores = arguments.get(2).map(|path| FragmentScores::read(Path::new(path))).transpose()?;
    let limit = arguments.get(3).map_or(Ok(usize::MAX), |limit| limit.parse())?;
    let threads = available_threads();
    let whole = Instant::now();
    let set = |path: &str, limit: usize| -> Result<MosesSet, Box<dyn Error>> {
        let start = Instant::now();
        let lines = SmilesLines::open(Path::new(path))?.take(limit);
        let smiles: Vec<String> =
            lines.map(|line| Ok(line?.smiles)).collect::<Result<_, Box<dyn Error>>>()?;
        let canonical: Vec<String> = std::thread::scope(|scope| {
            let parts: Vec<_> = smiles.chunks(smiles.len().div_ceil(threads).max(1)).collect();
            let work = |part: &[String]| {
                part.iter().filter_map(|smiles| Chematic.canonicalise(smiles).ok()).collect()
            };
            let running: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
            running
                .into_iter()
                .flat_map(|thread| -> Vec<String> { thread.join().unwrap_or_default() })
                .collect()
        });
        let read = start.elapsed();
        let set = MosesSet::of_canonical(&canonical, scores.as_ref(), threads);
        println!(
            "{path}: {} molecules, read in {read:.1?}, profiled in {:.1?}",
            set.len(),
            start.elapsed() - read
        );
        Ok(set)
    };
    let (generated, reference) = (set(generated, limit)?, set(reference, usize::MAX)?);
    let start = Instant::now();
    println!("{:?}\n  in {:.1?}", generated.diversity(threads), start.elapsed());
    let start = Instant::now();
    println!("{:?}\n  in {:.1?}", generated.distances(&reference, threads), start.elapsed());
    println!("{:.1?} in all", whole.elapsed());
    Ok(())
}
