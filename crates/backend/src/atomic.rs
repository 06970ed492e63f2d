//! Files that exist completely or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Start of the names of files that are not complete. One that no process is writing was left by a kill.
pub const PARTIAL_PREFIX: &str = ".partial-";

/// Writes `path` through a temporary file in the same directory that is synced to disk and then renamed over it. A
/// crash, a full disk or an error of `content` leaves the old file as it was and no temporary file behind.
///
/// # Errors
/// Whatever the operating system or `content` reports.
pub fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new().prefix(PARTIAL_PREFIX).tempfile_in(directory)?;
    #[cfg(unix)]
    {
        // The temporary file is private (0600); the result should look like any file the user creates.
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_or(0o644, |old| old.permissions().mode() & 0o777);
        temporary.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    let mut buffered = BufWriter::new(temporary.as_file_mut());
    content(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    // The rename itself lives in the directory; without this a power cut could undo it.
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    Ok(())
}

/// Makes `path` a second name of the file `existing`, in place of whatever had that name, or a copy of it where the file
/// system has no hard links. Both must lie in the same directory, and neither file may be changed in place afterwards.
///
/// # Errors
/// Whatever the operating system reports; the old file is then as it was.
pub fn link_atomically(existing: &Path, path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let temporary = directory.join(format!("{PARTIAL_PREFIX}{}", name.to_string_lossy()));
    if temporary.exists() {
        std::fs::remove_file(&temporary)?;
    }
    if std::fs::hard_link(existing, &temporary).is_err() {
        std::fs::copy(existing, &temporary)?;
        File::open(&temporary)?.sync_all()?;
    }
    std::fs::rename(&temporary, path)?;
    // Renaming one name of a file to another of its names does nothing, and leaves the first.
    if temporary.exists() {
        std::fs::remove_file(&temporary)?;
    }
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    Ok(())
}
