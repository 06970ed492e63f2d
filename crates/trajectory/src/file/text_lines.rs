//! Lines of a file with their numbers; one that is too long is an error, not an allocation.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use crate::error::TrajectoryError;

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Reads line by line.
pub(super) struct TextLines {
    input: BufReader<File>,
    bytes: Vec<u8>,
    line: u64,
}

impl TextLines {
    pub(super) fn new(file: File) -> Self {
        Self { input: BufReader::with_capacity(1 << 16, file), bytes: Vec::new(), line: 0 }
    }

    /// 1-based number of the line that was read last.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next line without its end; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<&str>, TrajectoryError> {
        self.bytes.clear();
        if (&mut self.input).take(LONGEST_LINE).read_until(b'\n', &mut self.bytes)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.bytes.last() == Some(&b'\n') {
            self.bytes.pop();
        } else if self.bytes.len() as u64 == LONGEST_LINE {
            return Err(TrajectoryError::malformed(format!("a line of more than {LONGEST_LINE} bytes")));
        }
        if self.bytes.last() == Some(&b'\r') {
            self.bytes.pop();
        }
        match std::str::from_utf8(&self.bytes) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(TrajectoryError::malformed("the line is not UTF-8")),
        }
    }
}

/// At most this much of a damaged line is shown.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}

/// A finite number.
pub(super) fn number(word: &str) -> Result<f64, TrajectoryError> {
    match word.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(TrajectoryError::malformed(format!("expected a finite number, found {:?}", excerpt(word)))),
    }
}

/// A coordinate, which must be finite in single precision too.
pub(super) fn coordinate(word: &str) -> Result<f32, TrajectoryError> {
    match word.trim().parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(TrajectoryError::malformed(format!("expected a coordinate, found {:?}", excerpt(word)))),
    }
}
