//! Reading `.smi` and `.smi.gz` files, line by line.
//!
//! A line is `SMILES`, or `SMILES NAME` with any white space between; the name is everything after it. Blank lines and
//! lines that begin with `#` (no SMILES does) are skipped; a byte-order mark and carriage returns are taken off. A
//! header line is a bad line. Compression is recognised by the file's first bytes, not by its name.
//!
//! The file is a stream: memory does not grow with it, and a line longer than [`LONGEST_LINE`] is passed over without
//! being kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::chemistry::Chemistry;
use crate::error::MoleculeError;
use crate::molecule::MolecularGraph;

/// The longest line that is read, in bytes.
pub const LONGEST_LINE: usize = 64 * 1024;

/// What to do with a line that is no molecule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadLine {
    /// Go on and remember the line ([`SmilesReader::bad_lines`]).
    #[default]
    Skip,
    /// Stop with [`MoleculeError::Line`].
    Fail,
}

/// A line that is no molecule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// 1-based line number.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// One line of a SMILES file, not yet read as a molecule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmilesLine {
    /// 1-based line number.
    pub line: u64,
    /// The first column.
    pub smiles: String,
    /// The rest of the line, if any.
    pub name: Option<String>,
}

/// A file as a stream of text, unpacked if its first bytes are those of gzip.
///
/// # Errors
/// [`MoleculeError::File`].
pub(crate) fn open_text(path: &Path) -> Result<Box<dyn BufRead + Send>, MoleculeError> {
    let file_error = |task| move |source| MoleculeError::File { task, path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(file_error("open"))?);
    let start = file.fill_buf().map_err(file_error("read"))?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// The lines of a SMILES file as strings. A line that is too long or no UTF-8 is an [`MoleculeError::Line`] after which
/// reading can go on; any other error ends the iteration.
pub struct SmilesLines {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    line: u64,
    blank_lines: u64,
    failed: bool,
}

impl SmilesLines {
    /// Open a file, compressed or not.
    ///
    /// # Errors
    /// [`MoleculeError::File`].
    pub fn open(path: &Path) -> Result<Self, MoleculeError> {
        Ok(Self::new(path, open_text(path)?))
    }

    /// Read from a stream; `path` is what error messages call it.
    pub fn new(path: &Path, input: Box<dyn BufRead + Send>) -> Self {
        Self { path: path.to_owned(), input, line: 0, blank_lines: 0, failed: false }
    }

    /// Lines read so far, of any sort.
    #[must_use]
    pub fn lines_read(&self) -> u64 {
        self.line
    }

    /// Blank lines passed over so far; in a generated file they are samples without a molecule.
    #[must_use]
    pub fn blank_lines(&self) -> u64 {
        self.blank_lines
    }

    /// The next line without its end: `None` at the end of the file, `Some(None)` for a line that is too long.
    fn next_line(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        let mut bytes = Vec::new();
        let limit = LONGEST_LINE as u64 + 1;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if bytes.last() == Some(&b'\n') || bytes.len() <= LONGEST_LINE {
            return Ok(Some(Some(bytes)));
        }
        self.pass_over_line()?;
        Ok(Some(None))
    }

    fn pass_over_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |place| place + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn bad(&self, reason: impl Into<String>) -> MoleculeError {
        MoleculeError::Line { path: self.path.clone(), line: self.line, reason: reason.into() }
    }
}

impl Iterator for SmilesLines {
    type Item = Result<SmilesLine, MoleculeError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            let bytes = match self.next_line() {
                Ok(None) => return None,
                Ok(Some(None)) => {
                    return Some(Err(self.bad(format!("the line is longer than {LONGEST_LINE} bytes"))));
                }
                Ok(Some(Some(bytes))) => bytes,
                Err(source) => {
                    self.failed = true;
                    return Some(Err(MoleculeError::File { task: "read", path: self.path.clone(), source }));
                }
            };
            let Ok(text) = std::str::from_utf8(&bytes) else {
                return Some(Err(self.bad("the line is not UTF-8")));
            };
            let text = if self.line == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                self.blank_lines += u64::from(text.is_empty());
                continue;
            }
            let (smiles, name) = match text.split_once(char::is_whitespace) {
                Some((smiles, name)) => (smiles, Some(name.trim().to_owned())),
                None => (text, None),
            };
            return Some(Ok(SmilesLine { line: self.line, smiles: smiles.to_owned(), name }));
        }
        None
    }
}

/// A molecule of a SMILES file.
#[derive(Debug, Clone)]
pub struct SmilesRecord {
    /// 1-based line number.
    pub line: u64,
    /// The SMILES as written.
    pub smiles: String,
    /// The rest of the line, if any.
    pub name: Option<String>,
    /// The molecule: see [`Chemistry::parse_smiles`].
    pub graph: MolecularGraph,
}

/// The molecules of a SMILES file.
pub struct SmilesReader<'a> {
    lines: SmilesLines,
    chemistry: &'a dyn Chemistry,
    on_bad_line: OnBadLine,
    bad_lines: Vec<BadLine>,
    stopped: bool,
}

impl<'a> SmilesReader<'a> {
    /// Open a file, compressed or not.
    ///
    /// # Errors
    /// [`MoleculeError::File`].
    pub fn open(
        path: &Path,
        chemistry: &'a dyn Chemistry,
        on_bad_line: OnBadLine,
    ) -> Result<Self, MoleculeError> {
        Ok(Self::new(SmilesLines::open(path)?, chemistry, on_bad_line))
    }

    /// Read the molecules of these lines.
    pub fn new(lines: SmilesLines, chemistry: &'a dyn Chemistry, on_bad_line: OnBadLine) -> Self {
        Self { lines, chemistry, on_bad_line, bad_lines: Vec::new(), stopped: false }
    }

    /// The lines passed over so far.
    #[must_use]
    pub fn bad_lines(&self) -> &[BadLine] {
        &self.bad_lines
    }

    /// Give up the file and keep the lines passed over.
    #[must_use]
    pub fn into_bad_lines(self) -> Vec<BadLine> {
        self.bad_lines
    }

    fn record(&self, line: SmilesLine) -> Result<SmilesRecord, MoleculeError> {
        let SmilesLine { line, smiles, name } = line;
        match self.chemistry.parse_smiles(&smiles) {
            Ok(graph) => Ok(SmilesRecord { line, smiles, name, graph }),
            Err(error) => {
                Err(MoleculeError::Line { path: self.lines.path.clone(), line, reason: error.to_string() })
            }
        }
    }
}

impl Iterator for SmilesReader<'_> {
    type Item = Result<SmilesRecord, MoleculeError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.stopped {
            match self.lines.next()?.and_then(|line| self.record(line)) {
                Ok(record) => return Some(Ok(record)),
                Err(MoleculeError::Line { line, reason, .. }) if self.on_bad_line == OnBadLine::Skip => {
                    self.bad_lines.push(BadLine { line, reason });
                }
                Err(error) => {
                    self.stopped = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// All molecules of a file, and the lines passed over ([`OnBadLine::Skip`]).
///
/// # Errors
/// [`MoleculeError::File`]; with [`OnBadLine::Fail`] also [`MoleculeError::Line`] for the first bad line.
pub fn read_smiles_file(
    path: &Path,
    chemistry: &dyn Chemistry,
    on_bad_line: OnBadLine,
) -> Result<(Vec<SmilesRecord>, Vec<BadLine>), MoleculeError> {
    let mut reader = SmilesReader::open(path, chemistry, on_bad_line)?;
    let records = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
    Ok((records, reader.into_bad_lines()))
}
