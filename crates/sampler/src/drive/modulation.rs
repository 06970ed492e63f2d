//! Smooth changes of a plan's numbers as a genome.

use serde::{Deserialize, Serialize};

use super::{Draws, Genome};
use crate::error::SamplerError;
use crate::plan::{Op, Plan, STATE};

/// The modulations of one plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModulationSpace {
    /// The plan whose numbers change.
    pub plan: Plan,
    /// Standard deviation of a change of a logarithm.
    pub jitter: f64,
}

/// What of a plan is multiplied, for each component.
#[derive(Clone, Copy)]
enum Curve {
    /// Signal-to-noise ratio of Langevin corrections.
    Snr,
    /// Their noise.
    Scale,
    /// Coefficients of what is added to the state, predictions above all.
    Gain,
    /// Noise that is added to the state.
    Noise,
}

/// Number of curves.
const CURVES: usize = 4;

/// Values of a curve at the first, the middle and the last step; a parabola joins them.
const KNOTS: usize = 3;

/// Numbers of a component: its curves, and mean and ratio of the start.
const PER_COMPONENT: usize = CURVES * KNOTS + 2;

/// Factors on a plan's numbers that change smoothly from its first step to its last: on the step sizes and the noise of
/// Langevin corrections, on what predictors add to the state and on their noise, component by component; and on mean and
/// deviation of a [matched prior](crate::plan::MatchedPrior) it begins with.
///
/// The operations stay, so does the number of evaluations. What is searched is a schedule that no formula gives: where a
/// sampler has few steps, the best sizes are not those that its limit of many steps prescribes, and are not the same for all
/// components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Modulation {
    /// Logarithms of the factors: for each component the knots of its curves, then mean and ratio of the start.
    logs: Vec<f64>,
}

impl Modulation {
    /// Nothing is changed.
    fn none(components: usize) -> Self {
        Self { logs: vec![0.0; components * PER_COMPONENT] }
    }

    /// The factor of a curve of a component, a share `at` of the way from the first step to the last.
    fn factor(&self, component: usize, curve: Curve, at: f64) -> f64 {
        let start = component * PER_COMPONENT + curve as usize * KNOTS;
        let [first, middle, last] = [0, 1, 2].map(|knot| self.logs.get(start + knot).copied().unwrap_or(0.0));
        // Lagrange's polynomial through 0, 1/2 and 1.
        let log = first * (2.0 * at - 1.0) * (at - 1.0)
            + middle * 4.0 * at * (1.0 - at)
            + last * at * (2.0 * at - 1.0);
        libm::exp(log)
    }

    /// The factor on the mean (0) or the ratio (1) of the start.
    fn start(&self, component: usize, which: usize) -> f64 {
        let place = component * PER_COMPONENT + CURVES * KNOTS + which;
        libm::exp(self.logs.get(place).copied().unwrap_or(0.0))
    }

    fn scale(&self, coefficients: &mut [f64], curve: Curve, at: f64) {
        for (component, value) in coefficients.iter_mut().enumerate() {
            *value *= self.factor(component, curve, at);
        }
    }

    fn change(&self, op: &mut Op, at: f64) {
        match op {
            Op::Langevin { component, snr, scale, .. } => {
                *snr *= self.factor(*component, Curve::Snr, at);
                *scale *= self.factor(*component, Curve::Scale, at);
            }
            Op::Combine { out: STATE, terms, constant: None, noise } => {
                // A step that replaces the state (its last, which returns x0) is not an addition to it.
                if terms.iter().any(|term| term.register == STATE) {
                    for term in terms.iter_mut().filter(|term| term.register != STATE) {
                        self.scale(&mut term.coefficients, Curve::Gain, at);
                    }
                }
                if let Some(noise) = noise {
                    self.scale(&mut noise.coefficients, Curve::Noise, at);
                }
            }
            Op::Combine { out: STATE, terms, constant: Some(constant), .. } if terms.len() == 1 => {
                for (component, value) in constant.iter_mut().enumerate() {
                    *value *= self.start(component, 0);
                }
                for (component, value) in terms[0].coefficients.iter_mut().enumerate() {
                    *value *= self.start(component, 1);
                }
            }
            _ => {}
        }
    }
}

impl Genome for Modulation {
    type Space = ModulationSpace;

    fn seeds(space: &ModulationSpace) -> Vec<(String, Self)> {
        vec![(space.plan.planner.clone(), Self::none(space.plan.components))]
    }

    fn mutate(&self, space: &ModulationSpace, draws: &mut Draws) -> Self {
        // A fine move of everything, or a large one of a few.
        let (share, jitter) =
            if draws.happens(0.5) { (1.0, 0.3 * space.jitter) } else { (0.2, space.jitter) };
        let mut child = self.clone();
        let forced = draws.index(child.logs.len());
        for (place, log) in child.logs.iter_mut().enumerate() {
            if draws.happens(share) || place == forced {
                *log += jitter * draws.normal();
            }
        }
        child
    }

    fn crossover(&self, other: &Self, _space: &ModulationSpace, draws: &mut Draws) -> Self {
        let share = draws.uniform();
        let mix = |(mine, theirs): (&f64, &f64)| share * mine + (1.0 - share) * theirs;
        Self { logs: self.logs.iter().zip(&other.logs).map(mix).collect() }
    }

    fn plan(&self, space: &ModulationSpace) -> Result<Plan, SamplerError> {
        let mut plan = space.plan.clone();
        let last = plan.steps.len().saturating_sub(1).max(1) as f64;
        for (index, step) in plan.steps.iter_mut().enumerate() {
            for op in &mut step.ops {
                self.change(op, index as f64 / last);
            }
        }
        plan.validate()?;
        Ok(plan)
    }

    fn features(&self, _space: &ModulationSpace) -> Vec<f64> {
        self.logs.clone()
    }
}
