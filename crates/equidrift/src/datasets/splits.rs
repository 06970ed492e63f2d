//! From the rule of a split to the part of every record.
//!
//! A position counts the rows of all sources one behind the other: for a data set of one file it is the row number.

use std::collections::BTreeMap;

use super::error::DatasetError;
use super::manifest::{Split, SplitRule};
use super::membership::IN_NO_PART;
use super::mersenne_twister::{numpy_permutation, torch_permutation};
use super::metadata::Source;

/// Parts with the positions of their members.
pub(crate) type Parts = Vec<(String, Vec<u32>)>;

/// A list of row numbers that a rule may ask for: `None` if the file is not at hand.
pub(crate) type RowLists = BTreeMap<String, Vec<u64>>;

/// Where positions come from.
pub(crate) struct Population<'a> {
    /// The sources, in order.
    pub(crate) sources: &'a [Source],
    /// For each source the part that it is, where files are parts.
    pub(crate) source_parts: &'a [Option<String>],
}

impl Population<'_> {
    fn starts(&self) -> Vec<u64> {
        let mut next = 0;
        self.sources
            .iter()
            .map(|source| {
                next += source.rows;
                next - source.rows
            })
            .collect()
    }

    fn total(&self, scheme: &str) -> Result<u32, DatasetError> {
        let total: u64 = self.sources.iter().map(|source| source.rows).sum();
        u32::try_from(total).map_err(|_| fault(scheme, format!("{total} rows are too many")))
    }

    /// The parts that a rule makes; `None` if it needs a list that is not at hand.
    pub(crate) fn parts(
        &self,
        scheme: &str,
        rule: &SplitRule,
        lists: &RowLists,
    ) -> Result<Option<Parts>, DatasetError> {
        let total = self.total(scheme)?;
        let share = |numerator: u64, of: u32| (u64::from(of) * numerator / 100) as u32;
        let named = |name: &str, positions: Vec<u32>| (name.to_owned(), positions);
        Ok(Some(match rule {
            SplitRule::Listed { file, part, rest } => {
                let Some(rows) = lists.get(file) else { return Ok(None) };
                let listed = positions(scheme, file, rows, total)?;
                let mut is_listed = vec![false; total as usize];
                listed.iter().for_each(|position| is_listed[*position as usize] = true);
                let others = (0..total).filter(|position| !is_listed[*position as usize]).collect();
                vec![named(rest, others), named(part, listed)]
            }
            SplitRule::Permuted { seed, parts, leave_out } => {
                let mut left_out = vec![false; total as usize];
                if let Some(file) = leave_out {
                    let Some(rows) = lists.get(file) else { return Ok(None) };
                    let listed = positions(scheme, file, rows, total)?;
                    listed.iter().for_each(|position| left_out[*position as usize] = true);
                }
                let sizes: u64 = parts.iter().map(|piece| u64::from(piece.size)).sum();
                if sizes != u64::from(total) {
                    return Err(fault(scheme, format!("it is made for {sizes} rows, there are {total}")));
                }
                let order = numpy_permutation(*seed, total);
                let mut rest = order.as_slice();
                let mut cut = |size: u32| {
                    let (piece, behind) = rest.split_at(size as usize);
                    rest = behind;
                    piece.iter().copied().filter(|position| !left_out[*position as usize]).collect()
                };
                parts.iter().map(|piece| named(&piece.name, cut(piece.size))).collect()
            }
            SplitRule::Files => {
                let mut parts: Parts = Vec::new();
                for ((source, part), start) in self.sources.iter().zip(self.source_parts).zip(self.starts()) {
                    let Some(part) = part else {
                        return Err(fault(scheme, format!("{} is no part", source.file)));
                    };
                    let members = (start as u32)..(start + source.rows) as u32;
                    parts.push((part.clone(), members.collect()));
                }
                parts
            }
            SplitRule::FirstFifth => {
                let test = share(20, total);
                vec![named("train", (test..total).collect()), named("test", (0..test).collect())]
            }
            SplitRule::Sixteenths => {
                let (val, train) = (share(16, total), share(80, total));
                vec![
                    named("train", (val..train).collect()),
                    named("val", (0..val).collect()),
                    named("test", (train..total).collect()),
                ]
            }
            SplitRule::Digress { permutation_of } => {
                let of = permutation_of.unwrap_or(total);
                let within = |positions: &[u32]| positions.iter().copied().filter(|p| *p < total).collect();
                torch_parts(0, of).into_iter().map(|(name, p)| (name, within(&p))).collect()
            }
            SplitRule::Spectre => torch_parts(1234, total),
        }))
    }

    /// The part of every record, [`IN_NO_PART`] for none. `rows` are the records' rows, source by source.
    pub(crate) fn membership(
        &self,
        scheme: &str,
        parts: &Parts,
        rows: &[u32],
    ) -> Result<Vec<u8>, DatasetError> {
        let total = self.total(scheme)?;
        let mut part_of = vec![IN_NO_PART; total as usize];
        for (number, (part, positions)) in (0..IN_NO_PART).zip(parts) {
            for &position in positions {
                let Some(slot) = part_of.get_mut(position as usize) else {
                    let reason = format!("part {part} names row {position}, there are {total} rows");
                    return Err(fault(scheme, reason));
                };
                if *slot != IN_NO_PART {
                    let first =
                        parts.get(usize::from(*slot)).map_or_else(String::new, |(name, _)| name.clone());
                    let (row, second) = (u64::from(position), part.clone());
                    return Err(DatasetError::Overlap { scheme: scheme.to_owned(), row, first, second });
                }
                *slot = number;
            }
        }
        if parts.len() >= usize::from(IN_NO_PART) {
            return Err(fault(scheme, format!("{} parts are too many", parts.len())));
        }
        let mut rows = rows.iter();
        let mut membership = Vec::with_capacity(rows.len());
        for (source, start) in self.sources.iter().zip(self.starts()) {
            let records = rows.by_ref().take(source.records as usize);
            membership.extend(records.map(|row| {
                let position = (start + u64::from(*row)) as usize;
                part_of.get(position).copied().unwrap_or(IN_NO_PART)
            }));
        }
        Ok(membership)
    }
}

