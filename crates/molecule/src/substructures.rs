//! The substructure patterns that ship with the crate, compiled once.
//!
//! Two sets, because some definitions are written for molecules whose hydrogens are atoms ([`Hydrogenated`]) and others for
//! molecules whose hydrogens are counts ([`Skeleton`]).

use std::sync::LazyLock;

use crate::smarts::{PatternId, PatternSet};

const CRIPPEN: &str = include_str!("../data/crippen.tsv");
const QED_ALERTS: &str = include_str!("../data/qed_alerts.tsv");
const MOSES_FILTERS: &str = include_str!("../data/moses_filters.tsv");

/// Acceptors of the drug-likeness estimate (RDKit, `Chem/QED.py`).
const QED_ACCEPTORS: [&str; 11] = [
    "[oH0;X2]",
    "[OH1;X2;v2]",
    "[OH0;X2;v2]",
    "[OH0;X1;v2]",
    "[O-;X1]",
    "[SH0;X2;v2]",
    "[SH0;X1;v2]",
    "[S-;X1]",
    "[nH0;X2]",
    "[NH0;X1;v3]",
    "[$([N;+0;X3;v3]);!$(N[C,S]=O)]",
];
/// Aliphatic ring atoms next to an atom that is not aromatic; without them only aromatic rings are left (ibid.).
const ALIPHATIC_RING_ATOM: &str = "[$([A;R][!a])]";
/// RDKit's `NumHAcceptors`, after Gobbi & Poppinger (1998).
const ACCEPTOR: &str = "[$([O,S;H1;v2]-[!$(*=[O,N,P,S])]),$([O,S;H0;v2]),$([O,S;-]),\
                        $([N;v3;!$(N-*=!@[O,N,P,S])]),$([nH0X2,o,s;+0])]";
/// RDKit's `NumHDonors`.
const DONOR: &str = "[N&!H0&v3,N&!H0&+1&v4,O&H1&+0,S&H1&+0,n&H1&+0]";
/// RDKit's strict `NumRotatableBonds`.
const ROTATABLE_BOND: &str = "[!$(*#*)&!D1&!$(C(F)(F)F)&!$(C(Cl)(Cl)Cl)&!$(C(Br)(Br)Br)&!$(C([CH3])([CH3])[CH3])\
                              &!$([CH3])&!$([CD3](=[N,O,S])-!@[#7,O,S!D1])&!$([#7,O,S!D1]-!@[CD3]=[N,O,S])\
                              &!$([CD3](=[N+])-!@[#7!D1])&!$([#7!D1]-!@[CD3]=[N+])]-,:;!@\
                              [!$(*#*)&!D1&!$(C(F)(F)F)&!$(C(Cl)(Cl)Cl)&!$(C(Br)(Br)Br)&!$(C([CH3])([CH3])[CH3])\
                              &!$([CH3])]";

/// The kinds of atoms of BRICS by number, as RDKit has them (`MolFragmenter.cpp`): kind 2 was taken into kind 5.
const BRICS_KINDS: [(u16, &str); 15] = [
    (1, "[C;D3]([#0,#6,#7,#8])(=O)"),
    (3, "[O;D2]-;!@[#0,#6,#1]"),
    (4, "[C;!D1;!$(C=*)]-;!@[#6]"),
    (5, "[N;!D1;!$(N=*);!$(N-[!#6;!#16;!#0;!#1]);!$([N;R]@[C;R]=O)]"),
    (6, "[C;D3;!R](=O)-;!@[#0,#6,#7,#8]"),
    (7, "[C;D2,D3]-[#6]"),
    (8, "[C;!R;!D1;!$(C!-*)]"),
    (9, "[n;+0;$(n(:[c,n,o,s]):[c,n,o,s])]"),
    (10, "[N;R;$(N(@C(=O))@[C,N,O,S])]"),
    (11, "[S;D2](-;!@[#0,#6])"),
    (12, "[S;D4]([#6,#0])(=O)(=O)"),
    (13, "[C;$(C(-;@[C,N,O,S])-;@[N,O,S])]"),
    (14, "[c;$(c(:[c,n,o,s]):[n,o,s])]"),
    (15, "[C;$(C(-;@C)-;@C)]"),
    (16, "[c;$(c(:c):c)]"),
];

/// Patterns for molecules whose hydrogens are counts.
pub(crate) struct Skeleton {
    pub(crate) set: PatternSet,
    pub(crate) qed_acceptors: Vec<PatternId>,
    pub(crate) qed_alerts: Vec<PatternId>,
    pub(crate) aliphatic_ring_atom: PatternId,
    pub(crate) acceptor: PatternId,
    pub(crate) donor: PatternId,
    pub(crate) rotatable_bond: PatternId,
    /// Kinds of atoms of BRICS by number.
    pub(crate) brics_kinds: Vec<(u16, PatternId)>,
}

/// Patterns for molecules whose hydrogens are atoms.
pub(crate) struct Hydrogenated {
    pub(crate) set: PatternSet,
    /// Atom types and their shares of log P, in the order in which they are tried.
    pub(crate) crippen: Vec<(PatternId, f64)>,
    /// MOSES's filters by name.
    pub(crate) moses_filters: Vec<(&'static str, PatternId)>,
}

pub(crate) static SKELETON: LazyLock<Skeleton> = LazyLock::new(|| {
    let mut set = PatternSet::new();
    Skeleton {
        qed_acceptors: QED_ACCEPTORS.map(|smarts| built_in(&mut set, smarts)).to_vec(),
        qed_alerts: rows(QED_ALERTS).map(|row| built_in(&mut set, row)).collect(),
        aliphatic_ring_atom: built_in(&mut set, ALIPHATIC_RING_ATOM),
        acceptor: built_in(&mut set, ACCEPTOR),
        donor: built_in(&mut set, DONOR),
        rotatable_bond: built_in(&mut set, ROTATABLE_BOND),
        brics_kinds: BRICS_KINDS.map(|(kind, smarts)| (kind, built_in(&mut set, smarts))).to_vec(),
        set,
    }
});

pub(crate) static HYDROGENATED: LazyLock<Hydrogenated> = LazyLock::new(|| {
    let mut set = PatternSet::new();
    let crippen = rows(CRIPPEN).filter_map(|row| {
        let mut columns = row.split('\t').skip(1);
        let smarts = columns.next()?;
        Some((built_in(&mut set, smarts), columns.next()?.parse().ok()?))
    });
    let crippen = crippen.collect();
    let moses_filters = rows(MOSES_FILTERS).filter_map(|row| {
        let (name, smarts) = row.split_once('\t')?;
        Some((name, built_in(&mut set, smarts)))
    });
    Hydrogenated { crippen, moses_filters: moses_filters.collect(), set }
});

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn built_in(set: &mut PatternSet, smarts: &str) -> PatternId {
    set.add(smarts).expect("a test compiles every pattern of the crate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_the_crate_compiles() {
        let skeleton = &*SKELETON;
        assert_eq!((skeleton.qed_acceptors.len(), skeleton.qed_alerts.len()), (11, 116));
        let hydrogenated = &*HYDROGENATED;
        assert_eq!(hydrogenated.crippen.len(), 110);
        assert_eq!(hydrogenated.moses_filters.len(), 22 + 480);
        assert_eq!(hydrogenated.moses_filters[0].0, "MCF1");
    }
}
