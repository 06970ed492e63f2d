//! The same model under every sampler: what quality costs how many network evaluations.
//!
//! ```text
//! cargo run --release --example compare_samplers            # the embedded QM9 model
//! cargo run --release --example compare_samplers -- DIR     # a model folder
//! ```

use std::collections::BTreeSet;
use std::time::Instant;

use equidrift::{DEFAULT_SCORE_MODEL, GenerateRequest, Generator};
use equidrift_sampler::SamplerConfig;

/// Samples per sampler: the standard error of a validity is then at most 5 points.
const SAMPLES: u64 = 100;

fn main() -> Result<(), equidrift::Error> {
    let model = std::env::args().nth(1).unwrap_or_else(|| DEFAULT_SCORE_MODEL.to_owned());
    println!(
        "{:20} {:>5} {:>5} {:>9} {:>9} {:>12}",
        "sampler", "steps", "NFE", "valid %", "unique %", "molecules/s"
    );
    for sampler in SamplerConfig::all() {
        for steps in [20, 100] {
            let request = GenerateRequest {
                num: SAMPLES,
                seed: 1,
                model: model.clone(),
                sampler: Some(sampler.clone()),
                steps: Some(steps),
                ..GenerateRequest::default()
            };
            let generator = match Generator::open(&request) {
                Ok(generator) => generator,
                Err(error) => {
                    println!("{:20} {steps:5} {error}", sampler.name());
                    continue;
                }
            };
            let start = Instant::now();
            let molecules = generator.molecules()?;
            let seconds = start.elapsed().as_secs_f64();
            let share = |count: usize, whole: usize| 100.0 * count as f64 / whole.max(1) as f64;
            let found: Vec<_> = molecules.iter().filter(|molecule| molecule.is_valid()).collect();
            let valid = found.iter().filter(|molecule| molecule.valid_without_correction).count();
            let distinct: BTreeSet<_> = found.iter().map(|molecule| &molecule.smiles).collect();
            println!(
                "{:20} {steps:5} {:5} {:9.1} {:9.1} {:12.1}",
                sampler.name(),
                generator.course().evaluations().unwrap_or(0),
                share(valid, molecules.len()),
                share(distinct.len(), found.len()),
                molecules.len() as f64 / seconds,
            );
        }
    }
    Ok(())
}
