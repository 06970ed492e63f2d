//! Where the reference files are.
//!
//! Tests that compare with files outside the repository read the folders named by `EQUIDRIFT_REFERENCE` and
//! `EQUIDRIFT_DATA` (default: `../shared/reference` and `../shared/data` beside the workspace). Where they are absent,
//! as in a user's clone, such a test prints a line and passes; with `CI=true` absence is a failure.

use std::path::{Path, PathBuf};

/// The folder of reference vectors, or `None` (with a line on stderr) where there is none.
///
/// # Panics
/// With `CI=true` and no folder.
#[must_use]
pub fn reference_dir() -> Option<PathBuf> {
    discover("EQUIDRIFT_REFERENCE", "reference", std::env::var("CI").is_ok_and(|ci| ci == "true"))
}

/// The folder of data sets, or `None` (with a line on stderr) where there is none.
///
/// # Panics
/// With `CI=true` and no folder.
#[must_use]
pub fn data_dir() -> Option<PathBuf> {
    discover("EQUIDRIFT_DATA", "data", std::env::var("CI").is_ok_and(|ci| ci == "true"))
}

/// The files of `dir` whose names start with `prefix` and end with `suffix`, in order of name; none if there is no such
/// folder.
#[must_use]
pub fn files(dir: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix))
        })
        .collect();
    found.sort();
    found
}

fn discover(variable: &str, folder: &str, required: bool) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder),
        PathBuf::from,
    );
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        !required,
        "no {folder} files at {} (set {variable}); with CI=true they are required",
        path.display()
    );
    eprintln!("skipped: no reference data at {} (set {variable})", path.display());
    None
}
