//! Values that a wrapper holds for every sample, for the samples that are in a state.

use burn::tensor::Tensor;

use crate::state::{Component, select_rows};

/// The rows of `held` that belong to the rows of `like`, which may be some of the batch that a run began with, in any order
/// ([`Support::origin`](crate::Support::origin)), on the device and in the dtype of `like`; `None` if they do not fit.
pub(super) fn held_rows(held: &Component, like: &Component) -> Option<Tensor<2>> {
    let rows: Vec<usize> = (0..like.support.batch()).map(|row| like.support.origin(row)).collect();
    let batch = held.support.batch();
    if like.support.width() != held.support.width() || rows.iter().any(|&row| row >= batch) {
        return None;
    }
    let plain = rows.len() == batch && rows.iter().copied().eq(0..batch);
    let values = held.values.clone();
    let values = if plain { values } else { select_rows(values, &rows) };
    let (dtype, device) = (like.values.dtype(), like.values.device());
    let values = if values.device() == device { values } else { values.to_device(&device) };
    Some(if values.dtype() == dtype { values } else { values.cast(dtype) })
}
