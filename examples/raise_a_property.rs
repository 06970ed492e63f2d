//! Spend network evaluations to raise a property: drug-likeness (QED) of molecules of an embedded model.
//!
//! The reward is any function of the clean state; here it decodes, repairs and keeps a fragment as the pipeline does, and
//! asks the chemistry library. Reported beside it: how many molecules were valid before repair and how many are different,
//! which no search has seen.
//!
//! ```text
//! cargo run --release --example raise_a_property                 # qm9-gdss-ve
//! cargo run --release --example raise_a_property -- qm9-gdss     # another model of nine atoms
//! ```

use std::collections::BTreeSet;

use equidrift::{Model, chemistry};
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use equidrift_molecule::{Correction, GeneratedMolecule};
use equidrift_sampler::drive::{BestOfN, Branching, RolloverBudgetForcing, Selected, Smc, Svdd};
use equidrift_sampler::{DType, Executor, KeyedNoise, SamplerError, State, Support};

const SAMPLES: u64 = 200;
const NODES: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::open(&std::env::args().nth(1).unwrap_or_else(|| "qm9-gdss-ve".to_owned()))?;
    let (paths, scales) = {
        let paths = model.gdss()?.config().paths.clone();
        ([paths.x, paths.adj], [paths.scales.x, paths.scales.adj])
    };
    let denoiser = model.gdss()?.denoiser(EngineKind::for_device(DeviceKind::Cpu), DeviceKind::Cpu)?;
    let vocabulary = model.vocabulary().to_vec();
    let features = vocabulary.len();

    let molecules = |state: &State| -> Result<Vec<GeneratedMolecule>, SamplerError> {
        let failed = |error: equidrift_molecule::MoleculeError| SamplerError::Caller {
            what: "decoding",
            source: Box::new(error),
        };
        // A model may hold its data scaled.
        let unscaled =
            |values: &[f64], scale: f64| values.iter().map(|x| (x / scale) as f32).collect::<Vec<f32>>();
        let values = state.to_host()?;
        let rows = values[0].chunks_exact(NODES * features).zip(values[1].chunks_exact(NODES * NODES));
        let of = |(id, (x, adj)): (u64, (&[f64], &[f64]))| {
            let (x, adj) = (unscaled(x, scales[0]), unscaled(adj, scales[1]));
            GeneratedMolecule::from_tensors(id, &x, &adj, &vocabulary, Correction::Repair, chemistry())
        };
        (0..).zip(rows).map(of).collect::<Result<_, _>>().map_err(failed)
    };
    // Without a molecule there is nothing to be liked.
    let drug_likeness = |state: &State| -> Result<Vec<f64>, SamplerError> {
        Ok(molecules(state)?.iter().map(|m| chemistry().qed(&m.graph).unwrap_or(0.0)).collect())
    };

    let noise = KeyedNoise::new(1);
    let ids: Vec<u64> = (0..SAMPLES).collect();
    let mask = vec![vec![true; NODES]; ids.len()];
    let supports = vec![Support::nodes(mask.clone(), features), Support::symmetric_pairs(mask)];
    let device = DeviceKind::Cpu.open()?;
    let start = State::prior(&["x", "adj"], &paths, supports, &ids, &noise, &device, DType::F32)?;
    let mut executor = Executor::new(&*denoiser, &noise);

    println!("{:10} {:>6} {:>6} {:>8} {:>8} {:>8}", "search", "budget", "used", "QED", "valid %", "unique %");
    let show = |name: &str, budget: usize, selected: &Selected| -> Result<(f64, f64), SamplerError> {
        let found = molecules(&selected.state)?;
        let share = |count: usize| 100.0 * count as f64 / found.len() as f64;
        let mean = selected.rewards.iter().sum::<f64>() / found.len() as f64;
        let valid = found.iter().filter(|molecule| molecule.valid_without_correction).count();
        let distinct: BTreeSet<&str> = found.iter().map(|molecule| molecule.smiles.as_str()).collect();
        let used = selected.evaluations.iter().max().copied().unwrap_or(0);
        assert!(used <= budget, "{name} has used {used} of {budget}");
        println!(
            "{name:10} {budget:6} {used:6} {mean:8.4} {:8.1} {:8.1}",
            share(valid),
            share(distinct.len())
        );
        Ok((mean, share(distinct.len())))
    };
    let branching = Branching { steps: 20, ..Branching::default() };
    let plain = BestOfN { budget: 21, branching: branching.clone() };
    let plain = plain.run(&mut executor, &paths, &drug_likeness, &start, &ids)?;
    let (_, plain_unique) = show("none", 21, &plain)?;
    for budget in [100, 500] {
        let best = BestOfN { budget, branching: branching.clone() };
        let best = best.run(&mut executor, &paths, &drug_likeness, &start, &ids)?;
        let svdd = Svdd { budget, branching: branching.clone() };
        let svdd = svdd.run(&mut executor, &paths, &drug_likeness, &start, &ids)?;
        let smc = Smc { budget, temperature: 0.02, branching: branching.clone(), ..Smc::default() };
        let smc = smc.run(&mut executor, &paths, &drug_likeness, &start, &ids)?;
        let forced = RolloverBudgetForcing { budget, branching: branching.clone(), ..Default::default() };
        let forced = forced.run(&mut executor, &paths, &drug_likeness, &start, &ids)?;
        let (reward, _) = show("best of n", budget, &best)?;
        show("svdd", budget, &svdd)?;
        show("smc", budget, &smc)?;
        let (forced_reward, unique) = show("rbf", budget, &forced)?;
        println!(
            "  rbf over best of n: {:+.4} QED; different molecules over a plain run: {:.2}",
            forced_reward - reward,
            unique / plain_unique
        );
    }
    Ok(())
}
