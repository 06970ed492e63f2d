//! Results on standard output.

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::{CliResult, Exit, Failure};

/// Writes a text.
pub(crate) fn text(text: &str) -> CliResult {
    write(|out| out.write_all(text.as_bytes()))
}

/// Writes a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> CliResult {
    write(|out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

fn write(content: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> CliResult {
    let mut out = io::stdout().lock();
    content(&mut out).and_then(|()| out.flush()).map(|()| Exit::Ok).map_err(|error| Failure::stdout(&error))
}
