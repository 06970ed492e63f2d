//! Normalisation over the real entries of a padded batch: batch norm over entries, or layer norm over channels.
//!
//! Batch norm: Ioffe & Szegedy, ICML 2015; layer norm: Ba, Kiros & Hinton 2016. The variance that divides is the biased
//! one, the running variance takes the unbiased one, as in the usual libraries.

use std::cell::RefCell;

use burn::tensor::Tensor;
use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::leaf::{LayerError, Leaf};
use crate::parameter_tracker::ParameterTracker;

const EPSILON: f64 = 1e-5;
/// Share of a batch's moments in the running ones.
const MOMENTUM: f64 = 0.1;

/// Which normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NormKind {
    /// Over all real entries of the batch, per channel; at evaluation with running moments.
    Batch,
    /// Over the channels of each entry.
    Layer,
}

/// What a residual branch is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Residual {
    /// The value before the norm: the usual pre-norm.
    Input,
    /// The normalised value (an in-place batch norm that overwrites its input).
    Normalised,
}

impl Residual {
    /// The one of the two that is meant.
    pub fn of<const D: usize>(self, input: Tensor<D>, normalised: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Input => input,
            Self::Normalised => normalised,
        }
    }
}

/// Whether batch norm uses the batch's moments.
#[derive(Debug, Clone, Copy)]
pub enum Phase<'a> {
    /// Running moments: each graph is computed as if alone.
    Evaluation,
    /// The batch's moments, which are noted down.
    Training(&'a BatchMoments),
}

/// The moments that batch norms saw in one pass.
#[derive(Debug, Default)]
pub struct BatchMoments {
    /// Name of the norm, mean `[1, C]`, unbiased variance `[1, C]`.
    seen: RefCell<Vec<(String, Tensor<2>, Tensor<2>)>>,
}

impl BatchMoments {
    /// Moves the running moments in `parameters` a tenth of the way to those that were seen.
    ///
    /// # Errors
    /// [`LayerError::Missing`] if `parameters` lacks them, [`LayerError::Device`].
    pub fn update(&self, parameters: &mut ParameterSet) -> Result<(), LayerError> {
        for (name, mean, variance) in self.seen.borrow().iter() {
            for (kind, seen) in [("running_mean", mean), ("running_var", variance)] {
                let name = format!("{name}.{kind}");
                let seen = seen.clone().try_into_vec_as::<f64>();
                let seen = seen
                    .map_err(|error| LayerError::Device { name: name.clone(), reason: error.to_string() })?;
                let Some(running) = parameters.get_mut(&name) else {
                    return Err(LayerError::Missing { name, expected: vec![seen.len()] });
                };
                let moved = running
                    .to_f64()
                    .iter()
                    .zip(seen)
                    .map(|(old, new)| old + MOMENTUM * (new - old))
                    .collect();
                let moved = HostTensor::f64(running.shape.clone(), moved);
                *running = match running.values {
                    equidrift_backend::weights::Values::F32(_) => {
                        HostTensor::f32(moved.shape.clone(), moved.to_f32())
                    }
                    equidrift_backend::weights::Values::F64(_) => moved,
                };
            }
        }
        Ok(())
    }
}

/// The axis of the channels in `[B, N, C]` or `[B, C, N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChannelAxis {
    Middle = 1,
    Last = 2,
}

/// A norm with its parameters.
#[derive(Debug, Clone)]
pub struct MaskedNorm {
    name: String,
    weight: Leaf,
    bias: Leaf,
    /// Running mean and variance `[1, C]`; none for layer norm.
    running: Option<(Tensor<2>, Tensor<2>)>,
}

impl MaskedNorm {
    /// Reads `{name}.bn.{weight,bias,running_mean,running_var}` or `{name}.ln.{weight,bias}`, each `[channels]`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        channels: usize,
        kind: NormKind,
    ) -> Result<Self, LayerError> {
        let name = match kind {
            NormKind::Batch => format!("{name}.bn"),
            NormKind::Layer => format!("{name}.ln"),
        };
        let running = match kind {
            NormKind::Batch => Some((
                from.buffer(&format!("{name}.running_mean"), channels)?,
                from.buffer(&format!("{name}.running_var"), channels)?,
            )),
            NormKind::Layer => None,
        };
        let weight = from.leaf(&format!("{name}.weight"), &[channels])?;
        let bias = from.leaf(&format!("{name}.bias"), &[channels])?;
        Ok(Self { name, weight, bias, running })
    }

    /// Features `[B, N, C]` under a mask `[B, N, 1]` of 0 and 1; masked entries become 0.
    pub fn over_features(&self, x: Tensor<3>, mask: Tensor<3>, phase: Phase<'_>) -> Tensor<3> {
        self.forward(x, mask, ChannelAxis::Last, phase)
    }

    /// Pairs `[B, C, N, N]` under a mask `[B, 1, N, N]` of 0 and 1; masked entries become 0.
    pub fn over_pairs(&self, e: Tensor<4>, mask: Tensor<4>, phase: Phase<'_>) -> Tensor<4> {
        let [b, c, n, m] = e.dims();
        let flat =
            self.forward(e.reshape([b, c, n * m]), mask.reshape([b, 1, n * m]), ChannelAxis::Middle, phase);
        flat.reshape([b, c, n, m])
    }

    fn forward(&self, x: Tensor<3>, mask: Tensor<3>, axis: ChannelAxis, phase: Phase<'_>) -> Tensor<3> {
        let normalised = match (&self.running, phase) {
            (None, _) => {
                let axis = axis as usize;
                let centred = x.clone() - x.mean_dim(axis);
                let variance = centred.clone().square().mean_dim(axis);
                centred * variance.add_scalar(EPSILON).sqrt().recip()
            }
            (Some((mean, variance)), Phase::Evaluation) => {
                let scale = variance.clone().add_scalar(EPSILON).sqrt().recip();
                (x - broadcast(mean.clone(), axis)) * broadcast(scale, axis)
            }
            (Some(_), Phase::Training(moments)) => {
                let over_entries = |x: Tensor<3>| x.sum_dim(0).sum_dim(3 - axis as usize);
                let count = over_entries(mask.clone());
                let mean = over_entries(x.clone() * mask.clone()) / count.clone();
                let centred = (x - mean.clone()) * mask.clone();
                let variance = over_entries(centred.clone().square()) / count.clone();
                let unbiased = variance.clone() * count.clone() / count.sub_scalar(1.0).clamp_min(1.0);
                let channels = self.weight.tensor().dims()[1];
                let flat = |moment: Tensor<3>| moment.detach().reshape([1, channels]);
                moments.seen.borrow_mut().push((self.name.clone(), flat(mean), flat(unbiased)));
                centred * variance.add_scalar(EPSILON).sqrt().recip()
            }
        };
        let scaled = normalised * broadcast(self.weight.tensor(), axis);
        (scaled + broadcast(self.bias.tensor(), axis)) * mask
    }
}

/// `[1, C]` as `[1, C, 1]` or `[1, 1, C]`.
fn broadcast(of_channels: Tensor<2>, axis: ChannelAxis) -> Tensor<3> {
    let channels = of_channels.dims()[1];
    match axis {
        ChannelAxis::Middle => of_channels.reshape([1, channels, 1]),
        ChannelAxis::Last => of_channels.reshape([1, 1, channels]),
    }
}
