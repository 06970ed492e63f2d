//! What stands in an output file around and between the records of its samples.
//!
//! A file that is cut and continued, or joined from shards, is the same as one written at a stretch, because the bytes
//! of a record depend on its sample alone and everything else is one of three constants of the format.

use equidrift_graph::Format as GraphFormat;

/// The constant parts of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Before the first record.
    pub(crate) opening: &'static str,
    /// Between two records.
    pub(crate) separator: &'static str,
    /// After the last record.
    pub(crate) closing: &'static str,
}

impl Frame {
    /// Records stand end to end, and nothing else.
    pub(crate) const NONE: Self = Self { opening: "", separator: "", closing: "" };

    /// Of the format that a manifest names.
    pub(crate) fn of_format(name: &str) -> Self {
        // The formats of molecules have no constant parts; where a format of graphs has the same name, neither has it.
        let known = [GraphFormat::Json, GraphFormat::JsonLines, GraphFormat::GraphMl, GraphFormat::EdgeList];
        known.into_iter().find(|format| format.name() == name).map_or(Self::NONE, |format| Self {
            opening: format.opening(),
            separator: format.separator(),
            closing: format.closing(),
        })
    }

    /// What stands before the next record of a file that holds `bytes` bytes. Formats without an opening have no separator,
    /// so an empty first record does not matter.
    pub(crate) fn before_record(self, bytes: u64) -> &'static str {
        if bytes == 0 { self.opening } else { self.separator }
    }

    /// What is missing at the end of a file that holds `bytes` bytes.
    pub(crate) fn end(self, bytes: u64) -> [&'static str; 2] {
        [if bytes == 0 { self.opening } else { "" }, self.closing]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_with_a_separator_has_an_opening() {
        for name in ["smi", "sdf", "jsonl", "json", "graphml", "edgelist"] {
            let frame = Frame::of_format(name);
            assert!(frame.separator.is_empty() || !frame.opening.is_empty(), "{name}");
            assert_eq!(frame == Frame::NONE, !["json", "graphml"].contains(&name), "{name}");
        }
    }
}
