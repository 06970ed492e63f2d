//! The files of all shards of a run, joined into the file of the undivided run.
//!
//! The shards are put in order by their manifests, not by the order of the arguments. Every file is verified
//! against its manifest while it is copied, and the result appears only when it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::frame::Frame;
use crate::manifest::{IdRange, Manifest, Progress};
use crate::output::hexadecimal;
use crate::shard::Shard;
use crate::summary::Tally;
use crate::trajectories::merge_trajectories;

/// Joins the finished shard files `parts` into `output`, with a manifest of its own, which is returned.
///
/// # Errors
/// Where a manifest is missing or unreadable, a shard is unfinished, missing, given twice or from another run, a file
/// is not what its manifest recorded, or the output cannot be written.
pub fn merge(parts: &[PathBuf], output: &Path) -> Result<Manifest, Error> {
    let parts = in_shard_order(parts, output)?;
    let mut merged = merged_manifest(&parts)?;
    if equidrift_trajectory::Format::of_name(&merged.identity.format).is_some() {
        return merge_trajectories(&parts, merged, output);
    }
    let frame = Frame::of_format(&merged.identity.format);
    let partial = Manifest::partial_for(output);
    let write = |source| Error::Write { path: partial.clone(), source };
    let result = (|| {
        let file = File::create(&partial).map_err(write)?;
        let mut target = Target { file, path: &partial, hasher: Sha256::new(), bytes: 0 };
        for (path, manifest) in &parts {
            copy_verified(path, manifest, frame, &mut target)?;
        }
        for part in frame.end(target.bytes) {
            target.put(part.as_bytes())?;
        }
        target.file.sync_all().map_err(write)?;
        (merged.bytes, merged.sha256) = (target.bytes, hexadecimal(&target.hasher.finalize()));
        merged.write(output)?;
        Ok(merged)
    })();
    match result {
        Ok(merged) => {
            fs::rename(&partial, output)
                .map_err(|source| Error::Write { path: output.to_owned(), source })?;
            Ok(merged)
        }
        Err(error) => {
            let _ = fs::remove_file(&partial); // nothing in it is worth more than the shards themselves
            Err(error)
        }
    }
}

/// The shards by index, complete and of one run.
fn in_shard_order(parts: &[PathBuf], output: &Path) -> Result<Vec<(PathBuf, Manifest)>, Error> {
    let mut shards = BTreeMap::new();
    let mut first: Option<(PathBuf, Manifest)> = None;
    for path in parts {
        if same_file(path, output) {
            return Err(Error::MergeOntoInput { path: path.clone() });
        }
        let manifest = Manifest::read(path)?
            .ok_or_else(|| Error::NoManifest { path: path.clone(), manifest: Manifest::path_for(path) })?;
        if manifest.progress != Progress::Complete {
            let ids = manifest.request.ids();
            return Err(Error::Unfinished { path: path.clone(), next: manifest.next(), end: ids.end });
        }
        if let Some((_, expected)) = &first {
            let difference = expected
                .identity
                .difference(&manifest.identity)
                .map(|(what, e, f)| (what, e.to_owned(), f.to_owned()));
            let (ours, theirs) = (expected.request.shard.count(), manifest.request.shard.count());
            let counts = (ours != theirs).then(|| ("number of shards", ours.to_string(), theirs.to_string()));
            if let Some((what, expected, found)) = difference.or(counts) {
                return Err(Error::DifferentRun { path: Manifest::path_for(path), what, expected, found });
            }
        } else {
            first = Some((path.clone(), manifest.clone()));
        }
        let shard = manifest.request.shard;
        if let Some((earlier, _)) = shards.insert(shard.index(), (path.clone(), manifest)) {
            return Err(Error::ShardTwice { shard, first: earlier, second: path.clone() });
        }
    }
    let count = first.map_or(0, |(_, manifest)| manifest.request.shard.count());
    let missing: Vec<String> =
        (0..count).filter(|i| !shards.contains_key(i)).map(|i| format!("{i}/{count}")).collect();
    if shards.is_empty() || !missing.is_empty() {
        return Err(Error::ShardsMissing { missing });
    }
    Ok(shards.into_values().collect())
}

/// Whether both paths name one existing file.
fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn merged_manifest(parts: &[(PathBuf, Manifest)]) -> Result<Manifest, Error> {
    let Some((_, first)) = parts.first() else {
        return Err(Error::ShardsMissing { missing: Vec::new() });
    };
    let mut merged = Manifest { diverged: Vec::new(), tally: Tally::default(), ..first.clone() };
    merged.request.shard = Shard::WHOLE;
    for (_, part) in parts {
        merged.tally.add(&part.tally);
        merged.diverged.extend_from_slice(&part.diverged);
    }
    merged.done = vec![IdRange::from(merged.request.ids())];
    Ok(merged)
}

/// The file that the shards are joined into.
struct Target<'a> {
    file: File,
    path: &'a Path,
    hasher: Sha256,
    bytes: u64,
}

impl Target<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| Error::Write { path: self.path.to_owned(), source })
    }
}

/// Appends the file's records to `target`, and checks the file against its manifest on the way.
fn copy_verified(
    path: &Path,
    manifest: &Manifest,
    frame: Frame,
    target: &mut Target<'_>,
) -> Result<(), Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let recorded = |reason| Error::Recorded { path: path.to_owned(), reason };
    let (opening, closing) = (frame.opening.len() as u64, frame.closing.len() as u64);
    let Some(records_end) = manifest.bytes.checked_sub(closing).filter(|end| *end >= opening) else {
        return Err(recorded("it is shorter than an empty file of its format"));
    };
    if manifest.tally.samples > 0 {
        target.put(frame.before_record(target.bytes).as_bytes())?;
    }
    let mut source = BufReader::new(File::open(path).map_err(read)?);
    let mut own = Sha256::new();
    let mut piece = vec![0; 256 * 1024];
    let mut length = 0;
    loop {
        let n = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read(error)),
        };
        own.update(&piece[..n]);
        // The part of this piece that lies between the opening and the closing.
        let place = |at: u64| at.clamp(length, length + n as u64) - length;
        target.put(&piece[place(opening) as usize..place(records_end) as usize])?;
        length += n as u64;
    }
    if length != manifest.bytes || hexadecimal(&own.finalize()) != manifest.sha256 {
        return Err(recorded("its length or SHA-256 is not the recorded one"));
    }
    Ok(())
}
