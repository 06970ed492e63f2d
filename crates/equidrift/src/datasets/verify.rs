//! Checking a known data set's files, or a prepared data set.

use std::path::Path;

use equidrift_molecule::Chemistry;
use serde::Serialize;

use super::generate::{EGO, draw};
use super::manifest::{DatasetManifest, SplitRule};
use super::metadata::{Drawn, PreparedMetadata, Source};
use super::prepare::prepare;
use super::prepared::Prepared;
use super::request::{Drawing, PrepareRequest, PrepareWatcher};
use super::selection::is_prepared;
use crate::error::Error;

/// Molecules whose spelling is checked again, spread evenly.
const SAMPLE: usize = 1000;

/// A check that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub what: String,
    /// Whether it is as it should be.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

impl Check {
    fn new(what: impl Into<String>, passed: bool, found: impl Into<String>) -> Self {
        Self { what: what.into(), passed, found: found.into() }
    }
}

/// Verifies what a request names: the files of a known data set, a user's file, or a prepared data set.
///
/// Files are read and checked as [`prepare`] does it. A prepared data set has its structure and checksum checked, then, as far
/// as its manifest is known, its sources and sizes; with `from`, it is prepared again from those files and compared. Both
/// then have their bounds and splits checked and a sample of molecules spelt again. `None` if `stop` answered true.
///
/// # Errors
/// As [`prepare`], for what cannot be read or is not what it should be at all; smaller faults are checks that did not pass.
pub fn verify(
    request: &PrepareRequest,
    chemistry: &dyn Chemistry,
    watcher: &mut dyn PrepareWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Vec<Check>>, Error> {
    let mut checks = Vec::new();
    let path = Path::new(&request.name);
    let known_name = DatasetManifest::find(&request.name)?.is_some();
    let set = if !known_name && is_prepared(path) {
        let set = Prepared::open(path)?;
        checks.push(Check::new("structure and checksum", true, "intact"));
        if let (Prepared::Graphs(graphs), Some(drawn)) = (&set, recipe_of(set.metadata())) {
            let Some((columns, _)) = draw(drawn, watcher, stop)? else { return Ok(None) };
            let found = format!("{} graphs of recipe {} with seed {}", set.len(), drawn.recipe, drawn.seed);
            checks.push(Check::new("drawn again", graphs.has_columns(&columns), found));
        }
        if !request.from.is_empty() {
            let again = again(request, set.metadata());
            let Some(other) = prepare(&again, chemistry, watcher, stop)? else { return Ok(None) };
            checks.push(same_records(&set, &other));
        }
        set
    } else {
        let Some(set) = prepare(request, chemistry, watcher, stop)? else { return Ok(None) };
        checks.extend(set.metadata().sources.iter().map(|source| {
            let digest = source.sha256.as_deref().unwrap_or("none");
            let found = format!("sha256 {digest}, {} rows", source.entries);
            Check::new(format!("file {}", source.file), true, found)
        }));
        set
    };
    let manifest = DatasetManifest::find(&set.metadata().name)?;
    if let Some(manifest) = manifest.filter(|manifest| manifest.kind == set.metadata().kind) {
        of_manifest(&set, &manifest, &mut checks);
    }
    let total = set.metadata().dropped.total();
    let counted: Vec<String> = set
        .metadata()
        .dropped
        .by_reason
        .iter()
        .map(|(reason, count)| format!("{count} {}", reason.name()))
        .collect();
    let found = if total == 0 { "none".to_owned() } else { counted.join(", ") };
    checks.push(Check::new("records left out", total == 0, found));
    coverage(&set, &mut checks);
    if let Prepared::Molecules(molecules) = &set {
        checks.push(spelling(molecules, chemistry));
    }
    Ok((!stop()).then_some(checks))
}

/// How a set was drawn, if it can be drawn again without a file.
fn recipe_of(metadata: &PreparedMetadata) -> Option<&Drawn> {
    match metadata.sources.as_slice() {
        [Source { drawn: Some(drawn), .. }] if drawn.recipe != EGO => Some(drawn),
        _ => None,
    }
}

/// The request that would prepare a set again from what `from` names.
fn again(request: &PrepareRequest, metadata: &PreparedMetadata) -> PrepareRequest {
    let known = DatasetManifest::names().contains(&metadata.name.as_str());
    let mut again = PrepareRequest {
        atoms: metadata.atoms.clone(),
        most_nodes: Some(metadata.most_nodes),
        ..request.clone()
    };
    if known {
        again.name.clone_from(&metadata.name);
        if let [Source { drawn: Some(drawn), .. }] = metadata.sources.as_slice() {
            again.generate = Some(Drawing { num: Some(drawn.num), seed: drawn.seed });
            again.most_nodes = None;
        }
    } else if let [file] = request.from.as_slice() {
        again.name.clone_from(file);
        again.from.clear();
    }
    again
}

/// Whether two sets have the same records; their splits may differ.
fn same_records(set: &Prepared, other: &Prepared) -> Check {
    let same = match (set, other) {
        (Prepared::Molecules(a), Prepared::Molecules(b)) => a.has_molecules_of(b),
        (Prepared::Graphs(a), Prepared::Graphs(b)) => a.has_graphs_of(b),
        _ => false,
    };
    let found = if same {
        format!("all {} records are equal", set.len())
    } else {
        format!("{} records here, {} of the files, not all equal", set.len(), other.len())
    };
    Check::new("prepared again from the files", same, found)
}

/// Sources, sizes and bounds.
fn of_manifest(set: &Prepared, manifest: &DatasetManifest, checks: &mut Vec<Check>) {
    for source in &set.metadata().sources {
        let (Some(digest), None) = (&source.sha256, &source.drawn) else { continue };
        let known = manifest.files.iter().any(|file| {
            let same_content = file.content_sha256.is_some() && file.content_sha256 == source.content_sha256;
            file.sha256.as_ref() == Some(digest) || same_content
        });
        let unknown =
            manifest.files.iter().all(|file| file.sha256.is_none() && file.content_sha256.is_none());
        let counted = manifest.files.iter().any(|file| file.sha256.is_none() && file.rows == source.entries);
        let found = match (known, unknown || counted) {
            (true, _) => "its content is the published one",
            (false, true) => "no checksum is published; the number of rows is right",
            (false, false) => "its content is not the published one",
        };
        checks.push(Check::new(format!("source {}", source.file), known || unknown || counted, found));
    }
    for (scheme, counts) in set.part_counts() {
        let Some(split) = manifest.splits.get(&scheme) else { continue };
        let published = |part: &str| split.counts.get(part).copied();
        let of_other_size = |source: &Source| source.drawn.as_ref().is_some_and(|d| d.num != manifest.size);
        if set.metadata().sources.iter().any(of_other_size) {
            continue;
        }
        let right = counts.iter().all(|(part, count)| published(part).is_none_or(|n| n == *count));
        let found: Vec<String> = counts.iter().map(|(part, count)| format!("{part} {count}")).collect();
        checks.push(Check::new(format!("sizes of split {scheme}"), right, found.join(", ")));
    }
    match set {
        Prepared::Molecules(molecules) => {
            let Some(bounds) = &manifest.molecules else { return };
            let most =
                (0..molecules.len()).map(|molecule| molecules.atoms(molecule).len()).max().unwrap_or(0);
            if let Some(max_atoms) = bounds.max_atoms {
                checks.push(Check::new("heavy atoms", most <= max_atoms, format!("at most {most}")));
            }
            let mut seen: Vec<_> = (0..molecules.len())
                .flat_map(|molecule| molecules.atoms(molecule))
                .map(|a| a.element)
                .collect();
            seen.sort_unstable();
            seen.dedup();
            let symbols: Vec<&str> = seen.iter().map(|element| element.symbol()).collect();
            let right =
                bounds.atoms.is_empty() || symbols.iter().all(|s| bounds.atoms.iter().any(|a| a == s));
            checks.push(Check::new("elements", right, symbols.join(" ")));
        }
        Prepared::Graphs(graphs) => {
            let Some(bounds) = &manifest.graphs else { return };
            let range = |count: &dyn Fn(usize) -> usize| {
                let counts = || (0..graphs.len()).map(count);
                (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
            };
            // Drawn graphs keep the recipe's bounds, not those of the published draw.
            let drawn = set.metadata().sources.iter().any(|source| source.drawn.is_some());
            let recipe = manifest.recipe.as_ref().filter(|_| drawn);
            let (nodes, edges) =
                recipe.map_or((bounds.nodes, bounds.edges), |recipe| (recipe.nodes, [0, usize::MAX]));
            let found = [
                ("nodes", range(&|graph| graphs.nodes(graph)), nodes),
                ("edges", range(&|graph| graphs.edges(graph).len()), edges),
            ];
            for (what, (least, most), [lower, upper]) in found {
                let right = lower <= least && most <= upper;
                checks.push(Check::new(what, right, format!("{least} to {most}")));
            }
        }
    }
}

/// That every split covers what it should. Parts cannot overlap: a record has one number.
fn coverage(set: &Prepared, checks: &mut Vec<Check>) {
    let manifest = DatasetManifest::find(&set.metadata().name).ok().flatten();
    for (scheme, counts) in set.part_counts() {
        let members: u64 = counts.iter().map(|(_, count)| count).sum();
        let outside = set.len() as u64 - members;
        let rule =
            manifest.as_ref().and_then(|manifest| manifest.splits.get(&scheme)).map(|split| &split.rule);
        let may_leave_out =
            matches!(rule, Some(SplitRule::Permuted { leave_out: Some(_), .. } | SplitRule::Digress { .. }));
        let empty = counts.iter().filter(|(_, count)| *count == 0).count();
        let found = match outside {
            0 => "every record is in one part".to_owned(),
            outside if may_leave_out => format!("{outside} records are in no part, as the rule has it"),
            outside => format!("{outside} records are in no part"),
        };
        // Of a small set a part may come to nothing by rounding, so that is told but not held against it.
        let right = outside == 0 || may_leave_out;
        let found = if empty > 0 { format!("{found}; {empty} parts are empty") } else { found };
        checks.push(Check::new(format!("split {scheme} covers"), right, found));
    }
}

/// Spells a sample again.
fn spelling(set: &super::PreparedMolecules, chemistry: &dyn Chemistry) -> Check {
    let what = "canonical SMILES of a sample";
    let recorded = set.metadata().chemistry.as_deref().unwrap_or_default();
    if recorded != chemistry.name() {
        let found = format!("not checked: spelt by {recorded}, this programme has {}", chemistry.name());
        return Check::new(what, true, found);
    }
    let step = (set.len() / SAMPLE).max(1);
    let sample: Vec<usize> = (0..set.len()).step_by(step).collect();
    let differs = |molecule: usize| -> Option<String> {
        let stored = set.canonical(molecule);
        let spell = || -> Result<bool, equidrift_molecule::MoleculeError> {
            // The string reads as the graph beside it.
            let read = chemistry.canonical_smiles(&chemistry.parse_smiles(stored)?)?;
            Ok(read == chemistry.canonical_smiles(&set.graph(molecule))?)
        };
        match spell() {
            Ok(true) => None,
            Ok(false) => Some(format!("row {}: {stored} is not the molecule beside it", set.row(molecule))),
            Err(error) => Some(format!("row {}: {error}", set.row(molecule))),
        }
    };
    match sample.iter().find_map(|molecule| differs(*molecule)) {
        None => Check::new(what, true, format!("{} of {} molecules checked", sample.len(), set.len())),
        Some(fault) => Check::new(what, false, fault),
    }
}
