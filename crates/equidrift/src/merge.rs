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
use crate::manifest::{IdRange, Manifest, Progress};
use crate::output::hexadecimal;
use crate::shard::Shard;
use crate::summary::Tally;

/// Joins the finished shard files `parts` into `output`, with a manifest of its own, which is returned.
///
/// # Errors
/// Where a manifest is missing or unreadable, a shard is unfinished, missing, given twice or from another run, a file
/// is not what its manifest recorded, or the output cannot be written.
pub fn merge(parts: &[PathBuf], output: &Path) -> Result<Manifest, Error> {
    let parts = in_shard_order(parts, output)?;
    let merged = merged_manifest(&parts)?;
    let partial = Manifest::partial_for(output);
    let write = |source| Error::Write { path: partial.clone(), source };
    let result = (|| {
        let mut target = File::create(&partial).map_err(write)?;
        let mut whole = Sha256::new();
        for (path, manifest) in &parts {
            copy_verified(path, manifest, &mut target, &mut whole, &partial)?;
        }
        target.sync_all().map_err(write)?;
        let merged = Manifest { sha256: hexadecimal(&whole.finalize()), ..merged };
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
    let mut merged = Manifest { diverged: Vec::new(), tally: Tally::default(), bytes: 0, ..first.clone() };
    merged.request.shard = Shard::WHOLE;
    for (_, part) in parts {
        merged.bytes += part.bytes;
        merged.tally.add(&part.tally);
        merged.diverged.extend_from_slice(&part.diverged);
    }
    merged.done = vec![IdRange::from(merged.request.ids())];
    Ok(merged)
}

/// Appends the file to `target`, hashing it on the way, and checks it against its manifest.
fn copy_verified(
    path: &Path,
    manifest: &Manifest,
    target: &mut File,
    whole: &mut Sha256,
    target_path: &Path,
) -> Result<(), Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
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
        whole.update(&piece[..n]);
        target
            .write_all(&piece[..n])
            .map_err(|source| Error::Write { path: target_path.to_owned(), source })?;
        length += n as u64;
    }
    if length != manifest.bytes || hexadecimal(&own.finalize()) != manifest.sha256 {
        return Err(Error::Recorded {
            path: path.to_owned(),
            reason: "its length or SHA-256 is not the recorded one",
        });
    }
    Ok(())
}
