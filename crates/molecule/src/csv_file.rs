//! Reading SMILES from a column of a delimiter-separated table (`.csv`, `.tsv`, compressed or not).
//!
//! The first record names the columns. Fields may stand in double quotes, where a doubled quote is a quote and line ends
//! belong to the field (RFC 4180); white space around the SMILES is taken off. Blank lines are skipped. Rows are counted from
//! 0 behind the header, as data-frame libraries do.
//!
//! The file is a stream of which only the wanted field is kept, so memory does not grow with it.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use crate::error::MoleculeError;
use crate::smiles_file::LONGEST_LINE;
use crate::text_lines::{after_line, open_unpacked};

/// The most columns a table may have.
const MOST_COLUMNS: usize = 10_000;
/// Columns that are looked for where none is named.
const USUAL_COLUMNS: [&str; 2] = ["smiles", "canonical_smiles"];

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvRow {
    /// 0-based row behind the header.
    pub row: u64,
    /// 1-based line on which the row begins.
    pub line: u64,
    /// The field of the wanted column.
    pub smiles: String,
}

/// The rows of a table. A row that cannot be used is a [`MoleculeError::Line`] after which reading can go on; any other
/// error ends the iteration.
pub struct CsvRows {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    delimiter: u8,
    column: usize,
    row: u64,
    /// Line of the next byte.
    line: u64,
    /// Line on which the last record began.
    begin: u64,
    failed: bool,
}

/// What stands at the end of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Field,
    Record,
    File,
}

/// Where inside a field a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Plain,
    Quoted,
    /// Behind a quote inside quotes: a second one makes it a quote, anything else the end.
    Quote,
}

/// Why a field cannot be used.
#[derive(Clone, Copy)]
enum Fault {
    TooLong,
    AfterQuote,
    OpenQuote,
}

impl Fault {
    fn reason(self) -> String {
        match self {
            Self::TooLong => format!("a field is longer than {LONGEST_LINE} bytes"),
            Self::AfterQuote => "text after a closing quote".to_owned(),
            Self::OpenQuote => "a quote is not closed".to_owned(),
        }
    }
}

impl CsvRows {
    /// Open a table. `column` is the name of the column, exactly or but for upper and lower case; without it, `smiles` or
    /// `canonical_smiles` is looked for. A `.tsv` file, or one whose header has tabs or semicolons but no comma, is divided
    /// by them.
    ///
    /// # Errors
    /// [`MoleculeError::File`]; [`MoleculeError::NoColumn`]; [`MoleculeError::Line`] for a header that cannot be read.
    pub fn open(path: &Path, column: Option<&str>) -> Result<Self, MoleculeError> {
        Self::new(path, open_unpacked(path)?, column)
    }

    /// Read from a stream; `path` is what error messages call it.
    ///
    /// # Errors
    /// As [`CsvRows::open`].
    pub fn new(
        path: &Path,
        mut input: Box<dyn BufRead + Send>,
        column: Option<&str>,
    ) -> Result<Self, MoleculeError> {
        let start = input.fill_buf().map_err(|source| read_error(path, source))?;
        let header = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        // Without a comma, the first of the other delimiters in the header divides it.
        let delimiter = if header.contains(&b',') {
            b','
        } else {
            header.iter().copied().find(|byte| matches!(byte, b'\t' | b';')).unwrap_or(b',')
        };
        if start.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        let mut rows = Self {
            path: path.to_owned(),
            input,
            delimiter,
            column: 0,
            row: 0,
            line: 1,
            begin: 1,
            failed: false,
        };
        let names = rows.header()?;
        let wanted: Vec<&str> = column.map_or(USUAL_COLUMNS.to_vec(), |name| vec![name]);
        let exact = wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
        let alike = || {
            wanted.iter().find_map(|wanted| names.iter().position(|name| name.eq_ignore_ascii_case(wanted)))
        };
        rows.column = exact.or_else(alike).ok_or_else(|| MoleculeError::NoColumn {
            path: path.to_owned(),
            column: wanted.join("` or `"),
            found: names.iter().take(20).map(|name| name.chars().take(40).collect()).collect(),
        })?;
        Ok(rows)
    }

