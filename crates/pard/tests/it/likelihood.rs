//! The bound of the likelihood: one pass or block by block, and under every numbering of the nodes.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device};
use equidrift_graph::{BlockDegree, block_order, graph_from_edges};
use equidrift_pard::{
    BlockGraph, CorruptionDraw, Draws, KeyedDraws, LikelihoodBound, LikelihoodDraw, PardNetworks,
    Presentation, Purpose, Question, ResidualOf, Sequence, TimeEmbedding, likelihood_bounds,
};

use crate::reference::{Case, cases};

const FIRST_SIZES: [f64; 8] = [0.0, 0.1, 0.3, 0.3, 0.2, 0.1, 0.1, 0.1];

/// The bound of one graph, with the draws of nodes of these names.
fn bound(
    case: &Case,
    networks: &PardNetworks,
    graph: &BlockGraph,
    names: &[usize],
    presentation: Presentation,
) -> LikelihoodBound {
    let mut keyed = KeyedDraws { seed: 5, ids: vec![0, 1] };
    let mut draw = |what: LikelihoodDraw| {
        let (purpose, element) = match what {
            LikelihoodDraw::Node { node, t, .. } => (Purpose::Node { t }, (names[node], 0)),
            LikelihoodDraw::Pair { pair: (i, j), t, .. } => (Purpose::Pair { t }, (names[i], names[j])),
        };
        let [redraw, keep] =
            [0, 1].map(|graph| keyed.uniform(&Question { graph, round: 0, purpose, rank: 0, element }));
        CorruptionDraw { redraw, keep }
    };
    let graphs = std::slice::from_ref(graph);
    likelihood_bounds(networks, &case.model.diffusion, &FIRST_SIZES, graphs, presentation, &mut draw).unwrap()
        [0]
}

fn repaired(case: &Case) -> PardNetworks {
    let mut config = case.model.networks.clone();
    (config.time, config.residual) = (TimeEmbedding::Sinusoid, ResidualOf::Input);
    PardNetworks::read(&config, &case.model.parameters, &Device::flex(), DType::F32).unwrap()
}

/// Node classes and edges of a graph under other names, and the node names by place after sorting.
fn renamed(graph: &BlockGraph, names: &[usize], max_hops: usize) -> (BlockGraph, Vec<usize>) {
    let n = graph.nodes();
    let mut classes = vec![0; n];
    (0..n).for_each(|node| classes[names[node]] = graph.node_classes[node]);
    let mut edges = Vec::new();
    for i in 0..n {
        for j in 0..i {
            let class = graph.pair_class(i, j);
            if class > 0 {
                edges.push((names[i], names[j], class));
            }
        }
    }
    let plain = graph_from_edges(n, edges.iter().map(|&(a, b, _)| (a, b))).unwrap();
    let original: BTreeMap<usize, usize> =
        names.iter().enumerate().map(|(node, &name)| (name, node)).collect();
    let order = block_order(&plain, max_hops, BlockDegree::Smallest).nodes();
    let sorted = BlockGraph::new(&classes, &edges, max_hops, BlockDegree::Smallest).unwrap();
    (sorted, order.iter().map(|name| original[name]).collect())
}

#[test]
fn the_bound_is_the_same_in_one_pass_block_by_block_and_under_other_names() {
    let mut worst = [0.0_f64; 2];
    for case in cases().iter().filter(|case| case.model.networks.sequence == Sequence::Doubled) {
        let networks = repaired(case);
        for graph in &case.model.graphs[..2] {
            let n = graph.nodes();
            let same: Vec<usize> = (0..n).collect();
            let (graph, names) = renamed(graph, &same, case.model.max_hops);
            let parallel = bound(case, &networks, &graph, &names, Presentation::Parallel);
            assert!(
                parallel.total().is_finite()
                    && parallel.nodes > 0.0
                    && parallel.pairs > 0.0
                    && parallel.blocks > 0.0
            );
            let sequential = bound(case, &networks, &graph, &names, Presentation::BlockByBlock);
            worst[0] = worst[0].max((parallel.total() - sequential.total()).abs() / parallel.total());
            // Draws go by the places in `graph`; under other names they go with the nodes.
            let places: Vec<usize> = (0..n).collect();
            let first = bound(case, &networks, &graph, &places, Presentation::Parallel);
            for turn in 1..3 {
                let names: Vec<usize> = (0..n).map(|node| (node + turn) % n).rev().collect();
                let (other, places) = renamed(&graph, &names, case.model.max_hops);
                let again = bound(case, &networks, &other, &places, Presentation::Parallel);
                worst[1] = worst[1].max((again.total() - first.total()).abs() / first.total());
            }
        }
    }
    println!("one pass and block by block: {:.1e}; other names: {:.1e}", worst[0], worst[1]);
    assert!(worst.iter().all(|worst| *worst <= 1e-5), "{worst:?}");
}
