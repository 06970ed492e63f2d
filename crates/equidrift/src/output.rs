//! Where results go: a stream, or a file that is never seen half-written.
//!
//! A file output grows as `OUT.partial` with a manifest beside it. From time to time what was appended is synced to
//! disk and then recorded in the manifest, so the manifest never claims bytes that a crash could take back. At
//! the end the manifest says complete, then the partial file is renamed to `OUT`; a crash between the two is
//! mended on resumption. Resuming verifies the recorded bytes against their SHA-256, cuts off what lies behind
//! them, and goes on from there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use equidrift_backend::checksum::sha256_file;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::frame::Frame;
use crate::manifest::{Diverged, IdRange, Manifest, Progress};
use crate::summary::Tally;

/// How often at most the manifest is replaced: a crash loses this much work beyond the batches in flight, and the
/// disk is asked to sync at this rate.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(250);

/// Bytes gathered before they are written although no checkpoint is due.
const BUFFER: usize = 256 * 1024;

/// A growing output file with its manifest.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    /// Appended but not yet handed to the operating system.
    pending: Vec<u8>,
    /// Of everything handed over, and `pending`.
    hasher: Sha256,
    frame: Frame,
    manifest: Manifest,
    last_checkpoint: Instant,
}

/// What a resumption found.
#[derive(Debug)]
pub enum Resumption {
    /// The output is complete; nothing is left to do.
    Complete(Box<Manifest>),
    /// The output goes on behind what is there (which may be nothing).
    Continued(Box<OutputFile>),
}

impl OutputFile {
    /// Starts a new output; an unfinished earlier one at the same place is overwritten, a finished one stays in place
    /// until this one is complete.
    ///
    /// # Errors
    /// [`Error::Write`] where the folder or file cannot be written, [`Error::InUse`].
    pub fn create(path: &Path, manifest: Manifest) -> Result<Self, Error> {
        refuse_folder(path)?;
        let partial = Manifest::partial_for(path);
        let file = open_and_lock(&partial)?;
        // The manifest first: were the old file emptied first, a crash here would leave a manifest that promises bytes.
        manifest.write(path)?;
        file.set_len(0).map_err(|source| Error::Write { path: partial.clone(), source })?;
        Ok(Self::new(path, partial, file, Sha256::new(), manifest))
    }

    /// Continues the output at `path`, or starts it where there is none. `fresh` is the manifest of a new run of the
    /// same request.
    ///
    /// # Errors
    /// [`Error::DifferentRun`] where the output belongs to another request or model, [`Error::Recorded`] where the
    /// data are not what the manifest recorded, and those of [`OutputFile::create`].
    pub fn resume(path: &Path, fresh: Manifest) -> Result<Resumption, Error> {
        let Some(mut manifest) = Manifest::read(path)? else {
            return Self::create(path, fresh).map(|output| Resumption::Continued(Box::new(output)));
        };
        same_run(&manifest, &fresh, path)?;
        let partial = Manifest::partial_for(path);
        if manifest.progress == Progress::Complete && !partial.exists() {
            verify_complete(path, &manifest)?;
            return Ok(Resumption::Complete(Box::new(manifest)));
        }
        if manifest.progress == Progress::Complete && verify_complete(path, &manifest).is_ok() {
            // The file was made of the partial one, and the run ended before that was removed.
            fs::remove_file(&partial).map_err(|source| Error::Write { path: partial.clone(), source })?;
            return Ok(Resumption::Complete(Box::new(manifest)));
        }
        let mut file = open_and_lock(&partial)?;
        let hasher = hash_recorded(&mut file, &partial, &manifest)?;
        file.set_len(manifest.bytes)
            .and_then(|()| file.seek(SeekFrom::Start(manifest.bytes)))
            .map_err(|source| Error::Write { path: partial.clone(), source })?;
        if manifest.progress == Progress::Complete {
            // Ended between its last two acts.
            drop(file);
            rename(&partial, path)?;
            return Ok(Resumption::Complete(Box::new(manifest)));
        }
        manifest.progress = Progress::Running;
        // Batch size and threads change no byte, so the present ones are what the record should show.
        manifest.request = fresh.request;
        Ok(Resumption::Continued(Box::new(Self::new(path, partial, file, hasher, manifest))))
    }

    fn new(path: &Path, partial: PathBuf, file: File, hasher: Sha256, manifest: Manifest) -> Self {
        let (path, pending) = (path.to_owned(), Vec::with_capacity(BUFFER));
        let frame = Frame::of_format(&manifest.identity.format);
        Self { path, partial, file, pending, hasher, frame, manifest, last_checkpoint: Instant::now() }
    }

    /// The manifest as it will be written next.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the data are until they are complete.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Appends the result of the next id, which may be no bytes at all, and records it.
    ///
    /// # Errors
    /// [`Error::Write`]; the manifest on disk then still describes an earlier state of the file that can be resumed.
    pub fn append(
        &mut self,
        id: u64,
        record: &[u8],
        counts: &Tally,
        diverged: Option<Diverged>,
    ) -> Result<(), Error> {
        debug_assert_eq!(id, self.manifest.next(), "results are appended in order of id");
        self.push(self.frame.before_record(self.manifest.bytes).as_bytes());
        self.push(record);
        self.manifest.tally.add(counts);
        self.manifest.diverged.extend(diverged);
        let start = self.manifest.request.ids().start;
        self.manifest.done = vec![IdRange { start, end: id + 1 }];
        if self.last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL {
            self.checkpoint()
        } else if self.pending.len() >= BUFFER {
            self.hand_over()
        } else {
            Ok(())
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.hasher.update(bytes);
        self.manifest.bytes += bytes.len() as u64;
    }

    fn hand_over(&mut self) -> Result<(), Error> {
        let result = self.file.write_all(&self.pending);
        self.pending.clear();
        result.map_err(|source| Error::Write { path: self.partial.clone(), source })
    }

    /// Makes everything appended so far safe against a crash.
    ///
    /// # Errors
    /// As [`OutputFile::append`].
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        self.hand_over()?;
        self.file.sync_data().map_err(|source| Error::Write { path: self.partial.clone(), source })?;
        self.manifest.sha256 = hexadecimal(&self.hasher.clone().finalize());
        self.manifest.write(&self.path)?;
        self.last_checkpoint = Instant::now();
        Ok(())
    }

