//! `equidrift train molecules`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift::training::{PRESETS, TrainRequest, TrainingSettings, train_molecules};
use serde_json::{Value, json};

use super::flags::{Bonds, LoopFlags, Unusable, insert, named};
use super::{fit, settings};
use crate::exit::CliResult;

/// A model of molecules, from a SMILES file
///
/// Trains the score networks of GDSS by denoising score matching or, with `--family pard`, the networks of Pard, which draw
/// classes of atoms and bonds in one block (max_hops = 0 in table [pard] of a configuration file) or block by block. The output folder is a model folder (use it with `generate
/// molecules --model DIR`, also while the training goes on) and holds log.jsonl (losses per epoch), loss.svg (the same as
/// curves), training.toml (the settings in force) and checkpoints/. A run that was interrupted or killed goes on with
/// --resume and ends with the same weights as one that was not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift train molecules --data qm9.smi --test-rows qm9_test_idx.txt --preset qm9 -o qm9-model
  equidrift train molecules --data qm9.smi --test-rows qm9_test_idx.txt --preset qm9 -o qm9-model --resume
  equidrift train molecules --data qm9.eds --split digress --validation-data qm9.eds:digress:val -o qm9-digress
  equidrift train molecules --data mine.smi.gz --atoms C,N,O,S --on-unknown-atom skip --epochs 100 -o mine
  equidrift train molecules --data mine.smi --validation-fraction 0.05 --patience 20 --keep best --weights ema -o mine
  equidrift train molecules --data mine.smi --optimiser adamw --schedule cosine --lr-floor 1e-5 --warmup-steps 500 -o mine
  equidrift train molecules --data mine.smi --sample-every 10 --sample-sampler heun --sample-steps 50 --csv -o mine
  equidrift train molecules --data mine.smi --config training.toml --lr 0.002 -o other
  equidrift train molecules --data mine.smi --family pard --epochs 20 -o my-pard
  equidrift train molecules --data qm9.smi --test-rows qm9_test_idx.txt --family pard --preset qm9 -o qm9-pard
  equidrift generate molecules --model qm9-model --num 1000 -o molecules.smi

A configuration file (TOML) has the same names as training.toml; it wins over the preset, and flags win over it. Only there:
the layer sizes ([networks]), the noise paths ([paths]), the model's default sampler ([sampler]) and its steps (steps); the settings of
family pard ([pard]).")]
pub(crate) struct TrainMoleculesArgs {
    /// SMILES file, one molecule a line, may be gzipped; or a prepared data set, FILE.eds or FILE.eds:SCHEME:PART (see
    /// `datasets prepare`)
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Folder of the run and of the model
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Rows of the data that are neither trained on nor validated with: 0-based line numbers, one a line
    #[arg(long, value_name = "FILE")]
    test_rows: Option<PathBuf>,
    /// The part of a prepared data set that is trained on: a scheme, whose part `train` is meant, or SCHEME:PART
    #[arg(long, value_name = "SCHEME", conflicts_with = "test_rows")]
    split: Option<String>,
    /// Published settings to start from; qm9-hydrogens is of family pard, the others are of either [default: those of qm9, with
    /// the elements found in the data]
    #[arg(long, value_name = "NAME", value_parser = PRESETS)]
    preset: Option<String>,
    /// Settings in TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Continue the run in the output folder
    #[arg(long)]
    resume: bool,
    /// Elements of the node features, in order, e.g. C,N,O,F; `detect` takes those of the data
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    atoms: Option<Vec<String>>,
    /// What the model's adjacency holds [default: orders]
    #[arg(long, value_enum)]
    bonds: Option<Bonds>,
    /// What to do with lines that are no molecule [default: skip]
    #[arg(long, value_enum)]
    on_bad_line: Option<Unusable>,
    /// What to do with molecules that have another element [default: fail]
    #[arg(long, value_enum)]
    on_unknown_atom: Option<Unusable>,
    /// Whether hydrogens are atoms of the graphs [default: implicit]
    #[arg(long, value_enum)]
    hydrogens: Option<Hydrogens>,
    /// Begin with the weights of a model: the name of an embedded one, or a folder. Its networks must be the same; those of
    /// GDSS may know other elements
    #[arg(long, value_name = "MODEL")]
    init: Option<String>,
    #[command(flatten)]
    settings: LoopFlags,
    /// Print a summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// What becomes of hydrogens.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Hydrogens {
    /// Left to the valences
    Implicit,
    /// Atoms like all others
    Explicit,
}

pub(super) fn run(args: &TrainMoleculesArgs) -> CliResult {
    let settings =
        settings(TrainingSettings::merge, args.preset.as_deref(), args.config.as_deref(), flags(args))?;
    let request = TrainRequest {
        data: args.data.clone(),
        output: args.output.clone(),
        test_rows: args.test_rows.clone(),
        split: args.split.clone(),
        resume: args.resume,
        settings,
    };
    fit(&request, args.json, train_molecules)
}

/// The settings that were given as flags, under their names in the configuration.
fn flags(args: &TrainMoleculesArgs) -> Value {
    let mut table = args.settings.table();
    insert(&mut table, "init", args.init.as_ref().map(|name| json!(name)));
    let atoms = args.atoms.as_ref().map(|atoms| match atoms.as_slice() {
        [one] if one == "detect" => json!([]),
        list => json!(list.iter().map(|symbol| symbol.trim()).collect::<Vec<_>>()),
    });
    insert(&mut table, "atoms", atoms);
    insert(&mut table, "hydrogens", args.hydrogens.map(named));
    insert(&mut table, "bonds", args.bonds.map(named));
    insert(&mut table, "on_bad_line", args.on_bad_line.map(named));
    insert(&mut table, "on_unknown_atom", args.on_unknown_atom.map(named));
    table.into()
}
