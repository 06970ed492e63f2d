//! Files of several trajectories of one system: samples of a model, runs of a simulator.
//!
//! | array (`.npz`) | shape | |
//! | --- | --- | --- |
//! | `positions` (or `R`, `coords`) | `[S, T, N, D]`, `D` 2 or 3 | `S` samples (or runs) of `T` frames; `[T, N, 3]` is one |
//! | `window` | `[S]` | optional: the frame of the reference, from 0, at which a sample begins; samples of equal `window` are the `K` samples of that window. In a reference of several runs of `T` frames, frame `t` of run `r` is number `r T + t` |
//! | `z` (or `elements`), `bonds`, `dt_fs` | | optional, as in any trajectory file |
//! | `charges` `[S, N]`, `springs` `[S, N, N]`, `masses` `[S, N]` | | optional: what acts between N-body systems; see [`crate::nbody`] |
//!
//! A file of any other trajectory format is a set of one. Positions in a plane get a third coordinate of 0.

use std::path::{Path, PathBuf};

use crate::error::TrajectoryError;
use crate::file::npz::{time_step, topology};
use crate::file::{Format, NumpyArchive, TrajectoryReader};
use crate::nbody::System;
use crate::selection::Selection;
use crate::topology::Topology;
use crate::trajectory::Trajectory;

/// Samples or runs of the same number of frames and atoms.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleSet {
    path: PathBuf,
    trajectories: Vec<Trajectory>,
    dimensions: usize,
    time_step: Option<f64>,
    windows: Option<Vec<u64>>,
    interactions: Option<Interactions>,
}

/// What acts between the bodies of each run.
#[derive(Debug, Clone, PartialEq)]
pub struct Interactions {
    /// Which forces.
    pub system: System,
    /// `[N, N]` for each run, as [`crate::nbody::Run::interactions`].
    pub strengths: Vec<Vec<f64>>,
}

impl SampleSet {
    /// Reads a file; of the atoms those of `selection`.
    ///
    /// # Errors
    /// Those of [`TrajectoryReader::open`]; [`TrajectoryError::Document`] if an array has another shape than it must have, or
    /// a number that is not finite; [`TrajectoryError::TooFew`] (in a `Document`) without samples, frames or atoms.
    pub fn read(path: &Path, selection: &Selection) -> Result<Self, TrajectoryError> {
        let mut set = match Format::of_path(path)? {
            Format::Npz => Self::read_arrays(path)?,
            _ => {
                let trajectory = TrajectoryReader::open(path)?.read_all()?;
                let time_step = trajectory.time_step();
                let trajectories = vec![trajectory];
                let path = path.to_owned();
                Self { path, trajectories, dimensions: 3, time_step, windows: None, interactions: None }
            }
        };
        if set.frames() == 0 || set.atoms() == 0 {
            let what = "a set of trajectories";
            let found = set.frames().min(set.atoms());
            let source = TrajectoryError::TooFew { what, points: "frames and atoms", needed: 1, found };
            return Err(TrajectoryError::Document {
                path: path.to_owned(),
                line: None,
                source: Box::new(source),
            });
        }
        if *selection != Selection::All {
            // Energies are those of all bodies or none.
            set.interactions = None;
            set.trajectories = set
                .trajectories
                .iter()
                .map(|trajectory| trajectory.selected(selection))
                .collect::<Result<_, _>>()?;
        }
        Ok(set)
    }

    fn read_arrays(path: &Path) -> Result<Self, TrajectoryError> {
        let archive = NumpyArchive::open(path)?;
        let name = ["positions", "R", "coords"].into_iter().find(|name| archive.has(name));
        let name = name.ok_or_else(|| archive.wrong("positions", "it is not in the archive"))?;
        let (shape, numbers) = archive.floats(name)?;
        let (samples, frames, atoms, dimensions) = match shape[..] {
            [frames, atoms, 3] => (1, frames, atoms, 3),
            [samples, frames, atoms, dimensions @ (2 | 3)] => (samples, frames, atoms, dimensions),
            _ => {
                let reason = format!("its shape is {shape:?}, expected [S, T, N, 2 or 3] or [T, N, 3]");
                return Err(archive.wrong(name, reason));
            }
        };
        if numbers.is_empty() {
            let reason = format!("its shape is {shape:?}: there is nothing in it");
            return Err(archive.wrong(name, reason));
        }
        let width = frames * atoms * dimensions;
        if let Some(place) = numbers.iter().position(|value| !value.is_finite()) {
            let reason = format!("a coordinate of sample {} is not finite", place / width);
            return Err(archive.wrong(name, reason));
        }
        let topology = topology(&archive, atoms)?;
        let time_step = time_step(&archive)?;
        let trajectories = numbers
            .chunks_exact(width)
            .map(|sample| trajectory(&topology, sample, dimensions, time_step))
            .collect::<Result<_, _>>()?;
        let windows = archive.has("window").then(|| windows(&archive, samples)).transpose()?;
        let interactions = interactions(&archive, samples, atoms)?;
        Ok(Self { path: path.to_owned(), trajectories, dimensions, time_step, windows, interactions })
    }

