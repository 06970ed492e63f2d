//! The sampler core: paths, plans, executor and keyed noise.
