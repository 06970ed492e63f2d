//! `equidrift evaluate trajectories`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use equidrift_trajectory::baselines::Sharing;
use equidrift_trajectory::evaluation::backbone::PhiPsi;
use equidrift_trajectory::evaluation::{
    Baselines, EnsembleEvaluation, EnsembleTask, ForecastEvaluation, ForecastTask, Resampling, Stretch,
    TrainingWindows, frames_between, windows_of,
};
use equidrift_trajectory::{Part, SampleSet, Selection, TrajectoryError};
use serde::Serialize;

use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, stdout};

mod page;
mod scenes;
mod table;

/// Trajectories: forecasts beside what followed and beside baselines, or an ensemble beside a reference
#[derive(Debug, Args)]
#[command(after_help = "\
Files:
  SAMPLES        .npz with positions [S, T, N, D] (D 2 or 3) and, optionally, window [S]: the frame of the reference, from 0, at
                 which a sample begins; samples of equal window are the K samples of that window. In a reference of several runs of
                 F frames, frame t of run r has the number r F + t. Without window, the samples are in order of the windows, equally
                 many of each: those of --windows, or the one behind the first given frames of each run. Any other trajectory file
                 is one sample, or several one behind the other (--sample-frames).
  REFERENCE      a long run in any format, or runs [R, F, N, D] in an .npz, such as those of `equidrift simulate`
Forecasts (--kind forecast):
  ADE, FDE       distance to the true place, mean over atoms and predicted frames, and over atoms in the last frame; mean over
                 samples and windows, and mean over windows of the best of the K samples (of ADE and FDE separately)
  mean of samples
                 the mean of the K samples taken as one forecast: what a set of samples has to say where a point is wanted
  last velocity, linear regression
                 predictions without a network, on the same windows. The regression predicts each frame as a linear combination
                 of the given ones, with weights for each atom or one set for all, learnt from --train
  energy drift   N-body systems: largest departure of the energy from its first value, relative to that; velocities are central
                 differences of the frames, so compare with the truth's; median over windows
  \u{b1}              standard error: bootstrap over blocks of windows that share no frames
Ensembles (--kind ensemble), each beside what one half of the reference gets from the other:
  marginal       GeoTDM's score (mean difference of two densities over 50 bins), of bond lengths or, of bodies, coordinates
  bond lengths, bond angles, torsions, pair distances, torsion map
                 Jensen-Shannon divergence in bits, 0 to 1
  velocities     autocorrelation, mean difference; time at which it falls to 1/e
  torsion map    of phi and psi, or --torsions: divergence, difference of free energies, populations of the basins

Examples:
  equidrift evaluate trajectories next.npz --reference ethanol.npz --train ethanol.npz
  equidrift evaluate trajectories next.npz --reference test.npz --train train.npz --json
  equidrift evaluate trajectories next.xtc --sample-frames 20 --reference run.xtc --windows 200 --part test
  equidrift evaluate trajectories --reference ethanol.npz --every 5 --part test --train ethanol.npz
  equidrift evaluate trajectories ensemble.xtc --kind ensemble --reference alanine_dipeptide.npz --report report.html
  equidrift evaluate trajectories ensemble.npz --kind ensemble --reference md.npz --torsions 4,6,8,14:6,8,14,16")]
