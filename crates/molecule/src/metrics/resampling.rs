//! Grouped bootstrap (Efron 1979, with groups of samples in place of samples): how much a figure would change if
//! other samples had been drawn.
//!
//! Sample `i` of a set belongs to group `i` mod [`GROUPS`]. A replicate draws [`GROUPS`] groups with replacement; the figure
//! of the samples of these groups, each as often as it was drawn, is computed anew. The standard deviation over replicates is the
//! figure's standard error. Groups of independent samples are themselves independent and alike, so it is the one of the plain
//! bootstrap, with a relative error of about `1 / sqrt(2 GROUPS)` = 9 % on top of that of the replicates, `1 / sqrt(2 B)`.
//! What must be kept does not grow with the set.
//!
//! Shares need no replicates: [`share_error`] is what they converge to. Numbers of distinct molecules must not be
//! bootstrapped, because a resampled set has repetitions of its own; [`distinct_share_error`] is the jackknife instead.

use super::threads::map_in_threads;

/// Groups of a set.
pub const GROUPS: usize = 64;

/// How often each group is drawn, replicate by replicate; a function of the seed alone.
#[must_use]
pub fn draws(replicates: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64 (Steele, Lea & Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let draw = |_| {
        let mut times = vec![0; GROUPS];
        // GROUPS is a power of two: the top bits are uniform.
        (0..GROUPS).for_each(|_| times[(next() >> (64 - GROUPS.ilog2())) as usize] += 1);
        times
    };
    (0..replicates).map(draw).collect()
}

/// The standard error of a figure: the standard deviation of `figure` over replicates, each computed by one of `threads`
/// threads. `None` where fewer than two replicates have a finite figure.
pub fn standard_error(
    draws: &[Vec<u32>],
    threads: usize,
    figure: impl Fn(&[u32]) -> Option<f64> + Sync,
) -> Option<f64> {
    let values = map_in_threads(draws, 1, threads, |draw| draw.first().and_then(|times| figure(times)));
    let values: Vec<f64> = values.into_iter().flatten().filter(|value| value.is_finite()).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    (values.len() > 1).then(|| (square / (count - 1.0)).sqrt())
}

/// The standard error of a share `part / whole` of independent samples: the standard deviation of what is known of the share
/// after them, with Jeffreys' prior. It is the binomial `sqrt(p (1 - p) / n)` but near 0 and 1, where that one claims
/// certainty: 10,000 of 10,000 is 100 % with an error of 0.007 %.
#[must_use]
pub fn share_error(part: u64, whole: u64) -> Option<f64> {
    let (a, b) = (part as f64 + 0.5, whole.saturating_sub(part) as f64 + 0.5);
    (whole > 0).then(|| (a * b / (a + b + 1.0)).sqrt() / (a + b))
}

/// The standard error of `distinct / samples` (uniqueness), by the jackknife: leaving out a sample takes away a distinct one
/// only if it was the only one of its kind, as `single` samples are. Its closed form is the error of the share
/// `single / samples`, for which [`share_error`] is taken.
#[must_use]
pub fn distinct_share_error(single: u64, samples: u64) -> Option<f64> {
    if samples > 1 { share_error(single, samples) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replicate_draws_as_many_groups_as_there_are() {
        let draws = draws(200, 7);
        assert!(draws.iter().all(|times| times.iter().sum::<u32>() == GROUPS as u32));
        // Each group is drawn once in the mean, with a variance of nearly one.
        let times: Vec<f64> = draws.iter().flatten().map(|times| f64::from(*times)).collect();
        let variance =
            times.iter().map(|times| (times - 1.0) * (times - 1.0)).sum::<f64>() / times.len() as f64;
        assert!((0.93..1.04).contains(&variance), "{variance}");
        assert_eq!(self::draws(3, 7), draws[..3]);
        assert_ne!(self::draws(3, 8), draws[..3]);
    }

    #[test]
    fn the_error_of_a_mean_is_that_of_the_central_limit() {
        // Group g holds values with mean sin(g) that come from one law: the error of the mean over 64 groups.
        let value = |g: usize| (g as f64 * 1.7).sin();
        let mean = (0..GROUPS).map(value).sum::<f64>() / 64.0;
        let square = (0..GROUPS).map(|g| (value(g) - mean).powi(2)).sum::<f64>() / 64.0;
        let exact = (square / 64.0).sqrt();
        let figure = |times: &[u32]| {
            Some(times.iter().enumerate().map(|(g, times)| f64::from(*times) * value(g)).sum::<f64>() / 64.0)
        };
        let found = standard_error(&draws(2_000, 1), 3, figure).unwrap();
        assert!((found / exact - 1.0).abs() < 0.06, "{found} {exact}");
        assert_eq!(standard_error(&draws(1, 1), 1, figure), None);
        assert_eq!(standard_error(&draws(9, 1), 1, |_| None), None);
    }

    #[test]
    fn errors_of_shares_are_the_closed_forms() {
        let found = share_error(2_500, 10_000).unwrap();
        assert!((found / (0.25 * 0.75 / 10_000.0_f64).sqrt() - 1.0).abs() < 1e-3, "{found}");
        let sure = share_error(10_000, 10_000).unwrap();
        assert!((sure - 7.07e-5).abs() < 1e-7, "{sure}");
        assert_eq!((share_error(0, 0), distinct_share_error(1, 1)), (None, None));
        // The jackknife by hand: of 1,000 samples 600 are alone of their kind, the others come in pairs.
        let (n, single) = (1_000.0_f64, 600.0);
        let distinct = single + 200.0;
        let without = |alone: bool| (distinct - f64::from(u8::from(alone))) / (n - 1.0);
        let mean = (single * without(true) + (n - single) * without(false)) / n;
        let squares =
            single * (without(true) - mean).powi(2) + (n - single) * (without(false) - mean).powi(2);
        let jackknife = ((n - 1.0) / n * squares).sqrt();
        let found = distinct_share_error(600, 1_000).unwrap();
        assert!((found / jackknife - 1.0).abs() < 2e-3, "{found} {jackknife}");
    }
}
