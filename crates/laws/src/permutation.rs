//! Permutation equivariance: relabelling the nodes relabels the answer.

use burn::tensor::{DType, Device};
use equidrift_sampler::{
    Component, Denoiser, Executor, Layout, NoiseSource, PathConfig, Plan, State, Support,
};

use crate::error::LawError;

/// One row with its nodes in another order: place p of the result holds node `order[p]`.
#[must_use]
pub fn permute_row(row: &[f64], layout: Layout, order: &[usize]) -> Vec<f64> {
    match layout {
        Layout::Nodes { features, .. } => order
            .iter()
            .flat_map(|&node| row[node * features..(node + 1) * features].iter().copied())
            .collect(),
        Layout::SymmetricPairs { nodes } => {
            order.iter().flat_map(|&i| order.iter().map(move |&j| row[i * nodes + j])).collect()
        }
        _ => order.iter().map(|&i| row[i]).collect(),
    }
}

/// A support with the nodes of each row in another order. Nodes keep their labels, so their noise moves with them.
#[must_use]
pub fn permute_support(support: &Support, orders: &[Vec<usize>]) -> Support {
    let rows = 0..support.batch();
    let mask = rows.clone().map(|b| orders[b].iter().map(|&i| support.mask(b)[i]).collect()).collect();
    let labels = rows.map(|b| orders[b].iter().map(|&i| support.label(b, i)).collect()).collect();
    let permuted = match support.layout() {
        Layout::Nodes { features, .. } => Support::nodes(mask, features),
        Layout::SymmetricPairs { .. } => Support::symmetric_pairs(mask),
        _ => Support::vector(support.batch(), support.width()),
    };
    let permuted = if support.is_centred() { permuted.centred() } else { permuted };
    permuted.with_labels(labels)
}

/// A state with the nodes of each row in another order.
///
/// # Errors
/// If the values cannot be read.
pub fn permute_state(state: &State, orders: &[Vec<usize>]) -> Result<State, LawError> {
    let mut components = Vec::with_capacity(state.components.len());
    for component in &state.components {
        let values = permute_values(&component.to_host()?, &component.support, orders);
        let support = permute_support(&component.support, orders);
        let Component { name, values: like, .. } = component;
        components.push(Component::from_host(name.clone(), values, support, &like.device(), like.dtype())?);
    }
    Ok(State::new(components)?)
}

fn permute_values(values: &[f64], support: &Support, orders: &[Vec<usize>]) -> Vec<f64> {
    let rows = values.chunks_exact(support.width().max(1)).zip(orders);
    rows.flat_map(|(row, order)| permute_row(row, support.layout(), order)).collect()
}

/// Largest absolute difference between the predictions of the permuted state and the permuted predictions, per
/// component relative to that component's largest prediction (at least 1e-30).
///
/// # Errors
/// If the denoiser fails.
pub fn prediction_defect(
    denoiser: &dyn Denoiser,
    state: &State,
    times: &[f64],
    orders: &[Vec<usize>],
) -> Result<f64, LawError> {
    let plain = denoiser.predict(state, times)?;
    let moved = denoiser.predict(&permute_state(state, orders)?, times)?;
    let mut worst = 0.0f64;
    for ((component, plain), moved) in state.components.iter().zip(plain).zip(moved) {
        let as_component =
            |values| Component { name: component.name.clone(), values, support: component.support.clone() };
        let expected = permute_values(&as_component(plain).to_host()?, &component.support, orders);
        worst = worst.max(relative_difference(&expected, &as_component(moved).to_host()?));
    }
    Ok(worst)
}

/// A sampling problem: what a run needs besides the denoiser.
pub struct SamplingCase<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Names of the components.
    pub names: &'a [&'a str],
    /// Their paths.
    pub paths: &'a [PathConfig],
    /// Their supports.
    pub supports: &'a [Support],
    /// Ids of the rows.
    pub ids: &'a [u64],
    /// The noise.
    pub noise: &'a dyn NoiseSource,
    /// Where to run.
    pub device: &'a Device,
    /// In which precision.
    pub dtype: DType,
}

impl SamplingCase<'_> {
    /// Draws the prior on `supports` and runs the plan; the final values per component.
    ///
    /// # Errors
    /// If the run fails.
    pub fn sample(&self, denoiser: &dyn Denoiser, supports: &[Support]) -> Result<Vec<Vec<f64>>, LawError> {
        let supports = supports.to_vec();
        let state =
            State::prior(self.names, self.paths, supports, self.ids, self.noise, self.device, self.dtype)?;
        let outcome = Executor::new(denoiser, self.noise).run(self.plan, state, self.ids)?;
        outcome.state.components.iter().map(|component| Ok(component.to_host()?)).collect()
    }
}

/// Like [`prediction_defect`], for samples: the case is run with its nodes in the given orders, labels and so the keyed
/// noise moving along, and compared with the permuted samples of the plain run.
///
/// # Errors
/// If a run fails.
pub fn sample_defect(
    denoiser: &dyn Denoiser,
    case: &SamplingCase<'_>,
    orders: &[Vec<usize>],
) -> Result<f64, LawError> {
    let plain = case.sample(denoiser, case.supports)?;
    let permuted: Vec<Support> =
        case.supports.iter().map(|support| permute_support(support, orders)).collect();
    let moved = case.sample(denoiser, &permuted)?;
    let mut worst = 0.0f64;
    for ((support, plain), moved) in case.supports.iter().zip(&plain).zip(&moved) {
        worst = worst.max(relative_difference(&permute_values(plain, support, orders), moved));
    }
    Ok(worst)
}

/// Largest absolute difference over the largest absolute expected value; infinite if anything is not finite.
pub(crate) fn relative_difference(expected: &[f64], found: &[f64]) -> f64 {
    let scale = expected.iter().fold(1e-30f64, |max, value| max.max(value.abs()));
    let mut worst = 0.0f64;
    for (a, b) in expected.iter().zip(found) {
        let difference = (a - b).abs();
        if !difference.is_finite() {
            return f64::INFINITY;
        }
        worst = worst.max(difference);
    }
    worst / scale
}
