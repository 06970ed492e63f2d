//! Formats of the library chemfiles. Feature `chemfiles`.

use equidrift_trajectory::{Format, TrajectoryError, TrajectoryReader, WriteOptions, file};

use crate::files::{largest_difference, sample};
use crate::python::{has, run};
use crate::reference::data_dir;

#[test]
fn mdtrajs_files_are_read_as_they_are_meant() {
    let Some(folder) = data_dir("md") else { return };
    let read =
        |name: &str| file::read(&folder.join("formats").join(name)).unwrap_or_else(|error| panic!("{error}"));
    // Into DCD files MDTraj writes the step 1 in CHARMM's unit, whatever the step was.
    for (name, same, allowed, step) in [
        ("ethanol200.trr", "ethanol200.xtc", 2e-6, 5.0),
        ("ethanol200.dcd", "ethanol200.xtc", 2e-6, 48.888_21),
        ("alanine_dipeptide100.dcd", "alanine_dipeptide100.pdb", 6e-4, 48.888_21),
    ] {
        let (found, expected) = (read(name), read(same));
        let difference = largest_difference(&found, &expected);
        println!("{name}: largest difference {difference:e} Å");
        assert!(difference <= allowed, "{name}: {difference}");
        assert_eq!(found.time_step(), Some(step), "{name}");
        assert!(found.cells().is_empty(), "{name}");
    }
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (atoms, frames, periodic) in [(1, 3, false), (9, 7, true), (30, 50, false)] {
        let written = sample(atoms, frames, periodic);
        // What a format knows of atoms, bonds and time.
        for (suffix, elements, bonds, time, allowed) in [
            ("dcd", false, false, false, 0.0),
            ("trr", false, false, true, 2e-6),
            ("nc", false, false, false, 0.0),
            ("gro", false, false, false, 0.0051),
            ("lammpstrj", false, false, false, 1e-4),
            ("mmtf", true, false, false, 0.000_51),
            ("mol2", true, true, false, 1e-4),
            ("pdb.gz", true, true, false, 0.000_51),
        ] {
            let path = folder.path().join(format!("{atoms}.{suffix}"));
            assert_eq!(Format::of_path(&path).unwrap(), Format::Chemfiles);
            assert_eq!(file::write(&path, &written, &WriteOptions::default()).unwrap(), frames as u64);
            let read = file::read(&path).unwrap_or_else(|error| panic!("{error}"));
            let difference = largest_difference(&written, &read);
            assert!(difference <= allowed, "{suffix}, {atoms} atoms: {difference}");
            if elements {
                assert_eq!(written.topology().elements(), read.topology().elements(), "{suffix}");
            }
            if bonds {
                assert_eq!(written.topology().bonds(), read.topology().bonds(), "{suffix}");
            }
            if time {
                assert_eq!(read.time_step(), Some(2.5), "{suffix}: {:?}", read.times());
            }
        }
        let left = std::fs::read_dir(folder.path()).unwrap();
        assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
    }
}

const MDANALYSIS: &str = r#"
import sys, numpy as np, MDAnalysis as mda
folder = sys.argv[1]
truth = np.load(f"{folder}/a.npz")
for suffix, allowed in (("dcd", 0), ("trr", 2e-6), ("nc", 0)):
    u = mda.Universe(f"{folder}/a.pdb", f"{folder}/a.{suffix}")
    assert len(u.trajectory) == 8, (suffix, len(u.trajectory))
    for t, ts in enumerate(u.trajectory):
        worst = abs(ts.positions - truth["R"][t]).max()
        assert worst <= allowed, (suffix, t, worst)
        a = np.linalg.norm(truth["cell"][t], axis=1)
        assert abs(ts.dimensions[:3] - a).max() < 2e-3, (suffix, ts.dimensions, a)
        assert abs(ts.dimensions[3:] - [80, 95, 100]).max() < 2e-2, (suffix, ts.dimensions)
        if suffix == "trr":
            assert abs(ts.time - 0.0025 * t) < 1e-6, (t, ts.time)
print("MDAnalysis", mda.__version__, "reads dcd, trr and nc")
"#;

#[test]
fn mdanalysis_reads_what_is_written() {
    if !has(&["MDAnalysis"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["dcd", "trr", "nc", "pdb", "npz"] {
        let path = folder.path().join(format!("a.{suffix}"));
        file::write(&path, &sample(30, 8, true), &WriteOptions::default()).unwrap();
    }
    run(MDANALYSIS, folder.path());
}

#[test]
fn bad_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.trr");
    let missing = TrajectoryReader::open(&path).err().unwrap();
    assert!(matches!(missing, TrajectoryError::File { .. }), "{missing}");
    file::write(&path, &sample(30, 6, true), &WriteOptions::default()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mut errors = 0;
    for step in 0..60 {
        std::fs::write(&path, &bytes[..bytes.len() * step / 60]).unwrap();
        match TrajectoryReader::open(&path) {
            Err(error) => errors += usize::from(error.frame() == Some(0)),
            Ok(reader) => {
                let mut read = 0;
                for frame in reader {
                    match frame {
                        Ok(_) => read += 1,
                        Err(error) => {
                            assert_eq!(error.frame(), Some(read), "{error}");
                            errors += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{errors} of 60 cuts are errors");
    assert!(errors > 45);
    // A reader that is dropped early lets its thread go; a sink that was not finished leaves nothing.
    std::fs::write(&path, &bytes).unwrap();
    assert!(TrajectoryReader::open(&path).unwrap().next().unwrap().is_ok());
    // Fractions of a cell that is not there.
    let cif = file::write(&folder.path().join("a.cif"), &sample(9, 1, false), &WriteOptions::default());
    assert!(matches!(cif, Err(TrajectoryError::Unsupported { .. })), "{cif:?}");
    assert!(!folder.path().join("a.cif").exists());
    let tng = folder.path().join("a.tng");
    assert_eq!(Format::of_path(&tng).unwrap(), Format::Chemfiles);
    assert!(matches!(Format::to_write(&tng), Err(TrajectoryError::ReadOnlyFormat { .. })));
    let unknown = Format::of_path(&folder.path().join("a.unknown")).err().unwrap().to_string();
    assert!(unknown.contains(".dcd"), "{unknown}");
}
