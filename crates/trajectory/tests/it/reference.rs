//! Where the reference files are. (The crate `laws` has the same search, but sees tensors, which this crate must not.)

use std::path::PathBuf;

/// A folder of `EQUIDRIFT_REFERENCE` (default `../shared/reference`).
pub(crate) fn reference_dir(folder: &str) -> Option<PathBuf> {
    find("EQUIDRIFT_REFERENCE", "reference", folder)
}

/// A folder of `EQUIDRIFT_DATA` (default `../shared/data`).
pub(crate) fn data_dir(folder: &str) -> Option<PathBuf> {
    find("EQUIDRIFT_DATA", "data", folder)
}

fn find(variable: &str, default: &str, folder: &str) -> Option<PathBuf> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os(variable)
        .map_or_else(|| workspace.join("../shared").join(default), |path| workspace.join(path));
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("skipped: no reference data");
    None
}
