//! Trajectories as data.

use crate::cell::Cell;
use crate::error::TrajectoryError;
use crate::selection::Selection;
use crate::topology::Topology;

/// One moment of a trajectory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    /// Femtoseconds since the start of the simulation, where the file says so.
    pub time: Option<f64>,
    /// The periodic cell, if there is one.
    pub cell: Option<Cell>,
    /// `[N, 3]`, ångström.
    pub positions: Vec<[f32; 3]>,
}

/// The motion of a fixed set of atoms (or bodies): positions `[T, N, 3]` in ångström, `T` frames of `N` atoms.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trajectory {
    topology: Topology,
    /// Femtoseconds, one for each frame, or none at all.
    times: Vec<f64>,
    /// One for each frame, or none at all.
    cells: Vec<Cell>,
    /// Frame by frame.
    positions: Vec<[f32; 3]>,
}

impl Trajectory {
    /// A trajectory without frames.
    #[must_use]
    pub fn new(topology: Topology) -> Self {
        Self { topology, times: Vec::new(), cells: Vec::new(), positions: Vec::new() }
    }

    /// From positions `[T, N, 3]` in row-major order (ångström) and the time step in femtoseconds; the first frame has time
    /// 0.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] if the numbers are not those of whole frames.
    pub fn from_coordinates(
        topology: Topology,
        coordinates: &[f32],
        time_step: Option<f64>,
    ) -> Result<Self, TrajectoryError> {
        let width = 3 * topology.atoms();
        if width == 0 || !coordinates.len().is_multiple_of(width) {
            let expected = coordinates.len().div_ceil(width.max(1)) * width;
            return Err(TrajectoryError::Count {
                what: "coordinates of whole frames",
                expected,
                found: coordinates.len(),
            });
        }
        let frames = coordinates.len() / width;
        let times = time_step.map_or_else(Vec::new, |step| (0..frames).map(|t| t as f64 * step).collect());
        let positions = coordinates.as_chunks::<3>().0.to_vec();
        Ok(Self { topology, times, cells: Vec::new(), positions })
    }

    /// Adds a frame behind the others. A time or a cell is kept if all frames have one.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] if it has another number of atoms.
    pub fn push(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        let (expected, found) = (self.atoms(), frame.positions.len());
        if found != expected {
            return Err(TrajectoryError::Count { what: "atoms of the frame", expected, found });
        }
        let frames = self.frames();
        match frame.time {
            Some(time) if self.times.len() == frames => self.times.push(time),
            _ => self.times.clear(),
        }
        match frame.cell {
            Some(cell) if self.cells.len() == frames => self.cells.push(cell),
            _ => self.cells.clear(),
        }
        self.positions.extend_from_slice(&frame.positions);
        Ok(())
    }

    /// What does not change in time.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The same, to be changed; the number of atoms must stay.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] if the new topology has another number of atoms.
    pub fn set_topology(&mut self, topology: Topology) -> Result<(), TrajectoryError> {
        let (expected, found) = (self.atoms(), topology.atoms());
        if found != expected {
            return Err(TrajectoryError::Count { what: "atoms of the topology", expected, found });
        }
        self.topology = topology;
        Ok(())
    }

    /// `T`.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.positions.len().checked_div(self.atoms()).unwrap_or(0)
    }

    /// `N`.
    #[must_use]
    pub fn atoms(&self) -> usize {
        self.topology.atoms()
    }

    /// Positions of one frame, `[N, 3]`.
    ///
    /// # Panics
    /// If there is no such frame, as a slice does.
    #[must_use]
    pub fn frame(&self, frame: usize) -> &[[f32; 3]] {
        let atoms = self.atoms();
        &self.positions[frame * atoms..(frame + 1) * atoms]
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// If there is no such frame, as a slice does.
    pub fn frame_mut(&mut self, frame: usize) -> &mut [[f32; 3]] {
        let atoms = self.atoms();
        &mut self.positions[frame * atoms..(frame + 1) * atoms]
    }

    /// All positions, `[T · N, 3]`.
    #[must_use]
    pub fn positions(&self) -> &[[f32; 3]] {
        &self.positions
    }

    /// All coordinates, `[T, N, 3]` in row-major order.
    #[must_use]
    pub fn coordinates(&self) -> &[f32] {
        self.positions.as_flattened()
    }

    /// One frame with its time and cell.
    ///
    /// # Panics
    /// If there is no such frame, as a slice does.
    #[must_use]
    pub fn owned_frame(&self, frame: usize) -> Frame {
        Frame {
            time: self.times.get(frame).copied(),
            cell: self.cells.get(frame).copied(),
            positions: self.frame(frame).to_vec(),
        }
    }

    /// Femtoseconds, one for each frame, or none.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// The cells, one for each frame, or none.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Femtoseconds from frame to frame, if the times are known and evenly spaced (to a thousandth of a step, which leaves
    /// room for times stored in single precision).
    #[must_use]
    pub fn time_step(&self) -> Option<f64> {
        even_step(&self.times)
    }

    /// Only every `stride`-th frame, beginning with the first; all for 0 or 1.
    #[must_use]
    pub fn strided(&self, stride: usize) -> Self {
        self.of_frames((0..self.frames()).step_by(stride.max(1)))
    }

    /// Only these frames, in this order; those that do not exist are left out.
    #[must_use]
    pub fn of_frames(&self, frames: impl IntoIterator<Item = usize>) -> Self {
        let frames: Vec<usize> = frames.into_iter().filter(|&t| t < self.frames()).collect();
        Self {
            topology: self.topology.clone(),
            times: frames.iter().filter_map(|&t| self.times.get(t)).copied().collect(),
            cells: frames.iter().filter_map(|&t| self.cells.get(t)).copied().collect(),
            positions: frames.iter().flat_map(|&t| self.frame(t)).copied().collect(),
        }
    }

    /// Only some frames, `start..end`; both are cut to what there is.
    #[must_use]
    pub fn window(&self, start: usize, end: usize) -> Self {
        let end = end.min(self.frames());
        let start = start.min(end);
        let atoms = self.atoms();
        Self {
            topology: self.topology.clone(),
            times: self.times.get(start..end).unwrap_or_default().to_vec(),
            cells: self.cells.get(start..end).unwrap_or_default().to_vec(),
            positions: self.positions[start * atoms..end * atoms].to_vec(),
        }
    }

    /// Only the atoms of a selection, in its order.
    ///
    /// # Errors
    /// [`TrajectoryError::NoSuchAtom`], [`TrajectoryError::Selection`].
    pub fn selected(&self, selection: &Selection) -> Result<Self, TrajectoryError> {
        let atoms = selection.atoms(&self.topology)?;
        Ok(Self {
            topology: self.topology.selected(&atoms),
            times: self.times.clone(),
            cells: self.cells.clone(),
            positions: (0..self.frames())
                .flat_map(|t| atoms.iter().map(move |atom| self.frame(t)[*atom]))
                .collect(),
        })
    }

    /// Takes the mean over all atoms **and** frames away, as the unconditional models do (GeoTDM, section 5 of the paper):
    /// one shift for the whole trajectory, so that motion stays motion. Returns that mean, ångström.
    pub fn centre(&mut self) -> [f64; 3] {
        let count = self.positions.len().max(1) as f64;
        let mean =
            [0, 1, 2].map(|k| self.positions.iter().map(|point| f64::from(point[k])).sum::<f64>() / count);
        for point in &mut self.positions {
            for k in 0..3 {
                point[k] = (f64::from(point[k]) - mean[k]) as f32;
            }
        }
        mean
    }
}

