//! Standard errors by half-sampling: how much a figure would change if other samples had been drawn.
//!
//! A replicate is a random half of the samples, drawn without replacement; the figure of each half is computed, and the standard
//! deviation over replicates is the standard error of the figure of the whole. Where a figure is a mean this is exact: half
//! of `n` without replacement has the variance `(1 - 1/2) S^2 / (n/2) = S^2 / n`; in general it is equivalent to Efron's bootstrap
//! (Buja & Stuetzle, Statistica Sinica 16, 323, 2006; as a jackknife that leaves out `n/2`: Shao & Wu, Ann. Statist. 17, 1176,
//! 1989). The bootstrap with replacement would fail here: distances between sets and numbers of distinct molecules depend on
//! how many *different* samples a set has, which changes from one such replicate to the next. A distance between draws of one
//! law is nothing but that dependence, and so its error comes out too large: two to four times with replacement, at most 1.6
//! times by halves. Where the laws differ by more than chance, it is right.
//!
//! So that memory does not grow with the set, samples are in groups: sample `i` belongs to group `i` mod [`GROUPS`], and halves
//! are halves of the groups. Groups of independent samples are themselves independent and alike, so this changes the error
//! only by chance, by about `1 / sqrt(2 GROUPS)` = 9 %; `B` replicates add `1 / sqrt(2 B)`.
//!
//! Shares need no replicates: [`share_error`] is what they converge to, and so is [`distinct_share_error`] for uniqueness.

use equidrift_graph::threads::map_in_threads;

/// Groups of a set.
pub const GROUPS: usize = 64;

/// Halves of the groups, one a replicate: 1 for a group that belongs to it, else 0. A function of the seed alone.
#[must_use]
pub fn halves(replicates: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64 (Steele, Lea & Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let half = |_| {
        let mut groups: [usize; GROUPS] = std::array::from_fn(|group| group);
        let mut times = vec![0; GROUPS];
        for place in 0..GROUPS / 2 {
            // The first steps of a Fisher-Yates shuffle; the remainder is uneven by 3e-18.
            groups.swap(place, place + (next() % (GROUPS - place) as u64) as usize);
            times[groups[place]] = 1;
        }
        times
    };
    (0..replicates).map(half).collect()
}

/// The standard error of a figure: the standard deviation of `figure` over replicates, each computed by one of `threads`
/// threads. `None` where fewer than two replicates have a finite figure.
pub fn standard_error(
    halves: &[Vec<u32>],
    threads: usize,
    figure: impl Fn(&[u32]) -> Option<f64> + Sync,
) -> Option<f64> {
    let values = map_in_threads(halves, 1, threads, |half| half.first().and_then(|times| figure(times)));
    let values: Vec<f64> = values.into_iter().flatten().filter(|value| value.is_finite()).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    (values.len() > 1).then(|| (square / (count - 1.0)).sqrt())
}

/// The standard error of the mean of independent values. `None` for fewer than two.
#[must_use]
pub fn mean_error(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    (values.len() > 1).then(|| (square / (count - 1.0) / count).sqrt())
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
    fn a_replicate_is_a_half_and_every_group_is_as_often_in_as_out() {
        let halves = halves(2_000, 7);
        assert!(halves.iter().all(|times| times.iter().sum::<u32>() == GROUPS as u32 / 2));
        for group in 0..GROUPS {
            let times: u32 = halves.iter().map(|times| times[group]).sum();
            // Four standard deviations.
            assert!((910..=1090).contains(&times), "group {group}: {times}");
        }
        assert_eq!(self::halves(3, 7), halves[..3]);
        assert_ne!(self::halves(3, 8), halves[..3]);
    }

    #[test]
    fn the_error_of_a_mean_is_that_of_the_central_limit() {
        // Group g holds one value: the error of the mean over 64 values.
        let value = |g: usize| (g as f64 * 1.7).sin();
        let mean = (0..GROUPS).map(value).sum::<f64>() / 64.0;
        let square = (0..GROUPS).map(|g| (value(g) - mean).powi(2)).sum::<f64>() / 63.0;
        let exact = (square / 64.0).sqrt();
        let figure = |times: &[u32]| {
            Some(times.iter().enumerate().map(|(g, times)| f64::from(*times) * value(g)).sum::<f64>() / 32.0)
        };
        let found = standard_error(&halves(2_000, 1), 3, figure).unwrap();
        assert!((found / exact - 1.0).abs() < 0.06, "{found} {exact}");
        assert_eq!(standard_error(&halves(1, 1), 1, figure), None);
        assert_eq!(standard_error(&halves(9, 1), 1, |_| None), None);
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
