//! Writes arrays of NumPy: positions first, as they come; then what is known at the end. Not compressed, as `np.savez`.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use flate2::Crc;

use super::FrameSink;
use super::atomic_file::AtomicFile;
use super::npy::header_bytes;
use super::zip_writer::{LARGE_FIELD, LOCAL_HEADER, ZipTable, local_header};
use crate::error::TrajectoryError;
use crate::topology::Topology;
use crate::trajectory::{Frame, even_step};

/// Bytes of the header of an array.
const ARRAY_HEADER: u64 = 128;
const POSITIONS: &str = "R.npy";

pub(super) struct NpzSink {
    out: AtomicFile,
    topology: Topology,
    /// Of the positions.
    checksum: Crc,
    frames: u64,
    times: Vec<f64>,
    cells: Vec<f64>,
    /// First frame of each sample, and the frame of the reference that it stands for.
    samples: Vec<(u64, Option<u64>)>,
    table: ZipTable,
}

impl NpzSink {
    pub(super) fn create(path: &Path, topology: Topology) -> Result<Self, TrajectoryError> {
        let mut out = AtomicFile::create(path)?;
        // How many frames come is not known yet: the two headers are written at the end.
        let headers = LOCAL_HEADER + POSITIONS.len() as u64 + u64::from(LARGE_FIELD) + ARRAY_HEADER;
        out.write_all(&vec![0; headers as usize])?;
        Ok(Self {
            out,
            topology,
            checksum: Crc::new(),
            frames: 0,
            times: Vec::new(),
            cells: Vec::new(),
            samples: Vec::new(),
            table: ZipTable::default(),
        })
    }

    /// Samples, and frames of each: those that were begun, if they are of one length and have no cells that change; else all
    /// frames are one sample.
    fn layout(&self) -> (u64, u64) {
        let count = self.samples.len() as u64;
        if count == 0 || !self.frames.is_multiple_of(count) || self.one_cell().is_none() {
            return (1, self.frames);
        }
        let each = self.frames / count;
        let even = self.samples.iter().zip(0..).all(|((first, _), sample)| *first == sample * each);
        if even { (count, each) } else { (1, self.frames) }
    }

    /// The cell that all frames have, or nothing if none has one; `None` if they differ.
    fn one_cell(&self) -> Option<&[f64]> {
        let first = self.cells.get(..9).unwrap_or_default();
        let same = self.cells.is_empty()
            || self.cells.len() as u64 == 9 * self.frames && self.cells.chunks(9).all(|cell| cell == first);
        same.then_some(first)
    }

    /// The time from frame to frame, if it is known and the same everywhere.
    fn step(&self, each: u64) -> Option<f64> {
        if self.times.len() as u64 != self.frames || each == 0 {
            return None;
        }
        let mut steps = self.times.chunks(each as usize).map(even_step);
        let first = steps.next()??;
        steps.all(|step| step.is_some_and(|step| (step - first).abs() <= 1e-6 * first)).then_some(first)
    }

    fn add(
        &mut self,
        name: &str,
        description: &str,
        shape: &[u64],
        data: &[u8],
    ) -> Result<(), TrajectoryError> {
        let mut bytes = header_bytes(description, shape);
        bytes.extend_from_slice(data);
        self.table.add(&mut self.out, name, &bytes)
    }
}

fn doubles(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl FrameSink for NpzSink {
    fn begin_sample(&mut self, window: Option<u64>) {
        self.samples.push((self.frames, window));
    }

    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        let bytes: Vec<u8> =
            frame.positions.as_flattened().iter().flat_map(|value| value.to_le_bytes()).collect();
        self.checksum.update(&bytes);
        self.out.write_all(&bytes)?;
        self.times.extend(frame.time);
        self.cells.extend(frame.cell.iter().flat_map(|cell| cell.0.as_flattened().to_owned()));
        self.frames += 1;
        Ok(())
    }

    /// `dt_fs` is written if the times are evenly spaced, `cell` if every frame has one, `window` if that of every sample is
    /// known.
    fn finish(mut self: Box<Self>) -> Result<(), TrajectoryError> {
        let atoms = self.topology.atoms() as u64;
        let mut checksum = Crc::new();
        let (samples, each) = self.layout();
        let shape = [samples, each, atoms, 3];
        let array_header = header_bytes("<f4", if samples == 1 { &shape[1..] } else { &shape });
        checksum.update(&array_header);
        checksum.combine(&self.checksum);
        let size = ARRAY_HEADER + 12 * self.frames * atoms;
        self.table.enter(POSITIONS, checksum.sum(), size, 0);
        let elements: Vec<u8> = self.topology.elements().iter().map(|element| element.0).collect();
        self.add("z.npy", "|u1", &[atoms], &elements)?;
        let bonds: Vec<u8> =
            self.topology.bonds().as_flattened().iter().flat_map(|atom| atom.to_le_bytes()).collect();
        let count = self.topology.bonds().len() as u64;
        self.add("bonds.npy", "<i4", &[count, 2], &bonds)?;
        if let Some(step) = self.step(each) {
            self.add("dt_fs.npy", "<f8", &[], &doubles(&[step]))?;
        }
        let windows: Option<Vec<u64>> = self.samples.iter().map(|(_, window)| *window).collect();
        if let Some(windows) = windows.filter(|windows| windows.len() as u64 == samples) {
            let bytes: Vec<u8> = windows.iter().flat_map(|window| window.to_le_bytes()).collect();
            self.add("window.npy", "<u8", &[samples], &bytes)?;
        }
        let one = self.one_cell().filter(|cell| samples > 1 && !cell.is_empty()).map(doubles);
        if let Some(cell) = one {
            self.add("cell.npy", "<f8", &[3, 3], &cell)?;
        } else if self.frames > 0 && self.cells.len() as u64 == 9 * self.frames {
            let cells = doubles(&self.cells);
            self.add("cell.npy", "<f8", &[self.frames, 3, 3], &cells)?;
        }
        std::mem::take(&mut self.table).write_end(&mut self.out)?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&local_header(POSITIONS, checksum.sum(), size))?;
        self.out.write_all(&array_header)?;
        Ok(self.out.finish()?)
    }
}
