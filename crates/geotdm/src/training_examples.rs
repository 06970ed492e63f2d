//! Trajectories to train on.

use std::sync::Arc;

use equidrift_trajectory::{Trajectory, Windows};

use crate::error::GeotdmError;
use crate::system::{System, SystemGraph};

/// A system and what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingExample {
    /// The system with its given frames.
    pub system: System,
    /// Positions of the frames to be made, `[N, T, D]`: the frames of a node side by side.
    pub clean: Vec<f64>,
}

impl TrainingExample {
    /// Positions `[given + T, N, D]` of a system, frame after frame, the first `given` of them given.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if these are not whole frames, or no more than are given.
    pub fn of_frames(
        graph: Arc<SystemGraph>,
        positions: &[f64],
        dimensions: usize,
        given: usize,
    ) -> Result<Self, GeotdmError> {
        Self::between(graph, positions, dimensions, given, 0)
    }

    /// As [`TrainingExample::of_frames`], with the last `behind` of the `given` frames behind those to be made.
    ///
    /// # Errors
    /// As [`TrainingExample::of_frames`]; also if more frames are behind than given.
    pub fn between(
        graph: Arc<SystemGraph>,
        positions: &[f64],
        dimensions: usize,
        given: usize,
        behind: usize,
    ) -> Result<Self, GeotdmError> {
        let Some(before) = given.checked_sub(behind) else {
            let what = "given frames, those behind the made ones among them, at least";
            return Err(GeotdmError::Count { what, expected: behind, found: given });
        };
        let row = graph.nodes() * dimensions;
        let (found, whole) = (positions.len(), row > 0 && positions.len().is_multiple_of(row));
        if !whole || found / row <= given {
            let what = "coordinates of a trajectory, in whole frames, at least";
            return Err(GeotdmError::Count { what, expected: (given + 1) * row, found });
        }
        let frames = found / row;
        let made = frames - given;
        let side_by_side = |which: &[std::ops::Range<usize>]| {
            let point = |node: usize, frame: usize| {
                positions[frame * row + node * dimensions..][..dimensions].iter().copied()
            };
            (0..graph.nodes())
                .flat_map(|node| which.iter().cloned().flatten().flat_map(move |frame| point(node, frame)))
                .collect::<Vec<f64>>()
        };
        let around = side_by_side(&[0..before, before + made..frames]);
        let clean = side_by_side(std::slice::from_ref(&(before..before + made)));
        let system = System { graph, dimensions, frames: made, given: around, behind };
        Ok(Self { system, clean })
    }
}

/// A fixed set of examples.
pub trait TrainingExamples: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// One of them, numbered from 0.
    ///
    /// # Errors
    /// Whatever keeps it from being made.
    fn example(&self, index: usize) -> Result<TrainingExample, GeotdmError>;
}

impl TrainingExamples for Vec<TrainingExample> {
    fn count(&self) -> usize {
        self.len()
    }

    fn example(&self, index: usize) -> Result<TrainingExample, GeotdmError> {
        let what = "training examples, more than the number of one";
        let (expected, found) = (index, self.len());
        self.get(index).cloned().ok_or(GeotdmError::Count { what, expected, found })
    }
}

/// Overlapping windows of one long trajectory, cut when they are asked for.
#[derive(Debug, Clone)]
pub struct TrajectoryWindows {
    graph: Arc<SystemGraph>,
    trajectory: Trajectory,
    windows: Windows,
    starts: Vec<usize>,
    given: usize,
    behind: usize,
}

impl TrajectoryWindows {
    /// Windows that begin at these frames; the first `given` frames of each are given.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if the trajectory has other atoms than the graph, or a window reaches beyond its end.
    pub fn new(
        graph: Arc<SystemGraph>,
        trajectory: Trajectory,
        windows: Windows,
        starts: Vec<usize>,
        given: usize,
    ) -> Result<Self, GeotdmError> {
        let (expected, found) = (graph.nodes(), trajectory.atoms());
        if expected != found {
            return Err(GeotdmError::Count { what: "atoms of a trajectory", expected, found });
        }
        let reach = windows.every.max(1) * (windows.span.max(1) - 1) + 1;
        if let Some(start) = starts.iter().copied().find(|start| start + reach > trajectory.frames()) {
            let (what, found) = ("frames of a trajectory", trajectory.frames());
            return Err(GeotdmError::Count { what, expected: start + reach, found });
        }
        Ok(Self { graph, trajectory, windows, starts, given, behind: 0 })
    }

    /// With the last `behind` of the given frames behind those to be made.
    #[must_use]
    pub fn with_behind(self, behind: usize) -> Self {
        Self { behind, ..self }
    }
}

impl TrainingExamples for TrajectoryWindows {
    fn count(&self) -> usize {
        self.starts.len()
    }

    fn example(&self, index: usize) -> Result<TrainingExample, GeotdmError> {
        let Some(&start) = self.starts.get(index) else {
            let (what, found) = ("training examples, more than the number of one", self.starts.len());
            return Err(GeotdmError::Count { what, expected: index, found });
        };
        let window = self.windows.window(&self.trajectory, start);
        let positions: Vec<f64> = window.coordinates().iter().map(|&x| f64::from(x)).collect();
        TrainingExample::between(self.graph.clone(), &positions, 3, self.given, self.behind)
    }
}
