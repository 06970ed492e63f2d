//! Ancestral sampling: the posterior steps of a discrete noising chain.

use serde::{Deserialize, Serialize};

use super::predictor_corrector::PredictorStep;
use super::{
    NoiseTerm, Plan, PlanBuilder, Planner, PlannerInfo, Register, STATE, gdss_times, scales_of,
    sde_dpm_solver_plus_plus,
};
use crate::error::SamplerError;
use crate::noise::Stream;
use crate::path::{Discretised, Path, PathConfig, linspace, scale_index, start_time};
use crate::prediction::PredictionKind;

/// The chain whose steps are reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AncestralChain {
    /// The chain of M scales that is published with VE and VP paths (Song et al. 2021, appendix F): M even times from
    /// the start to `eps`, β_k or σ_k of the scale of each time.
    Scales,
    /// The path's own marginals at M even times t_k = start (k+1)/M, with the exact transitions between them; the last
    /// step goes from t_0 to the data. On a discrete DDPM path of M steps this is its chain (Ho et al. 2020), with fewer
    /// steps the re-spaced one (Nichol & Dhariwal 2021).
    Marginals,
}

/// The variance of the noise of a step x_k → x_{k−1}.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AncestralVariance {
    /// β for paths that shrink the data (VP), β̃ for those that do not (VE): as published for each.
    #[default]
    Published,
    /// β_k, the variance of the forward step: best for data of unit variance.
    Beta,
    /// β̃_k = β_k σ²_{k−1}/σ²_k, the variance of the posterior given x₀: best for data of variance 0.
    BetaTilde,
}

/// Ancestral sampling. With β_k the variance of the forward step and `a_k` its factor (√(1 − β_k) for VP, 1 for VE, where
/// β_k = σ_k² − σ_{k−1}²): `x_{k−1} = (x_k + β_k s)/a_k + √β_k z`, or with β̃_k under the root.
///
/// With s = −ε̂/√(1 − ᾱ_k) this is the sampler of DDPM. Written for x̂₀ and β̃ it is the first order of
/// [SDE-DPM-Solver++](super::SdeDpmSolverPlusPlus).
///
/// Order: weak 1. Cost of n steps: n evaluations.
///
/// Source: Ho et al., NeurIPS 2020 (arXiv 2006.11239); Song et al., ICLR 2021 (arXiv 2011.13456), appendix F.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ancestral {
    /// The chain; absent: `scales` if all paths are VE or VP, else `marginals`.
    pub chain: Option<AncestralChain>,
    /// The variance of the noise.
    pub variance: AncestralVariance,
    /// Last time of chain `scales`, where the network is evaluated last.
    pub eps: f64,
    /// Whether the last step returns the mean instead of the noised state.
    pub noise_removal: bool,
}

impl Default for Ancestral {
    fn default() -> Self {
        Self { chain: None, variance: AncestralVariance::Published, eps: 1e-4, noise_removal: true }
    }
}

const NAME: &str = "ancestral";

/// σ_{k−1}²/σ_k² for the scales k = 0 .. `scales` of the chain that starts from the data.
fn variance_ratios(path: &dyn Path, scales: usize) -> Vec<f64> {
    let last = scales.saturating_sub(1).max(1) as f64;
    let mut variance = 0.0;
    (0..scales)
        .map(|k| {
            // A time inside the scale: k/(M−1) itself may be rounded into the scale before.
            let Discretised { drift, noise } = path.discretised(((k as f64 + 0.5) / last).min(1.0), scales);
            let before = variance;
            variance = (1.0 + drift) * (1.0 + drift) * before + noise * noise;
            before / variance
        })
        .collect()
}

/// One step of the published chain at the scale of time t, for the score.
pub(super) fn published_step(path: &dyn Path, t: f64, scales: usize) -> PredictorStep {
    let Discretised { drift, noise } = path.discretised(t, scales);
    let (factor, beta) = (1.0 + drift, noise * noise);
    let k = scale_index(t, scales);
    let noise = if drift != 0.0 {
        noise
    } else if k == 0 {
        // The step to the data, whose posterior has no variance.
        0.0
    } else {
        // σ_{k−1}² = σ_k² − β_k.
        let level = path.sigma(linspace(0.0, 1.0, scales, k));
        noise * libm::sqrt((1.0 - beta / (level * level)).max(0.0))
    };
    PredictorStep { state: 1.0 / factor, prediction: beta / factor, noise }
}

/// An error unless the chain of M scales is published for every path.
pub(super) fn check_scales(planner: &'static str, paths: &[Box<dyn Path>]) -> Result<(), SamplerError> {
    match paths.iter().position(|path| !has_scales(path.as_ref())) {
        None => Ok(()),
        Some(component) => {
            let (path, reason) = (paths[component].name(), "it has no published ancestral chain of scales");
            Err(SamplerError::UnsupportedPath { planner, path, component, reason })
        }
    }
}

