//! Trained weights, embedded.
//!
//! Each folder under this crate's `models/` is a model folder (`config.json`, `model.safetensors`, `README.md`,
//! `SHA256SUMS`) and becomes part of the binary under the folder's name. To add a model, copy its folder there. Plans
//! (`plans/MODEL-CALLS.json`), which sample a model in few calls, are embedded too.

mod embedded;

pub use embedded::{EmbeddedModel, EmbeddedPlan, find, find_plan, models, names, plans};
