//! Lines of a stream; one that is too long is passed over without being kept.

use std::io::{self, BufRead, Read};

use super::input::Input;

/// Lines with their numbers.
pub(super) struct BoundedLines {
    input: Input,
    longest: usize,
    line: u64,
    bytes: Vec<u8>,
}

impl BoundedLines {
    /// `longest` is in bytes.
    pub(super) fn new(input: Input, longest: usize) -> Self {
        Self { input, longest, line: 0, bytes: Vec::new() }
    }

    /// 1-based number of the line that was read last.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next line without white space around it, or what is wrong with it; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<&str, &'static str>>> {
        self.bytes.clear();
        let limit = self.longest as u64 + 1;
        if (&mut self.input).take(limit).read_until(b'\n', &mut self.bytes)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.bytes.last() != Some(&b'\n') && self.bytes.len() > self.longest {
            self.bytes = Vec::new();
            pass_over_line(&mut self.input)?;
            return Ok(Some(Err("the line is too long")));
        }
        Ok(Some(std::str::from_utf8(&self.bytes).map(str::trim).map_err(|_| "the line is not UTF-8")))
    }
}

/// Reads up to and with the next line feed, or to the end, and keeps nothing of it.
///
/// # Errors
/// Those of the input.
pub fn pass_over_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |place| place + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_lines_are_passed_over() {
        let mut lines = BoundedLines::new(Box::new(&b" a \n0123456789\n\xff\n\nlast"[..]), 6);
        assert_eq!(lines.next().unwrap(), Some(Ok("a")));
        assert_eq!(lines.next().unwrap(), Some(Err("the line is too long")));
        assert_eq!(lines.next().unwrap(), Some(Err("the line is not UTF-8")));
        assert_eq!(lines.next().unwrap(), Some(Ok("")));
        assert_eq!(lines.next().unwrap(), Some(Ok("last")));
        assert_eq!((lines.line(), lines.next().unwrap()), (5, None));
    }
}
