//! The denoiser's head on one graph, there and back; see [`crate::heads`].
//!
//! Only what is asked for is computed: the classes of target nodes and, once for both directions, of target pairs.

use equidrift_backend::kernels::elementwise::{add_scaled, through_silu};
use equidrift_backend::kernels::matrix::padded;
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::combiner::{Combiner, CombinerGradient};
use super::node_transform::{NodeTransform, NodeTransformGradient};
use super::normed_mlp::{NormedMlp, NormedMlpGradient};
use super::pair_rows::PairRows;
use super::phi::{Phi, PhiGradient};
use crate::network_config::NetworkConfig;

/// What is asked of a graph: nodes, and pairs i > j. And what the network sees of them: their noisy classes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) nodes: &'a [usize],
    pub(super) pairs: &'a [[usize; 2]],
    pub(super) node_classes: &'a [i32],
    pub(super) pair_classes: &'a [i32],
    /// 1 - t/T.
    pub(super) remaining: f32,
}

/// Logits `[asked, padded classes]` of nodes and pairs.
#[derive(Debug)]
pub(super) struct Logits {
    pub(super) nodes: Vec<f32>,
    pub(super) pairs: Vec<f32>,
}

/// The head.
#[derive(Debug, Clone)]
pub(super) struct ClassHead {
    classes: [usize; 2],
    widths: [usize; 2],
    transform: NodeTransform,
    combiner: Combiner,
    node_out: NormedMlp,
    edge_out: NormedMlp,
    phi_node: Phi,
    phi_edge: Phi,
}

/// The gradient of a [`ClassHead`].
#[derive(Debug, Clone)]
pub(super) struct ClassHeadGradient {
    transform: NodeTransformGradient,
    combiner: CombinerGradient,
    node_out: NormedMlpGradient,
    edge_out: NormedMlpGradient,
    phi_node: PhiGradient,
    phi_edge: PhiGradient,
}

const NAME: &str = "denoise.out_decoder";

fn of(part: &str) -> String {
    format!("{NAME}.{part}")
}

/// What the head computes on the way to the logits.
struct Between {
    /// Before and after SiLU, `[N, hidden]`.
    before: Vec<f32>,
    z: Vec<f32>,
    /// The rows of z that are asked for.
    asked: Vec<f32>,
    /// Both directions of the pairs that are asked for, together: `[asked, 2 edge]`.
    y: Vec<f32>,
}

impl ClassHead {
    pub(super) fn read(parameters: &ParameterSet, config: &NetworkConfig) -> Result<Self, PackError> {
        let (hidden, edge) = (config.hidden, config.pair_width());
        let [nodes, edges] = [config.node_classes, config.edge_classes];
        Ok(Self {
            classes: [nodes, edges],
            widths: [hidden, 2 * edge],
            transform: NodeTransform::read(parameters, &of("node_transform.0"), hidden, edge)?,
            // The published spelling.
            combiner: Combiner::read(parameters, &of("edge_transforom"), [hidden, edge, 2 * edge])?,
            node_out: NormedMlp::read(parameters, &of("node_out"), [hidden, hidden, nodes])?,
            edge_out: NormedMlp::read(parameters, &of("edge_out"), [2 * edge, edge, edges])?,
            phi_node: Phi::read(parameters, &of("phi_node"))?,
            phi_edge: Phi::read(parameters, &of("phi_edge"))?,
        })
    }

    pub(super) fn no_gradient(&self) -> ClassHeadGradient {
        ClassHeadGradient {
            transform: self.transform.no_gradient(),
            combiner: self.combiner.no_gradient(),
            node_out: self.node_out.no_gradient(),
            edge_out: self.edge_out.no_gradient(),
            phi_node: self.phi_node.no_gradient(),
            phi_edge: self.phi_edge.no_gradient(),
        }
    }

