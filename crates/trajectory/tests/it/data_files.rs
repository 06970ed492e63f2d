//! Files that MDTraj wrote are read as they are meant.

use std::path::Path;

use equidrift_trajectory::file::NumpyArchive;
use equidrift_trajectory::geometry::dihedral;
use equidrift_trajectory::pedestrians::{Contents, Recording, Splits};
use equidrift_trajectory::{ReadOptions, TrajectoryReader, file};

use crate::files::largest_difference;
use crate::reference::data_dir;

#[test]
fn ethanol_in_all_formats() {
    let Some(folder) = data_dir("md") else { return };
    let whole = file::read(&folder.join("ethanol.npz")).unwrap();
    assert_eq!((whole.frames(), whole.atoms(), whole.time_step()), (40_000, 9, Some(1.0)));
    assert_eq!(whole.topology().bonds().len(), 8);
    let expected = whole.window(0, 996).strided(5);
    for (name, allowed) in [("ethanol200.xyz", 6e-7), ("ethanol200.pdb", 6e-4), ("ethanol200.xtc", 2e-6)] {
        let read = file::read(&folder.join("formats").join(name)).unwrap_or_else(|error| panic!("{error}"));
        let difference = largest_difference(&expected, &read);
        println!("{name}: largest difference {difference:e} Å");
        assert!(difference <= allowed, "{name}: {difference}");
        if !name.ends_with("xtc") {
            assert_eq!(read.topology().elements(), expected.topology().elements(), "{name}");
        }
        if !name.ends_with("pdb") {
            assert_eq!(read.time_step(), Some(5.0), "{name}: {:?}", &read.times()[..4]);
        } else {
            assert_eq!(read.topology().bonds(), expected.topology().bonds());
            assert_eq!(read.topology().names()[2], "O1");
        }
        assert!(read.cells().is_empty(), "{name}");
    }
}

#[test]
fn alanine_dipeptide_in_all_formats() {
    let Some(folder) = data_dir("md") else { return };
    let archive_path = folder.join("alanine_dipeptide.npz");
    let read = |name: &str| file::read(&folder.join("formats").join(name)).unwrap();
    let (pdb, xtc) = (read("alanine_dipeptide100.pdb"), read("alanine_dipeptide100.xtc"));
    // Each format rounds to its own last digit.
    let difference = largest_difference(&pdb, &xtc);
    println!("alanine dipeptide, pdb and xtc: largest difference {difference:e} Å");
    assert!(pdb.frames() == 100 && difference <= 0.0056, "{difference}");
    // MDTraj was not told the step of 0.2 ps and counted the frames in picoseconds.
    assert_eq!(xtc.time_step(), Some(1000.0));

    let error = TrajectoryReader::open(&archive_path).err().unwrap().to_string();
    assert!(error.contains("3 runs"), "{error}");
    let archive = NumpyArchive::open(&archive_path).unwrap();
    let (shape, phi) = archive.array("phi").unwrap();
    let (_, psi) = archive.array("psi").unwrap();
    assert_eq!(shape, [3, 10_043]);
    for run in 0..3 {
        let options = ReadOptions { run: Some(run) };
        let trajectory = TrajectoryReader::open_with(&archive_path, options).unwrap().read_all().unwrap();
        assert_eq!((trajectory.frames(), trajectory.time_step()), (10_043, Some(200.0)));
        if run == 0 {
            assert_eq!(trajectory.topology().elements(), pdb.topology().elements());
        }
        let mut worst = 0.0_f64;
        for t in 0..trajectory.frames() {
            let frame = trajectory.frame(t);
            for (expected, atoms) in [(&phi, [4, 6, 8, 14]), (&psi, [6, 8, 14, 16])] {
                let found = dihedral(atoms.map(|atom| frame[atom]));
                let turn = (found - expected[run * 10_043 + t]).abs();
                worst = worst.max(turn.min(2.0 * std::f64::consts::PI - turn));
            }
        }
        println!("run {run}: torsions agree to {worst:e}");
        assert!(worst < 2e-6, "run {run}: {worst}");
    }
    let wrong = TrajectoryReader::open_with(&archive_path, ReadOptions { run: Some(3) });
    assert!(wrong.is_err());
}

#[test]
fn frames_come_one_by_one() {
    let Some(folder) = data_dir("md") else { return };
    let mut reader = TrajectoryReader::open(&folder.join("aspirin.npz")).unwrap();
    assert_eq!(reader.topology().atoms(), 21);
    let second = reader.by_ref().nth(1).unwrap().unwrap();
    assert_eq!(second.time, Some(1.0));
    let other = Path::new("../../no/such").join("x.npz");
    assert!(TrajectoryReader::open(&other).is_err());
}

#[test]
fn pedestrians_are_counted_as_the_data_says() {
    let Some(folder) = data_dir("pedestrians") else { return };
    let splits = Splits::read(&folder.join("splits.json")).unwrap();
    assert!(splits.recordings.len() >= 7);
    for (name, split) in &splits.recordings {
        let recording = Recording::read(&folder.join(format!("{name}.csv"))).unwrap();
        let (whole, cut) = (recording.range(), split.val_from_frame);
        let count = |frames| Contents::of(&recording.windows(frames));
        let found = (count(whole.clone()), count(whole.start..cut), count(cut..whole.end));
        assert_eq!(found, (split.all, split.train, split.val), "{name}");
    }
}
