//! Which records belong to which part of a split.

use std::collections::BTreeMap;

use super::columns::{Taker, View, Views};
use super::error::DatasetError;
use super::metadata::PreparedMetadata;

/// The number that stands for no part.
pub(crate) const IN_NO_PART: u8 = u8::MAX;

/// The parts of all schemes: for every scheme a number per record, its place among the names of the parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Memberships(pub(crate) BTreeMap<String, Vec<u8>>);

impl Memberships {
    /// The columns `split.SCHEME`.
    pub(crate) fn views(&self) -> Views<'_> {
        self.0.iter().map(|(scheme, numbers)| (format!("split.{scheme}"), View::U8(numbers))).collect()
    }

    /// Takes the columns of the schemes that the metadata name.
    pub(crate) fn take(
        metadata: &PreparedMetadata,
        records: usize,
        taker: &mut Taker<'_>,
    ) -> Result<Self, DatasetError> {
        let mut memberships = BTreeMap::new();
        for (scheme, parts) in &metadata.splits {
            let numbers = taker.u8(&format!("split.{scheme}"))?;
            let known = |number: &u8| *number == IN_NO_PART || usize::from(*number) < parts.len();
            if numbers.len() != records
                || parts.len() >= usize::from(IN_NO_PART)
                || !numbers.iter().all(known)
            {
                return Err(taker.bad(format!("column split.{scheme} names parts that do not exist")));
            }
            memberships.insert(scheme.clone(), numbers);
        }
        Ok(Self(memberships))
    }

    /// The records of `SCHEME:PART`, or of `PART` if only one scheme has it, ascending.
    pub(crate) fn part(&self, splits: &BTreeMap<String, Vec<String>>, name: &str) -> Option<Vec<usize>> {
        let (scheme, part) = match name.split_once(':') {
            Some((scheme, part)) => (scheme, part),
            None => {
                let mut schemes = splits.iter().filter(|(_, parts)| parts.iter().any(|part| part == name));
                let (scheme, _) = schemes.next()?;
                if schemes.next().is_some() {
                    return None;
                }
                (scheme.as_str(), name)
            }
        };
        let number = splits.get(scheme)?.iter().position(|known| known == part)?;
        let numbers = self.0.get(scheme)?.iter().enumerate();
        Some(numbers.filter(|(_, n)| usize::from(**n) == number).map(|(record, _)| record).collect())
    }

    /// Members of each part, by `SCHEME`, then in the order of the parts.
    pub(crate) fn counts(
        &self,
        splits: &BTreeMap<String, Vec<String>>,
    ) -> BTreeMap<String, Vec<(String, u64)>> {
        let of_scheme = |(scheme, parts): (&String, &Vec<String>)| {
            let numbers = self.0.get(scheme).map_or(&[][..], Vec::as_slice);
            let count = |part: usize| numbers.iter().filter(|n| usize::from(**n) == part).count() as u64;
            let counts =
                parts.iter().enumerate().map(|(number, part)| (part.clone(), count(number))).collect();
            (scheme.clone(), counts)
        };
        splits.iter().map(of_scheme).collect()
    }
}

/// Every `SCHEME:PART`.
pub(crate) fn part_names(splits: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    splits
        .iter()
        .flat_map(|(scheme, parts)| parts.iter().map(move |part| format!("{scheme}:{part}")))
        .collect()
}
