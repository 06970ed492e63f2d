//! The octanol-water partition coefficient log P by atomic contributions (Wildman & Crippen, J. Chem. Inf. Comput. Sci. 39,
//! 868, 1999).

use crate::smarts::Matcher;
use crate::substructures::HYDROGENATED;

/// log P (RDKit's `MolLogP`): every atom, hydrogens too, has the share of the first atom type it matches. `matcher` holds the
/// molecule with its hydrogens as atoms.
pub(super) fn log_p(matcher: &mut Matcher<'_>) -> f64 {
    let atoms = matcher.molecule().atoms().len();
    let mut shares = vec![0.0; atoms];
    let mut open: Vec<u16> = (0..atoms as u16).collect();
    for (pattern, share) in &HYDROGENATED.crippen {
        if open.is_empty() {
            break;
        }
        open.retain(|atom| {
            let matched = matcher.begins_at(*pattern, *atom);
            if matched {
                shares[usize::from(*atom)] = *share;
            }
            !matched
        });
    }
    shares.iter().sum()
}