/// That the parts of a known data set have the published numbers of members.
pub(crate) fn check_counts(
    dataset: &str,
    scheme: &str,
    split: &Split,
    parts: &Parts,
) -> Result<(), DatasetError> {
    for (part, &expected) in &split.counts {
        let found =
            parts.iter().find(|(name, _)| name == part).map_or(0, |(_, members)| members.len() as u64);
        if found != expected {
            let (dataset, scheme, part) = (dataset.to_owned(), scheme.to_owned(), part.clone());
            return Err(DatasetError::PartCount { dataset, scheme, part, expected, found });
        }
    }
    Ok(())
}

/// 64 % `train`, 16 % `val`, 20 % `test` of a permutation, as DiGress and SPECTRE round them.
fn torch_parts(seed: u32, of: u32) -> Parts {
    let rounded = |count: u32, share: f64| (f64::from(count) * share).round_ties_even() as u32;
    let test = rounded(of, 0.2);
    let train = rounded(of - test, 0.8);
    let order = torch_permutation(seed, of);
    let (train, rest) = order.split_at(train as usize);
    let (val, test) = rest.split_at(rest.len() - test as usize);
    let named = |name: &str, positions: &[u32]| (name.to_owned(), positions.to_vec());
    vec![named("train", train), named("val", val), named("test", test)]
}

fn positions(scheme: &str, file: &str, rows: &[u64], total: u32) -> Result<Vec<u32>, DatasetError> {
    let position = |row: &u64| match u32::try_from(*row) {
        Ok(row) if row < total => Ok(row),
        _ => Err(fault(
            scheme,
            format!("{file} names row {row}, beyond the data's last row {}", i64::from(total) - 1),
        )),
    };
    rows.iter().map(position).collect()
}

