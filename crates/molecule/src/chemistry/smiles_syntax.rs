//! A strict check of SMILES syntax, before a parser that is lenient sees the string.
//!
//! The grammar is that of OpenSMILES as RDKit reads it, without atom lists and dative bonds:
//!
//! ```text
//! smiles  = atom { bond? atom | bond? ring | '(' bond? smiles ')' | '.' atom }
//! ring    = digit | '%' digit digit | '%(' digit{1,5} ')'
//! atom    = B | C | N | O | P | S | F | Cl | Br | I | b | c | n | o | p | s
//!         | '[' digit{0,3} symbol chirality? ( H digit? )? charge? ( ':' digit{1,9} )? ']'
//! ```
//!
//! So empty and bond-only branches (`C()`, `C(=)`), bonds before a branch (`C=(C)C`), `@` outside brackets, dots and
//! bonds at either end, and rings of one atom (`C11`) are errors. Chemistry (valence, aromaticity) is not looked at.
//! Cost: linear in the string; nothing recurses, and size and nesting are bounded.

use std::collections::HashMap;

use super::ProblemKind;
use crate::element::Element;

/// The longest SMILES that is read, in bytes.
pub const LONGEST_SMILES: usize = 16 * 1024;
/// The largest molecule that is read, in atoms as written.
pub const MOST_ATOMS: usize = 1_000;
/// The deepest nesting of branches that is read.
pub const DEEPEST_BRANCH: usize = 200;

/// What may come next depends on what came last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing yet, or a dot: an atom must follow.
    Start,
    /// An atom, a ring number or a closed branch: anything may follow, or the end.
    Atom,
    /// A bond in a chain: an atom or a ring number must follow.
    Bond,
    /// An opened branch: a bond or an atom must follow.
    Branch,
    /// A bond at the start of a branch: an atom must follow.
    BranchBond,
}

/// What is wrong with a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// [`ProblemKind::Syntax`], [`ProblemKind::UnknownAtom`] or [`ProblemKind::Size`].
    pub(crate) kind: ProblemKind,
    pub(crate) reason: String,
}

fn malformed(reason: impl Into<String>) -> Fault {
    Fault { kind: ProblemKind::Syntax, reason: reason.into() }
}

fn too_large(reason: String) -> Fault {
    Fault { kind: ProblemKind::Size, reason }
}

/// `Err` with the reason if the string is no SMILES.
pub(crate) fn check(smiles: &str) -> Result<(), Fault> {
    if smiles.len() > LONGEST_SMILES {
        return Err(too_large(format!("longer than {LONGEST_SMILES} bytes")));
    }
    let bytes = smiles.as_bytes();
    let mut place = 0;
    let mut last = Last::Start;
    let mut atoms = 0_usize;
    // The atoms that open branches hang on; the current atom is on top.
    let mut branches: Vec<usize> = Vec::new();
    let mut current = 0;
    let mut open_rings: HashMap<u32, usize> = HashMap::new();

    while let Some(&byte) = bytes.get(place) {
        let unexpected =
            || Err(malformed(format!("unexpected {:?} at position {place}", character_at(smiles, place))));
        match byte {
            b'-' | b'=' | b'#' | b':' | b'/' | b'\\' | b'$' => {
                last = match last {
                    Last::Atom => Last::Bond,
                    Last::Branch => Last::BranchBond,
                    _ => return unexpected(),
                };
                place += 1;
            }
            b'0'..=b'9' | b'%' => {
                if !matches!(last, Last::Atom | Last::Bond) {
                    return unexpected();
                }
                let Some((label, length)) = ring_number(&bytes[place..]) else { return unexpected() };
                match open_rings.remove(&label) {
                    Some(atom) if atom == current => {
                        let reason = format!("ring {label} closes on the atom it opens at, position {place}");
                        return Err(malformed(reason));
                    }
                    Some(_) => {}
                    None => {
                        open_rings.insert(label, current);
                    }
                }
                last = Last::Atom;
                place += length;
            }
            b'(' => {
                if last != Last::Atom {
                    return unexpected();
                }
                if branches.len() == DEEPEST_BRANCH {
                    return Err(too_large(format!("branches nested deeper than {DEEPEST_BRANCH}")));
                }
                branches.push(current);
                last = Last::Branch;
                place += 1;
            }
            b')' => {
                if last != Last::Atom {
                    return unexpected();
                }
                let Some(atom) = branches.pop() else { return unexpected() };
                current = atom;
                place += 1;
            }
            b'.' => {
                if last != Last::Atom {
                    return unexpected();
                }
                last = Last::Start;
                place += 1;
            }
            _ => {
                let Some(length) = atom(&bytes[place..]) else {
                    return unknown_atom(&smiles[place..], place).map_or_else(unexpected, Err);
                };
                if atoms == MOST_ATOMS {
                    return Err(too_large(format!("more than {MOST_ATOMS} atoms")));
                }
                current = atoms;
                atoms += 1;
                last = Last::Atom;
                place += length;
            }
        }
    }
    if last != Last::Atom {
        return Err(malformed("unexpected end"));
    }
    if !branches.is_empty() {
        return Err(malformed("a branch is not closed"));
    }
    match open_rings.keys().min() {
        Some(label) => Err(malformed(format!("ring {label} is not closed"))),
        None => Ok(()),
    }
}

