//! Walkers of the ETH and UCY recordings (Pellegrini et al. 2009; Lerner et al. 2007): tracks of 8 given and 12 predicted
//! positions in the plane, in metres, one every 0.4 s.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

use crate::error::TrajectoryError;

/// Frames that are given.
pub const GIVEN: usize = 8;
/// Frames that are predicted.
pub const PREDICTED: usize = 12;
/// Frames of a window.
pub const SPAN: usize = GIVEN + PREDICTED;
/// Neighbours are at most this far away in the last given frame, metres.
pub const NEIGHBOUR_REACH: f64 = 5.0;
/// The longest line of a recording, in bytes.
const LONGEST_LINE: u64 = 1 << 12;

/// Positions of one walker in the frames of a window, `[20]`.
pub type Track = [[f32; 2]; SPAN];

/// A recording: who was where in each frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recording {
    frames: BTreeMap<i64, Vec<(u32, [f32; 2])>>,
}

/// The walkers who are there in all frames of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct PedestrianWindow {
    /// The last given frame.
    pub frame: i64,
    /// Their numbers in the recording, ascending, with their tracks.
    pub tracks: Vec<(u32, Track)>,
}

impl Recording {
    /// Reads a file of lines `frame,pedestrian,x,y`, under a line of headings.
    ///
    /// # Errors
    /// [`TrajectoryError::File`]; [`TrajectoryError::Document`] with the line if one is no such line, or if a pedestrian is
    /// twice in a frame.
    pub fn read(path: &Path) -> Result<Self, TrajectoryError> {
        let file = std::fs::File::open(path).map_err(|source| TrajectoryError::File {
            task: "open",
            path: path.to_owned(),
            source,
        })?;
        let mut input = BufReader::new(file);
        let mut recording = Self::default();
        let mut line = 0_u64;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let at_line = |source: TrajectoryError, line: u64| TrajectoryError::Document {
                path: path.to_owned(),
                line: Some(line),
                source: Box::new(source),
            };
            let read = (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut bytes);
            line += 1;
            if read.map_err(|error| at_line(error.into(), line))? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&bytes);
            if !text.trim().is_empty() && (line > 1 || !text.starts_with("frame")) {
                recording.add(text.trim()).map_err(|error| at_line(error, line))?;
            }
        }
        recording.frames.values_mut().for_each(|walkers| walkers.sort_unstable_by_key(|(walker, _)| *walker));
        Ok(recording)
    }

    fn add(&mut self, text: &str) -> Result<(), TrajectoryError> {
        let wrong = || TrajectoryError::malformed("expected frame,pedestrian,x,y");
        let mut words = text.split(',').map(str::trim);
        let mut word = || words.next().ok_or_else(wrong);
        let frame: i64 = word()?.parse().map_err(|_| wrong())?;
        let walker: u32 = word()?.parse().map_err(|_| wrong())?;
        let mut place = [0.0_f32; 2];
        for coordinate in &mut place {
            *coordinate = word()?.parse().ok().filter(|value: &f32| value.is_finite()).ok_or_else(wrong)?;
        }
        let walkers = self.frames.entry(frame).or_default();
        if walkers.iter().any(|(other, _)| *other == walker) {
            return Err(TrajectoryError::malformed(format!("pedestrian {walker} is twice in frame {frame}")));
        }
        walkers.push((walker, place));
        Ok(())
    }

    /// First frame and the one behind the last.
    #[must_use]
    pub fn range(&self) -> Range<i64> {
        let first = self.frames.keys().next().copied().unwrap_or(0);
        first..self.frames.keys().next_back().map_or(first, |last| last + 1)
    }

    /// Every window whose 20 frames lie in `frames` and in which somebody is there all the time.
    #[must_use]
    pub fn windows(&self, frames: Range<i64>) -> Vec<PedestrianWindow> {
        let starts = self.frames.range(frames.clone()).map(|(frame, _)| *frame);
        starts
            .filter(|start| start + SPAN as i64 <= frames.end)
            .filter_map(|start| self.window(start))
            .collect()
    }

    fn window(&self, start: i64) -> Option<PedestrianWindow> {
        let mut tracks: HashMap<u32, Vec<[f32; 2]>> = HashMap::new();
        for step in 0..SPAN {
            let walkers = self.frames.get(&(start + step as i64))?;
            for (walker, place) in walkers {
                // Who was missing before is not followed.
                let track = tracks.entry(*walker).or_default();
                if track.len() == step {
                    track.push(*place);
                }
            }
        }
        let mut tracks: Vec<(u32, Track)> =
            tracks.into_iter().filter_map(|(walker, track)| Some((walker, track.try_into().ok()?))).collect();
        tracks.sort_unstable_by_key(|(walker, _)| *walker);
        (!tracks.is_empty()).then_some(PedestrianWindow { frame: start + GIVEN as i64 - 1, tracks })
    }
}

