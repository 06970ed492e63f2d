/// The integrated autocorrelation time of chains, in steps: `1 + 2 Σ ρ_k`, so that n steps of a chain are worth n/τ
/// independent draws of the mean. `series[c]` are the values of chain c in order.
///
/// Autocovariances are averaged over chains about the common mean, and the sum ends at the first window M ≥ 5 τ(M), as
/// Sokal proposes; where the chains are shorter than that, the estimate is a lower bound. NaN for values that do not vary.
#[must_use]
pub fn autocorrelation_time(series: &[Vec<f64>]) -> f64 {
    let longest = series.iter().map(Vec::len).max().unwrap_or(0);
    let count: usize = series.iter().map(Vec::len).sum();
    let mean = series.iter().flatten().sum::<f64>() / count as f64;
    let covariance = |lag: usize| {
        let (mut sum, mut pairs) = (0.0, 0);
        for chain in series {
            for (a, b) in chain.iter().zip(chain.iter().skip(lag)) {
                sum += (a - mean) * (b - mean);
                pairs += 1;
            }
        }
        sum / f64::from(pairs)
    };
    let variance = covariance(0);
    if variance.is_nan() || variance <= 0.0 {
        return f64::NAN;
    }
    let mut time = 1.0;
    for lag in 1..longest {
        time += 2.0 * covariance(lag) / variance;
        if lag as f64 >= 5.0 * time {
            break;
        }
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{KeyedNoise, NoiseSource, Stream};
    use crate::support::Support;

    /// An autoregressive chain of correlation ρ has τ = (1 + ρ)/(1 − ρ).
    #[test]
    fn of_an_autoregressive_chain() {
        let (chains, steps, rho) = (200, 400, 0.6);
        let ids: Vec<u64> = (0..chains).collect();
        let support = Support::vector(ids.len(), steps);
        let z = KeyedNoise::new(5).normals(Stream::Probe, 0, 0, &support, &ids);
        let series: Vec<Vec<f64>> = z
            .chunks_exact(steps)
            .map(|z| {
                let mut value = z[0];
                z.iter()
                    .map(|z| {
                        value = rho * value + libm::sqrt(1.0 - rho * rho) * z;
                        value
                    })
                    .collect()
            })
            .collect();
        let time = autocorrelation_time(&series);
        assert!((time / 4.0 - 1.0).abs() < 0.05, "{time}");
        assert!(autocorrelation_time(&[vec![1.0; 9]]).is_nan());
        assert!(autocorrelation_time(&[]).is_nan());
    }
}
