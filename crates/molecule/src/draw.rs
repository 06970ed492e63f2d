//! Drawings of molecules: skeletal formulas as SVG.
//!
//! Coordinates are the embedded library's port of RDKit's depiction ([`Chematic::layout`]), bonds of 1.5 Å. The conventions
//! are those of printed journals: carbon is a corner without a letter unless it stands alone or is charged; other atoms
//! have their symbol with hydrogens and charge; the second line of a ring's double bond is inside the ring. Lines and carbon are
//! `currentColor`, so that a drawing follows the colours of the page it stands on; other elements have the colours common
//! in this field (nitrogen blue, oxygen red, ...).
//!
//! A [`MolecularGraph`] has no stereo marks, so drawings have no wedges; ring systems are in their Kekulé form.

use std::fmt::Write as _;

use petgraph::graph::NodeIndex;

use crate::chemistry::chematic::Chematic;
use crate::error::MoleculeError;
use crate::molecule::{BondOrder, MolecularGraph, bonds};

mod label;
mod sides;

use label::Label;
use sides::{Lines, lines_of_bond};

/// A point of the picture, in pixels; y goes down.
type Point = [f64; 2];

/// Size of a drawing, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PictureSize {
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// The longest a bond is drawn; longer molecules are drawn smaller.
    pub longest_bond: f64,
}

impl Default for PictureSize {
    fn default() -> Self {
        Self { width: 200.0, height: 150.0, longest_bond: 24.0 }
    }
}

/// Length of a bond of the layout, Å.
const LAYOUT_BOND: f64 = 1.5;
/// Room at the edge of the picture, in bond lengths.
const MARGIN: f64 = 0.2;
/// Between fragments, in bond lengths.
const FRAGMENT_GAP: f64 = 0.8;
/// Size of letters, in bond lengths.
const FONT: f64 = 0.56;
/// Distance between the lines of a double bond, in bond lengths.
const GAP: f64 = 0.16;

/// An SVG element of this size that shows the molecule.
///
/// # Errors
/// [`MoleculeError::Chemistry`] for a molecule that cannot be laid out: see [`Chematic::layout`].
///
/// ```
/// use equidrift_molecule::draw::{PictureSize, svg};
/// use equidrift_molecule::{Chematic, Chemistry};
///
/// let caffeine = Chematic.parse_smiles("CN1C=NC2=C1C(=O)N(C)C(=O)N2C")?;
/// let picture = svg(&caffeine, PictureSize::default())?;
/// assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>"));
/// # Ok::<(), equidrift_molecule::MoleculeError>(())
/// ```
pub fn svg(molecule: &MolecularGraph, size: PictureSize) -> Result<String, MoleculeError> {
    let layout = oriented(&Chematic.layout(molecule)?, size);
    let labels: Vec<Label> =
        (0..molecule.node_count()).map(|atom| Label::of(molecule, atom, &layout)).collect();
    let room: Vec<Room> = labels.iter().map(|label| label.room(FONT)).collect();
    let layout = apart(molecule, layout, &room);
    let (points, bond) = fit(&layout, &room, size);
    let font = FONT * bond;

    let mut path = String::new();
    for (first, second, order) in bonds(molecule) {
        let lines = match order {
            BondOrder::Single => Lines::Single,
            BondOrder::Double => lines_of_bond(molecule, first, second, &points),
            BondOrder::Triple => Lines::Triple,
        };
        let ends = [points[first], points[second]];
        let clear = [labels[first].clearance(font), labels[second].clearance(font)];
        draw_bond(&mut path, ends, clear, lines, GAP * bond);
    }

    let PictureSize { width, height, .. } = size;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">"
    );
    if !path.is_empty() {
        // Writing to a String cannot fail, so the results below are dropped.
        let _ = write!(
            text,
            "<path d=\"{path}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"{:.1}\" stroke-linecap=\"round\"/>",
            (0.07 * bond).clamp(0.7, 1.6)
        );
    }
    let _ = write!(text, "<g font-family=\"sans-serif\" font-size=\"{font:.1}\" text-anchor=\"middle\">");
    for (label, point) in labels.iter().zip(&points) {
        label.write(&mut text, *point, font);
    }
    text.push_str("</g></svg>");
    Ok(text)
}

