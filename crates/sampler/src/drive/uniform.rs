//! Uniform numbers from a source of normal ones.

use crate::noise::{NoiseSource, Stream};
use crate::support::Support;

/// One uniform number in (0, 1) for each id: Φ of a keyed normal draw.
pub(super) fn uniform(noise: &dyn NoiseSource, stream: Stream, step: u32, ids: &[u64]) -> Vec<f64> {
    let mut draws = noise.normals(stream, step, 0, &Support::vector(ids.len(), 1), ids);
    draws.iter_mut().for_each(|z| *z = 0.5 * libm::erfc(-*z * std::f64::consts::FRAC_1_SQRT_2));
    draws
}

/// The index that `uniform` chooses among weights `exp(log_weights)`; `None` if no weight is above zero.
pub(super) fn choose(log_weights: &[f64], uniform: f64) -> Option<usize> {
    let top = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return None;
    }
    let weight = |log: &f64| if log.is_nan() { 0.0 } else { libm::exp(log - top) };
    let target = uniform * log_weights.iter().map(weight).sum::<f64>();
    let mut sum = 0.0;
    let mut last = None;
    for (index, log) in log_weights.iter().enumerate() {
        let weight = weight(log);
        if weight > 0.0 {
            sum += weight;
            last = Some(index);
            if sum > target {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_decide() {
        let logs = [f64::NEG_INFINITY, 0.0, f64::NAN, libm::log(3.0), f64::NEG_INFINITY];
        assert_eq!(choose(&logs, 0.0), Some(1));
        assert_eq!(choose(&logs, 0.249), Some(1));
        assert_eq!(choose(&logs, 0.251), Some(3));
        assert_eq!(choose(&logs, 1.0), Some(3));
        assert_eq!(choose(&[f64::NEG_INFINITY], 0.5), None);
        assert_eq!(choose(&[], 0.5), None);
    }
}
