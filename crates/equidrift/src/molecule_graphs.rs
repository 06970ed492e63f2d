//! Molecules of a file as the graphs a model's networks see.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use equidrift_molecule::{
    BadLine, Element, MoleculeError, OnBadLine, SmilesReader, SmilesRecord, with_hydrogens,
};
use serde::Serialize;

use crate::error::Error;
use crate::generate::chemistry;
use crate::model::{FamilyModel, Model};

/// A line without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// 1-based line of the file.
    pub line: u64,
    /// Why.
    pub reason: String,
}

impl From<BadLine> for Skipped {
    fn from(BadLine { line, reason }: BadLine) -> Self {
        Self { line, reason }
    }
}

/// A molecule as the networks see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MoleculeGraph {
    /// 1-based line of the file.
    pub(crate) line: u64,
    /// Class of each node in the model's vocabulary.
    pub(crate) classes: Vec<usize>,
    /// Bonds as (one end, other end, level of the model's encoding).
    pub(crate) bonds: Vec<(usize, usize, u8)>,
}

/// The first `num` molecules of a file that the model can make, of these rows (a file of 0-based row numbers) or of all; and
/// the lines that cannot be used.
///
/// # Errors
/// A file that cannot be read; [`Error::NoUsableMolecules`].
pub(crate) fn read(
    data: &Path,
    rows: Option<&Path>,
    num: Option<usize>,
    model: &Model,
) -> Result<(Vec<MoleculeGraph>, Vec<Skipped>), Error> {
    let rows = rows.map(read_rows).transpose()?;
    let wanted = |line: u64| rows.as_ref().is_none_or(|rows| rows.contains(&(line - 1)));
    let last = rows.as_ref().map(|rows| rows.last().copied().unwrap_or(0));
    let num = num.unwrap_or(usize::MAX);
    let mut reader = SmilesReader::open(data, chemistry(), OnBadLine::Skip)?;
    let (mut graphs, mut skipped) = (Vec::new(), Vec::new());
    while graphs.len() < num
        && let Some(record) = reader.next()
    {
        let record = record?;
        let line = record.line;
        if last.is_some_and(|last| line - 1 > last) {
            break;
        }
        if wanted(line) {
            match featurise(&record, model) {
                Ok(graph) => graphs.push(graph),
                Err(reason) => skipped.push(Skipped { line, reason }),
            }
        }
    }
    skipped.extend(reader.into_bad_lines().into_iter().map(Skipped::from).filter(|bad| wanted(bad.line)));
    skipped.sort_by_key(|skipped| skipped.line);
    if graphs.is_empty() {
        let reason = skipped.first().map(|first| format!("line {}: {}", first.line, first.reason));
        return Err(Error::NoUsableMolecules {
            path: data.to_owned(),
            reason: reason.unwrap_or_else(|| "the file holds none".to_owned()),
        });
    }
    Ok((graphs, skipped))
}

/// The graph of a molecule, or why the model has none.
fn featurise(record: &SmilesRecord, model: &Model) -> Result<MoleculeGraph, String> {
    let (vocabulary, most) = (model.vocabulary(), model.max_nodes());
    // Models that know hydrogen were trained with all hydrogens as atoms.
    let explicit = vocabulary.contains(&Element::H).then(|| with_hydrogens(&record.graph));
    let graph = explicit.as_ref().unwrap_or(&record.graph);
    let class = |element| {
        let position = vocabulary.iter().position(|known| *known == element);
        position.ok_or_else(|| format!("atom {element} is not in the model's vocabulary"))
    };
    let classes = graph.node_weights().map(|atom| class(atom.element)).collect::<Result<Vec<_>, _>>()?;
    if classes.len() > most {
        return Err(format!("{} atoms; the model makes at most {most}", classes.len()));
    }
    let bonds: Vec<(usize, usize, u8)> = model.bonds().encode(graph).map_err(|error| error.to_string())?;
    let bonded = |atom: usize| bonds.iter().any(|&(a, b, _)| a == atom || b == atom);
    let needs_bonds = matches!(model.family(), FamilyModel::Gdss(_));
    if let Some(atom) = (0..classes.len()).find(|&atom| needs_bonds && !bonded(atom)) {
        return Err(format!("atom {} has no bond; the model has no such atoms", atom + 1));
    }
    if classes.is_empty() {
        return Err("no atoms".to_owned());
    }
    Ok(MoleculeGraph { line: record.line, classes, bonds })
}

/// Row numbers, one a line. Blank lines and lines that begin with `#` are skipped.
pub(crate) fn read_rows(path: &Path) -> Result<BTreeSet<u64>, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let lines = (1..).zip(text.lines()).map(|(line, text)| (line, text.trim()));
    let lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    let rows = lines.map(|(line, text)| {
        text.parse().map_err(|_| {
            let reason = format!("expected a row number, found {text:?}");
            MoleculeError::Line { path: path.to_owned(), line, reason }.into()
        })
    });
    rows.collect()
}

/// The rows of both components, `[B, N, F]` one-hot classes and `[B, N, N]` bond levels, padded to `nodes` nodes.
pub(crate) fn dense(graphs: &[&MoleculeGraph], nodes: usize, features: usize) -> [Vec<f64>; 2] {
    let rows = graphs.len();
    let mut clean = [vec![0.0; rows * nodes * features], vec![0.0; rows * nodes * nodes]];
    for (row, graph) in graphs.iter().enumerate() {
        for (node, class) in graph.classes.iter().enumerate() {
            clean[0][(row * nodes + node) * features + class] = 1.0;
        }
        for &(a, b, level) in &graph.bonds {
            clean[1][(row * nodes + a) * nodes + b] = f64::from(level);
            clean[1][(row * nodes + b) * nodes + a] = f64::from(level);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_graph_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.smi");
        fs::write(&data, "CCO\nC\nnothing\nCC#N\nCCCl\nCCCCCCCCCCCC\nC1CC1\nCC(=O)NC\n").unwrap();
        let model = Model::open(crate::request::DEFAULT_SCORE_MODEL).unwrap();
        let (graphs, skipped) = read(&data, None, None, &model).unwrap();
        assert_eq!(graphs.iter().map(|graph| graph.line).collect::<Vec<_>>(), [1, 4, 7, 8]);
        assert_eq!(skipped.iter().map(|skipped| skipped.line).collect::<Vec<_>>(), [2, 3, 5, 6]);
        let rows = folder.path().join("rows.txt");
        fs::write(&rows, "# held out\n3\n4\n0\n").unwrap();
        let (graphs, skipped) = read(&data, Some(&rows), Some(2), &model).unwrap();
        assert_eq!(graphs.iter().map(|graph| graph.line).collect::<Vec<_>>(), [1, 4]);
        assert!(skipped.is_empty());
        let [x, adj] = dense(&[&graphs[1]], 4, 4);
        assert_eq!(x[..12], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], "C C N");
        assert_eq!(adj, [0., 1., 0., 0., 1., 0., 3., 0., 0., 3., 0., 0., 0., 0., 0., 0.]);
    }
}