    /// Logits of what is asked, from nodes `h` and pairs `e`. Where nodes are known, `kept`
    /// holds them after the first map.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        asked: Asked<'_>,
        mut kept: Option<&mut Vec<f32>>,
        buffers: &mut Buffers,
    ) -> Logits {
        let known = kept.as_mut().map(|z| std::mem::take(*z));
        let Between { before, z, asked: rows, y } = self.between(simd, pairs, (h, e), asked, known, buffers);
        let mut nodes = self.node_out.forward(simd, &rows, asked.nodes.len(), buffers);
        let mut of_pairs = self.edge_out.forward(simd, &y, asked.pairs.len(), buffers);
        buffers.give([before, rows, y]);
        match kept {
            Some(kept) => *kept = z,
            None => buffers.give([z]),
        }
        let inputs = [
            (&mut nodes, &self.phi_node, asked.node_classes, self.classes[0]),
            (&mut of_pairs, &self.phi_edge, asked.pair_classes, self.classes[1]),
        ];
        for (logits, phi, classes, known) in inputs {
            let weight = phi.forward(asked.remaining);
            for (row, &class) in logits.chunks_exact_mut(padded(known)).zip(classes) {
                if let Ok(class) = usize::try_from(class) {
                    row[class] += weight;
                }
            }
        }
        Logits { nodes, pairs: of_pairs }
    }

    /// Nodes after the first map, of those that are not known yet.
    #[inline(always)]
    pub(super) fn nodes<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        kept: &mut Vec<f32>,
        buffers: &mut Buffers,
    ) {
        let known = Some(std::mem::take(kept));
        let (before, z) = self.transform.nodes(simd, pairs, (h, e), known, buffers);
        *kept = z;
        buffers.give([before]);
    }

    #[inline(always)]
    fn between<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        asked: Asked<'_>,
        known: Option<Vec<f32>>,
        buffers: &mut Buffers,
    ) -> Between {
        let wide = padded(self.widths[0]);
        let (before, z) = self.transform.nodes(simd, pairs, (h, e), known, buffers);
        let mut rows = buffers.take(asked.nodes.len() * wide);
        for (row, &node) in rows.chunks_exact_mut(wide).zip(asked.nodes) {
            row.copy_from_slice(&z[node * wide..][..wide]);
        }
        let y = self.combiner.forward(simd, pairs, &z, e, asked.pairs, buffers);
        Between { before, z, asked: rows, y }
    }

    /// Adds to `dh` and `de` what the gradients of the logits mean for nodes and pairs.
    #[expect(clippy::too_many_arguments, reason = "what went in, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        asked: Asked<'_>,
        back: &Logits,
        (dh, de): (&mut [f32], &mut [f32]),
        gradient: &mut ClassHeadGradient,
        buffers: &mut Buffers,
    ) {
        let inputs = [
            (&back.nodes, &self.phi_node, &mut gradient.phi_node, asked.node_classes, self.classes[0]),
            (&back.pairs, &self.phi_edge, &mut gradient.phi_edge, asked.pair_classes, self.classes[1]),
        ];
        for (back, phi, into, classes, known) in inputs {
            let rows = back.chunks_exact(padded(known)).zip(classes);
            let along = rows.filter_map(|(row, &class)| Some(row[usize::try_from(class).ok()?]));
            phi.back(asked.remaining, along.sum(), into);
        }
        let wide = padded(self.widths[0]);
        let Between { before, z, asked: rows, y } = self.between(simd, pairs, (h, e), asked, None, buffers);
        let mut drows = buffers.zeros(rows.len());
        let count = asked.nodes.len();
        self.node_out.back(simd, &rows, count, &back.nodes, &mut drows, &mut gradient.node_out, buffers);
        let mut dz = buffers.zeros(z.len());
        for (row, &node) in drows.chunks_exact(wide).zip(asked.nodes) {
            add_scaled(simd, 1.0, row, &mut dz[node * wide..][..wide]);
        }
        let mut dy = buffers.zeros(y.len());
        let count = asked.pairs.len();
        self.edge_out.back(simd, &y, count, &back.pairs, &mut dy, &mut gradient.edge_out, buffers);
        let into = &mut gradient.combiner;
        self.combiner.back(simd, pairs, (&z, e), asked.pairs, &dy, (&mut dz, de), into, buffers);
        through_silu(simd, &before, &mut dz);
        self.transform.back(simd, pairs, (h, e), &dz, dh, de, &mut gradient.transform, buffers);
        buffers.give([before, z, rows, y, drows, dz, dy]);
    }
}

impl ClassHeadGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self, head: &ClassHead, into: &mut ParameterSet) {
        self.transform.emit(&head.transform, &of("node_transform.0"), into);
        self.combiner.emit(&of("edge_transforom"), into);
        self.node_out.emit(&of("node_out"), into);
        self.edge_out.emit(&of("edge_out"), into);
        self.phi_node.emit(&of("phi_node"), into);
        self.phi_edge.emit(&of("phi_edge"), into);
    }
}
