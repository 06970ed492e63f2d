//! Conversions between predictions.

use equidrift_sampler::{PathConfig, PredictionKind};

/// For data x₀ and noise ε every kind has a true value, and every conversion maps one to the other.
#[test]
fn all_conversions_agree_with_the_definitions() {
    let (x0, eps) = (0.83, -1.37);
    for config in [
        PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 },
        PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 5.0 },
        PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 },
    ] {
        for t in [0.05, 0.3, 0.7, 1.0] {
            let m = config.build().marginal(t);
            let x = m.alpha * x0 + m.sigma * eps;
            let truth = |kind| match kind {
                PredictionKind::X0 => x0,
                PredictionKind::Noise => eps,
                PredictionKind::Score => -eps / m.sigma,
                PredictionKind::V => m.alpha * eps - m.sigma * x0,
                PredictionKind::Velocity => m.d_alpha * x0 + m.d_sigma * eps,
                other => panic!("untested {other:?}"),
            };
            for from in PredictionKind::ALL {
                for to in PredictionKind::ALL {
                    let c = from.convert(to, &m);
                    let got = c.state * x + c.prediction * truth(from);
                    let scale = truth(to).abs() + (c.state * x).abs() + 1.0;
                    assert!(
                        (got - truth(to)).abs() < 1e-10 * scale,
                        "{config:?} {t} {from:?} -> {to:?}: {got}"
                    );
                }
            }
        }
    }
}

/// There and back is the identity, whatever the number.
#[test]
fn round_trips() {
    let m = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }.build().marginal(0.37);
    for from in PredictionKind::ALL {
        for to in PredictionKind::ALL {
            let (there, back) = (from.convert(to, &m), to.convert(from, &m));
            let (x, p) = (0.4, 2.6);
            let q = there.state * x + there.prediction * p;
            assert!((back.state * x + back.prediction * q - p).abs() < 1e-12, "{from:?} {to:?}");
        }
    }
}
