//! The figures of sets of graphs.

use std::path::PathBuf;

use equidrift_graph::mmd::{Bootstrap, Estimate, Protocol, Replicated, Resampling, Sample, squared_mmd};
use equidrift_graph::vun::{Judgement, Shares};
use equidrift_graph::{Family, Graph, GraphError, Statistic, is_connected};
use serde::Serialize;

use super::reading::GraphSet;
use crate::exit::{Exit, Failure};
use crate::progress;

/// What is to be computed and how.
pub(super) struct Task {
    pub(super) protocol: Protocol,
    /// Ascending, each once.
    pub(super) statistics: Vec<Statistic>,
    pub(super) family: Option<Family>,
    pub(super) bootstrap: Bootstrap,
    pub(super) threads: usize,
}

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Evaluation {
    pub(super) generated: Summary,
    pub(super) reference: Option<Summary>,
    pub(super) training: Option<Summary>,
    pub(super) distances: Option<Distances>,
    pub(super) vun: Vun,
    pub(super) bootstrap: Replicates,
}

/// A set.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) file: PathBuf,
    pub(super) part: Option<String>,
    /// Good and bad ones.
    pub(super) samples: usize,
    pub(super) graphs: usize,
    /// Of them, without nodes.
    pub(super) without_nodes: usize,
    /// Numbers of bad graphs in the file, from 0.
    pub(super) bad_graphs: Vec<u64>,
    pub(super) nodes: Option<Spread>,
    pub(super) edges: Option<Spread>,
    /// Share of connected graphs.
    pub(super) connected: Option<Estimate>,
}

/// How large graphs are.
#[derive(Serialize)]
pub(super) struct Spread {
    #[serde(flatten)]
    pub(super) mean: Estimate,
    pub(super) least: usize,
    pub(super) most: usize,
}

/// Discrepancies to the reference.
#[derive(Serialize)]
pub(super) struct Distances {
    pub(super) kernel: Protocol,
    /// Graphs with nodes of the generated set and of the reference.
    pub(super) generated_graphs: usize,
    pub(super) reference_graphs: usize,
    pub(super) mmd: Vec<Discrepancy>,
    /// The mean of the ratios, if all are there.
    pub(super) mean_ratio: Option<Estimate>,
}

/// One statistic.
#[derive(Serialize)]
pub(super) struct Discrepancy {
    pub(super) metric: Statistic,
    /// Squared MMD of the generated set.
    pub(super) generated: Option<Estimate>,
    /// Of the training set.
    pub(super) training: Option<Estimate>,
    pub(super) ratio: Option<Estimate>,
}

/// Validity, uniqueness, novelty.
#[derive(Serialize)]
pub(super) struct Vun {
    pub(super) kind: Option<Family>,
    #[serde(flatten)]
    pub(super) shares: Option<Shares>,
    /// Pairs of graphs whose comparison was given up.
    pub(super) undecided: u64,
}

/// How standard errors were found.
#[derive(Serialize)]
pub(super) struct Replicates {
    pub(super) replicates: usize,
    pub(super) seed: u64,
}

impl Evaluation {
    pub(super) fn of(
        task: &Task,
        generated: &GraphSet,
        reference: Option<&GraphSet>,
        training: Option<&GraphSet>,
    ) -> Result<Self, Failure> {
        let distances =
            reference.map(|reference| task.distances(generated, reference, training)).transpose()?;
        let trained_on = training.map(|training| training.graphs.as_slice());
        let judgement = Judgement::of(&generated.graphs, task.family, trained_on, task.threads);
        if judgement.undecided > 0 {
            progress::note(&format!(
                "warning: {} comparisons of graphs were given up; these pairs count as different",
                judgement.undecided
            ));
        }
        let generated = Summary::of(generated);
        Ok(Self {
            vun: Vun {
                kind: task.family,
                shares: judgement.shares(generated.samples),
                undecided: judgement.undecided,
            },
            generated,
            reference: reference.map(Summary::of),
            training: training.map(Summary::of),
            distances,
            bootstrap: Replicates { replicates: task.bootstrap.replicates, seed: task.bootstrap.seed },
        })
    }
}

