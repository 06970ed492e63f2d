//! Files that are cut off, damaged or made to break a reader: each is read or is an error that names the frame, soon, and
//! without much memory.

use std::path::Path;
use std::time::{Duration, Instant};

use equidrift_graph::random::Random;
use equidrift_trajectory::{TrajectoryError, TrajectoryReader, WriteOptions, file};

use crate::files::{SUFFIXES, sample};

/// No file here may take longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The frames before the first error, and that error.
fn read(path: &Path) -> (u64, Option<TrajectoryError>) {
    let start = Instant::now();
    let mut frames = 0;
    let mut problem = None;
    match TrajectoryReader::open(path) {
        Err(error) => problem = Some(error),
        Ok(reader) => {
            for frame in reader {
                match frame {
                    Ok(_) => frames += 1,
                    Err(error) => problem = Some(error),
                }
            }
        }
    }
    let elapsed = start.elapsed();
    assert!(elapsed < PATIENCE, "{}: {elapsed:?}", path.display());
    (frames, problem)
}

#[test]
fn a_file_that_is_cut_off_names_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    for (atoms, frames) in [(5, 6), (30, 6)] {
        let trajectory = sample(atoms, frames, true);
        for suffix in SUFFIXES {
            let path = folder.path().join(format!("whole.{suffix}"));
            file::write(&path, &trajectory, &WriteOptions::default()).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let cut = folder.path().join(format!("cut.{suffix}"));
            let mut errors = 0;
            let steps = 60;
            for step in 0..steps {
                let length = bytes.len() * step / steps;
                std::fs::write(&cut, &bytes[..length]).unwrap();
                let (read, problem) = read(&cut);
                assert!(read <= frames as u64);
                if let Some(error) = problem {
                    errors += 1;
                    let text = error.to_string();
                    assert!(text.contains("cut."), "{text}");
                    assert_eq!(error.frame(), Some(read), "{suffix}: {text}");
                }
            }
            // Cuts between two frames, at the start, or within the last number of a text are no errors.
            println!("{suffix}, {atoms} atoms: {errors} of {steps} cuts are errors");
            assert!(errors > steps * 3 / 4, "{suffix}: {errors}");
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::keyed(13, &[]);
    for (atoms, frames) in [(9, 4), (30, 4)] {
        let trajectory = sample(atoms, frames, true);
        for suffix in SUFFIXES {
            let path = folder.path().join(format!("whole.{suffix}"));
            file::write(&path, &trajectory, &WriteOptions::default()).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let damaged = folder.path().join(format!("damaged.{suffix}"));
            let mut errors = 0;
            let tries = 200;
            for attempt in 0..tries {
                let mut bytes = bytes.clone();
                for _ in 0..1 + random.below(4) {
                    // Half of the damage hits the beginning, where headers are.
                    let end = if attempt % 2 == 0 { bytes.len() } else { bytes.len().min(256) };
                    let place = random.below(end);
                    bytes[place] = match random.below(3) {
                        0 => random.bits() as u8,
                        1 => 0xff,
                        _ => bytes[place] ^ (1 << random.below(8)),
                    };
                }
                std::fs::write(&damaged, &bytes).unwrap();
                errors += u32::from(read(&damaged).1.is_some());
            }
            println!("{suffix}, {atoms} atoms: {errors} of {tries} damaged files are errors");
            assert!(errors > 0, "{suffix}");
        }
    }
}

#[test]
fn the_checksum_of_an_archive_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    file::write(&path, &sample(9, 5, false), &WriteOptions::default()).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // A low bit in the middle of the positions: a number that looks well.
    bytes[183 + 4 * 100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (frames, problem) = read(&path);
    let text = problem.unwrap().to_string();
    assert!(frames == 5 && text.contains("checksum"), "{text}");
}

#[test]
fn stated_numbers_are_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let (_, problem) = read(&path);
        let text = problem.unwrap_or_else(|| panic!("{name} was read")).to_string();
        assert!(text.contains(expected), "{text}");
    };
    check("many.xyz", b"99999999999\n\n", "at most");
    check("promise.xyz", b"16000000\n\nC 0 0 0\n", "cut off");
    check("word.xyz", b"C 0 0 0\n", "number of atoms");
    check("nan.xyz", b"1\n\nC 0 nan 0\n", "coordinate");
    check("element.xyz", b"1\n\nQq 0 0 0\n", "element");
    check("change.xyz", b"1\n\nC 0 0 0\n1\n\nN 0 0 0\n", "frame 1");
    check("count.xyz", b"1\n\nC 0 0 0\n2\n\nC 0 0 0\nC 1 1 1\n", "expected 1, found 2");
    check("line.xyz", &vec![b'1'; 3 << 20], "a line of more than");
    check("open.pdb", b"MODEL        1\n", "cut off");
    check("nested.pdb", b"MODEL        1\nMODEL        2\n", "ENDMDL expected");
    check("magic.xtc", &[7; 200], "1995");
    let mut header = Vec::new();
    for word in [1995_i32, 16_000_000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16_000_000] {
        header.extend_from_slice(&word.to_be_bytes());
    }
    check("short.xtc", &header, "cut off");
    // Precision, two corners, an index, and a stream of no bytes for all those atoms.
    let mut packed = header.clone();
    packed.extend_from_slice(&1000_f32.to_be_bytes());
    for word in [0_i32, 0, 0, 100, 100, 100, 20, 8] {
        packed.extend_from_slice(&word.to_be_bytes());
    }
    packed.extend_from_slice(&[0; 8]);
    check("stream.xtc", &packed, "end too early");
    check("none.npz", b"PK\x05\x06 this is no archive at all", "archive");
    check("none.h5md", b"this is no HDF5 file", "HDF5");
}
