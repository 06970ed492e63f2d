//! Trajectories as arrays of NumPy (`.npz`), under the names that MD17 uses:
//!
//! | array | shape | |
//! | --- | --- | --- |
//! | `R` (or `coords`, `positions`) | `[T, N, 3]`, or `[run, T, N, 3]` | ångström |
//! | `z` (or `nuclear_charges`, `elements`) | `[N]` | atomic numbers |
//! | `bonds` | `[B, 2]` | atoms from 0 |
//! | `dt_fs` or `dt_ps` | scalar | time from frame to frame |
//! | `cell` | `[T, 3, 3]` or `[3, 3]` | edge vectors as rows, ångström |
//! | `window` | `[run]` | of samples: the frame of the reference at which each begins |
//!
//! Positions are read frame by frame, whatever their number. (The crate `molecule` reads arrays of weights in a way of its
//! own; NumPy's Rust crate would take a stated shape at its word and reserve memory for it.)

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::npy::Header;
use super::zip::{Member, table_of_contents};
use super::{FrameSource, LARGEST_RATIO, at_frame, checked_atoms, in_document, open_file};
use crate::cell::Cell;
use crate::element::Element;
use crate::error::TrajectoryError;
use crate::topology::Topology;
use crate::trajectory::Frame;
use crate::units::FS_PER_PS;

/// The largest array that is read at once, in bytes.
const LARGEST_ARRAY: u64 = 1 << 32;

/// An archive of arrays, for what is not positions: velocities, energies, the dihedral angles of a data set.
pub struct NumpyArchive {
    path: PathBuf,
    members: Vec<Member>,
}

/// An array that is read piece by piece.
struct ArrayStream {
    input: Box<dyn Read + Send>,
    header: Header,
    checksum: Crc,
    expected: u32,
}

impl NumpyArchive {
    /// Reads an archive's table of contents.
    ///
    /// # Errors
    /// [`TrajectoryError::File`], [`TrajectoryError::Document`].
    pub fn open(path: &Path) -> Result<Self, TrajectoryError> {
        let members = table_of_contents(&mut open_file(path)?).map_err(|error| in_document(path, error))?;
        Ok(Self { path: path.to_owned(), members })
    }

    /// Whether there is an array of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// An array's shape, without reading its numbers.
    ///
    /// # Errors
    /// [`TrajectoryError::Document`] if it is not there or no plain little-endian numbers.
    pub fn shape(&self, name: &str) -> Result<Vec<u64>, TrajectoryError> {
        let stream = self.stream(name).map_err(|error| self.in_array(name, error))?;
        Ok(stream.header.shape.to_vec())
    }

    /// An array's shape and its numbers, row-major.
    ///
    /// # Errors
    /// [`TrajectoryError::Document`] if it is not there, no plain little-endian numbers, damaged, or larger than 4 GiB.
    pub fn array(&self, name: &str) -> Result<(Vec<usize>, Vec<f64>), TrajectoryError> {
        self.read_array(name).map_err(|error| self.in_array(name, error))
    }

    /// The same in single precision, which takes half the memory.
    ///
    /// # Errors
    /// As [`NumpyArchive::array`].
    pub fn floats(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), TrajectoryError> {
        let mut numbers = Vec::new();
        let shape = self.numbers(name, &mut |value| numbers.push(value as f32));
        Ok((shape.map_err(|error| self.in_array(name, error))?, numbers))
    }

    /// An error of this array's content.
    pub(crate) fn wrong(&self, name: &str, reason: impl Into<String>) -> TrajectoryError {
        self.in_array(name, TrajectoryError::malformed(reason))
    }

    fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name.strip_suffix(".npy") == Some(name))
    }

    fn in_array(&self, name: &str, error: TrajectoryError) -> TrajectoryError {
        in_document(&self.path, TrajectoryError::malformed(format!("array {name:?}: {error}")))
    }

    fn read_array(&self, name: &str) -> Result<(Vec<usize>, Vec<f64>), TrajectoryError> {
        let mut numbers = Vec::new();
        let shape = self.numbers(name, &mut |value| numbers.push(value))?;
        Ok((shape, numbers))
    }

    fn numbers(&self, name: &str, take: &mut dyn FnMut(f64)) -> Result<Vec<usize>, TrajectoryError> {
        let mut stream = self.stream(name)?;
        let bytes = stream.header.data_bytes().unwrap_or(u64::MAX);
        if bytes > LARGEST_ARRAY {
            return Err(TrajectoryError::TooMany { what: "bytes", found: bytes, maximum: LARGEST_ARRAY });
        }
        stream.read(bytes, take)?;
        stream.verify()?;
        Ok(stream.header.shape.iter().map(|axis| *axis as usize).collect())
    }

    fn stream(&self, name: &str) -> Result<ArrayStream, TrajectoryError> {
        let member =
            self.member(name).ok_or_else(|| TrajectoryError::malformed("it is not in the archive"))?;
        let mut file = open_file(&self.path)?;
        let packed = member.seek_to_data(&mut file)?;
        if member.unpacked > packed.saturating_mul(LARGEST_RATIO).saturating_add(64) {
            return Err(TrajectoryError::malformed("its stated size cannot come from its packed size"));
        }
        let packed: std::io::Take<BufReader<File>> = BufReader::with_capacity(1 << 16, file).take(packed);
        let input: Box<dyn Read + Send> = match member.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed).take(member.unpacked)),
            method => {
                return Err(TrajectoryError::malformed(format!(
                    "compression method {method} is not supported"
                )));
            }
        };
        let mut input = Checked { input, checksum: Crc::new() };
        let header = Header::read(&mut input)?;
        if header.data_bytes().and_then(|bytes| bytes.checked_add(header.length)) != Some(member.unpacked) {
            return Err(TrajectoryError::malformed(format!(
                "its shape {:?} does not fit its {} bytes",
                header.shape, member.unpacked
            )));
        }
        Ok(ArrayStream { input: input.input, header, checksum: input.checksum, expected: member.checksum })
    }
}

