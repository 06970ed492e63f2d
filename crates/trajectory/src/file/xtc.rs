//! GROMACS' compressed trajectory, by way of the crate `molly`. Lengths are nanometres and times picoseconds in the file.
//! Up to nine atoms are stored as they are, more are rounded to 0.01 Å. The file knows no elements.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use molly::{XTCReader, XTCWriter};

use super::atomic_file::AtomicFile;
use super::xtc_stream::{PackedHeader, check_packed};
use super::{FrameSink, FrameSource, at_frame, checked_atoms, open_file};
use crate::cell::Cell;
use crate::error::TrajectoryError;
use crate::topology::Topology;
use crate::trajectory::Frame;
use crate::units::{ANGSTROM_PER_NM, FS_PER_PS, shortest_decimal};

/// Bytes before the positions: magic, atoms, step, time, nine numbers of the cell, atoms again.
const HEADER: usize = 56;
/// As many atoms are stored as they are, without precision and packing.
const UNPACKED_ATOMS: usize = 9;
/// Steps in a nanometre of the packed form.
const PRECISION: f32 = 1000.0;
/// The packed form holds steps as 32-bit integers; GROMACS leaves two at each end.
const LARGEST_STEP: f64 = 2_147_483_645.0;

pub(super) struct XtcSource {
    input: BufReader<File>,
    /// Bytes not read yet: no frame may claim more.
    left: u64,
    topology: Topology,
    first: Option<Frame>,
    /// One frame as it stands in the file.
    bytes: Vec<u8>,
    frame: molly::Frame,
    /// The crate's own buffer.
    scratch: Vec<u8>,
}

impl XtcSource {
    pub(super) fn open(path: &Path) -> Result<Self, TrajectoryError> {
        let file = open_file(path)?;
        let left = file.metadata()?.len();
        let mut source = Self {
            input: BufReader::with_capacity(1 << 16, file),
            left,
            topology: Topology::default(),
            first: None,
            bytes: Vec::new(),
            frame: molly::Frame::default(),
            scratch: Vec::new(),
        };
        source.first = source.read_frame().map_err(|source| at_frame(path, 0, None, source))?;
        source.topology = Topology::unknown(source.first.as_ref().map_or(0, |frame| frame.positions.len()));
        Ok(source)
    }

    /// Reads more bytes of the frame; the file must have them.
    fn take(&mut self, count: u64, expected: &'static str) -> Result<(), TrajectoryError> {
        if count > self.left {
            return Err(TrajectoryError::CutOff { expected });
        }
        self.left -= count;
        let found = (&mut self.input).take(count).read_to_end(&mut self.bytes)?;
        if found as u64 == count { Ok(()) } else { Err(TrajectoryError::CutOff { expected }) }
    }

    fn read_frame(&mut self) -> Result<Option<Frame>, TrajectoryError> {
        self.bytes.clear();
        if self.left == 0 {
            return Ok(None);
        }
        self.take(HEADER as u64, "a frame's header")?;
        let magic = int(&self.bytes, 0);
        // The length of the packed positions is four bytes in the old form, eight in that of 2023.
        let length_bytes = match magic {
            molly::Magic::XTC_1995 => 4,
            molly::Magic::XTC_2023 => 8,
            _ => {
                return Err(TrajectoryError::malformed(format!(
                    "expected the mark 1995 or 2023, found {magic}"
                )));
            }
        };
        let (atoms, again) = (int(&self.bytes, 4), int(&self.bytes, 52));
        if atoms != again || atoms < 0 {
            return Err(TrajectoryError::malformed(format!("the number of atoms is {atoms} and {again}")));
        }
        let atoms = checked_atoms(atoms as u64)?;
        if atoms <= UNPACKED_ATOMS {
            self.take(12 * atoms as u64, "the positions")?;
        } else {
            self.take(32 + length_bytes, "the packed positions' header")?;
            let header = PackedHeader::parse(&self.bytes[HEADER..])?;
            let length = match length_bytes {
                4 => u64::from(int(&self.bytes, HEADER + 32) as u32),
                _ => {
                    ((int(&self.bytes, HEADER + 32) as u32 as u64) << 32)
                        | u64::from(int(&self.bytes, HEADER + 36) as u32)
                }
            };
            let start = self.bytes.len();
            let padded = length
                .checked_next_multiple_of(4)
                .ok_or(TrajectoryError::CutOff { expected: "the packed positions" })?;
            self.take(padded, "the packed positions")?;
            check_packed(&header, &self.bytes[start..], length, atoms)?;
        }
        let mut reader = XTCReader::new(&self.bytes[..]);
        let all = molly::selection::AtomSelection::All;
        reader.read_frame_with_scratch(&mut self.frame, &mut self.scratch, &all)?;
        let positions = self.frame.positions.as_chunks::<3>().0.iter();
        let positions: Vec<[f32; 3]> =
            positions.map(|point| point.map(|value| (f64::from(value) * ANGSTROM_PER_NM) as f32)).collect();
        if !self.frame.time.is_finite() || positions.as_flattened().iter().any(|value| !value.is_finite()) {
            return Err(TrajectoryError::malformed("a time or a coordinate is not finite"));
        }
        let time = Some(shortest_decimal(self.frame.time) * FS_PER_PS);
        let rows =
            self.frame.boxvec_cols_2d().map(|row| row.map(|value| shortest_decimal(value) * ANGSTROM_PER_NM));
        // A box of zeros says that there is none.
        let cell = Some(Cell(rows)).filter(Cell::is_proper);
        Ok(Some(Frame { time, cell, positions }))
    }
}

impl FrameSource for XtcSource {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, TrajectoryError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        self.read_frame()
    }
}

/// The big-endian integer at a place that is known to be there.
fn int(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes)
}

pub(super) struct XtcSink {
    out: XTCWriter<AtomicFile>,
    written: u32,
}

impl XtcSink {
    pub(super) fn create(path: &Path) -> Result<Self, TrajectoryError> {
        Ok(Self { out: XTCWriter::new(AtomicFile::create(path)?), written: 0 })
    }
}

impl FrameSink for XtcSink {
    /// A frame without a time gets its number in picoseconds.
    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        let to_nm = |value: f32| (f64::from(value) / ANGSTROM_PER_NM) as f32;
        let positions: Vec<f32> = frame.positions.as_flattened().iter().map(|value| to_nm(*value)).collect();
        let largest = LARGEST_STEP / f64::from(PRECISION) / 2.0;
        if let Some(value) = positions.iter().find(|value| f64::from(value.abs()) > largest) {
            return Err(TrajectoryError::Value {
                what: "a coordinate in nm",
                value: f64::from(*value),
                expected: "at most 1,073,741 (XTC holds no more)",
            });
        }
        let time = frame.time.map_or(f64::from(self.written), |time| time / FS_PER_PS) as f32;
        let boxvec = frame.cell.map_or([0.0; 9], |cell| {
            let mut numbers = [0.0; 9];
            for (number, value) in numbers.iter_mut().zip(cell.0.as_flattened()) {
                *number = (value / ANGSTROM_PER_NM) as f32;
            }
            numbers
        });
        let frame = molly::Frame { step: self.written, time, boxvec, precision: PRECISION, positions };
        self.out.write_frame(&frame)?;
        self.written = self.written.wrapping_add(1);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), TrajectoryError> {
        self.out.file.flush()?;
        Ok(self.out.file.finish()?)
    }
}