impl PedestrianWindow {
    /// A walker's track and those of its neighbours: at most `most` tracks in all, the neighbours at most
    /// [`NEIGHBOUR_REACH`] away in the last given frame, nearest first.
    ///
    /// # Panics
    /// If the window has no such walker.
    #[must_use]
    pub fn group(&self, target: usize, most: usize) -> Vec<Track> {
        let here = self.tracks[target].1[GIVEN - 1];
        let mut others: Vec<(f64, &Track)> = self
            .tracks
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != target)
            .map(|(_, (_, track))| (distance(track[GIVEN - 1], here), track))
            .filter(|(distance, _)| *distance <= NEIGHBOUR_REACH)
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        let neighbours = others.into_iter().take(most.saturating_sub(1)).map(|(_, track)| *track);
        std::iter::once(self.tracks[target].1).chain(neighbours).collect()
    }
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f64 {
    (f64::from(a[0]) - f64::from(b[0])).hypot(f64::from(a[1]) - f64::from(b[1]))
}

/// What GeoTDM's network is told of a walker in each frame: whether the frame is given, and the speed, metres a frame (in
/// given frames the way since the frame before, the first taking the second's; later that of the last given one).
#[must_use]
pub fn node_features(track: &Track) -> [[f32; SPAN]; 2] {
    let speed = |t: usize| {
        let t = t.clamp(1, GIVEN - 1);
        distance(track[t], track[t - 1]) as f32
    };
    [std::array::from_fn(|t| if t < GIVEN { 1.0 } else { 0.0 }), std::array::from_fn(speed)]
}

/// Where each recording's validation part begins, as `splits.json` of the data set says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Splits {
    /// By recording.
    pub recordings: BTreeMap<String, Split>,
}

/// The cut of one recording and what its parts must hold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Split {
    /// The first frame of the validation part.
    pub val_from_frame: i64,
    /// The whole recording.
    pub all: Contents,
    /// Frames before the cut.
    pub train: Contents,
    /// Frames from the cut on.
    pub val: Contents,
}

/// How much there is in a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Contents {
    /// Windows in which somebody is there all the time.
    pub windows: usize,
    /// Pedestrians in windows.
    pub tracks: usize,
}

impl Contents {
    /// Counts windows and tracks.
    #[must_use]
    pub fn of(windows: &[PedestrianWindow]) -> Self {
        Self { windows: windows.len(), tracks: windows.iter().map(|window| window.tracks.len()).sum() }
    }
}

impl Splits {
    /// Reads `splits.json`.
    ///
    /// # Errors
    /// [`TrajectoryError::File`]; [`TrajectoryError::Document`] if it is not such a file.
    pub fn read(path: &Path) -> Result<Self, TrajectoryError> {
        let text = std::fs::read(path).map_err(|source| TrajectoryError::File {
            task: "read",
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|error| TrajectoryError::Document {
            path: path.to_owned(),
            line: Some(error.line() as u64),
            source: Box::new(error.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(text: &str) -> Result<Recording, TrajectoryError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("walk.csv");
        std::fs::write(&path, text).unwrap();
        Recording::read(&path)
    }

    #[test]
    fn windows_hold_who_is_always_there() {
        let mut text = "frame,pedestrian,x,y\n".to_owned();
        for frame in 10..32 {
            text += &format!("{frame},1,{frame},0\n");
            if frame != 20 {
                text += &format!("{frame},2,{frame},1\n");
            }
            if frame < 31 {
                text += &format!("{frame},7,{frame},2.5\n{frame},8,0,{frame}\n");
            }
        }
        let recording = recording(&text).unwrap();
        assert_eq!(recording.range(), 10..32);
        let windows = recording.windows(recording.range());
        let who: Vec<Vec<u32>> =
            windows.iter().map(|window| window.tracks.iter().map(|(walker, _)| *walker).collect()).collect();
        assert_eq!(who, [vec![1, 7, 8], vec![1, 7, 8], vec![1]]);
        assert_eq!(windows[0].frame, 17);
        assert_eq!(recording.windows(11..31).len(), 1);
        let group = windows[0].group(0, 3);
        assert_eq!((group.len(), group[1][0]), (2, [10.0, 2.5]));
        assert_eq!(windows[0].group(1, 1).len(), 1);
    }

    #[test]
    fn bad_lines_are_named() {
        for bad in ["1,2,3", "1,x,3,4", "1,2,nan,4", "1,2,3,4\n1,2,3,5", "word"] {
            let error = recording(&format!("frame,pedestrian,x,y\n{bad}\n")).unwrap_err().to_string();
            assert!(error.contains("walk.csv:2:") || error.contains("walk.csv:3:"), "{error}");
        }
    }
}
