//! Lines of a text file that may be compressed, damaged, of another encoding or hostile.
//!
//! The file is a stream: memory does not grow with it, and a line longer than a limit is passed over without being kept.
//! Compression (gzip) is recognised by the file's first bytes, not by its name. The path `-` is the standard input. Text is
//! UTF-8; a byte-order mark of UTF-8 and carriage returns are taken off, and a file of UTF-16 is an error that says so.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use equidrift_graph::file::pass_over_line;
use flate2::bufread::MultiGzDecoder;

use crate::chemistry::ProblemKind;
use crate::error::MoleculeError;

/// Bytes read from a file at a time.
const BUFFER: usize = 1 << 16;

/// Why a line is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFault {
    /// What kind of fault: [`ProblemKind::LineLength`] or [`ProblemKind::Encoding`].
    pub kind: ProblemKind,
    /// The fault in words.
    pub reason: String,
}

/// One line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLine {
    /// 1-based line number.
    pub line: u64,
    /// The text, white space at both ends taken off; or why there is none, after which reading can go on.
    pub text: Result<String, LineFault>,
}

/// The lines of a file. An error of the file itself ends the iteration.
pub struct TextLines {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    longest: usize,
    compressed: bool,
    line: u64,
    failed: bool,
    bytes: Arc<AtomicU64>,
}

/// A file as a stream, unpacked if its first bytes are those of gzip.
///
/// # Errors
/// [`MoleculeError::File`].
pub(crate) fn open_unpacked(path: &Path) -> Result<Box<dyn BufRead + Send>, MoleculeError> {
    let file_error = |task| move |source| MoleculeError::File { task, path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(BUFFER, File::open(path).map_err(file_error("open"))?);
    let start = file.fill_buf().map_err(file_error("read"))?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// An error of reading with the line after which it came.
pub(crate) fn after_line(line: u64, source: io::Error) -> io::Error {
    let words = match source.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed data end early, the file is truncated".to_owned(),
        _ => source.to_string(),
    };
    io::Error::new(source.kind(), format!("after line {line}: {words}"))
}

/// A reader that counts what it reads.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl TextLines {
    /// Open a file, compressed or not, whose lines are at most `longest` bytes long.
    ///
    /// # Errors
    /// [`MoleculeError::File`], also for a file of UTF-16.
    pub fn open(path: &Path, longest: usize) -> Result<Self, MoleculeError> {
        let file_error = |task| move |source| MoleculeError::File { task, path: path.to_owned(), source };
        let source: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(file_error("open"))?)
        };
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: source, bytes: Arc::clone(&bytes) };
        let mut file = BufReader::with_capacity(BUFFER, counted);
        let compressed = file.fill_buf().map_err(file_error("read"))?.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn BufRead + Send> = if compressed {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        let mut lines = Self::new(path, input, longest);
        lines.compressed = compressed;
        lines.bytes = bytes;
        let start = match lines.input.fill_buf() {
            Ok(start) => start,
            Err(source) => return Err(lines.failure(source)),
        };
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            let words = "line 1: the file is UTF-16, as its byte-order mark says; it must be UTF-8 (iconv -f UTF-16 -t UTF-8)";
            return Err(file_error("read")(io::Error::new(io::ErrorKind::InvalidData, words)));
        }
        Ok(lines)
    }

    /// Read from a stream; `path` is what error messages call it.
    pub fn new(path: &Path, input: Box<dyn BufRead + Send>, longest: usize) -> Self {
        let bytes = Arc::default();
        Self { path: path.to_owned(), input, longest, compressed: false, line: 0, failed: false, bytes }
    }

    /// Counts the bytes of the file (as it lies on the disk) that have been read, for a display of progress.
    #[must_use]
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes)
    }

    /// Lines read so far, of any sort.
    #[must_use]
    pub fn lines_read(&self) -> u64 {
        self.line
    }

    /// What error messages call the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next line's bytes: `None` at the end of the file, `Some(None)` for a line that is too long.
    fn next_line(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        let mut bytes = Vec::new();
        let limit = self.longest as u64 + 1;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if bytes.last() == Some(&b'\n') || bytes.len() <= self.longest {
            return Ok(Some(Some(bytes)));
        }
        pass_over_line(&mut self.input)?;
        Ok(Some(None))
    }

    /// The error that ends the reading, with the place it was met at.
    fn failure(&mut self, source: io::Error) -> MoleculeError {
        self.failed = true;
        let source = if self.compressed { after_line(self.line, source) } else { source };
        MoleculeError::File { task: "read", path: self.path.clone(), source }
    }

    fn text(&self, bytes: Vec<u8>) -> Result<String, LineFault> {
        let encoding = |reason: String| LineFault { kind: ProblemKind::Encoding, reason };
        if let Some(place) = bytes.iter().position(|byte| *byte == 0) {
            return Err(encoding(format!(
                "a NUL byte at position {place}; is the file UTF-16 or no text at all?"
            )));
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let place = error.valid_up_to();
            let byte = bytes.get(place).copied().unwrap_or_default();
            encoding(format!("the line is not UTF-8: byte {byte:#04x} at position {place}"))
        })?;
        let text = if self.line == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        Ok(text.trim().to_owned())
    }
}

impl Iterator for TextLines {
    type Item = Result<TextLine, MoleculeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let text = match self.next_line() {
            Ok(None) => return None,
            Ok(Some(Some(bytes))) => self.text(bytes),
            Ok(Some(None)) => Err(LineFault {
                kind: ProblemKind::LineLength,
                reason: format!("the line is longer than {} bytes", self.longest),
            }),
            Err(source) => return Some(Err(self.failure(source))),
        };
        Some(Ok(TextLine { line: self.line, text }))
    }
}
