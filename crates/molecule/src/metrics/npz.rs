//! Arrays of four-byte numbers of a NumPy `.npz` file: a zip archive of `.npy` arrays.
//!
//! Only plain numbers are read: an array of Python objects is a pickle, which could run code, and is refused. What is
//! unpacked is bounded by the shape that the caller expects and verified by the archive's checksum.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use crate::error::MoleculeError;

/// The longest header of an array, in bytes; NumPy writes 128.
const LONGEST_HEADER: usize = 4096;
/// The longest array whose length the caller does not know, in numbers.
const LONGEST_COLUMN: usize = 1 << 24;
/// No archive of weights this crate reads is larger.
const LARGEST_FILE: u64 = 1 << 30;

/// The archive in memory and its table of contents.
pub(crate) struct NumpyArchive {
    path: PathBuf,
    bytes: Vec<u8>,
    members: Vec<Member>,
}

struct Member {
    name: String,
    method: u16,
    checksum: u32,
    packed: usize,
    local_header: usize,
}

impl NumpyArchive {
    /// Read an archive and its table of contents.
    pub(crate) fn open(path: &Path) -> Result<Self, MoleculeError> {
        let file_error = |source| MoleculeError::File { task: "read", path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(file_error)?.len();
        if length > LARGEST_FILE {
            return Err(malformed(path, "it is larger than 1 GiB"));
        }
        let bytes = std::fs::read(path).map_err(file_error)?;
        let members = table_of_contents(&bytes).ok_or_else(|| malformed(path, "it is no .npz archive"))?;
        Ok(Self { path: path.to_owned(), bytes, members })
    }

    /// An array of this shape, row-major.
    pub(crate) fn array(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, MoleculeError> {
        let count: usize = shape.iter().product();
        let (found, data) = self.data(name, "'<f4'", count)?;
        if found != shape {
            return Err(malformed(
                &self.path,
                format!("array {name:?} has shape {found:?}, expected {shape:?}"),
            ));
        }
        self.finite(name, &data)
    }

    /// An array of any length along one axis.
    pub(crate) fn numbers(&self, name: &str) -> Result<Vec<f32>, MoleculeError> {
        self.finite(name, &self.column(name, "'<f4'")?)
    }

    /// The same of integers.
    pub(crate) fn unsigned_numbers(&self, name: &str) -> Result<Vec<u32>, MoleculeError> {
        let data = self.column(name, "'<u4'")?;
        Ok(data.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number)).collect())
    }

    fn column(&self, name: &str, kind: &str) -> Result<Vec<u8>, MoleculeError> {
        let (shape, data) = self.data(name, kind, LONGEST_COLUMN)?;
        match shape.len() {
            1 => Ok(data),
            axes => Err(malformed(&self.path, format!("array {name:?} has {axes} axes, expected one"))),
        }
    }

