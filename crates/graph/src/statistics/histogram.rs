//! Counts in intervals of equal width, exactly as NumPy's `histogram(values, bins, range)` counts them.

/// Numbers of `values` in `bins` intervals of equal width from `first` to `last`. Intervals are closed below and open
/// above, the last is closed; values outside (and NaN) are not counted.
///
/// The ends of the intervals are `first + i * width` in double precision, so a value at an end falls where NumPy puts it.
#[must_use]
pub fn histogram(values: &[f64], bins: usize, first: f64, last: f64) -> Vec<f64> {
    let mut counts = vec![0.0; bins];
    let width = (last - first) / bins as f64;
    let end = |index: usize| if index == bins { last } else { index as f64 * width + first };
    for &value in values.iter().filter(|value| (first..=last).contains(*value)) {
        // Truncation may miss by one where the value is next to an end.
        let mut index = (((value - first) / (last - first) * bins as f64) as usize).min(bins - 1);
        if value < end(index) {
            index -= 1;
        } else if index + 1 < bins && value >= end(index + 1) {
            index += 1;
        }
        counts[index] += 1.0;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_belong_to_the_upper_interval_and_the_last_one_is_closed() {
        let counts = histogram(&[0.0, 0.25, 0.5, 0.999, 1.0, 1.1, -0.1, f64::NAN], 4, 0.0, 1.0);
        assert_eq!(counts, [1.0, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn every_hundredth_is_where_numpy_puts_it() {
        // numpy.histogram([k / 100 for k in range(101)], 100, (0, 1)) has these intervals without or with two values.
        let values: Vec<f64> = (0..=100).map(|k| f64::from(k) / 100.0).collect();
        let counts = histogram(&values, 100, 0.0, 1.0);
        let uneven: Vec<_> =
            (0..100).filter(|bin| counts[*bin] != 1.0).map(|bin| (bin, counts[bin])).collect();
        assert_eq!(uneven, NUMPY);
    }

    /// As printed by NumPy 2.4.6.
    const NUMPY: &[(usize, f64)] = &[
        (34, 2.0),
        (35, 0.0),
        (40, 2.0),
        (41, 0.0),
        (46, 2.0),
        (47, 0.0),
        (56, 2.0),
        (57, 0.0),
        (68, 2.0),
        (70, 0.0),
        (81, 2.0),
        (83, 0.0),
        (93, 2.0),
        (95, 0.0),
        (99, 2.0),
    ];
}
