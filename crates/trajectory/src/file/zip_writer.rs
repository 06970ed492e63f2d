//! Writes archives of members that are stored as they are, with 64-bit sizes (PKWARE APPNOTE 6.3).

use super::atomic_file::AtomicFile;
use crate::error::TrajectoryError;
use flate2::Crc;
use std::io::{Seek, Write};

/// Bytes of a local header before the name, and of its 64-bit field.
pub(super) const LOCAL_HEADER: u64 = 30;
pub(super) const LARGE_FIELD: u16 = 20;
/// 1980-01-01, so that equal content makes equal files.
const DATE: u16 = 0x0021;

/// The central directory of an archive that is being written.
#[derive(Default)]
pub(super) struct ZipTable {
    bytes: Vec<u8>,
    entries: u16,
}

impl ZipTable {
    /// Writes a member where the output stands and enters it.
    pub(super) fn add(
        &mut self,
        out: &mut AtomicFile,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), TrajectoryError> {
        let mut checksum = Crc::new();
        checksum.update(bytes);
        let place = out.stream_position()?;
        out.write_all(&local_header(name, checksum.sum(), bytes.len() as u64))?;
        out.write_all(bytes)?;
        self.enter(name, checksum.sum(), bytes.len() as u64, place);
        Ok(())
    }

    /// Enters a member whose local header stands at `place`.
    pub(super) fn enter(&mut self, name: &str, checksum: u32, size: u64, place: u64) {
        let table = &mut self.bytes;
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

    /// Writes the table and the end records where the output stands.
    pub(super) fn write_end(self, out: &mut AtomicFile) -> Result<(), TrajectoryError> {
        let place = out.stream_position()?;
        let size_of_table = self.bytes.len() as u64;
        let entries = u64::from(self.entries);
        let mut end = self.bytes;
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
        Ok(out.write_all(&end)?)
    }
}

/// A member that is stored as it is, with 64-bit sizes.
pub(super) fn local_header(name: &str, checksum: u32, size: u64) -> Vec<u8> {
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