fn has_scales(path: &dyn Path) -> bool {
    matches!(path.name(), "VE" | "VP")
}

impl Ancestral {
    fn push(builder: &mut PlanBuilder, prediction: Register, index: usize, steps: &[PredictorStep]) {
        let of = |get: fn(&PredictorStep) -> f64| steps.iter().map(get).collect::<Vec<f64>>();
        let coefficients = of(|step| step.noise);
        let noise = NoiseTerm { stream: Stream::Predictor, step: index as u32, coefficients };
        let noise = noise.coefficients.iter().any(|&c| c != 0.0).then_some(noise);
        let terms = vec![(STATE, of(|step| step.state)), (prediction, of(|step| step.prediction))];
        builder.combine(STATE, terms, noise);
    }

    fn push_scales(&self, builder: &mut PlanBuilder, steps: usize) -> Result<(), SamplerError> {
        check_scales(NAME, &builder.paths)?;
        let start = start_time(&builder.paths);
        let scales = scales_of(start, steps);
        let ratios: Vec<Vec<f64>> = match self.variance {
            AncestralVariance::BetaTilde => {
                builder.paths.iter().map(|path| variance_ratios(path.as_ref(), scales)).collect()
            }
            _ => Vec::new(),
        };
        let score = builder.register();
        for (index, time) in gdss_times(NAME, start, steps, self.eps)?.into_iter().enumerate() {
            builder.begin_step(time);
            builder.eval_state(time, PredictionKind::Score, score);
            let silent = self.noise_removal && index + 1 == steps;
            let steps: Vec<PredictorStep> = builder
                .paths
                .iter()
                .enumerate()
                .map(|(component, path)| {
                    let published = published_step(path.as_ref(), time, scales);
                    let forward = path.discretised(time, scales).noise;
                    let noise = match self.variance {
                        _ if silent => 0.0,
                        AncestralVariance::Published => published.noise,
                        AncestralVariance::Beta => forward,
                        AncestralVariance::BetaTilde => {
                            forward * libm::sqrt(ratios[component][scale_index(time, scales)])
                        }
                    };
                    PredictorStep { noise, ..published }
                })
                .collect();
            Self::push(builder, score, index, &steps);
        }
        Ok(())
    }

    /// The posterior step from s to t, or to the data, for x̂₀.
    fn marginal_step(&self, path: &dyn Path, s: f64, t: Option<f64>) -> PredictorStep {
        let (mut step, ratio) = match t {
            Some(t) => {
                let h = path.lambda(t) - path.lambda(s);
                (sde_dpm_solver_plus_plus::step(path, s, t, 1.0), libm::sqrt(-libm::expm1(-2.0 * h)))
            }
            None => (PredictorStep { state: 0.0, prediction: 1.0, noise: 0.0 }, 1.0),
        };
        let shrinks = path.log_alpha(s) != 0.0;
        let forward = match self.variance {
            AncestralVariance::Published => shrinks,
            AncestralVariance::Beta => true,
            AncestralVariance::BetaTilde => false,
        };
        if forward {
            step.noise = path.sigma(s) * ratio;
        }
        step
    }

    fn push_marginals(&self, builder: &mut PlanBuilder, steps: usize) {
        let start = start_time(&builder.paths);
        let x0 = builder.register();
        let time = |k: usize| start * k as f64 / steps as f64;
        for (index, k) in (1..=steps).rev().enumerate() {
            let (s, t) = (time(k), (k > 1).then(|| time(k - 1)));
            builder.begin_step(s);
            builder.eval_state(s, PredictionKind::X0, x0);
            let silent = self.noise_removal && k == 1;
            let steps: Vec<PredictorStep> = builder
                .paths
                .iter()
                .map(|path| {
                    let step = self.marginal_step(path.as_ref(), s, t);
                    PredictorStep { noise: if silent { 0.0 } else { step.noise }, ..step }
                })
                .collect();
            Self::push(builder, x0, index, &steps);
        }
    }
}

impl Planner for Ancestral {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "posterior steps of the discrete noising chain: the sampler of DDPM, for VE, VP and any Gaussian path",
            formula: "x <- (x + beta_k s)/sqrt(1 - beta_k) + sqrt(beta_k) z; VE: x + (sigma_k^2 - sigma_{k-1}^2) s + noise of the posterior",
            order: "weak 1",
            cost: "n",
            citation: "Ho et al., NeurIPS 2020 (arXiv 2006.11239); Song et al., ICLR 2021 (arXiv 2011.13456), appendix F",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, steps)?;
        let published = builder.paths.iter().all(|path| has_scales(path.as_ref()));
        match self.chain {
            Some(AncestralChain::Scales) => self.push_scales(&mut builder, steps)?,
            None if published => self.push_scales(&mut builder, steps)?,
            _ => self.push_marginals(&mut builder, steps),
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}
