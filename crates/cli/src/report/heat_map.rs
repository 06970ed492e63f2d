//! Maps of two angles as SVG.

use std::fmt::Write as _;

use super::html::escape;

/// Values over squares of two angles from -180° to 180°.
#[derive(Debug)]
pub(crate) struct HeatMap {
    pub(crate) title: String,
    pub(crate) horizontal: String,
    pub(crate) vertical: String,
    /// Row by row of the horizontal angle: number `row * bins + column` has the horizontal angle of `row`. What is not finite is
    /// left empty.
    pub(crate) values: Vec<f64>,
    /// Values from here on are drawn alike, the faintest.
    pub(crate) most: f64,
    pub(crate) unit: String,
}

const SIDE: f64 = 252.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 38.0;
/// Shades; the lowest values have the strongest.
const SHADES: usize = 8;

impl HeatMap {
    /// The map as an SVG element.
    pub(crate) fn svg(&self) -> String {
        let bins = self.values.len().isqrt().max(1);
        let cell = SIDE / bins as f64;
        let mut shades = vec![String::new(); SHADES];
        // Writing to a String cannot fail, so the results below are dropped.
        for (place, value) in self.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            let shade = ((value / self.most * SHADES as f64) as usize).min(SHADES - 1);
            let (x, y) =
                (LEFT + (place / bins) as f64 * cell, TOP + SIDE - ((place % bins) as f64 + 1.0) * cell);
            let _ = write!(shades[shade], "M{x:.1} {y:.1}h{cell:.2}v{cell:.2}h-{cell:.2}z");
        }
        let (width, height) = (LEFT + SIDE + 10.0, TOP + SIDE + BOTTOM);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">\
             <rect class=\"frame\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\"/>",
            escape(&self.title)
        );
        for (shade, path) in shades.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let opacity = 1.0 - shade as f64 / SHADES as f64;
            let from = self.most * shade as f64 / SHADES as f64;
            let _ = write!(
                svg,
                "<path class=\"shade\" fill-opacity=\"{opacity:.3}\" d=\"{path}\"><title>from {from:.2} {}</title></path>",
                escape(&self.unit)
            );
        }
        for degrees in [-180, -90, 0, 90, 180] {
            let at = SIDE * (f64::from(degrees) + 180.0) / 360.0;
            let text = degrees.to_string().replace('-', "\u{2212}");
            let (across, up) = (LEFT + at, TOP + SIDE - at);
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                TOP + SIDE + 14.0,
                LEFT - 5.0,
                up + 3.5
            );
        }
        let middle = TOP + SIDE / 2.0;
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"tick\" x=\"10\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 10 {middle:.1})\">{}</text></svg>",
            LEFT + SIDE / 2.0,
            height - 6.0,
            escape(&self.horizontal),
            escape(&self.vertical)
        );
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_have_their_place_and_shade() {
        let map = HeatMap {
            title: "map".to_owned(),
            horizontal: "phi".to_owned(),
            vertical: "psi".to_owned(),
            values: vec![0.0, f64::INFINITY, 9.0, 2.0],
            most: 4.0,
            unit: "kcal/mol".to_owned(),
        };
        let svg = map.svg();
        // (first, first) is at the lower left with the strongest shade; (second, second) at the upper right.
        assert!(svg.contains("fill-opacity=\"1.000\" d=\"M46.0 134.0h126"), "{svg}");
        assert!(svg.contains("fill-opacity=\"0.500\" d=\"M172.0 8.0h126"), "{svg}");
        assert!(svg.contains("fill-opacity=\"0.125\" d=\"M172.0 134.0") && svg.matches("<path").count() == 3);
    }
}
