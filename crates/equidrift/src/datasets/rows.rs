//! Lists of row numbers: one a line, or JSON as published with the splits.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::error::DatasetError;
use crate::error::Error;

/// The longest list that is read, in bytes.
const LONGEST_LIST: u64 = 256 * 1024 * 1024;

/// 0-based row numbers in the order of the list, each once.
///
/// Text holds one number a line; blank lines and lines that begin with `#` are skipped. JSON is a list of numbers, or an
/// object whose `valid_idxs` is one; a number may be a string of digits, as in the published list of QM9.
///
/// # Errors
/// A file that cannot be read or is longer than 256 MiB; [`DatasetError::RowList`] for anything that is no row number and for
/// a number that is there twice.
pub fn read_rows(path: &Path) -> Result<Vec<u64>, Error> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_LIST + 1).read_to_string(&mut text));
    let length = read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let fault = |line: u64, reason: String| DatasetError::RowList { path: path.to_owned(), line, reason };
    if length as u64 > LONGEST_LIST {
        return Err(fault(1, format!("the list is longer than {LONGEST_LIST} bytes")).into());
    }
    let rows = if text.trim_start().starts_with(['[', '{']) {
        let list: PublishedList =
            serde_json::from_str(&text).map_err(|error| fault(error.line() as u64, error.to_string()))?;
        let (PublishedList::Bare(list) | PublishedList::Named { valid_idxs: list }) = list;
        list.into_iter()
            .map(|number| number.value().map(|row| (1, row)).map_err(|found| fault(1, expected(&found))))
            .collect::<Result<Vec<_>, _>>()?
    } else {
        let lines = (1..).zip(text.lines()).map(|(line, text)| (line, text.trim()));
        let lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
        lines
            .map(|(line, text)| match text.parse() {
                Ok(row) => Ok((line, row)),
                Err(_) => Err(fault(line, expected(text))),
            })
            .collect::<Result<Vec<_>, _>>()?
    };
    let mut seen = HashMap::with_capacity(rows.len());
    for &(line, row) in &rows {
        if let Some(before) = seen.insert(row, line) {
            return Err(fault(line, format!("row {row} is there twice, first on line {before}")).into());
        }
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn expected(found: &str) -> String {
    format!("expected a row number, found {:?}", found.chars().take(40).collect::<String>())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PublishedList {
    Bare(Vec<Number>),
    Named { valid_idxs: Vec<Number> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Digits(String),
}

impl Number {
    fn value(self) -> Result<u64, String> {
        match self {
            Self::Plain(number) => Ok(number),
            Self::Digits(text) => text.trim().parse().map_err(|_| text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u64>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        std::fs::write(&path, text).unwrap();
        read_rows(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn all_published_forms_are_read() {
        for text in ["7\n# a remark\n\n1203\n", "[7, 1203]", r#"{"valid_idxs": ["000007", "001203"]}"#] {
            assert_eq!(read(text).unwrap(), [7, 1203], "{text}");
        }
        assert_eq!(read("").unwrap(), Vec::<u64>::new());
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_line() {
        for (text, reason) in [
            ("7\nseven\n", ":2: expected a row number, found \"seven\""),
            ("7\n-1\n", ":2"),
            ("7\n8\n7\n", ":3: row 7 is there twice, first on line 1"),
            ("[1, 1]", "twice"),
            ("[1, -1]", ":"),
            ("{\"valid_idxs\": [\"x\"]}", "expected a row number, found \"x\""),
            ("{\"rows\": [1]}", ":"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(read_rows(Path::new("/nowhere")).is_err());
    }
}
