//! The family of stochastic samplers of a path: any amount of noise around the same marginals.

use serde::{Deserialize, Serialize};

use super::interpolant_ode::{evaluates, interpolant_nodes, last_time};
use super::{NoiseTerm, Plan, PlanBuilder, Planner, PlannerInfo, Register, STATE};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::noise::Stream;
use crate::path::{Path, PathConfig};
use crate::prediction::PredictionKind;

/// The diffusion ε(t) of [`InterpolantSde`]; ε = 0 would be the ODE.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Diffusion {
    /// ε(t) = `value`.
    Constant {
        /// ε.
        value: f64,
    },
    /// ε(t) = `scale` σ(t): it vanishes where the latent noise does, where the score is hardest to learn.
    Noise {
        /// Factor on σ.
        scale: f64,
    },
    /// ε(t) = `scale` sin²(πt): none at both ends.
    SineSquared {
        /// ε at t = 1/2.
        scale: f64,
    },
}

impl Diffusion {
    /// ε at time t on this path.
    #[must_use]
    pub fn at(self, path: &dyn Path, t: f64) -> f64 {
        match self {
            Self::Constant { value } => value,
            Self::Noise { scale } => scale * path.sigma(t),
            Self::SineSquared { scale } => {
                let sine = libm::sin(std::f64::consts::PI * t);
                scale * sine * sine
            }
        }
    }

    fn factor(self) -> f64 {
        let (Self::Constant { value: factor }
        | Self::Noise { scale: factor }
        | Self::SineSquared { scale: factor }) = self;
        factor
    }
}

/// How a step of [`InterpolantSde`] is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StochasticScheme {
    /// Euler–Maruyama: drift at the start of the step.
    #[default]
    EulerMaruyama,
    /// Heun's average of the drifts at both ends of the step, with the same noise in the trial and in the result. As the
    /// noise does not depend on the state, its weak order is 2.
    Heun,
    /// As published: noise first, then Heun's average of two drifts, both at the end of the step. Weak order 1, because
    /// the drift at the end of the step contracts noise that came in all over it.
    NoiseFirst,
}

/// `dx = (b − ε s) dt + √(2ε) dW̄` from the base (t = 1) to the data (t = 0), with the velocity b and the score s.
///
/// For every ε(t) ≥ 0 its marginals are those of the path. With h = t − s < 0 and `u = b − ε s`:
/// - Euler–Maruyama, weak order 1: `x ← x + h u(s, x) + √(2ε(s)|h|) z`;
/// - Heun, weak order 2: `n = √((ε(s) + ε(t))|h|) z`, `x' = x + h u(s, x) + n`, `x ← x + h (u(s, x) + u(t, x'))/2 + n`;
/// - noise first, weak order 1: `y = x + √(2ε(s)|h|) z`, `y' = y + h u(t, y)`, `x ← y + h (u(t, y) + u(t, y'))/2`.
///
/// Cost of n steps: n evaluations with Euler–Maruyama. Of the other two 2n, and 2n − 1 where the last step is the ODE's.
///
/// Velocity and score are two answers of one evaluation: two heads of the network, or one head and a conversion where
/// the path ends in noise. Near t = 0, where σ vanishes, a learned score is at its worst and on noising paths large; so by
/// default the last step to t = 0 is an Euler step of the ODE, which has the same marginals.
///
/// Source: Albergo, Boffi & Vanden-Eijnden 2023 (arXiv 2303.08797); the scheme `noise-first` is that of its programmes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterpolantSde {
    /// ε(t).
    pub diffusion: Diffusion,
    /// How a step is made.
    pub scheme: StochasticScheme,
    /// Layout of the nodes; grids that are even in λ need paths that end in noise, and `t_end` above 0.
    pub grid: TimeGrid,
    /// First time; default the latest at which all paths can be converted, see [`super::InterpolantOde::t_start`]. A
    /// network that predicts the latent noise of a two-ended path needs a time below 1, for σ = 0 there.
    pub t_start: Option<f64>,
    /// Last time.
    pub t_end: f64,
    /// Whether the last step to t = 0 is as the others, noise included. Schemes of two drifts then evaluate at t = 0 itself,
    /// which needs a network that predicts velocities and scores, for σ = 0 there. If not, it is an Euler step of the ODE.
    pub score_at_data: bool,
}

impl Default for InterpolantSde {
    fn default() -> Self {
        Self {
            diffusion: Diffusion::Noise { scale: 1.0 },
            scheme: StochasticScheme::EulerMaruyama,
            grid: TimeGrid::UniformTime,
            t_start: None,
            t_end: 0.0,
            score_at_data: false,
        }
    }
}

const NAME: &str = "interpolant-sde";

/// Registers of a drift.
#[derive(Clone, Copy)]
struct Drift {
    velocity: Register,
    score: Register,
}

