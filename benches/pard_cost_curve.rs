//! What a graph of Pard costs against its number of nodes: seconds and peak memory, networks of the embedded models' shape and of
//! the published ones with random weights, one graph at a time: in one block, in blocks of eight nodes, or the published QM9 network
//! in blocks of two, up to 38 nodes (its 18 atoms have 7.7 blocks in the mean).
//!
//! ```text
//! cargo bench --bench pard_cost_curve              # 9 to 400 nodes
//! cargo bench --bench pard_cost_curve -- 9 100     # these
//! cargo bench --bench pard_cost_curve -- --rate 18 20 2 32    # below
//! ```
//!
//! `--rate NODES CALLS THREADS GRAPHS` draws so many graphs of the published QM9 network in blocks of two, with so many calls a
//! block, on so many threads, and prints graphs a second and peak MiB; `--shapes NODES` prints the configuration and the shape
//! of every weight of that network. Both are for `benches/peer/pard_generation.py`.
//!
//! Every figure is from a process of its own, whose peak resident memory the kernel records (Linux). A call of the denoiser costs
//! the same at every step, so a few are made and 50 are reckoned. Columns: nodes, layer sizes, blocks, seconds a call, seconds a
//! graph of 50 calls per block, peak MiB above the process before the first call, bytes per pair of nodes, what `generate` reckons
//! with.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::time::Instant;

use equidrift::{FamilyModel, Model, pard_graph_bytes};
use equidrift_backend::weights::HostTensor;
use equidrift_pard::{
    Engine, Generation, KeyedDraws, NetworkConfig, PardConfig, PardModel, ReverseStep, TimeOf, Unfinished,
    initial_parameters,
};

/// Nodes where none are named.
const NODES: [usize; 7] = [9, 20, 38, 64, 100, 200, 400];
/// Hidden, edge, layers, heads: of the embedded models, of the published comm20, of the published QM9; and nodes of a block.
const SHAPES: [([usize; 4], Option<usize>); 5] = [
    ([64, 32, 6, 4], None),
    ([128, 32, 6, 8], None),
    ([256, 64, 8, 8], None),
    ([64, 32, 6, 4], Some(8)),
    ([256, 64, 8, 8], Some(2)),
];
/// Most nodes in blocks of two.
const MOST_IN_TWOS: usize = 38;
/// The parameters that decide which sizes blocks have.
const SIZES: &str = "block.out_decoder.block_size_out.linear2.bias";
/// Marks the process of one figure.
const ONE: &str = "--one";
/// The published QM9 network in blocks of two.
const PUBLISHED: usize = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, nodes, shape] = arguments.as_slice()
        && flag == ONE
        && let (Ok(nodes), Ok(shape)) = (nodes.parse(), shape.parse::<usize>())
    {
        return one(nodes, SHAPES[shape].0, SHAPES[shape].1);
    }
    if let [flag, numbers @ ..] = arguments.as_slice()
        && flag == "--rate"
        && let Ok(numbers) = numbers.iter().map(|number| number.parse()).collect::<Result<Vec<usize>, _>>()
        && let [nodes, calls, threads, graphs] = numbers[..]
    {
        return rate(nodes, calls, threads, graphs);
    }
    if let [flag, nodes] = arguments.as_slice()
        && flag == "--shapes"
        && let Ok(nodes) = nodes.parse()
    {
        return shapes(nodes);
    }
    let named: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    println!("nodes  hidden/edge/layers  blocks   s/call  s/graph (50)   peak MiB  bytes/pair  reckoned MiB");
    for (shape, (_, block)) in SHAPES.iter().enumerate() {
        for &nodes in if named.is_empty() { NODES.as_slice() } else { &named } {
            if *block == Some(2) && nodes > MOST_IN_TWOS {
                continue;
            }
            let program = std::env::current_exe().expect("the path of this programme");
            let one = Command::new(program).args([ONE, &nodes.to_string(), &shape.to_string()]).status();
            if !one.is_ok_and(|status| status.success()) {
                println!("{nodes:5}  the process ended without a figure");
            }
        }
    }
    ExitCode::SUCCESS
}

/// An embedded model's configuration for graphs of exactly this many nodes, in one block or in blocks of so many, and layers of
/// these sizes.
fn config(nodes: usize, [hidden, edge, layers, heads]: [usize; 4], block: Option<usize>) -> PardConfig {
    let model =
        Model::open(if block.is_some() { "qm9-pard-k3" } else { "qm9-pard" }).expect("an embedded model");
    let FamilyModel::Pard(pard) = model.family() else { unreachable!("it is of family pard") };
    let embedded = pard.config().clone();
    let first = nodes.min(block.unwrap_or(nodes));
    let network = NetworkConfig {
        hidden,
        edge,
        layers,
        heads,
        block_sizes: first + 1,
        max_blocks: nodes.div_ceil(first),
        // As new models are trained: finished blocks are not computed again.
        time_of: if block.is_some() { TimeOf::Virtual } else { TimeOf::All },
        ..embedded.network.clone()
    };
    PardConfig { max_nodes: nodes, first_sizes: BTreeMap::from([(first, 1)]), network, ..embedded }
}

