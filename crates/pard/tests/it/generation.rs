//! Generation: the recorded runs, and seeds.

use burn::tensor::{DType, Device};
use equidrift_backend::weights::TensorFile;
use equidrift_pard::{
    BlockGraph, Draws, Engine, Generation, GraphDiffusion, KeyedDraws, PardNetworks, Purpose, Question,
    ReverseStep, Sequence, StepGrid, Unfinished,
};
use serde_json::Value;

use crate::reference::{Case, cases, pard_dir};

/// Frequencies of the sizes of first blocks in the recorded runs.
const FIRST_SIZES: [f64; 6] = [0.0, 0.1, 0.3, 0.3, 0.2, 0.1];

/// The uniform numbers of a recorded run.
struct Recorded<'a> {
    run: &'a TensorFile,
    steps: usize,
}

impl Recorded<'_> {
    /// The number at `[step,] graph, rank`.
    fn at(&self, name: &str, place: &[usize]) -> f64 {
        let tensor = &self.run.tensors[name];
        let flat = place.iter().zip(&tensor.shape).fold(0, |flat, (at, width)| flat * width + at);
        assert_eq!(place.len(), tensor.shape.len(), "{name}");
        tensor.to_f64()[flat]
    }
}

impl Draws for Recorded<'_> {
    fn uniform(&mut self, question: &Question) -> f64 {
        let &Question { graph, round, purpose, rank, .. } = question;
        let name = |what: &str| format!("block{round}.u.{what}");
        match purpose {
            Purpose::FirstSize => self.at("init.u.size", &[graph]),
            Purpose::FirstDegree => self.at("init.u.degree", &[graph]),
            Purpose::InitialNode => self.at(&name("node_init"), &[graph, rank]),
            Purpose::InitialPair => self.at(&name("edge_init"), &[graph, rank]),
            Purpose::Node { t } => self.at(&name("node"), &[self.steps - t, graph, rank]),
            Purpose::Pair { t } => self.at(&name("edge"), &[self.steps - t, graph, rank]),
            Purpose::NextSize => self.at(&name("size"), &[graph]),
            Purpose::NextDegree => self.at(&name("degree"), &[graph]),
        }
    }
}

/// Classes of the nodes and pairs of a graph in rows of `[N]` and `[N, N]`, -1 for the zero vector.
fn padded(graph: &BlockGraph, n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut nodes = vec![-1.0; n];
    let mut blocks = vec![-1.0; n];
    let mut pairs = vec![-1.0; n * n];
    for i in 0..graph.nodes() {
        nodes[i] = graph.node_classes[i] as f64;
        blocks[i] = graph.block[i] as f64;
        for j in (0..graph.nodes()).filter(|&j| j != i) {
            pairs[i * n + j] = graph.pair_class(i, j) as f64;
        }
    }
    (nodes, blocks, pairs)
}

fn check(name: &str, run: &TensorFile, prefix: &str, graphs: &[&BlockGraph]) {
    let tensor = |what: &str| run.tensors[&format!("{prefix}.{what}")].to_f64();
    let n = run.tensors[&format!("{prefix}.nodes")].shape[1];
    let (nodes, blocks, pairs) = (tensor("nodes"), tensor("blockid"), tensor("edges"));
    for (row, graph) in graphs.iter().enumerate() {
        let found = padded(graph, n);
        assert_eq!(found.0, nodes[row * n..][..n], "{name} {prefix}: nodes of graph {row}");
        assert_eq!(found.1, blocks[row * n..][..n], "{name} {prefix}: blocks of graph {row}");
        assert_eq!(found.2, pairs[row * n * n..][..n * n], "{name} {prefix}: pairs of graph {row}");
    }
}

/// The diffusions of a case in another number of steps.
fn in_steps(case: &Case, steps: usize) -> GraphDiffusion {
    GraphDiffusion {
        nodes: case.model.diffusion.nodes.with_steps(steps).unwrap(),
        edges: case.model.diffusion.edges.with_steps(steps).unwrap(),
    }
}