/// What a letter needs around its atom, to the left, to the right, above and below: in bond lengths.
type Room = [f64; 4];

/// The layout in bond lengths, y down, turned so that it is wide rather than high if the picture is.
fn oriented(layout: &[Point], size: PictureSize) -> Vec<Point> {
    let mut points: Vec<Point> = layout.iter().map(|[x, y]| [x / LAYOUT_BOND, -y / LAYOUT_BOND]).collect();
    let span = |axis: usize| {
        let (low, high) = extent(points.iter().map(|point| [point[axis]; 2]));
        high - low
    };
    if (span(1) > span(0)) == (size.width >= size.height) {
        points.iter_mut().for_each(|point| *point = [point[1], -point[0]]);
    }
    points
}

/// The lowest and the highest of intervals.
fn extent(intervals: impl Iterator<Item = [f64; 2]>) -> (f64, f64) {
    intervals
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), [from, to]| (low.min(from), high.max(to)))
}

/// The interval an atom takes along an axis, letters included.
fn taken(point: Point, room: Room, axis: usize) -> [f64; 2] {
    [point[axis] - room[2 * axis], point[axis] + room[2 * axis + 1]]
}

/// Fragments side by side, their middles on one height; the layout lets letters of neighbouring ones touch.
fn apart(molecule: &MolecularGraph, mut points: Vec<Point>, room: &[Room]) -> Vec<Point> {
    let fragments = fragments(molecule);
    if fragments.len() < 2 {
        return points;
    }
    let mut right = 0.0;
    for fragment in fragments {
        let along = |axis: usize| extent(fragment.iter().map(|atom| taken(points[*atom], room[*atom], axis)));
        let ((left, end), (top, bottom)) = (along(0), along(1));
        for atom in &fragment {
            points[*atom][0] += right - left;
            points[*atom][1] -= (top + bottom) / 2.0;
        }
        right += end - left + FRAGMENT_GAP;
    }
    points
}

/// Atoms of each connected part, in the order of their first atom.
fn fragments(molecule: &MolecularGraph) -> Vec<Vec<usize>> {
    let mut seen = vec![false; molecule.node_count()];
    let mut fragments = Vec::new();
    for first in 0..seen.len() {
        if std::mem::replace(&mut seen[first], true) {
            continue;
        }
        let mut fragment = vec![first];
        let mut next = 0;
        while let Some(&atom) = fragment.get(next) {
            next += 1;
            for other in neighbours(molecule, atom) {
                if !std::mem::replace(&mut seen[other], true) {
                    fragment.push(other);
                }
            }
        }
        fragments.push(fragment);
    }
    fragments
}

/// The layout scaled and centred in the picture; and the length of a bond in pixels.
fn fit(layout: &[Point], room: &[Room], size: PictureSize) -> (Vec<Point>, f64) {
    let along = |axis: usize| extent(layout.iter().zip(room).map(|(point, room)| taken(*point, *room, axis)));
    let lengths = [size.width, size.height];
    let extents = [along(0), along(1)];
    let scale = |axis: usize| {
        let (low, high) = extents[axis];
        lengths[axis] / (high - low + 2.0 * MARGIN)
    };
    let bond = scale(0).min(scale(1)).min(size.longest_bond);
    let place = |point: &Point| {
        std::array::from_fn(|axis| {
            let (low, high) = extents[axis];
            lengths[axis] / 2.0 + bond * (point[axis] - (low + high) / 2.0)
        })
    };
    (layout.iter().map(place).collect(), bond)
}

/// The lines of one bond; `clear` is how much at each end belongs to the atom's letters.
fn draw_bond(path: &mut String, [a, b]: [Point; 2], clear: [f64; 2], lines: Lines, gap: f64) {
    let length = (b[0] - a[0]).hypot(b[1] - a[1]);
    if length <= clear[0] + clear[1] {
        return; // the letters touch
    }
    let along = [(b[0] - a[0]) / length, (b[1] - a[1]) / length];
    let across = [-along[1], along[0]];
    // A line beside the axis; `cut` takes the corners of a ring off it.
    let mut line = |offset: f64, cut: f64| {
        let start = clear[0].max(cut);
        let end = length - clear[1].max(cut);
        let at =
            |t: f64| [a[0] + along[0] * t + across[0] * offset, a[1] + along[1] * t + across[1] * offset];
        let ([x0, y0], [x1, y1]) = (at(start), at(end));
        let _ = write!(path, "M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}");
    };
    match lines {
        Lines::Single => line(0.0, 0.0),
        Lines::Side(side) => {
            line(0.0, 0.0);
            line(side * gap, 0.13 * length);
        }
        Lines::Both => {
            line(gap / 2.0, 0.0);
            line(-gap / 2.0, 0.0);
        }
        Lines::Triple => {
            line(0.0, 0.0);
            line(gap, 0.0);
            line(-gap, 0.0);
        }
    }
}

