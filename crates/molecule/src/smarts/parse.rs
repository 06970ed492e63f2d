//! Reading SMARTS.

use super::{PatternId, PatternSet};
use crate::element::Element;
use crate::perceived::PerceivedAtom;

/// A set of kinds of bonds: bit `2 * order + in_ring`.
pub(super) type BondKinds = u8;

const SINGLE: BondKinds = 0b0000_0011;
const DOUBLE: BondKinds = 0b0000_1100;
const TRIPLE: BondKinds = 0b0011_0000;
const AROMATIC: BondKinds = 0b1100_0000;
const IN_RING: BondKinds = 0b1010_1010;
const UNWRITTEN: BondKinds = SINGLE | AROMATIC;
/// Deeper nesting of `$(...)` and branches is refused.
const DEEPEST: usize = 60;

/// What an atom must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum AtomTest {
    Any,
    Aromatic,
    Aliphatic,
    Number(u8),
    Isotope(u16),
    Charge(i8),
    Hydrogens(u8),
    Degree(u8),
    TotalDegree(u8),
    Valence(u8),
    InRing,
    Rings(u8),
    SmallestRing(u8),
    RingBonds(u8),
    InRingBond,
    Recursive(PatternId),
    Not(Box<AtomTest>),
    All(Vec<AtomTest>),
    OneOf(Vec<AtomTest>),
}

impl AtomTest {
    /// Work it takes, roughly: cheap tests go first.
    fn cost(&self) -> usize {
        match self {
            Self::Recursive(_) => 1_000,
            Self::Not(test) => test.cost(),
            Self::All(tests) | Self::OneOf(tests) => tests.iter().map(Self::cost).sum(),
            _ => 1,
        }
    }

    /// Larger for tests that more atoms of more molecules pass, or that take a search.
    pub(super) fn commonness(&self) -> usize {
        match self {
            Self::Number(1 | 6) => 4,
            Self::Number(7 | 8) => 3,
            Self::Number(_) | Self::Isotope(_) => 0,
            Self::All(tests) => tests.iter().map(Self::commonness).min().unwrap_or(5),
            Self::OneOf(tests) => tests.iter().map(Self::commonness).max().unwrap_or(5),
            _ => 5,
        }
        .max(if self.cost() >= 1_000 { 6 } else { 0 })
    }

    /// Whether an atom passes, if that follows from the atom alone.
    pub(super) fn of_atom_alone(&self, atom: &PerceivedAtom) -> Option<bool> {
        Some(match self {
            Self::Any => true,
            Self::Aromatic => atom.aromatic,
            Self::Aliphatic => !atom.aromatic,
            Self::Number(number) => atom.number == *number,
            Self::Isotope(isotope) => atom.isotope == *isotope,
            Self::Charge(charge) => atom.charge == *charge,
            Self::Hydrogens(count) => atom.total_hydrogens() == *count,
            Self::Degree(count) => atom.degree == *count,
            Self::TotalDegree(count) => atom.total_degree() == *count,
            Self::Valence(count) => atom.valence == *count,
            Self::InRing => atom.rings > 0,
            Self::Rings(count) => atom.rings == *count,
            Self::SmallestRing(size) => atom.smallest_ring == *size,
            Self::RingBonds(count) => atom.ring_bonds == *count,
            Self::InRingBond => atom.ring_bonds > 0,
            Self::Recursive(_) => return None,
            Self::Not(test) => return test.of_atom_alone(atom).map(|passes| !passes),
            Self::All(tests) => {
                let answers = || tests.iter().map(|test| test.of_atom_alone(atom));
                return if answers().any(|answer| answer == Some(false)) {
                    Some(false)
                } else {
                    answers().all(|answer| answer.is_some()).then_some(true)
                };
            }
            Self::OneOf(tests) => {
                let answers = || tests.iter().map(|test| test.of_atom_alone(atom));
                return if answers().any(|answer| answer == Some(true)) {
                    Some(true)
                } else {
                    answers().all(|answer| answer.is_some()).then_some(false)
                };
            }
        })
    }

    fn all(mut tests: Vec<Self>) -> Self {
        tests.sort_by_key(Self::cost);
        if tests.len() == 1 { tests.swap_remove(0) } else { Self::All(tests) }
    }

    fn one_of(mut tests: Vec<Self>) -> Self {
        tests.sort_by_key(Self::cost);
        if tests.len() == 1 { tests.swap_remove(0) } else { Self::OneOf(tests) }
    }

