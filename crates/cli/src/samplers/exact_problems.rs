//! What a sampler does where the answer is known.

use std::sync::OnceLock;

use equidrift_laws::gaussian::GaussianData;
use equidrift_laws::mixture::{Mixture, MixtureDenoiser};
use equidrift_sampler::plan::AdaptiveConfig;
use equidrift_sampler::{
    Component, DType, Device, Executor, KeyedNoise, PathConfig, PredictionKind, SamplerConfig, State, Support,
};
use serde::Serialize;

use crate::exit::{Exit, Failure};

const MEAN: f64 = 0.7;
const DEVIATION: f64 = 0.4;
/// Starting points on the mixture.
const STARTS: usize = 64;
/// The last time of the exact flow: the data but for a noise of 0.0001.
const T_END: f64 = 1e-7;
/// The time at which adaptive samplers stop; they return the state there, not the data.
const T_ADAPTIVE: f64 = 1e-3;
/// Runge–Kutta steps of the exact flow; its error is below 1e-11.
const FLOW_STEPS: usize = 8000;

/// Distances of one sampler from the known answers; absent where a problem does not apply.
#[derive(Serialize)]
pub(super) struct ExactErrors {
    #[serde(skip)]
    pub(super) calls: usize,
    /// 2-Wasserstein distance to the data law on a Gaussian.
    pub(super) gaussian: Option<f64>,
    /// Root mean square distance to the exact flow on a mixture.
    pub(super) mixture: Option<f64>,
}

fn path() -> PathConfig {
    PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }
}

/// Where the exact flow takes the starting points until `end`.
fn flow(starts: &[f64], end: f64) -> Vec<f64> {
    Mixture::two_modes().flow(&path(), starts, end, FLOW_STEPS)
}

/// The starting points and where the exact flow takes them.
fn data() -> &'static (Vec<f64>, Vec<f64>) {
    static DATA: OnceLock<(Vec<f64>, Vec<f64>)> = OnceLock::new();
    DATA.get_or_init(|| {
        let starts = Mixture::starts(STARTS);
        let ends = flow(&starts, T_END);
        (starts, ends)
    })
}

/// The errors of a sampler of `steps` steps; `None` if it has no plan for so few, or neither problem applies.
pub(super) fn errors(sampler: &SamplerConfig, steps: usize) -> Result<Option<ExactErrors>, Failure> {
    let Ok(plan) = sampler.plan(&[path()], steps) else { return Ok(None) };
    let failed = |error: equidrift_laws::LawError| Failure::new(Exit::Failure, error);
    let gaussian = if plan.is_linear() {
        let data = GaussianData::single(MEAN, DEVIATION);
        let moments = data.moments(&plan, &[1.0]).map_err(failed)?;
        // Between normals the distance is that of (mean, deviation).
        let deviation = moments.covariance[(0, 0)].max(0.0).sqrt();
        Some((moments.mean[0] - MEAN).hypot(deviation - DEVIATION))
    } else {
        None
    };
    let mixture = if plan.is_deterministic() {
        let (starts, ends) = data();
        let device = Device::flex();
        Some(Mixture::two_modes().rms_error(&plan, &path(), starts, ends, &device).map_err(failed)?)
    } else {
        None
    };
    let applies = gaussian.is_some() || mixture.is_some();
    Ok(applies.then_some(ExactErrors { calls: plan.evaluations(), gaussian, mixture }))
}

/// What an adaptive sampler does on the mixture with tolerances from 0.1 down to 1e-9: error and mean number of calls.
pub(super) fn adaptive_errors(sampler: &AdaptiveConfig) -> Result<Vec<ExactErrors>, Failure> {
    let failed = |error: equidrift_sampler::SamplerError| Failure::new(Exit::Failure, error);
    let starts = Mixture::starts(STARTS);
    let ends = flow(&starts, T_ADAPTIVE);
    let denoiser = MixtureDenoiser::new(Mixture::two_modes(), path(), PredictionKind::Noise);
    let ids: Vec<u64> = (0..STARTS as u64).collect();
    let mut all = Vec::new();
    for tolerance in (2..=18).map(|half| 10f64.powf(-0.5 * f64::from(half))) {
        let planner = sampler.with_tolerance(tolerance);
        let mut sources = planner.planner().sources(&[path()], STARTS).map_err(failed)?;
        let support = Support::vector(STARTS, 1);
        let start = Component::from_host("x", starts.clone(), support, &Device::flex(), DType::F64);
        let start = State::new(vec![start.map_err(failed)?]).map_err(failed)?;
        let noise = KeyedNoise::new(0);
        let outcome = Executor::new(&denoiser, &noise)
            .run_sources(&mut sources, planner.planner().registers(), start, &ids)
            .map_err(failed)?;
        let found = outcome.state.components[0].to_host().map_err(failed)?;
        let squares: f64 =
            found.iter().zip(&ends).map(|(found, exact)| (found - exact) * (found - exact)).sum();
        let calls = outcome.row_evaluations.iter().sum::<usize>().div_ceil(STARTS);
        all.push(ExactErrors { calls, gaussian: None, mixture: Some((squares / STARTS as f64).sqrt()) });
    }
    Ok(all)
}
