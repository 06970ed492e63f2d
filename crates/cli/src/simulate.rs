//! `equidrift simulate springs|charged|gravity`

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift_graph::threads::available_threads;
use equidrift_trajectory::TrajectoryError;
use equidrift_trajectory::file::NumpyWriter;
use equidrift_trajectory::nbody::{Run, STEPS_PER_FRAME, System, TIME_STEP};

use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, signal};

/// Simulate runs of bodies as GeoTDM's N-body sets have them
///
/// Masses are 1 and lengths and times have no unit. A run is 5,000 steps of 0.001, one frame kept every 100 steps: 49 frames from
/// time 0.1 on, with gravity 50 from time 0. Run k of a seed is the same whatever other runs are made and on how many threads.
#[derive(Debug, Args)]
#[command(after_help = "\
The file (.npz) has the arrays positions [runs, frames, bodies, 3], velocities (the same; of springs and charges half a step
behind), dt_fs (0.1: one unit of time per \"femtosecond\"), and what acts: charges [runs, bodies], springs [runs, bodies, bodies],
or masses [runs, bodies].

Examples:
  equidrift simulate charged --runs 3000 --seed 1 -o train.npz
  equidrift simulate charged --runs 2000 --seed 2 --frames 30 -o test.npz
  equidrift simulate gravity --runs 100 --bodies 20 -o cluster.npz
  equidrift evaluate trajectories --reference test.npz --train train.npz")]
pub(crate) struct SimulateArgs {
    /// Which forces act
    #[arg(value_enum, value_name = "FORCES")]
    forces: Forces,
    /// Number of runs
    #[arg(long, value_name = "N", default_value = "100")]
    runs: NonZero<u64>,
    /// Seed; runs of different seeds have nothing in common
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Bodies of each run [default: 5, with gravity 10]
    #[arg(long, value_name = "N")]
    bodies: Option<usize>,
    /// Frames kept of each run, from its beginning [default: all]
    #[arg(long, value_name = "N")]
    frames: Option<NonZero<usize>>,
    /// Threads; they change speed, never a number [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// Output file, .npz
    #[arg(short, long, value_name = "FILE.npz")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Forces {
    /// A random half of the pairs is joined by springs
    Springs,
    /// Charges -1 and +1
    Charged,
    /// Equal masses
    Gravity,
}

/// Runs between two looks at the stop signal, for each thread.
const RUNS_AT_ONCE: usize = 16;
/// Numbers of an array, at most: what is read again at once.
const MOST_NUMBERS: u64 = 1 << 30;

pub(crate) fn run(args: &SimulateArgs) -> CliResult {
    let usage = |error: TrajectoryError| Failure::new(Exit::Usage, error);
    if !args.output.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("npz")) {
        let message = format_args!("{}: runs are written as .npz", args.output.display()).to_string();
        return Err(Failure::message(Exit::Usage, message));
    }
    let system = match args.forces {
        Forces::Springs => System::Springs,
        Forces::Charged => System::Charged,
        Forces::Gravity => System::Gravity,
    };
    let bodies = args.bodies.unwrap_or_else(|| system.usual_bodies());
    let first = system.simulate(bodies, args.seed, 0).map_err(usage)?;
    let frames = args.frames.map_or(first.frames(), NonZero::get);
    if frames > first.frames() {
        let message = format!("a run has {} frames; --frames {frames} is too many", first.frames());
        return Err(Failure::message(Exit::Usage, message));
    }
    let runs = args.runs.get();
    let numbers = runs.saturating_mul(3 * (frames * bodies).max(bodies * bodies) as u64);
    if numbers > MOST_NUMBERS {
        let message = format!(
            "{runs} runs are {numbers} numbers in a file, at most {MOST_NUMBERS} can be read; make several"
        );
        return Err(Failure::message(Exit::Usage, message));
    }
    let threads = args.threads.map_or_else(available_threads, NonZero::get);
    let stop = signal::stop();
    let bar = progress::bar(runs, "runs");
    let mut arrays = Arrays { frames, ..Arrays::default() };
    let mut done = 0;
    while done < runs {
        if stop.asked() {
            bar.finish_and_clear();
            progress::note("stopped; nothing was written");
            return Ok(Exit::Interrupted);
        }
        let next = runs.min(done + (RUNS_AT_ONCE * threads) as u64);
        for run in system.simulate_all(bodies, args.seed, done..next, threads).map_err(usage)? {
            arrays.add(&run);
        }
        bar.inc(next - done);
        done = next;
    }
    bar.finish_and_clear();
    arrays.write(args, system, bodies).map_err(|error| Failure::new(Exit::Failure, error))?;
    let name = args.output.display();
    progress::note(&format!("{name}: {runs} runs of {frames} frames of {bodies} bodies"));
    Ok(Exit::Ok)
}

/// What goes into the file, run by run.
#[derive(Default)]
struct Arrays {
    frames: usize,
    positions: Vec<f32>,
    velocities: Vec<f32>,
    node_features: Vec<f64>,
    interactions: Vec<f64>,
}

impl Arrays {
    fn add(&mut self, run: &Run) {
        for frame in 0..self.frames {
            self.positions.extend(run.positions(frame).as_flattened().iter().map(|x| *x as f32));
            self.velocities.extend(run.velocities(frame).as_flattened().iter().map(|v| *v as f32));
        }
        self.node_features.extend_from_slice(run.node_features());
        self.interactions.extend_from_slice(run.interactions());
    }

    fn write(&self, args: &SimulateArgs, system: System, bodies: usize) -> Result<(), TrajectoryError> {
        let runs = args.runs.get() as usize;
        let shape = [runs, self.frames, bodies, 3];
        let mut file = NumpyWriter::create(&args.output)?;
        file.floats("positions", &shape, &self.positions)?;
        file.floats("velocities", &shape, &self.velocities)?;
        match system {
            System::Charged => file.doubles("charges", &[runs, bodies], &self.node_features)?,
            System::Springs => {
                let springs: Vec<u8> = self.interactions.iter().map(|spring| *spring as u8).collect();
                file.bytes("springs", &[runs, bodies, bodies], &springs)?;
            }
            _ => file.doubles("masses", &[runs, bodies], &self.node_features)?,
        }
        file.doubles("dt_fs", &[], &[STEPS_PER_FRAME as f64 * TIME_STEP])?;
        file.finish()
    }
}
