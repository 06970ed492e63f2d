//! H5MD 1.1 (de Buyl, Colberg & Höfling 2014), by way of the crate `hdf5-pure`: positions, cell and time of the first
//! group of `/particles`, its `species`, and `/connectivity/bonds`. Units are those of the `unit` attributes; what has
//! none is taken for ångström and femtoseconds.

use std::io::Read;
use std::path::Path;

use hdf5_pure::{AttrValue, Dataset, File, Group};

use super::{FrameSource, LARGEST_RATIO, at_frame, checked_atoms, in_document, open_file};
use crate::cell::Cell;
use crate::element::Element;
use crate::error::TrajectoryError;
use crate::topology::Topology;
use crate::trajectory::Frame;
use crate::units::{angstrom_per, fs_per};

/// Longer lists of bonds are not read.
const MOST_BONDS: u64 = 1 << 26;

pub(super) struct H5mdSource {
    topology: Topology,
    positions: Dataset,
    /// Ångström in a unit of the file.
    length_unit: f64,
    times: Times,
    cells: Cells,
    frames: u64,
    next: u64,
}

/// Femtoseconds of each frame.
enum Times {
    None,
    Each(Dataset, f64),
    Even { start: f64, step: f64 },
}

enum Cells {
    None,
    Fixed(Cell),
    /// With ångström in a unit.
    Each(Dataset, f64),
}

impl H5mdSource {
    pub(super) fn open(path: &Path) -> Result<Self, TrajectoryError> {
        // The library's error does not tell a file that is missing from one that is damaged.
        let mut file = open_file(path)?;
        let length = file.metadata()?.len();
        if let Some(stated) = stated_length(&mut file)?
            && length < stated
        {
            return Err(at_frame(
                path,
                0,
                None,
                TrajectoryError::CutOff { expected: "the rest of the HDF5 file" },
            ));
        }
        Self::open_particles(path, length).map_err(|error| match error {
            // The way to the first frame is broken.
            TrajectoryError::Hdf5(_) => at_frame(path, 0, None, error),
            _ => in_document(path, error),
        })
    }

    fn open_particles(path: &Path, length: u64) -> Result<Self, TrajectoryError> {
        let file = File::open_streaming(path)?;
        let particles = file.group("particles")?;
        let mut names = particles.groups()?;
        names.sort_unstable();
        let name = names.first().ok_or_else(|| TrajectoryError::malformed("/particles has no group"))?;
        let group = particles.group(name)?;
        let positions = group.dataset("position/value")?;
        let (frames, atoms) = match positions.shape()?[..] {
            [frames, atoms, 3] => (frames, checked_atoms(atoms)?),
            ref other => {
                let reason = format!("positions have the shape {other:?}, expected [T, N, 3]");
                return Err(TrajectoryError::malformed(reason));
            }
        };
        check_bytes(length, 12_u64.saturating_mul(atoms as u64).saturating_mul(frames))?;
        let length_unit = length_unit(&positions)?;
        let times = times(&group, frames)?;
        let cells = cells(&group, frames)?;
        let topology = topology(&file, &group, atoms, length)?;
        Ok(Self { topology, positions, length_unit, times, cells, frames, next: 0 })
    }
}

impl FrameSource for H5mdSource {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, TrajectoryError> {
        if self.next == self.frames {
            return Ok(None);
        }
        let row = self.next;
        let numbers = self.positions.read_f64_rows(row, 1)?;
        let (expected, found) = (3 * self.topology.atoms(), numbers.len());
        if found != expected {
            return Err(TrajectoryError::Count { what: "coordinates of the frame", expected, found });
        }
        let positions: Vec<[f32; 3]> = numbers
            .as_chunks::<3>()
            .0
            .iter()
            .map(|point| point.map(|value| (value * self.length_unit) as f32))
            .collect();
        if positions.as_flattened().iter().any(|value| !value.is_finite()) {
            return Err(TrajectoryError::malformed("a coordinate is not finite"));
        }
        let time = match &self.times {
            Times::None => None,
            Times::Each(times, unit) => one(&times.read_f64_rows(row, 1)?).map(|time| time * unit),
            Times::Even { start, step } => Some(start + row as f64 * step),
        };
        let cell = match &self.cells {
            Cells::None => None,
            Cells::Fixed(cell) => Some(*cell),
            Cells::Each(edges, unit) => {
                let cell = cell(&edges.read_f64_rows(row, 1)?, *unit);
                Some(cell.ok_or_else(|| TrajectoryError::malformed("the frame's cell has no volume"))?)
            }
        };
        self.next += 1;
        Ok(Some(Frame { time, cell, positions }))
    }
}

/// The length that an HDF5 file states in its first block (versions 0 to 3 with eight-byte offsets); the C library refuses
/// a shorter file, which may have lost data at its end, this library does not.
fn stated_length(file: &mut std::fs::File) -> Result<Option<u64>, TrajectoryError> {
    let mut start = Vec::new();
    file.take(56).read_to_end(&mut start)?;
    if !start.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Ok(None);
    }
    let byte = |at: usize| start.get(at).copied();
    let place = match (byte(8), byte(9), byte(13)) {
        (Some(0), _, Some(8)) => 40,
        (Some(1), _, Some(8)) => 44,
        (Some(2 | 3), Some(8), _) => 28,
        _ => return Ok(None),
    };
    Ok(start.get(place..place + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes))
}