struct Checked {
    input: Box<dyn Read + Send>,
    checksum: Crc,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.checksum.update(&buffer[..read]);
        Ok(read)
    }
}

impl ArrayStream {
    /// Hands the numbers in the next `bytes` to `take`.
    fn read(&mut self, bytes: u64, take: &mut dyn FnMut(f64)) -> Result<(), TrajectoryError> {
        let mut buffer = [0; 1 << 13];
        let mut left = bytes;
        while left > 0 {
            // A whole number of numbers.
            let part = left.min(buffer.len() as u64) as usize;
            self.input.read_exact(&mut buffer[..part]).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => TrajectoryError::CutOff { expected: "another number" },
                std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
                    TrajectoryError::malformed("the packed numbers are damaged")
                }
                _ => TrajectoryError::Stream(error),
            })?;
            self.checksum.update(&buffer[..part]);
            self.header.kind.decode(&buffer[..part], &mut *take);
            left -= part as u64;
        }
        Ok(())
    }

    /// Compares the checksum, when all numbers have been read.
    fn verify(&self) -> Result<(), TrajectoryError> {
        if self.checksum.sum() == self.expected {
            Ok(())
        } else {
            Err(TrajectoryError::malformed("the checksum is wrong: the numbers are damaged"))
        }
    }
}

pub(super) struct NpzSource {
    topology: Topology,
    stream: ArrayStream,
    time_step: Option<f64>,
    /// One for each frame, or one for all.
    cells: Vec<Cell>,
    frames: u64,
    next: u64,
    /// Runs behind the one that is read must be passed over before the checksum can be compared.
    numbers_behind: u64,
    verified: bool,
}

impl NpzSource {
    pub(super) fn open(path: &Path, run: Option<usize>) -> Result<Self, TrajectoryError> {
        // Without the archive's table, which stands at its end, there is no way to the first frame.
        let archive = NumpyArchive::open(path).map_err(|error| match error {
            TrajectoryError::Document { source, .. } => at_frame(path, 0, None, *source),
            other => other,
        })?;
        let name = positions(&archive);
        let in_positions = |error| archive.in_array(name, error);
        let mut stream = archive.stream(name).map_err(in_positions)?;
        let (runs, frames, atoms) = match stream.header.shape[..] {
            [frames, atoms, 3] => (1, frames, atoms),
            [runs, frames, atoms, 3] => (runs, frames, atoms),
            ref other => {
                let reason = format!("its shape is {other:?}, expected [T, N, 3] or [run, T, N, 3]");
                return Err(in_positions(TrajectoryError::malformed(reason)));
            }
        };
        let atoms = checked_atoms(atoms).map_err(in_positions)?;
        let run = match run {
            Some(run) => run as u64,
            None if runs <= 1 => 0,
            None => {
                let reason = format!("it holds {runs} runs; say which (from 0)");
                return Err(in_positions(TrajectoryError::malformed(reason)));
            }
        };
        if run >= runs {
            let reason = format!("it has no run {run}: there are {runs}, numbered from 0");
            return Err(in_positions(TrajectoryError::malformed(reason)));
        }
        let run_bytes = stream.header.data_bytes().unwrap_or(0) / runs;
        stream.read(run * run_bytes, &mut |_| ()).map_err(in_positions)?;
        let numbers_behind = (runs - 1 - run) * run_bytes;
        let topology = topology(&archive, atoms)?;
        let time_step = time_step(&archive)?;
        let cells = cells(&archive, frames)?;
        Ok(Self { topology, stream, time_step, cells, frames, next: 0, numbers_behind, verified: false })
    }
}

/// The name of the array of positions.
fn positions(archive: &NumpyArchive) -> &'static str {
    ["R", "coords", "positions"].into_iter().find(|name| archive.has(name)).unwrap_or("R")
}

