//! Statistics of a trained network that DPM-Solver-v3 builds its coefficients from.
//!
//! For every component and every node of a λ grid three numbers (Zheng, Lu, Chen & Zhu, "DPM-Solver-v3", NeurIPS 2023):
//!
//! - `l = σ E[diag ∂ε̂/∂x]`, the linear coefficient that makes `f = (σ ε̂ − l x)/α` least sensitive to x;
//! - `s` and `b`, the least-squares line `f' ≈ s f + b` of its total derivative along the path.
//!
//! The paper keeps one triple per pixel. Here it is one per component, because anything finer would tell nodes, axes or
//! frames apart and break the equivariance of the sampler.
//!
//! [`ModelStatistics`] is an artefact that belongs to a checkpoint: versioned JSON with the checkpoint's digest and the
//! paths it was measured on. Cumulative integrals are not stored; they are made again when it is read.

mod estimation;
mod table;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
use crate::path::PathConfig;

pub use estimation::Estimation;
pub(crate) use table::StatisticsTable;

/// The version this code writes and reads.
const VERSION: u32 = 1;

/// The statistics of one component on its λ grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentStatistics {
    /// Name of the component.
    pub name: String,
    /// λ of the nodes, increasing.
    pub lambda: Vec<f64>,
    /// l at the nodes.
    pub l: Vec<f64>,
    /// s at the nodes.
    pub s: Vec<f64>,
    /// b at the nodes.
    pub b: Vec<f64>,
}

/// The artefact as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatisticsFile {
    version: u32,
    checkpoint: String,
    samples: usize,
    paths: Vec<PathConfig>,
    components: Vec<ComponentStatistics>,
}

/// Measured statistics of all components of a network, checked. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StatisticsFile", into = "StatisticsFile")]
pub struct ModelStatistics {
    shared: Arc<Shared>,
}

#[derive(Debug, PartialEq)]
struct Shared {
    file: StatisticsFile,
    tables: Vec<StatisticsTable>,
}

impl ModelStatistics {
    /// Statistics measured on the checkpoint with this digest from `samples` samples along `paths`, one entry of
    /// `components` per path.
    ///
    /// # Errors
    /// [`SamplerError::Statistics`] if the counts differ, a grid has fewer than two nodes or is not increasing, or a
    /// number is not finite; [`SamplerError::PathParameter`] if a path is not usable.
    pub fn new(
        checkpoint: impl Into<String>,
        samples: usize,
        paths: Vec<PathConfig>,
        components: Vec<ComponentStatistics>,
    ) -> Result<Self, SamplerError> {
        let checkpoint = checkpoint.into();
        Self::from_file(StatisticsFile { version: VERSION, checkpoint, samples, paths, components })
    }

    fn from_file(file: StatisticsFile) -> Result<Self, SamplerError> {
        let reject = |problem: String| SamplerError::Statistics { problem };
        if file.version != VERSION {
            return Err(reject(format!("version {} (this program reads version {VERSION})", file.version)));
        }
        if file.components.is_empty() || file.components.len() != file.paths.len() {
            let (components, paths) = (file.components.len(), file.paths.len());
            return Err(reject(format!("{components} components for {paths} paths")));
        }
        for path in &file.paths {
            path.validate()?;
        }
        let tables = file
            .components
            .iter()
            .map(|component| {
                StatisticsTable::new(component)
                    .map_err(|problem| reject(format!("component {:?}: {problem}", component.name)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { shared: Arc::new(Shared { file, tables }) })
    }

    /// Digest of the checkpoint they were measured on.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.shared.file.checkpoint
    }

    /// Number of samples they were measured on.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.shared.file.samples
    }

    /// The paths they were measured along.
    #[must_use]
    pub fn paths(&self) -> &[PathConfig] {
        &self.shared.file.paths
    }

    /// The numbers, one entry per component.
    #[must_use]
    pub fn components(&self) -> &[ComponentStatistics] {
        &self.shared.file.components
    }

    /// Checks that they belong to the checkpoint with this digest.
    ///
    /// # Errors
    /// [`SamplerError::Statistics`] with both digests.
    pub fn check_checkpoint(&self, digest: &str) -> Result<(), SamplerError> {
        if self.checkpoint() == digest {
            return Ok(());
        }
        let problem = format!("they were measured on checkpoint {}, not on {digest}", self.checkpoint());
        Err(SamplerError::Statistics { problem })
    }

    /// Checks that they were measured along these paths and reach from λ of `start` to λ of `end` on each of them.
    pub(crate) fn check_paths(&self, paths: &[PathConfig], start: f64, end: f64) -> Result<(), SamplerError> {
        if self.paths() != paths {
            let problem = format!("they were measured along {:?}, not along {paths:?}", self.paths());
            return Err(SamplerError::Statistics { problem });
        }
        for (path, component) in paths.iter().zip(self.components()) {
            let path = path.build();
            let (first, last) = (component.lambda[0], component.lambda[component.lambda.len() - 1]);
            let slack = 1e-9 * (last - first);
            let (from, to) = (path.lambda(start), path.lambda(end));
            if from < first - slack || to > last + slack {
                let (measured_from, measured_to) = (path.inverse_lambda(first), path.inverse_lambda(last));
                let problem = format!(
                    "component {:?} was measured from t = {measured_from:.6} to {measured_to:.6}; the plan goes from {start:.6} to {end:.6}",
                    component.name
                );
                return Err(SamplerError::Statistics { problem });
            }
        }
        Ok(())
    }

    pub(crate) fn table(&self, component: usize) -> &StatisticsTable {
        &self.shared.tables[component]
    }
}

impl TryFrom<StatisticsFile> for ModelStatistics {
    type Error = SamplerError;
    fn try_from(file: StatisticsFile) -> Result<Self, SamplerError> {
        Self::from_file(file)
    }
}

impl From<ModelStatistics> for StatisticsFile {
    fn from(statistics: ModelStatistics) -> Self {
        statistics.shared.file.clone()
    }
}
