//! Sines and cosines of a number at falling frequencies (Vaswani et al., NeurIPS 2017, section 3.5).

/// `[cos(x f_0), .., sin(x f_0), ..]` with `f_k = period^(-k / (width/2))`, `width` numbers.
#[must_use]
pub fn sinusoid(x: f64, width: usize, period: f64) -> Vec<f64> {
    at_frequencies(x, (0..width / 2).map(|k| libm::pow(period, -(k as f64) / (width as f64 / 2.0))))
}

/// As [`sinusoid`], with every frequency cut to a whole number: the first is 1, all others 0. (What a programme
/// computes that keeps frequencies in the integer type of its times.)
#[must_use]
pub fn sinusoid_of_whole_frequencies(x: f64, width: usize) -> Vec<f64> {
    at_frequencies(x, (0..width / 2).map(|k| if k == 0 { 1.0 } else { 0.0 }))
}

fn at_frequencies(x: f64, frequencies: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let cosines = frequencies.clone().map(|f| libm::cos(x * f));
    cosines.chain(frequencies.map(|f| libm::sin(x * f))).collect()
}

/// `[sin(x f_0), .., cos(x f_0), ..]` with `f_k = period^(-k / (width/2 - 1))`, `width` numbers: the sines first, and the
/// last frequency is exactly `1/period` (the form of Ho et al. 2020's programme).
#[must_use]
pub fn sinusoid_of_both_ends(x: f64, width: usize, period: f64) -> Vec<f64> {
    let half = width / 2;
    let last = half.saturating_sub(1).max(1) as f64;
    let angle = |k: usize| x * libm::pow(period, -(k as f64) / last);
    (0..half).map(|k| libm::sin(angle(k))).chain((0..half).map(|k| libm::cos(angle(k)))).collect()
}