/// The step of evenly spaced times.
pub(crate) fn even_step(times: &[f64]) -> Option<f64> {
    let (first, last) = (times.first()?, times.last()?);
    let step = (last - first) / (times.len() - 1) as f64;
    let allowed = 1e-3 * step.abs() + 1e-7 * last.abs();
    let even = times.iter().enumerate().all(|(t, time)| (time - first - t as f64 * step).abs() <= allowed);
    (step > 0.0 && even).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

    fn sample() -> Trajectory {
        let mut topology = Topology::of_elements(vec![Element(6), Element(1), Element(8)]);
        topology.set_bonds(vec![[0, 1], [0, 2]]).unwrap();
        let coordinates: Vec<f32> = (0..45).map(|k| k as f32).collect();
        Trajectory::from_coordinates(topology, &coordinates, Some(2.0)).unwrap()
    }

    #[test]
    fn frames_windows_strides_and_selections() {
        let trajectory = sample();
        assert_eq!((trajectory.frames(), trajectory.atoms(), trajectory.time_step()), (5, 3, Some(2.0)));
        assert_eq!(trajectory.frame(1)[2], [15.0, 16.0, 17.0]);
        let thin = trajectory.strided(2);
        assert_eq!((thin.frames(), thin.time_step(), thin.frame(1)), (3, Some(4.0), trajectory.frame(2)));
        let window = trajectory.window(1, 3);
        assert_eq!((window.frames(), window.times()), (2, &[2.0, 4.0][..]));
        assert_eq!((trajectory.window(4, 99).frames(), trajectory.window(9, 2).frames()), (1, 0));
        let heavy = trajectory.selected(&Selection::Heavy).unwrap();
        assert_eq!((heavy.atoms(), heavy.frame(0)[1]), (2, [6.0, 7.0, 8.0]));
        assert_eq!(heavy.topology().bonds(), [[0, 1]]);
        assert!(Trajectory::from_coordinates(trajectory.topology().clone(), &[0.0; 10], None).is_err());
        assert_eq!(Trajectory::new(Topology::default()).frames(), 0);
    }

    #[test]
    fn a_frame_without_a_time_takes_the_times_away() {
        let mut trajectory = sample();
        let mut frame = trajectory.owned_frame(4);
        frame.time = Some(10.0);
        trajectory.push(&frame).unwrap();
        assert_eq!(trajectory.time_step(), Some(2.0));
        frame.time = Some(11.0);
        trajectory.push(&frame).unwrap();
        assert_eq!((trajectory.time_step(), trajectory.times().len()), (None, 7));
        frame.time = None;
        trajectory.push(&frame).unwrap();
        frame.time = Some(14.0);
        trajectory.push(&frame).unwrap();
        assert!(trajectory.times().is_empty() && trajectory.frames() == 9);
        frame.positions.pop();
        assert!(trajectory.push(&frame).is_err());
    }

    #[test]
    fn the_joint_mean_is_taken_away() {
        let mut trajectory = sample();
        let mean = trajectory.centre();
        assert_eq!(mean, [21.0, 22.0, 23.0]);
        let sum: f32 = trajectory.coordinates().iter().sum();
        assert_eq!((sum, trajectory.frame(0)[0]), (0.0, [-21.0; 3]));
    }
}
