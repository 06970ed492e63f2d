//! The distance between the law a path ends in and its prior.

use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_sampler::path::{Cosine, DataMoments, Edm, PriorMismatch};
use equidrift_sampler::{Component, PathConfig, Support};

const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const GDSS: PathConfig = PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 };

/// Bond orders 0 to 3 between the 36 pairs of a chain-like molecule of 9 heavy atoms with 8 bonds.
fn bond_orders() -> DataMoments {
    let mut values = vec![0.0; 81];
    let bonds = [
        (0, 1, 1.0),
        (1, 2, 2.0),
        (1, 3, 1.0),
        (3, 4, 1.0),
        (4, 5, 2.0),
        (5, 6, 1.0),
        (6, 7, 2.0),
        (7, 8, 3.0),
    ];
    for (i, j, order) in bonds {
        values[i * 9 + j] = order;
        values[j * 9 + i] = order;
    }
    let support = Support::symmetric_pairs(vec![vec![true; 9]]);
    let component = Component::from_host("adj", values, support, &Device::flex(), DType::F64).unwrap();
    DataMoments::of(&component).unwrap()
}

fn mismatch(path: &PathConfig, data: DataMoments) -> PriorMismatch {
    PriorMismatch::new(path.build().as_ref(), data).unwrap()
}

/// KL and W₂² of two normals by quadrature of their definitions: ∫ p ln(p/q), ∫ (F⁻¹ − G⁻¹)².
fn by_quadrature(mean: f64, std: f64, prior: f64) -> (f64, f64) {
    let (mut divergence, mut square, step) = (0.0, 0.0, 0.001);
    for i in -10_000..=10_000 {
        let z = f64::from(i) * step;
        let weight = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() * step;
        let x = mean + std * z;
        divergence += weight * (0.5 * (x / prior).powi(2) - 0.5 * z * z + (prior / std).ln());
        square += weight * (x - prior * z).powi(2);
    }
    (divergence, square.sqrt())
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let gaussian = DataMoments { mean: 0.7, variance: 0.16 };
        let vp = mismatch(&VP, gaussian);
        let gdss = mismatch(&GDSS, bond_orders());
        vec![
            Figure::new("C9", "VP(0.1, 20): α at t = 1", 0.0066, Accept::Absolute(5e-5), vp.alpha),
            // ln N(x_T; α m, v) − ln N(x_T; 0, 1) at x_T = α m + (x − 0.7) √v/0.4, v = 1 − α² (1 − 0.4²): it is 8.0e-3
            // nats (1.2e-2 bits) at x = 1.4, and 1.2e-2 nats at x = 1.75.
            Figure::new(
                "L1",
                "cost of the prior N(0, 1) in ln p(1.4), nats",
                8.02e-3,
                Accept::Relative(0.01),
                vp.log_density_error(1.4),
            ),
            Figure::new(
                "L1",
                "cost of the prior N(0, 1) in ln p(1.75), nats",
                1.2e-2,
                Accept::Relative(0.02),
                vp.log_density_error(1.75),
            ),
            Figure::new(
                "C9",
                "prior mismatch of VP(0.1, 20) on bond orders, nats per coordinate",
                PriorMismatch::THRESHOLD,
                Accept::AtMost,
                mismatch(&VP, bond_orders()).divergence,
            ),
            Figure::new(
                "C6",
                "prior mismatch of VE(0.1, 1) on bond orders, nats per coordinate",
                PriorMismatch::THRESHOLD,
                Accept::AtLeast,
                gdss.divergence,
            ),
        ]
    })
}

#[test]
fn figures_are_met() {
    for figure in figures() {
        println!("{figure}");
        figure.check();
    }
}

#[test]
fn gdss_on_bond_orders_warns_and_vp_does_not() {
    let data = bond_orders();
    assert!((data.mean - 13.0 / 36.0).abs() < 1e-12, "{data:?}");
    let gdss = mismatch(&GDSS, data);
    println!("{gdss}");
    assert!(gdss.is_biased() && gdss.to_string().contains("will be biased"));
    for path in [
        VP,
        PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 },
        PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 50.0 },
        PathConfig::Cosine(Cosine::default()),
        PathConfig::Edm(Edm::default()),
    ] {
        let calm = mismatch(&path, data);
        println!("{calm}");
        assert!(!calm.is_biased() && calm.to_string().contains("too little"), "{calm}");
    }
    let unknown = mismatch(&VP, DataMoments { mean: f64::NAN, variance: 1.0 });
    assert!(unknown.is_biased());
}

#[test]
fn closed_forms_are_the_definitions() {
    for (path, data) in [
        (GDSS, bond_orders()),
        (GDSS, DataMoments { mean: -0.4, variance: 0.02 }),
        (VP, DataMoments { mean: 3.0, variance: 40.0 }),
    ] {
        let found = mismatch(&path, data);
        let (divergence, wasserstein) = by_quadrature(found.mean, found.std, found.prior_std);
        assert!((found.divergence - divergence).abs() < 1e-9, "{found:?} {divergence}");
        assert!((found.wasserstein - wasserstein).abs() < 1e-9, "{found:?} {wasserstein}");
    }
    // Its mean over the marginal is the divergence.
    let found = mismatch(&GDSS, DataMoments { mean: 0.3, variance: 0.25 });
    let mean: f64 = (-10_000..=10_000)
        .map(|i| {
            let z = f64::from(i) * 0.001;
            let weight = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() * 0.001;
            weight * found.log_density_error(0.3 + 0.5 * z)
        })
        .sum();
    assert!((mean - found.divergence).abs() < 1e-9, "{mean} {}", found.divergence);
}
