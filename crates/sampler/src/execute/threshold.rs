//! Dynamic thresholding of a row.

use crate::support::Support;

/// Cuts the entries of one row to [−s, s] and scales them by `max`/s, s being the larger of `max` and the `ratio`
/// quantile of the absolute values of the free coordinates. The quantile is interpolated between neighbouring values.
pub(super) fn threshold_row(support: &Support, row: usize, values: &mut [f64], ratio: f64, max: f64) {
    let mut sizes = Vec::with_capacity(values.len());
    support.for_each_coordinate(row, |index, _| sizes.push(values[index].abs()));
    if sizes.is_empty() {
        return;
    }
    sizes.sort_unstable_by(f64::total_cmp);
    let place = ratio * (sizes.len() - 1) as f64;
    let (below, share) = (place as usize, place - libm::floor(place));
    let above = (below + 1).min(sizes.len() - 1);
    let quantile = sizes[below] + share * (sizes[above] - sizes[below]);
    let threshold = quantile.max(max);
    for value in values {
        *value = value.clamp(-threshold, threshold) * (max / threshold);
    }
}
