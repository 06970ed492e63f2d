//! The PPGN layer of one graph, there and back; see [`equidrift_nn::Ppgn`] for the formulas.

use equidrift_backend::kernels::elementwise::{silu, through_silu};
use equidrift_backend::kernels::layer_norm::{LayerNorm, LayerNormGradient};
use equidrift_backend::kernels::matrix::{Linear, LinearGradient, Rows, lookup, padded};
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::{HostTensor, ParameterSet};
use pulp::Simd;

use super::growth::GrownLayer;
use super::pair_product::{PairProduct, Thirds, products_of_new_pairs};
use super::pair_rows::PairRows;
use super::perceptron::{NormedPerceptron, NormedPerceptronGradient, Perceptron, PerceptronGradient};

const LAYERS: [&str; 2] = ["linear1", "linear2"];

/// One layer.
#[derive(Debug, Clone)]
pub(super) struct Ppgn {
    edge: usize,
    norm: LayerNorm,
    /// The parts of the first factor's first map that take the pair and the reversed pair.
    straight: Linear,
    reversed: Linear,
    second: Linear,
    right: Perceptron,
    out: Linear,
    mlp: NormedPerceptron,
}

/// The gradient of a [`Ppgn`].
#[derive(Debug, Clone)]
pub(super) struct PpgnGradient {
    edge: usize,
    norm: LayerNormGradient,
    straight: LinearGradient,
    reversed: LinearGradient,
    second: LinearGradient,
    right: PerceptronGradient,
    out: LinearGradient,
    mlp: NormedPerceptronGradient,
}

impl PpgnGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self, name: &str, into: &mut ParameterSet) {
        let of = |part: &str| format!("{name}.{part}");
        let edge = self.edge;
        self.norm.emit(&of("norm1.ln"), into);
        let mut first = vec![0.0; 2 * edge * edge];
        self.straight.weight_into(&mut first, 2 * edge, 0);
        self.reversed.weight_into(&mut first, 2 * edge, edge);
        into.insert(of("mlp1.linear1.weight"), HostTensor::f32([edge, 2 * edge], first));
        into.insert(of("mlp1.linear1.bias"), HostTensor::f32([edge], self.straight.bias()));
        self.second.emit(&of("mlp1.linear2"), into);
        self.right.emit(&of("mlp2"), LAYERS, into);
        self.out.emit(&of("linear"), into);
        self.mlp.emit([&of("norm2"), &of("mlp3")], into);
    }
}

/// What a layer saw: its input, and the pairs between product and perceptron.
#[derive(Debug, Default)]
pub(super) struct PpgnTape {
    pub(super) e: Vec<f32>,
    pub(super) middle: Vec<f32>,
}

/// What a layer computes up to the product, `[rows, edge]` each.
struct Factors {
    en: Vec<f32>,
    /// Hidden units of the first factor, before and after SiLU.
    before: Vec<f32>,
    hidden: Vec<f32>,
    /// Both factors, before and after SiLU.
    left_before: Vec<f32>,
    left: Vec<f32>,
    right_before: Vec<f32>,
    right: Vec<f32>,
}

impl Factors {
    fn give_back(self, buffers: &mut Buffers) {
        let Self { en, before, hidden, left_before, left, right_before, right } = self;
        buffers.give([en, before, hidden, left_before, left, right_before, right]);
    }
}

impl Ppgn {
    pub(super) fn read(parameters: &ParameterSet, name: &str, edge: usize) -> Result<Self, PackError> {
        let of = |part: &str| format!("{name}.{part}");
        let weight = lookup(parameters, of("mlp1.linear1.weight"), &[edge, 2 * edge])?;
        let bias = lookup(parameters, of("mlp1.linear1.bias"), &[edge])?;
        Ok(Self {
            edge,
            norm: LayerNorm::read(parameters, &of("norm1.ln"), edge)?,
            straight: Linear::of(&weight, &bias, 2 * edge, edge, 0),
            reversed: Linear::of(&weight, &vec![0.0; edge], 2 * edge, edge, edge),
            second: Linear::read(parameters, &of("mlp1.linear2"), edge, edge)?,
            right: Perceptron::read(parameters, &of("mlp2"), LAYERS, [edge; 3])?,
            out: Linear::read(parameters, &of("linear"), edge, edge)?,
            mlp: NormedPerceptron::read(parameters, [&of("norm2"), &of("mlp3")], [edge, 2 * edge])?,
        })
    }

    pub(super) fn no_gradient(&self) -> PpgnGradient {
        PpgnGradient {
            edge: self.edge,
            norm: self.norm.no_gradient(),
            straight: self.straight.no_gradient(),
            reversed: self.reversed.no_gradient(),
            second: self.second.no_gradient(),
            right: self.right.no_gradient(),
            out: self.out.no_gradient(),
            mlp: self.mlp.no_gradient(),
        }
    }

