//! The flags of a training run that do not depend on what is trained on.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift::training::ScheduleSettings;
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use serde_json::{Map, Value, json};

use crate::weights::Weights;

/// Settings of the loop; each has a name in the configuration file.
#[derive(Debug, Args)]
pub(crate) struct LoopFlags {
    /// Passes over the data [default: 300]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// Examples evaluated at once [default: 1024]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Batches per optimiser step: as one batch that many times larger, in the memory of one [default: 1]
    #[arg(long, value_name = "BATCHES", value_parser = clap::value_parser!(u32).range(1..))]
    accumulate: Option<u32>,
    /// Adam, or AdamW, whose weight decay stays out of the gradient's moments [default: adam]
    #[arg(long, value_enum, help_heading = "Optimiser")]
    optimiser: Option<Optimiser>,
    /// Weight decay [default: 0.0001]
    #[arg(long, help_heading = "Optimiser")]
    weight_decay: Option<f64>,
    /// Decay of the mean of the gradient [default: 0.9]
    #[arg(long, help_heading = "Optimiser")]
    beta1: Option<f64>,
    /// Decay of the mean of the squared gradient [default: 0.999]
    #[arg(long, help_heading = "Optimiser")]
    beta2: Option<f64>,
    /// Added to the root of that mean [default: 1e-8]
    #[arg(long, help_heading = "Optimiser")]
    epsilon: Option<f64>,
    /// Largest gradient norm of each network [default: 1]
    #[arg(long, help_heading = "Optimiser")]
    clip_norm: Option<f64>,
    /// Decay of the moving average of the weights [default: 0.999]
    #[arg(long, help_heading = "Optimiser")]
    ema: Option<f64>,
    /// Learning rate, of the first epoch or after the warm-up [default: 0.005]
    #[arg(long, help_heading = "Learning rate")]
    lr: Option<f64>,
    /// How it goes on: constant; exponential, a factor per epoch; cosine, down to a floor; plateau, lowered when the
    /// validation loss no longer falls [default: exponential]
    #[arg(long, value_parser = ScheduleSettings::NAMES, value_name = "NAME", help_heading = "Learning rate")]
    schedule: Option<String>,
    /// exponential: factor after each epoch [default: 0.999]
    #[arg(long, help_heading = "Learning rate")]
    lr_decay: Option<f64>,
    /// cosine, plateau: the lowest rate [default: 0]
    #[arg(long, help_heading = "Learning rate")]
    lr_floor: Option<f64>,
    /// cosine: epochs until the floor [default: those of the run]
    #[arg(long, value_name = "EPOCHS", help_heading = "Learning rate")]
    cosine_epochs: Option<u64>,
    /// plateau: factor of each reduction [default: 0.5]
    #[arg(long, help_heading = "Learning rate")]
    plateau_factor: Option<f64>,
    /// plateau: validations without improvement before a reduction [default: 10]
    #[arg(long, value_name = "VALIDATIONS", help_heading = "Learning rate")]
    plateau_patience: Option<u64>,
    /// plateau: relative fall of the loss that is an improvement [default: 0.001]
    #[arg(long, help_heading = "Learning rate")]
    plateau_threshold: Option<f64>,
    /// Steps of linear warm-up, in front of any schedule [default: 0]
    #[arg(long, value_name = "STEPS", help_heading = "Learning rate")]
    warmup_steps: Option<u64>,
    /// Epochs of linear warm-up, in front of any schedule [default: 0]
    #[arg(long, value_name = "EPOCHS", help_heading = "Learning rate")]
    warmup_epochs: Option<u64>,
    /// Rows of the data to validate with, which are not trained on: 0-based line numbers, one a line
    #[arg(long, value_name = "FILE", help_heading = "Validation")]
    validation_rows: Option<PathBuf>,
    /// Share of the data to validate with, drawn by the seed, e.g. 0.05
    #[arg(long, value_name = "SHARE", help_heading = "Validation")]
    validation_fraction: Option<f64>,
    /// A file of its own to validate with
    #[arg(long, value_name = "FILE", help_heading = "Validation")]
    validation_data: Option<PathBuf>,
    /// Epochs from one validation to the next [default: 1]
    #[arg(long, value_name = "EPOCHS", help_heading = "Validation")]
    validate_every: Option<u64>,
    /// Draws of time and noise for each held-out example, the same every time [default: 1]
    #[arg(long, value_name = "DRAWS", help_heading = "Validation")]
    validation_draws: Option<u64>,
    /// Stop after this many validations without improvement, 0: never [default: 0]
    #[arg(long, value_name = "VALIDATIONS", help_heading = "Validation")]
    patience: Option<u64>,
    /// Smallest fall of the validation loss that is an improvement for --patience [default: 0]
    #[arg(long, value_name = "LOSS", help_heading = "Validation")]
    min_delta: Option<f64>,
    /// Which state the model gets [default: last]
    #[arg(long, value_enum, help_heading = "Validation")]
    keep: Option<Keep>,
    /// Draw samples every this many epochs and log their figures, 0: never [default: 0]
    #[arg(long, value_name = "EPOCHS", help_heading = "Samples during training")]
    sample_every: Option<u64>,
    /// How many samples [default: 1000]
    #[arg(long, value_name = "SAMPLES", help_heading = "Samples during training")]
    sample_num: Option<u64>,
    /// Their seed, the same every time [default: 0]
    #[arg(long, value_name = "SEED", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    #[arg(help_heading = "Samples during training")]
    sample_seed: Option<u64>,
    /// Sampler, e.g. heun [default: the model's]
    #[arg(long, value_name = "NAME", help_heading = "Samples during training")]
    sample_sampler: Option<String>,
    /// Its steps [default: the model's]
    #[arg(long, value_name = "STEPS", help_heading = "Samples during training")]
    sample_steps: Option<u64>,
    /// What the samples are compared with, by NSPDK MMD: .smi, or .safetensors of `evaluate --save-statistics`
    #[arg(long, value_name = "FILE", help_heading = "Samples during training")]
    sample_reference: Option<PathBuf>,
    /// Weights of ChemNet, for the FCD to the reference
    #[arg(long, value_name = "FILE", help_heading = "Samples during training")]
    sample_chemnet: Option<PathBuf>,
    /// Keep a checkpoint and write the model every this many epochs, 0: only at the end [default: 10]
    #[arg(long, value_name = "EPOCHS", help_heading = "Run folder")]
    checkpoint_every: Option<u64>,
    /// Write the newest state every this many steps, 0: by time [default: 0]
    #[arg(long, value_name = "STEPS", help_heading = "Run folder")]
    checkpoint_steps: Option<u64>,
    /// Write the newest state after this many seconds, 0: after every epoch [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = "Run folder")]
    checkpoint_seconds: Option<f64>,
    /// Which weights the model gets, and validation and samples judge [default: raw]
    #[arg(long, value_enum, help_heading = "Run folder")]
    weights: Option<Weights>,
    /// Keep the log as log.csv, too
    #[arg(long, help_heading = "Run folder")]
    csv: bool,
    /// Do not draw loss.svg
    #[arg(long, help_heading = "Run folder")]
    no_plot: bool,
    /// Family of models [default: gdss, or that of the preset]
    #[arg(long, value_enum)]
    family: Option<Family>,
    /// Name of the model
    #[arg(long)]
    name: Option<String>,
    /// Seed of weights, order, times and noise [default: 42]
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// What computes the gradients [default: fused on the cpu, burn elsewhere]
    #[arg(long, value_name = "fused|burn")]
    engine: Option<EngineKind>,
    /// Device: cpu, tch, cuda[:i], wgpu[:i] (as compiled in) [default: cpu]
    #[arg(long)]
    device: Option<DeviceKind>,
    /// Threads; change speed, never a weight [default: one per processor]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

/// Which family.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Family {
    /// Score-based diffusion of node features and adjacency
    Gdss,
    /// Categorical diffusion, block by block
    Pard,
}

