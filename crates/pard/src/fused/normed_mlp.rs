//! Linear map, layer norm, SiLU and linear map of the heads.

use equidrift_backend::kernels::elementwise::{silu, through_silu};
use equidrift_backend::kernels::layer_norm::{LayerNorm, LayerNormGradient};
use equidrift_backend::kernels::matrix::{Linear, LinearGradient, Rows, padded};
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

/// Linear map, layer norm, SiLU, linear map.
#[derive(Debug, Clone)]
pub(super) struct NormedMlp {
    first: Linear,
    norm: LayerNorm,
    second: Linear,
}

/// The gradient of a [`NormedMlp`].
#[derive(Debug, Clone)]
pub(super) struct NormedMlpGradient {
    first: LinearGradient,
    norm: LayerNormGradient,
    second: LinearGradient,
}

impl NormedMlp {
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        [inputs, hidden, outputs]: [usize; 3],
    ) -> Result<Self, PackError> {
        Ok(Self {
            first: Linear::read(parameters, &format!("{name}.linear1"), inputs, hidden)?,
            norm: LayerNorm::read(parameters, &format!("{name}.norm.ln"), hidden)?,
            second: Linear::read(parameters, &format!("{name}.linear2"), hidden, outputs)?,
        })
    }

    pub(super) fn no_gradient(&self) -> NormedMlpGradient {
        NormedMlpGradient {
            first: self.first.no_gradient(),
            norm: self.norm.no_gradient(),
            second: self.second.no_gradient(),
        }
    }

    /// `[rows, padded outputs]`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        rows: usize,
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let (width, outputs) = (self.first.width(), self.second.width());
        let (mut linear, mut normal) = (buffers.take(rows * width), buffers.take(rows * width));
        self.first.apply(simd, Rows::new(x, padded(self.first.inputs)), rows, &mut linear, width);
        self.norm.apply(simd, &linear, &mut normal);
        silu(simd, &mut normal);
        let mut out = buffers.take(rows * outputs);
        self.second.apply(simd, Rows::new(&normal, width), rows, &mut out, outputs);
        buffers.give([linear, normal]);
        out
    }

    /// Adds to `dx` what the gradient `dy` means for the inputs, and to `gradient` what it means for the parameters.
    #[expect(clippy::too_many_arguments, reason = "what went in, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn back<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        rows: usize,
        dy: &[f32],
        dx: &mut [f32],
        gradient: &mut NormedMlpGradient,
        buffers: &mut Buffers,
    ) {
        let (inputs, width, outputs) = (padded(self.first.inputs), self.first.width(), self.second.width());
        let [mut linear, mut normal, mut units] = [0; 3].map(|_| buffers.take(rows * width));
        self.first.apply(simd, Rows::new(x, inputs), rows, &mut linear, width);
        self.norm.apply(simd, &linear, &mut normal);
        units.copy_from_slice(&normal);
        silu(simd, &mut units);
        let dy = Rows::new(dy, outputs);
        gradient.second.add(simd, Rows::new(&units, width), dy, rows);
        units.fill(0.0);
        self.second.back(simd, dy, rows, &mut units, width);
        through_silu(simd, &normal, &mut units);
        normal.fill(0.0);
        self.norm.back(simd, &linear, &units, &mut normal, &mut gradient.norm);
        let dlinear = Rows::new(&normal, width);
        gradient.first.add(simd, Rows::new(x, inputs), dlinear, rows);
        self.first.back(simd, dlinear, rows, dx, inputs);
        buffers.give([linear, normal, units]);
    }
}

impl NormedMlpGradient {
    pub(super) fn emit(&self, name: &str, into: &mut ParameterSet) {
        self.first.emit(&format!("{name}.linear1"), into);
        self.norm.emit(&format!("{name}.norm.ln"), into);
        self.second.emit(&format!("{name}.linear2"), into);
    }
}
