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
