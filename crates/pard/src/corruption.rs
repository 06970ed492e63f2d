//! Noise on the elements of a batch.

use equidrift_sampler::CategoricalDiffusion;

use crate::block_batch::Targets;

/// Two uniform numbers of an element: for the class from the noise distribution, and for whether the clean one is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CorruptionDraw {
    /// For the class.
    pub redraw: f64,
    /// For keeping.
    pub keep: f64,
}

/// The classes of all elements at the steps `times` of their graphs; `draw` is given the graph and the element's rank in it.
pub fn corrupt(
    diffusion: &CategoricalDiffusion,
    targets: &Targets,
    times: &[usize],
    mut draw: impl FnMut(usize, usize) -> CorruptionDraw,
) -> Vec<usize> {
    let elements = targets.graph.iter().zip(&targets.rank).zip(&targets.clean);
    elements
        .map(|((&graph, &rank), &clean)| {
            let CorruptionDraw { redraw, keep } = draw(graph, rank);
            diffusion.corrupt(times[graph], clean, redraw, keep)
        })
        .collect()
}