fn fault(scheme: &str, reason: String) -> DatasetError {
    DatasetError::Split { scheme: scheme.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::manifest::Piece;

    fn source(file: &str, rows: u64, records: u64) -> Source {
        Source {
            file: file.to_owned(),
            sha256: None,
            content_sha256: None,
            drawn: None,
            rows,
            entries: rows,
            records,
        }
    }

    fn parts(total: u64, rule: &SplitRule, lists: &RowLists) -> Result<Option<Parts>, DatasetError> {
        let population = Population { sources: &[source("a", total, total)], source_parts: &[None] };
        population.parts("scheme", rule, lists)
    }

    #[test]
    fn published_rules_have_published_sizes() {
        let sizes = |total, rule| -> Vec<(String, usize)> {
            let parts = parts(total, &rule, &RowLists::new()).unwrap().unwrap();
            parts.into_iter().map(|(name, members)| (name, members.len())).collect()
        };
        let three = |train, val, test| {
            vec![("train".to_owned(), train), ("val".to_owned(), val), ("test".to_owned(), test)]
        };
        assert_eq!(sizes(587, SplitRule::FirstFifth), [("train".to_owned(), 470), ("test".to_owned(), 117)]);
        assert_eq!(sizes(587, SplitRule::Sixteenths), three(376, 93, 118));
        assert_eq!(sizes(200, SplitRule::Digress { permutation_of: None }), three(128, 32, 40));
        assert_eq!(sizes(100, SplitRule::Digress { permutation_of: Some(200) }), three(68, 15, 17));
        assert_eq!(sizes(100, SplitRule::Spectre), three(64, 16, 20));
        assert_eq!(sizes(0, SplitRule::Spectre), three(0, 0, 0));
        assert_eq!(sizes(1, SplitRule::Spectre), three(1, 0, 0));
    }

    #[test]
    fn lists_and_permutations_leave_out_what_they_should() {
        let lists = RowLists::from([("list".to_owned(), vec![3, 0])]);
        let rule = SplitRule::Listed { file: "list".into(), part: "test".into(), rest: "train".into() };
        let found = parts(5, &rule, &lists).unwrap().unwrap();
        assert_eq!(found, [("train".to_owned(), vec![1, 2, 4]), ("test".to_owned(), vec![3, 0])]);
        assert_eq!(parts(5, &rule, &RowLists::new()).unwrap(), None);
        assert!(parts(3, &rule, &lists).unwrap_err().to_string().contains("list names row 3"));

        let piece = |name: &str, size| Piece { name: name.to_owned(), size };
        let pieces = vec![piece("train", 6), piece("test", 4)];
        let rule = SplitRule::Permuted { seed: 42, parts: pieces, leave_out: Some("list".into()) };
        // The permutation is 8 1 5 0 7 2 | 9 4 3 6.
        let found = parts(10, &rule, &lists).unwrap().unwrap();
        assert_eq!(found, [("train".to_owned(), vec![8, 1, 5, 7, 2]), ("test".to_owned(), vec![9, 4, 6])]);
        assert!(parts(11, &rule, &lists).is_err());
    }

    #[test]
    fn records_find_their_part_through_gaps_and_several_sources() {
        let sources = [source("a", 4, 2), source("b", 3, 2)];
        let names = [Some("train".to_owned()), Some("test".to_owned())];
        let population = Population { sources: &sources, source_parts: &names };
        let parts = population.parts("files", &SplitRule::Files, &RowLists::new()).unwrap().unwrap();
        assert_eq!(parts, [("train".to_owned(), vec![0, 1, 2, 3]), ("test".to_owned(), vec![4, 5, 6])]);
        assert_eq!(population.membership("files", &parts, &[1, 3, 0, 2]).unwrap(), [0, 0, 1, 1]);
        let some = vec![("x".to_owned(), vec![6, 1]), ("y".to_owned(), vec![3])];
        assert_eq!(population.membership("some", &some, &[1, 3, 0, 2]).unwrap(), [0, 1, IN_NO_PART, 0]);
        let twice = vec![("x".to_owned(), vec![6, 1]), ("y".to_owned(), vec![1])];
        let error = population.membership("twice", &twice, &[1, 3, 0, 2]).unwrap_err().to_string();
        assert!(error.contains("row 1 is in two parts, x and y"), "{error}");
        let beyond = vec![("x".to_owned(), vec![7])];
        assert!(population.membership("beyond", &beyond, &[1, 3, 0, 2]).is_err());
    }
}
