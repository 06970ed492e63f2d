//! Compiles the C++ side of the bridge against the RDKit that `rdkit-sys` finds, by the same rules.

use std::path::{Path, PathBuf};

/// What to tell someone whose machine has no RDKit; the compiler's own message names only a missing header.
const INSTALL: &str = "RDKit's headers were not found. Install them first:
  Debian, Ubuntu:  sudo apt-get install -y g++ librdkit-dev libboost-dev libboost-serialization-dev
  macOS:           brew install rdkit boost
  conda:           conda install -c conda-forge librdkit-dev, and build with feature equidrift-rdkit/conda
or build without feature `rdkit`: the default chemistry needs no system library.";

/// Header and library folders, in the order in which they are searched.
struct Installation {
    /// Folders that may hold `GraphMol/` or `boost/`.
    include: Vec<PathBuf>,
    /// Folders to add to the linker's own.
    libraries: Vec<PathBuf>,
}

impl Installation {
    /// Mirrors the build script of `rdkit-sys`, so that both compile against one RDKit.
    fn find() -> Self {
        if std::env::var_os("CARGO_FEATURE_CONDA").is_some() {
            let prefix = PathBuf::from(
                std::env::var_os("CONDA_PREFIX")
                    .expect("feature `conda`: activate the environment first (CONDA_PREFIX is not set)"),
            );
            return Self::under(&prefix);
        }
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("macos", "aarch64") => Self::under(Path::new("/opt/homebrew")),
            ("macos", _) => Self::under(Path::new("/usr/local")),
            // /usr/include and /usr/local/include are the compiler's own; naming them again would reorder its search
            // path and break libstdc++'s `#include_next`.
            _ => Self {
                include: vec!["/usr/local/include/rdkit".into(), "/usr/include/rdkit".into()],
                libraries: Vec::new(),
            },
        }
    }

    fn under(prefix: &Path) -> Self {
        Self {
            include: vec![prefix.join("include"), prefix.join("include/rdkit")],
            libraries: vec![prefix.join("lib")],
        }
    }
}

fn main() {
    for file in ["src/bridge.rs", "cpp/bridge.h", "cpp/bridge.cc", "build.rs"] {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-env-changed=CONDA_PREFIX");
    if std::env::var_os("DOCS_RS").is_some() {
        return; // documentation needs no C++
    }

    let rdkit = Installation::find();
    if !rdkit.include.iter().any(|folder| folder.join("GraphMol/GraphMol.h").is_file()) {
        eprintln!("{INSTALL}");
        std::process::exit(1);
    }

    let mut build = cxx_build::bridge("src/bridge.rs");
    build
        .file("cpp/bridge.cc")
        .include("cpp")
        // A default that CXXFLAGS=-std=c++20 overrides: RDKit needs C++20 from 2026 on.
        .flag("-std=c++17")
        .warnings(true)
        .extra_warnings(true);
    for folder in &rdkit.include {
        // -isystem, not -I: our warnings are about our code, not about RDKit's and boost's headers.
        build.flag("-isystem").flag(folder);
    }
    // Not "rdkit": that is the name of rdkit-sys's own static library, and the linker would take only one of them.
    build.compile("equidrift_rdkit_bridge");

    for folder in &rdkit.libraries {
        println!("cargo:rustc-link-search=native={}", folder.display());
    }
    // rdkit-sys links the rest (GraphMol, SmilesParse, Descriptors, SubstructMatch, RDGeneral ...).
    println!("cargo:rustc-link-lib=dylib=RDKitChemTransforms");
}