    fn element(number: u8, aromatic: bool) -> Self {
        Self::All(vec![Self::Number(number), if aromatic { Self::Aromatic } else { Self::Aliphatic }])
    }
}

/// A pattern as read.
pub(super) struct Parsed {
    pub(super) atoms: Vec<AtomTest>,
    pub(super) bonds: Vec<(u16, u16, BondKinds)>,
}

/// Recursive patterns go into the set.
pub(super) fn parse(smarts: &str, set: &mut PatternSet) -> Result<Parsed, String> {
    let mut reader = Reader { bytes: smarts.as_bytes(), place: 0, set };
    let mut parsed = Parsed { atoms: Vec::new(), bonds: Vec::new() };
    // The atom before the current place, and those that branches hang on.
    let mut last: Option<u16> = None;
    let mut branches = Vec::new();
    let mut open_rings: Vec<(u32, u16, Option<BondKinds>)> = Vec::new();
    while let Some(byte) = reader.peek() {
        match byte {
            b'(' => {
                branches.push(last.ok_or_else(|| reader.unexpected())?);
                reader.place += 1;
                if branches.len() > DEEPEST {
                    return Err("branches are nested too deep".to_owned());
                }
                continue;
            }
            b')' => {
                last = Some(branches.pop().ok_or_else(|| reader.unexpected())?);
                reader.place += 1;
                continue;
            }
            b'.' => {
                if last.take().is_none() || !branches.is_empty() {
                    return Err(reader.unexpected());
                }
                reader.place += 1;
                continue;
            }
            _ => {}
        }
        let kinds = reader.bond()?;
        if let Some(label) = reader.ring_number()? {
            let atom = last.ok_or_else(|| reader.unexpected())?;
            match open_rings.iter().position(|(open, _, _)| *open == label) {
                Some(index) => {
                    let (_, other, opened_with) = open_rings.swap_remove(index);
                    let kinds = kinds.or(opened_with).unwrap_or(UNWRITTEN);
                    parsed.bonds.push((other, atom, kinds));
                }
                None => open_rings.push((label, atom, kinds)),
            }
            continue;
        }
        let test = reader.atom()?;
        let atom = u16::try_from(parsed.atoms.len()).map_err(|_| "too many atoms")?;
        parsed.atoms.push(test);
        match (last, kinds) {
            (Some(before), kinds) => parsed.bonds.push((before, atom, kinds.unwrap_or(UNWRITTEN))),
            (None, None) => {}
            (None, Some(_)) => return Err("a bond without an atom before it".to_owned()),
        }
        last = Some(atom);
    }
    match (branches.is_empty(), open_rings.is_empty(), last) {
        (true, true, Some(_)) => Ok(parsed),
        (false, ..) => Err("a branch is not closed".to_owned()),
        (_, false, _) => Err("a ring is not closed".to_owned()),
        (.., None) => Err("unexpected end".to_owned()),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
    set: &'a mut PatternSet,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.place).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.place += usize::from(found);
        found
    }

    fn unexpected(&self) -> String {
        match self.peek() {
            Some(byte) => format!("unexpected {:?} at position {}", char::from(byte), self.place),
            None => "unexpected end".to_owned(),
        }
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.bytes[self.place..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.bytes[self.place..self.place + digits]).ok()?;
        let number = text.parse().ok()?;
        self.place += digits;
        Some(number)
    }

    fn small_number(&mut self) -> Result<Option<u8>, String> {
        self.number()
            .map(|number| u8::try_from(number).map_err(|_| format!("{number} is too large")))
            .transpose()
    }

    /// `;` binds least, then `,`, then `&` or nothing, then `!`.
    fn bond(&mut self) -> Result<Option<BondKinds>, String> {
        let start = self.place;
        let mut all = BondKinds::MAX;
        loop {
            let mut any = 0;
            loop {
                any |= self.bond_product()?;
                if self.place == start {
                    return Ok(None);
                }
                if !self.take(b',') {
                    break;
                }
            }
            all &= any;
            if !self.take(b';') {
                return Ok(Some(all));
            }
        }
    }

    fn bond_product(&mut self) -> Result<BondKinds, String> {
        let mut product = BondKinds::MAX;
        loop {
            let before = self.place;
            let mut negated = false;
            while self.take(b'!') {
                negated = !negated;
            }
            let kinds = match self.peek() {
                Some(b'-') => SINGLE,
                Some(b'=') => DOUBLE,
                Some(b'#') => TRIPLE,
                Some(b':') => AROMATIC,
                Some(b'~') => BondKinds::MAX,
                Some(b'@') => IN_RING,
                _ if self.place == before => return Ok(product),
                _ => return Err(self.unexpected()),
            };
            self.place += 1;
            product &= if negated { !kinds } else { kinds };
            self.take(b'&');
        }
    }

    fn ring_number(&mut self) -> Result<Option<u32>, String> {
        match self.peek() {
            Some(digit @ b'0'..=b'9') => {
                self.place += 1;
                Ok(Some(u32::from(digit - b'0')))
            }
            Some(b'%') => {
                let digits = self.bytes.get(self.place + 1..self.place + 3);
                let label = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                let label = label.ok_or_else(|| self.unexpected())?;
                self.place += 3;
                Ok(Some(label))
            }
            _ => Ok(None),
        }
    }

    fn atom(&mut self) -> Result<AtomTest, String> {
        if self.take(b'[') {
            let hydrogen = self.bytes[self.place..].starts_with(b"H]");
            if hydrogen {
                self.place += 2;
                return Ok(AtomTest::Number(1));
            }
            let test = self.disjunctions()?;
            return if self.take(b']') { Ok(test) } else { Err(self.unexpected()) };
        }
        let rest = &self.bytes[self.place..];
        let (number, aromatic, length) = match rest {
            [b'C', b'l', ..] => (17, false, 2),
            [b'B', b'r', ..] => (35, false, 2),
            [symbol @ (b'B' | b'C' | b'N' | b'O' | b'P' | b'S' | b'F' | b'I'), ..]
            | [symbol @ (b'b' | b'c' | b'n' | b'o' | b'p' | b's'), ..] => {
                let upper = char::from(symbol.to_ascii_uppercase()).to_string();
                let element = Element::from_symbol(&upper).ok_or_else(|| self.unexpected())?;
                (element.atomic_number(), symbol.is_ascii_lowercase(), 1)
            }
            [b'*', ..] => {
                self.place += 1;
                return Ok(AtomTest::Any);
            }
            [b'a', ..] => {
                self.place += 1;
                return Ok(AtomTest::Aromatic);
            }
            [b'A', ..] => {
                self.place += 1;
                return Ok(AtomTest::Aliphatic);
            }
            _ => return Err(self.unexpected()),
        };
        self.place += length;
        Ok(AtomTest::element(number, aromatic))
    }

    fn disjunctions(&mut self) -> Result<AtomTest, String> {
        let mut all = Vec::new();
        loop {
            let mut any = vec![self.conjunction()?];
            while self.take(b',') {
                any.push(self.conjunction()?);
            }
            all.push(AtomTest::one_of(any));
            if !self.take(b';') {
                return Ok(AtomTest::all(all));
            }
        }
    }

    fn conjunction(&mut self) -> Result<AtomTest, String> {
        let mut tests = vec![self.negation()?];
        while self.take(b'&') || !matches!(self.peek(), None | Some(b',' | b';' | b']')) {
            tests.push(self.negation()?);
        }
        Ok(AtomTest::all(tests))
    }

    fn negation(&mut self) -> Result<AtomTest, String> {
        let mut negated = false;
        while self.take(b'!') {
            negated = !negated;
        }
        let test = self.primitive()?;
        Ok(if negated { AtomTest::Not(Box::new(test)) } else { test })
    }

    fn primitive(&mut self) -> Result<AtomTest, String> {
        let byte = self.peek().ok_or_else(|| self.unexpected())?;
        if byte.is_ascii_digit() {
            let number = self.number().and_then(|number| u16::try_from(number).ok());
            return number.map(AtomTest::Isotope).ok_or_else(|| "the isotope is too large".to_owned());
        }
        if let Some(test) = self.symbol() {
            return Ok(test);
        }
        self.place += 1;
        Ok(match byte {
            b'*' => AtomTest::Any,
            b'a' => AtomTest::Aromatic,
            b'A' => AtomTest::Aliphatic,
            b'#' => AtomTest::Number(self.small_number()?.ok_or_else(|| self.unexpected())?),
            b'H' => AtomTest::Hydrogens(self.small_number()?.unwrap_or(1)),
            b'D' => AtomTest::Degree(self.small_number()?.unwrap_or(1)),
            b'X' => AtomTest::TotalDegree(self.small_number()?.unwrap_or(1)),
            b'v' => AtomTest::Valence(self.small_number()?.unwrap_or(1)),
            b'R' => self.small_number()?.map_or(AtomTest::InRing, AtomTest::Rings),
            b'r' => self.small_number()?.map_or(AtomTest::InRing, AtomTest::SmallestRing),
            b'x' => self.small_number()?.map_or(AtomTest::InRingBond, AtomTest::RingBonds),
            b'+' | b'-' => self.charge(byte)?,
            b'$' => self.recursive()?,
            _ => {
                self.place -= 1;
                return Err(self.unexpected());
            }
        })
    }

    /// An element symbol; the longer one wins.
    fn symbol(&mut self) -> Option<AtomTest> {
        let text = |length: usize| std::str::from_utf8(self.bytes.get(self.place..self.place + length)?).ok();
        let found = [2, 1].into_iter().find_map(|length| {
            let symbol = text(length)?;
            let aromatic = matches!(symbol, "b" | "c" | "n" | "o" | "p" | "s" | "se" | "as" | "te" | "si");
            let mut upper = symbol.to_owned();
            if aromatic {
                upper[..1].make_ascii_uppercase();
            }
            // `H` and `A` count hydrogens and exclude aromatic atoms.
            let element = Element::from_symbol(&upper).filter(|element| *element != Element::H)?;
            Some((AtomTest::element(element.atomic_number(), aromatic), length))
        });
        let (test, length) = found?;
        self.place += length;
        Some(test)
    }

    /// `+`, `++`, `+2` and the like, after the first sign.
    fn charge(&mut self, sign: u8) -> Result<AtomTest, String> {
        let mut size = self.small_number()?;
        if size.is_none() {
            let mut repeated = 1;
            while self.take(sign) {
                repeated += 1;
            }
            size = Some(repeated);
        }
        let size = size.and_then(|size| i8::try_from(size).ok()).ok_or("the charge is too large")?;
        Ok(AtomTest::Charge(if sign == b'+' { size } else { -size }))
    }

    /// `(...)` after `$`.
    fn recursive(&mut self) -> Result<AtomTest, String> {
        let start = self.place + 1;
        let mut depth = 0;
        for (offset, byte) in self.bytes[self.place..].iter().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let end = self.place + offset;
                let inner = self.bytes.get(start..end).and_then(|inner| std::str::from_utf8(inner).ok());
                let inner = inner.ok_or_else(|| self.unexpected())?;
                let nested = inner.matches('$').count();
                if nested > DEEPEST {
                    return Err("recursive patterns are nested too deep".to_owned());
                }
                let id = self.set.compile(inner)?;
                self.place = end + 1;
                return Ok(AtomTest::Recursive(id));
            }
        }
        Err("a recursive pattern is not closed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pattern_is_refused_with_a_reason() {
        for smarts in [
            "", "C(", "C)", "(C)", "C1CC", "[C", "[]", "[$(C]", "[$(C)", "[Q]", "C..C", "-C", "[C&]", "[C,]",
            "[#]", "[#999]", "C!C", "[$()]", "C%1", "é", "[+300]", "C/C=C/C", "{C}", "C.(C)", ">", "[C@@H]",
        ] {
            assert!(PatternSet::new().add(smarts).is_err(), "{smarts:?} passed");
        }
        let nested = format!("{}C{}", "C(".repeat(70), ")".repeat(70));
        assert!(PatternSet::new().add(&nested).is_err());
        let recursive = format!("{}C{}", "[$(".repeat(70), ")]".repeat(70));
        assert!(PatternSet::new().add(&recursive).is_err());
    }

    #[test]
    fn bonds_are_sets_of_kinds() {
        let kinds = |smarts: &str| {
            let mut set = PatternSet::new();
            parse(&format!("C{smarts}C"), &mut set).unwrap().bonds[0].2
        };
        assert_eq!(kinds(""), SINGLE | AROMATIC);
        assert_eq!(kinds("-;!@"), 0b0000_0001);
        assert_eq!(kinds("=&!@"), 0b0000_0100);
        assert_eq!(kinds("=!@"), 0b0000_0100);
        assert_eq!(kinds("!-"), !SINGLE);
        assert_eq!(kinds("-,=;@"), 0b0000_1010);
        assert_eq!(kinds("~"), BondKinds::MAX);
    }

    #[test]
    fn equal_strings_and_equal_atoms_are_kept_once() {
        let mut set = PatternSet::new();
        let first = set.add("[#7;!H0]-[#6;X4]").unwrap();
        assert_eq!(set.add("[#7;!H0]-[#6;X4]").unwrap(), first);
        let tests = set.tests.len();
        set.add("[#6;X4]-[$([#7;!H0]-[#6;X4])]").unwrap();
        assert_eq!((set.len(), set.tests.len()), (2, tests + 1));
    }
}
