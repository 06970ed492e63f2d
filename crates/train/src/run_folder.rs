//! The files of a training run: checkpoints and the log.
//!
//! ```text
//! FOLDER/log.jsonl                        one JSON object per finished epoch
//! FOLDER/log.csv                          the same as a table, on request
//! FOLDER/checkpoints/last.safetensors     the newest state, replaced as often as the intervals say
//! FOLDER/checkpoints/best.safetensors     the state with the best validation loss
//! FOLDER/checkpoints/epoch-00005.safetensors   kept, one every k epochs
//! FOLDER/.lock                            held by the process that trains
//! ```
//!
//! Log lines are written before the checkpoint of the same epoch. A run that was killed therefore has lines too many,
//! never too few, and [`RunFolder::resume`] cuts the log back to what the checkpoint knows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use equidrift_backend::atomic::{PARTIAL_PREFIX, link_atomically, write_atomically};
use serde::{Deserialize, Serialize};

use crate::checkpoint::TrainingState;
use crate::csv_log::CsvLog;
use crate::error::TrainError;
use crate::validation::ValidationReport;

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
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Wall time of the epoch's steps in seconds.
    pub seconds: f64,
    /// Losses of the held-out examples, where the epoch was validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationReport>,
    /// Figures measured by the observer, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// When the newest state is written, beside the end of the run and of the epochs whose checkpoints are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intervals {
    /// Every this many optimiser steps; 0: by time only.
    pub steps: u64,
    /// At the first step after this many seconds; 0: at the end of every epoch.
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
    intervals: Intervals,
    csv: Option<RefCell<CsvLog>>,
    /// Locked as long as a copy of it lives.
    _lock: Arc<File>,
}

impl RunFolder {
    /// Starts a run in `path`, which is created if needed. A numbered checkpoint is kept every `every` epochs, none if it is
    /// 0; the newest state is written after every epoch, unless [`RunFolder::with_intervals`] says otherwise.
    ///
    /// # Errors
    /// [`TrainError::FolderInUse`] if there is a checkpoint already; [`TrainError::Busy`]; [`TrainError::Io`].
    pub fn create(path: &Path, run: BTreeMap<String, String>, every: u64) -> Result<Self, TrainError> {
        let folder = Self::open(path, run, every)?;
        if folder.last().exists() {
            return Err(TrainError::FolderInUse { path: path.to_owned() });
        }
        folder.rewrite_log(0)?;
        Ok(folder)
    }

    /// Opens a run that was stopped or killed. `None` for the state if it had not yet written a checkpoint.
    ///
    /// # Errors
    /// See [`TrainingState::read`]; [`TrainError::Busy`] if another process trains there.
    pub fn resume(
        path: &Path,
        run: BTreeMap<String, String>,
        every: u64,
    ) -> Result<(Self, Option<TrainingState>), TrainError> {
        let folder = Self::open(path, run, every)?;
        if !folder.last().exists() {
            folder.rewrite_log(0)?;
            return Ok((folder, None));
        }
        let state = TrainingState::read(&folder.last(), &folder.run)?;
        folder.rewrite_log(state.progress.epochs)?;
        Ok((folder, Some(state)))
    }

    fn open(path: &Path, run: BTreeMap<String, String>, every: u64) -> Result<Self, TrainError> {
        let checkpoints = path.join("checkpoints");
        fs::create_dir_all(&checkpoints).map_err(|source| TrainError::Io { path: checkpoints, source })?;
        let lock = Arc::new(lock(path)?);
        let (path, intervals) = (path.to_owned(), Intervals::default());
        let folder = Self { path, run, every, intervals, csv: None, _lock: lock };
        folder.remove_partial_files()?;
        Ok(folder)
    }

    /// The same folder with the newest state written at these intervals.
    #[must_use]
    pub fn with_intervals(self, intervals: Intervals) -> Self {
        Self { intervals, ..self }
    }

