//! Starting windows: the frames that are given, of what, and what followed them.

use std::path::Path;
use std::sync::Arc;

use equidrift_geotdm::{GeotdmConfig, System, SystemGraph, SystemKind, TrainingExample};
use equidrift_trajectory::pedestrians::SPAN;
use equidrift_trajectory::{Cell, Frame, Handedness, Part, Topology, Trajectory, nbody};

use super::request::TrajectoryRequest;
use super::source::{MolecularRun, Systems};
use crate::error::Error;

/// Steps that differ by less than this share are the same.
const SAME_STEP: f64 = 0.01;

/// A starting window.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) system: System,
    /// Time of the last given frame, femtoseconds.
    time: Option<f64>,
    cell: Option<Cell>,
    /// The frame of the source that is the first to be made, from 0, and how many frames of the source are from one made frame
    /// to the next; `None` where frames are not numbered.
    place: Option<(u64, u64)>,
    /// What followed, `[T, N, D]`; empty where it is not known.
    pub(crate) truth: Vec<f64>,
}

/// All starting windows of a run.
#[derive(Debug, Clone)]
pub(crate) struct Starts {
    pub(crate) windows: Vec<Start>,
    /// Of the atoms that are written.
    pub(crate) topology: Topology,
    /// Femtoseconds from frame to frame.
    step: Option<f64>,
    /// That of the molecule in the source, where no frames are given that would tell it.
    handedness: Handedness,
}

/// Frames kept of one call of the model, and frames in all.
pub(crate) fn forecast_frames(
    request: &TrajectoryRequest,
    config: &GeotdmConfig,
) -> Result<(usize, usize), Error> {
    let refuse = |field, reason| Err(Error::Request { field, reason });
    let kept = request.frames.unwrap_or(config.frames);
    if kept > config.frames {
        return refuse(
            "frames",
            "the model makes fewer at once; a longer `horizon` goes on from what it made",
        );
    }
    let horizon = request.horizon.unwrap_or(kept);
    if config.given_behind > 0 && (horizon != config.frames || kept != config.frames) {
        return refuse("frames", "the model fills gaps of as many frames as it was trained on");
    }
    if !request.known_frames.is_empty() {
        if config.network.prior.is_conditional() {
            return refuse(
                "known_frames",
                "the model is given frames before those it makes; only an unconditional one is guided",
            );
        }
        if horizon != config.frames || kept != config.frames {
            return refuse("known_frames", "guided samples have all frames of the model");
        }
        if request.known_frames.iter().any(|&frame| frame >= config.frames) {
            return refuse("known_frames", "one is behind the last frame that the model makes");
        }
    }
    if horizon > kept && !config.network.prior.is_conditional() {
        return refuse("horizon", "an unconditional model cannot go on from given frames");
    }
    if horizon > kept && matches!(config.system_kind(), Some(SystemKind::Pedestrians { .. })) {
        return refuse("horizon", "the features of walkers belong to one window of 8 and 12 frames");
    }
    Ok((kept, horizon))
}

impl Starts {
    /// The windows of `systems`, which were read for the model.
    pub(crate) fn new(
        systems: &Systems,
        request: &TrajectoryRequest,
        config: &GeotdmConfig,
    ) -> Result<Self, Error> {
        let (_, horizon) = forecast_frames(request, config)?;
        let behind = config.given_behind;
        let frames = Frames { before: config.given_frames - behind, behind, made: config.frames, horizon };
        if request.gap_behind.is_some() && (behind == 0 || !matches!(systems, Systems::Molecules(_))) {
            let reason = "only models that fill gaps in files have one (train trajectories --frames-behind)";
            return Err(Error::Request { field: "gap_behind", reason });
        }
        match systems {
            Systems::Molecules(runs) => of_molecules(runs, request, config, frames),
            Systems::Bodies(runs) => of_bodies(runs, request, frames),
            Systems::Walkers(recordings) => {
                let most = match config.system_kind() {
                    Some(SystemKind::Pedestrians { most }) => most,
                    _ => 1,
                };
                let mut windows = Vec::new();
                for (path, recording) in recordings {
                    let all = recording.windows(recording.range());
                    let tracks =
                        all.iter().flat_map(|window| (0..window.tracks.len()).map(move |k| (window, k)));
                    let tracks: Vec<_> = tracks.collect();
                    if tracks.is_empty() {
                        let found = (recording.range().end - recording.range().start) as usize;
                        return Err(Error::TooFewFrames { path: path.clone(), needed: SPAN, found });
                    }
                    let chosen = evenly(0, tracks.len(), request.windows.unwrap_or(tracks.len()));
                    for (window, target) in chosen.into_iter().map(|place| tracks[place]) {
                        let group = window.group(target, most);
                        let graph = Arc::new(SystemGraph::of_pedestrians(&group)?);
                        let positions: Vec<f64> = (0..SPAN)
                            .flat_map(|t| group.iter().flat_map(move |track| track[t].map(f64::from)))
                            .collect();
                        windows.push(frames.start(graph, &positions, 2, None, None)?);
                    }
                }
                // Only the walker who is asked about is written.
                Ok(Self {
                    windows,
                    topology: Topology::unknown(1),
                    step: None,
                    handedness: Handedness::default(),
                })
            }
        }
    }

