//! Reading `.smi` and `.smi.gz` files, line by line.
//!
//! A line is `SMILES`, or `SMILES NAME` with any white space between; the name is everything after it. Blank lines and
//! lines that begin with `#` (no SMILES does) are skipped; a byte-order mark and carriage returns are taken off. A
//! header line is a bad line. How files are opened and which bytes are text: [`crate::text_lines`]; a line longer than
//! [`LONGEST_LINE`] is passed over without being kept.

use std::io::BufRead;
use std::path::Path;

use crate::chemistry::Chemistry;
use crate::error::MoleculeError;
use crate::molecule::MolecularGraph;
use crate::text_lines::{LineFault, TextLine, TextLines};

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

/// The SMILES and the name of a line's text, white space at both ends taken off; `None` for a blank line and for a comment.
#[must_use]
pub fn smiles_and_name(text: &str) -> Option<(&str, Option<&str>)> {
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    match text.split_once(char::is_whitespace) {
        Some((smiles, name)) => Some((smiles, Some(name.trim()))),
        None => Some((text, None)),
    }
}

/// The lines of a SMILES file as strings. A line that is too long or no UTF-8 is an [`MoleculeError::Line`] after which
/// reading can go on; any other error ends the iteration.
pub struct SmilesLines {
    lines: TextLines,
    blank_lines: u64,
}

impl SmilesLines {
    /// Open a file, compressed or not.
    ///
    /// # Errors
    /// [`MoleculeError::File`].
    pub fn open(path: &Path) -> Result<Self, MoleculeError> {
        Ok(Self { lines: TextLines::open(path, LONGEST_LINE)?, blank_lines: 0 })
    }

    /// Read from a stream; `path` is what error messages call it.
    pub fn new(path: &Path, input: Box<dyn BufRead + Send>) -> Self {
        Self { lines: TextLines::new(path, input, LONGEST_LINE), blank_lines: 0 }
    }

    /// Lines read so far, of any sort.
    #[must_use]
    pub fn lines_read(&self) -> u64 {
        self.lines.lines_read()
    }

    /// Blank lines passed over so far; in a generated file they are samples without a molecule.
    #[must_use]
    pub fn blank_lines(&self) -> u64 {
        self.blank_lines
    }
}

impl Iterator for SmilesLines {
    type Item = Result<SmilesLine, MoleculeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (line, text) = match self.lines.next()? {
                Ok(TextLine { line, text }) => (line, text),
                Err(error) => return Some(Err(error)),
            };
            match text {
                Err(LineFault { reason, .. }) => {
                    return Some(Err(MoleculeError::Line {
                        path: self.lines.path().to_owned(),
                        line,
                        reason,
                    }));
                }
                Ok(text) => match smiles_and_name(&text) {
                    Some((smiles, name)) => {
                        let (smiles, name) = (smiles.to_owned(), name.map(str::to_owned));
                        return Some(Ok(SmilesLine { line, smiles, name }));
                    }
                    None => self.blank_lines += u64::from(text.is_empty()),
                },
            }
        }
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
            Err(error) => Err(MoleculeError::Line {
                path: self.lines.lines.path().to_owned(),
                line,
                reason: error.to_string(),
            }),
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
