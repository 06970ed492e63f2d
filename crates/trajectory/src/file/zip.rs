//! The table of contents of a zip archive (PKWARE APPNOTE 6.3), with the 64-bit fields of large archives.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::error::TrajectoryError;

/// The end record is 22 bytes and may be followed by a comment of at most 65,535; a 64-bit locator (20 bytes) and a 64-bit
/// end record (56 bytes) may stand before it.
const LONGEST_END: u64 = 22 + 65_535;
/// No archive this crate reads has a longer table.
const LONGEST_TABLE: u64 = 1 << 24;
/// A field of 32 bits that says the number is among the 64-bit fields.
const ELSEWHERE: u64 = 0xffff_ffff;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    /// 0: stored, 8: deflated.
    pub(super) method: u16,
    pub(super) checksum: u32,
    pub(super) packed: u64,
    pub(super) unpacked: u64,
    local_header: u64,
}

/// Reads the archive's table.
pub(super) fn table_of_contents(file: &mut File) -> Result<Vec<Member>, TrajectoryError> {
    let no_archive = || TrajectoryError::malformed("it is no zip archive, or it is cut off");
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LONGEST_END);
    let tail = bytes_at(file, start, length - start)?;
    let end = (0..=tail.len().checked_sub(22).ok_or_else(no_archive)?)
        .rev()
        .find(|at| tail[*at..].starts_with(b"PK\x05\x06"))
        .ok_or_else(no_archive)?;
    let mut entries = u64::from(u16_at(&tail, end + 10));
    let mut size = u64::from(u32_at(&tail, end + 12));
    let mut place = u64::from(u32_at(&tail, end + 16));
    if place == ELSEWHERE || size == ELSEWHERE || entries == 0xffff {
        let locator =
            end.checked_sub(20).filter(|at| tail[*at..].starts_with(b"PK\x06\x07")).ok_or_else(no_archive)?;
        let record = bytes_at(file, u64_at(&tail, locator + 8), 56)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(no_archive());
        }
        (entries, size, place) = (u64_at(&record, 32), u64_at(&record, 40), u64_at(&record, 48));
    }
    if size > LONGEST_TABLE || place.checked_add(size).is_none_or(|end| end > length) {
        return Err(no_archive());
    }
    let table = bytes_at(file, place, size)?;
    let mut members = Vec::new();
    let mut at = 0;
    for _ in 0..entries {
        let entry = table.get(at..).filter(|entry| entry.len() >= 46 && entry.starts_with(b"PK\x01\x02"));
        let entry = entry.ok_or_else(no_archive)?;
        let [name, extra, comment] = [28, 30, 32].map(|field| usize::from(u16_at(entry, field)));
        let name_end = 46 + name;
        let name = entry.get(46..name_end).ok_or_else(no_archive)?;
        let mut extra_fields = entry.get(name_end..name_end + extra).ok_or_else(no_archive)?;
        let mut numbers = [24, 20, 42].map(|field| u64::from(u32_at(entry, field)));
        while extra_fields.len() >= 4 {
            let field_end = 4 + usize::from(u16_at(extra_fields, 2));
            let field = extra_fields.get(..field_end).ok_or_else(no_archive)?;
            if u16_at(field, 0) == 1 {
                // Only the numbers that are said to be here are, in this order.
                let mut next = 4;
                for number in numbers.iter_mut().filter(|number| **number == ELSEWHERE) {
                    *number = u64_at(field, next);
                    next += 8;
                }
            }
            extra_fields = &extra_fields[field_end..];
        }
        let [unpacked, packed, local_header] = numbers;
        members.push(Member {
            name: String::from_utf8_lossy(name).into_owned(),
            method: u16_at(entry, 10),
            checksum: u32_at(entry, 16),
            packed,
            unpacked,
            local_header,
        });
        at += name_end + extra + comment;
    }
    Ok(members)
}

impl Member {
    /// Sets the file to the first packed byte and returns how many there are; they lie within the file.
    pub(super) fn seek_to_data(&self, file: &mut File) -> Result<u64, TrajectoryError> {
        let wrong = || TrajectoryError::malformed(format!("{} is not where the archive says", self.name));
        let header = bytes_at(file, self.local_header, 30)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(wrong());
        }
        let start = self.local_header + 30 + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        if start.checked_add(self.packed).is_none_or(|end| file.metadata().is_ok_and(|data| end > data.len()))
        {
            return Err(TrajectoryError::CutOff { expected: "the rest of an array" });
        }
        file.seek(SeekFrom::Start(start))?;
        Ok(self.packed)
    }
}

/// Bytes of a file, which must be there.
fn bytes_at(file: &mut File, place: u64, count: u64) -> Result<Vec<u8>, TrajectoryError> {
    file.seek(SeekFrom::Start(place))?;
    let mut bytes = Vec::new();
    file.take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == count {
        Ok(bytes)
    } else {
        Err(TrajectoryError::CutOff { expected: "the archive's table of contents" })
    }
}

// Fields whose presence has been checked; 0 stands for what is not there.

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
