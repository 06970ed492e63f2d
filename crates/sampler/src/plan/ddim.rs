//! DDIM: the implicit sampler, deterministic or with a chosen share of fresh noise.

use serde::{Deserialize, Serialize};

use super::exponential::columns;
use super::ode::{ode_nodes, push_denoise};
use super::{NoiseTerm, Plan, PlanBuilder, Planner, PlannerInfo, STATE};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::noise::Stream;
use crate::path::PathConfig;
use crate::prediction::PredictionKind;

/// DDIM for any Gaussian path (Song, Meng & Ermon 2021, eq. 12 and 16): from s to t, with h = λ_t − λ_s,
///
/// ```text
/// x_t = α_t x̂₀ + √(σ_t² − ς²) ε̂ + ς z,    ς² = η² σ_t² (1 − e^{−2h})
/// ```
///
/// ς at η = 1 is the deviation of the exact posterior of x_t given x_s and x₀, so η = 1 is ancestral sampling on these
/// nodes. η = 0 is deterministic, and equal to DPM-Solver and DPM-Solver++ of order 1.
///
/// Order: 1 for the map (η = 0), weak 1 else. Cost: one evaluation per step. With `denoise` the last of the n steps
/// goes to σ = 0 and is free of noise; without it the state at `t_end` is returned, noise included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddim {
    /// Share of fresh noise η, from 0 (none) to 1 (ancestral sampling).
    pub eta: f64,
    /// Layout of the nodes.
    pub grid: TimeGrid,
    /// Last time; default 1e-3 up to 15 steps, 1e-4 above.
    pub t_end: Option<f64>,
    /// Whether the last step returns x̂₀.
    pub denoise: bool,
}

impl Default for Ddim {
    fn default() -> Self {
        Self { eta: 0.0, grid: TimeGrid::UniformLambda, t_end: None, denoise: true }
    }
}

const NAME: &str = "ddim";

impl Planner for Ddim {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "the implicit sampler: first order, deterministic at eta 0, ancestral sampling at eta 1",
            formula: "x <- alpha_t x0 + sqrt(sigma_t^2 - c^2) e + c z, c^2 = eta^2 sigma_t^2 (1 - e^{-2h})",
            order: "1 (weak 1 with eta > 0)",
            cost: "n",
            citation: "Song, Meng & Ermon, ICLR 2021 (arXiv 2010.02502)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, steps)?;
        if !(0.0..=1.0).contains(&self.eta) {
            let (option, value, expected) = ("eta", self.eta, "0 <= eta <= 1");
            return Err(SamplerError::Option { planner: NAME, option, value, expected });
        }
        let nodes = ode_nodes(&self.grid, paths, steps, self.t_end, self.denoise)?;
        let x0 = if nodes.len() > 1 { builder.register() } else { STATE };
        for (index, pair) in nodes.windows(2).enumerate() {
            let (s, t) = (pair[0], pair[1]);
            builder.begin_step(s);
            builder.eval_state(s, PredictionKind::X0, x0);
            let rows = builder.paths.iter().map(|path| {
                let h = path.lambda(t) - path.lambda(s);
                // −(ς/σ_t)²; the share of ε̂ that is kept is √(1 − (ς/σ_t)²).
                let fresh = self.eta * self.eta * libm::expm1(-2.0 * h);
                let log_kept = 0.5 * libm::log1p(fresh);
                // ε̂ = (x − α_s x̂₀)/σ_s, so x̂₀ has the coefficient α_t − kept σ_t α_s/σ_s = α_t (1 − kept e^{−h}).
                vec![
                    path.sigma(t) / path.sigma(s) * libm::exp(log_kept),
                    -path.alpha(t) * libm::expm1(log_kept - h),
                    path.sigma(t) * libm::sqrt(-fresh),
                ]
            });
            let mut columns = columns(rows).into_iter();
            let terms = [STATE, x0].into_iter().zip(&mut columns).collect();
            let noise = columns.next().filter(|_| self.eta > 0.0).map(|coefficients| NoiseTerm {
                stream: Stream::Predictor,
                step: index as u32,
                coefficients,
            });
            builder.combine(STATE, terms, noise);
        }
        if self.denoise {
            push_denoise(&mut builder, nodes[nodes.len() - 1]);
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}
