//! Embedding and layers of a network, there and back.

use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::embedding::{Embedding, EmbeddingGradient, EmbeddingTape};
use super::graph_view::GraphView;
use super::growth::{GrowingPart, GrownGraph};
use super::perceptron::{NormedPerceptron, NormedPerceptronGradient};
use super::ppgn::{Ppgn, PpgnGradient, PpgnTape};
use super::transformer::Transformer;
use super::transformer_backward::{TransformerGradient, TransformerTape};
use crate::input_embedding::Role;
use crate::network_config::NetworkConfig;

/// One network up to its head.
#[derive(Debug, Clone)]
pub(super) struct Trunk {
    prefix: &'static str,
    embedding: Embedding,
    layers: Vec<(Transformer, Option<Ppgn>)>,
    node: NormedPerceptron,
    edge: NormedPerceptron,
}

/// The gradient of a [`Trunk`].
#[derive(Debug, Clone)]
pub(super) struct TrunkGradient {
    prefix: &'static str,
    embedding: EmbeddingGradient,
    layers: Vec<(TransformerGradient, Option<PpgnGradient>)>,
    node: NormedPerceptronGradient,
    edge: NormedPerceptronGradient,
}

/// What the parts of a trunk saw, for the way back.
#[derive(Debug, Default)]
pub(super) struct TrunkTape {
    embedding: EmbeddingTape,
    layers: Vec<(TransformerTape, PpgnTape)>,
    /// Nodes and pairs after all layers.
    h: Vec<f32>,
    e: Vec<f32>,
}

fn names(prefix: &str) -> [[String; 2]; 2] {
    ["node", "edge"]
        .map(|stream| [format!("{prefix}.net.{stream}_norm"), format!("{prefix}.net.{stream}_mlp")])
}

impl Trunk {
    pub(super) fn read(
        parameters: &ParameterSet,
        config: &NetworkConfig,
        role: Role,
    ) -> Result<Self, PackError> {
        let (prefix, shape) = (role.prefix(), config.shape());
        let layer = |l: usize| {
            let of = |part: &str| format!("{prefix}.net.blocks.{l}.{part}");
            let transformer = Transformer::read(parameters, &of("transformer"), shape)?;
            let ppgn = match config.transformer_only {
                true => None,
                false => Some(Ppgn::read(parameters, &of("ppgn"), shape.edge)?),
            };
            Ok((transformer, ppgn))
        };
        let end = |[norm, mlp]: &[String; 2], width: usize| {
            NormedPerceptron::read(parameters, [norm.as_str(), mlp.as_str()], [width; 2])
        };
        let [node, edge] = names(prefix);
        Ok(Self {
            prefix,
            embedding: Embedding::read(parameters, config, role)?,
            layers: (0..config.layers).map(layer).collect::<Result<_, PackError>>()?,
            node: end(&node, shape.hidden)?,
            edge: end(&edge, shape.edge)?,
        })
    }

    pub(super) fn no_gradient(&self) -> TrunkGradient {
        let zeros = |(transformer, ppgn): &(Transformer, Option<Ppgn>)| {
            (TransformerGradient::new(transformer), ppgn.as_ref().map(Ppgn::no_gradient))
        };
        TrunkGradient {
            prefix: self.prefix,
            embedding: self.embedding.no_gradient(),
            layers: self.layers.iter().map(zeros).collect(),
            node: self.node.no_gradient(),
            edge: self.edge.no_gradient(),
        }
    }

