//! What can go wrong while fitting a model.

use std::path::PathBuf;

use equidrift_backend::weights::WeightsError;

/// The errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A checkpoint's container could not be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),

    /// A file of the run folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },

    /// The file is a tensor file, but not one of our checkpoints, or one that lacks a part.
    #[error("{}: not a usable training checkpoint: {reason}; start again from a numbered checkpoint \
             (rename it to last.safetensors) or train into a new folder", path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What is missing or malformed.
        reason: String,
    },

    /// The content of a checkpoint does not have the digest written with it.
    #[error("{}: the checkpoint was altered after it was written: its SHA-256 should be {expected}, found \
             {found}; start again from a numbered checkpoint", path.display())]
    CheckpointDigest {
        /// The file.
        path: PathBuf,
        /// The digest recorded in the file.
        expected: String,
        /// The digest of what the file holds now.
        found: String,
    },

    /// The checkpoint belongs to a run with other settings or other data.
    #[error("{}: the checkpoint was made with {key} = {recorded}, this run has {given}; resume with the \
             settings of the first run (training.toml) or train into a new folder", path.display())]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// The setting that differs.
        key: String,
        /// Its value in the checkpoint.
        recorded: String,
        /// Its value now.
        given: String,
    },

    /// A new run was asked for in a folder that already holds one.
    #[error("{}: this folder already holds a training run or a model; continue a run with --resume, or choose \
             another folder", path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },

    /// Another process trains in the folder.
    #[error("{}: another process is training in this folder", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },

    /// A line of a log is no report of an epoch.
    #[error("{}:{line}: not a line of a training log: {reason}", path.display())]
    LogLine {
        /// The log.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What the decoder found.
        reason: String,
    },

    /// A setting is outside its range.
    #[error("{key} = {value}: {expected}")]
    Setting {
        /// The setting's name.
        key: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },

    /// A vector does not have the length of its partners.
    #[error("{what} has {found} entries, its partners {expected}")]
    Length {
        /// The vector.
        what: &'static str,
        /// The length of its partners.
        expected: usize,
        /// Its length.
        found: usize,
    },

    /// There is nothing to train on.
    #[error("the training set is empty")]
    NoExamples,

    /// There are no held-out examples, but something waits for their loss.
    #[error("{key} = {value} needs held-out examples: give a validation set")]
    NoValidation {
        /// The setting's name.
        key: &'static str,
        /// Its value.
        value: String,
    },

    /// The gradient names a parameter that the model does not have.
    #[error("the gradient has an entry {name}, which is no parameter of the model")]
    UnknownParameter {
        /// The name.
        name: String,
    },

    /// A gradient does not have its parameter's number of entries.
    #[error("the gradient of {name} has shape {found:?}, its parameter {expected:?}")]
    GradientShape {
        /// The parameter.
        name: String,
        /// The parameter's shape.
        expected: Vec<usize>,
        /// The gradient's shape.
        found: Vec<usize>,
    },

    /// A parameter belongs to no optimiser group.
    #[error("parameter {name} starts with none of the optimiser groups' prefixes {prefixes:?}")]
    NoGroup {
        /// The parameter.
        name: String,
        /// The prefixes of the groups.
        prefixes: Vec<String>,
    },

    /// A loss or a gradient norm is not a number: the weights before this step are the last good ones.
    #[error(
        "epoch {epoch}, step {step}: {quantity} is {value}; the last checkpoint is intact: start again with \
             a lower learning rate, or resume it"
    )]
    NotFinite {
        /// Epoch, counted from 1.
        epoch: u64,
        /// Step inside the epoch, counted from 1.
        step: u64,
        /// Which loss or norm.
        quantity: String,
        /// Its value.
        value: f64,
    },

    /// The model could not be evaluated.
    #[error("the objective could not be evaluated: {0}")]
    Objective(#[source] Box<dyn std::error::Error + Send + Sync>),
}