/// Whether a file of this length can hold so many bytes, packed as tightly as deflate packs.
fn check_bytes(length: u64, bytes: u64) -> Result<(), TrajectoryError> {
    let maximum = length.saturating_mul(LARGEST_RATIO);
    if bytes > maximum {
        return Err(TrajectoryError::TooMany {
            what: "bytes of numbers in a file of this length",
            found: bytes,
            maximum,
        });
    }
    Ok(())
}

fn one(numbers: &[f64]) -> Option<f64> {
    numbers.first().copied().filter(|value| value.is_finite())
}

fn unit(dataset: &Dataset) -> Result<Option<String>, TrajectoryError> {
    Ok(dataset.attrs()?.get("unit").and_then(AttrValue::as_str).map(str::to_owned))
}

fn length_unit(dataset: &Dataset) -> Result<f64, TrajectoryError> {
    let Some(name) = unit(dataset)? else { return Ok(1.0) };
    angstrom_per(&name).ok_or_else(|| TrajectoryError::malformed(format!("unknown unit of length {name:?}")))
}

fn time_unit(dataset: &Dataset) -> Result<f64, TrajectoryError> {
    let Some(name) = unit(dataset)? else { return Ok(1.0) };
    fs_per(&name).ok_or_else(|| TrajectoryError::malformed(format!("unknown unit of time {name:?}")))
}

/// `position/time`: one for each frame, or the step alone (with `offset`).
fn times(group: &Group, frames: u64) -> Result<Times, TrajectoryError> {
    let Ok(times) = group.dataset("position/time") else { return Ok(Times::None) };
    let unit = time_unit(&times)?;
    match times.shape()?[..] {
        [count] if count == frames => Ok(Times::Each(times, unit)),
        [] | [1] => {
            let step = one(&times.read_f64()?)
                .ok_or_else(|| TrajectoryError::malformed("the time step is no finite number"))?;
            let start = times.attrs()?.get("offset").and_then(AttrValue::as_f64).unwrap_or(0.0);
            Ok(Times::Even { start: start * unit, step: step * unit })
        }
        ref other => {
            Err(TrajectoryError::malformed(format!("times have the shape {other:?}, expected [{frames}]")))
        }
    }
}

/// `box/edges`: fixed, or one for each frame.
fn cells(group: &Group, frames: u64) -> Result<Cells, TrajectoryError> {
    if let Ok(edges) = group.dataset("box/edges/value") {
        let unit = length_unit(&edges)?;
        return match edges.shape()?[..] {
            [count, 3] | [count, 3, 3] if count == frames => Ok(Cells::Each(edges, unit)),
            ref other => Err(TrajectoryError::malformed(format!(
                "box/edges has the shape {other:?}, expected [{frames}, 3] or [{frames}, 3, 3]"
            ))),
        };
    }
    let Ok(edges) = group.dataset("box/edges") else { return Ok(Cells::None) };
    let unit = length_unit(&edges)?;
    if !matches!(edges.shape()?[..], [3] | [3, 3]) {
        return Err(TrajectoryError::malformed("box/edges is neither [3] nor [3, 3]"));
    }
    cell(&edges.read_f64()?, unit)
        .map(Cells::Fixed)
        .ok_or_else(|| TrajectoryError::malformed("the box has no volume"))
}

fn cell(numbers: &[f64], unit: f64) -> Option<Cell> {
    let cell = match *numbers {
        [a, b, c] => Cell::orthorhombic(a, b, c),
        [a, b, c, d, e, f, g, h, i] => Cell([[a, b, c], [d, e, f], [g, h, i]]),
        _ => return None,
    };
    Some(Cell(cell.0.map(|row| row.map(|value| value * unit)))).filter(Cell::is_proper)
}

/// `species` (atomic numbers, where they can be such) and bonds.
fn topology(file: &File, group: &Group, atoms: usize, length: u64) -> Result<Topology, TrajectoryError> {
    let mut topology = Topology::unknown(atoms);
    if let Ok(species) = group.dataset("species")
        && species.shape()? == [atoms as u64]
    {
        // Species may be any numbers (of a force field's types); those that are no elements say nothing here.
        let element =
            |number: i64| u8::try_from(number).ok().filter(|n| *n < 119).map_or(Element::UNKNOWN, Element);
        topology = Topology::of_elements(species.read_i64()?.into_iter().map(element).collect());
    }
    if let Ok(bonds) = file.dataset("connectivity/bonds") {
        let [count, 2] = bonds.shape()?[..] else {
            return Err(TrajectoryError::malformed("connectivity/bonds is not [B, 2]"));
        };
        if count > MOST_BONDS {
            return Err(TrajectoryError::TooMany { what: "bonds", found: count, maximum: MOST_BONDS });
        }
        check_bytes(length, 2 * count)?;
        let atom = |number: &i64| u32::try_from(*number).unwrap_or(u32::MAX);
        let numbers = bonds.read_i64()?;
        topology.set_bonds(numbers.as_chunks::<2>().0.iter().map(|[a, b]| [atom(a), atom(b)]).collect())?;
    }
    Ok(topology)
}
