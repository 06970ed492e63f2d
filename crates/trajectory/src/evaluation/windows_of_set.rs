//! Places of windows in the runs of a file.

use serde::{Deserialize, Serialize};

use crate::error::TrajectoryError;
use crate::sample_set::SampleSet;
use crate::trajectory::Trajectory;
use crate::windows::{Part, Windows};

/// Where the first predicted frame of a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Which run of the file, from 0.
    pub run: usize,
    /// Its frame there, from 0.
    pub frame: usize,
}

/// How many frames a window has and how far they are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Frames given before the predicted ones.
    pub given: usize,
    /// Frames predicted.
    pub predicted: usize,
    /// Frames given behind the predicted ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub behind: usize,
    /// Frames of the file from one frame of the window to the next.
    pub every: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Stretch {
    /// Frames of the window.
    #[must_use]
    pub fn frames(self) -> usize {
        self.given + self.predicted + self.behind
    }

    /// For people: `10 frames given, 20 predicted`.
    #[must_use]
    pub fn in_words(self) -> String {
        let Self { given, predicted, behind, .. } = self;
        match behind {
            0 => format!("{given} frames given, {predicted} predicted"),
            _ => format!("{given} frames given before and {behind} behind {predicted} predicted"),
        }
    }

    /// Frames of the file from the first to the last of a window, both counted.
    #[must_use]
    pub fn span(self) -> usize {
        self.frames().saturating_sub(1) * self.every.max(1) + 1
    }

    /// The place that a frame's number in the whole file means: runs stand one behind the other.
    ///
    /// # Errors
    /// [`TrajectoryError::Unfit`] if the window does not lie within a run.
    pub fn place(self, reference: &SampleSet, number: u64) -> Result<Place, TrajectoryError> {
        let frames = reference.frames();
        let place =
            usize::try_from(number).ok().map(|number| Place { run: number / frames, frame: number % frames });
        let every = self.every.max(1);
        place
            .filter(|place| {
                place.run < reference.samples()
                    && place.frame >= self.given * every
                    && place.frame + (self.predicted + self.behind).saturating_sub(1) * every < frames
            })
            .ok_or_else(|| TrajectoryError::Unfit {
                reason: format!(
                    "a window of {} given and {} predicted frames and {} behind them, every {every} of the file, cannot begin its prediction at \
                     frame {number}: {} has {} runs of {frames} frames",
                    self.given,
                    self.predicted,
                    self.behind,
                    reference.path().display(),
                    reference.samples()
                ),
            })
    }

    /// Given frames, those before the predicted ones first, and predicted ones of a window that lies within its run.
    pub(super) fn cut(self, reference: &SampleSet, place: Place) -> (Vec<[f32; 3]>, Vec<[f32; 3]>) {
        let every = self.every.max(1);
        let run = &reference.trajectories()[place.run];
        let frames = |first: usize, count: usize| -> Vec<[f32; 3]> {
            (0..count).flat_map(|k| run.frame(first + k * every)).copied().collect()
        };
        let mut given = frames(place.frame - self.given * every, self.given);
        given.extend(frames(place.frame + self.predicted * every, self.behind));
        (given, frames(place.frame, self.predicted))
    }
}

/// Windows of a file, evenly spaced, at most `most`: of one long run (`part` of it, by time) as GeoTDM cuts them; of several
/// runs one each, at their beginning, as GeoTDM does with simulated systems.
///
/// # Errors
/// [`TrajectoryError::TooFew`] if the runs are too short for a window; [`TrajectoryError::Unfit`] for a part of several runs.
pub fn windows_of(
    set: &SampleSet,
    stretch: Stretch,
    part: Option<Part>,
    most: usize,
) -> Result<Vec<Place>, TrajectoryError> {
    let every = stretch.every.max(1);
    let before = stretch.given * every;
    if part.is_some() && set.samples() > 1 {
        let reason = format!("{} has several runs; a part by time is of one long run", set.path().display());
        return Err(TrajectoryError::Unfit { reason });
    }
    let places: Vec<Place> = if set.samples() > 1 {
        let fits = set.frames() >= stretch.span();
        (0..set.samples().min(most)).filter(|_| fits).map(|run| Place { run, frame: before }).collect()
    } else {
        let windows = Windows { every, span: stretch.frames(), most };
        let starts = match part {
            Some(part) => windows.starts(set.frames(), part),
            None => windows.starts_within(0, set.frames().div_ceil(every)),
        };
        starts.into_iter().map(|start| Place { run: 0, frame: start + before }).collect()
    };
    if places.is_empty() {
        let needed = stretch.span();
        let (what, points) = ("a window", "frames of the run (or of its part)");
        return Err(TrajectoryError::TooFew { what, points, needed, found: set.frames() });
    }
    Ok(places)
}

/// Only every so many frames of each run.
pub(super) fn thinned(set: &SampleSet, every: usize) -> Vec<Trajectory> {
    set.trajectories().iter().map(|run| run.strided(every)).collect()
}

/// How many frames of the reference lie between two frames of the samples: as asked for, or as the files' time steps say, or 1.
///
/// # Errors
/// [`TrajectoryError::Unfit`] if the samples' step is no multiple of the reference's, or not that asked for.
pub fn frames_between(
    samples: &SampleSet,
    reference: &SampleSet,
    asked: Option<usize>,
) -> Result<usize, TrajectoryError> {
    let (Some(step), Some(reference)) = (samples.time_step(), reference.time_step()) else {
        return Ok(asked.unwrap_or(1).max(1));
    };
    let ratio = step / reference;
    let every = ratio.round();
    // Times may come from single precision.
    let whole = every >= 1.0 && (ratio - every).abs() <= 1e-4 * every;
    if whole && asked.is_none_or(|asked| asked == every as usize) {
        return Ok(every as usize);
    }
    let asked = asked.map(|asked| format!(", every {asked} frames of it asked for")).unwrap_or_default();
    let reason = format!("{step} fs from frame to frame, {reference} fs in the reference{asked}");
    Err(TrajectoryError::Unfit { reason })
}
