//! The files of a training run: checkpoints and the log.
//!
//! ```text
//! FOLDER/log.jsonl                        one JSON object per finished epoch
//! FOLDER/checkpoints/last.safetensors     the newest state, replaced after every epoch
//! FOLDER/checkpoints/epoch-00005.safetensors   kept, one every k epochs
//! ```
//!
//! The log line is written before the checkpoint of the same epoch. A run killed between the two therefore has a line
//! too many, never one too few, and [`RunFolder::resume`] cuts the log back to what the checkpoint knows.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use equidrift_backend::atomic::write_atomically;
use serde::{Deserialize, Serialize};

use crate::checkpoint::TrainingState;
use crate::error::TrainError;

/// One line of the log: means over an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch, counted from 1.
    pub epoch: u64,
    /// Optimiser steps since the start of the run.
    pub steps: u64,
    /// Mean of each loss over the epoch's examples, by name.
    pub losses: BTreeMap<String, f64>,
    /// Mean over the epoch's steps of each group's gradient norm before clipping.
    pub gradient_norms: BTreeMap<String, f64>,
    /// Learning rate of the epoch.
    pub learning_rate: f64,
    /// Wall time of the epoch in seconds.
    pub seconds: f64,
}

/// A training run on disk.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    /// What identifies the run: setting -> value.
    run: BTreeMap<String, String>,
    /// Keep a numbered checkpoint every this many epochs; 0 keeps none.
    every: u64,
}

impl RunFolder {
    /// Starts a run in `path`, which is created if needed.
    ///
    /// # Errors
    /// [`TrainError::FolderInUse`] if there is a checkpoint already; [`TrainError::Io`].
    pub fn create(path: &Path, run: BTreeMap<String, String>, every: u64) -> Result<Self, TrainError> {
        let folder = Self { path: path.to_owned(), run, every };
        if folder.last().exists() {
            return Err(TrainError::FolderInUse { path: path.to_owned() });
        }
        let checkpoints = folder.checkpoints();
        fs::create_dir_all(&checkpoints).map_err(|source| TrainError::Io { path: checkpoints, source })?;
        folder.rewrite_log(0)?;
        Ok(folder)
    }

    /// Opens a run that was stopped or killed. `None` for the state if it had not yet written a checkpoint.
    ///
    /// # Errors
    /// See [`TrainingState::read`].
    pub fn resume(
        path: &Path,
        run: BTreeMap<String, String>,
        every: u64,
    ) -> Result<(Self, Option<TrainingState>), TrainError> {
        let folder = Self { path: path.to_owned(), run, every };
        if !folder.last().exists() {
            return Ok((Self::create(path, folder.run, every)?, None));
        }
        let state = TrainingState::read(&folder.last(), &folder.run)?;
        folder.rewrite_log(state.progress.epochs)?;
        Ok((folder, Some(state)))
    }

    /// The run's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the newest checkpoint.
    pub fn last(&self) -> PathBuf {
        self.checkpoints().join("last.safetensors")
    }

    /// Path of the log.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// Whether epoch `epoch` (counted from 1) is one whose checkpoint is kept.
    pub fn keeps(&self, epoch: u64) -> bool {
        self.every > 0 && epoch > 0 && epoch.is_multiple_of(self.every)
    }

    /// Replaces the newest checkpoint and, at the end of an epoch that is to be kept, writes the numbered one.
    ///
    /// # Errors
    /// See [`TrainingState::write`].
    pub fn save(&self, state: &TrainingState) -> Result<(), TrainError> {
        // The newest first: it is the one that must survive a full disk.
        state.write(&self.last(), &self.run)?;
        let epoch = state.progress.epochs;
        if self.keeps(epoch) && state.progress.partial.steps == 0 {
            state.write(&self.checkpoints().join(format!("epoch-{epoch:05}.safetensors")), &self.run)?;
        }
        Ok(())
    }

    /// Adds a line to the log.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn append(&self, report: &EpochReport) -> Result<(), TrainError> {
        let path = self.log();
        let io = |source| TrainError::Io { path: path.clone(), source };
        let mut line = serde_json::to_string(report).map_err(|error| io(error.into()))?;
        line.push('\n');
        let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(io)?;
        file.write_all(line.as_bytes()).map_err(io)
    }

    /// Keeps the log lines of the first `epochs` epochs; a line cut short by a kill goes too.
    fn rewrite_log(&self, epochs: u64) -> Result<(), TrainError> {
        let path = self.log();
        let io = |source| TrainError::Io { path: path.clone(), source };
        let old = if path.exists() { fs::read_to_string(&path).map_err(io)? } else { String::new() };
        let known = |line: &&str| {
            serde_json::from_str::<EpochReport>(line).is_ok_and(|report| report.epoch <= epochs)
        };
        let kept: Vec<&str> = old.lines().filter(known).collect();
        write_atomically(&path, |file| kept.iter().try_for_each(|line| writeln!(file, "{line}"))).map_err(io)
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }
}
