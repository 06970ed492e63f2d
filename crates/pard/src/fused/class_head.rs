//! The denoiser's head on one graph, there and back; see [`crate::heads`].
//!
//! Only what is asked for is computed: the classes of target nodes and, once for both directions, of target pairs.

use equidrift_backend::kernels::elementwise::{add_scaled, silu, through_silu};
use equidrift_backend::kernels::layer_norm::{LayerNorm, LayerNormGradient};
use equidrift_backend::kernels::matrix::{Linear, LinearGradient, Rows, padded};
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::combiner::{Combiner, CombinerGradient};
use super::pair_rows::PairRows;
use super::phi::{Phi, PhiGradient};
use crate::network_config::NetworkConfig;

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

/// What nodes take from pairs and from themselves: a map of the diagonal, the mean over those that are seen, and the node.
#[derive(Debug, Clone)]
pub(super) struct NodeTransform {
    /// Of the diagonal, of the mean, and of the node.
    maps: [Linear; 3],
    edge: usize,
    hidden: usize,
}

/// The gradient of a [`NodeTransform`].
#[derive(Debug, Clone)]
pub(super) struct NodeTransformGradient {
    maps: [LinearGradient; 3],
}

impl NodeTransform {
    /// Reads `{name}.weight` `[hidden, 2 edge + hidden]` and `{name}.bias`.
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        hidden: usize,
        edge: usize,
    ) -> Result<Self, PackError> {
        use equidrift_backend::kernels::matrix::lookup;
        let columns = 2 * edge + hidden;
        let weight = lookup(parameters, format!("{name}.weight"), &[hidden, columns])?;
        let bias = lookup(parameters, format!("{name}.bias"), &[hidden])?;
        let zeros = vec![0.0; hidden];
        let maps = [
            Linear::of(&weight, &bias, columns, edge, 0),
            Linear::of(&weight, &zeros, columns, edge, edge),
            Linear::of(&weight, &zeros, columns, hidden, 2 * edge),
        ];
        Ok(Self { maps, edge, hidden })
    }

    pub(super) fn no_gradient(&self) -> NodeTransformGradient {
        NodeTransformGradient { maps: self.maps.each_ref().map(Linear::no_gradient) }
    }

    /// Diagonals and means, `[N, edge]` each.
    #[inline(always)]
    fn of_pairs<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        e: &[f32],
        buffers: &mut Buffers,
    ) -> [Vec<f32>; 2] {
        let (n, deep) = (pairs.nodes, padded(self.edge));
        let [mut diagonal, mut mean] = [0; 2].map(|_| buffers.zeros(n * deep));
        for (i, (diagonal, mean)) in
            diagonal.chunks_exact_mut(deep).zip(mean.chunks_exact_mut(deep)).enumerate()
        {
            let share = share(pairs, i);
            for row in (pairs.first[i]..pairs.first[i + 1]).filter(|&row| pairs.sees[row]) {
                add_scaled(simd, share, &e[row * deep..][..deep], mean);
                add_scaled(simd, share, &e[pairs.reverse[row] * deep..][..deep], mean);
                if pairs.ends[row][1] == i {
                    diagonal.copy_from_slice(&e[row * deep..][..deep]);
                }
            }
        }
        [diagonal, mean]
    }

    /// The map's result before SiLU, `[N, hidden]`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        h: &[f32],
        e: &[f32],
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let (n, wide, deep) = (pairs.nodes, padded(self.hidden), padded(self.edge));
        let [diagonal, mean] = self.of_pairs(simd, pairs, e, buffers);
        let mut z = buffers.take(n * wide);
        self.maps[0].apply(simd, Rows::new(&diagonal, deep), n, &mut z, wide);
        self.maps[1].add(simd, Rows::new(&mean, deep), n, &mut z, wide);
        self.maps[2].add(simd, Rows::new(h, wide), n, &mut z, wide);
        buffers.give([diagonal, mean]);
        z
    }

    /// Adds to `dh` and `de` what the gradient `dz` of the map's result means for nodes and pairs.
    #[expect(clippy::too_many_arguments, reason = "what went in, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn back<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        dz: &[f32],
        dh: &mut [f32],
        de: &mut [f32],
        gradient: &mut NodeTransformGradient,
        buffers: &mut Buffers,
    ) {
        let (n, wide, deep) = (pairs.nodes, padded(self.hidden), padded(self.edge));
        let [diagonal, mean] = self.of_pairs(simd, pairs, e, buffers);
        let dz = Rows::new(dz, wide);
        gradient.maps[0].add(simd, Rows::new(&diagonal, deep), dz, n);
        gradient.maps[1].add(simd, Rows::new(&mean, deep), dz, n);
        gradient.maps[2].add(simd, Rows::new(h, wide), dz, n);
        self.maps[2].back(simd, dz, n, dh, wide);
        let [mut ddiagonal, mut dmean] = [diagonal, mean];
        ddiagonal.fill(0.0);
        dmean.fill(0.0);
        self.maps[0].back(simd, dz, n, &mut ddiagonal, deep);
        self.maps[1].back(simd, dz, n, &mut dmean, deep);
        for i in 0..n {
            let share = share(pairs, i);
            let back = &dmean[i * deep..][..deep];
            for row in (pairs.first[i]..pairs.first[i + 1]).filter(|&row| pairs.sees[row]) {
                add_scaled(simd, share, back, &mut de[row * deep..][..deep]);
                add_scaled(simd, share, back, &mut de[pairs.reverse[row] * deep..][..deep]);
                if pairs.ends[row][1] == i {
                    add_scaled(simd, 1.0, &ddiagonal[i * deep..][..deep], &mut de[row * deep..][..deep]);
                }
            }
        }
        buffers.give([ddiagonal, dmean]);
    }
}

