//! The operations of a plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::NormScope;
use crate::noise::Stream;
use crate::path::Marginal;
use crate::prediction::PredictionKind;

/// Index of a register. Register 0 is the state a run starts from and returns.
pub type Register = usize;

/// The state's register.
pub const STATE: Register = 0;

/// A register with one coefficient per component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// The register read.
    pub register: Register,
    /// One coefficient per component.
    pub coefficients: Vec<f64>,
}

/// Fresh noise in a [`Op::Combine`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseTerm {
    /// The stream drawn from.
    pub stream: Stream,
    /// Tells the draws of a stream apart.
    pub step: u32,
    /// One standard deviation per component.
    pub coefficients: Vec<f64>,
}

/// A converted prediction of an [`Op::Eval`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// The kind of prediction wanted.
    pub want: PredictionKind,
    /// The register written.
    pub into: Register,
}

/// One operation of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Op {
    /// Evaluates the network once and converts its answer.
    Eval {
        /// Master time of every row.
        time: f64,
        /// The register each component is read from.
        inputs: Vec<Register>,
        /// α, σ and derivatives of each component at `time`, for the conversion.
        marginals: Vec<Marginal>,
        /// What is made of the answer: any number of kinds of prediction from one evaluation.
        outputs: Vec<Output>,
    },
    /// `out = Σ coefficient · register + constant + noise`, component by component.
    Combine {
        /// The register written.
        out: Register,
        /// The registers read, summed in this order.
        terms: Vec<Term>,
        /// One number per component, added to every free coordinate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        constant: Option<Vec<f64>>,
        /// Noise added last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        noise: Option<NoiseTerm>,
    },
    /// One Langevin correction of one component: `step = 2α (snr |z|/|s|)²`, `v ← v + step s + scale √(2 step) z`.
    Langevin {
        /// The component corrected.
        component: usize,
        /// The register it is read from.
        from: Register,
        /// The register written (this component only).
        out: Register,
        /// The register of the scores s.
        score: Register,
        /// α of the step size.
        alpha: f64,
        /// Signal-to-noise ratio.
        snr: f64,
        /// Factor on the noise.
        scale: f64,
        /// Whose norms make the step size.
        norm: NormScope,
        /// Tells the draws of stream `corrector` apart.
        step: u32,
    },
    /// Dynamic thresholding of each row of a register (Saharia et al. 2022): with s the larger of `max` and the `ratio`
    /// quantile of the absolute values, entries are cut to [−s, s] and scaled by `max`/s, so that they end in
    /// [−max, max]. The quantile is over the row's free coordinates. For data in a known range; not for coordinates.
    Threshold {
        /// The register changed.
        register: Register,
        /// The share of entries that is not cut, in (0, 1].
        ratio: f64,
        /// The range of the data.
        max: f64,
    },
    /// Replaces known entries: `v ← mask (α y + σ z) + (1 − mask) v`.
    Impose {
        /// The register changed.
        register: Register,
        /// The register of the observed data y.
        observed: Register,
        /// The register of the mask: 1 where an entry is known, 0 where not.
        mask: Register,
        /// One α per component.
        alpha: Vec<f64>,
        /// One noise per component; σ as its coefficients.
        noise: NoiseTerm,
    },
    /// The scaled error of each row: the root mean square, over the free coordinates of all components, of
    /// `(high − low) / max(atol, rtol · max(|low|, |previous|))`. It is what a [`PlanSource`](super::PlanSource) hears of a step.
    Compare {
        /// The register of the more accurate result.
        high: Register,
        /// The register of the less accurate result.
        low: Register,
        /// The register of the state before the step.
        previous: Register,
        /// Absolute tolerance.
        atol: f64,
        /// Relative tolerance.
        rtol: f64,
    },
}

impl Op {
    /// How many registers it writes.
    pub(super) fn written(&self) -> usize {
        match self {
            Self::Eval { outputs, .. } => outputs.len(),
            Self::Compare { .. } => 0,
            _ => 1,
        }
    }

