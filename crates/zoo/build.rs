//! Finds the model folders under `models/` and writes the table that embeds them, so that adding a model is copying a
//! folder.

use std::fmt::Write as _;
use std::path::PathBuf;
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
    let models = variable("CARGO_MANIFEST_DIR")?.join("models");
    println!("cargo::rerun-if-changed={}", models.display());
    let mut folders = Vec::new();
    match fs::read_dir(&models) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    folders.sort();

    let mut table = String::from("const MODELS: &[EmbeddedModel] = &[\n");
    for folder in &folders {
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
    fs::write(variable("OUT_DIR")?.join("models.rs"), table)
}

fn present(path: PathBuf) -> io::Result<PathBuf> {
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_file() { Ok(path) } else { Err(io::Error::other(format!("{} is missing", path.display()))) }
}
