//! Chemical elements.

use serde::{Deserialize, Serialize};

/// A chemical element by its atomic number; 0 where it is not known, or where a body is no atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Element(pub u8);

/// Symbols by atomic number (IUPAC 2016). Files write `X` for what is not known, as ASE does.
const SYMBOLS: [&str; 119] = [
    "X", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar",
    "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr",
    "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe",
    "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu",
    "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra",
    "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db",
    "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og",
];

impl Element {
    /// Not known.
    pub const UNKNOWN: Self = Self(0);
    /// Hydrogen.
    pub const HYDROGEN: Self = Self(1);

    /// The element of a symbol in any case; `D` and `T` are hydrogen, `X` and the empty word are not known.
    #[must_use]
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        let symbol = symbol.trim();
        if symbol.is_empty() {
            return Some(Self::UNKNOWN);
        }
        if symbol.eq_ignore_ascii_case("D") || symbol.eq_ignore_ascii_case("T") {
            return Some(Self::HYDROGEN);
        }
        let number = SYMBOLS.iter().position(|known| known.eq_ignore_ascii_case(symbol))?;
        u8::try_from(number).ok().map(Self)
    }

    /// Its symbol, `X` if it is not known.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        SYMBOLS.get(usize::from(self.0)).copied().unwrap_or("X")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_and_numbers() {
        for (symbol, number) in [("H", 1), ("C", 6), ("cl", 17), ("FE", 26), ("Og", 118), ("D", 1), ("X", 0)]
        {
            assert_eq!(Element::from_symbol(symbol), Some(Element(number)), "{symbol}");
        }
        assert_eq!(Element::from_symbol("Qq"), None);
        assert!((0..119).all(|n| Element::from_symbol(Element(n).symbol()) == Some(Element(n))));
        assert_eq!(Element(200).symbol(), "X");
    }
}
