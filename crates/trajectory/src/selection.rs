//! Which atoms of a trajectory are meant.

use std::str::FromStr;

use crate::element::Element;
use crate::error::TrajectoryError;
use crate::topology::Topology;

/// A choice of atoms. As text: `all`, `heavy`, `element C,N`, `index 0-8,12`, `name CA,CB`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Selection {
    /// Every atom.
    #[default]
    All,
    /// Every atom but hydrogen.
    Heavy,
    /// Atoms of these elements.
    Elements(Vec<Element>),
    /// These atoms, numbered from 0, in this order.
    Indices(Vec<usize>),
    /// Atoms of these names, as a PDB file gives them.
    Names(Vec<String>),
}

/// As many atoms as the text of a selection may name, which ranges can make long.
const LONGEST_SELECTION: usize = 1 << 24;

impl Selection {
    /// Their numbers.
    ///
    /// # Errors
    /// [`TrajectoryError::NoSuchAtom`]; [`TrajectoryError::Selection`] if no atom is meant, or if names are asked for and
    /// there are none.
    pub fn atoms(&self, topology: &Topology) -> Result<Vec<usize>, TrajectoryError> {
        let where_element = |keep: &dyn Fn(Element) -> bool| -> Vec<usize> {
            (0..topology.atoms()).filter(|atom| keep(topology.elements()[*atom])).collect()
        };
        let atoms = match self {
            Self::All => (0..topology.atoms()).collect(),
            Self::Heavy => where_element(&|element| element != Element::HYDROGEN),
            Self::Elements(elements) => where_element(&|element| elements.contains(&element)),
            Self::Indices(indices) => {
                let atoms = topology.atoms();
                if let Some(atom) = indices.iter().copied().find(|atom| *atom >= atoms) {
                    return Err(TrajectoryError::NoSuchAtom { atom, atoms });
                }
                indices.clone()
            }
            Self::Names(names) => {
                if topology.names().is_empty() {
                    return Err(self.error("the atoms have no names".to_owned()));
                }
                (0..topology.atoms()).filter(|atom| names.contains(&topology.names()[*atom])).collect()
            }
        };
        if atoms.is_empty() && topology.atoms() > 0 {
            return Err(self.error("no atom is meant".to_owned()));
        }
        Ok(atoms)
    }

    fn error(&self, reason: String) -> TrajectoryError {
        TrajectoryError::Selection { selection: format!("{self:?}"), reason }
    }
}

impl FromStr for Selection {
    type Err = TrajectoryError;

    fn from_str(text: &str) -> Result<Self, TrajectoryError> {
        let error = |reason: String| TrajectoryError::Selection {
            selection: text.chars().take(100).collect(),
            reason,
        };
        let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let items = || rest.split([',', ' ']).map(str::trim).filter(|item| !item.is_empty());
        let selection = match word {
            "all" if rest.is_empty() => Self::All,
            "heavy" if rest.is_empty() => Self::Heavy,
            "element" => Self::Elements(
                items()
                    .map(|item| {
                        Element::from_symbol(item).ok_or_else(|| error(format!("no element {item:?}")))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            "index" => Self::Indices(indices(items()).map_err(error)?),
            "name" => Self::Names(items().map(str::to_owned).collect()),
            _ => return Err(error("unknown selection".to_owned())),
        };
        match &selection {
            Self::Elements(list) if list.is_empty() => Err(error("no element is named".to_owned())),
            Self::Indices(list) if list.is_empty() => Err(error("no atom is named".to_owned())),
            Self::Names(list) if list.is_empty() => Err(error("no name is given".to_owned())),
            _ => Ok(selection),
        }
    }
}

/// Numbers and ranges with both ends in.
fn indices<'a>(items: impl Iterator<Item = &'a str>) -> Result<Vec<usize>, String> {
    let mut indices = Vec::new();
    for item in items {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let number =
            |word: &str| word.trim().parse::<usize>().map_err(|_| format!("{item:?} is no number or range"));
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(format!("the range {item} runs backwards"));
        }
        if last - first >= LONGEST_SELECTION - indices.len().min(LONGEST_SELECTION) {
            return Err(format!("more than {LONGEST_SELECTION} atoms are named"));
        }
        indices.extend(first..=last);
    }
    let mut sorted = indices.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("atom {} is named twice", pair[0])),
        None => Ok(indices),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_as_text() {
        let mut topology = Topology::of_elements([6, 1, 7, 1].map(Element).to_vec());
        let atoms = |text: &str, topology: &Topology| text.parse::<Selection>().unwrap().atoms(topology);
        assert_eq!(atoms("all", &topology).unwrap(), [0, 1, 2, 3]);
        assert_eq!(atoms(" heavy ", &topology).unwrap(), [0, 2]);
        assert_eq!(atoms("element H, n", &topology).unwrap(), [1, 2, 3]);
        assert_eq!(atoms("index 3,0-1", &topology).unwrap(), [3, 0, 1]);
        assert!(matches!(atoms("index 4", &topology), Err(TrajectoryError::NoSuchAtom { atom: 4, .. })));
        assert!(atoms("element O", &topology).unwrap_err().to_string().contains("no atom is meant"));
        assert!(atoms("name CA", &topology).unwrap_err().to_string().contains("no names"));
        topology.set_names(["CA", "HA", "N", "H"].map(str::to_owned).to_vec(), Vec::new()).unwrap();
        assert_eq!(atoms("name N,CA", &topology).unwrap(), [0, 2]);
        for bad in [
            "",
            "some",
            "index",
            "index 3-1",
            "index 1,0-2",
            "index x",
            "index 0-99999999999",
            "element Qq",
            "heavy 3",
        ] {
            assert!(bad.parse::<Selection>().is_err(), "{bad}");
        }
    }
}
