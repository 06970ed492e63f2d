//! The network as the sampler core sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Tensor;

use crate::prediction::PredictionKind;
use crate::state::State;

/// Why a denoiser gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DenoiseError {
    /// The state does not have the components the network was made for.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// What was compared.
        what: &'static str,
        /// What the network needs.
        expected: String,
        /// What the state has.
        found: String,
    },
    /// The engine behind the network failed.
    #[error("the network's engine failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A pure function (state, times) -> prediction.
///
/// Contract: row b of the answer depends on row b of the state and `times[b]` only, bit for bit, whatever the other
/// rows hold. Guidance, ensembling and counting are wrappers of the same trait.
pub trait Denoiser: Send + Sync {
    /// The kind of prediction given for each component.
    fn kinds(&self) -> &[PredictionKind];

    /// One prediction per component, each of its component's shape `[B, D]`, dtype and device. `times[b]` is the time
    /// of row b on the master clock (0 = data, 1 = noise).
    ///
    /// # Errors
    /// [`DenoiseError`]; a non-finite answer is not an error (the executor sets such rows aside).
    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError>;
}

impl<D: Denoiser + ?Sized> Denoiser for &D {
    fn kinds(&self) -> &[PredictionKind] {
        (**self).kinds()
    }
    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        (**self).predict(state, times)
    }
}

impl<D: Denoiser + ?Sized> Denoiser for Arc<D> {
    fn kinds(&self) -> &[PredictionKind] {
        (**self).kinds()
    }
    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        (**self).predict(state, times)
    }
}

/// Counts network evaluations: calls, and samples evaluated (calls × batch size).
#[derive(Debug, Default)]
pub struct Counted<D> {
    inner: D,
    calls: AtomicUsize,
    samples: AtomicUsize,
}

impl<D: Denoiser> Counted<D> {
    /// Wraps a denoiser, counts at zero.
    pub fn new(inner: D) -> Self {
        Self { inner, calls: AtomicUsize::new(0), samples: AtomicUsize::new(0) }
    }

    /// Calls so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Sum of the batch sizes of the calls so far.
    pub fn samples(&self) -> usize {
        self.samples.load(Ordering::Relaxed)
    }

    /// The denoiser that is counted.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Records one call with this many samples.
    pub(crate) fn count(&self, samples: usize) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.samples.fetch_add(samples, Ordering::Relaxed);
    }
}

impl<D: Denoiser> Denoiser for Counted<D> {
    fn kinds(&self) -> &[PredictionKind] {
        self.inner.kinds()
    }
    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        self.count(times.len());
        self.inner.predict(state, times)
    }
}
