//! A reader for `.npz` (a zip of `.npy` arrays), enough for trusted arrays of integers.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use flate2::read::DeflateDecoder;

/// The arrays by name, each widened to `i64`.
pub(crate) fn read(path: &Path) -> HashMap<String, Vec<i64>> {
    let bytes = std::fs::read(path).unwrap();
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    // End of central directory, then its entries.
    let end =
        (0..bytes.len() - 21).rev().find(|at| &bytes[*at..at + 4] == b"PK\x05\x06").expect("a zip file");
    let mut entry = u32_at(end + 16);
    let mut arrays = HashMap::new();
    for _ in 0..u16_at(end + 10) {
        let (method, packed, name_length) = (u16_at(entry + 10), u32_at(entry + 20), u16_at(entry + 28));
        let name = std::str::from_utf8(&bytes[entry + 46..entry + 46 + name_length]).unwrap();
        let local = u32_at(entry + 42);
        let start = local + 30 + u16_at(local + 26) + u16_at(local + 28);
        let data = &bytes[start..start + packed];
        let mut npy = Vec::new();
        match method {
            0 => npy.extend_from_slice(data),
            8 => {
                DeflateDecoder::new(data).read_to_end(&mut npy).unwrap();
            }
            other => panic!("zip method {other}"),
        }
        arrays.insert(name.trim_end_matches(".npy").to_owned(), array(&npy));
        entry += 46 + name_length + u16_at(entry + 30) + u16_at(entry + 32);
    }
    arrays
}

fn array(npy: &[u8]) -> Vec<i64> {
    assert_eq!(&npy[..6], b"\x93NUMPY");
    let header_length = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let header = std::str::from_utf8(&npy[10..10 + header_length]).unwrap();
    let data = &npy[10 + header_length..];
    match header.split("'descr': '").nth(1).unwrap().split('\'').next().unwrap() {
        "|u1" => data.iter().map(|value| i64::from(*value)).collect(),
        "|i1" => data.iter().map(|value| i64::from(value.cast_signed())).collect(),
        "<i4" => data.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect(),
        "<i8" => data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
        other => panic!("array type {other}"),
    }
}
