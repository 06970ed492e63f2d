//! Where tensors live: a name on the command line becomes a device of the tensor library.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// A kind of device. All names always parse; whether a device is compiled in is known when it is [opened](Self::open).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceKind {
    /// The processor, pure Rust (`cpu` or `flex`).
    #[default]
    Cpu,
    /// The processor through LibTorch (`tch`, feature `tch`).
    Tch,
    /// An NVIDIA GPU by index (`cuda`, `cuda:1`, feature `cuda`).
    Cuda(usize),
    /// Any GPU through WebGPU by index (`wgpu`, `wgpu:1`, feature `wgpu`).
    Wgpu(usize),
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Not the name of a device.
    #[error("unknown device `{name}`: expected cpu, tch, cuda, cuda:<index>, wgpu or wgpu:<index>")]
    Unknown {
        /// The name given.
        name: String,
    },
    /// This build lacks the device.
    #[error("device `{device}` is not compiled in: build with `--features {feature}`")]
    NotCompiledIn {
        /// The device asked for.
        device: DeviceKind,
        /// The Cargo feature that adds it.
        feature: &'static str,
    },
}

impl DeviceKind {
    /// The device itself.
    ///
    /// # Errors
    /// [`DeviceError::NotCompiledIn`], which names the feature to build with.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "tch")]
            #[expect(deprecated, reason = "burn announces its removal; kept while it exists, for comparison")]
            Self::Tch => Ok(Device::libtorch()),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => Ok(Device::cuda(index)),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(0) => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(index) => Ok(Device::wgpu(burn::tensor::DeviceKind::DiscreteGpu(index))),
            #[cfg(not(feature = "tch"))]
            Self::Tch => Err(DeviceError::NotCompiledIn { device: self, feature: "tch" }),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(DeviceError::NotCompiledIn { device: self, feature: "cuda" }),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu(_) => Err(DeviceError::NotCompiledIn { device: self, feature: "wgpu" }),
        }
    }
}

impl FromStr for DeviceKind {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { name: name.to_owned() };
        let (kind, index) = match name.split_once(':') {
            Some((kind, index)) => (kind, Some(index.parse::<usize>().map_err(|_| unknown())?)),
            None => (name, None),
        };
        match (kind, index) {
            ("cpu" | "flex", None) => Ok(Self::Cpu),
            ("tch", None) => Ok(Self::Tch),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            ("wgpu", index) => Ok(Self::Wgpu(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Tch => f.write_str("tch"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Wgpu(index) => write!(f, "wgpu:{index}"),
        }
    }
}

impl From<DeviceKind> for String {
    fn from(kind: DeviceKind) -> Self {
        kind.to_string()
    }
}

impl TryFrom<String> for DeviceKind {
    type Error = DeviceError;

    fn try_from(name: String) -> Result<Self, DeviceError> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["cpu", "tch", "cuda:0", "cuda:3", "wgpu:0"] {
            let kind: DeviceKind = name.parse().unwrap();
            assert_eq!(kind.to_string(), name);
        }
        assert_eq!("flex".parse::<DeviceKind>().unwrap(), DeviceKind::Cpu);
        assert_eq!("cuda".parse::<DeviceKind>().unwrap(), DeviceKind::Cuda(0));
        for wrong in ["", "gpu", "cpu:1", "cuda:x", "cuda:"] {
            assert!(matches!(wrong.parse::<DeviceKind>(), Err(DeviceError::Unknown { .. })), "{wrong}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_missing_device_names_its_feature() {
        let message = DeviceKind::Cuda(1).open().unwrap_err().to_string();
        assert!(message.contains("cuda:1") && message.contains("--features cuda"), "{message}");
    }
}