/// Which optimiser.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Optimiser {
    Adam,
    #[value(name = "adamw")]
    AdamW,
}

/// What to do with what cannot be used.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Unusable {
    /// Leave it out and count it
    Skip,
    /// End with an error
    Fail,
}

/// What the adjacency of molecules holds.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Bonds {
    /// None 0, single 1, double 2, triple 3; aromatic rings are kekulised
    Orders,
    /// None 0, single 1, aromatic 2, double 3, triple 4; samples are kekulised
    Aromatic,
}

/// Which state.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Keep {
    /// The newest
    Last,
    /// That with the best validation loss
    Best,
}

/// A value under its name in the configuration, `table.name` in a table.
pub(crate) fn insert(table: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    let Some(value) = value else { return };
    match name.split_once('.') {
        None => {
            table.insert(name.to_owned(), value);
        }
        Some((outer, inner)) => {
            if let Value::Object(table) = table.entry(outer).or_insert_with(|| json!({})) {
                table.insert(inner.to_owned(), value);
            }
        }
    }
}

/// The name of a value of an enumeration.
pub(crate) fn named(value: impl ValueEnum) -> Value {
    value.to_possible_value().map_or(Value::Null, |value| json!(value.get_name()))
}

impl LoopFlags {
    /// The settings that were given as flags, under their names in the configuration.
    pub(crate) fn table(&self) -> Map<String, Value> {
        let mut table = Map::new();
        macro_rules! given {
            ($($name:literal: $flag:ident),* $(,)?) => {
                $(insert(&mut table, $name, self.$flag.as_ref().map(|value| json!(value)));)*
            };
        }
        given! {
            "name": name, "epochs": epochs, "batch": batch, "accumulate": accumulate,
            "learning_rate": lr, "learning_rate_decay": lr_decay,
            "warmup_steps": warmup_steps, "warmup_epochs": warmup_epochs,
            "schedule.name": schedule, "schedule.floor": lr_floor, "schedule.epochs": cosine_epochs,
            "schedule.factor": plateau_factor, "schedule.patience": plateau_patience,
            "schedule.threshold": plateau_threshold,
            "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weight_decay": weight_decay,
            "clip_norm": clip_norm, "average_decay": ema, "seed": seed,
            "validation.rows": validation_rows, "validation.fraction": validation_fraction,
            "validation.data": validation_data, "validation.every": validate_every,
            "validation.draws": validation_draws, "validation.patience": patience,
            "validation.min_delta": min_delta,
            "sampling.every": sample_every, "sampling.num": sample_num, "sampling.seed": sample_seed,
            "sampling.sampler": sample_sampler, "sampling.steps": sample_steps,
            "sampling.reference": sample_reference, "sampling.chemnet": sample_chemnet,
            "checkpoint_every": checkpoint_every, "checkpoint_steps": checkpoint_steps,
            "checkpoint_seconds": checkpoint_seconds,
            "engine": engine, "device": device, "threads": threads,
        }
        insert(
            &mut table,
            "pard",
            self.family.map(|family| match family {
                Family::Gdss => Value::Null,
                Family::Pard => json!({}),
            }),
        );
        insert(&mut table, "optimiser", self.optimiser.map(named));
        insert(&mut table, "keep", self.keep.map(named));
        insert(&mut table, "weights", self.weights.map(named));
        insert(&mut table, "csv", self.csv.then_some(Value::Bool(true)));
        insert(&mut table, "plot", self.no_plot.then_some(Value::Bool(false)));
        table
    }
}