/// The character a byte belongs to.
fn character_at(smiles: &str, place: usize) -> char {
    let start = (0..=place).rev().find(|start| smiles.is_char_boundary(*start)).unwrap_or(0);
    smiles[start..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The longest text of an atom that a message repeats.
const LONGEST_ATOM: usize = 24;

/// The fault of a string that begins with something that looks like an atom but is none, because there is no such element.
fn unknown_atom(rest: &str, place: usize) -> Option<Fault> {
    let fault = |reason| Some(Fault { kind: ProblemKind::UnknownAtom, reason });
    if rest.starts_with('*') || rest.starts_with("[*") {
        return fault(format!("a dummy atom (*) at position {place} is no atom of a molecule"));
    }
    let Some(inside) = rest.strip_prefix('[') else {
        let letter = rest.chars().next().filter(char::is_ascii_alphabetic)?;
        return fault(format!("unknown atom {letter:?} at position {place}"));
    };
    let inside = &inside[..inside.find(']').filter(|end| *end <= LONGEST_ATOM)?];
    let symbol = &inside[count_digits(inside.as_bytes())..];
    let named = symbol.starts_with(|first: char| first.is_ascii_alphabetic());
    (named && after_symbol(symbol.as_bytes()).is_none()).then(|| Fault {
        kind: ProblemKind::UnknownAtom,
        reason: format!("unknown atom [{inside}] at position {place}"),
    })
}

/// A ring number at the start of `bytes`: the number and its length.
fn ring_number(bytes: &[u8]) -> Option<(u32, usize)> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
    match bytes {
        [b'%', b'(', rest @ ..] => {
            let digits = count_digits(rest);
            let closed = rest.get(digits) == Some(&b')');
            (closed && (1..=5).contains(&digits)).then(|| Some((number(&rest[..digits])?, digits + 3)))?
        }
        [b'%', rest @ ..] => (count_digits(rest) >= 2).then(|| Some((number(&rest[..2])?, 3)))?,
        [digit @ b'0'..=b'9', ..] => Some((u32::from(digit - b'0'), 1)),
        _ => None,
    }
}

fn count_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The length of the atom at the start of `bytes`.
fn atom(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'[', inside @ ..] => {
            let end = inside.iter().position(|byte| *byte == b']')?;
            is_bracket_atom(&inside[..end]).then_some(end + 2)
        }
        [b'C', b'l', ..] | [b'B', b'r', ..] => Some(2),
        [b'B' | b'C' | b'N' | b'O' | b'P' | b'S' | b'F' | b'I', ..] => Some(1),
        [b'b' | b'c' | b'n' | b'o' | b'p' | b's', ..] => Some(1),
        _ => None,
    }
}

/// The part of a bracket atom between the brackets.
fn is_bracket_atom(inside: &[u8]) -> bool {
    let isotope = count_digits(inside);
    if isotope > 3 {
        return false;
    }
    let Some(rest) = after_symbol(&inside[isotope..]) else { return false };
    let rest = after_chirality(rest);
    let rest = match rest {
        [b'H', b'0'..=b'9', rest @ ..] | [b'H', rest @ ..] => rest,
        rest => rest,
    };
    let rest = after_charge(rest);
    match rest {
        [] => true,
        [b':', digits @ ..] => {
            !digits.is_empty() && digits.len() <= 9 && count_digits(digits) == digits.len()
        }
        _ => false,
    }
}