impl Task {
    fn distances(
        &self,
        generated: &GraphSet,
        reference: &GraphSet,
        training: Option<&GraphSet>,
    ) -> Result<Distances, Failure> {
        let with_nodes = |set: &GraphSet| set.graphs.iter().filter(|graph| graph.node_count() > 0).count();
        let bar = progress::bar(self.statistics.len() as u64, "metrics");
        let mut mmd = Vec::new();
        let mut ratios = Vec::new();
        for &statistic in &self.statistics {
            let (discrepancy, ratio) = self.discrepancy(statistic, generated, reference, training)?;
            mmd.push(discrepancy);
            ratios.extend(ratio);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let all: Vec<&Replicated> = ratios.iter().collect();
        let mean =
            || Replicated::of(&all, |values| values.iter().sum::<f64>() / values.len() as f64).estimate();
        Ok(Distances {
            kernel: self.protocol,
            generated_graphs: with_nodes(generated),
            reference_graphs: with_nodes(reference),
            mean_ratio: (ratios.len() == mmd.len() && !mmd.is_empty()).then(mean),
            mmd,
        })
    }

    fn discrepancy(
        &self,
        statistic: Statistic,
        generated: &GraphSet,
        reference: &GraphSet,
        training: Option<&GraphSet>,
    ) -> Result<(Discrepancy, Option<Replicated>), Failure> {
        let of = |set: &GraphSet| {
            // The only error is a graph that is too large.
            let too_large = |error: GraphError| {
                let message = format_args!("{}: {error}; see --metrics", set.file.display()).to_string();
                Failure::message(Exit::BadInput, message)
            };
            statistic.of_each(&set.graphs, self.threads).map_err(too_large)
        };
        let (reference, generated) = (of(reference)?, of(generated)?);
        let training = training.map(of).transpose()?;
        let to_reference = |set: &[Vec<f64>], stream: u64| {
            let set = Sample { statistics: set, resampling: Resampling::Stream(stream) };
            let fixed = Sample { statistics: &reference, resampling: Resampling::Fixed };
            squared_mmd(self.protocol.kernel(statistic), set, fixed, self.bootstrap, self.threads)
        };
        let generated = to_reference(&generated, 0);
        let training = training.and_then(|training| to_reference(&training, 1));
        let ratio = match (&generated, &training) {
            // Rounding is all that parts a training set that is the reference from it.
            (Some(generated), Some(training)) if training.value > 1e-12 => {
                Some(Replicated::of(&[generated, training], |values| values[0] / values[1]))
            }
            _ => None,
        };
        let estimate = |figure: &Option<Replicated>| figure.as_ref().map(Replicated::estimate);
        let discrepancy = Discrepancy {
            metric: statistic,
            generated: estimate(&generated),
            training: estimate(&training),
            ratio: estimate(&ratio),
        };
        Ok((discrepancy, ratio))
    }
}

impl Summary {
    fn of(set: &GraphSet) -> Self {
        let spread = |size: fn(&Graph) -> usize| {
            let sizes: Vec<usize> = set.graphs.iter().map(size).collect();
            let values: Vec<f64> = sizes.iter().map(|size| *size as f64).collect();
            let count = values.len() as f64;
            let deviation = equidrift_graph::mmd::standard_deviation(&values);
            Some(Spread {
                least: sizes.iter().copied().min()?,
                most: sizes.iter().copied().max()?,
                mean: Estimate {
                    value: values.iter().sum::<f64>() / count,
                    standard_error: deviation.map(|deviation| deviation / count.sqrt()),
                },
            })
        };
        let count = set.graphs.len();
        let connected = set.graphs.iter().filter(|graph| is_connected(graph)).count() as f64 / count as f64;
        let binomial = || (connected * (1.0 - connected) / (count as f64 - 1.0)).sqrt();
        Self {
            samples: count + set.bad.len(),
            graphs: count,
            without_nodes: set.graphs.iter().filter(|graph| graph.node_count() == 0).count(),
            nodes: spread(Graph::node_count),
            edges: spread(Graph::edge_count),
            connected: (count > 0)
                .then(|| Estimate { value: connected, standard_error: (count > 1).then(binomial) }),
            file: set.file.clone(),
            part: set.part.clone(),
            bad_graphs: set.bad.clone(),
        }
    }
}
