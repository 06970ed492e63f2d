//! Batches of a GDSS model: two components of real numbers, through a plan or an adaptive sampler.

use std::sync::Arc;

use equidrift_gdss::{GdssDenoiser, GdssModel};
use equidrift_sampler::plan::{DpmSolverV3, NormScope};
use equidrift_sampler::{
    DType, Device, Executor, KeyedNoise, Observer, PathConfig, SamplerConfig, State, Support,
};

use super::Report;
use super::sampling::{BatchSampler, Drawn};
use super::stopwatch::{Stopwatch, Timed};
use crate::batching::Batch;
use crate::course::Course;
use crate::error::Error;
use crate::model::Model;
use crate::node_counts::NodeCounts;
use crate::request::GenerateRequest;
use crate::workers::StopSignal;

struct GdssSampler {
    seed: u64,
    norm: NormScope,
    course: Course,
    node_counts: NodeCounts,
    paths: [PathConfig; 2],
    denoiser: Arc<GdssDenoiser>,
    device: Device,
    features: usize,
    scales: [f64; 2],
}

/// The request with everything filled in, its course, and what draws its batches.
pub(super) fn open(
    request: &GenerateRequest,
    model: &Model,
    gdss: &GdssModel,
) -> Result<(GenerateRequest, Course, Box<dyn BatchSampler>), Error> {
    let config = gdss.config();
    let request = request.resolve(&config.sampler, config.steps)?;
    let Some(engine) = request.engine else { unreachable!("`resolve` fills it in") };
    let paths = [config.paths.x.clone(), config.paths.adj.clone()];
    let start = request.match_prior.then(|| model.matched_prior()).transpose()?;
    let course = match (&request.plan, &request.adaptive, &request.sampler, request.steps) {
        (Some(plan), ..) => {
            plan.validate()?;
            plan.check_paths(&paths)?;
            Course::Plan(plan.clone())
        }
        (None, Some(sampler), ..) => {
            // Options out of range are found before the first batch.
            sampler.planner().source(&paths)?;
            Course::Adaptive { sampler: sampler.clone(), start }
        }
        (None, None, Some(sampler), Some(steps)) => {
            if let SamplerConfig::DpmSolverV3(DpmSolverV3 { statistics: Some(statistics), .. }) = sampler {
                statistics.check_checkpoint(model.sha256())?;
            }
            let plan = sampler.plan(&paths, steps)?;
            Course::Plan(match start {
                Some(start) => start.apply(plan)?,
                None => plan,
            })
        }
        _ => unreachable!("`resolve` fills these in"),
    };
    let node_counts = match &config.node_counts {
        Some(histogram) => NodeCounts::new(histogram, config.max_nodes)?,
        None => NodeCounts::fixed(config.max_nodes),
    };
    let device = request.device.open().map_err(|source| Error::Device { source })?;
    let sampler = GdssSampler {
        seed: request.seed,
        norm: request.norm(),
        course: course.clone(),
        node_counts,
        paths,
        denoiser: gdss.denoiser(engine, request.device)?,
        device,
        features: config.networks.features(),
        scales: [config.paths.scales.x, config.paths.scales.adj],
    };
    Ok((request, course, Box::new(sampler)))
}

impl BatchSampler for GdssSampler {
    fn nodes(&self, id: u64) -> usize {
        self.node_counts.draw(self.seed, id)
    }

    /// Where norms are taken over the batch, its members must not depend on the machine.
    fn lanes(&self) -> (usize, usize) {
        let engine = self.denoiser.engine();
        match self.norm {
            NormScope::PerSample => (engine.lanes(), engine.alone_from()),
            NormScope::BatchMean => (1, 0),
        }
    }

    fn draw(
        &self,
        batch: &Batch,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
        stopwatch: &Stopwatch,
    ) -> Result<Option<Vec<Drawn>>, Error> {
        let (rows, nodes, features) = (batch.ids.len(), batch.nodes, self.features);
        let mask: Vec<Vec<bool>> =
            batch.sizes.iter().map(|&size| (0..nodes).map(|node| node < size).collect()).collect();
        let supports = vec![Support::nodes(mask.clone(), features), Support::symmetric_pairs(mask)];
        let noise = KeyedNoise::new(self.seed);
        let state =
            State::prior(&["x", "adj"], &self.paths, supports, &batch.ids, &noise, &self.device, DType::F32)?;
        let mut watch = Watch { rows: rows as u64, progress };
        let denoiser = Timed { denoiser: &*self.denoiser, spent: &stopwatch.networks };
        let mut executor = Executor::new(&denoiser, &noise).with_cancel(stop.at_once());
        if self.course.steps().is_some() {
            executor = executor.with_observer(&mut watch);
        }
        let outcome = self.course.run(&mut executor, &self.paths, state, &batch.ids)?;
        if outcome.cancelled {
            return Ok(None);
        }
        let [x, adj] = &outcome.state.components[..] else {
            unreachable!("the executor returns the two components it was given")
        };
        let (x, adj) = (unscaled(x.to_host()?, self.scales[0]), unscaled(adj.to_host()?, self.scales[1]));
        let drawn = batch.ids.iter().zip(&batch.sizes).enumerate().map(|(row, (&id, &size))| Drawn {
            nodes: size,
            x: x[row * nodes * features..][..size * features].to_vec(),
            adj: adj[row * nodes * nodes..][..size * nodes]
                .chunks_exact(nodes)
                .flat_map(|line| &line[..size])
                .copied()
                .collect(),
            evaluations: outcome.row_evaluations[row],
            failed: outcome.failures.iter().find(|failure| failure.id == id).map(|failure| failure.step),
        });
        Ok(Some(drawn.collect()))
    }
}

/// Passes the executor's steps on.
pub(super) struct Watch<'a> {
    pub(super) rows: u64,
    pub(super) progress: &'a (dyn Fn(Report) + Sync),
}

impl Observer for Watch<'_> {
    fn step(&mut self, _: &equidrift_sampler::Progress) {
        (self.progress)(Report::Steps { sample_steps: self.rows });
    }
}

/// In the units of the decoder. States are f32 (see [`GdssSampler::draw`]), so nothing is lost at scale 1.
fn unscaled(values: Vec<f64>, scale: f64) -> Vec<f32> {
    values.into_iter().map(|value| (value / scale) as f32).collect()
}
