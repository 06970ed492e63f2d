//! The container of a prepared data set: named columns of small integers and one text of metadata.
//!
//! It is a safetensors file (8 bytes little-endian header length, a JSON header, the columns), so any tool that reads
//! safetensors can look into it. Columns are one-dimensional, wider ones first, then by name, so that all are aligned;
//! equal contents give equal bytes. The metadata stand under the key [`KEY`], which begins the header and is the mark by
//! which such a file is recognised; they hold the SHA-256 of everything behind the header.
//!
//! Files are read as if an enemy had written them: nothing longer than the file is allocated, and nothing of a column's
//! length before the header has been found to describe exactly the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use equidrift_backend::atomic::write_atomically;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use sha2::{Digest, Sha256};

use super::error::DatasetError;
use crate::error::Error;

/// Key of the metadata in the header.
pub(crate) const KEY: &str = "equidrift.dataset";
/// What every file has behind its first 8 bytes.
const MARK: &str = "{\"__metadata__\":{\"equidrift.dataset\":";
/// The longest header that is read, in bytes.
const LONGEST_HEADER: u64 = 64 * 1024 * 1024;

/// A column to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View<'a> {
    U8(&'a [u8]),
    I8(&'a [i8]),
    /// Numbers below 256, written in 8 bits.
    Narrow(&'a [u16]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    I32(&'a [i32]),
}

impl<'a> View<'a> {
    /// The narrowest column that holds these numbers.
    pub(crate) fn narrowest(values: &'a [u16]) -> Self {
        if values.iter().all(|value| *value < 256) { Self::Narrow(values) } else { Self::U16(values) }
    }

    fn dtype(self) -> (&'static str, usize) {
        match self {
            Self::U8(_) | Self::Narrow(_) => ("U8", 1),
            Self::I8(_) => ("I8", 1),
            Self::U16(_) => ("U16", 2),
            Self::U32(_) => ("U32", 4),
            Self::I32(_) => ("I32", 4),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::Narrow(values) | Self::U16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
        }
    }

    /// The bytes, little endian, piece by piece.
    fn bytes(self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        fn pieces<T: Copy, const N: usize>(
            values: &[T],
            of: impl Fn(T) -> [u8; N],
            take: &mut impl FnMut(&[u8]) -> io::Result<()>,
        ) -> io::Result<()> {
            values.chunks(8192).try_for_each(|chunk| {
                let bytes: Vec<u8> = chunk.iter().flat_map(|value| of(*value)).collect();
                take(&bytes)
            })
        }
        match self {
            Self::U8(values) => take(values),
            Self::I8(values) => pieces(values, i8::to_le_bytes, &mut take),
            Self::Narrow(values) => pieces(values, |value| [value as u8], &mut take),
            Self::U16(values) => pieces(values, u16::to_le_bytes, &mut take),
            Self::U32(values) => pieces(values, u32::to_le_bytes, &mut take),
            Self::I32(values) => pieces(values, i32::to_le_bytes, &mut take),
        }
    }
}

/// Columns to be written, by name.
pub(crate) type Views<'a> = BTreeMap<String, View<'a>>;

/// A column as read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Column {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
}

impl Column {
    fn from_bytes(dtype: Dtype, bytes: Vec<u8>) -> Option<Self> {
        Some(match dtype {
            Dtype::U8 => Self::U8(bytes),
            Dtype::I8 => Self::I8(bytes.into_iter().map(u8::cast_signed).collect()),
            Dtype::U16 => Self::U16(bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect()),
            Dtype::U32 => Self::U32(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect()),
            Dtype::I32 => Self::I32(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect()),
            _ => return None,
        })
    }
}

/// Columns as read, by name.
pub(crate) type Columns = BTreeMap<String, Column>;

/// The order in which columns stand in a file.
fn in_file_order<'a>(columns: &'a Views<'a>) -> Vec<(&'a String, View<'a>)> {
    let mut order: Vec<_> = columns.iter().map(|(name, view)| (name, *view)).collect();
    order.sort_by_key(|(_, column)| std::cmp::Reverse(column.dtype().1));
    order
}

/// SHA-256 of the columns as they stand in a file.
pub(crate) fn digest(columns: &Views<'_>) -> String {
    let mut hasher = Sha256::new();
    for (_, column) in in_file_order(columns) {
        // Hashing cannot fail.
        let _ = column.bytes(|bytes| {
            hasher.update(bytes);
            Ok(())
        });
    }
    hexadecimal(&hasher.finalize())
}

pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file atomically.
pub(crate) fn write(path: &Path, metadata: &str, columns: &Views<'_>) -> io::Result<()> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut header = format!("{MARK}{}}}", quoted(metadata));
    let mut end = 0;
    let order = in_file_order(columns);
    for (name, column) in &order {
        let (dtype, width) = column.dtype();
        let (length, begin) = (column.len(), end);
        end += width * length;
        header.push_str(&format!(
            ",{}:{{\"dtype\":\"{dtype}\",\"shape\":[{length}],\"data_offsets\":[{begin},{end}]}}",
            quoted(name)
        ));
    }
    header.push('}');
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    write_atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        order.iter().try_for_each(|(_, column)| column.bytes(|bytes| file.write_all(bytes)))
    })
}

