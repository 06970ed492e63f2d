//! Kullback–Leibler divergences of two samples of numbers by estimated densities.

use equidrift_graph::threads::map_in_threads;

use crate::metrics::resampling::GROUPS;

/// Places at which densities are compared.
const PLACES: usize = 1_000;
const BINS: usize = 10;
/// Added to every density.
const FLOOR: f64 = 1e-10;
/// Kernels are cut off at so many bandwidths, where they have fallen to 1e-22.
const REACH: f64 = 10.0;

/// Densities of a reference and of a sample at the same places, the sample's in [`GROUPS`] (number `i` belongs to group `i` mod
/// [`GROUPS`]), so that the divergence of every half is known.
#[derive(Debug, Clone)]
pub struct Densities {
    /// Of the reference, floor added.
    reference: Vec<f64>,
    /// Of each group of the sample, times its size.
    groups: Vec<Vec<f64>>,
    /// Numbers in each group.
    sizes: Vec<f64>,
}

impl Densities {
    /// Gaussian kernel densities (SciPy's `gaussian_kde`: Scott's bandwidth, n^(-1/5) standard deviations) at 1000 places
    /// over the range of both samples. Halves keep the bandwidth of the whole. `None` where one sample has fewer than two
    /// numbers or no spread. Cost: 1000 times the sample sizes.
    #[must_use]
    pub fn continuous(reference: &[f64], sample: &[f64], threads: usize) -> Option<Self> {
        let (first, second) = (Kernels::new(reference)?, Kernels::new(sample)?);
        let lowest = first.lowest().min(second.lowest());
        let highest = first.highest().max(second.highest());
        let step = (highest - lowest) / (PLACES - 1) as f64;
        let mut places: Vec<f64> = (0..PLACES).map(|place| place as f64 * step + lowest).collect();
        places[PLACES - 1] = highest;
        let at_places = map_in_threads(&places, 20, threads, |places| {
            let both = |place: &f64| (first.sums(*place), second.sums(*place));
            places.iter().map(both).collect::<Vec<_>>()
        });
        let mut densities = Self {
            reference: Vec::with_capacity(PLACES),
            groups: vec![Vec::new(); GROUPS],
            sizes: vec![0.0; GROUPS],
        };
        for (of_reference, of_groups) in at_places.into_iter().flatten() {
            let count = first.centres.len() as f64;
            densities.reference.push(of_reference.iter().sum::<f64>() / (count * first.unit()) + FLOOR);
            for (group, sum) in densities.groups.iter_mut().zip(of_groups) {
                group.push(sum / second.unit());
            }
        }
        second.centres.iter().for_each(|(_, group)| densities.sizes[*group] += 1.0);
        Some(densities)
    }

    /// Histograms of ten bins over the reference's range (NumPy's `histogram`: the last bin has both its ends). `None` where there
    /// is no reference.
    #[must_use]
    pub fn discrete(reference: &[f64], sample: &[f64]) -> Option<Self> {
        let lowest = reference.iter().copied().reduce(f64::min)?;
        let highest = reference.iter().copied().reduce(f64::max)?;
        let (lowest, highest) =
            if lowest == highest { (lowest - 0.5, highest + 0.5) } else { (lowest, highest) };
        let step = (highest - lowest) / BINS as f64;
        let mut edges: Vec<f64> = (0..=BINS).map(|edge| edge as f64 * step + lowest).collect();
        edges[BINS] = highest;
        let bin = |value: f64| edges.partition_point(|edge| *edge <= value).clamp(1, BINS) - 1;
        let add = |heights: &mut [f64], value: f64| {
            let bin = bin(value);
            heights[bin] += 1.0 / (edges[bin + 1] - edges[bin]);
        };
        let mut densities = Self {
            reference: vec![0.0; BINS],
            groups: vec![vec![0.0; BINS]; GROUPS],
            sizes: vec![0.0; GROUPS],
        };
        reference.iter().for_each(|value| add(&mut densities.reference, *value));
        for height in &mut densities.reference {
            *height = *height / reference.len() as f64 + FLOOR;
        }
        for (place, value) in
            sample.iter().enumerate().filter(|(_, value)| (lowest..=highest).contains(*value))
        {
            add(&mut densities.groups[place % GROUPS], *value);
            densities.sizes[place % GROUPS] += 1.0;
        }
        Some(densities)
    }

    /// KL(reference || sample), nats; `None` where no number of the sample is in the range of the reference.
    #[must_use]
    pub fn divergence(&self) -> Option<f64> {
        self.divergence_of(&[1; GROUPS])
    }

    /// The same of those groups that `times` counts.
    #[must_use]
    pub fn divergence_of(&self, times: &[u32]) -> Option<f64> {
        let weights = || times.iter().map(|times| f64::from(*times));
        let size: f64 = self.sizes.iter().zip(weights()).map(|(size, weight)| size * weight).sum();
        let mut sample = vec![0.0; self.reference.len()];
        for (group, weight) in self.groups.iter().zip(weights()).filter(|(_, weight)| *weight > 0.0) {
            sample.iter_mut().zip(group).for_each(|(sum, density)| *sum += weight * density);
        }
        sample.iter_mut().for_each(|sum| *sum = *sum / size + FLOOR);
        (size > 0.0).then(|| relative_entropy(&self.reference, &sample))
    }
}

struct Kernels {
    /// Sorted, with their groups.
    centres: Vec<(f64, usize)>,
    bandwidth: f64,
}

