//! The Schrödinger bridge between two centred normal laws in one dimension, in closed form and by Sinkhorn's iteration.

use equidrift_sampler::path::Gamma;

/// The most likely way from N(0, `from_sd`²) to N(0, `to_sd`²) of particles that diffuse by `dX = √(2ε) dW`, in time 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianBridge {
    /// Standard deviation of the start.
    pub from_sd: f64,
    /// Standard deviation of the end.
    pub to_sd: f64,
    /// ε.
    pub epsilon: f64,
}

impl GaussianBridge {
    /// Covariance of start and end, `√(v v' + ε²) − ε`.
    #[must_use]
    pub fn covariance(&self) -> f64 {
        let product = self.from_sd * self.to_sd;
        // The difference written as a quotient.
        product * product / (libm::hypot(product, self.epsilon) + self.epsilon)
    }

    /// Variance at time t from the start: that of Brownian bridges between the coupled ends.
    #[must_use]
    pub fn variance(&self, t: f64) -> f64 {
        let (from, to) = ((1.0 - t) * self.from_sd, t * self.to_sd);
        from * from + to * to + 2.0 * t * (1.0 - t) * (self.covariance() + self.epsilon)
    }

    /// The γ with which the linear interpolant of *independent* ends has the bridge's marginals:
    /// `γ² = 2 t(1 − t) √(v v' + ε²)`.
    #[must_use]
    pub fn interpolant_gamma(&self) -> Gamma {
        Gamma::Brownian { a: 2.0 * libm::hypot(self.from_sd * self.to_sd, self.epsilon) }
    }

    /// Relative entropy of the bridge with respect to the reference process that starts from the same law: that of the
    /// pair of ends, `½ ln(2ε/w) − ½ + E|X_1 − X_0|²/(4ε)` with w the variance of the end given the start.
    #[must_use]
    pub fn relative_entropy(&self) -> f64 {
        let (from, to, c) = (self.from_sd * self.from_sd, self.to_sd * self.to_sd, self.covariance());
        let conditional = to - c * c / from;
        0.5 * libm::log(2.0 * self.epsilon / conditional) - 0.5 + (from + to - 2.0 * c) / (4.0 * self.epsilon)
    }

    /// The covariance by Sinkhorn's iteration on a grid of `points` per axis over ± `width` standard deviations.
    #[must_use]
    pub fn sinkhorn_covariance(&self, points: usize, width: f64, iterations: usize) -> f64 {
        let axis = |sd: f64| -> Vec<f64> {
            (0..points).map(|i| sd * width * (2.0 * i as f64 / (points - 1) as f64 - 1.0)).collect()
        };
        let weights = |axis: &[f64], sd: f64| -> Vec<f64> {
            let density: Vec<f64> = axis.iter().map(|x| libm::exp(-0.5 * x * x / (sd * sd))).collect();
            let sum: f64 = density.iter().sum();
            density.into_iter().map(|p| p / sum).collect()
        };
        let (x, y) = (axis(self.from_sd), axis(self.to_sd));
        let (p, q) = (weights(&x, self.from_sd), weights(&y, self.to_sd));
        let kernel: Vec<f64> = x
            .iter()
            .flat_map(|x| y.iter().map(move |y| libm::exp(-(x - y) * (x - y) / (4.0 * self.epsilon))))
            .collect();
        // The coupling is u_i K_ij v_j with marginals p and q.
        let (mut u, mut v) = (vec![1.0; points], vec![1.0; points]);
        for _ in 0..iterations {
            for (i, u) in u.iter_mut().enumerate() {
                let sum: f64 = kernel[i * points..][..points].iter().zip(&v).map(|(k, v)| k * v).sum();
                *u = p[i] / sum;
            }
            let mut sums = vec![0.0; points];
            for (i, u) in u.iter().enumerate() {
                sums.iter_mut().zip(&kernel[i * points..][..points]).for_each(|(sum, k)| *sum += k * u);
            }
            v.iter_mut().zip(&q).zip(&sums).for_each(|((v, q), sum)| *v = q / sum);
        }
        let mut covariance = 0.0;
        for i in 0..points {
            let inner: f64 = (0..points).map(|j| kernel[i * points + j] * v[j] * y[j]).sum();
            covariance += u[i] * x[i] * inner;
        }
        covariance
    }
}
