//! The letters of an atom: symbol, hydrogens, charge.

use std::fmt::Write as _;

use petgraph::graph::NodeIndex;

use super::{Point, neighbours};
use crate::element::Element;
use crate::hydrogens::implicit_hydrogens;
use crate::molecule::MolecularGraph;

/// What is written at an atom; nothing at a carbon that is a corner of the skeleton.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    element: Element,
    charge: i8,
    hydrogens: u32,
    /// Hydrogens stand before the symbol, because the bonds come from the right.
    hydrogens_first: bool,
    shown: bool,
}

impl Label {
    pub(super) fn of(molecule: &MolecularGraph, atom: usize, points: &[Point]) -> Self {
        let node = NodeIndex::new(atom);
        let weight = molecule[node];
        let orders: u32 = molecule.edges(node).map(|edge| u32::from(edge.weight().number())).sum();
        let degree = neighbours(molecule, atom).count();
        let lean: f64 = neighbours(molecule, atom).map(|other| points[other][0] - points[atom][0]).sum();
        // A corner that is no corner would not be seen: =C= .
        let straight =
            degree == 2 && orders == 4 && molecule.edges(node).all(|edge| edge.weight().number() == 2);
        Self {
            element: weight.element,
            charge: weight.charge,
            hydrogens: implicit_hydrogens(weight.element, weight.charge, orders),
            hydrogens_first: lean > 1e-6,
            shown: weight.element != Element::C || weight.charge != 0 || degree == 0 || straight,
        }
    }

    /// How far from the atom its bonds begin.
    pub(super) fn clearance(&self, font: f64) -> f64 {
        if self.shown { 0.62 * font } else { 0.0 }
    }

    /// What the letters take to the left and right of the atom, above and below it.
    pub(super) fn room(&self, font: f64) -> [f64; 4] {
        if !self.shown {
            return [0.0; 4];
        }
        let half = half_width(self.element, font);
        let small = |count: u32| 0.45 * font * count as f64;
        let hydrogens = match self.hydrogens {
            0 => 0.0,
            many => 0.75 * font + small(u32::from(many > 1)),
        };
        let charge = match self.charge.unsigned_abs() {
            0 => 0.0,
            size => small(1 + u32::from(size > 1)),
        };
        let (before, after) =
            if self.hydrogens_first { (hydrogens, charge) } else { (0.0, hydrogens + charge) };
        [half + before, half + after, 0.6 * font, 0.6 * font]
    }

    /// The letters, with the symbol's middle at `point`.
    pub(super) fn write(&self, out: &mut String, [x, y]: Point, font: f64) {
        if !self.shown {
            return;
        }
        let symbol = self.element.symbol();
        let half = half_width(self.element, font);
        // From the middle of a capital letter to the line it stands on.
        let y = y + 0.36 * font;
        let colour = colour(self.element);
        let mut text = |x: f64, anchor: &str, content: &str| {
            let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\"{anchor} fill=\"{colour}\">{content}</text>");
        };
        let (before, after) = (" text-anchor=\"end\"", " text-anchor=\"start\"");
        let hydrogens = match self.hydrogens {
            0 => String::new(),
            1 => "H".to_owned(),
            many => format!("H{}", small(&many.to_string(), font, 0.22)),
        };
        let charge = match self.charge {
            0 => String::new(),
            charge => {
                let sign = if charge > 0 { "+" } else { "\u{2212}" };
                let size = charge.unsigned_abs();
                let words = if size == 1 { sign.to_owned() } else { format!("{size}{sign}") };
                small(&words, font, -0.38)
            }
        };
        text(x, "", symbol);
        if self.hydrogens_first {
            if !hydrogens.is_empty() {
                text(x - half, before, &hydrogens);
            }
            if !charge.is_empty() {
                text(x + half, after, &charge);
            }
        } else if !(hydrogens.is_empty() && charge.is_empty()) {
            text(x + half, after, &format!("{hydrogens}{charge}"));
        }
    }
}

/// Half the width of a symbol.
fn half_width(element: Element, font: f64) -> f64 {
    (0.06 + 0.3 * element.symbol().len() as f64) * font
}

/// Smaller letters below (positive) or above the line.
fn small(words: &str, font: f64, shift: f64) -> String {
    let (size, down) = (0.7 * font, shift * font);
    // What follows is back on the line.
    format!(
        "<tspan dy=\"{down:.1}\" font-size=\"{size:.1}\">{words}</tspan><tspan dy=\"{:.1}\">&#8203;</tspan>",
        -down
    )
}

fn colour(element: Element) -> &'static str {
    match element {
        Element::N => "#3f6fd8",
        Element::O => "#d8352a",
        Element::F | Element::Cl => "#2c9c3f",
        Element::Br => "#a3402c",
        Element::I => "#8b3fc0",
        Element::S => "#b08a00",
        Element::P => "#d9730d",
        Element::B => "#c07f7f",
        _ => "currentColor",
    }
}