    /// Time and cell of made frame `frame` behind window `window`; given frames have negative numbers.
    pub(crate) fn moment(&self, window: usize, frame: i64) -> (Option<f64>, Option<Cell>) {
        let start = &self.windows[window];
        let time = match (start.time, self.step) {
            (Some(time), Some(step)) => Some(time + (frame + 1) as f64 * step),
            // Nothing was given: times begin at 0.
            (None, Some(step)) if start.system.given.is_empty() => Some(frame as f64 * step),
            _ => None,
        };
        (time, start.cell)
    }

    /// Positions in space of frame `t` of values `[N, T, D]`, for the atoms that are written.
    pub(crate) fn frame(&self, values: &[f64], dimensions: usize, frames: usize, t: usize) -> Vec<[f32; 3]> {
        let point = |node: usize| {
            let place = (node * frames + t) * dimensions;
            let mut point = [0.0; 3];
            for (to, from) in point.iter_mut().zip(&values[place..place + dimensions]) {
                *to = *from as f32;
            }
            point
        };
        (0..self.topology.atoms()).map(point).collect()
    }

    /// Mirrors the frames `[T, N]` of a made trajectory if its molecule is of the other hand than that of the source. The model
    /// gives both the same probability.
    pub(crate) fn with_handedness_of_source(&self, mut frames: Vec<Vec<[f32; 3]>>) -> Vec<Vec<[f32; 3]>> {
        if self.handedness.is_mirrored(&frames) {
            frames.iter_mut().flatten().for_each(|[x, ..]| *x = -*x);
        }
        frames
    }

    /// The frame of the source that stands where made frame `frame` behind window `window` does.
    pub(crate) fn place(&self, window: usize, frame: i64) -> Option<u64> {
        let (first, every) = self.windows[window].place?;
        first.checked_add_signed(frame * every as i64)
    }

    /// Whether it is known of every window what is to be made.
    pub(crate) fn is_truth_known(&self) -> bool {
        self.windows.iter().all(|start| !start.truth.is_empty())
    }

    /// The true frames of a window, with the given ones around them if they are wanted.
    pub(crate) fn truth(&self, window: usize, with_given: bool) -> Vec<Frame> {
        let Start { system, truth, .. } = &self.windows[window];
        let (dimensions, given) = (system.dimensions, system.given_frames());
        let of_given = |t: usize| self.frame(&system.given, dimensions, given, t);
        let (before, behind) =
            if with_given { (0..system.before(), system.before()..given) } else { (0..0, 0..0) };
        let first = -(before.len() as i64);
        let made = truth.chunks_exact(system.graph.nodes() * dimensions);
        let made = made.map(|frame| self.frame(frame, dimensions, 1, 0));
        let positions = before.map(of_given).chain(made).chain(behind.map(of_given));
        positions
            .enumerate()
            .map(|(t, positions)| {
                let (time, cell) = self.moment(window, first + t as i64);
                Frame { time, cell, positions }
            })
            .collect()
    }
}

/// How many frames there are of what.
#[derive(Debug, Clone, Copy)]
struct Frames {
    /// Given ones before the made ones.
    before: usize,
    /// Given ones behind them.
    behind: usize,
    /// By one call of the model.
    made: usize,
    horizon: usize,
}

