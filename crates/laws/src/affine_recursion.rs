//! Mean and covariance of every register of a linear plan, operation by operation.

use std::collections::HashMap;

use equidrift_sampler::path::Marginal;
use equidrift_sampler::plan::{NormScope, Register, STATE};
use equidrift_sampler::{Op, Plan, PredictionKind, Stream};
use nalgebra::{DMatrix, DVector};

use crate::error::LawError;
use crate::gaussian::Moments;

/// A prediction that is affine in the state: `gain · x + offset`, over the C components.
pub(crate) struct AffineField {
    pub(crate) gain: DMatrix<f64>,
    pub(crate) offset: DVector<f64>,
}

/// The field of a kind of prediction at a time.
pub(crate) type Fields<'f> = &'f dyn Fn(f64, &[Marginal], PredictionKind) -> Result<AffineField, LawError>;

/// Moments of the state that `plan` returns, for one-dimensional components that start with these moments, known `given`
/// registers (one value per component) and predictions that are affine in the state.
///
/// A draw of noise that is used more than once (equal stream and step) is one random variable, as in a run. Langevin
/// operations whose step follows from means over the batch are linear in the limit of a large batch, and are taken so.
pub(crate) fn propagate(
    plan: &Plan,
    start: &Moments,
    given: &[(Register, DVector<f64>)],
    fields: Fields<'_>,
) -> Result<Moments, LawError> {
    plan.validate()?;
    let c = plan.components;
    let counts =
        [("components of the law", start.mean.len(), c), ("given registers", given.len(), plan.given.len())];
    for (what, found, expected) in counts {
        if found != expected {
            return Err(LawError::Count { what, expected, found });
        }
    }
    // Variable `slot · C + component` of a joint Gaussian vector; slots are the registers and the repeated draws.
    let draws = repeated_draws(plan);
    let size = (plan.registers + draws.len()) * c;
    let mut mean = DVector::zeros(size);
    let mut covariance = DMatrix::zeros(size, size);
    mean.rows_mut(STATE * c, c).copy_from(&start.mean);
    covariance.view_mut((STATE * c, STATE * c), (c, c)).copy_from(&start.covariance);
    for (register, values) in given {
        if values.len() != c {
            return Err(LawError::Count {
                what: "values of a given register",
                expected: c,
                found: values.len(),
            });
        }
        mean.rows_mut(register * c, c).copy_from(values);
    }
    for draw in plan.registers * c..size {
        covariance[(draw, draw)] = 1.0;
    }
    let values = |register: Register| given.iter().find(|(r, _)| *r == register).map(|(_, values)| values);
    for (step, operations) in plan.steps.iter().enumerate() {
        for op in &operations.ops {
            let mut transition = DMatrix::identity(size, size);
            let mut offset = DVector::zeros(size);
            let mut noise = DVector::zeros(size);
            let mut add_noise =
                |transition: &mut DMatrix<f64>, target: usize, key, scale: f64| match draws.get(&key) {
                    Some(draw) => transition[(target, (plan.registers + draw) * c + target % c)] += scale,
                    None => noise[target] = scale * scale,
                };
            match op {
                Op::Eval { time, inputs, marginals, outputs } => {
                    for output in outputs {
                        let field = fields(*time, marginals, output.want)?;
                        for row in 0..c {
                            let target = output.into * c + row;
                            transition.row_mut(target).fill(0.0);
                            offset[target] = field.offset[row];
                            for (column, register) in inputs.iter().enumerate() {
                                transition[(target, register * c + column)] += field.gain[(row, column)];
                            }
                        }
                    }
                }
                Op::Combine { out, terms, constant, noise: fresh } => {
                    for component in 0..c {
                        let target = out * c + component;
                        transition.row_mut(target).fill(0.0);
                        for term in terms {
                            transition[(target, term.register * c + component)] +=
                                term.coefficients[component];
                        }
                        if let Some(constant) = constant {
                            offset[target] = constant[component];
                        }
                        if let Some(fresh) = fresh {
                            add_noise(
                                &mut transition,
                                target,
                                (fresh.stream, fresh.step),
                                fresh.coefficients[component],
                            );
                        }
                    }
                }
                Op::Impose { register, observed, mask, alpha, noise: fresh } => {
                    let (Some(observed), Some(mask)) = (values(*observed), values(*mask)) else {
                        return Err(LawError::NotLinear { step, op: op.to_string() });
                    };
                    for component in 0..c {
                        let (target, known) = (register * c + component, mask[component]);
                        transition[(target, target)] = 1.0 - known;
                        offset[target] = known * alpha[component] * observed[component];
                        let scale = known * fresh.coefficients[component];
                        add_noise(&mut transition, target, (fresh.stream, fresh.step), scale);
                    }
                }
                Op::Langevin { component, from, out, score, alpha, snr, scale, norm, step: draw }
                    if *norm == NormScope::BatchMean =>
                {
                    // The batch means of |z| and |s| of a large batch are expectations.
                    let at = score * c + component;
                    let ratio = snr * mean_modulus(0.0, 1.0) / mean_modulus(mean[at], covariance[(at, at)]);
                    let size = 2.0 * alpha * ratio * ratio;
                    let (target, moved) = (out * c + component, from * c + component);
                    transition.row_mut(target).fill(0.0);
                    transition[(target, moved)] = 1.0;
                    transition[(target, at)] += size;
                    let noise = scale * libm::sqrt(2.0 * size);
                    add_noise(&mut transition, target, (Stream::Corrector, *draw), noise);
                }
                _ => return Err(LawError::NotLinear { step, op: op.to_string() }),
            }
            mean = &transition * mean + offset;
            covariance = &transition * covariance * transition.transpose() + DMatrix::from_diagonal(&noise);
        }
    }
    Ok(Moments {
        mean: mean.rows(STATE * c, c).into_owned(),
        covariance: covariance.view((STATE * c, STATE * c), (c, c)).into_owned(),
    })
}

/// E|x| for x of this mean and variance.
fn mean_modulus(mean: f64, variance: f64) -> f64 {
    let sd = libm::sqrt(variance);
    let ratio = mean / sd;
    sd * libm::sqrt(std::f64::consts::FRAC_2_PI) * libm::exp(-0.5 * ratio * ratio)
        + mean * libm::erf(ratio * std::f64::consts::FRAC_1_SQRT_2)
}

/// Draws of noise that more than one operation uses, numbered.
fn repeated_draws(plan: &Plan) -> HashMap<(Stream, u32), usize> {
    let mut uses: HashMap<(Stream, u32), usize> = HashMap::new();
    let mut repeated = HashMap::new();
    for op in plan.ops() {
        if let Op::Combine { noise: Some(term), .. } | Op::Impose { noise: term, .. } = op
            && term.coefficients.iter().any(|scale| *scale != 0.0)
        {
            let key = (term.stream, term.step);
            let count = uses.entry(key).or_default();
            *count += 1;
            if *count == 2 {
                repeated.insert(key, repeated.len());
            }
        }
    }
    repeated
}