    /// Whether `other` does the same with other times, coefficients and draws, so that rows of one batch may follow either.
    pub(super) fn is_congruent(&self, other: &Self) -> bool {
        let draws = |noise: &NoiseTerm| noise.stream;
        match (self, other) {
            (Self::Eval { inputs: a, outputs: b, .. }, Self::Eval { inputs: c, outputs: d, .. }) => {
                a == c && b == d
            }
            (
                Self::Combine { out: a, terms: b, noise: c, .. },
                Self::Combine { out: d, terms: e, noise: f, .. },
            ) => {
                a == d
                    && b.iter().map(|term| term.register).eq(e.iter().map(|term| term.register))
                    && c.as_ref().map(draws) == f.as_ref().map(draws)
            }
            (
                Self::Langevin { component, from, out, score, norm, .. },
                Self::Langevin { component: c, from: f, out: o, score: s, norm: n, .. },
            ) => (component, from, out, score, norm) == (c, f, o, s, n),
            (Self::Threshold { register: a, .. }, Self::Threshold { register: b, .. }) => a == b,
            (
                Self::Impose { register, observed, mask, noise, .. },
                Self::Impose { register: r, observed: o, mask: m, noise: n, .. },
            ) => (register, observed, mask, draws(noise)) == (r, o, m, draws(n)),
            (
                Self::Compare { high, low, previous, .. },
                Self::Compare { high: h, low: l, previous: p, .. },
            ) => (high, low, previous) == (h, l, p),
            _ => false,
        }
    }

    /// The first reason why it cannot run; marks what it writes.
    pub(super) fn check(
        &self,
        registers: usize,
        components: usize,
        written: &mut [Vec<bool>],
    ) -> Result<(), String> {
        let n = components;
        let count = |what: &str, found: usize| {
            if found == n { Ok(()) } else { Err(format!("{found} {what} for {n} components")) }
        };
        let finite = |values: &[f64]| match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(format!("coefficient {value}")),
            None => Ok(()),
        };
        let exists = |register: Register| {
            if register < registers { Ok(()) } else { Err(format!("register {register} does not exist")) }
        };
        let readable = |register: &Register, written: &[Vec<bool>]| {
            exists(*register)?;
            if written[*register].iter().all(|&w| w) {
                Ok(())
            } else {
                Err(format!("register {register} is read before it is written"))
            }
        };
        match self {
            Self::Eval { time, inputs, marginals, outputs } => {
                count("inputs", inputs.len())?;
                count("marginals", marginals.len())?;
                finite(&[*time])?;
                for m in marginals {
                    finite(&[m.alpha, m.sigma, m.d_alpha, m.d_sigma, m.base, m.d_base])?;
                }
                for (component, &register) in inputs.iter().enumerate() {
                    exists(register)?;
                    if !written[register][component] {
                        return Err(format!("register {register} is read before it is written"));
                    }
                }
                if outputs.is_empty() {
                    return Err("an evaluation that writes nothing".to_owned());
                }
                for output in outputs {
                    exists(output.into)?;
                    written[output.into].fill(true);
                }
            }
            Self::Combine { out, terms, constant, noise } => {
                if let Some(constant) = constant {
                    count("constants", constant.len())?;
                    finite(constant)?;
                }
                for term in terms {
                    count("coefficients", term.coefficients.len())?;
                    finite(&term.coefficients)?;
                    exists(term.register)?;
                    for (component, &coefficient) in term.coefficients.iter().enumerate() {
                        if coefficient != 0.0 && !written[term.register][component] {
                            return Err(format!("register {} is read before it is written", term.register));
                        }
                    }
                }
                if let Some(noise) = noise {
                    count("noise coefficients", noise.coefficients.len())?;
                    finite(&noise.coefficients)?;
                }
                exists(*out)?;
                written[*out].fill(true);
            }
            Self::Langevin { component, from, out, score, alpha, snr, scale, .. } => {
                finite(&[*alpha, *snr, *scale])?;
                if *alpha < 0.0 {
                    return Err(format!("a negative step size factor {alpha}"));
                }
                if *component >= n {
                    return Err(format!("component {component} does not exist"));
                }
                for &register in [from, score] {
                    exists(register)?;
                    if !written[register][*component] {
                        return Err(format!("register {register} is read before it is written"));
                    }
                }
                exists(*out)?;
                written[*out][*component] = true;
            }
            Self::Threshold { register, ratio, max } => {
                finite(&[*ratio, *max])?;
                if *ratio <= 0.0 || *ratio > 1.0 || *max <= 0.0 {
                    return Err(format!("a threshold of ratio {ratio} and range {max}"));
                }
                readable(register, written)?;
            }
            Self::Impose { register, observed, mask, alpha, noise } => {
                count("coefficients", alpha.len())?;
                count("noise coefficients", noise.coefficients.len())?;
                finite(alpha)?;
                finite(&noise.coefficients)?;
                for register in [register, observed, mask] {
                    readable(register, written)?;
                }
            }
            Self::Compare { high, low, previous, atol, rtol } => {
                finite(&[*atol, *rtol])?;
                if *atol < 0.0 || *rtol < 0.0 || *atol + *rtol == 0.0 {
                    return Err(format!("tolerances {atol} and {rtol}"));
                }
                for register in [high, low, previous] {
                    readable(register, written)?;
                }
            }
        }
        Ok(())
    }
}

