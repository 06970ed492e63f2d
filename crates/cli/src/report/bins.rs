//! Bins common to several sets of values.

use super::chart::nice_step;
use super::{Chart, Scale, Series};

/// Bins of a continuous quantity, about.
const BINS: f64 = 36.0;
/// Bins of a number, at most; numbers beyond them share the last one.
const MOST_NUMBERS: usize = 60;
/// Share of the values that lie beyond the first and beyond the last edge and are counted in the outermost bins.
const TAIL: f64 = 0.002;

impl Chart {
    /// The distribution of a continuous quantity in sets with these names.
    pub(crate) fn continuous(title: &str, sets: &[(&str, &[f32])]) -> Self {
        let mut all: Vec<f32> =
            sets.iter().flat_map(|(_, values)| *values).copied().filter(|v| v.is_finite()).collect();
        all.sort_unstable_by(f32::total_cmp);
        let quantile = |share: f64| {
            let place = (share * all.len().saturating_sub(1) as f64).round() as usize;
            all.get(place).map_or(0.0, |value| f64::from(*value))
        };
        let (low, high) = (quantile(TAIL), quantile(1.0 - TAIL));
        let width = nice_step((high - low).max(1e-6) / BINS);
        let first = (low / width).floor();
        let bins = ((high / width).floor() - first) as usize + 1;
        let bin = |value: f64| ((value / width).floor() - first).clamp(0.0, bins as f64 - 1.0) as usize;
        Self::counted(title, Scale::Continuous, (first * width, width), bins, sets, |value| {
            bin(f64::from(*value))
        })
    }

    /// The distribution of a whole number.
    pub(crate) fn counts(title: &str, sets: &[(&str, &[u32])]) -> Self {
        let mut all: Vec<u32> = sets.iter().flat_map(|(_, values)| *values).copied().collect();
        all.sort_unstable();
        let quantile = |share: f64| all.get((share * all.len().saturating_sub(1) as f64).round() as usize);
        let [low, high] = [TAIL, 1.0 - TAIL].map(|share| quantile(share).copied().unwrap_or(0));
        let bins = ((high - low) as usize + 1).min(MOST_NUMBERS);
        let bin = |value: &u32| (value.saturating_sub(low) as usize).min(bins - 1);
        Self::counted(title, Scale::Counts, (f64::from(low), 1.0), bins, sets, bin)
    }

    fn counted<T>(
        title: &str,
        scale: Scale,
        (start, width): (f64, f64),
        bins: usize,
        sets: &[(&str, &[T])],
        bin: impl Fn(&T) -> usize,
    ) -> Self {
        let series = sets.iter().map(|(name, values)| {
            let mut counts = vec![0; bins];
            values.iter().for_each(|value| counts[bin(value)] += 1);
            Series { name: (*name).to_owned(), counts }
        });
        Self { title: title.to_owned(), scale, start, width, series: series.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_round_common_and_hold_every_value() {
        let a: Vec<f32> = (0..1_000).map(|i| i as f32 / 100.0).collect();
        let b = [2.5, 1e9, f32::NAN, -3.0];
        let chart = Chart::continuous("x", &[("a", &a), ("b", &b)]);
        let totals: Vec<u64> = chart.series.iter().map(|series| series.counts.iter().sum()).collect();
        assert_eq!(totals, [1_000, 4]);
        assert_eq!(chart.width, 0.5, "{chart:?}");
        assert!((18..=24).contains(&chart.series[0].counts.len()) && chart.start.abs() < 1e-9, "{chart:?}");
        assert_eq!(chart.series[0].counts[1], 50);
        let same = Chart::continuous("x", &[("a", &[2.0; 9])]);
        assert_eq!(same.series[0].counts.iter().sum::<u64>(), 9);
        assert!(Chart::continuous("x", &[("a", &[])]).svg().ends_with("</svg>"));
    }

    #[test]
    fn numbers_have_a_bin_each() {
        let chart = Chart::counts("rings", &[("a", &[1, 2, 2, 4]), ("b", &[3])]);
        assert_eq!((chart.start, chart.series[0].counts.as_slice()), (1.0, &[1, 2, 0, 1][..]));
        assert_eq!(chart.series[1].counts, [0, 0, 1, 0]);
        let wide = Chart::counts("atoms", &[("a", &[0, 500])]);
        assert_eq!((wide.series[0].counts.len(), wide.series[0].counts[59]), (60, 1));
        assert_eq!(Chart::counts("none", &[]).series.len(), 0);
    }
}