    /// The same folder with the log kept as a table as well, in `log.csv`.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn with_csv(self) -> Result<Self, TrainError> {
        let csv = CsvLog::create(self.path.join("log.csv"), &self.reports()?)?;
        Ok(Self { csv: Some(RefCell::new(csv)), ..self })
    }

    /// The run's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the newest checkpoint.
    pub fn last(&self) -> PathBuf {
        self.checkpoints().join("last.safetensors")
    }

    /// Path of the checkpoint with the best validation loss.
    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }

    /// Path of the log.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// Whether epoch `epoch` (counted from 1) is one whose checkpoint is kept.
    pub fn keeps(&self, epoch: u64) -> bool {
        self.every > 0 && epoch > 0 && epoch.is_multiple_of(self.every)
    }

    /// When the newest state is to be written.
    pub fn intervals(&self) -> Intervals {
        self.intervals
    }

    /// Replaces the newest checkpoint, if `best` also the best one, and at the end of an epoch that is to be kept adds the
    /// numbered one. All are one file with several names.
    ///
    /// # Errors
    /// See [`TrainingState::write`]; [`TrainError::Io`].
    pub fn save(&self, state: &TrainingState, best: bool) -> Result<(), TrainError> {
        let epoch = state.progress.epochs;
        let mut names = Vec::new();
        if self.keeps(epoch) && state.progress.partial.steps == 0 {
            names.push(self.checkpoints().join(format!("epoch-{epoch:05}.safetensors")));
        }
        if best {
            names.push(self.best());
        }
        // The newest comes last: a run that is killed before that repeats the epoch, and with it the other names.
        names.push(self.last());
        state.write(&names[0], &self.run)?;
        for name in &names[1..] {
            link_atomically(&names[0], name)
                .map_err(|source| TrainError::Io { path: name.clone(), source })?;
        }
        Ok(())
    }

    /// The state with the best validation loss, if there was a validation.
    ///
    /// # Errors
    /// See [`TrainingState::read`].
    pub fn read_best(&self) -> Result<Option<TrainingState>, TrainError> {
        let path = self.best();
        path.exists().then(|| TrainingState::read(&path, &self.run)).transpose()
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
        file.write_all(line.as_bytes()).map_err(io)?;
        if let Some(csv) = &self.csv
            && !csv.borrow().append(report)?
        {
            // A figure that no epoch had before: the table gets a new column.
            csv.replace(CsvLog::create(self.path.join("log.csv"), &self.reports()?)?);
        }
        Ok(())
    }

    /// The lines of the log.
    ///
    /// # Errors
    /// See [`read_log`].
    pub fn reports(&self) -> Result<Vec<EpochReport>, TrainError> {
        let path = self.log();
        if path.exists() { read_log(&path) } else { Ok(Vec::new()) }
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

    /// Removes what processes that were killed in the middle of writing left in the folder.
    fn remove_partial_files(&self) -> Result<(), TrainError> {
        for folder in [&self.path, &self.checkpoints()] {
            let io = |source| TrainError::Io { path: folder.clone(), source };
            for entry in fs::read_dir(folder).map_err(io)? {
                let entry = entry.map_err(io)?;
                if entry.file_name().to_string_lossy().starts_with(PARTIAL_PREFIX) {
                    fs::remove_file(entry.path())
                        .map_err(|source| TrainError::Io { path: entry.path(), source })?;
                }
            }
        }
        Ok(())
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }
}

/// Reads a log. A last line that is not complete, as a kill may leave it, is left out.
///
/// # Errors
/// [`TrainError::Io`]; [`TrainError::LogLine`] for any other line that is no report.
pub fn read_log(path: &Path) -> Result<Vec<EpochReport>, TrainError> {
    let text = fs::read_to_string(path).map_err(|source| TrainError::Io { path: path.to_owned(), source })?;
    let (lines, mut reports) = (text.lines().count(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        match serde_json::from_str(line) {
            Ok(report) => reports.push(report),
            Err(_) if number == lines && !text.ends_with('\n') => {}
            Err(error) => {
                let reason = error.to_string();
                return Err(TrainError::LogLine { path: path.to_owned(), line: number, reason });
            }
        }
    }
    Ok(reports)
}

/// Takes the folder for this process. The operating system lets go of it when the process ends in whatever way.
fn lock(path: &Path) -> Result<File, TrainError> {
    let lock = path.join(".lock");
    let io = |source| TrainError::Io { path: lock.clone(), source };
    let file = OpenOptions::new().create(true).append(true).open(&lock).map_err(io)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy { path: path.to_owned() }),
        // Some network file systems know no locks; working without is better than not at all.
        _ => Ok(file),
    }
}
