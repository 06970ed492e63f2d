//! Distributions as SVG: shares of two or more sets over the same bins.

use std::fmt::Write as _;

use super::html::escape;

/// How the bins lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Bins of equal width side by side; edges are labelled.
    Continuous,
    /// One bin a whole number; bins are labelled.
    Counts,
}

/// Shares of sets over common bins.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) scale: Scale,
    /// The lower edge of the first bin, or its number.
    pub(crate) start: f64,
    /// The width of a bin; 1 for [`Scale::Counts`].
    pub(crate) width: f64,
    pub(crate) series: Vec<Series>,
}

/// One set.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Members of each bin.
    pub(crate) counts: Vec<u64>,
}

impl Series {
    fn shares(&self) -> Vec<f64> {
        let total = self.counts.iter().sum::<u64>().max(1) as f64;
        self.counts.iter().map(|count| *count as f64 / total).collect()
    }
}

const WIDTH: f64 = 336.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 24.0;

impl Chart {
    /// How many bins there are.
    fn bins(&self) -> usize {
        self.series.iter().map(|series| series.counts.len()).max().unwrap_or(0)
    }

    /// The chart as an SVG element. The first set is drawn as filled bars, others as outlines (or, over whole numbers, as bars
    /// beside them). Colours are the classes `s0`, `s1`, ... of the page.
    pub(crate) fn svg(&self) -> String {
        let bins = self.bins();
        let shares: Vec<Vec<f64>> = self.series.iter().map(Series::shares).collect();
        let most = shares.iter().flatten().copied().fold(0.0, f64::max);
        let (step, ticks) = ticks_up_to(100.0 * most);
        let top = step * ticks as f64 / 100.0;
        let x = |bin: f64| LEFT + (WIDTH - LEFT - RIGHT) * bin / bins.max(1) as f64;
        let y = |share: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share / top;

        // Writing to a String cannot fail, so the results below are dropped.
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        );
        for tick in 0..=ticks {
            let share = step * tick as f64;
            let at = y(share / 100.0);
            let line = if tick == 0 { "axis" } else { "grid" };
            let _ = write!(
                svg,
                "<line class=\"{line}\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}&#8201;%</text>",
                WIDTH - RIGHT,
                LEFT - 5.0,
                at + 3.5,
                number(share, step)
            );
        }
        let bar = |svg: &mut String, place: usize, left: f64, right: f64, share: f64| {
            if share > 0.0 {
                let (top, bottom) = (y(share), y(0.0));
                let _ = write!(
                    svg,
                    "<rect class=\"s{place} fill\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    right - left,
                    bottom - top
                );
            }
        };
        match self.scale {
            Scale::Counts => {
                let slot = 0.8 / shares.len().max(1) as f64;
                for (place, shares) in shares.iter().enumerate() {
                    for (bin, share) in shares.iter().enumerate() {
                        let left = bin as f64 + 0.1 + slot * place as f64;
                        bar(&mut svg, place, x(left), x(left + slot), *share);
                    }
                }
            }
            Scale::Continuous => {
                for (place, shares) in shares.iter().enumerate() {
                    if place == 0 {
                        for (bin, share) in shares.iter().enumerate() {
                            bar(&mut svg, place, x(bin as f64) + 0.4, x(bin as f64 + 1.0) - 0.4, *share);
                        }
                        continue;
                    }
                    let mut path = format!("M{:.1} {:.1}", x(0.0), y(0.0));
                    for (bin, share) in shares.iter().enumerate() {
                        let _ = write!(path, "V{:.1}H{:.1}", y(*share), x(bin as f64 + 1.0));
                    }
                    let _ = write!(path, "V{:.1}", y(0.0));
                    let _ = write!(svg, "<path class=\"s{place} outline\" d=\"{path}\"/>");
                }
            }
        }
        self.horizontal_labels(&mut svg, bins, x);
        self.tooltips(&mut svg, &shares, x);
        svg.push_str("</svg>");
        svg
    }

    fn horizontal_labels(&self, svg: &mut String, bins: usize, x: impl Fn(f64) -> f64) {
        let mut label = |at: f64, text: String| {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                HEIGHT - BOTTOM + 14.0
            );
        };
        match self.scale {
            Scale::Counts => {
                let every = bins.div_ceil(14).max(1);
                for bin in (0..bins).step_by(every) {
                    label(x(bin as f64 + 0.5), number(self.start + bin as f64 * self.width, 1.0));
                }
            }
            Scale::Continuous => {
                let end = self.start + self.width * bins as f64;
                let step = nice_step((end - self.start) / 6.0);
                let mut tick = (self.start / step).ceil() * step;
                while tick <= end + 1e-9 * step {
                    label(x((tick - self.start) / self.width), number(tick, step));
                    tick += step;
                }
            }
        }
    }

    /// What the pointer shows over each bin.
    fn tooltips(&self, svg: &mut String, shares: &[Vec<f64>], x: impl Fn(f64) -> f64) {
        for bin in 0..self.bins() {
            let start = self.start + self.width * bin as f64;
            let place = match self.scale {
                Scale::Counts => number(start, 1.0),
                Scale::Continuous => {
                    let digits = self.width / 10.0;
                    format!("{} \u{2013} {}", number(start, digits), number(start + self.width, digits))
                }
            };
            let mut text = place;
            for (series, shares) in self.series.iter().zip(shares) {
                let share = 100.0 * shares.get(bin).copied().unwrap_or(0.0);
                let _ = write!(text, "\n{}: {share:.2} %", series.name);
            }
            let (left, right) = (x(bin as f64), x(bin as f64 + 1.0));
            let _ = write!(
                svg,
                "<rect class=\"hover\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
                right - left,
                HEIGHT - TOP - BOTTOM,
                escape(&text)
            );
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten, not below `least`.
pub(super) fn nice_step(least: f64) -> f64 {
    let least = least.max(1e-12);
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(power)
}

/// The step and the number of ticks that reach a value with at most five steps.
fn ticks_up_to(most: f64) -> (f64, usize) {
    let step = nice_step((most / 5.0).max(0.02));
    (step, ((most / step) - 1e-9).ceil().max(1.0) as usize)
}

/// A number with the digits that a step of this size needs.
pub(super) fn number(value: f64, step: f64) -> String {
    let digits = (-(step * (1.0 + 1e-9)).log10().floor()).clamp(0.0, 6.0) as usize;
    // Not "-0".
    format!("{:.digits$}", if value.abs() < step * 1e-6 { 0.0 } else { value }).replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_top() {
        assert_eq!(ticks_up_to(43.0), (10.0, 5));
        assert_eq!(ticks_up_to(100.0), (20.0, 5));
        assert_eq!(ticks_up_to(0.7), (0.2, 4));
        assert_eq!(ticks_up_to(0.0), (0.02, 1));
        assert_eq!(
            (number(-0.0, 1.0), number(0.25, 0.05), number(-3.0, 1.0)),
            ("0".into(), "0.25".into(), "\u{2212}3".into())
        );
    }

    #[test]
    fn every_bin_has_its_bar_and_says_its_shares() {
        let series = |name: &str, counts: &[u64]| Series { name: name.to_owned(), counts: counts.to_vec() };
        let mut chart = Chart {
            title: "rings <3".to_owned(),
            scale: Scale::Counts,
            start: 0.0,
            width: 1.0,
            series: vec![series("generated", &[1, 2, 1]), series("reference", &[0, 4, 0])],
        };
        let svg = chart.svg();
        assert_eq!(svg.matches("fill\"").count(), 4, "{svg}");
        assert!(
            svg.contains("1\ngenerated: 50.00 %\nreference: 100.00 %") && svg.contains("rings &lt;3"),
            "{svg}"
        );
        chart.scale = Scale::Continuous;
        let svg = chart.svg();
        assert_eq!((svg.matches("fill\"").count(), svg.matches("outline").count()), (3, 1), "{svg}");
        chart.series.clear();
        assert!(chart.svg().ends_with("</svg>"));
    }
}