/// Runs in the array of positions; `None` where it has no axis of runs.
pub(super) fn runs(path: &Path) -> Result<Option<u64>, TrajectoryError> {
    let archive = NumpyArchive::open(path)?;
    match archive.shape(positions(&archive))?[..] {
        [runs, _, _, _] => Ok(Some(runs)),
        _ => Ok(None),
    }
}

impl FrameSource for NpzSource {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, TrajectoryError> {
        if self.next == self.frames {
            if !self.verified {
                self.stream.read(self.numbers_behind, &mut |_| ())?;
                self.stream.verify()?;
                self.verified = true;
            }
            return Ok(None);
        }
        let numbers = 3 * self.topology.atoms();
        // Memory is reserved as numbers come, not as they are stated.
        let mut coordinates: Vec<f32> = Vec::new();
        let bytes = (numbers * self.stream.header.kind.bytes()) as u64;
        self.stream.read(bytes, &mut |value| coordinates.push(value as f32))?;
        if coordinates.iter().any(|value| !value.is_finite()) {
            return Err(TrajectoryError::malformed("a coordinate is not finite"));
        }
        let frame = Frame {
            time: self.time_step.map(|step| self.next as f64 * step),
            cell: self
                .cells
                .get(self.next as usize)
                .or(self.cells.first().filter(|_| self.cells.len() == 1))
                .copied(),
            positions: coordinates.as_chunks::<3>().0.to_vec(),
        };
        self.next += 1;
        Ok(Some(frame))
    }
}

/// Elements and bonds, where the archive has them.
pub(crate) fn topology(archive: &NumpyArchive, atoms: usize) -> Result<Topology, TrajectoryError> {
    let mut topology = Topology::unknown(atoms);
    if let Some(name) = ["z", "nuclear_charges", "elements"].into_iter().find(|name| archive.has(name)) {
        let (_, numbers) = archive.array(name)?;
        let elements: Option<Vec<Element>> = numbers
            .iter()
            .map(|number| (0.0..119.0).contains(number).then_some(Element(*number as u8)))
            .collect();
        topology = elements
            .filter(|elements| elements.len() == atoms)
            .map(Topology::of_elements)
            .ok_or_else(|| {
                let reason = format!("expected {atoms} atomic numbers, as many as atoms");
                archive.in_array(name, TrajectoryError::malformed(reason))
            })?;
    }
    if archive.has("bonds") {
        let (shape, numbers) = archive.array("bonds")?;
        if shape.last() != Some(&2) && !numbers.is_empty() {
            let reason = format!("its shape is {shape:?}, expected [B, 2]");
            return Err(archive.in_array("bonds", TrajectoryError::malformed(reason)));
        }
        // A negative number becomes one that no atom has.
        let atom =
            |number: f64| if (0.0..f64::from(u32::MAX)).contains(&number) { number as u32 } else { u32::MAX };
        let bonds = numbers.as_chunks::<2>().0.iter().map(|pair| pair.map(atom)).collect();
        topology.set_bonds(bonds).map_err(|error| archive.in_array("bonds", error))?;
    }
    Ok(topology)
}

/// Femtoseconds from frame to frame.
pub(crate) fn time_step(archive: &NumpyArchive) -> Result<Option<f64>, TrajectoryError> {
    Ok(match (scalar(archive, "dt_fs")?, scalar(archive, "dt_ps")?) {
        (Some(step), _) => Some(step),
        (None, step) => step.map(|step| step * FS_PER_PS),
    })
}

fn scalar(archive: &NumpyArchive, name: &str) -> Result<Option<f64>, TrajectoryError> {
    if !archive.has(name) {
        return Ok(None);
    }
    match archive.array(name)?.1[..] {
        [value] if value.is_finite() && value > 0.0 => Ok(Some(value)),
        ref other => {
            let reason = format!("expected one positive number, found {} numbers", other.len());
            Err(archive.in_array(name, TrajectoryError::malformed(reason)))
        }
    }
}

fn cells(archive: &NumpyArchive, frames: u64) -> Result<Vec<Cell>, TrajectoryError> {
    if !archive.has("cell") {
        return Ok(Vec::new());
    }
    let (shape, numbers) = archive.array("cell")?;
    let fits = match shape[..] {
        [3, 3] => true,
        [count, 3, 3] => count as u64 == frames,
        _ => false,
    };
    let cells: Vec<Cell> = numbers
        .as_chunks::<9>()
        .0
        .iter()
        .map(|[a, b, c, d, e, f, g, h, i]| Cell([[*a, *b, *c], [*d, *e, *f], [*g, *h, *i]]))
        .collect();
    if fits && cells.iter().all(Cell::is_proper) {
        Ok(cells)
    } else {
        let reason =
            format!("its shape is {shape:?}, expected [3, 3] or [{frames}, 3, 3] and cells with a volume");
        Err(archive.in_array("cell", TrajectoryError::malformed(reason)))
    }
}
