//! Gaussian kernels of distances between statistics.

/// A distance between two statistics of equal length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distance {
    /// Earth mover's distance between two histograms of equal mass on a line, in units of `bins` bins: the sum of the
    /// differences of their cumulative sums.
    EarthMover {
        /// Bins per unit of distance.
        bins: f64,
    },
    /// Half the sum of the absolute differences.
    TotalVariation,
    /// Root of the sum of squared differences.
    Euclidean,
}

/// What is done to a statistic before it is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// Nothing.
    None,
    /// It is divided by its sum and this offset.
    Sum {
        /// Added to the sum.
        offset: f64,
    },
}

/// `exp(-d^2 / (2 sigma^2))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kernel {
    /// The distance `d`.
    pub distance: Distance,
    /// Of statistics, before.
    pub scaling: Scaling,
    /// Bandwidth.
    pub sigma: f64,
}

impl Kernel {
    /// The form of a statistic in which [`Kernel::value`] compares it: scaled, padded with zeros to `length`, and summed
    /// up for the earth mover's distance.
    pub(super) fn prepare(&self, statistic: &[f64], length: usize) -> Vec<f64> {
        let divisor = match self.scaling {
            Scaling::None => 1.0,
            Scaling::Sum { offset } => statistic.iter().sum::<f64>() + offset,
        };
        let mut prepared: Vec<f64> = statistic.iter().map(|value| value / divisor).collect();
        prepared.resize(length, 0.0);
        if let Distance::EarthMover { bins } = self.distance {
            let mut sum = 0.0;
            for value in &mut prepared {
                sum += *value;
                *value = sum / bins;
            }
        }
        prepared
    }

    /// The kernel of two prepared statistics.
    pub(super) fn value(&self, first: &[f64], second: &[f64]) -> f64 {
        let pairs = first.iter().zip(second);
        let absolute = |pairs: std::iter::Zip<std::slice::Iter<'_, f64>, std::slice::Iter<'_, f64>>| {
            pairs.map(|(a, b)| (a - b).abs()).sum::<f64>()
        };
        let squared_distance = match self.distance {
            Distance::EarthMover { .. } => absolute(pairs).powi(2),
            Distance::TotalVariation => (absolute(pairs) / 2.0).powi(2),
            Distance::Euclidean => pairs.map(|(a, b)| (a - b) * (a - b)).sum(),
        };
        (-squared_distance / (2.0 * self.sigma * self.sigma)).exp()
    }
}
