//! Named tensors on disk: safetensors files, read as if an enemy had written them.
//!
//! No device and no tensor library here: a [`HostTensor`] is a shape and a flat row-major vector. Every length a file
//! claims is compared with the file's own length *before* anything of that size is allocated.
//!
//! Format: 8 bytes little-endian header length, a JSON header, then the data
//! (<https://github.com/huggingface/safetensors#format>).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::atomic::write_atomically;

/// Longest header accepted, in bytes: hundreds of thousands of tensors, far above any model here.
const MAX_HEADER: u64 = 64 * 1024 * 1024;
const PREFIX: u64 = 8;

/// The parameters of a model by name. Names and layouts are PyTorch's (`"x.layers.0.weight"`, a linear map's weight is
/// `[out, in]`), so that converted and trained weights look the same on disk.
pub type ParameterSet = BTreeMap<String, HostTensor>;

/// What can be wrong with a file of tensors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A directory, device or pipe where a plain file was expected.
    #[error("{}: expected a safetensors file, found something that is not a plain file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Shorter than the length prefix, or than what the header describes.
    #[error("{}: truncated: expected {expected} bytes, found {found}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the file says it has.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The header claims to be longer than the file or than any sensible header.
    #[error("{}: header claims {claimed} bytes, at most {allowed} are possible in this file", path.display())]
    HeaderTooLong {
        /// The file.
        path: PathBuf,
        /// The length in the prefix.
        claimed: u64,
        /// What the file's length leaves for it.
        allowed: u64,
    },
    /// The header is not a safetensors header.
    #[error("{}: expected a safetensors header, found: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// There are bytes after the last tensor.
    #[error("{}: expected {expected} bytes, found {found}: the tail belongs to no tensor", path.display())]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes that the file says it has.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// Two tensors carry the same name.
    #[error("{}: tensor `{name}` occurs more than once", path.display())]
    DuplicateName {
        /// The file.
        path: PathBuf,
        /// The repeated name.
        name: String,
    },
    /// An element type that has no meaning for weights (complex, 4- and 8-bit floats).
    #[error(
        "{}: tensor `{name}` has element type {dtype}; expected F64, F32, F16, BF16, BOOL or an integer type",
        path.display()
    )]
    UnsupportedType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A tensor that the reader needs is not in the file.
    #[error("{}: no tensor `{name}`", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the reader needs.
    #[error("{}: tensor `{name}`: expected shape {expected:?}, found {found:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Needed shape.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor to be written does not hold as many values as its shape says.
    #[error("{}: tensor `{name}` of shape {shape:?} holds {values} values", path.display())]
    Inconsistent {
        /// The file to be written.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many values it holds.
        values: usize,
    },
}

/// The elements of a [`HostTensor`], row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Single precision; also what half precision, booleans and 8- or 16-bit integers are widened to.
    F32(Vec<f32>),
    /// Double precision; also what 32- and 64-bit integers are widened to.
    F64(Vec<f64>),
}

impl Values {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A dense tensor in main memory, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// `shape.product()` elements.
    pub values: Values,
}

impl HostTensor {
    /// A single-precision tensor.
    ///
    /// # Panics
    /// If `values` does not hold exactly the number of elements `shape` says: a mistake in the caller, never in a file.
    pub fn f32(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?} does not fit the values");
        Self { shape, values: Values::F32(values) }
    }

    /// A double-precision tensor.
    ///
    /// # Panics
    /// As [`HostTensor::f32`].
    pub fn f64(shape: impl Into<Vec<usize>>, values: Vec<f64>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?} does not fit the values");
        Self { shape, values: Values::F64(values) }
    }

    /// A single-precision tensor of zeros.
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let values = vec![0.0; shape.iter().product()];
        Self { shape, values: Values::F32(values) }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The elements in single precision (rounded if they are double).
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::F32(v) => v.clone(),
            Values::F64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The elements in double precision.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.values {
            Values::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Values::F64(v) => v.clone(),
        }
    }

    /// Index of the first element that is infinite or not a number.
    pub fn first_non_finite(&self) -> Option<usize> {
        match &self.values {
            Values::F32(v) => v.iter().position(|x| !x.is_finite()),
            Values::F64(v) => v.iter().position(|x| !x.is_finite()),
        }
    }
}

