//! Windows of a long trajectory, as GeoTDM cuts them: thin the frames, cut by time into 60 % for training, 20 % for
//! validation and 20 % for testing, then take windows at even spacing. No window reaches over a cut.

use serde::{Deserialize, Serialize};

use crate::trajectory::Trajectory;

/// A part of a run, by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The first 60 %.
    Train,
    /// The next 20 %.
    Validation,
    /// The last 20 %.
    Test,
}

/// How windows are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Only every so many frames of the file are looked at.
    pub every: usize,
    /// Frames of a window, given and predicted together.
    pub span: usize,
    /// No more windows than this.
    pub most: usize,
}

impl Windows {
    /// The published cut: 30 frames, at most 5,000 windows for training, 256 for validation and 1,000 for testing.
    #[must_use]
    pub fn published(part: Part, every: usize) -> Self {
        let most = match part {
            Part::Train => 5000,
            Part::Validation => 256,
            Part::Test => 1000,
        };
        Self { every, span: 30, most }
    }

    /// The first frame, in the file's numbering, of each window of a file of `frames` frames. Frame `k` of a window is
    /// `every * k` behind it.
    #[must_use]
    pub fn starts(&self, frames: usize, part: Part) -> Vec<usize> {
        let every = self.every.max(1);
        let kept = frames.div_ceil(every);
        // Whole numbers: 0.6 · kept in floating point may fall just below one.
        let (train, validation) = (kept * 3 / 5, kept * 4 / 5);
        let (from, to) = match part {
            Part::Train => (0, train),
            Part::Validation => (train, validation),
            Part::Test => (validation, kept),
        };
        self.starts_within(from, to)
    }

    /// The same for windows within `from..to`, in frames kept (every `every`-th of the file).
    #[must_use]
    pub fn starts_within(&self, from: usize, to: usize) -> Vec<usize> {
        let available = (to.saturating_sub(from) + 1).saturating_sub(self.span.max(1));
        let count = self.most.min(available);
        let stride = available.checked_div(count).unwrap_or(0);
        (0..count).map(|window| (from + window * stride) * self.every.max(1)).collect()
    }

    /// The window that begins at a frame.
    #[must_use]
    pub fn window(&self, trajectory: &Trajectory, start: usize) -> Trajectory {
        let every = self.every.max(1);
        trajectory.window(start, start + (self.span.max(1) - 1) * every + 1).strided(every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn windows_stay_in_their_part() {
        let rule = Windows { every: 2, span: 5, most: 4 };
        // 50 kept frames: 30, 10, 10; 26, 6 and 6 windows are possible.
        assert_eq!(rule.starts(99, Part::Train), [0, 12, 24, 36]);
        assert_eq!(rule.starts(100, Part::Validation), [60, 62, 64, 66]);
        assert_eq!(rule.starts(100, Part::Test), [80, 82, 84, 86]);
        assert!(rule.starts(8, Part::Test).is_empty() && rule.starts(0, Part::Train).is_empty());
        let coordinates: Vec<f32> = (0..300).map(|k| (k / 3) as f32).collect();
        let trajectory = Trajectory::from_coordinates(Topology::unknown(1), &coordinates, Some(1.0)).unwrap();
        let window = rule.window(&trajectory, 86);
        assert_eq!((window.frames(), window.frame(4)[0][0], window.time_step()), (5, 94.0, Some(2.0)));
    }
}