/// A model with random weights whose graphs all grow to the end.
fn model(nodes: usize, shape: [usize; 4], block: Option<usize>) -> PardModel {
    let config = config(nodes, shape, block);
    let mut parameters = initial_parameters(&config.network, 1).expect("a checked configuration");
    if let Some(bias) = parameters.get_mut(SIZES) {
        let mut sizes = vec![0.0; config.network.block_sizes];
        if let Some(last) = sizes.last_mut() {
            *last = 1e3;
        }
        *bias = HostTensor::f32(vec![sizes.len()], sizes);
    }
    PardModel::new(config, parameters).expect("its own parameters")
}

/// Draws graphs with so many calls a block, each batch on a thread of its own. Returned are the nodes and blocks of a graph, which
/// are checked to be the same in all batches, and the seconds without preparations.
fn draw(model: &PardModel, calls: usize, batches: &[Vec<u64>]) -> (usize, usize, f64) {
    let config = model.config();
    let networks = model.fused_networks().expect("a checked model").expect("networks of the fused engine");
    let diffusion = config.diffusion.build().expect("a checked configuration");
    let first_sizes = config.first_size_frequencies().expect("the sizes are known");
    let grid = config.grid.steps(config.diffusion.steps, calls);
    let work = |ids: &[u64]| {
        let generation = Generation {
            networks: Engine::Fused(&networks),
            diffusion: &diffusion,
            grid: &grid,
            reverse_step: ReverseStep::default(),
            first_sizes: &first_sizes,
            max_blocks: config.network.max_blocks,
            max_nodes: config.max_nodes,
            unfinished: Unfinished::Whole,
            called: &|_| true,
        };
        let draws = &mut KeyedDraws { seed: 1, ids: ids.to_vec() };
        let graphs = generation.run(ids.len(), draws, &mut |_| ()).expect("generation works");
        (graphs[0].graph.nodes(), graphs[0].graph.sizes.len())
    };
    let start = Instant::now();
    let sizes: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let drawn: Vec<_> = batches.iter().map(|ids| scope.spawn(|| work(ids))).collect();
        drawn.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    assert!(sizes.iter().all(|size| *size == sizes[0]));
    (sizes[0].0, sizes[0].1, seconds)
}

fn one(nodes: usize, shape: [usize; 4], block: Option<usize>) -> ExitCode {
    let model = model(nodes, shape, block);
    let calls = if nodes > 100 || block.is_some() { 2 } else { 5 };
    let before = resident("VmRSS:");
    let (drawn, count, seconds) = draw(&model, calls, &[vec![0]]);
    assert_eq!(drawn, block.map_or(nodes, |block| nodes / block * block));
    let call = seconds / (calls * count) as f64;
    let peak = resident("VmHWM:").saturating_sub(before);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let [hidden, edge, layers, _] = shape;
    println!(
        "{drawn:5}  {:<18}  {count:6} {call:8.4}  {:12.2}  {:9.1}  {:10}  {:12.1}",
        format!("{hidden}/{edge}/{layers}"),
        50.0 * seconds / calls as f64,
        mib(peak),
        peak / (drawn * drawn) as u64,
        mib(pard_graph_bytes(&model.config().network, drawn)),
    );
    ExitCode::SUCCESS
}

fn rate(nodes: usize, calls: usize, threads: usize, graphs: usize) -> ExitCode {
    let (shape, block) = SHAPES[PUBLISHED];
    let model = model(nodes, shape, block);
    let each = graphs.div_ceil(threads.max(1));
    let ids: Vec<u64> = (0..graphs as u64).collect();
    let batches: Vec<Vec<u64>> = ids.chunks(each).map(<[u64]>::to_vec).collect();
    let (drawn, _, seconds) = draw(&model, calls, &batches);
    assert_eq!(drawn, nodes);
    println!("{} {}", graphs as f64 / seconds, resident("VmHWM:") >> 20);
    ExitCode::SUCCESS
}

fn shapes(nodes: usize) -> ExitCode {
    let (shape, block) = SHAPES[PUBLISHED];
    let model = model(nodes, shape, block);
    let shapes: BTreeMap<_, _> = model.parameters().iter().map(|(name, w)| (name, &w.shape)).collect();
    println!("{}", serde_json::json!({"network": model.config().network, "shapes": shapes}));
    ExitCode::SUCCESS
}

/// A line of the kernel's record of this process, in bytes; 0 where there is none.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