    fn header(&mut self) -> Result<Vec<String>, MoleculeError> {
        let mut names = Vec::new();
        loop {
            let mut field = Vec::new();
            let (end, fault) =
                self.field(Some(&mut field)).map_err(|source| read_error(&self.path, source))?;
            if let Some(fault) = fault {
                return Err(self.bad(1, fault.reason()));
            }
            let name = String::from_utf8(field).map_err(|_| self.bad(1, "the header is not UTF-8"))?;
            names.push(name.trim().to_owned());
            if end != End::Field {
                return Ok(names);
            }
            if names.len() == MOST_COLUMNS {
                return Err(self.bad(1, format!("more than {MOST_COLUMNS} columns")));
            }
        }
    }

    /// Reads up to the end of a field; what it holds, without quotes, goes to `into`.
    fn field(&mut self, mut into: Option<&mut Vec<u8>>) -> io::Result<(End, Option<Fault>)> {
        let (mut place, mut fault) = (Place::Start, None);
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok((End::File, if place == Place::Quoted { Some(Fault::OpenQuote) } else { fault }));
            }
            let (mut used, mut end) = (0, None);
            for &byte in buffer {
                used += 1;
                self.line += u64::from(byte == b'\n');
                let (next, kept) = match (place, byte) {
                    (Place::Start, b'"') => (Place::Quoted, false),
                    (Place::Quoted, b'"') => (Place::Quote, false),
                    (Place::Quoted, _) | (Place::Quote, b'"') => (Place::Quoted, true),
                    (_, b'\n') => {
                        end = Some(End::Record);
                        break;
                    }
                    (_, byte) if byte == self.delimiter => {
                        end = Some(End::Field);
                        break;
                    }
                    (Place::Quote, b'\r' | b' ' | b'\t') => (Place::Quote, false),
                    (Place::Quote, _) => {
                        fault = fault.or(Some(Fault::AfterQuote));
                        (Place::Plain, false)
                    }
                    (Place::Start | Place::Plain, _) => (Place::Plain, true),
                };
                place = next;
                if let (true, Some(field)) = (kept, &mut into) {
                    if field.len() < LONGEST_LINE {
                        field.push(byte);
                    } else {
                        fault = fault.or(Some(Fault::TooLong));
                    }
                }
            }
            self.input.consume(used);
            if let Some(end) = end {
                return Ok((end, fault));
            }
        }
    }

    /// Passes over blank lines; whether a record follows.
    fn find_record(&mut self) -> io::Result<bool> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let blank = buffer.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            let found = blank < buffer.len();
            self.line += buffer[..blank].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.input.consume(blank);
            if found {
                return Ok(true);
            }
        }
    }

    /// The wanted field of the next record, or why it cannot be used; `None` behind the last record.
    fn record(&mut self) -> io::Result<Option<Result<String, String>>> {
        if !self.find_record()? {
            return Ok(None);
        }
        let begin = self.line;
        let (mut wanted, mut fault) = (None, None);
        for column in 0.. {
            let mut field = Vec::new();
            let keep = column == self.column;
            let (end, found) = self.field(keep.then_some(&mut field))?;
            if keep || matches!(found, Some(Fault::OpenQuote)) {
                fault = fault.or(found);
            }
            if keep {
                wanted = Some(field);
            }
            if end != End::Field {
                break;
            }
        }
        self.begin = begin;
        Ok(Some(match (fault, wanted) {
            (Some(fault), _) => Err(fault.reason()),
            (None, None) => Err(format!("the row has fewer than {} columns", self.column + 1)),
            (None, Some(bytes)) => match std::str::from_utf8(&bytes).map(str::trim) {
                Err(_) => Err("the field is not UTF-8".to_owned()),
                Ok("") => Err("the field is empty".to_owned()),
                Ok(text) => Ok(text.to_owned()),
            },
        }))
    }

    fn bad(&self, line: u64, reason: impl Into<String>) -> MoleculeError {
        MoleculeError::Line { path: self.path.clone(), line, reason: reason.into() }
    }

    /// Rows seen so far, usable or not.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.row
    }
}