fn networks(case: &Case, dtype: DType) -> PardNetworks {
    PardNetworks::read(&case.model.networks, &case.model.parameters, &Device::flex(), dtype).unwrap()
}

#[test]
fn recorded_runs_are_reproduced_block_by_block() {
    let Some(dir) = pard_dir() else { return };
    let settings: Value = serde_json::from_slice(&std::fs::read(dir.join("generate.json")).unwrap()).unwrap();
    // Networks on prefixes need features of the structure at every step.
    for case in cases().iter().filter(|case| case.model.networks.sequence == Sequence::Doubled) {
        let path = dir.join(format!("generate.{}.safetensors", case.name));
        if !path.is_file() {
            continue;
        }
        let run = TensorFile::read(path).unwrap();
        let number = |key: &str| settings[&case.name][key].as_u64().unwrap() as usize;
        let steps = number("T");
        let diffusion = in_steps(case, steps);
        for dtype in [DType::F64, DType::F32] {
            let networks = networks(case, dtype);
            let generation = Generation {
                networks: Engine::Burn(&networks),
                diffusion: &diffusion,
                grid: &StepGrid::default().steps(steps, steps),
                reverse_step: ReverseStep::default(),
                first_sizes: &FIRST_SIZES,
                max_blocks: number("max_num_blocks"),
                max_nodes: 1000,
                unfinished: Unfinished::CutAtFirstSize,
                called: &|_| true,
            };
            let graphs = run.tensors["init.size"].len();
            let mut rounds = 0;
            let mut observe = |round: &equidrift_pard::Round<'_>| {
                rounds += 1;
                let graphs: Vec<&BlockGraph> = round.graphs.iter().map(|growing| &growing.graph).collect();
                check(&case.name, &run, &format!("block{}", round.round), &graphs);
            };
            let generated = generation.run(graphs, &mut Recorded { run: &run, steps }, &mut observe).unwrap();
            assert!(
                !run.tensors.contains_key(&format!("block{rounds}.nodes")),
                "{}: {rounds} rounds",
                case.name
            );
            let graphs: Vec<&BlockGraph> = generated.iter().map(|generated| &generated.graph).collect();
            check(&case.name, &run, "final", &graphs);
            let sizes = run.tensors["final.num_nodes"].to_f64();
            let found: Vec<f64> = graphs.iter().map(|graph| graph.nodes() as f64).collect();
            assert_eq!(found, sizes, "{}", case.name);
            let finished = generated.iter().filter(|generated| generated.finished).count();
            println!(
                "{} {dtype:?}: {rounds} rounds, {finished} of {} finished: equal",
                case.name,
                graphs.len()
            );
        }
    }
}

#[test]
fn a_seed_gives_the_same_graphs_whatever_the_batch() {
    for case in cases().iter().filter(|case| case.name == "small_bn") {
        let networks = networks(case, DType::F32);
        let diffusion = in_steps(case, 5);
        let generation = Generation {
            networks: Engine::Burn(&networks),
            diffusion: &diffusion,
            grid: &StepGrid::default().steps(5, 5),
            reverse_step: ReverseStep::default(),
            first_sizes: &FIRST_SIZES,
            max_blocks: 4,
            max_nodes: 40,
            unfinished: Unfinished::Whole,
            called: &|_| true,
        };
        let run = |seed, ids: Vec<u64>| {
            let graphs = ids.len();
            generation.run(graphs, &mut KeyedDraws { seed, ids }, &mut |_| ()).unwrap()
        };
        let together = run(3, (0..8).collect());
        let alone: Vec<_> = (0..8).flat_map(|id| run(3, vec![id])).collect();
        assert_eq!(together, alone);
        assert_ne!(together, run(4, (0..8).collect()));
        assert!(together.iter().all(|generated| generated.graph.nodes() <= 40));
        // The virtual classes are the last; they are never drawn in the end.
        let config = &case.model.networks;
        for graph in together.iter().map(|generated| &generated.graph) {
            assert!(graph.node_classes.iter().all(|&class| class + 1 < config.node_classes));
            assert!(graph.pair_classes.iter().all(|&class| class + 1 < config.edge_classes));
        }
    }
}
