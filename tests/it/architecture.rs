//! The arrows between crates, kept by looking at `cargo metadata` and at the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What each crate may use of this workspace: arrows point down, families do not know one another, things know no
/// tensor, and the sampler knows no atom.
const ARROWS: &[(&str, &[&str])] = &[
    ("equidrift-graph", &[]),
    ("equidrift-rdkit", &[]),
    ("equidrift-molecule", &["equidrift-graph", "equidrift-rdkit"]),
    ("equidrift-trajectory", &["equidrift-graph"]),
    ("equidrift-zoo", &[]),
    ("equidrift-backend", &[]),
    ("equidrift-sampler", &["equidrift-backend"]),
    ("equidrift-nn", &["equidrift-backend"]),
    ("equidrift-train", &["equidrift-backend", "equidrift-nn", "equidrift-sampler"]),
    ("equidrift-gdss", &["equidrift-backend", "equidrift-nn", "equidrift-sampler", "equidrift-train"]),
    (
        "equidrift-geotdm",
        &[
            "equidrift-backend",
            "equidrift-nn",
            "equidrift-sampler",
            "equidrift-train",
            "equidrift-trajectory",
        ],
    ),
    (
        "equidrift-pard",
        &["equidrift-backend", "equidrift-graph", "equidrift-nn", "equidrift-sampler", "equidrift-train"],
    ),
    ("equidrift-laws", &["equidrift-backend", "equidrift-nn", "equidrift-sampler"]),
    (
        "equidrift",
        &[
            "equidrift-backend",
            "equidrift-gdss",
            "equidrift-geotdm",
            "equidrift-graph",
            "equidrift-molecule",
            "equidrift-nn",
            "equidrift-pard",
            "equidrift-sampler",
            "equidrift-train",
            "equidrift-trajectory",
            "equidrift-zoo",
        ],
    ),
    (
        "equidrift-cli",
        &[
            "equidrift",
            "equidrift-backend",
            "equidrift-gdss",
            "equidrift-geotdm",
            "equidrift-laws",
            "equidrift-graph",
            "equidrift-molecule",
            "equidrift-pard",
            "equidrift-sampler",
            "equidrift-train",
            "equidrift-trajectory",
            "equidrift-zoo",
        ],
    ),
];

/// Outside libraries that belong to certain crates only.
const OWNERS: &[(&str, &[&str])] = &[
    (
        "burn",
        &[
            "equidrift-backend",
            "equidrift-sampler",
            "equidrift-nn",
            "equidrift-train",
            "equidrift-gdss",
            "equidrift-geotdm",
            "equidrift-pard",
            "equidrift-laws",
        ],
    ),
    ("clap", &["equidrift-cli"]),
    ("clap_complete", &["equidrift-cli"]),
    ("ctrlc", &["equidrift-cli"]),
    ("indicatif", &["equidrift-cli"]),
    ("mimalloc", &["equidrift-cli"]),
    ("chematic", &["equidrift-molecule"]),
    ("rdkit-sys", &["equidrift-rdkit"]),
    ("hdf5-pure", &["equidrift-trajectory"]),
    ("molly", &["equidrift-trajectory"]),
    ("pyo3", &["equidrift-python"]),
    ("anyhow", &[]),
];

struct Package {
    manifest: PathBuf,
    description: String,
    /// Names of normal and build dependencies; development dependencies are free to point anywhere.
    uses: BTreeSet<String>,
}

fn packages() -> BTreeMap<String, Package> {
    // `--no-deps` keeps this independent of the network: the declared dependencies are all that is looked at.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(ROOT)
        .output()
        .expect("cargo runs, it has just built this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages are listed").iter().map(|package| {
        let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
        let uses = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["kind"] != "dev")
            .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
            .collect();
        let package =
            Package { manifest: text("manifest_path").into(), description: text("description"), uses };
        (text("name"), package)
    });
    packages.collect()
}

fn source_folder(name: &str) -> PathBuf {
    Path::new(ROOT).join("crates").join(name.strip_prefix("equidrift-").unwrap_or(name)).join("src")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// A file's code without its unit tests and without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let before_tests = text.split("#[cfg(test)]").next().unwrap_or_default();
    before_tests.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn arrows_point_down() {
    let arrows: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(name, to)| (*name, to.iter().copied().collect())).collect();
    let packages = packages();
    for (name, package) in &packages {
        let allowed = arrows
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is new: decide in ARROWS what it may use"));
        for used in package.uses.iter().filter(|used| packages.contains_key(*used)) {
            assert!(allowed.contains(used.as_str()), "{name} must not use {used}");
        }
    }
    // A misspelt rule would allow nothing and check nothing.
    for (name, _) in ARROWS {
        assert!(packages.contains_key(*name), "ARROWS names {name}, which does not exist");
    }
}

#[test]
fn the_allowed_arrows_have_no_cycle() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    // Peel off crates all of whose targets are gone; a cycle would remain.
    let mut left: BTreeSet<_> = arrows.keys().copied().collect();
    loop {
        let free: Vec<_> =
            left.iter().copied().filter(|name| !arrows[name].iter().any(|to| left.contains(to))).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|name| !free.contains(name));
    }
    assert!(left.is_empty(), "cycle among {left:?}");
}