/// The content of a safetensors file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorFile {
    /// Tensors by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// The free text table `__metadata__`.
    pub metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`WeightsError`] with the path and what was expected, for every way in which the file can be wrong. Nothing
    /// longer than the file itself is ever allocated, and nothing of its length before the header has been found to
    /// describe exactly that length.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let path = path.as_ref();
        let io = |source| WeightsError::Io { path: path.to_owned(), source };
        let kind = std::fs::metadata(path).map_err(io)?;
        if !kind.is_file() {
            return Err(WeightsError::NotAFile { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        if length < PREFIX {
            return Err(WeightsError::Truncated { path: path.to_owned(), expected: PREFIX, found: length });
        }
        let mut prefix = [0; PREFIX as usize];
        file.read_exact(&mut prefix).map_err(io)?;
        let header_length = header_length(prefix, length, path)?;
        let mut header = vec![0; header_length];
        file.read_exact(&mut header).map_err(io)?;
        let header = Header::parse(&header, length - PREFIX - header_length as u64, path)?;
        let mut data = vec![0; header.metadata.data_len()];
        file.read_exact(&mut data).map_err(io)?;
        header.decode(&data, path)
    }

    /// Reads a file that is already in memory. `origin` is the name used in errors.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn from_bytes(bytes: &[u8], origin: &Path) -> Result<Self, WeightsError> {
        let Some((prefix, rest)) = bytes.split_first_chunk::<{ PREFIX as usize }>() else {
            let found = bytes.len() as u64;
            return Err(WeightsError::Truncated { path: origin.to_owned(), expected: PREFIX, found });
        };
        let header_length = header_length(*prefix, bytes.len() as u64, origin)?;
        let (header, data) = rest.split_at(header_length);
        Header::parse(header, data.len() as u64, origin)?.decode(data, origin)
    }

    /// The file's bytes. Equal contents give equal bytes: tensors are ordered by element width, then name.
    ///
    /// # Errors
    /// [`WeightsError::Inconsistent`] if a tensor's values do not fit its shape.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        self.encode(Path::new("<memory>"))
    }

    /// Writes the file atomically: either the old file or the complete new one exists, never a part.
    ///
    /// # Errors
    /// [`WeightsError::Io`] (unwritable directory, disk full), [`WeightsError::Inconsistent`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        let path = path.as_ref();
        let bytes = self.encode(path)?;
        write_atomically(path, |file| file.write_all(&bytes))
            .map_err(|source| WeightsError::Io { path: path.to_owned(), source })
    }

    /// The tensor `name`, or an error that names `origin`.
    ///
    /// # Errors
    /// [`WeightsError::MissingTensor`].
    pub fn require(&self, name: &str, origin: &Path) -> Result<&HostTensor, WeightsError> {
        self.tensors
            .get(name)
            .ok_or_else(|| WeightsError::MissingTensor { path: origin.to_owned(), name: name.to_owned() })
    }

    /// As [`TensorFile::write`], with a further metadata entry `entry`: the SHA-256 of the file that would be written without it.
    ///
    /// # Errors
    /// As [`TensorFile::write`].
    pub fn write_with_digest(&self, path: impl AsRef<Path>, entry: &str) -> Result<(), WeightsError> {
        let path = path.as_ref();
        let data = self.data(path)?;
        let bare = header_bytes(&self.header(&self.metadata));
        let digest = Sha256::new().chain_update(&bare).chain_update(&data).finalize();
        let mut metadata = self.metadata.clone();
        metadata.insert(entry.to_owned(), crate::checksum::hexadecimal(&digest));
        let header = header_bytes(&self.header(&metadata));
        write_atomically(path, |file| {
            file.write_all(&header)?;
            file.write_all(&data)
        })
        .map_err(|source| WeightsError::Io { path: path.to_owned(), source })
    }

    fn encode(&self, path: &Path) -> Result<Vec<u8>, WeightsError> {
        let mut bytes = header_bytes(&self.header(&self.metadata));
        bytes.extend(self.data(path)?);
        Ok(bytes)
    }

    /// The tensors in the order of the file.
    fn order(&self) -> Vec<(&String, &HostTensor)> {
        let mut order: Vec<_> = self.tensors.iter().collect();
        order.sort_by_key(|(_, tensor)| matches!(tensor.values, Values::F32(_))); // wider elements first: aligned
        order
    }

    /// The JSON header. Written by hand rather than by the safetensors crate, whose metadata table has a random order.
    fn header(&self, metadata: &BTreeMap<String, String>) -> String {
        let mut entries = Vec::with_capacity(self.tensors.len() + 1);
        if !metadata.is_empty() {
            let table: Vec<_> =
                metadata.iter().map(|(key, text)| format!("{}:{}", quoted(key), quoted(text))).collect();
            entries.push(format!("\"__metadata__\":{{{}}}", table.join(",")));
        }
        let mut end = 0;
        for (name, tensor) in self.order() {
            let (dtype, width) = match tensor.values {
                Values::F32(_) => ("F32", 4),
                Values::F64(_) => ("F64", 8),
            };
            let begin = end;
            end += tensor.len() * width;
            let shape: Vec<_> = tensor.shape.iter().map(usize::to_string).collect();
            let name = quoted(name);
            let shape = shape.join(",");
            entries.push(format!(
                "{name}:{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{begin},{end}]}}"
            ));
        }
        format!("{{{}}}", entries.join(","))
    }

    /// What comes after the header.
    fn data(&self, path: &Path) -> Result<Vec<u8>, WeightsError> {
        let width = |tensor: &HostTensor| if matches!(tensor.values, Values::F32(_)) { 4 } else { 8 };
        let mut bytes = Vec::with_capacity(self.tensors.values().map(|t| t.len() * width(t)).sum());
        for (name, tensor) in self.order() {
            if tensor.shape.iter().product::<usize>() != tensor.len() {
                return Err(WeightsError::Inconsistent {
                    path: path.to_owned(),
                    name: name.clone(),
                    shape: tensor.shape.clone(),
                    values: tensor.len(),
                });
            }
            match &tensor.values {
                Values::F32(v) => append(&mut bytes, v, f32::to_le_bytes),
                Values::F64(v) => append(&mut bytes, v, f64::to_le_bytes),
            }
        }
        Ok(bytes)
    }
}

