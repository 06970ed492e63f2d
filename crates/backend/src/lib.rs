//! Devices, keyed randomness, padded batches, fused kernels and weights on disk.

pub mod atomic;
pub mod checksum;
pub mod device;
pub mod kernels;
pub mod model_description;
pub mod model_folder;
pub mod normal;
pub mod philox;
pub mod weights;