    /// Nodes `[N, hidden]` and pairs `[rows, edge]`; what the parts saw goes to `tape`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        graph: &GraphView<'_>,
        mut tape: Option<&mut TrunkTape>,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Vec<f32>) {
        let pairs = &graph.pairs;
        let seen = tape.as_mut().map(|tape| &mut tape.embedding);
        let (mut h, mut e) = self.embedding.forward(simd, graph, seen, buffers);
        if let Some(tape) = tape.as_mut() {
            tape.layers.resize_with(self.layers.len(), Default::default);
        }
        for (number, (transformer, ppgn)) in self.layers.iter().enumerate() {
            let mut seen = tape.as_mut().map(|tape| &mut tape.layers[number]);
            if let Some((seen, _)) = seen.as_mut() {
                note(&mut seen.h, &h);
                note(&mut seen.e, &e);
            }
            let middle = seen.as_mut().map(|(seen, _)| &mut seen.middle);
            transformer.forward(simd, pairs, &mut h, &mut e, middle, buffers);
            let Some(ppgn) = ppgn else { continue };
            if let Some((_, seen)) = seen.as_mut() {
                note(&mut seen.e, &e);
            }
            ppgn.forward(simd, pairs, &mut e, seen.map(|(_, seen)| &mut seen.middle), buffers);
        }
        if let Some(tape) = tape {
            note(&mut tape.h, &h);
            note(&mut tape.e, &e);
        }
        self.node.replace(simd, &mut h, pairs.nodes, buffers);
        self.edge.replace(simd, &mut e, pairs.len(), buffers);
        (h, e)
    }

    /// The same for what is not known of several graphs: the rows of their nodes, one graph after the other, and, in the parts,
    /// pairs. What later blocks look at is kept.
    #[inline(always)]
    pub(super) fn forward_growing<'a, S: Simd>(
        &self,
        simd: S,
        graphs: impl Iterator<Item = (&'a GraphView<'a>, &'a mut GrownGraph)>,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Vec<GrowingPart<'a>>) {
        let mut h = buffers.take(0);
        let mut parts = Vec::new();
        for (graph, grown) in graphs {
            grown.make_room(graph.pairs.nodes, self.embedding.widths(), self.layers.len());
            let (nodes, e) = self.embedding.forward(simd, graph, None, buffers);
            let first = parts.last().map_or(0, |part: &GrowingPart<'_>| part.rows.end);
            let rows = first..first + graph.pairs.nodes - graph.pairs.known;
            h.extend_from_slice(&nodes);
            buffers.give([nodes]);
            parts.push(GrowingPart { graph, rows, e, grown });
        }
        for (number, (transformer, ppgn)) in self.layers.iter().enumerate() {
            transformer.forward_growing(simd, &mut parts, number, &mut h, buffers);
            let Some(ppgn) = ppgn else { continue };
            for GrowingPart { graph, e, grown, .. } in &mut parts {
                ppgn.forward_growing(simd, &graph.pairs, e, &mut grown.layers[number], buffers);
            }
        }
        let rows = parts.last().map_or(0, |part| part.rows.end);
        self.node.replace(simd, &mut h, rows, buffers);
        for GrowingPart { graph, e, .. } in &mut parts {
            self.edge.replace(simd, e, graph.pairs.len(), buffers);
        }
        (h, parts)
    }

    /// Adds to `gradient` what the gradients `dh` and `de` of nodes and pairs mean for the parameters.
    #[expect(clippy::too_many_arguments, reason = "what was seen, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        graph: &GraphView<'_>,
        tape: &TrunkTape,
        dh: &mut Vec<f32>,
        de: &mut Vec<f32>,
        gradient: &mut TrunkGradient,
        buffers: &mut Buffers,
    ) {
        let pairs = &graph.pairs;
        for (part, into, seen, rows, back) in [
            (&self.node, &mut gradient.node, &tape.h, pairs.nodes, &mut *dh),
            (&self.edge, &mut gradient.edge, &tape.e, pairs.len(), &mut *de),
        ] {
            let mut below = buffers.zeros(back.len());
            part.back(simd, seen, rows, back, &mut below, into, buffers);
            std::mem::swap(back, &mut below);
            buffers.give([below]);
        }
        let layers = self.layers.iter().zip(&mut gradient.layers).zip(&tape.layers);
        for (((transformer, ppgn), (of_transformer, of_ppgn)), (seen, seen_by_ppgn)) in layers.rev() {
            if let (Some(ppgn), Some(into)) = (ppgn, of_ppgn) {
                ppgn.backward(simd, pairs, seen_by_ppgn, de, into, buffers);
            }
            transformer.backward(simd, pairs, seen, dh, de, of_transformer, buffers);
        }
        self.embedding.backward(simd, graph, &tape.embedding, dh, de, &mut gradient.embedding, buffers);
    }
}

/// Writes a copy into memory that is kept.
fn note(into: &mut Vec<f32>, values: &[f32]) {
    into.clear();
    into.extend_from_slice(values);
}

impl TrunkGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self, trunk: &Trunk, into: &mut ParameterSet) {
        self.embedding.emit(&trunk.embedding, into);
        for (l, (transformer, ppgn)) in self.layers.iter().enumerate() {
            transformer.emit(&format!("{}.net.blocks.{l}.transformer", self.prefix), into);
            if let Some(ppgn) = ppgn {
                ppgn.emit(&format!("{}.net.blocks.{l}.ppgn", self.prefix), into);
            }
        }
        let [node, edge] = names(self.prefix);
        self.node.emit([&node[0], &node[1]], into);
        self.edge.emit([&edge[0], &edge[1]], into);
    }
}