#[test]
fn outside_libraries_stay_with_their_owners() {
    for (name, package) in packages() {
        for (library, owners) in OWNERS {
            let used = package.uses.contains(*library);
            assert!(!used || owners.contains(&name.as_str()), "{name} must not use {library}");
        }
    }
}

#[test]
fn things_and_weights_do_not_reach_a_tensor_library_by_any_way() {
    let packages = packages();
    for start in ["equidrift-graph", "equidrift-molecule", "equidrift-trajectory", "equidrift-zoo"] {
        let mut reached = BTreeSet::from([start.to_owned()]);
        let mut to_visit = vec![start.to_owned()];
        while let Some(name) = to_visit.pop() {
            for used in packages.get(&name).into_iter().flat_map(|package| &package.uses) {
                if reached.insert(used.clone()) {
                    to_visit.push(used.clone());
                }
            }
        }
        for forbidden in ["burn", "equidrift-sampler", "equidrift-backend", "candle-core", "tch"] {
            assert!(!reached.contains(forbidden), "{start} reaches {forbidden}");
        }
    }
}

#[test]
fn every_crate_and_module_has_a_name_that_says_what_it_is() {
    const ATTICS: [&str; 5] = ["core", "common", "utils", "helpers", "misc"];
    for name in packages().keys() {
        let short = name.strip_prefix("equidrift-").unwrap_or(name);
        assert!(!ATTICS.contains(&short), "crate {name}");
        for file in rust_files(&source_folder(name)) {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let folder =
                file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
            for module in [stem, folder] {
                assert!(!ATTICS.contains(&module.as_str()) && module != "util", "{}", file.display());
            }
        }
    }
}

#[test]
fn every_crate_says_what_it_is_and_follows_the_workspace_lints() {
    for (name, package) in packages() {
        assert!(!package.description.is_empty(), "{name} has no description");
        let folder = source_folder(&name);
        let top = ["lib.rs", "main.rs"].into_iter().map(|file| folder.join(file)).find(|file| file.exists());
        let top = top.unwrap_or_else(|| panic!("{name} has neither lib.rs nor main.rs"));
        let text = fs::read_to_string(&top).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with its doc line", top.display());
        let manifest = fs::read_to_string(&package.manifest).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true") || manifest.contains("[lints."),
            "{name}: lints"
        );
    }
}

#[test]
fn the_sampling_loop_exists_once() {
    let executor = source_folder("equidrift-sampler").join("execute/registers.rs");
    assert!(
        code(&executor).contains(".predict("),
        "the executor no longer calls the denoiser: mend this test"
    );
    for name in packages().keys().filter(|name| *name != "equidrift-laws") {
        for file in rust_files(&source_folder(name)).iter().filter(|file| **file != executor) {
            let code = code(file);
            // A wrapper passes the call on; that is no loop. Planners have a `predict` of their own, without a denoiser.
            let calls = code.contains(".predict(") && code.to_lowercase().contains("denoiser");
            assert!(!calls || code.contains("Denoiser for "), "{} samples on its own", file.display());
        }
    }
}

#[test]
fn each_crate_links_its_integration_tests_once() {
    for package in packages().values() {
        let tests = package.manifest.with_file_name("tests");
        let Ok(entries) = fs::read_dir(&tests) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let is_binary = path.extension().is_some_and(|suffix| suffix == "rs")
                || (path.join("main.rs").exists() && !path.ends_with("it"));
            assert!(!is_binary, "{} is a second test binary: make it a module of tests/it", path.display());
        }
    }
}

/// Every package with the features it is compiled with, for a selection of `cargo tree`.
fn compiled(selection: &[&str]) -> BTreeSet<(String, String)> {
    let tree = |how: &str| {
        Command::new(env!("CARGO"))
            .args(["tree", how, "--prefix", "none", "--format", "{p}|{f}"])
            .args(selection)
            .current_dir(ROOT)
            .output()
            .expect("cargo runs, it has just built this test")
    };
    // What the default build does not use, cargo may not have fetched yet.
    let offline = tree("--offline");
    let output = if offline.status.success() { offline } else { tree("--locked") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.contains(ROOT))
        .filter_map(|line| line.split_once('|'))
        .map(|(package, features)| (package.to_owned(), features.to_owned()))
        .collect()
}

#[cfg(target_os = "linux")] // Other systems have other dependencies below the tensor library.
#[test]
fn the_tensor_library_is_compiled_once_for_every_selection_of_packages() {
    let whole = compiled(&["--workspace", "--exclude", "equidrift-rdkit", "--edges", "normal,build,dev"]);
    let below: BTreeSet<String> = compiled(&["-p", "burn", "--edges", "normal,build"])
        .into_iter()
        .map(|(package, _)| package)
        .collect();
    assert!(below.len() > 100, "{} packages below burn", below.len());
    for name in ["backend", "sampler", "nn", "train", "gdss", "geotdm", "pard", "laws", "cli"] {
        for entry in compiled(&["-p", &format!("equidrift-{name}"), "--edges", "normal,build"]) {
            assert!(
                !below.contains(&entry.0) || whole.contains(&entry),
                "equidrift-{name} alone compiles {} with features {}, the workspace with {:?}: add them to the list in \
                 crates/backend/Cargo.toml",
                entry.0,
                entry.1,
                whole.iter().filter(|(package, _)| *package == entry.0).collect::<Vec<_>>()
            );
        }
    }
}
