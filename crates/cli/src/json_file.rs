//! JSON files that the user names.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::exit::{Exit, Failure};

/// What a JSON file holds.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::message(Exit::BadInput, format_args!("{}: {error}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| bad(&error))?;
    serde_json::from_str(&text).map_err(|error| bad(&error))
}
