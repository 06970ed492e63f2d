//! Each format is read back as it was written.

use std::path::Path;

use equidrift_graph::random::Random;
use equidrift_trajectory::{
    Cell, Element, Format, Frame, Residue, Selection, Topology, Trajectory, TrajectoryError,
    TrajectoryReader, TrajectoryWriter, WriteOptions, file,
};

pub(crate) const SUFFIXES: [&str; 5] = ["xtc", "extxyz", "pdb", "h5md", "npz"];

/// Atoms that wander, with names, bonds and, if asked for, a skewed cell that breathes.
pub(crate) fn sample(atoms: usize, frames: usize, periodic: bool) -> Trajectory {
    let mut random = Random::keyed(atoms as u64, &[frames as u64]);
    let elements = [6, 1, 8, 7, 17].map(Element);
    let mut topology = Topology::of_elements((0..atoms).map(|atom| elements[atom % 5]).collect());
    topology.set_bonds((1..atoms as u32).map(|atom| [atom - 1, atom]).collect()).unwrap();
    let names = (0..atoms).map(|atom| format!("A{}", atom % 100)).collect();
    let residue = Residue { name: "ALA".to_owned(), number: 7, chain: 'B' };
    topology.set_names(names, vec![residue; atoms]).unwrap();
    let mut trajectory = Trajectory::new(topology);
    for t in 0..frames {
        let side = 12.0 + 0.1 * t as f64;
        let cell =
            Cell::from_lengths_and_angles([side, 14.0, 16.0], [80.0, 95.0, 100.0]).filter(|_| periodic);
        let positions =
            (0..atoms).map(|_| std::array::from_fn(|_| (random.uniform() * 24.0 - 12.0) as f32)).collect();
        trajectory.push(&Frame { time: Some(2.5 * t as f64), cell, positions }).unwrap();
    }
    trajectory
}

pub(crate) fn largest_difference(a: &Trajectory, b: &Trajectory) -> f32 {
    assert_eq!((a.frames(), a.atoms()), (b.frames(), b.atoms()));
    a.coordinates().iter().zip(b.coordinates()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Half a step of the format's last digit, and a little for rounding.
fn allowed(path: &Path, atoms: usize) -> f32 {
    match Format::of_path(path).unwrap() {
        Format::Xtc if atoms > 9 => 0.00501,
        Format::Xtc => 2e-6,
        Format::Pdb => 0.000501,
        _ => 0.0,
    }
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (atoms, frames, periodic) in
        [(1, 3, false), (9, 7, true), (10, 1, true), (21, 50, false), (400, 5, true)]
    {
        let written = sample(atoms, frames, periodic);
        for suffix in SUFFIXES {
            let path = folder.path().join(format!("{atoms}.{suffix}"));
            assert_eq!(file::write(&path, &written, &WriteOptions::default()).unwrap(), frames as u64);
            let read = file::read(&path).unwrap_or_else(|error| panic!("{error}"));
            let difference = largest_difference(&written, &read);
            assert!(difference <= allowed(&path, atoms), "{suffix}, {atoms} atoms: {difference}");
            // XTC knows no elements; XYZ and NumPy no names; only PDB, H5MD and NumPy know bonds.
            let (old, new) = (written.topology(), read.topology());
            if suffix != "xtc" {
                assert_eq!(old.elements(), new.elements(), "{suffix}");
            }
            if !["xtc", "extxyz"].contains(&suffix) {
                assert_eq!(old.bonds(), new.bonds(), "{suffix}");
            }
            if suffix == "pdb" {
                assert_eq!((old.names(), old.residues()), (new.names(), new.residues()));
            } else {
                for (old, new) in written.times().iter().zip(read.times()) {
                    assert!((old - new).abs() < 1e-9, "{suffix}: {old} {new}");
                }
                // A file of NumPy holds a step, which one frame has not.
                assert_eq!(
                    read.times().len(),
                    if suffix == "npz" && frames == 1 { 0 } else { frames },
                    "{suffix}"
                );
            }
            assert_eq!(read.cells().len(), if periodic { frames } else { 0 }, "{suffix}");
            let allowed = if suffix == "pdb" { 0.03 } else { 1e-5 };
            for (old, new) in written.cells().iter().zip(read.cells()) {
                for (old, new) in old.0.as_flattened().iter().zip(new.0.as_flattened()) {
                    assert!((old - new).abs() < allowed, "{suffix}: {old} {new}");
                }
            }
        }
    }
}

#[test]
fn selections_and_strides_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let written = sample(15, 10, true);
    let selection: Selection = "element C,O".parse().unwrap();
    let expected = written.selected(&selection).unwrap().strided(4);
    for suffix in SUFFIXES {
        let path = folder.path().join(format!("part.{suffix}"));
        let options = WriteOptions { selection: selection.clone(), stride: 4 };
        assert_eq!(file::write(&path, &written, &options).unwrap(), 3);
        let read = file::read(&path).unwrap();
        assert!(largest_difference(&expected, &read) <= allowed(&path, 6), "{suffix}");
        if suffix != "pdb" {
            assert_eq!(read.time_step(), Some(10.0), "{suffix}");
        }
    }
}

#[test]
fn a_file_appears_when_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let trajectory = sample(12, 3, false);
    for suffix in SUFFIXES {
        let path = folder.path().join(format!("late.{suffix}"));
        std::fs::write(&path, "the old file").unwrap();
        let topology = trajectory.topology();
        let mut writer = TrajectoryWriter::create(&path, topology, &WriteOptions::default()).unwrap();
        writer.write(&trajectory.owned_frame(0)).unwrap();
        drop(writer);
        assert_eq!(std::fs::read(&path).unwrap(), b"the old file", "{suffix}");
        let mut writer = TrajectoryWriter::create(&path, topology, &WriteOptions::default()).unwrap();
        writer.write(&trajectory.owned_frame(0)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"the old file", "{suffix}");
        assert_eq!(writer.finish().unwrap(), 1);
        assert_eq!(TrajectoryReader::open(&path).unwrap().count(), 1, "{suffix}");
    }
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), SUFFIXES.len(), "{names:?}");
    let nowhere = folder.path().join("no/such/folder.xtc");
    let result = TrajectoryWriter::create(&nowhere, trajectory.topology(), &WriteOptions::default());
    assert!(matches!(result, Err(TrajectoryError::File { task: "write", .. })));
}

