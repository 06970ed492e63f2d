//! The problems with known answers against numerical derivatives and one another.

use equidrift_laws::gaussian::GaussianData;
use equidrift_laws::mixture::Mixture;
use equidrift_laws::reference::files;
use equidrift_sampler::PathConfig;
use equidrift_sampler::plan::{Planner, ReverseDiffusion};

const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };

/// −ε̂/σ is the derivative of the log density.
#[test]
fn mixture_noise_is_its_score() {
    let mixture = Mixture::two_modes();
    let m = VP.build().marginal(0.2);
    let log_density = |x: f64| {
        let parts = mixture.weights.iter().zip(&mixture.means).zip(&mixture.sds).map(|((w, mean), sd)| {
            let variance = m.alpha * m.alpha * sd * sd + m.sigma * m.sigma;
            w * (-0.5 * (x - m.alpha * mean).powi(2) / variance).exp() / variance.sqrt()
        });
        parts.sum::<f64>().ln()
    };
    for x in [-2.0, -0.5, 0.1, 0.9, 2.5] {
        let numerical = (log_density(x + 1e-5) - log_density(x - 1e-5)) / 2e-5;
        assert!((-mixture.noise(x, m.alpha, m.sigma) / m.sigma - numerical).abs() < 1e-6, "{x}");
    }
    // Far out the nearer mode decides and nothing overflows.
    assert!(mixture.noise(1e6, m.alpha, m.sigma).is_finite());
}

/// A mixture of one mode is a Gaussian, whose flow is known in closed form.
#[test]
fn mixture_flow_of_one_mode_is_exact() {
    let mixture = Mixture { weights: vec![1.0], means: vec![0.7], sds: vec![0.4] };
    let data = GaussianData::single(0.7, 0.4);
    let path = VP.build();
    let (from, to) = (data.noised(&[path.marginal(1.0)]), data.noised(&[path.marginal(1e-3)]));
    let ratio = (to.covariance[(0, 0)] / from.covariance[(0, 0)]).sqrt();
    let starts = Mixture::starts(9);
    assert!(starts[4].abs() < 1e-15 && (starts[0] + starts[8]).abs() < 1e-12);
    for (start, end) in starts.iter().zip(mixture.flow(&VP, &starts, 1e-3, 4000)) {
        let exact = to.mean[0] + (start - from.mean[0]) * ratio;
        assert!((end - exact).abs() < 1e-10, "{end} {exact}");
    }
}

#[test]
fn counts_are_checked() {
    let plan = ReverseDiffusion::default().plan(&[VP], 50).unwrap();
    let error = GaussianData::single(0.0, 1.0).moments(&plan, &[1.0, 1.0]).unwrap_err();
    assert!(error.to_string().contains("prior deviations"), "{error}");
}

#[test]
fn files_are_found_by_prefix_and_suffix() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = files(&here, "pa", ".rs");
    assert_eq!(found, [here.join("padding.rs")]);
    assert!(files(&here.join("absent"), "", "").is_empty());
}

/// Tweedie: α x̂₀ = x + σ² ∇ log p(x), by central differences of the log-density.
#[test]
fn ring_prediction_is_the_gradient_of_its_density() {
    let ring = equidrift_laws::ring::Ring::eight_modes();
    for (alpha, sigma) in [(1.0, 0.01), (0.9, 0.4), (0.3, 0.95), (1.0, 20.0)] {
        for x in [[2.9, 0.1], [0.0, 0.0], [-1.7, 2.2], [1.4, 1.1]] {
            let clean = ring.clean(x, alpha, sigma);
            for axis in 0..2 {
                let h = 1e-5;
                let at = |step: f64| {
                    let mut moved = x;
                    moved[axis] += step;
                    ring.log_density(moved, alpha, sigma)
                };
                let slope = (at(h) - at(-h)) / (2.0 * h);
                let expected = (x[axis] + sigma * sigma * slope) / alpha;
                assert!((clean[axis] - expected).abs() < 1e-4 * (1.0 + sigma), "{x:?} {alpha} {sigma}");
            }
        }
    }
}