/// Whether a file begins as one of these does. A file that cannot be read does not.
pub(crate) fn has_mark(path: &Path) -> bool {
    let mut start = [0; 8 + MARK.len()];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && &start[8..] == MARK.as_bytes()
}

/// A file as read.
pub(crate) struct ColumnFile {
    pub(crate) metadata: String,
    pub(crate) columns: Columns,
    /// SHA-256 of the columns as they stand in the file.
    pub(crate) digest: String,
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<ColumnFile, Error> {
    let bad = |reason: String| DatasetError::NotPrepared { path: path.to_owned(), reason };
    let io = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let kind = file.metadata().map_err(io)?;
    if !kind.is_file() {
        return Err(bad("it is no plain file".to_owned()).into());
    }
    let mut file = BufReader::with_capacity(1 << 16, file);
    if kind.len() < 8 {
        return Err(bad("it is shorter than any such file".to_owned()).into());
    }
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(io)?;
    let (claimed, left) = (u64::from_le_bytes(prefix), kind.len() - 8);
    if claimed > left.min(LONGEST_HEADER) {
        return Err(bad(format!("its header claims {claimed} bytes of {left}")).into());
    }
    let mut header = vec![0; claimed as usize];
    file.read_exact(&mut header).map_err(io)?;
    if !header.starts_with(MARK.as_bytes()) {
        return Err(bad("it was not written by `datasets prepare`".to_owned()).into());
    }
    let table: Metadata = serde_json::from_slice(&header).map_err(|error| bad(error.to_string()))?;
    let (expected, found) = (table.data_len() as u64, left - claimed);
    if expected != found {
        return Err(bad(format!("expected {expected} bytes behind the header, found {found}")).into());
    }
    let metadata = table.metadata().as_ref().and_then(|texts| texts.get(KEY)).cloned();
    let metadata = metadata.ok_or_else(|| bad("it has no metadata".to_owned()))?;
    let mut order: Vec<(String, TensorInfo)> =
        table.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    order.sort_by_key(|(_, info)| info.data_offsets);
    let mut hasher = Sha256::new();
    let mut columns = Columns::new();
    for (name, info) in order {
        // The offsets of all columns lie one behind the other and end with the file, so no length is beyond it.
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        file.read_exact(&mut bytes).map_err(io)?;
        hasher.update(&bytes);
        let column = Column::from_bytes(info.dtype, bytes)
            .ok_or_else(|| bad(format!("column {name} is of type {}", info.dtype)))?;
        columns.insert(name, column);
    }
    Ok(ColumnFile { metadata, columns, digest: hexadecimal(&hasher.finalize()) })
}

/// Takes typed columns out of a table, with errors that name them.
pub(crate) struct Taker<'a> {
    pub(crate) columns: Columns,
    pub(crate) path: &'a Path,
}

macro_rules! take {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(crate) fn $name(&mut self, name: &str) -> Result<Vec<$type>, DatasetError> {
            match self.columns.remove(name) {
                Some(Column::$variant(values)) => Ok(values),
                Some(_) => Err(self.bad(format!("column {name} is not of {}", stringify!($variant)))),
                None => Err(self.bad(format!("column {name} is missing"))),
            }
        }
    };
}

impl Taker<'_> {
    take!(u8, U8, u8);
    take!(i8, I8, i8);
    take!(u32, U32, u32);
    take!(i32, I32, i32);

    /// A column of 8 or 16 bits.
    pub(crate) fn narrow(&mut self, name: &str) -> Result<Vec<u16>, DatasetError> {
        match self.columns.remove(name) {
            Some(Column::U16(values)) => Ok(values),
            Some(Column::U8(values)) => Ok(values.into_iter().map(u16::from).collect()),
            Some(_) => Err(self.bad(format!("column {name} is not of U8 or U16"))),
            None => Err(self.bad(format!("column {name} is missing"))),
        }
    }

    /// Whether a column is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// An error if columns are left.
    pub(crate) fn finish(self) -> Result<(), DatasetError> {
        match self.columns.keys().next() {
            Some(name) => Err(self.bad(format!("column {name} is unknown"))),
            None => Ok(()),
        }
    }

    pub(crate) fn bad(&self, reason: impl Into<String>) -> DatasetError {
        DatasetError::NotPrepared { path: self.path.to_owned(), reason: reason.into() }
    }
}

/// That `ptr` cuts a column of `length` into `parts` pieces.
pub(crate) fn check_pointers(name: &str, ptr: &[u32], parts: usize, length: usize) -> Result<(), String> {
    let whole = ptr.len() == parts + 1 && ptr.first() == Some(&0) && ptr.last() == Some(&(length as u32));
    if whole && u32::try_from(length).is_ok() && ptr.is_sorted() {
        Ok(())
    } else {
        Err(format!("column {name} does not cut {length} values into {parts} pieces"))
    }
}
