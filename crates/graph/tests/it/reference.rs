//! Where the reference files are. (The crate `laws` has the same search, but sees tensors, which this crate must not.)

use std::path::PathBuf;

use equidrift_graph::{Graph, GraphFile};

/// A file of `EQUIDRIFT_REFERENCE` (default `../shared/reference`).
pub(crate) fn reference_file(name: &str) -> Option<PathBuf> {
    find("EQUIDRIFT_REFERENCE", "reference", name)
}

/// A file of `EQUIDRIFT_DATA` (default `../shared/data`).
pub(crate) fn data_file(name: &str) -> Option<PathBuf> {
    find("EQUIDRIFT_DATA", "data", name)
}

/// The graphs of one part of a data set, or all of them.
pub(crate) fn data_set(name: &str, part: Option<&str>) -> Option<Vec<Graph>> {
    let file = GraphFile::open(&data_file(&format!("graphs/{name}.json"))?).unwrap();
    let file = match part {
        Some(part) => file.part(part).unwrap(),
        None => file,
    };
    Some(file.collect::<Result<_, _>>().unwrap())
}

fn find(variable: &str, default: &str, name: &str) -> Option<PathBuf> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = std::env::var_os(variable)
        .map_or_else(|| workspace.join("../shared").join(default), |path| workspace.join(path));
    let path = root.join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("skipped: no reference data");
    None
}
