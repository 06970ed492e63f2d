//! Where the time of a run goes: into the networks, the sampler around them, and what is made of final states.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use equidrift_sampler::{DenoiseError, Denoiser, PredictionKind, State, Tensor};

use crate::summary::TimeShares;

/// Time of all workers together.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    pub(super) networks: Spent,
    pub(super) drawing: Spent,
    pub(super) decoding: Spent,
}

/// Nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Spent(AtomicU64);

impl Spent {
    /// Adds the time that `work` takes.
    pub(super) fn on<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        // Centuries fit.
        self.0.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        result
    }

    fn seconds(&self) -> f64 {
        1e-9 * self.0.load(Ordering::Relaxed) as f64
    }
}

impl Stopwatch {
    /// What was measured so far; none before the first batch.
    pub(crate) fn shares(&self) -> Option<TimeShares> {
        let [networks, drawing, decoding] =
            [&self.networks, &self.drawing, &self.decoding].map(Spent::seconds);
        let all = drawing + decoding;
        (all > 0.0).then(|| TimeShares {
            networks: (networks > 0.0).then_some(networks / all),
            sampler: (drawing - networks) / all,
            decoding: decoding / all,
        })
    }
}

/// A denoiser whose time is taken.
pub(super) struct Timed<'a> {
    pub(super) denoiser: &'a dyn Denoiser,
    pub(super) spent: &'a Spent,
}

impl Denoiser for Timed<'_> {
    fn kinds(&self) -> &[PredictionKind] {
        self.denoiser.kinds()
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        self.spent.on(|| self.denoiser.predict(state, times))
    }
}
