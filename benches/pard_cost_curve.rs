//! What a graph of Pard costs against its number of nodes: seconds and peak memory, networks of the embedded models' shape and of
//! the published ones with random weights, one graph in one block on one thread.
//!
//! ```text
//! cargo bench --bench pard_cost_curve              # 9 to 400 nodes
//! cargo bench --bench pard_cost_curve -- 9 100     # these
//! ```
//!
//! Every figure is from a process of its own, whose peak resident memory the kernel records (Linux). A call of the denoiser costs
//! the same at every step, so a few are made and 50 are reckoned. Columns: nodes, layer sizes, seconds a call, seconds a graph of 50
//! calls, peak MiB above the process before the first call, bytes per pair of nodes, what `generate` reckons with.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::time::Instant;

use equidrift::{FamilyModel, Model, pard_graph_bytes};
use equidrift_pard::{
    Engine, Generation, KeyedDraws, NetworkConfig, PardConfig, PardModel, Unfinished, initial_parameters,
};

/// Nodes where none are named.
const NODES: [usize; 7] = [9, 20, 38, 64, 100, 200, 400];
/// Hidden, edge, layers, heads: of the embedded models, of the published comm20, of the published QM9.
const SHAPES: [[usize; 4]; 3] = [[64, 32, 6, 4], [128, 32, 6, 8], [256, 64, 8, 8]];
/// Marks the process of one figure.
const ONE: &str = "--one";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, nodes, shape] = arguments.as_slice()
        && flag == ONE
        && let (Ok(nodes), Ok(shape)) = (nodes.parse(), shape.parse::<usize>())
    {
        return one(nodes, SHAPES[shape]);
    }
    let named: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    println!("nodes  hidden/edge/layers   s/call  s/graph (50)   peak MiB  bytes/pair  reckoned MiB");
    for shape in 0..SHAPES.len() {
        for &nodes in if named.is_empty() { NODES.as_slice() } else { &named } {
            let program = std::env::current_exe().expect("the path of this programme");
            let one = Command::new(program).args([ONE, &nodes.to_string(), &shape.to_string()]).status();
            if !one.is_ok_and(|status| status.success()) {
                println!("{nodes:5}  the process ended without a figure");
            }
        }
    }
    ExitCode::SUCCESS
}

/// The embedded model's configuration for graphs of exactly this many nodes and layers of these sizes.
fn config(nodes: usize, [hidden, edge, layers, heads]: [usize; 4]) -> PardConfig {
    let model = Model::open("qm9-pard").expect("an embedded model");
    let FamilyModel::Pard(pard) = model.family() else { unreachable!("it is of family pard") };
    let embedded = pard.config().clone();
    let network =
        NetworkConfig { hidden, edge, layers, heads, block_sizes: nodes + 1, ..embedded.network.clone() };
    PardConfig { max_nodes: nodes, first_sizes: BTreeMap::from([(nodes, 1)]), network, ..embedded }
}

fn one(nodes: usize, shape: [usize; 4]) -> ExitCode {
    let config = config(nodes, shape);
    let parameters = initial_parameters(&config.network, 1).expect("a checked configuration");
    let model = PardModel::new(config.clone(), parameters).expect("its own parameters");
    let networks = model.fused_networks().expect("a checked model").expect("networks of the fused engine");
    let diffusion = config.diffusion.build().expect("a checked configuration");
    let first_sizes = config.first_size_frequencies().expect("the sizes are known");
    let calls = if nodes > 100 { 2 } else { 5 };
    let grid = config.grid.steps(config.diffusion.steps, calls);
    let generation = Generation {
        networks: Engine::Fused(&networks),
        diffusion: &diffusion,
        grid: &grid,
        first_sizes: &first_sizes,
        max_blocks: 1,
        max_nodes: nodes,
        unfinished: Unfinished::Whole,
        called: &|_| true,
    };
    let before = resident("VmRSS:");
    let start = Instant::now();
    let graphs = generation.run(1, &mut KeyedDraws { seed: 1, ids: vec![0] }, &mut |_| ());
    assert_eq!(graphs.expect("generation works")[0].graph.nodes(), nodes);
    let call = start.elapsed().as_secs_f64() / calls as f64;
    let peak = resident("VmHWM:").saturating_sub(before);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let [hidden, edge, layers, _] = shape;
    println!(
        "{nodes:5}  {:<18} {call:8.4}  {:12.2}  {:9.1}  {:10}  {:12.1}",
        format!("{hidden}/{edge}/{layers}"),
        50.0 * call,
        mib(peak),
        peak / (nodes * nodes) as u64,
        mib(pard_graph_bytes(&config.network, nodes)),
    );
    ExitCode::SUCCESS
}

/// A line of the kernel's record of this process, in bytes; 0 where there is none.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