    /// The same with each trajectory cut into samples of `frames` frames, for files that hold samples one behind the other.
    ///
    /// # Errors
    /// [`TrajectoryError::Unfit`] if the frames are no multiple, or if the file says itself which samples it holds.
    pub fn cut_every(self, frames: usize) -> Result<Self, TrajectoryError> {
        let all = self.frames();
        if frames == 0 || !all.is_multiple_of(frames) || self.windows.is_some() {
            let reason =
                format!("{}: {all} frames cannot be cut into samples of {frames}", self.path.display());
            return Err(TrajectoryError::Unfit { reason });
        }
        let pieces = |run: &Trajectory| -> Vec<Trajectory> {
            (0..all / frames).map(|piece| run.window(piece * frames, (piece + 1) * frames)).collect()
        };
        let trajectories = self.trajectories.iter().flat_map(pieces).collect();
        // Which sample is of which run is no longer said.
        Ok(Self { trajectories, interactions: None, ..self })
    }

    /// Without the given frames of samples that hold them, too: `before` in front and `behind` at the end of each, `every` frames of
    /// the reference apart.
    ///
    /// # Errors
    /// [`TrajectoryError::Unfit`] if nothing would be left.
    pub fn without_given(self, before: usize, behind: usize, every: usize) -> Result<Self, TrajectoryError> {
        let all = self.frames();
        if all <= before + behind {
            let reason = format!(
                "{}: samples of {all} frames cannot hold {before} given ones in front, {behind} at the end, and others",
                self.path.display()
            );
            return Err(TrajectoryError::Unfit { reason });
        }
        let trajectories = self.trajectories.iter().map(|run| run.window(before, all - behind)).collect();
        let first = (before * every) as u64;
        let windows = self.windows.map(|windows| windows.iter().map(|window| window + first).collect());
        Ok(Self { trajectories, windows, ..self })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Each of them `[T, N, 3]`; there is at least one.
    #[must_use]
    pub fn trajectories(&self) -> &[Trajectory] {
        &self.trajectories
    }

    /// `S`.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.trajectories.len()
    }

    /// `T`.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.trajectories.first().map_or(0, Trajectory::frames)
    }

    /// `N`.
    #[must_use]
    pub fn atoms(&self) -> usize {
        self.trajectories.first().map_or(0, Trajectory::atoms)
    }

    /// `D`: 2 or 3.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Femtoseconds (or units of the simulation) from frame to frame, where the file says so.
    #[must_use]
    pub fn time_step(&self) -> Option<f64> {
        self.time_step
    }

    /// `[S]`: the frame of the reference at which each sample begins.
    #[must_use]
    pub fn windows(&self) -> Option<&[u64]> {
        self.windows.as_deref()
    }

    /// What acts between the bodies, where the file says so.
    #[must_use]
    pub fn interactions(&self) -> Option<&Interactions> {
        self.interactions.as_ref()
    }

    /// The atoms, the same in all samples.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        self.trajectories[0].topology()
    }

    /// Whether the bodies are atoms of known elements.
    #[must_use]
    pub fn is_molecule(&self) -> bool {
        self.topology().elements().iter().any(|element| element.0 != 0)
    }
}

fn trajectory(
    topology: &Topology,
    sample: &[f32],
    dimensions: usize,
    time_step: Option<f64>,
) -> Result<Trajectory, TrajectoryError> {
    if dimensions == 3 {
        return Trajectory::from_coordinates(topology.clone(), sample, time_step);
    }
    let raised: Vec<f32> = sample.as_chunks::<2>().0.iter().flat_map(|[x, y]| [*x, *y, 0.0]).collect();
    Trajectory::from_coordinates(topology.clone(), &raised, time_step)
}

fn windows(archive: &NumpyArchive, samples: usize) -> Result<Vec<u64>, TrajectoryError> {
    let (shape, numbers) = archive.array("window")?;
    if shape != [samples] {
        return Err(archive.wrong("window", format!("its shape is {shape:?}, expected [{samples}]")));
    }
    // Whole numbers up to 2^53 are exact.
    let whole =
        |number: f64| (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64);
    numbers
        .iter()
        .map(|number| {
            whole(*number).ok_or_else(|| archive.wrong("window", format!("{number} is no frame's number")))
        })
        .collect()
}

