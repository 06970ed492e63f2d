//! The log of a run as a table: one row per epoch, one column per figure.
//!
//! Columns are named after the parts of an [`EpochReport`]: `epoch`, `steps`, `loss.NAME`, `gradient_norm.NAME`,
//! `learning_rate`, `seconds`, `validation.NAME` (the weights of the last step), `validation_average.NAME`, and the observer's
//! figures as `metric.NAME`. A figure that an epoch does not have is an empty cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use equidrift_backend::atomic::write_atomically;

use crate::error::TrainError;
use crate::run_folder::EpochReport;

/// A table on disk and its columns.
#[derive(Debug, Clone)]
pub(crate) struct CsvLog {
    path: PathBuf,
    columns: Vec<String>,
}

impl CsvLog {
    /// Writes the table of these reports, with all columns that one of them has.
    pub(crate) fn create(path: PathBuf, reports: &[EpochReport]) -> Result<Self, TrainError> {
        let rows: Vec<BTreeMap<Column, f64>> = reports.iter().map(row).collect();
        let columns: BTreeSet<&Column> = rows.iter().flat_map(BTreeMap::keys).collect();
        let columns: Vec<String> = columns.into_iter().map(Column::text).collect();
        let log = Self { path, columns };
        let text = |row: &BTreeMap<Column, f64>| log.line(row).unwrap_or_default();
        write_atomically(&log.path, |file| {
            if !log.columns.is_empty() {
                writeln!(file, "{}", log.columns.join(","))?;
            }
            rows.iter().try_for_each(|row| writeln!(file, "{}", text(row)))
        })
        .map_err(|source| TrainError::Io { path: log.path.clone(), source })?;
        Ok(log)
    }

    /// Adds a row; false, and nothing done, if it has a column that the table lacks.
    pub(crate) fn append(&self, report: &EpochReport) -> Result<bool, TrainError> {
        let Some(line) = self.line(&row(report)) else { return Ok(false) };
        let io = |source| TrainError::Io { path: self.path.clone(), source };
        let mut file = OpenOptions::new().append(true).open(&self.path).map_err(io)?;
        file.write_all(format!("{line}\n").as_bytes()).map_err(io)?;
        Ok(true)
    }

    fn line(&self, row: &BTreeMap<Column, f64>) -> Option<String> {
        let row: BTreeMap<String, f64> = row.iter().map(|(column, value)| (column.text(), *value)).collect();
        if row.keys().any(|name| !self.columns.contains(name)) {
            return None;
        }
        let cell = |name: &String| row.get(name).map_or(String::new(), f64::to_string);
        Some(self.columns.iter().map(cell).collect::<Vec<_>>().join(","))
    }
}

/// A column; they stand in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Epoch,
    Steps,
    Loss(String),
    Validation(String),
    ValidationAverage(String),
    Metric(String),
    GradientNorm(String),
    LearningRate,
    Seconds,
}

impl Column {
    fn text(&self) -> String {
        // The names are identifiers of this workspace; a comma would break the table.
        let named = |kind: &str, name: &str| format!("{kind}.{}", name.replace([',', '"', '\n'], "_"));
        match self {
            Self::Epoch => "epoch".to_owned(),
            Self::Steps => "steps".to_owned(),
            Self::Loss(name) => named("loss", name),
            Self::Validation(name) => named("validation", name),
            Self::ValidationAverage(name) => named("validation_average", name),
            Self::Metric(name) => named("metric", name),
            Self::GradientNorm(name) => named("gradient_norm", name),
            Self::LearningRate => "learning_rate".to_owned(),
            Self::Seconds => "seconds".to_owned(),
        }
    }
}

fn row(report: &EpochReport) -> BTreeMap<Column, f64> {
    let mut row = BTreeMap::from([
        (Column::Epoch, report.epoch as f64),
        (Column::Steps, report.steps as f64),
        (Column::LearningRate, report.learning_rate),
        (Column::Seconds, report.seconds),
    ]);
    let mut insert = |column: fn(String) -> Column, values: &BTreeMap<String, f64>| {
        row.extend(values.iter().map(|(name, value)| (column(name.clone()), *value)));
    };
    insert(Column::Loss, &report.losses);
    insert(Column::GradientNorm, &report.gradient_norms);
    insert(Column::Metric, &report.metrics);
    if let Some(validation) = &report.validation {
        insert(Column::Validation, &validation.raw);
        insert(Column::ValidationAverage, &validation.average);
    }
    row
}
