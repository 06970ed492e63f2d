//! SHA-256 of files and the list `SHA256SUMS` (the format of `sha256sum`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::atomic::write_atomically;

/// Name of the list inside a folder.
pub const SUMS_FILE: &str = "SHA256SUMS";

/// Longest list accepted, in bytes.
const MAX_LIST: u64 = 1024 * 1024;

/// What can be wrong with a folder's checksums.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChecksumError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A line that is not `<64 hexadecimal digits>  <file name>`.
    #[error("{}:{line}: expected `<sha256>  <file name>`", path.display())]
    Malformed {
        /// The list.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
    },
    /// A file that must be covered is not in the list.
    #[error("{}: no checksum for `{name}`", path.display())]
    NotListed {
        /// The list.
        path: PathBuf,
        /// The file.
        name: String,
    },
    /// A file is not what it was when the list was written.
    #[error("{}: checksum mismatch: expected sha256 {expected}, found {found}", path.display())]
    Mismatch {
        /// The changed file.
        path: PathBuf,
        /// Digest in the list.
        expected: String,
        /// Digest of the file.
        found: String,
    },
}

/// SHA-256 in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of a file, read in pieces.
///
/// # Errors
/// Whatever the operating system reports.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            n => hasher.update(&piece[..n]),
        }
    }
}

pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

/// Writes `folder/SHA256SUMS` for the named files of `folder`.
///
/// # Errors
/// [`ChecksumError::Io`].
pub fn write_sums(folder: &Path, names: &[&str]) -> Result<(), ChecksumError> {
    let mut list = String::new();
    for name in names {
        let path = folder.join(name);
        let digest = sha256_file(&path).map_err(|source| ChecksumError::Io { path, source })?;
        let _ = writeln!(list, "{digest}  {name}");
    }
    let path = folder.join(SUMS_FILE);
    write_atomically(&path, |file| file.write_all(list.as_bytes()))
        .map_err(|source| ChecksumError::Io { path, source })
}

/// Reads `folder/SHA256SUMS`: digests by file name.
///
/// # Errors
/// [`ChecksumError::Io`], [`ChecksumError::Malformed`].
pub fn read_sums(folder: &Path) -> Result<BTreeMap<String, String>, ChecksumError> {
    let path = folder.join(SUMS_FILE);
    let mut list = String::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_LIST).read_to_string(&mut list))
        .map_err(|source| ChecksumError::Io { path: path.clone(), source })?;
    let mut sums = BTreeMap::new();
    for (number, line) in list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let entry = line.split_once(' ').filter(|(digest, name)| {
            digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) && name.len() > 1
        });
        // The second separator is a space (text) or an asterisk (binary).
        let entry = entry.and_then(|(digest, name)| Some((digest, name.strip_prefix([' ', '*'])?)));
        let Some((digest, name)) = entry else {
            return Err(ChecksumError::Malformed { path, line: number + 1 });
        };
        sums.insert(name.to_owned(), digest.to_ascii_lowercase());
    }
    Ok(sums)
}

/// Checks that the listed digest of `folder/name` is that of `bytes`, the content about to be parsed.
///
/// # Errors
/// [`ChecksumError::NotListed`], [`ChecksumError::Mismatch`].
pub fn verify_bytes(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    sums: &BTreeMap<String, String>,
) -> Result<(), ChecksumError> {
    let Some(expected) = sums.get(name) else {
        return Err(ChecksumError::NotListed { path: folder.join(SUMS_FILE), name: name.to_owned() });
    };
    let found = sha256(bytes);
    if *expected == found {
        Ok(())
    } else {
        Err(ChecksumError::Mismatch { path: folder.join(name), expected: expected.clone(), found })
    }
}
