//! Writes arrays of NumPy: positions first, as they come; then what is known at the end. Not compressed, as `np.savez`.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use flate2::Crc;

use super::FrameSink;
use super::atomic_file::AtomicFile;
use super::npy::header_bytes;
use crate::error::TrajectoryError;
use crate::topology::Topology;
use crate::trajectory::{Frame, even_step};

/// Bytes of a local header before the name, of the name `R.npy`, of its 64-bit field, and of the array's own header.
const LOCAL_HEADER: u64 = 30;
const LARGE_FIELD: u16 = 20;
const ARRAY_HEADER: u64 = 128;
const POSITIONS: &str = "R.npy";
/// 1980-01-01, so that equal trajectories make equal files.
const DATE: u16 = 0x0021;

pub(super) struct NpzSink {
    out: AtomicFile,
    topology: Topology,
    /// Of the positions.
    checksum: Crc,
    frames: u64,
    times: Vec<f64>,
    cells: Vec<f64>,
    /// Central directory entries.
    table: Vec<u8>,
    entries: u16,
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
            table: Vec::new(),
            entries: 0,
        })
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
        let mut checksum = Crc::new();
        checksum.update(&bytes);
        let place = self.out.stream_position()?;
        self.out.write_all(&local_header(name, checksum.sum(), bytes.len() as u64))?;
        self.out.write_all(&bytes)?;
        self.enter(name, checksum.sum(), bytes.len() as u64, place);
        Ok(())
    }

    /// Enters a member in the table.
    fn enter(&mut self, name: &str, checksum: u32, size: u64, place: u64) {
        let table = &mut self.table;
        table.extend_from_slice(b"PK\x01\x02");
        words16(table, &[45, 45, 0, 0, 0, DATE]);
        table.extend_from_slice(&checksum.to_le_bytes());
        table.extend_from_slice(&[0xff; 8]);
        words16(table, &[name.len() as u16, 28, 0, 0, 0, 0, 0]);
        table.extend_from_slice(&[0xff; 4]);
        table.extend_from_slice(name.as_bytes());
        words16(table, &[1, 24]);
        for number in [size, size, place] {
            table.extend_from_slice(&number.to_le_bytes());
        }
        self.entries += 1;
    }
}

/// A member that is stored as it is, with 64-bit sizes.
fn local_header(name: &str, checksum: u32, size: u64) -> Vec<u8> {
    let mut header = b"PK\x03\x04".to_vec();
    words16(&mut header, &[45, 0, 0, 0, DATE]);
    header.extend_from_slice(&checksum.to_le_bytes());
    header.extend_from_slice(&[0xff; 8]);
    words16(&mut header, &[name.len() as u16, LARGE_FIELD]);
    header.extend_from_slice(name.as_bytes());
    words16(&mut header, &[1, 16]);
    header.extend_from_slice(&size.to_le_bytes());
    header.extend_from_slice(&size.to_le_bytes());
    header
}

fn words16(bytes: &mut Vec<u8>, words: &[u16]) {
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
}

fn doubles(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl FrameSink for NpzSink {
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

    /// `dt_fs` is written if the times are evenly spaced, `cell` if every frame has one.
    fn finish(mut self: Box<Self>) -> Result<(), TrajectoryError> {
        let atoms = self.topology.atoms() as u64;
        let mut checksum = Crc::new();
        let array_header = header_bytes("<f4", &[self.frames, atoms, 3]);
        checksum.update(&array_header);
        checksum.combine(&self.checksum);
        let size = ARRAY_HEADER + 12 * self.frames * atoms;
        self.enter(POSITIONS, checksum.sum(), size, 0);
        let elements: Vec<u8> = self.topology.elements().iter().map(|element| element.0).collect();
        self.add("z.npy", "|u1", &[atoms], &elements)?;
        let bonds: Vec<u8> =
            self.topology.bonds().as_flattened().iter().flat_map(|atom| atom.to_le_bytes()).collect();
        let count = self.topology.bonds().len() as u64;
        self.add("bonds.npy", "<i4", &[count, 2], &bonds)?;
        if let Some(step) = even_step(&self.times).filter(|_| self.times.len() as u64 == self.frames) {
            self.add("dt_fs.npy", "<f8", &[], &doubles(&[step]))?;
        }
        if self.frames > 0 && self.cells.len() as u64 == 9 * self.frames {
            let cells = doubles(&self.cells);
            self.add("cell.npy", "<f8", &[self.frames, 3, 3], &cells)?;
        }
        let place = self.out.stream_position()?;
        let size_of_table = self.table.len() as u64;
        let entries = u64::from(self.entries);
        let mut end = std::mem::take(&mut self.table);
        // The 64-bit end record, its locator, and the old end record, which points to them.
        let record = place + size_of_table;
        end.extend_from_slice(b"PK\x06\x06");
        end.extend_from_slice(&44_u64.to_le_bytes());
        words16(&mut end, &[45, 45, 0, 0, 0, 0]);
        for number in [entries, entries, size_of_table, place] {
            end.extend_from_slice(&number.to_le_bytes());
        }
        end.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        end.extend_from_slice(&record.to_le_bytes());
        end.extend_from_slice(&1_u32.to_le_bytes());
        end.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        end.extend_from_slice(&[0xff; 12]);
        words16(&mut end, &[0]);
        self.out.write_all(&end)?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&local_header(POSITIONS, checksum.sum(), size))?;
        self.out.write_all(&array_header)?;
        Ok(self.out.finish()?)
    }
}
