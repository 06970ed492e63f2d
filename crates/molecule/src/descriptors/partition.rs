//! The octanol-water partition coefficient log P by atomic contributions (Wildman & Crippen, J. Chem. Inf. Comput. Sci. 39,
//! 868, 1999).

use crate::smarts::Matcher;
use crate::substructures::HYDROGENATED;

/// log P (RDKit's `MolLogP`): every atom, hydrogens too, has the share of the first atom type it matches. `matcher` holds the
/// molecule with its hydrogens as atoms.
pub(super) fn log_p(matcher: &mut Matcher<'_>) -> f64 {
    let atoms = matcher.molecule().atoms().len();
    let mut shares = vec![0.0; atoms];
    let mut open: Vec<u64> = (0..atoms.div_ceil(64))
        .map(|word| if atoms - 64 * word >= 64 { u64::MAX } else { (1 << (atoms - 64 * word)) - 1 })
        .collect();
    for (pattern, share) in &HYDROGENATED.crippen {
        if open.iter().all(|word| *word == 0) {
            break;
        }
        matcher.take_beginnings(*pattern, &mut open, |atom| shares[usize::from(atom)] = *share);
    }
    shares.iter().sum()
}
