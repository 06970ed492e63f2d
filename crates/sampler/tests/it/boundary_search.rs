//! One starting state for a whole reference set.

use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::autoregressive::SeriesDenoiser;
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::GaussianData;
use equidrift_sampler::drive::{Boundary, BoundarySearch};
use equidrift_sampler::plan::{DpmSolver, EulerMaruyama};
use equidrift_sampler::{
    Component, Executor, KeyedNoise, NoiseSource, PathConfig, Plan, Planner, PredictionKind, SamplerError,
    State, Stream, Support,
};
use nalgebra::{DMatrix, DVector};

const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };

/// x₀ | y ~ N(A y, S): the reference set is drawn, and the exact conditional denoiser knows each row's y.
struct Linear {
    dim: usize,
    references: Vec<f64>,
    denoiser: SeriesDenoiser,
}

impl Linear {
    fn new(dim: usize, rows: usize, covariance: DMatrix<f64>, seed: u64) -> Self {
        let ids: Vec<u64> = (0..rows as u64).collect();
        let noise = KeyedNoise::new(seed);
        let support = Support::vector(rows, dim);
        let (y, z) = (
            noise.normals(Stream::Probe, 0, 0, &support, &ids),
            noise.normals(Stream::Probe, 1, 0, &support, &ids),
        );
        let a = DMatrix::from_fn(dim, dim, |i, j| ((i + 2 * j) as f64 * 0.7).sin());
        let factor = covariance.clone().cholesky().unwrap().unpack();
        let means: Vec<DVector<f64>> =
            y.chunks_exact(dim).map(|y| &a * DVector::from_column_slice(y)).collect();
        let references = means
            .iter()
            .zip(z.chunks_exact(dim))
            .flat_map(|(mean, z)| (mean + &factor * DVector::from_column_slice(z)).as_slice().to_vec())
            .collect();
        let law = GaussianData { mean: DVector::zeros(dim), covariance };
        let denoiser = SeriesDenoiser::new(&law, VP, PredictionKind::Noise).with_means(means);
        Self { dim, references, denoiser }
    }

    fn like(&self) -> State {
        let support = Support::vector(self.references.len() / self.dim, self.dim);
        let values = vec![0.0; self.references.len()];
        State::new(vec![Component::from_host("x", values, support, &Device::flex(), DType::F64).unwrap()])
            .unwrap()
    }

    /// Squared distances of the rows from their references.
    fn squares(&self, result: &State) -> Result<Vec<f64>, SamplerError> {
        let values = result.components[0].to_host()?;
        let square = |(a, b): (&[f64], &[f64])| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        Ok(values.chunks_exact(self.dim).zip(self.references.chunks_exact(self.dim)).map(square).collect())
    }

    fn search(&self, plan: &Plan, candidates: usize, seed: u64) -> Boundary {
        let noise = KeyedNoise::new(seed);
        let mut executor = Executor::new(&self.denoiser, &noise);
        let search = BoundarySearch { candidates };
        search.run(&mut executor, plan, &[VP], &self.like(), &|result| self.squares(result)).unwrap()
    }

    fn mean_distance(&self, plan: &Plan, start: State) -> f64 {
        let ids: Vec<u64> = (0..start.batch() as u64).collect();
        let noise = KeyedNoise::new(0);
        let outcome = Executor::new(&self.denoiser, &noise).run(plan, start, &ids).unwrap();
        let squares = self.squares(&outcome.state).unwrap();
        squares.iter().sum::<f64>() / squares.len() as f64
    }
}