#[test]
fn equal_trajectories_make_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let trajectory = sample(12, 6, true);
    for suffix in SUFFIXES {
        let bytes = ["a", "b"].map(|name| {
            let path = folder.path().join(format!("{name}.{suffix}"));
            file::write(&path, &trajectory, &WriteOptions::default()).unwrap();
            std::fs::read(path).unwrap()
        });
        assert!(bytes[0] == bytes[1], "{suffix}");
    }
}

#[test]
fn an_empty_trajectory_is_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let trajectory = Trajectory::new(sample(12, 1, false).topology().clone());
    for suffix in SUFFIXES {
        let path = folder.path().join(format!("empty.{suffix}"));
        assert_eq!(file::write(&path, &trajectory, &WriteOptions::default()).unwrap(), 0);
        assert_eq!(file::read(&path).unwrap_or_else(|error| panic!("{error}")).frames(), 0, "{suffix}");
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused_with_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let trajectory = sample(12, 2, false);
    for suffix in SUFFIXES {
        let path = folder.path().join(format!("bad.{suffix}"));
        let mut writer =
            TrajectoryWriter::create(&path, trajectory.topology(), &WriteOptions::default()).unwrap();
        writer.write(&trajectory.owned_frame(0)).unwrap();
        let mut frame = trajectory.owned_frame(1);
        frame.positions[3][1] = f32::NAN;
        let error = writer.write(&frame).unwrap_err();
        assert!(error.frame() == Some(1) && error.to_string().contains("finite"), "{error}");
        frame.positions.pop();
        assert!(writer.write(&frame).is_err());
        frame.positions.push([0.0; 3]);
        frame.positions[3][1] = 1e30;
        assert_eq!(writer.write(&frame).is_err(), ["xtc", "pdb"].contains(&suffix), "{suffix}");
    }
    assert!(matches!(
        TrajectoryReader::open(Path::new("molecule.unknown")),
        Err(TrajectoryError::UnknownFormat { .. })
    ));
    assert!(matches!(
        TrajectoryReader::open(Path::new("/no/such/file.h5md")),
        Err(TrajectoryError::File { task: "open", .. })
    ));
}
