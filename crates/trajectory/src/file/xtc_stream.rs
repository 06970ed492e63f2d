//! A walk through the packed positions of an XTC frame before they are unpacked.
//!
//! The unpacker trusts its stream: on a damaged one it reads behind its end, divides by zero or looks outside its table.
//! The lengths of all fields follow from a few of them, so that the walk, which unpacks nothing, finds out beforehand
//! whether the stream stays within its bounds. The form is GROMACS' (`xdr3dfcoord`).

use crate::error::TrajectoryError;

/// Smallest and largest index into the table of sizes of small differences.
const SMALLEST_INDEX: i32 = 9;
const LARGEST_INDEX: i32 = 72;

/// What stands before the packed stream: precision, the range of each coordinate, the first index.
pub(super) struct PackedHeader {
    /// Bits of a coordinate triple that is stored whole.
    whole_bits: u64,
    small_index: i32,
}

impl PackedHeader {
    /// Reads 32 bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TrajectoryError> {
        let words: Vec<i32> =
            bytes.as_chunks::<4>().0.iter().take(8).map(|word| i32::from_be_bytes(*word)).collect();
        let [precision, a, b, c, d, e, f, small_index] = words[..] else {
            return Err(TrajectoryError::CutOff { expected: "the packed positions' header" });
        };
        let precision = f32::from_bits(precision as u32);
        if !(precision.is_finite() && precision > 0.0) {
            return Err(TrajectoryError::malformed(format!("the precision is {precision}")));
        }
        let mut sizes = [0_u64; 3];
        for (size, (low, high)) in sizes.iter_mut().zip([(a, d), (b, e), (c, f)]) {
            let extent = i64::from(high) - i64::from(low);
            *size = u64::try_from(extent)
                .ok()
                .map(|extent| extent + 1)
                .filter(|size| *size < 1 << 31)
                .ok_or_else(|| {
                    TrajectoryError::malformed(format!("packed positions range from {low} to {high}"))
                })?;
        }
        if !(SMALLEST_INDEX..=LARGEST_INDEX).contains(&small_index) {
            return Err(TrajectoryError::malformed(format!(
                "the packing's index is {small_index}, expected 9 to 72"
            )));
        }
        let bits = |size: u128| u64::from(128 - size.leading_zeros());
        let whole_bits = if sizes.iter().any(|size| *size > 0xff_ffff) {
            sizes.iter().map(|size| bits(u128::from(*size))).sum()
        } else {
            bits(sizes.iter().map(|size| u128::from(*size)).product())
        };
        Ok(Self { whole_bits, small_index })
    }
}

/// Whether a stream of `length` bytes (and its padding) holds as many atoms.
pub(super) fn check_packed(
    header: &PackedHeader,
    stream: &[u8],
    length: u64,
    atoms: usize,
) -> Result<(), TrajectoryError> {
    let end = 8 * length;
    let too_short = || TrajectoryError::malformed("the packed positions end too early");
    let bits = |at: u64, count: u64| -> Result<i32, TrajectoryError> {
        let mut value = 0;
        for bit in at..at + count {
            let byte = stream.get((bit / 8) as usize).ok_or_else(too_short)?;
            value = value << 1 | i32::from(byte >> (7 - bit % 8) & 1);
        }
        Ok(value)
    };
    let mut place = 0_u64;
    let mut read = 0_usize;
    let mut index = header.small_index;
    // The length of a run holds until another is stated.
    let mut run = 0;
    while read < atoms {
        place += header.whole_bits;
        let stated = bits(place, 1)? == 1;
        place += 1;
        let mut change = 0;
        if stated {
            run = bits(place, 5)?;
            place += 5;
            change = run % 3 - 1;
            run -= run % 3;
        }
        read += 1;
        let small = (run / 3) as usize;
        // The unpacker stops in the middle of a run when it has all atoms.
        let used = small.min(atoms - read);
        if used < small {
            return Err(TrajectoryError::malformed("a run of packed positions is longer than the molecule"));
        }
        place += used as u64 * index as u64;
        read += used;
        if place > end {
            return Err(too_short());
        }
        if read < atoms {
            index += change;
            if !(SMALLEST_INDEX..=LARGEST_INDEX).contains(&index) {
                return Err(TrajectoryError::malformed(format!("the packing's index becomes {index}")));
            }
        }
    }
    Ok(())
}