/// The quantile of χ² with an even number of degrees of freedom, whose distribution function is a finite sum.
fn chi_square_quantile(p: f64, degrees: u32) -> f64 {
    let below = |x: f64| {
        let (mut term, mut sum) = (1.0, 1.0);
        for j in 1..degrees / 2 {
            term *= 0.5 * x / f64::from(j);
            sum += term;
        }
        1.0 - (-0.5 * x).exp() * sum
    };
    let (mut low, mut high) = (0.0, 400.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if below(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let plan = DpmSolver::default().plan(&[VP], 20).unwrap();
        let mut figures = Vec::new();
        // Any covariance: the best start of all is the middle, and it halves the squared error of a random one.
        let general = DMatrix::from_fn(6, 6, |i, j| 0.5 * 0.6f64.powi(i.abs_diff(j) as i32));
        let problem = Linear::new(6, 400, general, 41);
        let found = problem.search(&plan, 200, 42);
        let random = found.distances.iter().sum::<f64>() / found.distances.len() as f64;
        let middle = problem.mean_distance(&plan, problem.like());
        figures.push(Figure::new(
            "C23",
            "squared error of the start x_T = 0 over that of random starts",
            0.5,
            Accept::Relative(0.05),
            middle / random,
        ));
        // With S = s² I the error of a start is s² (d + |x_T|²).
        for (dim, candidates) in [(4u32, 64usize), (8, 256)] {
            let isotropic = DMatrix::from_diagonal_element(dim as usize, dim as usize, 0.3);
            let problem = Linear::new(dim as usize, 400, isotropic, 43);
            let found = problem.search(&plan, candidates, 44);
            let random = found.distances.iter().sum::<f64>() / candidates as f64;
            let quantile = chi_square_quantile(1.0 / candidates as f64, dim);
            let d = f64::from(dim);
            figures.push(Figure::new(
                "C23",
                format!("error of the best of {candidates} starts over that of random ones, {dim} dimensions: (d + q)/2d"),
                (d + quantile) / (2.0 * d),
                Accept::Relative(0.05),
                found.distance / random,
            ));
        }
        figures
    })
}

#[test]
fn the_best_start_is_as_good_as_the_law_says() {
    for figure in figures() {
        println!("{figure}");
        figure.check();
    }
}

#[test]
fn a_boundary_is_an_artefact() {
    let covariance = DMatrix::from_diagonal_element(3, 3, 0.4);
    let problem = Linear::new(3, 50, covariance, 1);
    let plan = DpmSolver::default().plan(&[VP], 8).unwrap();
    let found = problem.search(&plan, 12, 2);
    assert_eq!((found.distances.len(), found.evaluations), (12, 8));
    assert_eq!(found.distance, found.distances[found.candidate as usize]);
    assert!(found.distances.iter().all(|distance| *distance >= found.distance));
    let written = serde_json::to_string(&found).unwrap();
    let read: Boundary = serde_json::from_str(&written).unwrap();
    assert_eq!(read, found);
    // Used again it gives the distance it was found with.
    let start = read.start(&problem.like()).unwrap();
    assert_eq!(problem.mean_distance(&plan, start), found.distance);
    // More candidates keep the earlier ones: the draws are keyed by the candidate.
    let more = problem.search(&plan, 20, 2);
    assert_eq!(more.distances[..12], found.distances[..]);
    assert!(more.distance <= found.distance);
    // A frame of the condition: here every row's start is mirrored, so the mirrored start is found for mirrored rows.
    let noise = KeyedNoise::new(2);
    let mut executor = Executor::new(&problem.denoiser, &noise);
    let mirror = |start: State| {
        let values = start.to_host()?.into_iter().map(|v| v.into_iter().map(|x| -x).collect()).collect();
        start.with_values(values)
    };
    let mirrored = BoundarySearch { candidates: 12 }
        .run_in_frames(&mut executor, &plan, &[VP], &problem.like(), &mirror, &|r| problem.squares(r))
        .unwrap();
    let start = mirror(mirrored.start(&problem.like()).unwrap()).unwrap();
    assert_eq!(problem.mean_distance(&plan, start), mirrored.distance);
    assert_ne!(mirrored.distances, found.distances);
    // What is not a function of the start cannot be searched.
    let noisy = EulerMaruyama::default().plan(&[VP], 10).unwrap();
    let search = BoundarySearch { candidates: 2 };
    let refused = search.run(&mut executor, &noisy, &[VP], &problem.like(), &|r| problem.squares(r));
    assert!(matches!(refused, Err(SamplerError::DrawsNoise { step: 0, .. })), "{refused:?}");
    let none = BoundarySearch { candidates: 0 };
    assert!(none.run(&mut executor, &plan, &[VP], &problem.like(), &|r| problem.squares(r)).is_err());
}
