//! Batches of a Pard model: classes, block by block.

use std::sync::atomic::Ordering;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{EngineKind, GdssError};
use equidrift_pard::{
    Engine, FusedNetworks, Generation, GraphDiffusion, KeyedDraws, PardConfig, PardError, PardModel,
    PardNetworks, ReverseStep, Sequence, Tasks, Unfinished, first_size,
};
use equidrift_sampler::SamplerConfig;

use super::Report;
use super::pard_memory::{allowed_bytes, workers_and_pairs};
use super::sampling::{BatchSampler, Drawn};
use super::stopwatch::Stopwatch;
use crate::batching::Batch;
use crate::course::{Ancestral, Course};
use crate::error::Error;
use crate::request::GenerateRequest;
use crate::workers::StopSignal;

struct PardSampler {
    seed: u64,
    config: PardConfig,
    networks: Networks,
    diffusion: GraphDiffusion,
    grid: Vec<usize>,
    reverse_step: ReverseStep,
    first_sizes: Vec<f64>,
    one_block: bool,
    max_memory: Option<u64>,
}

/// The networks in one of the engines.
enum Networks {
    Burn(Box<PardNetworks>),
    Fused(Box<FusedNetworks>),
}

impl Networks {
    /// In the engine that was asked for, or the fastest that knows them.
    fn open(request: &GenerateRequest, model: &PardModel) -> Result<Self, Error> {
        let fused = match (request.engine, request.device) {
            (Some(EngineKind::Fused) | None, DeviceKind::Cpu) => model.fused_networks()?,
            (Some(EngineKind::Fused), device) => {
                let device = device.to_string();
                return Err(GdssError::EngineDevice { engine: "fused", device }.into());
            }
            _ => None,
        };
        match (fused, request.engine) {
            (Some(networks), _) => Ok(Self::Fused(Box::new(networks))),
            (None, Some(EngineKind::Fused)) => {
                let reason = "the fused engine does not know the networks of this model";
                Err(Error::Request { field: "engine", reason })
            }
            (None, _) => {
                let device = request.device.open().map_err(|source| Error::Device { source })?;
                Ok(Self::Burn(Box::new(model.networks(&device)?)))
            }
        }
    }

    fn kind(&self) -> EngineKind {
        match self {
            Self::Burn(_) => EngineKind::Burn,
            Self::Fused(_) => EngineKind::Fused,
        }
    }
}

/// The request with everything filled in, its course, and what draws its batches.
pub(super) fn open(
    request: &GenerateRequest,
    model: &PardModel,
) -> Result<(GenerateRequest, Course, Box<dyn BatchSampler>), Error> {
    let refuse = |field| {
        let reason = "models of family pard draw classes of nodes and edges: their sampler is `ancestral`, with steps (--steps), \
                      a grid of them (--grid uniform or polynomial:P), --churn and --temperature";
        Err(Error::Request { field, reason })
    };
    let usual = SamplerConfig::by_name("ancestral")?;
    for (field, given) in [
        ("sampler", request.sampler.as_ref().is_some_and(|sampler| *sampler != usual)),
        ("adaptive", request.adaptive.is_some()),
        ("plan", request.plan.is_some()),
        ("match_prior", request.match_prior),
        ("snr", request.snr.is_some()),
        ("scale_eps", request.scale_eps.is_some()),
    ] {
        if given {
            return refuse(field);
        }
    }
    let config = model.config();
    let steps = request.steps.unwrap_or(config.steps);
    if steps > config.diffusion.steps {
        let reason = "more network calls than the model's diffusion has steps";
        return Err(Error::Request { field: "steps", reason });
    }
    if config.network.sequence == Sequence::Prefixes {
        let reason =
            "models on prefixes take eigenvectors of growing graphs as an input, which are not computed here";
        return Err(Error::Request { field: "model", reason });
    }
    let networks = Networks::open(request, model)?;
    // The only sampler, whether it was named or not.
    let request = GenerateRequest {
        sampler: None,
        steps: Some(steps),
        engine: Some(networks.kind()),
        ..request.clone()
    };
    let grid = request.grid.unwrap_or(config.grid).steps(config.diffusion.steps, steps);
    let reverse_step = request.reverse_step(config.reverse_step);
    let one_block = config.network.tasks == Tasks::DenoiserOnly;
    let course = Course::Ancestral(Ancestral { ancestral: grid.clone(), reverse_step, one_block });
    let sampler = PardSampler {
        seed: request.seed,
        networks,
        diffusion: config.diffusion.build()?,
        grid,
        reverse_step,
        first_sizes: config.first_size_frequencies()?,
        one_block,
        max_memory: request.max_memory,
        config: config.clone(),
    };
    Ok((request, course, Box::new(sampler)))
}

impl BatchSampler for PardSampler {
    fn nodes(&self, id: u64) -> usize {
        if self.one_block {
            first_size(&self.first_sizes, 0, &mut KeyedDraws { seed: self.seed, ids: vec![id] })
        } else {
            self.config.max_nodes
        }
    }

    fn within_memory(&self, wanted: (usize, usize)) -> Result<(usize, usize), Error> {
        // A graph of one block is never larger than the largest of them.
        let largest = self.first_sizes.len().saturating_sub(1);
        let nodes = if self.one_block { largest } else { self.config.max_nodes };
        Ok(workers_and_pairs(&self.config.network, nodes, allowed_bytes(self.max_memory), wanted)?)
    }

    fn draw(
        &self,
        batch: &Batch,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
        _: &Stopwatch,
    ) -> Result<Option<Vec<Drawn>>, Error> {
        let called = |graphs: usize| {
            if self.one_block {
                progress(Report::Steps { sample_steps: graphs as u64 });
            }
            !stop.at_once().load(Ordering::Relaxed)
        };
        let generation = Generation {
            networks: match &self.networks {
                Networks::Burn(networks) => Engine::Burn(networks),
                Networks::Fused(networks) => Engine::Fused(networks),
            },
            diffusion: &self.diffusion,
            grid: &self.grid,
            reverse_step: self.reverse_step,
            first_sizes: &self.first_sizes,
            max_blocks: self.config.network.max_blocks,
            max_nodes: self.config.max_nodes,
            unfinished: Unfinished::Whole,
            called: &called,
        };
        let mut draws = KeyedDraws { seed: self.seed, ids: batch.ids.clone() };
        let graphs = match generation.run(batch.ids.len(), &mut draws, &mut |_| ()) {
            Err(PardError::Stopped) => return Ok(None),
            graphs => graphs?,
        };
        // The last class is virtual, and never the class of a finished node.
        let features = self.config.network.node_classes - 1;
        let drawn = graphs.into_iter().map(|generated| {
            let graph = generated.graph;
            let nodes = graph.nodes();
            let (mut x, mut adj) = (vec![0.0; nodes * features], vec![0.0; nodes * nodes]);
            for (node, &class) in graph.node_classes.iter().enumerate() {
                x[node * features + class] = 1.0;
                for other in (0..nodes).filter(|&other| other != node) {
                    adj[node * nodes + other] = graph.pair_class(node, other) as f32;
                }
            }
            let evaluations = graph.sizes.len() * (self.grid.len() - 1);
            Drawn { nodes, x, adj, evaluations, failed: None }
        });
        Ok(Some(drawn.collect()))
    }
}
