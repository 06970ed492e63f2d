//! Devices, keyed randomness, padded batches, fused kernels and weights on disk.
