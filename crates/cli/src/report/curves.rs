//! Curves as SVG: values of two or more sets at the same evenly spaced places.

use std::fmt::Write as _;

use super::chart::{nice_step, number};
use super::html::escape;

/// Values at `start`, `start + step`, ...
#[derive(Debug)]
pub(crate) struct Curves {
    pub(crate) title: String,
    /// Below the horizontal axis.
    pub(crate) horizontal: String,
    pub(crate) start: f64,
    pub(crate) step: f64,
    pub(crate) lines: Vec<Line>,
}

/// One set.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

const WIDTH: f64 = 336.0;
const HEIGHT: f64 = 204.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 38.0;

impl Curves {
    /// The curves as an SVG element; colours are the classes `s0`, `s1`, ... of the page. The vertical axis begins at 0 or at
    /// the least value, whichever is lower.
    pub(crate) fn svg(&self) -> String {
        let values = || self.lines.iter().flat_map(|line| &line.values).copied().filter(|v| v.is_finite());
        let (least, most) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
        let tick = nice_step((most - least).max(1e-9) / 5.0);
        let (low, high) = ((least / tick - 1e-9).floor() * tick, (most / tick - 1e-9).ceil().max(1.0) * tick);
        let places = self.lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
        let last = places.saturating_sub(1).max(1) as f64;
        let x = |place: f64| LEFT + (WIDTH - LEFT - RIGHT) * place / last;
        let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low);

        // Writing to a String cannot fail, so the results below are dropped.
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        );
        for line in 0..=((high - low) / tick).round() as usize {
            let value = low + line as f64 * tick;
            let at = y(value);
            let class = if value.abs() < 1e-9 * tick.max(1.0) { "axis" } else { "grid" };
            let _ = write!(
                svg,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 5.0,
                at + 3.5,
                number(value, tick)
            );
        }
        let end = self.start + self.step * last;
        let step = nice_step((end - self.start).abs().max(1e-9) / 6.0);
        let mut tick = (self.start / step - 1e-9).ceil() * step;
        while tick <= end + 1e-9 * step {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x((tick - self.start) / self.step),
                HEIGHT - BOTTOM + 14.0,
                number(tick, step)
            );
            tick += step;
        }
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 6.0,
            escape(&self.horizontal)
        );
        for (place, line) in self.lines.iter().enumerate() {
            let mut path = String::new();
            for (at, value) in line.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                let letter = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{letter}{:.1} {:.1}", x(at as f64), y(*value));
            }
            let _ = write!(
                svg,
                "<path class=\"s{place} outline\" d=\"{path}\"><title>{}</title></path>",
                escape(&line.name)
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_lie_between_the_axes() {
        let line = |name: &str, values: &[f64]| Line { name: name.to_owned(), values: values.to_vec() };
        let curves = Curves {
            title: "memory <1>".to_owned(),
            horizontal: "lag".to_owned(),
            start: 0.0,
            step: 5.0,
            lines: vec![line("a", &[1.0, 0.0, -0.4]), line("b", &[1.0, f64::NAN, 0.5])],
        };
        let svg = curves.svg();
        assert_eq!(svg.matches("outline").count(), 2);
        assert!(
            svg.contains("memory &lt;1&gt;") && svg.contains(">10</text>") && svg.contains("class=\"axis\"")
        );
        // The top and the bottom of the range are ticks.
        assert!(svg.contains(&format!("M{LEFT:.1} {TOP:.1}")), "{svg}");
        let empty = Curves { lines: vec![], ..curves };
        assert!(empty.svg().ends_with("</svg>"));
    }
}
