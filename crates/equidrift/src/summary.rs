//! The figures of a run.
//!
//! Of molecules:
//!
//! | figure | of | meaning |
//! | --- | --- | --- |
//! | validity before repair | all samples | has an atom and passes the valence check as it came out of the model |
//! | validity | all samples | the molecule written passes it (after repair, unless that was switched off) |
//! | uniqueness | valid | distinct canonical SMILES / valid molecules |
//! | novelty | distinct | distinct canonical SMILES that are not in the training set / distinct |
//! | connectedness | valid | one fragment after repair, before the largest one is kept |
//! | stability | all atoms, all samples | bond orders of an atom, or of all atoms of a sample, add up to a valence; before repair, and only where hydrogens are atoms |
//!
//! Of graphs, after nodes without an edge were dropped:
//!
//! | figure | of | meaning |
//! | --- | --- | --- |
//! | graphs | all samples | did not diverge |
//! | connectedness | graphs | one component |

use equidrift_molecule::metrics::stability::{Stability, StabilityTally};
use serde::{Deserialize, Serialize};

use crate::manifest::Diverged;

/// Counts over the samples done so far; kept in the manifest so that a resumed run reports on all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Samples drawn, diverged ones included.
    pub samples: u64,
    /// Samples that became infinite or not a number.
    pub diverged: u64,
    /// Valid as they came out of the model; of graphs: those with an edge.
    pub valid_before_repair: u64,
    /// Valid molecules, or graphs, in the output.
    pub valid: u64,
    /// Valid ones that are connected; of molecules, before the largest fragment was kept.
    pub connected: u64,
    /// Stable atoms and molecules before repair; only of models whose molecules have their hydrogens as atoms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stability: Option<StabilityTally>,
    /// Nodes of all graphs in the output; not counted for molecules.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nodes: u64,
    /// Edges of all graphs in the output; not counted for molecules.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub edges: u64,
}

impl Tally {
    /// Adds the counts of another part of the same run.
    pub fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.diverged += other.diverged;
        self.valid_before_repair += other.valid_before_repair;
        self.valid += other.valid;
        self.connected += other.connected;
        if let Some(other) = &other.stability {
            self.stability.get_or_insert_default().merge(other);
        }
        self.nodes += other.nodes;
        self.edges += other.edges;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Shares of the time of all workers; they add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeShares {
    /// Evaluating the networks; none where that is not told from the sampler (models of family pard).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<f64>,
    /// The sampler around the networks: noise, steps, norms.
    pub sampler: f64,
    /// Making molecules or graphs of final states.
    pub decoding: f64,
}

/// What a run reports at its end, whatever it made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Name of the model.
    pub model: String,
    /// Name of the sampler.
    pub sampler: String,
    /// Its number of steps; 0 where every sample has its own.
    pub steps: usize,
    /// Network evaluations per sample (each evaluates the node and the edge network once); where every sample has its own
    /// number, the mean over this process's samples, rounded up.
    pub evaluations_per_sample: usize,
    /// The engine that evaluated the networks.
    pub engine: String,
    /// The device it ran on.
    pub device: String,
    /// The seed.
    pub seed: u64,
    /// Samples asked for (of this shard).
    pub requested: u64,
    /// Whether all of them were drawn.
    pub complete: bool,
    /// Samples drawn, earlier runs of a resumed job included.
    pub samples: u64,
    /// Samples drawn by this process.
    pub samples_this_run: u64,
    /// Samples that became infinite or not a number, with the step.
    pub diverged: Vec<Diverged>,
    /// Wall time of this process's sampling, in seconds.
    pub seconds: f64,
    /// Where the time of its workers went, of molecules and graphs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeShares>,
    /// Where the results are, unless on standard output.
    pub output: Option<String>,
    /// SHA-256 of the output file, where there is one.
    pub output_sha256: Option<String>,
}

impl RunSummary {
    /// Samples drawn by this process per second.
    #[must_use]
    pub fn samples_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.samples_this_run as f64 / self.seconds } else { 0.0 }
    }
}

/// What a run of molecules reports at its end; `--json` prints exactly this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What every run reports.
    #[serde(flatten)]
    pub run: RunSummary,
    /// The chemistry library.
    pub chemistry: String,
    /// Share of the samples that were valid before repair.
    pub validity_before_repair: f64,
    /// Share of the samples whose written molecule is valid.
    pub validity: f64,
    /// Valid molecules in the output.
    pub valid: u64,
    /// Distinct among the valid ones, as a share.
    pub uniqueness: f64,
    /// Share of the distinct ones that the training set lacks; none where no training set was given.
    pub novelty: Option<f64>,
    /// Share of the valid ones that were one fragment before the largest was kept.
    pub connectedness: f64,
    /// Shares of stable atoms and of stable molecules among the samples before repair; none of models without hydrogens.
    #[serde(flatten)]
    pub stability: Option<Stability>,
    /// Samples drawn by this process per second.
    pub molecules_per_second: f64,
}

/// What a run of graphs reports at its end; `--json` prints exactly this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphSummary {
    /// What every run reports.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Graphs in the output: the samples that did not diverge.
    pub graphs: u64,
    /// Graphs that came out of the model without an edge and are written as a single node.
    pub without_edges: u64,
    /// Nodes per graph, mean over `graphs`.
    pub mean_nodes: f64,
    /// Edges per graph, mean over `graphs`.
    pub mean_edges: f64,
    /// Share of `graphs` that are connected.
    pub connectedness: f64,
    /// Samples drawn by this process per second.
    pub graphs_per_second: f64,
}

/// What a run of trajectories reports at its end; `--json` prints exactly this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrajectorySummary {
    /// What every run reports.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Trajectories in the output: the samples that did not diverge.
    pub trajectories: u64,
    /// Starting windows, over all shards.
    pub windows: u64,
    /// Samples for each of them.
    pub samples_per_window: u64,
    /// Frames of a trajectory.
    pub frames: u64,
    /// Atoms of a frame.
    pub atoms: u64,
    /// Samples drawn by this process per second.
    pub trajectories_per_second: f64,
}

/// `part / whole`; zero of nothing is zero.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_nothing_are_zero() {
        assert_eq!(share(0, 0), 0.0);
        assert_eq!(share(1, 4), 0.25);
    }
}