/// Neighbours of an atom.
fn neighbours(molecule: &MolecularGraph, atom: usize) -> impl Iterator<Item = usize> + '_ {
    molecule.neighbors(NodeIndex::new(atom)).map(NodeIndex::index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chemistry::Chemistry;

    fn picture(smiles: &str) -> String {
        svg(&Chematic.parse_smiles(smiles).unwrap(), PictureSize::default()).unwrap()
    }

    fn lines(picture: &str) -> usize {
        picture.matches('M').count()
    }

    #[test]
    fn fragments_do_not_touch() {
        let picture = picture("[NH4+].[Cl-]");
        let at: Vec<f64> = picture
            .split("<text x=\"")
            .skip(1)
            .map(|text| text.split('"').next().unwrap().parse().unwrap())
            .collect();
        // N, its hydrogens, Cl, its charge.
        assert!(at.len() == 4 && at[2] - at[1] > 25.0, "{at:?}");
    }

    #[test]
    fn every_bond_has_its_lines_and_only_atoms_that_need_it_have_letters() {
        // Six ring bonds, three of them double; the bond to nitrogen; the triple bond.
        let picture = picture("c1ccccc1C#N");
        assert_eq!(lines(&picture), 9 + 1 + 3, "{picture}");
        assert_eq!(picture.matches("<text").count(), 1, "{picture}");
        assert!(picture.contains(">N</text>"));
        assert_eq!(lines(&self::picture("CC(=O)O")), 4);
    }

    #[test]
    fn letters_have_hydrogens_and_charges() {
        let letters = |smiles: &str| {
            let picture = picture(smiles).replace("&#8203;", "");
            let parts = picture.split('<').skip(1).map(|part| part.split_once('>').unwrap().1.to_owned());
            parts.collect::<String>()
        };
        for (smiles, expected) in [
            ("C", "CH4"),
            ("F", "FH"),
            ("CN", "NH2"),
            ("C=O", "O"),
            ("C[NH3+]", "NH3+"),
            ("CC(=O)[O-]", "OO\u{2212}"),
            ("[Fe+2]", "Fe2+"),
            ("C[C+](C)C", "C+"),
        ] {
            assert_eq!(letters(smiles), expected, "{smiles}");
        }
    }

    #[test]
    fn everything_is_inside_the_picture() {
        for smiles in
            ["C", "C#C", "CCCCCCCCCCCCCCCCCCCCCCCCCC", "c1ccc2cc3ccccc3cc2c1", "[Na+].[Cl-]", "CC(C)(C)C"]
        {
            let PictureSize { width, height, .. } = PictureSize::default();
            for line in picture(smiles).split(['M', 'L']).skip(1) {
                let mut numbers = line.split(['"', ' ']).map_while(|number| number.parse::<f64>().ok());
                let (x, y) = (numbers.next().unwrap(), numbers.next().unwrap());
                assert!((0.0..=width).contains(&x) && (0.0..=height).contains(&y), "{smiles}: {x} {y}");
            }
        }
    }

    #[test]
    fn the_inner_line_of_a_ring_bond_is_inside() {
        let benzene = Chematic.parse_smiles("c1ccccc1").unwrap();
        let points = oriented(&Chematic.layout(&benzene).unwrap(), PictureSize::default());
        let centre: Point = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / 6.0);
        for (first, second, order) in bonds(&benzene) {
            if order == BondOrder::Double {
                let Lines::Side(side) = lines_of_bond(&benzene, first, second, &points) else { panic!() };
                assert_eq!(side, sides::side_of(points[first], points[second], centre));
            }
        }
    }
}
