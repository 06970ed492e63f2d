//! Trajectories as they are appended to an unfinished file, and the finished file that is made of them.
//!
//! ```text
//! a record: frames (u32), then positions [frames, N, 3] (f32), all little endian; nothing of a sample that diverged
//! ```
//!
//! The formats of trajectories have heads, tails and numbers of frames, so the file itself is written when all is there.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use equidrift_trajectory::file::{NumpyArchive, ReadOptions};
use equidrift_trajectory::{Format, Frame, TrajectoryReader, TrajectoryWriter, WriteOptions};

use super::starts::Starts;
use crate::error::Error;
use crate::manifest::{Manifest, Progress};
use crate::output::{sha256_of, verify_complete};

/// The record of frames `[T, N]`.
pub(crate) fn append_record(frames: &[Vec<[f32; 3]>]) -> Vec<u8> {
    let mut record = (frames.len() as u32).to_le_bytes().to_vec();
    record.extend(frames.iter().flat_map(|frame| frame.as_flattened()).flat_map(|x| x.to_le_bytes()));
    record
}

/// Writes the trajectories whose records are in `partial` to `path`. `samples` are the ids of those that did not diverge, in
/// order, each with the number of its window; made frames are numbered from `first` (negative: given frames in front).
pub(crate) fn write_trajectories(
    partial: &Path,
    path: &Path,
    starts: &Starts,
    windows_of_samples: impl Iterator<Item = usize>,
    first: i64,
) -> Result<(), Error> {
    let read = |source| Error::Read { path: partial.to_owned(), source };
    let mut records = BufReader::new(File::open(partial).map_err(read)?);
    let unwritten = |source| Error::Unwritten { partial: partial.to_owned(), source };
    let mut writer =
        TrajectoryWriter::create(path, &starts.topology, &WriteOptions::default()).map_err(unwritten)?;
    let mut row = vec![0; 12 * starts.topology.atoms()];
    for window in windows_of_samples {
        let mut count = [0; 4];
        records.read_exact(&mut count).map_err(read)?;
        writer.begin_sample(starts.place(window, first));
        for t in 0..u32::from_le_bytes(count) {
            records.read_exact(&mut row).map_err(read)?;
            let numbers: Vec<f32> = row.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
            let (time, cell) = starts.moment(window, first + i64::from(t));
            let positions = numbers.as_chunks::<3>().0.to_vec();
            writer.write(&Frame { time, cell, positions }).map_err(unwritten)?;
        }
    }
    writer.finish().map_err(unwritten)?;
    Ok(())
}

/// Writes what really stands where the samples of each window do, with the given frames around it if they are wanted; each window
/// is a sample of the file.
pub(crate) fn write_truth(path: &Path, starts: &Starts, with_given: bool) -> Result<(), Error> {
    let mut writer = TrajectoryWriter::create(path, &starts.topology, &WriteOptions::default())?;
    for (window, start) in starts.windows.iter().enumerate() {
        let first = if with_given { -(start.system.before() as i64) } else { 0 };
        writer.begin_sample(starts.place(window, first));
        for frame in starts.truth(window, with_given) {
            writer.write(&frame)?;
        }
    }
    writer.finish()?;
    Ok(())
}

/// Joins the finished trajectory files of all shards, whose manifests are in order of the shards, into `output`.
///
/// # Errors
/// A file that is not what its manifest recorded, or cannot be read or written.
pub(crate) fn merge_trajectories(
    parts: &[(PathBuf, Manifest)],
    mut merged: Manifest,
    output: &Path,
) -> Result<Manifest, Error> {
    let mut writer = None;
    for (path, manifest) in parts {
        verify_complete(path, manifest)?;
        if manifest.tally.samples == manifest.tally.diverged {
            continue; // nothing in it but a head, if that
        }
        let windows = sample_windows(path)?;
        // Only arrays tell samples apart.
        for run in 0..windows.as_ref().map_or(1, Vec::len) {
            let reader =
                TrajectoryReader::open_with(path, ReadOptions { run: windows.is_some().then_some(run) })?;
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(TrajectoryWriter::create(
                    output,
                    reader.topology(),
                    &WriteOptions::default(),
                )?),
            };
            if let Some(windows) = &windows {
                writer.begin_sample(windows[run]);
            }
            for frame in reader {
                writer.write(&frame?)?;
            }
        }
    }
    match writer {
        Some(writer) => {
            writer.finish()?;
        }
        // All diverged: any part is the whole.
        None => {
            let (path, _) = &parts[0];
            std::fs::copy(path, output).map_err(|source| Error::Write { path: output.to_owned(), source })?;
        }
    }
    (merged.bytes, merged.sha256) = sha256_of(output)?;
    merged.progress = Progress::Complete;
    merged.write(output)?;
    Ok(merged)
}

/// The samples of a file of arrays, each with the frame at which it begins, where the file says so; `None` of other formats.
fn sample_windows(path: &Path) -> Result<Option<Vec<Option<u64>>>, Error> {
    if Format::of_path(path)? != Format::Npz {
        return Ok(None);
    }
    let samples = equidrift_trajectory::file::runs(path)?.unwrap_or(1) as usize;
    let archive = NumpyArchive::open(path)?;
    if !archive.has("window") {
        return Ok(Some(vec![None; samples]));
    }
    let (_, mut windows) = archive.array("window")?;
    windows.resize(samples, f64::NAN);
    Ok(Some(windows.into_iter().map(|window| (window >= 0.0).then_some(window as u64)).collect()))
}