    /// Pairs `e` `[rows, edge]` after the layer, in place. What they are between product and perceptron goes to `middle`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        e: &mut [f32],
        middle: Option<&mut Vec<f32>>,
        buffers: &mut Buffers,
    ) {
        let (rows, deep) = (pairs.len(), padded(self.edge));
        let factors = self.factors(simd, pairs, e, buffers);
        let mut product = buffers.take(rows * deep);
        pairs.multiply(simd, Thirds::Product, &factors.left, &factors.right, &mut product);
        self.out.add_with_bias(simd, Rows::new(&product, deep), rows, e, deep);
        factors.give_back(buffers);
        buffers.give([product]);
        if let Some(middle) = middle {
            middle.clear();
            middle.extend_from_slice(e);
        }
        self.mlp.add_to(simd, e, rows, buffers);
    }

    /// The same for pairs that are not known; their factors are kept.
    #[inline(always)]
    pub(super) fn forward_growing<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        e: &mut [f32],
        layer: &mut GrownLayer,
        buffers: &mut Buffers,
    ) {
        let (rows, deep) = (pairs.len(), padded(self.edge));
        let factors = self.factors(simd, pairs, e, buffers);
        for (all, new) in [(&mut layer.left, &factors.left), (&mut layer.right, &factors.right)] {
            for (new, &[i, j]) in new.chunks_exact(deep).zip(&pairs.ends) {
                all[(i * pairs.nodes + j) * deep..][..deep].copy_from_slice(new);
            }
        }
        let mut product = buffers.take(rows * deep);
        products_of_new_pairs(simd, pairs, [&layer.left, &layer.right], &mut product);
        self.out.add_with_bias(simd, Rows::new(&product, deep), rows, e, deep);
        factors.give_back(buffers);
        buffers.give([product]);
        self.mlp.add_to(simd, e, rows, buffers);
    }

    #[inline(always)]
    fn factors<S: Simd>(&self, simd: S, pairs: &PairRows, e: &[f32], buffers: &mut Buffers) -> Factors {
        let (rows, deep) = (pairs.len(), padded(self.edge));
        let [mut en, mut before, mut hidden, mut left_before, mut left, mut right_before, mut right] =
            [0; 7].map(|_| buffers.take(rows * deep));
        self.norm.apply(simd, e, &mut en);
        let input = Rows::new(&en, deep);
        // Of the reversed pairs, in a buffer that is not yet needed.
        left.fill(0.0);
        self.reversed.add(simd, input, rows, &mut left, deep);
        for (target, &reverse) in before.chunks_exact_mut(deep).zip(&pairs.reverse) {
            target.copy_from_slice(&left[reverse * deep..][..deep]);
        }
        self.straight.add_with_bias(simd, input, rows, &mut before, deep);
        hidden.copy_from_slice(&before);
        silu(simd, &mut hidden);
        self.second.apply(simd, Rows::new(&hidden, deep), rows, &mut left_before, deep);
        left.copy_from_slice(&left_before);
        silu(simd, &mut left);
        right_before.fill(0.0);
        self.right.add(simd, &en, rows, &mut right_before, buffers);
        right.copy_from_slice(&right_before);
        silu(simd, &mut right);
        Factors { en, before, hidden, left_before, left, right_before, right }
    }

    /// Turns the gradient `de` of the output into that of the input, and adds that of the parameters to `gradient`.
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        tape: &PpgnTape,
        de: &mut [f32],
        gradient: &mut PpgnGradient,
        buffers: &mut Buffers,
    ) {
        let (rows, deep) = (pairs.len(), padded(self.edge));
        let mut dmiddle = buffers.take(rows * deep);
        dmiddle.copy_from_slice(de);
        self.mlp.back(simd, &tape.middle, rows, de, &mut dmiddle, &mut gradient.mlp, buffers);
        de.copy_from_slice(&dmiddle);

        let Factors { en, before, hidden, left_before, left, right_before, right } =
            self.factors(simd, pairs, &tape.e, buffers);
        let mut product = buffers.take(rows * deep);
        pairs.multiply(simd, Thirds::Product, &left, &right, &mut product);
        gradient.out.add(simd, Rows::new(&product, deep), Rows::new(&dmiddle, deep), rows);
        let mut dproduct = buffers.zeros(rows * deep);
        self.out.back(simd, Rows::new(&dmiddle, deep), rows, &mut dproduct, deep);

        let mut dright = product;
        pairs.multiply(simd, Thirds::OfRight, &left, &dproduct, &mut dright);
        through_silu(simd, &right_before, &mut dright);
        let mut den = buffers.zeros(rows * deep);
        self.right.back(simd, &en, rows, &dright, Some(&mut den), &mut gradient.right, buffers);

        let mut dleft = dright;
        pairs.multiply(simd, Thirds::OfLeft, &dproduct, &right, &mut dleft);
        through_silu(simd, &left_before, &mut dleft);
        gradient.second.add(simd, Rows::new(&hidden, deep), Rows::new(&dleft, deep), rows);
        let mut dhidden = dproduct;
        dhidden.fill(0.0);
        self.second.back(simd, Rows::new(&dleft, deep), rows, &mut dhidden, deep);
        through_silu(simd, &before, &mut dhidden);
        let mut dreversed = dleft;
        for (target, &reverse) in dreversed.chunks_exact_mut(deep).zip(&pairs.reverse) {
            target.copy_from_slice(&dhidden[reverse * deep..][..deep]);
        }
        let maps = [
            (&self.straight, &mut gradient.straight, &dhidden),
            (&self.reversed, &mut gradient.reversed, &dreversed),
        ];
        for (map, into, back) in maps {
            into.add(simd, Rows::new(&en, deep), Rows::new(back, deep), rows);
            map.back(simd, Rows::new(back, deep), rows, &mut den, deep);
        }
        self.norm.back(simd, &tape.e, &den, de, &mut gradient.norm);
        buffers.give([en, before, hidden, left_before, left, right_before, right]);
        buffers.give([dmiddle, dhidden, dreversed, den]);
    }
}
