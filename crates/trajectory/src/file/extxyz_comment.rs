//! The second line of an extended XYZ frame: `Lattice="..." Properties=species:S:1:pos:R:3 pbc="T T T" key=value`.

use super::text_lines::{excerpt, number};
use crate::cell::Cell;
use crate::error::TrajectoryError;
use crate::units::FS_PER_PS;

/// What a comment says that is kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Comment {
    pub(super) cell: Option<Cell>,
    /// Femtoseconds.
    pub(super) time: Option<f64>,
    pub(super) columns: Columns,
}

/// At which words of an atom's line element and position stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) species: usize,
    pub(super) position: usize,
    /// Words that a line has at least.
    pub(super) width: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self { species: 0, position: 1, width: 4 }
    }
}

impl Comment {
    /// A comment of plain XYZ, which may say anything, is taken for a list of keys too, and mostly has none that is known.
    pub(super) fn parse(line: &str) -> Result<Self, TrajectoryError> {
        let mut comment = Self::default();
        let mut periodic = true;
        for (key, value) in pairs(line) {
            match key.to_ascii_lowercase().as_str() {
                "lattice" => comment.cell = Some(lattice(value)?),
                "properties" => comment.columns = columns(value)?,
                "pbc" => periodic = !value.split_whitespace().all(|word| word.starts_with(['F', 'f', '0'])),
                "time_fs" => comment.time = Some(number(value)?),
                "time_ps" => comment.time = Some(number(value)? * FS_PER_PS),
                _ => {}
            }
        }
        if !periodic {
            comment.cell = None;
        }
        Ok(comment)
    }
}

/// Words `key=value` of a line; a value may stand in `"`, `'`, `{}` or `[]`.
fn pairs(line: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let key = rest[..end].trim_matches(['"', '\'']);
        rest = &rest[end..];
        let Some(after) = rest.strip_prefix('=') else {
            // A bare word; or an empty rest.
            rest = rest.trim_start();
            continue;
        };
        let close = match after.chars().next() {
            Some('"') => Some('"'),
            Some('\'') => Some('\''),
            Some('{') => Some('}'),
            Some('[') => Some(']'),
            _ => None,
        };
        let value = match close {
            // The opening sign is one byte. What is not closed goes to the end of the line.
            Some(close) => {
                let inner = &after[1..];
                let end = inner.find(close).unwrap_or(inner.len());
                rest = inner[end..].strip_prefix(close).unwrap_or("").trim_start();
                &inner[..end]
            }
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                rest = after[end..].trim_start();
                &after[..end]
            }
        };
        pairs.push((key, value));
    }
    pairs
}

fn lattice(value: &str) -> Result<Cell, TrajectoryError> {
    let numbers: Vec<f64> = value
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'))
        .filter(|word| !word.is_empty())
        .map(number)
        .collect::<Result<_, _>>()?;
    let cell = match numbers[..] {
        [a, b, c] => Cell::orthorhombic(a, b, c),
        [a, b, c, d, e, f, g, h, i] => Cell([[a, b, c], [d, e, f], [g, h, i]]),
        _ => {
            let found = numbers.len();
            return Err(TrajectoryError::malformed(format!("Lattice has {found} numbers, expected 9")));
        }
    };
    match cell.is_proper() {
        true => Ok(cell),
        false => Err(TrajectoryError::malformed("the Lattice has no volume")),
    }
}

/// `species:S:1:pos:R:3:forces:R:3`.
fn columns(value: &str) -> Result<Columns, TrajectoryError> {
    let wrong = |reason: &str| TrajectoryError::malformed(format!("Properties={}: {reason}", excerpt(value)));
    let fields: Vec<&str> = value.split(':').collect();
    if !fields.len().is_multiple_of(3) {
        return Err(wrong("expected name:type:count, repeated"));
    }
    let (mut species, mut position, mut width) = (None, None, 0_usize);
    for field in fields.chunks_exact(3) {
        let count: usize = field[2].parse().map_err(|_| wrong("a count is no number"))?;
        if count > 1_000 {
            return Err(wrong("a property of more than 1000 columns"));
        }
        match (field[0].to_ascii_lowercase().as_str(), count) {
            ("species" | "element" | "elements", 1) => species = Some(width),
            ("pos" | "positions" | "position", 3) => position = Some(width),
            ("pos", _) => return Err(wrong("pos has not three columns")),
            _ => {}
        }
        width += count;
    }
    let species = species.ok_or_else(|| wrong("there is no species:S:1"))?;
    let position = position.ok_or_else(|| wrong("there is no pos:R:3"))?;
    Ok(Columns { species, position, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments() {
        let comment = Comment::parse(
            r#"Lattice="5.44 0.0 0.0 0.0 5.44 0.0 0.0 0.0 5.44" Properties=id:I:1:species:S:1:pos:R:3:Z:I:1 Time=0.0 time_ps=0.5 pbc="T T T""#,
        )
        .unwrap();
        assert_eq!(comment.cell, Some(Cell::orthorhombic(5.44, 5.44, 5.44)));
        assert_eq!(comment.columns, Columns { species: 1, position: 2, width: 6 });
        assert_eq!(comment.time, Some(500.0));
        let comment = Comment::parse(r#"pbc="F F F" Lattice="1 0 0 0 1 0 0 0 1""#).unwrap();
        assert_eq!((comment.cell, comment.columns), (None, Columns::default()));
        assert_eq!(Comment::parse("any words = of a person").unwrap(), Comment::default());
        assert_eq!(
            pairs("a = b c='d e' f=[1, 2] g g=\"open é"),
            [("", ""), ("c", "d e"), ("f", "1, 2"), ("g", "open é")]
        );
        for bad in [
            "Lattice=\"1 2\"",
            "Lattice=\"1 0 0 1 0 0 0 0 1\"",
            "Lattice=\"x 0 0 0 1 0 0 0 1\"",
            "Properties=species:S:1",
            "Properties=pos:R:3",
            "Properties=species:S:1:pos:R",
            "Properties=species:S:1:pos:R:3:big:R:99999999999",
            "time_fs=now",
        ] {
            assert!(Comment::parse(bad).is_err(), "{bad}");
        }
    }
}
