//! Linear maps and perceptrons, over node features or over edge channels, with or without a time.

use burn::tensor::{Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;

use crate::activation::elu;
use crate::leaf::{LayerError, Leaf, ParameterReader};
use crate::time_features::TimeFeatures;

/// `y = W [h, tau] + b` with `W` `[outputs, inputs + time features]`; `tau` are the features of each graph's time, the same
/// at all its nodes or pairs, and their part of the product is computed once per graph.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Leaf,
    bias: Leaf,
    inputs: usize,
    time: usize,
}

impl Linear {
    /// Reads `{name}.weight` `[outputs, inputs + time]` and `{name}.bias` `[outputs]`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        inputs: usize,
        outputs: usize,
        time: usize,
    ) -> Result<Self, LayerError> {
        Ok(Self {
            weight: from.leaf(&format!("{name}.weight"), &[outputs, inputs + time])?,
            bias: from.leaf(&format!("{name}.bias"), &[outputs])?,
            inputs,
            time,
        })
    }

    /// A map without a time, from parameters that were already read: weight `[outputs, inputs]`, bias `[1, outputs]`.
    pub(crate) fn of_leaves(weight: Leaf, bias: Leaf) -> Self {
        let inputs = weight.tensor().dims()[1];
        Self { weight, bias, inputs, time: 0 }
    }

    /// The weight `[outputs, inputs + time]`.
    pub fn weight(&self) -> Tensor<2> {
        self.weight.tensor()
    }

    /// The bias `[1, outputs]`.
    pub fn bias(&self) -> Tensor<2> {
        self.bias.tensor()
    }

    /// Over the channels of pairs: `[B, inputs, N, M]` to `[B, outputs, N, M]`.
    pub fn over_pairs(&self, e: Tensor<4>) -> Tensor<4> {
        let [b, channels, n, m] = e.dims();
        let y = self.over_channels(e.reshape([b, channels, n * m]), None);
        let outputs = y.dims()[1];
        y.reshape([b, outputs, n, m])
    }

    /// Of each pair's channels and those of the reversed pair after them, `W [e, e^T] + b`: `[B, inputs / 2, N, N]` to
    /// `[B, outputs, N, N]`, without making the wide tensor.
    pub fn over_pairs_and_reversed(&self, e: Tensor<4>) -> Tensor<4> {
        let [b, channels, n, _] = e.dims();
        let e = e.reshape([b, channels, n * n]);
        let weight = self.weight_of_inputs();
        let outputs = weight.dims()[0];
        let half = |first| weight.clone().narrow(1, first, channels).unsqueeze::<3>();
        let straight = half(0).matmul(e.clone()) + self.bias.tensor().transpose().unsqueeze();
        let reversed = half(channels).matmul(e).reshape([b, outputs, n, n]).swap_dims(2, 3);
        straight.reshape([b, outputs, n, n]) + reversed
    }

    /// Over the last axis: `[B, N, inputs]` to `[B, N, outputs]`.
    pub fn over_features(&self, x: Tensor<3>, time: Option<&TimeFeatures>) -> Tensor<3> {
        let y = x.matmul(self.weight_of_inputs().transpose().unsqueeze()) + self.bias.tensor().unsqueeze();
        match self.of_time(time) {
            Some(shift) => y + shift,
            None => y,
        }
    }

    /// Over the middle axis: `[B, inputs, positions]` to `[B, outputs, positions]`.
    pub fn over_channels(&self, e: Tensor<3>, time: Option<&TimeFeatures>) -> Tensor<3> {
        let y = self.weight_of_inputs().unsqueeze().matmul(e) + self.bias.tensor().transpose().unsqueeze();
        match self.of_time(time) {
            Some(shift) => y + shift.swap_dims(1, 2),
            None => y,
        }
    }

    fn weight_of_inputs(&self) -> Tensor<2> {
        let weight = self.weight.tensor();
        if self.time == 0 { weight } else { weight.narrow(1, 0, self.inputs) }
    }

    /// What the time adds to the outputs, `[B, 1, outputs]`. One product for each graph: a product of all graphs' rows would
    /// round otherwise for one graph than for several.
    fn of_time(&self, time: Option<&TimeFeatures>) -> Option<Tensor<3>> {
        let features: Tensor<3> = time.filter(|_| self.time > 0)?.first(self.time).unsqueeze_dim(1);
        let weight = self.weight.tensor().narrow(1, self.inputs, self.time);
        Some(features.matmul(weight.transpose().unsqueeze()))
    }

    /// See [`Leaf::collect_gradient`].
    ///
    /// # Errors
    /// [`LayerError::Device`].
    pub fn collect_gradient(
        &self,
        gradients: &mut Gradients,
        into: &mut ParameterSet,
    ) -> Result<(), LayerError> {
        self.weight.collect_gradient(gradients, into)?;
        self.bias.collect_gradient(gradients, into)
    }
}

/// Linear maps with [`elu`] after each but the last.
#[derive(Debug, Clone)]
pub struct Mlp {
    maps: Vec<Linear>,
}

impl Mlp {
    /// Reads `{name}.linears.0` to `{name}.linears.{count-1}` with one hidden width; the first takes `time` features of the
    /// time beside the inputs.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        count: usize,
        [inputs, hidden, outputs]: [usize; 3],
        time: usize,
    ) -> Result<Self, LayerError> {
        let maps = (0..count).map(|map| {
            let (i, time) = if map == 0 { (inputs, time) } else { (hidden, 0) };
            let o = if map + 1 == count { outputs } else { hidden };
            Linear::read(from, &format!("{name}.linears.{map}"), i, o, time)
        });
        Ok(Self { maps: maps.collect::<Result<_, _>>()? })
    }

    /// Over the last axis: `[B, N, inputs]` to `[B, N, outputs]`.
    pub fn over_features(&self, x: Tensor<3>, time: Option<&TimeFeatures>) -> Tensor<3> {
        self.forward(x, |linear, x| linear.over_features(x, time))
    }

    /// Over the channels of edges: `[B, inputs, N, N]` to `[B, outputs, N, N]`.
    pub fn over_channels(&self, edges: Tensor<4>, time: Option<&TimeFeatures>) -> Tensor<4> {
        let [b, channels, n, _] = edges.dims();
        let edges = edges.reshape([b, channels, n * n]);
        let out = self.forward(edges, |linear, edges| linear.over_channels(edges, time));
        let [_, channels, _] = out.dims();
        out.reshape([b, channels, n, n])
    }

    fn forward(&self, mut h: Tensor<3>, map: impl Fn(&Linear, Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        for (index, linear) in self.maps.iter().enumerate() {
            h = map(linear, if index == 0 { h } else { elu(h) });
        }
        h
    }

    /// See [`Leaf::collect_gradient`].
    ///
    /// # Errors
    /// [`LayerError::Device`].
    pub fn collect_gradient(
        &self,
        gradients: &mut Gradients,
        into: &mut ParameterSet,
    ) -> Result<(), LayerError> {
        self.maps.iter().try_for_each(|map| map.collect_gradient(gradients, into))
    }
}
