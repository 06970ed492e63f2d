//! The PPGN layer: a matrix product over third nodes for every channel, under a causal mask.
//!
//! Maron, Ben-Hamu, Serviansky & Lipman, "Provably powerful graph networks", NeurIPS 2019; with the mask of Pard
//! (NeurIPS 2024, equation 10). With `En` the normalised pairs and M the mask ([`BlockMask::product`]):
//!
//! ```text
//! X1 = P SiLU(MLP_1[En, En^T]),  X2 = P SiLU(MLP_2 En)
//! out_ij = sum over k with M_ik or M_jk of X1_ik X2_kj = (X1 M)(X2 - X2 M^T) + X1 (X2 M^T)
//! E <- R(E) + P W out,  E <- R(E) + P MLP_3(norm(E))
//! ```
//!
//! Cost: two products of `[N, N]` matrices per channel.

use burn::tensor::Tensor;

use crate::activation::silu;
use crate::block_mask::BlockMask;
use crate::graph_transformer::HigherOrderShape;
use crate::leaf::LayerError;
use crate::masked_norm::{MaskedNorm, Phase, Residual};
use crate::mlp::Linear;
use crate::parameter_tracker::ParameterTracker;
use crate::silu_mlp::SiluMlp;

/// One layer.
#[derive(Debug, Clone)]
pub struct Ppgn {
    residual: Residual,
    norm1: MaskedNorm,
    norm2: MaskedNorm,
    mlp1: SiluMlp,
    mlp2: SiluMlp,
    mlp3: SiluMlp,
    linear: Linear,
}

impl Ppgn {
    /// Reads the layer's parameters under `name`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        shape: HigherOrderShape,
    ) -> Result<Self, LayerError> {
        let HigherOrderShape { edge, norm, residual, .. } = shape;
        let of = |part: &str| format!("{name}.{part}");
        Ok(Self {
            residual,
            norm1: MaskedNorm::read(from, &of("norm1"), edge, norm)?,
            norm2: MaskedNorm::read(from, &of("norm2"), edge, norm)?,
            mlp1: SiluMlp::read(from, &of("mlp1"), [2 * edge, edge, edge])?,
            mlp2: SiluMlp::read(from, &of("mlp2"), [edge; 3])?,
            mlp3: SiluMlp::read(from, &of("mlp3"), [edge, 2 * edge, edge])?,
            linear: from.linear(&of("linear"), edge, edge)?,
        })
    }

    /// Pairs `[B, edge, N, N]` after the layer.
    pub fn forward(&self, e: Tensor<4>, mask: &BlockMask, phase: Phase<'_>) -> Tensor<4> {
        let pairs = || mask.pairs.clone();
        let en = self.norm1.over_pairs(e.clone(), pairs(), phase);
        let x1 = silu(self.mlp1.over_pairs_and_reversed(en.clone())) * pairs();
        let x2 = silu(self.mlp2.over_pairs(en.clone())) * pairs();
        let out = match &mask.product {
            None => x1.matmul(x2),
            Some(seen) => {
                let seen_from_column = x2.clone() * seen.clone().swap_dims(2, 3);
                let seen_from_row = x1.clone() * seen.clone();
                seen_from_row.matmul(x2 - seen_from_column.clone()) + x1.matmul(seen_from_column)
            }
        };
        let e = self.residual.of(e, en) + self.linear.over_pairs(out) * pairs();
        let en = self.norm2.over_pairs(e.clone(), pairs(), phase);
        self.residual.of(e, en.clone()) + self.mlp3.over_pairs(en) * pairs()
    }
}