/// From the array that is there: charges, springs or masses.
fn interactions(
    archive: &NumpyArchive,
    samples: usize,
    atoms: usize,
) -> Result<Option<Interactions>, TrajectoryError> {
    let kinds = [("charges", System::Charged), ("springs", System::Springs), ("masses", System::Gravity)];
    let Some((name, system)) = kinds.into_iter().find(|(name, _)| archive.has(name)) else { return Ok(None) };
    let (shape, numbers) = archive.array(name)?;
    let expected = if system == System::Springs { vec![samples, atoms, atoms] } else { vec![samples, atoms] };
    if shape != expected {
        return Err(archive.wrong(name, format!("its shape is {shape:?}, expected {expected:?}")));
    }
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(archive.wrong(name, "a number is not finite"));
    }
    let products = |charges: &[f64]| -> Vec<f64> {
        (0..atoms * atoms)
            .map(|place| (place / atoms, place % atoms))
            .map(|(i, j)| if i == j { 0.0 } else { charges[i] * charges[j] })
            .collect()
    };
    let strengths = match system {
        System::Charged => numbers.chunks_exact(atoms).map(products).collect(),
        System::Springs => numbers.chunks_exact(atoms * atoms).map(<[f64]>::to_vec).collect(),
        System::Gravity => {
            if numbers.iter().any(|mass| *mass != 1.0) {
                return Err(archive.wrong(name, "all masses must be 1"));
            }
            vec![vec![0.0; atoms * atoms]; samples]
        }
    };
    Ok(Some(Interactions { system, strengths }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::NumpyWriter;

    fn written(arrays: impl FnOnce(&mut NumpyWriter)) -> Result<SampleSet, TrajectoryError> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.npz");
        let mut writer = NumpyWriter::create(&path).unwrap();
        arrays(&mut writer);
        writer.finish().unwrap();
        SampleSet::read(&path, &Selection::All)
    }

    #[test]
    fn planes_windows_and_charges() {
        let set = written(|file| {
            file.floats("positions", &[2, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).unwrap();
            file.integers("window", &[2], &[12, 12]).unwrap();
            file.doubles("charges", &[2, 2], &[1.0, -1.0, 1.0, 1.0]).unwrap();
            file.doubles("dt_fs", &[], &[0.1]).unwrap();
        })
        .unwrap();
        assert_eq!((set.samples(), set.frames(), set.atoms(), set.dimensions()), (2, 1, 2, 2));
        assert_eq!(set.trajectories()[1].frame(0), [[5.0, 6.0, 0.0], [7.0, 8.0, 0.0]]);
        assert_eq!((set.windows(), set.time_step()), (Some(&[12, 12][..]), Some(0.1)));
        let interactions = set.interactions().unwrap();
        assert_eq!(interactions.system, System::Charged);
        assert_eq!(interactions.strengths, [[0.0, -1.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0]]);
        assert!(!set.is_molecule());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |arrays: fn(&mut NumpyWriter)| written(arrays).unwrap_err().to_string();
        assert!(error(|_| ()).contains("\"positions\""));
        assert!(error(|f| f.floats("positions", &[0, 2, 1, 3], &[]).unwrap()).contains("nothing in it"));
        assert!(error(|f| f.floats("positions", &[1, 1, 1, 4], &[0.0; 4]).unwrap()).contains("[1, 1, 1, 4]"));
        let text = error(|f| f.floats("positions", &[2, 1, 1, 3], &[0., 0., 0., 0., f32::NAN, 0.]).unwrap());
        assert!(text.contains("sample 1 is not finite"), "{text}");
        let with = |name: &'static str, shape: &'static [usize], numbers: &'static [f64]| {
            let found = written(|f| {
                f.floats("positions", &[2, 1, 1, 3], &[0.0; 6]).unwrap();
                f.doubles(name, shape, numbers).unwrap();
            });
            found.unwrap_err().to_string()
        };
        assert!(with("window", &[1], &[0.0]).contains("expected [2]"));
        assert!(with("window", &[2], &[0.0, -1.0]).contains("-1 is no frame"));
        assert!(with("springs", &[2], &[0.0, 1.0]).contains("expected [2, 1, 1]"));
        assert!(with("masses", &[2, 1], &[1.0, 2.0]).contains("masses must be 1"));
    }
}