    fn finite(&self, name: &str, data: &[u8]) -> Result<Vec<f32>, MoleculeError> {
        let values: Vec<f32> =
            data.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(malformed(&self.path, format!("array {name:?} holds numbers that are not finite"))),
        }
    }

    /// An array's shape and its numbers of four bytes, at most `limit` of them.
    fn data(&self, name: &str, kind: &str, limit: usize) -> Result<(Vec<usize>, Vec<u8>), MoleculeError> {
        let wrong = |reason: String| malformed(&self.path, reason);
        let member = self.members.iter().find(|member| member.name.strip_suffix(".npy") == Some(name));
        let member = member.ok_or_else(|| wrong(format!("it has no array {name:?}")))?;
        let bytes = self.unpack(member, LONGEST_HEADER + 4 * limit).map_err(|reason| {
            wrong(format!("array {name:?} cannot be unpacked ({reason}); the file may be damaged"))
        })?;
        let (header, data) =
            split_header(&bytes).ok_or_else(|| wrong(format!("array {name:?} has no NumPy header")))?;
        let described = |key: &str| header.split(&format!("'{key}':")).nth(1).map(str::trim_start);
        if !described("descr").is_some_and(|found| found.starts_with(kind)) {
            let expected = if kind == "'<u4'" { "uint32" } else { "float32" };
            return Err(wrong(format!("array {name:?} is not of little-endian {expected}")));
        }
        if !described("fortran_order").is_some_and(|order| order.starts_with("False")) {
            return Err(wrong(format!("array {name:?} is not row-major")));
        }
        let shape: Option<Vec<usize>> = described("shape")
            .and_then(|shape| shape.strip_prefix('('))
            .and_then(|shape| shape.split(')').next())
            .map(|shape| shape.split(',').filter_map(|number| number.trim().parse().ok()).collect());
        let shape = shape.ok_or_else(|| wrong(format!("array {name:?} has no shape")))?;
        let count = shape.iter().try_fold(4_usize, |bytes, length| bytes.checked_mul(*length));
        if count != Some(data.len()) {
            return Err(wrong(format!("array {name:?} of shape {shape:?} has {} bytes", data.len())));
        }
        Ok((shape, data.to_vec()))
    }

    fn unpack(&self, member: &Member, limit: usize) -> Result<Vec<u8>, String> {
        let header = self.bytes.get(member.local_header..).filter(|rest| rest.starts_with(b"PK\x03\x04"));
        let header = header.ok_or("its place is wrong")?;
        let names = u16_at(header, 26).zip(u16_at(header, 28)).ok_or("its place is wrong")?;
        let start = 30 + usize::from(names.0) + usize::from(names.1);
        let packed = header.get(start..).and_then(|rest| rest.get(..member.packed)).ok_or("it is cut off")?;
        let mut bytes = Vec::new();
        match member.method {
            0 => bytes.extend_from_slice(&packed[..packed.len().min(limit + 1)]),
            8 => {
                let mut decoder = DeflateDecoder::new(packed).take(limit as u64 + 1);
                decoder.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            }
            method => return Err(format!("compression method {method} is not supported")),
        }
        if bytes.len() > limit {
            return Err("it is longer than expected".to_owned());
        }
        let mut checksum = Crc::new();
        checksum.update(&bytes);
        if checksum.sum() == member.checksum { Ok(bytes) } else { Err("its checksum is wrong".to_owned()) }
    }
}

fn malformed(path: &Path, reason: impl Into<String>) -> MoleculeError {
    MoleculeError::Weights { path: path.to_owned(), reason: reason.into() }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

/// The entries of a zip archive's central directory, whose place is written at its end.
fn table_of_contents(bytes: &[u8]) -> Option<Vec<Member>> {
    // The end record is 22 bytes and may be followed by a comment of at most 65,535.
    let earliest = bytes.len().saturating_sub(22 + 65_535);
    let end =
        (earliest..=bytes.len().checked_sub(22)?).rev().find(|at| bytes[*at..].starts_with(b"PK\x05\x06"))?;
    let mut at = u32_at(bytes, end + 16)? as usize;
    let mut members = Vec::new();
    for _ in 0..u16_at(bytes, end + 10)? {
        let entry = bytes.get(at..).filter(|entry| entry.starts_with(b"PK\x01\x02"))?;
        let name_length = usize::from(u16_at(entry, 28)?);
        members.push(Member {
            name: String::from_utf8_lossy(entry.get(46..46 + name_length)?).into_owned(),
            method: u16_at(entry, 10)?,
            checksum: u32_at(entry, 16)?,
            packed: u32_at(entry, 20)? as usize,
            local_header: u32_at(entry, 42)? as usize,
        });
        at += 46 + name_length + usize::from(u16_at(entry, 30)?) + usize::from(u16_at(entry, 32)?);
    }
    Some(members)
}

/// The header's dictionary and the numbers after it.
fn split_header(npy: &[u8]) -> Option<(&str, &[u8])> {
    let rest = npy.strip_prefix(b"\x93NUMPY")?;
    let (length, start) = match rest.first()? {
        1 => (usize::from(u16_at(rest, 2)?), 4),
        2 | 3 => (u32_at(rest, 2)? as usize, 6),
        _ => return None,
    };
    let header = rest.get(start..)?.get(..length)?;
    Some((std::str::from_utf8(header).ok()?, &rest[start + length..]))
}