fn numbers(f: &mut fmt::Formatter<'_>, values: &[f64]) -> fmt::Result {
    // Components mostly share a coefficient; then it is printed once.
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        return write!(f, "{:.6}", values.first().copied().unwrap_or(0.0));
    }
    f.write_str("[")?;
    for (i, value) in values.iter().enumerate() {
        write!(f, "{}{value:.6}", if i > 0 { ", " } else { "" })?;
    }
    f.write_str("]")
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eval { time, inputs, outputs, .. } => {
                let from: Vec<String> = inputs.iter().map(|r| format!("r{r}")).collect();
                let into: Vec<String> = outputs.iter().map(|o| format!("r{}", o.into)).collect();
                let want: Vec<String> = outputs.iter().map(|o| format!("{:?}", o.want)).collect();
                let (into, want) = (into.join(", "), want.join(", "));
                write!(f, "{into} = {want}({}; t = {time:.6})", from.join(", "))
            }
            Self::Combine { out, terms, constant, noise } => {
                write!(f, "r{out} = ")?;
                for (i, term) in terms.iter().enumerate() {
                    f.write_str(if i > 0 { " + " } else { "" })?;
                    if term.coefficients.iter().any(|&c| c != 1.0) {
                        numbers(f, &term.coefficients)?;
                        f.write_str(" ")?;
                    }
                    write!(f, "r{}", term.register)?;
                }
                if let Some(constant) = constant {
                    f.write_str(" + ")?;
                    numbers(f, constant)?;
                }
                if let Some(noise) = noise {
                    f.write_str(" + ")?;
                    numbers(f, &noise.coefficients)?;
                    write!(f, " z({:?}, {})", noise.stream, noise.step)?;
                }
                Ok(())
            }
            Self::Langevin { component, from, out, score, alpha, snr, scale, norm, step } => write!(
                f,
                "r{out}.{component} = langevin(r{from}.{component}, score r{score}; alpha {alpha:.6}, snr {snr}, scale {scale}, {norm:?}) + z(Corrector, {step})"
            ),
            Self::Threshold { register, ratio, max } => {
                write!(f, "r{register} = threshold(r{register}; ratio {ratio}, max {max})")
            }
            Self::Impose { register, observed, mask, alpha, noise } => {
                write!(f, "r{register} = where r{mask}: ")?;
                numbers(f, alpha)?;
                write!(f, " r{observed} + ")?;
                numbers(f, &noise.coefficients)?;
                write!(f, " z({:?}, {}); else r{register}", noise.stream, noise.step)
            }
            Self::Compare { high, low, previous, atol, rtol } => {
                write!(f, "error = |r{high} - r{low}| / max({atol}, {rtol} max(|r{low}|, |r{previous}|))")
            }
        }
    }
}