fn append<const W: usize, T: Copy>(bytes: &mut Vec<u8>, values: &[T], convert: impl Fn(T) -> [u8; W]) {
    let begin = bytes.len();
    bytes.resize(begin + values.len() * W, 0);
    // Chunks of a fixed width compile to a copy.
    for (place, &value) in bytes[begin..].as_chunks_mut::<W>().0.iter_mut().zip(values) {
        *place = convert(value);
    }
}

/// The header with its length in front, padded so that the data are aligned.
fn header_bytes(header: &str) -> Vec<u8> {
    let length = header.len().next_multiple_of(8);
    let mut bytes = Vec::with_capacity(PREFIX as usize + length);
    bytes.extend((length as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.resize(PREFIX as usize + length, b' ');
    bytes
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn header_length(prefix: [u8; PREFIX as usize], length: u64, path: &Path) -> Result<usize, WeightsError> {
    let claimed = u64::from_le_bytes(prefix);
    let allowed = MAX_HEADER.min(length - PREFIX);
    match usize::try_from(claimed) {
        Ok(fits) if claimed <= allowed => Ok(fits),
        _ => Err(WeightsError::HeaderTooLong { path: path.to_owned(), claimed, allowed }),
    }
}

/// A header whose offsets are contiguous, whose sizes follow from shapes and types, and whose names are unique.
struct Header {
    metadata: Metadata,
}

impl Header {
    fn parse(header: &[u8], data_length: u64, path: &Path) -> Result<Self, WeightsError> {
        let malformed = |reason: String| WeightsError::Header { path: path.to_owned(), reason };
        // The safetensors crate keeps the last of two equal names, so they are looked for first.
        let names: Names = serde_json::from_slice(header).map_err(|e| malformed(e.to_string()))?;
        if let Some(name) = names.repeated {
            return Err(WeightsError::DuplicateName { path: path.to_owned(), name });
        }
        let metadata: Metadata = serde_json::from_slice(header).map_err(|e| malformed(e.to_string()))?;
        let before = PREFIX + header.len() as u64;
        let (expected, found) = (before + metadata.data_len() as u64, before + data_length);
        let path = || path.to_owned();
        match expected.cmp(&found) {
            std::cmp::Ordering::Greater => Err(WeightsError::Truncated { path: path(), expected, found }),
            std::cmp::Ordering::Less => Err(WeightsError::TrailingBytes { path: path(), expected, found }),
            std::cmp::Ordering::Equal => Ok(Self { metadata }),
        }
    }

    fn decode(&self, data: &[u8], path: &Path) -> Result<TensorFile, WeightsError> {
        let mut tensors = BTreeMap::new();
        for (name, info) in self.metadata.tensors() {
            let bytes = &data[info.data_offsets.0..info.data_offsets.1];
            let Some(values) = widen(info.dtype, bytes) else {
                let dtype = info.dtype.to_string();
                return Err(WeightsError::UnsupportedType { path: path.to_owned(), name, dtype });
            };
            tensors.insert(name, HostTensor { shape: info.shape.clone(), values });
        }
        let metadata = self.metadata.metadata().iter().flatten();
        Ok(TensorFile { tensors, metadata: metadata.map(|(k, v)| (k.clone(), v.clone())).collect() })
    }
}

fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Values> {
    fn each<const W: usize, T>(bytes: &[u8], convert: impl Fn([u8; W]) -> T) -> Vec<T> {
        bytes.as_chunks::<W>().0.iter().map(|&chunk| convert(chunk)).collect()
    }
    Some(match dtype {
        Dtype::F64 => Values::F64(each(bytes, f64::from_le_bytes)),
        Dtype::F32 => Values::F32(each(bytes, f32::from_le_bytes)),
        Dtype::F16 => Values::F32(each(bytes, |b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Values::F32(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        Dtype::BOOL => Values::F32(each(bytes, |[b]| f32::from(u8::from(b != 0)))),
        Dtype::U8 => Values::F32(each(bytes, |[b]| f32::from(b))),
        Dtype::I8 => Values::F32(each(bytes, |b| f32::from(i8::from_le_bytes(b)))),
        Dtype::U16 => Values::F32(each(bytes, |b| f32::from(u16::from_le_bytes(b)))),
        Dtype::I16 => Values::F32(each(bytes, |b| f32::from(i16::from_le_bytes(b)))),
        Dtype::U32 => Values::F64(each(bytes, |b| f64::from(u32::from_le_bytes(b)))),
        Dtype::I32 => Values::F64(each(bytes, |b| f64::from(i32::from_le_bytes(b)))),
        Dtype::U64 => Values::F64(each(bytes, |b| u64::from_le_bytes(b) as f64)),
        Dtype::I64 => Values::F64(each(bytes, |b| i64::from_le_bytes(b) as f64)),
        _ => return None,
    })
}

/// Reads only the keys of the header.
struct Names {
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut seen = BTreeSet::new();
                let mut repeated = None;
                while let Some(name) = map.next_key::<String>()? {
                    map.next_value::<IgnoredAny>().map_err(de::Error::custom)?;
                    if !seen.insert(name.clone()) {
                        repeated.get_or_insert(name);
                    }
                }
                Ok(Names { repeated })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
