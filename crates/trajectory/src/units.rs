//! Units. Inside this project lengths are ångström and times femtoseconds; every format converts at its edge, with the
//! numbers of this file.
//!
//! Systems that are no atoms (N-body, pedestrians) keep the unit of their source, as their documentation says.

/// Ångström in a nanometre (XTC, TRR, GROMACS).
pub const ANGSTROM_PER_NM: f64 = 10.0;
/// Femtoseconds in a picosecond.
pub const FS_PER_PS: f64 = 1000.0;
/// Femtoseconds in CHARMM's unit of time (DCD).
pub const FS_PER_AKMA: f64 = 48.888_21;

/// Ångström in a unit of length of that name, as H5MD writes it.
#[must_use]
pub fn angstrom_per(unit: &str) -> Option<f64> {
    match unit.trim() {
        "Angstrom" | "angstrom" | "A" | "Å" => Some(1.0),
        "nm" => Some(ANGSTROM_PER_NM),
        "pm" => Some(0.01),
        "fm" => Some(1e-5),
        "um" => Some(1e4),
        "m" => Some(1e10),
        _ => None,
    }
}

/// Femtoseconds in a unit of time of that name, as H5MD writes it.
#[must_use]
pub fn fs_per(unit: &str) -> Option<f64> {
    match unit.trim() {
        "fs" => Some(1.0),
        "ps" => Some(FS_PER_PS),
        "ns" => Some(1e6),
        "us" => Some(1e9),
        "s" | "sec" | "second" => Some(1e15),
        "AKMA" => Some(FS_PER_AKMA),
        _ => None,
    }
}

/// The decimal number that a single-precision number was written for: 0.005 for the `f32` nearest to it, not
/// 0.004999999888. Times in XTC files are such numbers.
pub(crate) fn shortest_decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_units() {
        assert_eq!(
            (angstrom_per("nm"), angstrom_per(" A "), angstrom_per("ell")),
            (Some(10.0), Some(1.0), None)
        );
        assert_eq!((fs_per("ps"), fs_per("fs"), fs_per("year")), (Some(1000.0), Some(1.0), None));
        assert_eq!(shortest_decimal(0.005), 0.005);
        assert_eq!(shortest_decimal(-12.3), -12.3);
    }
}
