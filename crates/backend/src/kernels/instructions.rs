//! The choice of vector instructions.

use pulp::Arch;

/// Which vector instructions to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instructions {
    /// The widest that the machine has.
    #[default]
    Detect,
    /// 16 numbers at a time: x86-64-v4 (AVX-512).
    Avx512,
    /// 8 numbers at a time: x86-64-v3 (AVX2 and FMA).
    Avx2,
    /// One number at a time, on any machine.
    Portable,
}

impl Instructions {
    /// The instruction set, if this machine has it.
    #[must_use]
    pub fn arch(self) -> Option<Arch> {
        match self {
            Self::Detect => Some(Arch::new()),
            Self::Portable => Some(Arch::Scalar),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Avx512 => pulp::x86::V4::try_new().map(Arch::V4),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Avx2 => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
            Self::Avx512 | Self::Avx2 => None,
        }
    }
}
