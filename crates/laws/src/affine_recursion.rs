//! Mean and covariance of every register of a linear plan, operation by operation.

use std::collections::HashMap;

use equidrift_sampler::path::Marginal;
use equidrift_sampler::plan::{NormScope, Register, STATE, Term};
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

/// A variable that an operation writes: `Σ coefficient · variable + offset` and independent noise of variance `noise`.
struct Row {
    target: usize,
    terms: Vec<(usize, f64)>,
    offset: f64,
    noise: f64,
}

/// Writes the rows at once, each from the variables as they were. Only their own rows and columns of the covariance change,
/// which for long plans with many registers is far less than the whole matrix.
fn assign(rows: &[Row], mean: &mut DVector<f64>, covariance: &mut DMatrix<f64>) {
    let means: Vec<f64> = rows
        .iter()
        .map(|row| row.offset + row.terms.iter().map(|(k, c)| c * mean[*k]).sum::<f64>())
        .collect();
    // Covariances of the new variables with all old ones.
    let crosses: Vec<DVector<f64>> = rows
        .iter()
        .map(|row| {
            let mut cross = DVector::zeros(mean.len());
            row.terms.iter().for_each(|(k, c)| cross.axpy(*c, &covariance.column(*k), 1.0));
            cross
        })
        .collect();
    for ((row, cross), new) in rows.iter().zip(&crosses).zip(means) {
        mean[row.target] = new;
        covariance.set_column(row.target, cross);
        covariance.set_row(row.target, &cross.transpose());
    }
    for (i, (row, cross)) in rows.iter().zip(&crosses).enumerate() {
        for (j, other) in rows.iter().enumerate() {
            let shared = if i == j { row.noise } else { 0.0 };
            covariance[(row.target, other.target)] =
                shared + other.terms.iter().map(|(k, c)| c * cross[*k]).sum::<f64>();
        }
    }
}

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
    // Noise of this scale on the variable `target`: a term of the row, or a variance of its own.
    let noisy = |mut row: Row, key: (Stream, u32), scale: f64| match draws.get(&key) {
        Some(draw) => {
            row.terms.push(((plan.registers + draw) * c + row.target % c, scale));
            row
        }
        None => Row { noise: scale * scale, ..row },
    };
    for (step, operations) in plan.steps.iter().enumerate() {
        for op in &operations.ops {
            let mut rows: Vec<Row> = Vec::new();
            match op {
                Op::Eval { time, inputs, marginals, outputs } => {
                    for output in outputs {
                        let field = fields(*time, marginals, output.want)?;
                        for row in 0..c {
                            let read = |(column, register): (usize, &Register)| {
                                (register * c + column, field.gain[(row, column)])
                            };
                            let terms = inputs.iter().enumerate().map(read).collect();
                            let (target, offset) = (output.into * c + row, field.offset[row]);
                            rows.push(Row { target, terms, offset, noise: 0.0 });
                        }
                    }
                }
                Op::Combine { out, terms, constant, noise: fresh } => {
                    for component in 0..c {
                        let read =
                            |term: &Term| (term.register * c + component, term.coefficients[component]);
                        let row = Row {
                            target: out * c + component,
                            terms: terms.iter().map(read).collect(),
                            offset: constant.as_ref().map_or(0.0, |constant| constant[component]),
                            noise: 0.0,
                        };
                        rows.push(match fresh {
                            Some(fresh) => {
                                noisy(row, (fresh.stream, fresh.step), fresh.coefficients[component])
                            }
                            None => row,
                        });
                    }
                }
                Op::Impose { register, observed, mask, alpha, noise: fresh } => {
                    let (Some(observed), Some(mask)) = (values(*observed), values(*mask)) else {
                        return Err(LawError::NotLinear { step, op: op.to_string() });
                    };
                    for component in 0..c {
                        let (target, known) = (register * c + component, mask[component]);
                        let offset = known * alpha[component] * observed[component];
                        let row = Row { target, terms: vec![(target, 1.0 - known)], offset, noise: 0.0 };
                        let scale = known * fresh.coefficients[component];
                        rows.push(noisy(row, (fresh.stream, fresh.step), scale));
                    }
                }
                Op::Langevin { component, from, out, score, alpha, snr, scale, norm, step: draw }
                    if *norm == NormScope::BatchMean =>
                {
                    // The batch means of |z| and |s| of a large batch are expectations.
                    let at = score * c + component;
                    let ratio = snr * mean_modulus(0.0, 1.0) / mean_modulus(mean[at], covariance[(at, at)]);
                    let size = 2.0 * alpha * ratio * ratio;
                    let terms = vec![(from * c + component, 1.0), (at, size)];
                    let row = Row { target: out * c + component, terms, offset: 0.0, noise: 0.0 };
                    rows.push(noisy(row, (Stream::Corrector, *draw), scale * libm::sqrt(2.0 * size)));
                }
                _ => return Err(LawError::NotLinear { step, op: op.to_string() }),
            }
            assign(&rows, &mut mean, &mut covariance);
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