    /// Records that the run was stopped; the partial file stays for a resumption.
    ///
    /// # Errors
    /// As [`OutputFile::append`].
    pub fn interrupt(mut self) -> Result<Manifest, Error> {
        self.manifest.progress = Progress::Interrupted;
        self.checkpoint()?;
        Ok(self.manifest)
    }

    /// Records that every id is done and puts the file in its place.
    ///
    /// # Errors
    /// As [`OutputFile::append`].
    pub fn finish(mut self) -> Result<Manifest, Error> {
        self.frame.end(self.manifest.bytes).iter().for_each(|part| self.push(part.as_bytes()));
        self.manifest.progress = Progress::Complete;
        self.checkpoint()?;
        let Self { path, partial, file, manifest, .. } = self;
        drop(file); // some systems do not rename an open file
        rename(&partial, &path)?;
        Ok(manifest)
    }
}

impl OutputFile {
    /// For formats to which nothing can be appended: records that every id is done, lets `convert` make the file (its second
    /// argument, atomically) of what was appended (its first), and removes that. A crash in between is mended on resumption.
    ///
    /// # Errors
    /// As [`OutputFile::append`], and whatever `convert` returns.
    pub(crate) fn finish_converted(
        mut self,
        convert: impl FnOnce(&Path, &Path, &Manifest) -> Result<(), Error>,
    ) -> Result<Manifest, Error> {
        self.checkpoint()?;
        convert(&self.partial, &self.path, &self.manifest)?;
        let Self { path, partial, file, mut manifest, .. } = self;
        (manifest.bytes, manifest.sha256) = sha256_of(&path)?;
        manifest.progress = Progress::Complete;
        manifest.write(&path)?;
        drop(file); // some systems do not remove an open file
        fs::remove_file(&partial).map_err(|source| Error::Write { path: partial.clone(), source })?;
        Ok(manifest)
    }
}

/// Length and SHA-256 of a file.
pub(crate) fn sha256_of(path: &Path) -> Result<(u64, String), Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    Ok((fs::metadata(path).map_err(read)?.len(), sha256_file(path).map_err(read)?))
}

/// A folder cannot be replaced by the finished file; better said now than after hours of sampling.
fn refuse_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        let source = io::Error::from(io::ErrorKind::IsADirectory);
        return Err(Error::Write { path: path.to_owned(), source });
    }
    Ok(())
}

/// The partial file, opened for reading and writing with its content kept, and locked against a second process.
fn open_and_lock(partial: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(partial)
        .map_err(|source| Error::Write { path: partial.to_owned(), source })?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: partial.to_owned() }),
        // Some network file systems know no locks; working without is better than not at all.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// That the manifest of `path` belongs to the run described by `fresh`.
fn same_run(found: &Manifest, fresh: &Manifest, path: &Path) -> Result<(), Error> {
    let different = |what, found: &str, expected: &str| Error::DifferentRun {
        path: Manifest::path_for(path),
        what,
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    if let Some((what, found, expected)) = found.identity.difference(&fresh.identity) {
        return Err(different(what, found, expected));
    }
    let (theirs, ours) = (found.request.shard.to_string(), fresh.request.shard.to_string());
    if theirs == ours { Ok(()) } else { Err(different("shard", &theirs, &ours)) }
}

/// The hash state after the recorded bytes, which must be there and be the recorded ones.
fn hash_recorded(file: &mut File, path: &Path, manifest: &Manifest) -> Result<Sha256, Error> {
    let mut hasher = Sha256::new();
    let found = io::copy(&mut file.take(manifest.bytes), &mut HashWriter(&mut hasher))
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if found < manifest.bytes {
        return Err(Error::Recorded { path: path.to_owned(), reason: "it is shorter than recorded" });
    }
    // A manifest of nothing yet has no hash either.
    if manifest.bytes > 0 && hexadecimal(&hasher.clone().finalize()) != manifest.sha256 {
        return Err(Error::Recorded { path: path.to_owned(), reason: "its SHA-256 is not the recorded one" });
    }
    Ok(hasher)
}

/// That a finished output is the one its manifest describes.
pub(crate) fn verify_complete(path: &Path, manifest: &Manifest) -> Result<(), Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(read)?.len();
    if length != manifest.bytes {
        return Err(Error::Recorded { path: path.to_owned(), reason: "its length is not the recorded one" });
    }
    if sha256_file(path).map_err(read)? != manifest.sha256 {
        return Err(Error::Recorded { path: path.to_owned(), reason: "its SHA-256 is not the recorded one" });
    }
    Ok(())
}

fn rename(partial: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(partial, path).map_err(|source| Error::Write { path: path.to_owned(), source })
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

/// SHA-256 of a value's JSON, with the keys of every object in order.
pub(crate) fn sha256_of_json(value: &impl serde::Serialize) -> Result<String, Error> {
    // Through `Value`, whose maps are sorted: the order of a struct's fields is no part of its meaning.
    let value = serde_json::to_value(value).map_err(|source| Error::Encode { source })?;
    Ok(hexadecimal(&Sha256::digest(value.to_string().as_bytes())))
}
