//! A linear least-squares problem with two parameter groups and one parameter that no loss depends on.

use equidrift_backend::weights::{HostTensor, ParameterSet};
use equidrift_train::{Evaluation, Group, LearningRate, Objective, TrainError, TrainerConfig};

pub(crate) const GROUPS: [Group; 2] =
    [Group { name: "slope", prefix: "slope." }, Group { name: "offset", prefix: "offset." }];

/// Points on `y = 3 u - 1`, each loss keyed by the example and the epoch only.
pub(crate) struct Line {
    pub(crate) points: usize,
    /// Makes the loss not a number from this call on.
    pub(crate) fail_at: Option<usize>,
    pub(crate) calls: usize,
}

impl Line {
    pub(crate) fn new(points: usize) -> Self {
        Self { points, fail_at: None, calls: 0 }
    }
}

impl Objective for Line {
    fn losses(&self) -> &[&'static str] {
        &["square"]
    }

    fn examples(&self) -> usize {
        self.points
    }

    fn evaluate(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Evaluation, TrainError> {
        self.calls += 1;
        let (a, b) = (parameters["slope.a"].to_f64()[0], parameters["offset.b"].to_f64()[0]);
        let (mut loss, mut da, mut db) = (0.0, 0.0, 0.0);
        for &example in examples {
            // A different point per epoch, as fresh noise would give.
            let u = ((example as f64 + 0.37 * epoch as f64) * 0.618_033_988_7).fract();
            let residual = a * u + b - (3.0 * u - 1.0);
            loss += 0.5 * residual * residual;
            da += residual * u;
            db += residual;
        }
        let scale = 1.0 / examples.len() as f64;
        if self.fail_at.is_some_and(|at| self.calls >= at) {
            loss = f64::NAN;
        }
        let single = |value: f64| HostTensor::f32(vec![1], vec![(value * scale) as f32]);
        Ok(Evaluation {
            losses: vec![loss * scale],
            gradient: ParameterSet::from([
                ("slope.a".to_owned(), single(da)),
                ("offset.b".to_owned(), single(db)),
            ]),
        })
    }
}

pub(crate) fn start() -> ParameterSet {
    ["slope.a", "offset.b", "offset.unused"]
        .map(|name| (name.to_owned(), HostTensor::f32(vec![1], vec![0.25])))
        .into()
}

pub(crate) fn config(epochs: u64) -> TrainerConfig {
    TrainerConfig {
        epochs,
        batch: 16,
        learning_rate: LearningRate::exponential(0.05, 0.99),
        adam: equidrift_train::adam::AdamConfig::default(),
        clip_norm: 1.0,
        average_decay: 0.99,
        seed: 42,
        ..TrainerConfig::default()
    }
}
