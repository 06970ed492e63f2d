//! A file that exists completely or not at all. (The crate `backend` has the same for tensors' files; this crate must not
//! see it.)

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::TrajectoryError;

/// Start of the names of files that are not complete, as everywhere in the project.
const PARTIAL_PREFIX: &str = ".partial-";

/// A temporary file beside its place, renamed to it at the end.
pub(super) struct AtomicFile {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    pub(super) fn create(path: &Path) -> Result<Self, TrajectoryError> {
        let make = || -> io::Result<NamedTempFile> {
            let temporary = tempfile::Builder::new().prefix(PARTIAL_PREFIX).tempfile_in(directory(path))?;
            #[cfg(unix)]
            {
                // The temporary file is private (0600); the result should look like any file the user creates.
                use std::os::unix::fs::PermissionsExt;
                let mode = std::fs::metadata(path).map_or(0o644, |old| old.permissions().mode() & 0o777);
                temporary.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
            }
            Ok(temporary)
        };
        let temporary = make().map_err(|source| TrajectoryError::File {
            task: "write",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(temporary) })
    }

    /// Where the file is until it is complete, for a library that opens it by name.
    #[cfg(feature = "chemfiles")]
    pub(super) fn temporary(&self) -> &Path {
        self.out.get_ref().path()
    }

    /// Synced to disk and renamed. A crash or an error leaves the old file as it was.
    pub(super) fn finish(self) -> io::Result<()> {
        let temporary = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        temporary.as_file().sync_all()?;
        temporary.persist(&self.path).map_err(|error| error.error)?;
        // The rename itself lives in the directory; without this a power cut could undo it.
        #[cfg(unix)]
        File::open(directory(&self.path))?.sync_all()?;
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.out.seek(place)
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
