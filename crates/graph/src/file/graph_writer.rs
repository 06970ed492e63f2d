//! Writing graphs one by one.

use std::io::Write;

use super::Format;
use crate::error::GraphError;
use crate::graph::AttributedGraph;

/// A stream of graphs in one format.
pub struct GraphWriter<W: Write> {
    format: Format,
    out: W,
    written: u64,
}

impl<W: Write> GraphWriter<W> {
    /// Begins the file.
    ///
    /// # Errors
    /// [`GraphError::Stream`].
    pub fn new(format: Format, mut out: W) -> Result<Self, GraphError> {
        out.write_all(format.opening().as_bytes())?;
        Ok(Self { format, out, written: 0 })
    }

    /// Writes one graph.
    ///
    /// # Errors
    /// [`GraphError::Stream`], [`GraphError::Json`].
    pub fn write<V, E>(&mut self, graph: &AttributedGraph<V, E>) -> Result<(), GraphError> {
        self.format.write_record(self.written, graph, &mut self.out)?;
        self.written += 1;
        Ok(())
    }

    /// Ends the file and hands the stream back, flushed. Without this call the file is cut off.
    ///
    /// # Errors
    /// [`GraphError::Stream`].
    pub fn finish(mut self) -> Result<W, GraphError> {
        self.out.write_all(self.format.closing().as_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}
