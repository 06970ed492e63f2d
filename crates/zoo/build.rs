//! Finds the model folders under `models/` and the plans under `plans/` and writes the tables that embed them, so that adding
//! one is copying a folder or a file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The files of a model folder; a folder that lacks one does not build.
const FILES: [(&str, &str); 4] = [
    ("config", "config.json"),
    ("weights", "model.safetensors"),
    ("checksums", "SHA256SUMS"),
    ("card", "README.md"),
];

fn main() -> io::Result<()> {
    let variable =
        |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name.to_owned()));
    let root = variable("CARGO_MANIFEST_DIR")?;
    let folders = entries(&root.join("models"))?;
    let plans = entries(&root.join("plans"))?;

    let mut table = String::from("const MODELS: &[EmbeddedModel] = &[\n");
    for folder in folders.iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let _ = write!(table, "EmbeddedModel {{ name: {name:?}, ");
        for (field, file) in FILES {
            let path = present(folder.join(file))?;
            let macro_name = if field == "weights" { "include_bytes" } else { "include_str" };
            let _ = write!(table, "{field}: {macro_name}!({path:?}), ");
        }
        table.push_str("},\n");
    }
    table.push_str("];\n");
    table.push_str("const PLANS: &[EmbeddedPlan] = &[\n");
    for path in plans.iter().filter(|path| path.extension().is_some_and(|suffix| suffix == "json")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let path = present(path.clone())?;
        let _ = writeln!(table, "EmbeddedPlan {{ name: {name:?}, plan: include_str!({path:?}) }},");
    }
    table.push_str("];\n");
    fs::write(variable("OUT_DIR")?.join("embedded.rs"), table)
}

/// What is in a folder, in order; nothing where there is no folder.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    paths.sort();
    Ok(paths)
}

fn present(path: PathBuf) -> io::Result<PathBuf> {
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_file() { Ok(path) } else { Err(io::Error::other(format!("{} is missing", path.display()))) }
}
