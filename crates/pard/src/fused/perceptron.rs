//! Two linear maps with SiLU between them.

use equidrift_backend::kernels::elementwise::{silu, through_silu};
use equidrift_backend::kernels::layer_norm::{LayerNorm, LayerNormGradient};
use equidrift_backend::kernels::matrix::{Linear, LinearGradient, Rows, padded};
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

/// `W_2 SiLU(W_1 x + b_1) + b_2`.
#[derive(Debug, Clone)]
pub(super) struct Perceptron {
    pub(super) first: Linear,
    pub(super) second: Linear,
}

/// The gradient of a [`Perceptron`].
#[derive(Debug, Clone)]
pub(super) struct PerceptronGradient {
    first: LinearGradient,
    second: LinearGradient,
}

impl Perceptron {
    /// Reads `{name}.{layers[0]}` and `{name}.{layers[1]}`; `widths` are those of inputs, hidden units and outputs.
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        layers: [&str; 2],
        [inputs, hidden, outputs]: [usize; 3],
    ) -> Result<Self, PackError> {
        Ok(Self {
            first: Linear::read(parameters, &format!("{name}.{}", layers[0]), inputs, hidden)?,
            second: Linear::read(parameters, &format!("{name}.{}", layers[1]), hidden, outputs)?,
        })
    }

    pub(super) fn no_gradient(&self) -> PerceptronGradient {
        PerceptronGradient { first: self.first.no_gradient(), second: self.second.no_gradient() }
    }

    /// `out += W_2 SiLU(W_1 x + b_1) + b_2` for rows as wide as the padded inputs and outputs.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        rows: usize,
        out: &mut [f32],
        buffers: &mut Buffers,
    ) {
        let width = self.first.width();
        let mut hidden = buffers.take(rows * width);
        self.first.apply(simd, Rows::new(x, padded(self.first.inputs)), rows, &mut hidden, width);
        silu(simd, &mut hidden);
        self.second.add_with_bias(simd, Rows::new(&hidden, width), rows, out, self.second.width());
        buffers.give([hidden]);
    }

    /// Adds to `dx` what the gradient `dy` of the outputs means for the inputs, and to `gradient` what it means for the
    /// parameters.
    #[expect(clippy::too_many_arguments, reason = "what went in, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn back<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        rows: usize,
        dy: &[f32],
        dx: Option<&mut [f32]>,
        gradient: &mut PerceptronGradient,
        buffers: &mut Buffers,
    ) {
        let (inner, width) = (padded(self.first.inputs), self.first.width());
        let (x, dy) = (Rows::new(x, inner), Rows::new(dy, self.second.width()));
        let (mut before, mut hidden) = (buffers.take(rows * width), buffers.take(rows * width));
        self.first.apply(simd, x, rows, &mut before, width);
        hidden.copy_from_slice(&before);
        silu(simd, &mut hidden);
        gradient.second.add(simd, Rows::new(&hidden, width), dy, rows);
        hidden.fill(0.0);
        self.second.back(simd, dy, rows, &mut hidden, width);
        through_silu(simd, &before, &mut hidden);
        let dhidden = Rows::new(&hidden, width);
        gradient.first.add(simd, x, dhidden, rows);
        if let Some(dx) = dx {
            self.first.back(simd, dhidden, rows, dx, inner);
        }
        buffers.give([before, hidden]);
    }
}

impl PerceptronGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self, name: &str, layers: [&str; 2], into: &mut ParameterSet) {
        self.first.emit(&format!("{name}.{}", layers[0]), into);
        self.second.emit(&format!("{name}.{}", layers[1]), into);
    }
}

/// `perceptron(norm(x))`, which is added to x or takes its place.
#[derive(Debug, Clone)]
pub(super) struct NormedPerceptron {
    norm: LayerNorm,
    perceptron: Perceptron,
}

/// The gradient of a [`NormedPerceptron`].
#[derive(Debug, Clone)]
pub(super) struct NormedPerceptronGradient {
    norm: LayerNormGradient,
    perceptron: PerceptronGradient,
}

const LAYERS: [&str; 2] = ["linear1", "linear2"];

impl NormedPerceptron {
    /// Reads `{norm}.ln` and `{perceptron}.{linear1,linear2}`; as many outputs as inputs.
    pub(super) fn read(
        parameters: &ParameterSet,
        [norm, perceptron]: [&str; 2],
        [inputs, hidden]: [usize; 2],
    ) -> Result<Self, PackError> {
        Ok(Self {
            norm: LayerNorm::read(parameters, &format!("{norm}.ln"), inputs)?,
            perceptron: Perceptron::read(parameters, perceptron, LAYERS, [inputs, hidden, inputs])?,
        })
    }

    pub(super) fn no_gradient(&self) -> NormedPerceptronGradient {
        NormedPerceptronGradient { norm: self.norm.no_gradient(), perceptron: self.perceptron.no_gradient() }
    }

    /// `x += perceptron(norm(x))`.
    #[inline(always)]
    pub(super) fn add_to<S: Simd>(&self, simd: S, x: &mut [f32], rows: usize, buffers: &mut Buffers) {
        let mut normal = buffers.take(x.len());
        self.norm.apply(simd, x, &mut normal);
        self.perceptron.add(simd, &normal, rows, x, buffers);
        buffers.give([normal]);
    }

    /// `x = perceptron(norm(x))`.
    #[inline(always)]
    pub(super) fn replace<S: Simd>(&self, simd: S, x: &mut [f32], rows: usize, buffers: &mut Buffers) {
        let mut normal = buffers.take(x.len());
        self.norm.apply(simd, x, &mut normal);
        x.fill(0.0);
        self.perceptron.add(simd, &normal, rows, x, buffers);
        buffers.give([normal]);
    }

    /// Adds to `dx` what the gradient `dy` of the perceptron's outputs means for x.
    #[expect(clippy::too_many_arguments, reason = "what went in, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn back<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        rows: usize,
        dy: &[f32],
        dx: &mut [f32],
        gradient: &mut NormedPerceptronGradient,
        buffers: &mut Buffers,
    ) {
        let (mut normal, mut dnormal) = (buffers.take(x.len()), buffers.zeros(x.len()));
        self.norm.apply(simd, x, &mut normal);
        let of = &mut gradient.perceptron;
        self.perceptron.back(simd, &normal, rows, dy, Some(&mut dnormal), of, buffers);
        self.norm.back(simd, x, &dnormal, dx, &mut gradient.norm);
        buffers.give([normal, dnormal]);
    }
}

impl NormedPerceptronGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self, [norm, perceptron]: [&str; 2], into: &mut ParameterSet) {
        self.norm.emit(&format!("{norm}.ln"), into);
        self.perceptron.emit(perceptron, LAYERS, into);
    }
}
