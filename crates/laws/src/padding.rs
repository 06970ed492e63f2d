//! Padding: what a padded entry holds, and how many there are, must not reach a real one.

use equidrift_sampler::{Component, Denoiser, Layout, State, Support};

use crate::error::LawError;
use crate::permutation::relative_difference;

/// The values at the real entries of every row, row after row (of pairs: above the diagonal).
#[must_use]
pub fn real_values(values: &[f64], support: &Support) -> Vec<f64> {
    let mut out = Vec::new();
    for (row, values) in values.chunks_exact(support.width().max(1)).enumerate() {
        support.for_each_coordinate(row, |index, _| out.push(values[index]));
    }
    out
}

/// A state whose entries outside the support hold `garbage(index)` instead of zero: features of absent nodes, and rows
/// and columns of absent nodes in pair matrices (the diagonal of real nodes is left alone).
///
/// # Errors
/// If the values cannot be read.
pub fn with_garbage(state: &State, garbage: impl Fn(usize) -> f64) -> Result<State, LawError> {
    let mut components = Vec::with_capacity(state.components.len());
    for component in &state.components {
        let mut values = component.to_host()?;
        let support = &component.support;
        let width = support.width();
        for (row, values) in values.chunks_exact_mut(width.max(1)).enumerate() {
            let mask = support.mask(row);
            for (index, value) in values.iter_mut().enumerate() {
                let real = match support.layout() {
                    Layout::Nodes { features, .. } => mask[index / features],
                    Layout::SymmetricPairs { nodes } => mask[index / nodes] && mask[index % nodes],
                    _ => true,
                };
                if !real {
                    *value = garbage(row * width + index);
                }
            }
        }
        let Component { name, values: like, .. } = component;
        components.push(Component::from_host(
            name.clone(),
            values,
            support.clone(),
            &like.device(),
            like.dtype(),
        )?);
    }
    Ok(State::new(components)?)
}

/// Largest relative change of the predictions at real entries when padding is filled with garbage.
///
/// # Errors
/// If the denoiser fails.
pub fn garbage_defect(
    denoiser: &dyn Denoiser,
    state: &State,
    times: &[f64],
    garbage: impl Fn(usize) -> f64,
) -> Result<f64, LawError> {
    let filled = with_garbage(state, garbage)?;
    defect(denoiser, state, &filled, times)
}

/// A state with `extra` more absent nodes at the end of every row.
///
/// # Errors
/// If the values cannot be read.
pub fn with_extra_nodes(state: &State, extra: usize) -> Result<State, LawError> {
    let mut components = Vec::with_capacity(state.components.len());
    for component in &state.components {
        let old = &component.support;
        let rows = 0..old.batch();
        let mask = rows
            .clone()
            .map(|b| old.mask(b).iter().copied().chain(std::iter::repeat_n(false, extra)).collect())
            .collect();
        let support = match old.layout() {
            Layout::Nodes { features, .. } => Support::nodes(mask, features),
            Layout::SymmetricPairs { .. } => Support::symmetric_pairs(mask),
            _ => old.clone(),
        };
        let sites = old.layout().sites();
        let support = if old.has_labels() {
            support.with_labels(rows.map(|b| (0..sites).map(|i| old.label(b, i)).collect()).collect())
        } else {
            support
        };
        let host = component.to_host()?;
        let mut values = vec![0.0; support.batch() * support.width()];
        for (from, to) in
            host.chunks_exact(old.width().max(1)).zip(values.chunks_exact_mut(support.width().max(1)))
        {
            match (old.layout(), support.layout()) {
                (Layout::SymmetricPairs { nodes }, Layout::SymmetricPairs { nodes: wide }) => {
                    for i in 0..nodes {
                        to[i * wide..i * wide + nodes].copy_from_slice(&from[i * nodes..(i + 1) * nodes]);
                    }
                }
                // Node features and vectors keep their places: their keys do not depend on N.
                _ => to[..from.len()].copy_from_slice(from),
            }
        }
        let Component { name, values: like, .. } = component;
        components.push(Component::from_host(name.clone(), values, support, &like.device(), like.dtype())?);
    }
    Ok(State::new(components)?)
}

/// Largest relative change of the predictions at real entries when rows get `extra` more absent nodes.
///
/// # Errors
/// If the denoiser fails.
pub fn extra_nodes_defect(
    denoiser: &dyn Denoiser,
    state: &State,
    times: &[f64],
    extra: usize,
) -> Result<f64, LawError> {
    let wide = with_extra_nodes(state, extra)?;
    defect(denoiser, state, &wide, times)
}

fn defect(denoiser: &dyn Denoiser, plain: &State, other: &State, times: &[f64]) -> Result<f64, LawError> {
    let expected = denoiser.predict(plain, times)?;
    let found = denoiser.predict(other, times)?;
    let mut worst = 0.0f64;
    for (index, (expected, found)) in expected.into_iter().zip(found).enumerate() {
        let real = |values, state: &State| -> Result<Vec<f64>, LawError> {
            let Component { name, support, .. } = state.components[index].clone();
            let component = Component { name, values, support };
            Ok(real_values(&component.to_host()?, &component.support))
        };
        worst = worst.max(relative_difference(&real(expected, plain)?, &real(found, other)?));
    }
    Ok(worst)
}
