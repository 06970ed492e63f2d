//! What is kept of growing graphs changes no bit.

use std::cell::RefCell;
use std::sync::Mutex;

use equidrift_graph::BlockDegree;
use equidrift_pard::fused::Instructions;
use equidrift_pard::{
    BlockBatch, BlockGraph, Draws, Engine, FusedNetworks, Generation, Growing, Growth, KeyedDraws,
    NetworkConfig, ReverseStep, TimeOf, Unfinished,
};

use crate::fused::{batch, fused, input};
use crate::training::{config, diffusion};

const TIMES: [usize; 2] = [20, 3];

/// Graphs of several blocks, of 9 and of 12 nodes.
fn graphs() -> Vec<BlockGraph> {
    let of = |nodes: usize, edges: &[(usize, usize)]| {
        let classes: Vec<usize> = (0..nodes).map(|node| node * 5 % 7 % 2).collect();
        let edges: Vec<_> = edges.iter().map(|&(a, b)| (a, b, 1)).collect();
        BlockGraph::new(&classes, &edges, 2, BlockDegree::Smallest).unwrap()
    };
    let graphs = vec![
        of(9, &[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (4, 6), (6, 7), (6, 8)]),
        of(
            12,
            &[
                (0, 1),
                (1, 2),
                (2, 3),
                (3, 0),
                (3, 4),
                (4, 5),
                (5, 6),
                (6, 4),
                (6, 7),
                (0, 8),
                (8, 9),
                (1, 10),
                (10, 11),
            ],
        ),
    ];
    assert!(graphs.iter().all(|graph| graph.sizes.len() >= 3));
    graphs
}

/// Networks that keep what is finished, with every optional input or without PPGN.
fn networks() -> Vec<FusedNetworks> {
    let known = NetworkConfig {
        time_of: TimeOf::Virtual,
        max_blocks: 8,
        block_sizes: 13,
        block_degrees: 13,
        ..config(2)
    };
    let plain =
        NetworkConfig { transformer_only: true, walks: 0, hidden: 36, edge: 18, heads: 3, ..known.clone() };
    [known, plain].iter().map(|config| fused(config, 2, Instructions::Detect)).collect()
}

/// The first blocks of a graph.
fn prefix(graph: &BlockGraph, blocks: usize) -> BlockGraph {
    let nodes = graph.block.iter().filter(|block| **block < blocks).count();
    BlockGraph {
        node_classes: graph.node_classes[..nodes].to_vec(),
        pair_classes: graph.pair_classes[..nodes * (nodes - 1) / 2].to_vec(),
        block: graph.block[..nodes].to_vec(),
        sizes: graph.sizes[..blocks].to_vec(),
        degrees: graph.degrees[..blocks].to_vec(),
    }
}

/// The logits of next blocks, and what is chosen: some class.
fn next_blocks(
    networks: &FusedNetworks,
    batch: &BlockBatch,
    growing: Option<Growing<'_>>,
) -> (Vec<(usize, usize)>, Vec<Vec<f64>>) {
    let rows = RefCell::new(Vec::new());
    let choose = |row: usize, logits: &[f64]| {
        rows.borrow_mut().push(logits.to_vec());
        (row + 1) % logits.len()
    };
    (networks.next_blocks(batch, growing, choose, choose).unwrap(), rows.into_inner())
}

#[test]
fn logits_of_growing_graphs_have_the_bits_of_whole_ones() {
    for networks in networks() {
        let graphs = graphs();
        let growths: Vec<_> = graphs.iter().map(|_| Mutex::new(networks.growth().unwrap())).collect();
        for blocks in 1..=graphs.iter().map(|graph| graph.sizes.len()).max().unwrap() {
            let growing = |blocks: usize| -> Vec<usize> {
                (0..graphs.len()).filter(|&graph| graphs[graph].sizes.len() >= blocks).collect()
            };
            let of_rows = growing(blocks);
            let kept = Growing { graphs: &growths, of_rows: &of_rows };
            let prefixes: Vec<_> = of_rows.iter().map(|&graph| prefix(&graphs[graph], blocks)).collect();
            let (last_virtual, nodes, pairs) = batch(&prefixes);
            // Two steps: what the first leaves behind is not taken for finished.
            for time in TIMES {
                let times = vec![time; prefixes.len()];
                let noisy = input(&last_virtual, &times);
                let whole = networks.classes(&noisy, &nodes, &pairs).unwrap();
                assert_eq!(networks.classes_of_growing(&noisy, &nodes, &pairs, kept).unwrap(), whole);
            }
            let real = BlockBatch::single(&prefixes);
            let whole = next_blocks(&networks, &real, None);
            assert_eq!(next_blocks(&networks, &real, Some(kept)), whole);
            networks.finish_blocks(&real, kept).unwrap();
        }
    }
}

#[test]
fn finished_blocks_matter() {
    // The test above compares something: other earlier classes give other logits.
    let networks = &networks()[0];
    let logits = |turned: bool| {
        let mut graph = graphs().swap_remove(0);
        let blocks = graph.sizes.len();
        graph.node_classes[0] ^= usize::from(turned);
        let growths = [Mutex::new(Growth::default())];
        let kept = Growing { graphs: &growths, of_rows: &[0] };
        for blocks in 1..blocks {
            networks.finish_blocks(&BlockBatch::single(&[prefix(&graph, blocks)]), kept).unwrap();
        }
        let (batch, nodes, pairs) = batch(&[graph]);
        networks.classes_of_growing(&input(&batch, &[7]), &nodes, &pairs, kept).unwrap()
    };
    assert_ne!(logits(false), logits(true));
}

#[test]
fn networks_whose_finished_blocks_know_the_time_keep_nothing() {
    let all = NetworkConfig { time_of: TimeOf::All, ..config(2) };
    assert!(fused(&all, 1, Instructions::Detect).growth().is_none());
    assert!(fused(&config(0), 1, Instructions::Detect).growth().is_none());
}

#[test]
fn company_and_threads_change_no_graph_that_grows() {
    let run = |threads: usize, ids: &[u64]| {
        let known = NetworkConfig { time_of: TimeOf::Virtual, ..config(2) };
        let (networks, diffusion) = (fused(&known, threads, Instructions::Detect), diffusion());
        let generation = Generation {
            networks: Engine::Fused(&networks),
            diffusion: &diffusion,
            grid: &[20, 9, 4, 0],
            reverse_step: ReverseStep::default(),
            first_sizes: &[0.0, 0.5, 0.3, 0.2],
            max_blocks: 4,
            max_nodes: 14,
            unfinished: Unfinished::Whole,
            called: &|_| true,
        };
        let draws: &mut dyn Draws = &mut KeyedDraws { seed: 3, ids: ids.to_vec() };
        generation.run(ids.len(), draws, &mut |_| ()).unwrap()
    };
    let all: Vec<u64> = (0..40).collect();
    let together = run(1, &all);
    assert!(together.iter().any(|graph| graph.graph.sizes.len() > 2), "some graphs grow");
    assert_eq!(together, run(3, &all));
    for (graph, id) in together.iter().zip(all) {
        assert_eq!(run(1, &[id])[0], *graph);
    }
}