pub(crate) struct TrajectoriesArgs {
    /// Generated trajectories; without them the baselines alone are judged
    #[arg(value_name = "SAMPLES")]
    samples: Option<PathBuf>,
    /// What they are compared with
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// What the samples are
    #[arg(long, value_enum, default_value = "forecast")]
    kind: Kind,
    /// Frames given to the model before those it predicted
    #[arg(long, value_name = "N", default_value_t = 10)]
    condition_frames: usize,
    /// Frames given to a model that fills gaps behind those it made
    #[arg(long, value_name = "N", default_value_t = 0)]
    condition_frames_behind: usize,
    /// SAMPLES hold the given frames, too (`generate trajectories --with-given`)
    #[arg(long, requires = "samples")]
    samples_with_given: bool,
    /// Frames to predict, where there are no SAMPLES
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "samples")]
    frames: usize,
    /// Cut SAMPLES into samples of so many frames
    #[arg(long, value_name = "N", requires = "samples")]
    sample_frames: Option<usize>,
    /// Frames of the reference from one frame of a window to the next [default: as the files' time steps say, or 1]
    #[arg(long, value_name = "N")]
    every: Option<usize>,
    /// So many windows of a long reference, at even spacing, where SAMPLES do not say which [default, without SAMPLES: 1000, or one
    /// of every run]
    #[arg(long, value_name = "N")]
    windows: Option<usize>,
    /// The part of a long reference, by time, in which these windows lie [default: all]
    #[arg(long, value_enum)]
    part: Option<PartName>,
    /// What the regression learns from
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// The part of a long training run [default: train if it is the reference, else all]
    #[arg(long, value_enum, requires = "train")]
    train_part: Option<TrainPart>,
    /// The regression learns from so many windows, at even spacing
    #[arg(long, value_name = "N", default_value_t = 5000, requires = "train")]
    train_windows: usize,
    /// Who has weights of its own in the regression [default: atoms of molecules; bodies share them]
    #[arg(long, value_enum, requires = "train")]
    regression: Option<Regression>,
    /// Which atoms count: all, heavy, `element C,N`, `index 0-8,12`, `name CA,CB`
    #[arg(long, value_name = "SELECTION", default_value = "all")]
    select: Selection,
    /// Two torsions to be mapped, atoms from 0 [default: phi and psi, if there is one such pair]
    #[arg(long, value_name = "A,B,C,D:E,F,G,H", value_parser = two_torsions)]
    torsions: Option<PhiPsi>,
    /// For free energies, kelvin
    #[arg(long, value_name = "K", default_value_t = 300.0)]
    temperature: f64,
    /// Longest lag of autocorrelations, in frames
    #[arg(long, value_name = "N", default_value_t = 100)]
    lags: usize,
    /// Replicates of the bootstrap behind the standard errors; 0 for none
    #[arg(long, value_name = "N", default_value_t = 200)]
    bootstrap: usize,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a page with everything, charts and motions to look at: one self-contained .html
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// The figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// What may follow given frames
    Forecast,
    /// Draws from the distribution of the reference
    Ensemble,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PartName {
    /// The first 60 % of the frames
    Train,
    /// The next 20 %
    Validation,
    /// The last 20 %
    Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TrainPart {
    /// The first 60 % of the frames
    Train,
    /// All of them
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Regression {
    /// Each atom has weights of its own
    PerAtom,
    /// All have the same
    Shared,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Evaluation {
    kind: Kind,
    samples: Option<PathBuf>,
    reference: PathBuf,
    train: Option<PathBuf>,
    /// Of the standard errors.
    bootstrap: Resampling,
    forecast: Option<ForecastEvaluation>,
    ensemble: Option<EnsembleEvaluation>,
}

pub(super) fn run(args: &TrajectoriesArgs) -> CliResult {
    let read = |path: &Path| SampleSet::read(path, &args.select).map_err(failure);
    let samples = args.samples.as_deref().map(read).transpose()?;
    let samples = match (samples, args.sample_frames) {
        (Some(samples), Some(frames)) => Some(samples.cut_every(frames).map_err(failure)?),
        (samples, _) => samples,
    };
    let reference = read(&args.reference)?;
    let every = match &samples {
        Some(samples) => frames_between(samples, &reference, args.every).map_err(failure)?,
        None => args.every.unwrap_or(1).max(1),
    };
    let samples = match samples {
        Some(samples) if args.samples_with_given => {
            let (before, behind) = (args.condition_frames, args.condition_frames_behind);
            Some(samples.without_given(before, behind, every).map_err(failure)?)
        }
        samples => samples,
    };
    let mut evaluation = Evaluation {
        kind: args.kind,
        samples: args.samples.clone(),
        reference: args.reference.clone(),
        train: args.train.clone().filter(|_| args.kind == Kind::Forecast),
        bootstrap: Resampling { replicates: args.bootstrap, seed: args.seed },
        forecast: None,
        ensemble: None,
    };
    match (args.kind, &samples) {
        (Kind::Forecast, samples) => {
            evaluation.forecast = Some(forecast(args, samples.as_ref(), &reference, every)?);
        }
        (Kind::Ensemble, Some(samples)) => {
            if !(args.temperature.is_finite() && args.temperature > 0.0) {
                return Err(Failure::message(Exit::Usage, "--temperature must be more than 0"));
            }
            let (lags, temperature) = (args.lags, args.temperature);
            let task = EnsembleTask { every, lags, torsions: args.torsions, temperature };
            evaluation.ensemble = Some(task.evaluate(samples, &reference).map_err(failure)?);
        }
        (Kind::Ensemble, None) => {
            return Err(Failure::message(Exit::Usage, "which SAMPLES are to be judged?"));
        }
    }
    if let Some(path) = &args.report {
        page::page(&evaluation, samples.as_ref(), &reference, every).write(path)?;
    }
    if args.json { stdout::json(&evaluation) } else { stdout::text(&table::table(&evaluation)) }
}

fn forecast(
    args: &TrajectoriesArgs,
    samples: Option<&SampleSet>,
    reference: &SampleSet,
    every: usize,
) -> Result<ForecastEvaluation, Failure> {
    let predicted = samples.map_or(args.frames, SampleSet::frames);
    let (given, behind) = (args.condition_frames, args.condition_frames_behind);
    let stretch = Stretch { given, predicted, behind, every };
    let resampling = Resampling { replicates: args.bootstrap, seed: args.seed };
    let task = ForecastTask { stretch, resampling };
    let part = args.part.map(Part::from);
    // Of several runs, which share no frames, every one is a window.
    let usual = if reference.samples() > 1 { usize::MAX } else { 1000 };
    let chosen = args.windows.or((args.part.is_some() || samples.is_none()).then_some(usual));
    let places =
        chosen.map(|most| windows_of(reference, stretch, part, most)).transpose().map_err(failure)?;
    let members = match samples {
        Some(samples) => task.members(samples, reference, places.as_deref()).map_err(failure)?,
        None => places
            .into_iter()
            .flatten()
            .map(|place| equidrift_trajectory::evaluation::forecast::Member { place, samples: Vec::new() })
            .collect(),
    };
    let sharing = match args.regression {
        Some(Regression::PerAtom) => Sharing::PerAtom,
        Some(Regression::Shared) => Sharing::Shared,
        None if reference.is_molecule() => Sharing::PerAtom,
        None => Sharing::Shared,
    };
    let Some(path) = &args.train else {
        let baselines = Baselines { training: None, sharing };
        return task.evaluate(samples, reference, members, baselines).map_err(failure);
    };
    let same_file = path == &args.reference
        || path.canonicalize().ok().is_some_and(|path| args.reference.canonicalize().ok() == Some(path));
    let set = SampleSet::read(path, &args.select).map_err(failure)?;
    equidrift_trajectory::evaluation::forecast::same_system(&set, reference).map_err(failure)?;
    let part = match args.train_part {
        Some(TrainPart::Train) => Some(Part::Train),
        Some(TrainPart::All) => None,
        None => (same_file && set.samples() == 1).then_some(Part::Train),
    };
    // The regression must see frames as far apart as those of the windows.
    let every = match (samples, reference.time_step(), set.time_step()) {
        (Some(samples), _, Some(_)) if samples.time_step().is_some() => {
            frames_between(samples, &set, None).map_err(failure)?
        }
        (_, Some(step), Some(of_training)) => ((step * every as f64 / of_training).round() as usize).max(1),
        _ => every,
    };
    let of_training = Stretch { every, ..stretch };
    let places = windows_of(&set, of_training, part, args.train_windows).map_err(failure)?;
    let last = places.last().map_or(0, |place| place.frame + (predicted.max(1) - 1) * every);
    let seen = |place: equidrift_trajectory::evaluation::Place| {
        set.samples() > 1 || place.frame.saturating_sub(stretch.given * stretch.every) <= last
    };
    if same_file && members.iter().any(|member| seen(member.place)) {
        progress::note(
            "warning: the regression learns from frames that it is judged by; see --part and --train-part",
        );
    }
    let training = Some(TrainingWindows { set: &set, places: &places, every });
    task.evaluate(samples, reference, members, Baselines { training, sharing }).map_err(failure)
}

impl From<PartName> for Part {
    fn from(name: PartName) -> Self {
        match name {
            PartName::Train => Self::Train,
            PartName::Validation => Self::Validation,
            PartName::Test => Self::Test,
        }
    }
}

/// `A,B,C,D:E,F,G,H`
fn two_torsions(text: &str) -> Result<PhiPsi, String> {
    let torsion = |text: &str| -> Option<[usize; 4]> {
        let atoms: Vec<usize> =
            text.split(',').map(|atom| atom.trim().parse().ok()).collect::<Option<_>>()?;
        let distinct = (0..atoms.len()).all(|k| !atoms[..k].contains(&atoms[k]));
        atoms.try_into().ok().filter(|_| distinct)
    };
    text.split_once(':')
        .and_then(|(first, second)| Some([torsion(first)?, torsion(second)?]))
        .ok_or_else(|| "expected two times four different atoms, such as 4,6,8,14:6,8,14,16".to_owned())
}

fn failure(error: TrajectoryError) -> Failure {
    let exit = match error {
        TrajectoryError::UnknownFormat { .. }
        | TrajectoryError::Selection { .. }
        | TrajectoryError::NoSuchAtom { .. } => Exit::Usage,
        TrajectoryError::Unfit { .. } => Exit::Mismatch,
        _ => Exit::BadInput,
    };
    Failure::new(exit, error)
}