fn after_symbol(bytes: &[u8]) -> Option<&[u8]> {
    let aromatic =
        |symbol: &str| matches!(symbol, "b" | "c" | "n" | "o" | "p" | "s" | "se" | "as" | "te" | "si");
    // The longer symbol wins: [Sc] is scandium.
    [2, 1].into_iter().find_map(|length| {
        let symbol = std::str::from_utf8(bytes.get(..length)?).ok()?;
        (Element::from_symbol(symbol).is_some() || aromatic(symbol)).then(|| &bytes[length..])
    })
}

fn after_chirality(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'@', b'@', rest @ ..] => rest,
        [b'@', b'T', b'H' | b'B', rest @ ..]
        | [b'@', b'A', b'L', rest @ ..]
        | [b'@', b'S', b'P', rest @ ..]
        | [b'@', b'O', b'H', rest @ ..]
            if rest.first().is_some_and(u8::is_ascii_digit) =>
        {
            &rest[count_digits(rest).min(2)..]
        }
        [b'@', rest @ ..] => rest,
        rest => rest,
    }
}

fn after_charge(bytes: &[u8]) -> &[u8] {
    let Some((&sign @ (b'+' | b'-'), rest)) = bytes.split_first() else { return bytes };
    let repeated = rest.iter().take_while(|byte| **byte == sign).count();
    if repeated > 0 { &rest[repeated..] } else { &rest[count_digits(rest).min(2)..] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_smiles_pass() {
        for smiles in [
            "C",
            "CC(=O)Oc1ccccc1C(=O)O",
            "[NH4+].[Cl-]",
            "F/C=C\\F",
            "N[C@@H](C)C(=O)O",
            "C1CC1",
            "C%10CC%10",
            "C%(123)CC%(123)",
            "C(C)1CC1",
            "C=1CCCCC=1",
            "[13CH3-]",
            "[Sc+3]",
            "[se]1cccc1",
            "[C@TH1H](F)(Cl)Br",
            "[Fe++]",
            "[CH3:7]",
            "c1cc[nH]c1",
            "CBr",
        ] {
            assert_eq!(check(smiles), Ok(()), "{smiles}");
        }
    }

    #[test]
    fn malformed_smiles_are_refused() {
        for smiles in [
            "", "C()", "C(=)", "C(=)C", "C@C", "C=(C)C", "=C", "C=", ".C", "C.", "C..C", "C(", "C(C", "C)",
            "(C)C", "C1CC", "C11", "C(1)CC1", "C==C", "C%1", "C%(1CC1", "[C", "C]", "[]", "[Q]", "[C@@@]",
            "[CH3+2-]", "[CH33]", "C*", "Q", "C C", "C\0", "é", "H", "[nH", "[[C]]", "C(=1)CC1", "C->N", "(",
            ")", "1", "[C:]", "C(C.)",
        ] {
            assert!(check(smiles).is_err(), "{smiles:?} passed");
        }
    }

    #[test]
    fn atoms_of_no_element_are_told_from_bad_syntax() {
        for smiles in ["*", "CC*", "[*]", "C[Xx]", "[2Zz+]", "CQ", "C[X]C", "CL"] {
            assert_eq!(check(smiles).unwrap_err().kind, ProblemKind::UnknownAtom, "{smiles}");
        }
        for smiles in ["[C@@@]", "[CH3+2-]", "[]", "C(", "C é", "[Xx", "[1]"] {
            assert_eq!(check(smiles).unwrap_err().kind, ProblemKind::Syntax, "{smiles}");
        }
        assert_eq!(check("C[Xx]").unwrap_err().reason, "unknown atom [Xx] at position 1");
        assert_eq!(check("Cé").unwrap_err().reason, "unexpected 'é' at position 1");
    }

    #[test]
    fn size_and_nesting_are_bounded() {
        assert_eq!(check(&"C".repeat(MOST_ATOMS)), Ok(()));
        let kind = |smiles: &str| check(smiles).unwrap_err().kind;
        assert_eq!(kind(&"C".repeat(MOST_ATOMS + 1)), ProblemKind::Size);
        assert_eq!(kind(&"C".repeat(LONGEST_SMILES + 1)), ProblemKind::Size);
        let nested = |depth: usize| format!("C{}{}", "(C".repeat(depth), ")".repeat(depth));
        assert_eq!(check(&nested(DEEPEST_BRANCH)), Ok(()));
        assert_eq!(kind(&nested(DEEPEST_BRANCH + 1)), ProblemKind::Size);
    }
}
