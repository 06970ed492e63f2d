//! The splits of a data set that is being prepared: the manifest's, the user's, and those that a file carries.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::DatasetError;
use super::gather::Gathered;
use super::manifest::{Split, SplitRule};
use super::membership::Memberships;
use super::metadata::Source;
use super::prepare::Preparation;
use super::rows::read_rows;
use super::splits::{Parts, Population, RowLists, check_counts};
use crate::error::Error;

/// Names of the parts by scheme.
pub(super) type PartNames = BTreeMap<String, Vec<String>>;

impl Preparation<'_> {
    /// The parts of every scheme, and the number of the part of every record.
    pub(super) fn split(
        &mut self,
        gathered: &Gathered,
        rows: &[u32],
        lists: &RowLists,
    ) -> Result<(PartNames, Memberships), Error> {
        let population = Population { sources: &gathered.sources, source_parts: &gathered.source_parts };
        let mut schemes: BTreeMap<String, Parts> = gathered.carried.iter().cloned().collect();
        let manifest = self.manifest;
        for (scheme, split) in manifest.iter().flat_map(|manifest| &manifest.splits) {
            self.known_split(scheme, split, &population, lists, &mut schemes)?;
        }
        for (scheme, rule) in self.request.splits.iter().map(|split| split.rule()) {
            if let Some(parts) = population.parts(scheme, &rule, lists)? {
                schemes.insert(scheme.to_owned(), parts);
            }
        }
        if let Some(path) = &self.request.test_rows {
            let name = path.display().to_string();
            let rule =
                SplitRule::Listed { file: name.clone(), part: "test".to_owned(), rest: "train".to_owned() };
            let lists = RowLists::from([(name, read_rows(path)?)]);
            if let Some(parts) = population.parts("rows", &rule, &lists)? {
                schemes.insert("rows".to_owned(), parts);
            }
        }
        let (mut names, mut memberships) = (BTreeMap::new(), Memberships::default());
        for (scheme, parts) in &schemes {
            let numbers = population.membership(scheme, parts, rows)?;
            names.insert(scheme.clone(), parts.iter().map(|(name, _)| name.clone()).collect());
            memberships.0.insert(scheme.clone(), numbers);
        }
        Ok((names, memberships))
    }

    /// Adds a split of the manifest; what the file itself says of it must agree.
    fn known_split(
        &mut self,
        scheme: &str,
        split: &Split,
        population: &Population<'_>,
        lists: &RowLists,
        schemes: &mut BTreeMap<String, Parts>,
    ) -> Result<(), DatasetError> {
        let dataset = self.manifest.map_or("", |manifest| manifest.title.as_str());
        let Some(parts) = population.parts(scheme, &split.rule, lists)? else {
            self.watcher.note(&format!(
                "note: split {scheme} is left out: the list of rows it needs is not in what --from names"
            ));
            return Ok(());
        };
        // A drawn set may be of another size than the published one.
        let as_large = |source: &Source| {
            let published = self.manifest.map(|manifest| manifest.size);
            source.drawn.as_ref().is_none_or(|drawn| Some(drawn.num) == published)
        };
        if population.sources.iter().all(as_large) {
            check_counts(dataset, scheme, split, &parts)?;
        }
        if let Some(carried) = schemes.get(scheme) {
            let sorted = |parts: &Parts| -> BTreeMap<String, Vec<u32>> {
                let members = |positions: &Vec<u32>| {
                    let mut positions = positions.clone();
                    positions.sort_unstable();
                    positions
                };
                parts.iter().map(|(name, positions)| (name.clone(), members(positions))).collect()
            };
            if sorted(carried) != sorted(&parts) {
                let reason = "the file's own lists are not those of the published rule".to_owned();
                return Err(DatasetError::Split { scheme: scheme.to_owned(), reason });
            }
        }
        schemes.insert(scheme.to_owned(), parts);
        Ok(())
    }
}

/// The splits of a JSON document as positions.
pub(super) fn carried_splits(
    path: &Path,
    splits: &equidrift_graph::file::Splits,
    graphs: u64,
) -> Result<Vec<(String, Parts)>, DatasetError> {
    let mut schemes: BTreeMap<String, Parts> = BTreeMap::new();
    for name in splits.names() {
        let Some((scheme, part)) = name.split_once(':') else { continue };
        let positions =
            splits.part(&name).unwrap_or_default().iter().map(|graph| match u32::try_from(*graph) {
                Ok(position) if *graph < graphs => Ok(position),
                _ => Err(DatasetError::Split {
                    scheme: scheme.to_owned(),
                    reason: format!("{} lists graph {graph}, it has {graphs}", path.display()),
                }),
            });
        let positions = positions.collect::<Result<Vec<u32>, _>>()?;
        schemes.entry(scheme.to_owned()).or_default().push((part.to_owned(), positions));
    }
    Ok(schemes.into_iter().collect())
}