impl Iterator for CsvRows {
    type Item = Result<CsvRow, MoleculeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.record() {
            Ok(None) => None,
            Ok(Some(field)) => {
                let (row, line) = (self.row, self.begin);
                self.row += 1;
                Some(match field {
                    Ok(smiles) => Ok(CsvRow { row, line, smiles }),
                    Err(reason) => Err(self.bad(line, reason)),
                })
            }
            Err(source) => {
                self.failed = true;
                Some(Err(read_error(&self.path, after_line(self.line, source))))
            }
        }
    }
}

fn read_error(path: &Path, source: io::Error) -> MoleculeError {
    MoleculeError::File { task: "read", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str, column: Option<&str>) -> Result<CsvRows, MoleculeError> {
        CsvRows::new(Path::new("table.csv"), Box::new(io::Cursor::new(text.as_bytes().to_vec())), column)
    }

    fn rows(text: &str, column: Option<&str>) -> Vec<Result<(u64, u64, String), String>> {
        open(text, column)
            .unwrap()
            .map(|row| row.map(|r| (r.row, r.line, r.smiles)).map_err(|error| error.to_string()))
            .collect()
    }

    fn good(row: u64, line: u64, smiles: &str) -> Result<(u64, u64, String), String> {
        Ok((row, line, smiles.to_owned()))
    }

    #[test]
    fn the_wanted_column_comes_out_whatever_stands_beside_it() {
        // The layout of the published ZINC250k table: quoted SMILES that end with a line end.
        let zinc = "smiles,logP,qed\n\"CCO\n\",5.05,0.7\n\"C1CC1\n\",3.1,0.9\n";
        assert_eq!(rows(zinc, None), [good(0, 2, "CCO"), good(1, 4, "C1CC1")]);
        let more = "\u{feff}id;Canonical_SMILES;note\r\n1;CC;\"a;b\"\r\n\r\n2;N#N;\"say \"\"no\"\"\"\r\n";
        assert_eq!(rows(more, None), [good(0, 2, "CC"), good(1, 4, "N#N")]);
        assert_eq!(rows(more, Some("NOTE")), [good(0, 2, "a;b"), good(1, 4, "say \"no\"")]);
        assert_eq!(rows("mol\tx\nC\t1", Some("mol")), [good(0, 2, "C")]);
        assert_eq!(rows("smiles\nC\nCC\n", None), [good(0, 2, "C"), good(1, 3, "CC")]);
    }

    #[test]
    fn unusable_rows_are_named_and_reading_goes_on() {
        let long = "C".repeat(LONGEST_LINE + 1);
        let text = format!("a,smiles\n1\n2,\n3,C\n4,{long}\n5,\"C\"C\n6,CC\n7,\"open\n8,C\n");
        let found = rows(&text, None);
        let reasons: Vec<_> = found.iter().filter_map(|row| row.as_ref().err()).collect();
        assert_eq!(found.len(), 7);
        assert_eq!((&found[2], &found[5]), (&good(2, 4, "C"), &good(5, 7, "CC")));
        for (reason, expected) in reasons.iter().zip([
            "table.csv:2: the row has fewer than 2 columns",
            "table.csv:3: the field is empty",
            "table.csv:5: a field is longer",
            "table.csv:6: text after a closing quote",
            "table.csv:8: a quote is not closed",
        ]) {
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn a_missing_column_is_an_error_that_lists_what_there_is() {
        let error = open("id,logP\n1,2\n", None).err().unwrap().to_string();
        assert!(error.contains("`smiles` or `canonical_smiles`") && error.contains("id, logP"), "{error}");
        let error = open("id,smiles\n", Some("mol")).err().unwrap().to_string();
        assert!(error.contains("`mol`") && error.contains("id, smiles"), "{error}");
        assert!(open("", None).is_err());
        assert!(open(&",".repeat(MOST_COLUMNS + 1), None).is_err());
    }
}
