//! Fit a model to molecules of your own and draw new ones from it.
//!
//! ```text
//! cargo run --release --example fit_molecules                       # some small molecules
//! cargo run --release --example fit_molecules -- mine.smi 100       # a SMILES file, 100 epochs
//! ```

use equidrift::training::{EpochReport, TrainingWatcher, fit_molecules_watched};
use equidrift::{Error, FitOptions};

/// Alcohols, amines, ketones and acids of one to ten carbon atoms.
fn homologues() -> String {
    let ends = ["O", "N", "C(C)=O", "C(=O)O", "C#N"];
    let chains = (1..=10).map(|carbons| "C".repeat(carbons));
    chains.flat_map(|chain| ends.map(|end| format!("{chain}{end}\n"))).collect::<String>().repeat(4)
}

struct Print;

impl TrainingWatcher for Print {
    fn epoch(&mut self, report: &EpochReport, _: bool) -> Result<(), Error> {
        if report.epoch.is_multiple_of(5) {
            println!("epoch {:3}: losses {:?}", report.epoch, report.losses);
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let temporary = tempfile::tempdir()?;
    let data = match arguments.next() {
        Some(file) => file.into(),
        None => {
            let file = temporary.path().join("homologues.smi");
            std::fs::write(&file, homologues())?;
            file
        }
    };
    let epochs = arguments.next().map_or(Ok(20), |text| text.parse())?;

    // `fit_molecules(data, options)` is the same without someone who watches.
    let options = FitOptions { epochs, validation_fraction: 0.1, ..FitOptions::default() };
    let model = fit_molecules_watched(&data, options, &mut Print, &|| false)?;
    for molecule in model.generate(10)? {
        println!("{}", molecule.smiles);
    }

    if let Some(validation) = model.log()?.last().and_then(|report| report.validation.as_ref()) {
        println!("held-out losses, averaged weights: {:?}", validation.average);
    }
    Ok(())
}