impl Kernels {
    fn new(sample: &[f64]) -> Option<Self> {
        let count = sample.len() as f64;
        if sample.len() < 2 {
            return None;
        }
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let bandwidth = variance.sqrt() * count.powf(-0.2);
        let mut centres: Vec<(f64, usize)> =
            sample.iter().enumerate().map(|(place, value)| (*value, place % GROUPS)).collect();
        centres.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        (bandwidth > 0.0 && bandwidth.is_finite()).then_some(Self { centres, bandwidth })
    }

    fn lowest(&self) -> f64 {
        self.centres.first().map_or(0.0, |(value, _)| *value)
    }

    fn highest(&self) -> f64 {
        self.centres.last().map_or(0.0, |(value, _)| *value)
    }

    /// The area under a kernel as [`Kernels::sums`] adds it.
    fn unit(&self) -> f64 {
        self.bandwidth * std::f64::consts::TAU.sqrt()
    }

    /// The sum of the kernels of each group at a place.
    fn sums(&self, place: f64) -> [f64; GROUPS] {
        let reach = REACH * self.bandwidth;
        let start = self.centres.partition_point(|(centre, _)| *centre < place - reach);
        let mut sums = [0.0; GROUPS];
        for (centre, group) in self.centres[start..].iter().take_while(|(centre, _)| *centre <= place + reach)
        {
            sums[*group] += (-0.5 * ((place - centre) / self.bandwidth).powi(2)).exp();
        }
        sums
    }
}

/// The relative entropy of two positive functions, each divided by its sum.
fn relative_entropy(p: &[f64], q: &[f64]) -> f64 {
    let (of_p, of_q): (f64, f64) = (p.iter().sum(), q.iter().sum());
    p.iter().zip(q).map(|(p, q)| p / of_p * ((p / of_p) / (q / of_q)).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continuous(reference: &[f64], sample: &[f64]) -> Option<f64> {
        Densities::continuous(reference, sample, 2)?.divergence()
    }

    fn discrete(reference: &[f64], sample: &[f64]) -> Option<f64> {
        Densities::discrete(reference, sample)?.divergence()
    }

    #[test]
    fn normal_samples_have_the_divergence_of_normal_laws() {
        // Quantiles of normal laws; the kernels widen both by n^(-2/5) of the variance.
        let normal = |mean: f64, std: f64| {
            let sample: Vec<f64> =
                (1..20_000).map(|i| mean + std * quantile(f64::from(i) / 20_000.0)).collect();
            sample
        };
        let exact = 0.5 * (1.0 / 1.44 + 0.25 / 1.44 - 1.0 + 1.44_f64.ln());
        let found = continuous(&normal(0.0, 1.0), &normal(0.5, 1.2)).unwrap();
        assert!((found / exact - 1.0).abs() < 0.03, "{found} {exact}");
        assert!(continuous(&[1.0, 1.0], &[0.0, 1.0]).is_none());
        assert!(continuous(&[1.0], &[0.0, 1.0]).is_none());
    }

    /// The normal quantile by bisection of the error function's integral.
    fn quantile(level: f64) -> f64 {
        let distribution = |x: f64| {
            let steps = 400;
            let h = x / f64::from(steps);
            let sum: f64 = (0..steps).map(|i| (-0.5 * (h * (f64::from(i) + 0.5)).powi(2)).exp()).sum();
            0.5 + sum * h / std::f64::consts::TAU.sqrt()
        };
        let (mut low, mut high) = (-6.0, 6.0);
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if distribution(middle) < level { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }

    #[test]
    fn histograms_are_compared_over_the_range_of_the_reference() {
        // The reference fills two bins of width 0.1 equally; of the sample 1/4 and 3/4 are in them, two numbers are outside.
        let found = discrete(&[0.0, 1.0], &[0.0, 1.0, 1.0, 1.0, 7.0, -3.0]).unwrap();
        assert!((found - (0.5 * 2.0_f64.ln() + 0.5 * (2.0_f64 / 3.0).ln())).abs() < 1e-6);
        assert!(discrete(&[3.0, 3.0], &[3.0]).unwrap().abs() < 1e-12);
        assert!(discrete(&[3.0, 4.0], &[5.0]).is_none() && discrete(&[], &[5.0]).is_none());
    }

    #[test]
    fn a_half_has_the_divergence_of_its_own_numbers() {
        // Groups 0..32 hold zeros, the others ones.
        let sample: Vec<f64> = (0..6_400).map(|i| if i % GROUPS < 32 { 0.0 } else { 1.0 }).collect();
        let densities = Densities::discrete(&[0.0, 0.0, 0.0, 1.0], &sample).unwrap();
        let times: Vec<u32> =
            (0..GROUPS as u32).map(|group| u32::from(group < 32 || group % 2 == 0)).collect();
        // Two thirds zeros.
        let exact = 0.75 * (0.75_f64 * 1.5).ln() + 0.25 * (0.25_f64 * 3.0).ln();
        assert!((densities.divergence_of(&times).unwrap() - exact).abs() < 1e-6);
        let uneven: Vec<f64> = (0..6_400).map(|i| f64::from(i * 7919 % 6_400)).collect();
        let densities = Densities::continuous(&uneven, &uneven, 1).unwrap();
        assert!(densities.divergence().unwrap().abs() < 1e-12);
        let error = densities.divergence_of(&times).unwrap();
        assert!(error > 1e-9 && error < 1e-2, "{error}");
    }
}
