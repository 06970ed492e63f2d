//! Draw molecules from a trained model, in memory.
//!
//! ```text
//! cargo run --release --example generate_molecules            # the embedded QM9 model
//! cargo run --release --example generate_molecules -- DIR     # a model folder
//! ```

use std::collections::BTreeSet;
use std::time::Instant;

use equidrift::{DEFAULT_MODEL, GenerateRequest, Generator};

fn main() -> Result<(), equidrift::Error> {
    let request = GenerateRequest {
        num: 64,
        seed: 7,
        model: std::env::args().nth(1).unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
        ..GenerateRequest::default()
    };
    let generator = Generator::open(&request)?;
    let start = Instant::now();
    let molecules = generator.molecules()?;
    let seconds = start.elapsed().as_secs_f64();

    for molecule in molecules.iter().take(10) {
        println!("{:3}  {}", molecule.id, molecule.smiles);
    }
    let valid =
        molecules.iter().filter(|molecule| molecule.is_valid() && molecule.valid_without_correction).count();
    let distinct: BTreeSet<_> = molecules.iter().map(|molecule| &molecule.smiles).collect();
    println!(
        "{} molecules, {valid} valid before repair, {} distinct, {:.1} molecules/s, {} network evaluations each",
        molecules.len(),
        distinct.len(),
        molecules.len() as f64 / seconds,
        generator.course().evaluations().unwrap_or(0),
    );
    Ok(())
}
