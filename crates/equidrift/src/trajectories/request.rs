//! What is asked of a run of trajectories beside what every run is asked.

use equidrift_trajectory::Part;
use serde::{Deserialize, Serialize};

use super::source::TrajectorySource;
use crate::error::Error;

/// The part of a [`GenerateRequest`](crate::GenerateRequest) that is about trajectories; its `num` is then the number of
/// samples for each starting window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrajectoryRequest {
    /// What is continued; for an unconditional model, what its trajectories are of, or nothing if it brings its own molecule.
    pub source: TrajectorySource,
    /// Look only at every so many frames of the files; none means as many as fit the model's time step, where both are known,
    /// else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<usize>,
    /// Starting windows at even spacing in `part` of each run, in place of the last frames; of walkers, so many tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<usize>,
    /// Where those windows lie with all that is to follow them; none means anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// For models that fill gaps: the number of the frame of each file, from 0, behind which frames are missing; the next frame of
    /// the file follows the gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_behind: Option<usize>,
    /// Of an unconditional model: frames of each window, numbered from 0 among those the model makes, that are known; samples are
    /// pulled to them by the model itself (self-guidance). Empty: nothing is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_frames: Vec<usize>,
    /// How strongly; none means [`GUIDANCE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// Frames that are kept of those the model makes at once; none means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Frames in all: when more than `frames`, the model goes on from the frames it made last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub horizon: Option<usize>,
    /// Whether the given frames stand in front of the made ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub with_given: bool,
    /// Digest of the source; filled in when it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
    /// Number of starting windows; filled in when the source is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<u64>,
}

/// How strongly samples are pulled to known frames.
pub const GUIDANCE: f64 = 1.0;

impl TrajectoryRequest {
    /// Refuses what no run can do, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !self.source.is_unnamed() {
            self.source.check()?;
        }
        let refuse = |field, reason| Err(Error::Request { field, reason });
        match self {
            Self { every: Some(0), .. } => refuse("every", "every first frame at least"),
            Self { windows: Some(0), .. } => refuse("windows", "at least one window"),
            Self { frames: Some(0), .. } => refuse("frames", "at least one frame"),
            Self { horizon: Some(0), .. } => refuse("horizon", "at least one frame"),
            Self { gap_behind: Some(_), windows: Some(_), .. } => {
                refuse("gap_behind", "windows have gaps of their own; ask for one or the other")
            }
            Self { known_frames, guidance: Some(_), .. } if known_frames.is_empty() => {
                refuse("guidance", "guidance is to known frames; say which")
            }
            Self { guidance: Some(scale), .. } if !(scale.is_finite() && *scale > 0.0) => {
                refuse("guidance", "a positive number")
            }
            Self { known_frames, .. } if !known_frames.is_empty() && self.source.files.is_empty() => {
                refuse("known_frames", "name the file whose frames are known")
            }
            Self { part: Some(_), windows: None, .. } => {
                refuse("part", "the last frames are one window; ask for a number of windows")
            }
            _ => Ok(()),
        }
    }

    /// Without what says only where the source lies.
    pub(crate) fn neutral(&self) -> Self {
        let mut neutral = self.clone();
        if self.source_sha256.is_some() {
            neutral.source.files = Vec::new();
            neutral.source.topology = None;
        }
        neutral
    }
}