impl Frames {
    /// Frames of a window whose made frames are known.
    fn span(self) -> usize {
        self.before + self.horizon + self.behind
    }

    /// A window of `positions` in order of time, `[before + T + behind, N, D]`, where T is `horizon`, or 0 if the frames to be made
    /// are not known.
    fn start(
        self,
        graph: Arc<SystemGraph>,
        positions: &[f64],
        dimensions: usize,
        at: Option<(f64, Option<Cell>)>,
        place: Option<(u64, u64)>,
    ) -> Result<Start, Error> {
        let row = graph.nodes() * dimensions;
        let (before, rest) = positions.split_at(self.before * row);
        let (truth, behind) = rest.split_at(rest.len() - self.behind * row);
        let truth = truth[..truth.len().min(self.horizon * row)].to_vec();
        // The one between is not looked at.
        let padded = [before, &vec![0.0; row], behind].concat();
        let given = self.before + self.behind;
        let system = TrainingExample::between(graph, &padded, dimensions, given, self.behind)?.system;
        let system = System { frames: self.made, ..system };
        let (time, cell) = at.map_or((None, None), |(time, cell)| (Some(time), cell));
        Ok(Start {
            system,
            time,
            cell,
            place,
            truth: if truth.len() == self.horizon * row { truth } else { Vec::new() },
        })
    }
}

/// `count` numbers at even spacing from `from` on, below `to`; fewer where there are not so many.
fn evenly(from: usize, to: usize, count: usize) -> Vec<usize> {
    let available = to.saturating_sub(from);
    let count = count.min(available);
    let stride = available.checked_div(count).unwrap_or(0);
    (0..count).map(|place| from + place * stride).collect()
}

fn of_bodies(runs: &[nbody::Run], request: &TrajectoryRequest, frames: Frames) -> Result<Starts, Error> {
    if request.windows.is_some() {
        let reason = "every simulated run is one window, at its beginning; say how many runs";
        return Err(Error::Request { field: "windows", reason });
    }
    let every = request.every.unwrap_or(1);
    let bodies = runs.first().map_or(0, nbody::Run::bodies);
    let mut windows = Vec::with_capacity(runs.len());
    let mut step = None;
    for (number, run) in runs.iter().enumerate() {
        let kept = run.frames().div_ceil(every);
        let needed = if frames.behind > 0 { frames.span() } else { frames.before };
        if kept < needed {
            let path = Path::new("simulation").to_owned();
            return Err(Error::TooFewFrames { path, needed, found: kept });
        }
        let last = frames.span().min(kept);
        let positions: Vec<f64> =
            (0..last).flat_map(|t| run.positions(t * every).as_flattened().to_vec()).collect();
        let times = run.trajectory();
        step = times.time_step().map(|step| step * every as f64);
        let given = frames.before.checked_sub(1).and_then(|t| Some((*times.times().get(t * every)?, None)));
        let first = number * run.frames() + frames.before * every;
        let place = Some((first as u64, every as u64));
        windows.push(frames.start(Arc::new(SystemGraph::of_bodies(run)?), &positions, 3, given, place)?);
    }
    Ok(Starts { windows, topology: Topology::unknown(bodies), step, handedness: Handedness::default() })
}

