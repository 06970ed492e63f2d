//! Opening files: compression, byte-order marks, a limit on length and line numbers.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::GraphError;

/// A stream of text.
pub(super) type Input = Box<dyn BufRead + Send>;

const BUFFER: usize = 1 << 16;

/// A file, compressed or not.
pub(super) fn open(path: &Path) -> Result<Input, GraphError> {
    let failed = |task| move |source| GraphError::File { task, path: path.to_owned(), source };
    let file = File::open(path).map_err(failed("open"))?;
    let mut file = BufReader::with_capacity(BUFFER, file);
    let start = file.fill_buf().map_err(failed("read"))?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// Passes over a byte-order mark.
pub(super) fn skip_byte_order_mark(input: &mut dyn BufRead) -> io::Result<()> {
    if input.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        input.consume('\u{feff}'.len_utf8());
    }
    Ok(())
}

/// Counts lines, and fails beyond a number of bytes: a few compressed bytes can stand for any number of them.
pub(super) struct Measured {
    input: Input,
    line: u64,
    left: u64,
}

impl Measured {
    pub(super) fn new(input: Input, limit: u64) -> Self {
        Self { input, line: 1, left: limit }
    }

    /// The 1-based line of what is read next.
    pub(super) fn line(&self) -> u64 {
        self.line
    }
}

impl BufRead for Measured {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buffer = self.input.fill_buf()?;
        if self.left == 0 && !buffer.is_empty() {
            let reason =
                "too long to be read whole; use JSON lines or an edge list, which are read graph by graph";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        let end = usize::try_from(self.left).map_or(buffer.len(), |left| buffer.len().min(left));
        Ok(&buffer[..end])
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed was buffered before, so this reads nothing and cannot fail.
        if let Ok(buffer) = self.input.fill_buf() {
            self.line += buffer[..amount].iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        self.left -= amount as u64;
        self.input.consume(amount);
    }
}

impl Read for Measured {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(bytes)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_the_limit_is_kept() {
        let mut input = Measured::new(Box::new(&b"a\nb\nc"[..]), 5);
        let mut text = String::new();
        input.read_line(&mut text).unwrap();
        assert_eq!(input.line(), 2);
        input.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), input.line()), ("a\nb\nc", 3));
        let mut input = Measured::new(Box::new(&b"a\nb\nc"[..]), 4);
        assert_eq!(input.read_to_string(&mut text).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