/// The weight of a pair, and of its reverse, in the mean of node i.
fn share(pairs: &PairRows, i: usize) -> f32 {
    let seen = pairs.sees[pairs.first[i]..pairs.first[i + 1]].iter().filter(|sees| **sees).count();
    0.5 / (seen as f32 + 1e-10)
}

impl NodeTransformGradient {
    pub(super) fn emit(&self, transform: &NodeTransform, name: &str, into: &mut ParameterSet) {
        use equidrift_backend::weights::HostTensor;
        let NodeTransform { edge, hidden, .. } = *transform;
        let columns = 2 * edge + hidden;
        let mut weight = vec![0.0; hidden * columns];
        for (map, first) in self.maps.iter().zip([0, edge, 2 * edge]) {
            map.weight_into(&mut weight, columns, first);
        }
        into.insert(format!("{name}.weight"), HostTensor::f32([hidden, columns], weight));
        into.insert(format!("{name}.bias"), HostTensor::f32([hidden], self.maps[0].bias()));
    }
}

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

    /// Logits of what is asked, from nodes `h` and pairs `e`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        asked: Asked<'_>,
        buffers: &mut Buffers,
    ) -> Logits {
        let Between { before, z, asked: rows, y } = self.between(simd, pairs, (h, e), asked, buffers);
        let mut nodes = self.node_out.forward(simd, &rows, asked.nodes.len(), buffers);
        let mut of_pairs = self.edge_out.forward(simd, &y, asked.pairs.len(), buffers);
        buffers.give([before, z, rows, y]);
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

    #[inline(always)]
    fn between<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        asked: Asked<'_>,
        buffers: &mut Buffers,
    ) -> Between {
        let wide = padded(self.widths[0]);
        let before = self.transform.forward(simd, pairs, h, e, buffers);
        let mut z = buffers.take(before.len());
        z.copy_from_slice(&before);
        silu(simd, &mut z);
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
        let Between { before, z, asked: rows, y } = self.between(simd, pairs, (h, e), asked, buffers);
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