fn of_molecules(
    runs: &[MolecularRun],
    request: &TrajectoryRequest,
    config: &GeotdmConfig,
    frames: Frames,
) -> Result<Starts, Error> {
    let mut windows = Vec::new();
    let topology = runs.first().map(|run| run.trajectory.topology().clone()).unwrap_or_default();
    let mut steps = Vec::new();
    // Frames of several files have no common numbers.
    let only = runs.len() == 1;
    for run in runs {
        if run.trajectory.topology() != &topology {
            return Err(Error::OtherMolecule { path: run.path.clone() });
        }
        let file_step = run.trajectory.time_step();
        let every = match request.every {
            Some(every) => every,
            None => fitting_stride(file_step, config.time_step, &run.path)?,
        };
        steps.push(file_step.map(|step| step * every as f64).or(config.time_step));
        let thin = run.trajectory.strided(every);
        let (kept, given) = (thin.frames(), frames.before);
        let guided = !request.known_frames.is_empty();
        let needed = match request.windows {
            None if !guided => given + frames.behind,
            _ => frames.span(),
        };
        let (from, to) = match request.part {
            None => (0, kept),
            Some(Part::Train) => (0, kept * 3 / 5),
            Some(Part::Validation) => (kept * 3 / 5, kept * 4 / 5),
            Some(Part::Test) => (kept * 4 / 5, kept),
        };
        if to - from < needed.max(1) {
            return Err(Error::TooFewFrames { path: run.path.clone(), needed, found: to - from });
        }
        let starts = match request.windows {
            // Nothing is given to an unconditional model: one window stands for the molecule.
            None if given == 0 => vec![0],
            None if frames.behind > 0 => {
                let Some(last) = request.gap_behind else {
                    let reason =
                        "the model fills gaps: say behind which frame of the file one is, or ask for windows";
                    return Err(Error::Request { field: "gap_behind", reason });
                };
                // Frames as far apart as the model's, up to the gap and from its end on.
                let reach = |count: usize| (count - 1).saturating_mul(every).saturating_add(1);
                let behind = last.saturating_add(1);
                let end = behind.saturating_add(reach(frames.behind));
                let found = run.trajectory.frames();
                let Some(first) = behind.checked_sub(reach(given)).filter(|_| end <= found) else {
                    let needed = end.max(reach(given));
                    return Err(Error::TooFewFrames { path: run.path.clone(), needed, found });
                };
                let places = (first..behind).step_by(every).chain((behind..end).step_by(every));
                let window = run.trajectory.of_frames(places);
                windows.push(molecular_start(run, &window, (0, needed), frames, None)?);
                continue;
            }
            None => {
                // The last frame of the file is given, whatever the thinning begins with.
                let last = run.trajectory.frames() - 1;
                let first = last.checked_sub((given - 1) * every);
                let Some(first) = first else {
                    return Err(Error::TooFewFrames { path: run.path.clone(), needed, found: kept });
                };
                let window = run.trajectory.window(first, last + 1).strided(every);
                let place = only.then_some(((last + every) as u64, every as u64));
                windows.push(molecular_start(run, &window, (0, given), frames, place)?);
                continue;
            }
            Some(count) => evenly(from, to + 1 - needed, count),
        };
        for start in starts {
            // Of an ensemble nothing is a forecast of the file.
            let place =
                (only && (given > 0 || guided)).then_some((((start + given) * every) as u64, every as u64));
            windows.push(molecular_start(run, &thin, (start, needed), frames, place)?);
        }
    }
    let step =
        steps.first().copied().flatten().filter(|first| steps.iter().all(|step| *step == Some(*first)));
    let handedness = match runs.first() {
        // Known frames have the hand already.
        Some(run) if frames.before == 0 && run.trajectory.frames() > 0 && request.known_frames.is_empty() => {
            Handedness::of(&topology, run.trajectory.frame(0))
        }
        _ => Handedness::default(),
    };
    Ok(Starts { windows, topology, step, handedness })
}

fn molecular_start(
    run: &MolecularRun,
    trajectory: &Trajectory,
    (start, length): (usize, usize),
    frames: Frames,
    place: Option<(u64, u64)>,
) -> Result<Start, Error> {
    let positions: Vec<f64> = (start..start + length)
        .flat_map(|t| trajectory.frame(t).as_flattened().iter().map(|&x| f64::from(x)))
        .collect();
    let last = (start + frames.before).checked_sub(1).filter(|_| frames.before > 0);
    let at =
        last.and_then(|last| Some((*trajectory.times().get(last)?, trajectory.cells().get(last).copied())));
    frames.start(run.graph.clone(), &positions, 3, at, place)
}

/// Every how many frames of a file are as far apart as those the model was trained on.
fn fitting_stride(file: Option<f64>, model: Option<f64>, path: &Path) -> Result<usize, Error> {
    let (Some(file), Some(model)) = (file, model) else { return Ok(1) };
    let stride = (model / file).round().max(1.0);
    if (stride * file - model).abs() <= SAME_STEP * model {
        return Ok(stride as usize);
    }
    Err(Error::TimeStep { path: path.to_owned(), file, model })
}
