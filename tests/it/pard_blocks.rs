//! The structural order of blocks on the molecules that Pard was published with: QM9 with all hydrogens as atoms, training and
//! validation part of the split of DiGress.

use std::collections::HashSet;
use std::path::Path;

use equidrift_graph::{BlockDegree, block_order, graph_from_edges};
use equidrift_molecule::{OnBadLine, SmilesReader, bonds, with_hydrogens};

use crate::datasets::data;
use crate::npz;

/// Mean numbers of blocks for K = 1, 2, 3, as published (README of the reference, section 3).
const PUBLISHED: [f64; 3] = [4.3167, 5.6561, 7.2006];
/// Blocks in all, when the graphs are made from SMILES rather than from the original structure files (there).
const FROM_SMILES: [u64; 3] = [507_986, 664_697, 846_767];

fn numbers(path: &Path) -> HashSet<usize> {
    let text = std::fs::read_to_string(path).unwrap();
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[test]
fn qm9_with_hydrogens_has_the_published_numbers_of_blocks() {
    let files = ["qm9.smi", "qm9_split_digress.npz", "qm9_uncharacterised_idx.txt"];
    let [Some(smiles), Some(split), Some(left_out)] = files.map(|name| data(&format!("molecules/{name}")))
    else {
        return;
    };
    let split = npz::read(&split);
    let left_out = numbers(&left_out);
    let members: HashSet<usize> =
        ["train", "val"].iter().flat_map(|part| &split[*part]).map(|&row| row as usize).collect();
    let members: HashSet<usize> = members.difference(&left_out).copied().collect();
    assert_eq!(members.len(), 117_776);

    let (mut molecules, mut blocks, mut most) = (0_u32, [0_u64; 3], [0; 3]);
    let mut reader = SmilesReader::open(&smiles, equidrift::chemistry(), OnBadLine::Fail).unwrap();
    for record in &mut reader {
        let record = record.unwrap();
        let row = (record.line - 1) as usize;
        if !members.contains(&row) {
            continue;
        }
        let molecule = with_hydrogens(&record.graph);
        let edges: Vec<_> = bonds(&molecule).map(|(a, b, _)| (a, b)).collect();
        let graph = graph_from_edges(molecule.node_count(), edges).unwrap();
        for hops in 1..=3 {
            let order = block_order(&graph, hops, BlockDegree::Smallest);
            blocks[hops - 1] += order.sizes.len() as u64;
            most[hops - 1] = order.sizes.len().max(most[hops - 1]);
        }
        molecules += 1;
    }
    let means = blocks.map(|blocks| blocks as f64 / f64::from(molecules));
    println!(
        "{molecules} molecules: {means:.4?} blocks for K = 1, 2, 3, at most {most:?}; published {PUBLISHED:?}"
    );
    assert_eq!((molecules, blocks, most), (117_776, FROM_SMILES, [8, 10, 13]));
    for (mean, published) in means.iter().zip(PUBLISHED) {
        assert!((mean / published - 1.0).abs() <= 0.005, "{mean} instead of {published}");
    }
}
