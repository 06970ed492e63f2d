//! One array of NumPy (`.npy` format 1 to 3): a header that tells type and shape, then the numbers. Only plain numbers are
//! read; an array of Python objects is a pickle, which could run code, and is refused.

use std::io::Read;

use crate::error::TrajectoryError;

/// The longest header, in bytes; NumPy writes 128.
const LONGEST_HEADER: u64 = 1 << 14;

/// A plain type of number, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberType {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl NumberType {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    fn of_description(text: &str) -> Option<Self> {
        Some(match text {
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            "|i1" | "<i1" => Self::I8,
            "<i2" => Self::I16,
            "<i4" => Self::I32,
            "<i8" => Self::I64,
            "|u1" | "<u1" | "|b1" => Self::U8,
            "<u2" => Self::U16,
            "<u4" => Self::U32,
            "<u8" => Self::U64,
            _ => return None,
        })
    }

    /// Hands each number to `take`.
    pub(super) fn decode(self, bytes: &[u8], mut take: impl FnMut(f64)) {
        macro_rules! each {
            ($kind:ty, $size:literal) => {
                bytes.as_chunks::<$size>().0.iter().for_each(|b| take(<$kind>::from_le_bytes(*b) as f64))
            };
        }
        match self {
            Self::F32 => each!(f32, 4),
            Self::F64 => each!(f64, 8),
            Self::I8 => each!(i8, 1),
            Self::I16 => each!(i16, 2),
            Self::I32 => each!(i32, 4),
            Self::I64 => each!(i64, 8),
            Self::U8 => each!(u8, 1),
            Self::U16 => each!(u16, 2),
            Self::U32 => each!(u32, 4),
            Self::U64 => each!(u64, 8),
        }
    }
}

/// What an array's header says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) kind: NumberType,
    pub(super) shape: Vec<u64>,
    /// Bytes of the header itself.
    pub(super) length: u64,
}

impl Header {
    /// Reads the header and leaves the input at the first number.
    pub(super) fn read(input: &mut dyn Read) -> Result<Self, TrajectoryError> {
        let no_array = || TrajectoryError::malformed("it has no NumPy header");
        let mut start = [0; 10];
        input.read_exact(&mut start).map_err(|_| no_array())?;
        let (length, fixed) = match (start.strip_prefix(b"\x93NUMPY"), start[6]) {
            (Some(_), 1) => (u64::from(u16::from_le_bytes([start[8], start[9]])), 10),
            (Some(_), 2 | 3) => {
                let mut more = [0; 2];
                input.read_exact(&mut more).map_err(|_| no_array())?;
                (u64::from(u32::from_le_bytes([start[8], start[9], more[0], more[1]])), 12)
            }
            _ => return Err(no_array()),
        };
        if length > LONGEST_HEADER {
            return Err(no_array());
        }
        let mut text = String::new();
        input.take(length).read_to_string(&mut text).map_err(|_| no_array())?;
        let value = |key: &str| text.split(&format!("'{key}':")).nth(1).map(str::trim_start);
        let kind = value("descr")
            .and_then(|rest| rest.strip_prefix('\''))
            .and_then(|rest| rest.split('\'').next())
            .and_then(NumberType::of_description)
            .ok_or_else(|| TrajectoryError::malformed("its type is no plain little-endian number"))?;
        if !value("fortran_order").is_some_and(|order| order.starts_with("False")) {
            return Err(TrajectoryError::malformed("it is not row-major"));
        }
        let shape = value("shape")
            .and_then(|rest| rest.strip_prefix('('))
            .and_then(|rest| rest.split_once(')'))
            .map(|(inner, _)| inner.split(',').map(str::trim).filter(|word| !word.is_empty()))
            .and_then(|mut words| {
                words.try_fold(Vec::new(), |mut shape, word| {
                    shape.push(word.parse().ok()?);
                    Some(shape)
                })
            })
            .ok_or_else(|| TrajectoryError::malformed("it has no shape"))?;
        Ok(Self { kind, shape, length: fixed + length })
    }

    /// Bytes of the numbers, if that many can be.
    pub(super) fn data_bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.kind.bytes() as u64, |bytes, length| bytes.checked_mul(*length))
    }
}

/// A header of exactly 128 bytes, as NumPy writes it for most arrays; the numbers follow.
pub(super) fn header_bytes(description: &str, shape: &[u64]) -> Vec<u8> {
    let mut axes: Vec<String> = shape.iter().map(u64::to_string).collect();
    if axes.len() == 1 {
        axes.push(String::new());
    }
    let text = format!(
        "{{'descr': '{description}', 'fortran_order': False, 'shape': ({}), }}",
        axes.join(", ").trim_end()
    );
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend_from_slice(format!("{text:<117}\n").as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_back() {
        for (description, shape, kind) in [
            ("<f4", vec![7, 9, 3], NumberType::F32),
            ("|u1", vec![9], NumberType::U8),
            ("<f8", vec![], NumberType::F64),
            ("<f4", vec![u64::MAX, u64::MAX, 3], NumberType::F32),
        ] {
            let bytes = header_bytes(description, &shape);
            assert_eq!(bytes.len(), 128);
            let header = Header::read(&mut &bytes[..]).unwrap();
            assert_eq!((header.kind, header.length, &header.shape), (kind, 128, &shape));
            assert_eq!(header.data_bytes().is_some(), shape.len() < 3 || shape[0] < 100);
        }
        for bad in ["|O", "<c8", ">f4", "<U3"] {
            assert!(Header::read(&mut &header_bytes(bad, &[3])[..]).is_err(), "{bad}");
        }
        assert!(Header::read(&mut &b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..]).is_err());
        assert!(Header::read(&mut &b"\x93NUMPY"[..]).is_err());
    }
}
