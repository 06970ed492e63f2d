//! Errors of forecasts drawn while a model of trajectories is trained.

use std::collections::BTreeMap;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use equidrift_geotdm::{CountedNodes, GeotdmConfig, GeotdmModel, TrainingExample, TrainingExamples};
use equidrift_trajectory::metrics::{Displacement, DisplacementSummary, displacement};

use crate::batching::Batches;
use crate::course::Course;
use crate::error::Error;
use crate::generate::Forecaster;
use crate::training::held_out::setting;
use crate::training::trajectory_settings::TrajectorySettings;
use crate::workers::{Ending, StopSignal, in_order};

/// Trajectories evaluated together by a thread at most.
const BATCH: u64 = 64;

/// Forecasts of held-out windows, the same at every drawing, with the same noise.
///
/// | figure | is |
/// | --- | --- |
/// | `ade`, `fde` | distance to the true place, mean over nodes, samples and windows, in all made frames and in the last |
/// | `best_ade`, `best_fde` | the same of the best sample of each window |
/// | `diverged` | share of samples that became infinite or not a number; their windows are left out of the others |
pub(crate) struct ForecastMetrics {
    windows: Vec<TrainingExample>,
    /// Samples of each window.
    samples: u64,
    seed: u64,
    course: Course,
    counted: CountedNodes,
    /// Frames that are made.
    frames: usize,
    device: DeviceKind,
    fused: bool,
    threads: usize,
}

impl ForecastMetrics {
    /// Chooses the windows, at even spacing, and plans the sampler.
    ///
    /// # Errors
    /// A model that is given no frames, no held-out windows, settings that make no sample, a sampler without a plan.
    pub(crate) fn new(
        settings: &TrajectorySettings,
        config: &GeotdmConfig,
        held_out: &dyn TrainingExamples,
        threads: usize,
    ) -> Result<Self, Error> {
        let sampling = &settings.sampling;
        if !config.network.prior.is_conditional() {
            return Err(setting("sampling.every: a model that is given no frames makes no forecasts"));
        }
        let count = held_out.count();
        if count == 0 {
            return Err(setting("sampling.every: there are no held-out windows to forecast"));
        }
        let stride = count.div_ceil(sampling.windows);
        let windows = (0..count).step_by(stride).map(|index| held_out.example(index));
        // A forecaster without noise has nothing to draw: its one step is exact.
        let one_step = settings.regression.then_some(1);
        let sampler = sampling.sampler.as_ref().unwrap_or(&config.sampler);
        let steps = sampling.steps.or(one_step).unwrap_or(config.steps);
        Ok(Self {
            windows: windows.collect::<Result<_, _>>()?,
            samples: if settings.regression { 1 } else { sampling.num },
            seed: sampling.seed,
            course: Course::Plan(sampler.plan(&[config.diffusion.path_config()], steps)?),
            counted: config.counted,
            frames: config.frames,
            device: settings.device,
            fused: settings.engine == EngineKind::Fused,
            threads,
        })
    }

    /// Samples of one drawing.
    pub(crate) fn samples(&self) -> u64 {
        self.windows.len() as u64 * self.samples
    }

    /// The figures of a model; `None` where `stop` answered true.
    ///
    /// # Errors
    /// Where sampling fails.
    pub(crate) fn measure(
        &self,
        model: &GeotdmModel,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<BTreeMap<String, f64>>, Error> {
        let course = (self.seed, self.course.clone());
        let frames = (self.frames, self.frames);
        let forecaster = Forecaster::new(model, self.device, self.fused, course, frames, false)?;
        let ids = 0..self.samples();
        let share = ids.end.div_ceil(self.threads as u64).clamp(1, BATCH);
        let window = |id: u64| &self.windows[(id / self.samples) as usize];
        let batches = Batches::new(ids.clone(), share as usize, |id| window(id).system.graph.nodes());
        let signal = StopSignal::new();
        let mut errors: Vec<Vec<Displacement>> = vec![Vec::new(); self.windows.len()];
        let mut diverged = 0_u64;
        let ending = in_order(
            ids,
            batches,
            self.threads,
            &signal,
            |batch| {
                if stop() {
                    signal.ask_at_once();
                }
                let systems = batch.ids.iter().map(|&id| window(id).system.clone()).collect();
                forecaster.round(0, (systems, None), &batch.ids, &signal, &|_| ())
            },
            |id, (made, _)| {
                match made {
                    Ok(made) => errors[(id / self.samples) as usize].push(self.error(window(id), &made)?),
                    Err(_) => diverged += 1,
                }
                Ok(())
            },
        )?;
        if ending != Ending::Complete {
            return Ok(None);
        }
        errors.retain(|samples| samples.len() as u64 == self.samples);
        let mut figures = BTreeMap::from([("diverged".to_owned(), diverged as f64 / self.samples() as f64)]);
        if !errors.is_empty() {
            let DisplacementSummary { mean, best, .. } = DisplacementSummary::of(&errors)?;
            let named =
                [("ade", mean.ade), ("fde", mean.fde), ("best_ade", best.ade), ("best_fde", best.fde)];
            figures.extend(named.map(|(name, value)| (name.to_owned(), value)));
        }
        Ok(Some(figures))
    }

    /// The error of a made trajectory `[N, T, D]`.
    fn error(&self, window: &TrainingExample, made: &[f64]) -> Result<Displacement, Error> {
        let (dimensions, frames) = (window.system.dimensions, self.frames);
        let nodes = match self.counted {
            CountedNodes::All => window.system.graph.nodes(),
            CountedNodes::First => 1,
        };
        let points = |values: &[f64]| -> Vec<[f32; 3]> {
            let places = (0..frames).flat_map(|t| (0..nodes).map(move |node| node * frames + t));
            places
                .map(|place| {
                    let mut point = [0.0; 3];
                    let from = &values[place * dimensions..][..dimensions];
                    point.iter_mut().zip(from).for_each(|(to, from)| *to = *from as f32);
                    point
                })
                .collect()
        };
        Ok(displacement(&points(made), &points(&window.clean), nodes)?)
    }
}