impl Drift {
    fn new(builder: &mut PlanBuilder) -> Self {
        Self { velocity: builder.register(), score: builder.register() }
    }

    /// One evaluation of both.
    fn eval(self, builder: &mut PlanBuilder, time: f64, from: Register) {
        let inputs = vec![from; builder.components()];
        let outputs = [(PredictionKind::Velocity, self.velocity), (PredictionKind::Score, self.score)];
        builder.eval_many(time, inputs, &outputs);
    }

    /// The terms of `h (b − ε s)`.
    fn terms(self, h: f64, diffusion: &[f64]) -> [(Register, Vec<f64>); 2] {
        let score = diffusion.iter().map(|epsilon| -h * epsilon).collect();
        [(self.velocity, vec![h; diffusion.len()]), (self.score, score)]
    }
}

impl Planner for InterpolantSde {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "dx = (b - eps s) dt + sqrt(2 eps) dW on any path, with any eps(t); robust to errors of b and s",
            formula: "x <- x + h (b - eps s) + sqrt(2 eps |h|) z, h = t - s; or Heun's average of two drifts",
            order: "weak 1 (Heun: weak 2)",
            cost: "n (two drifts: 2n - 1, or 2n with the score at the data or t_end > 0)",
            citation: "Albergo, Boffi & Vanden-Eijnden 2023 (arXiv 2303.08797)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::any_path(NAME, paths, steps)?;
        let factor = self.diffusion.factor();
        if !(factor.is_finite() && factor >= 0.0) {
            let expected = "a finite number, at least 0";
            return Err(SamplerError::Option { planner: NAME, option: "diffusion", value: factor, expected });
        }
        let nodes = interpolant_nodes(NAME, &self.grid, paths, steps, self.t_start, self.t_end)?;
        let first = Drift::new(&mut builder);
        let (trial, second) = match self.scheme {
            StochasticScheme::EulerMaruyama => (STATE, first),
            _ => (builder.register(), Drift::new(&mut builder)),
        };
        let ones = vec![1.0; paths.len()];
        for (index, pair) in nodes.windows(2).enumerate() {
            let (s, t) = (pair[0], pair[1]);
            let h = t - s;
            let state = (STATE, ones.clone());
            builder.begin_step(s);
            if !evaluates(t, self.score_at_data) {
                builder.eval_state(s, PredictionKind::Velocity, first.velocity);
                builder.combine(STATE, vec![state, (first.velocity, vec![h; paths.len()])], None);
                continue;
            }
            let before = builder.each(|path| self.diffusion.at(path, s));
            let after = builder.each(|path| self.diffusion.at(path, t));
            // The variance that comes in over the step is twice the integral of the diffusion.
            let noise = |at_start: &[f64], at_end: &[f64]| {
                let deviation = |(a, b): (&f64, &f64)| libm::sqrt(-(a + b) * h);
                let coefficients = at_start.iter().zip(at_end).map(deviation).collect();
                Some(NoiseTerm { stream: Stream::Predictor, step: index as u32, coefficients })
            };
            let terms = |drifts: &[(Drift, f64, &[f64])]| -> Vec<(Register, Vec<f64>)> {
                let moves = drifts.iter().flat_map(|(drift, h, diffusion)| drift.terms(*h, diffusion));
                std::iter::once(state.clone()).chain(moves).collect()
            };
            match self.scheme {
                StochasticScheme::EulerMaruyama => {
                    first.eval(&mut builder, s, STATE);
                    builder.combine(STATE, terms(&[(first, h, &before)]), noise(&before, &before));
                }
                StochasticScheme::Heun => {
                    first.eval(&mut builder, s, STATE);
                    builder.combine(trial, terms(&[(first, h, &before)]), noise(&before, &after));
                    second.eval(&mut builder, t, trial);
                    let average = terms(&[(first, 0.5 * h, &before), (second, 0.5 * h, &after)]);
                    builder.combine(STATE, average, noise(&before, &after));
                }
                StochasticScheme::NoiseFirst => {
                    builder.combine(STATE, terms(&[]), noise(&before, &before));
                    first.eval(&mut builder, t, STATE);
                    builder.combine(trial, terms(&[(first, h, &after)]), None);
                    second.eval(&mut builder, t, trial);
                    let average = terms(&[(first, 0.5 * h, &after), (second, 0.5 * h, &after)]);
                    builder.combine(STATE, average, None);
                }
            }
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        match self.scheme {
            StochasticScheme::EulerMaruyama => steps,
            StochasticScheme::Heun | StochasticScheme::NoiseFirst => {
                2 * steps - usize::from(!evaluates(last_time(&self.grid, self.t_end), self.score_at_data))
            }
        }
    }
}
