//! Curves as an SVG.

use std::path::Path;

use plotters::coord::combinators::LogCoord;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::exit::{Exit, Failure};

/// A named line of points.
pub(super) struct Curve {
    pub(super) label: String,
    pub(super) points: Vec<(f64, f64)>,
}

struct Panel {
    title: String,
    logarithmic: bool,
    curves: Vec<Curve>,
}

/// Panels side by side with a common horizontal axis, which is logarithmic.
pub(super) struct Plot {
    axis: &'static str,
    panels: Vec<Panel>,
}

const PANEL: (u32, u32) = (520, 420);

/// Width of the list of curves.
const LEGEND: u32 = 180;

/// Colours that stay apart for most eyes (Okabe & Ito 2008), then again with other markers.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(120, 110, 20),
    RGBColor(60, 60, 60),
];

impl Plot {
    pub(super) fn new(axis: &'static str) -> Self {
        Self { axis, panels: Vec::new() }
    }

    /// Adds a panel, unless no curve has a point that can be drawn.
    pub(super) fn panel(&mut self, title: &str, logarithmic: bool, mut curves: Vec<Curve>) {
        for curve in &mut curves {
            curve.points.retain(|&(x, y)| x > 0.0 && y.is_finite() && (!logarithmic || y > 0.0));
        }
        curves.retain(|curve| !curve.points.is_empty());
        if !curves.is_empty() {
            self.panels.push(Panel { title: title.to_owned(), logarithmic, curves });
        }
    }

    /// Writes the SVG.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut svg = String::new();
        self.draw(&mut svg)
            .map_err(|error| Failure::message(Exit::Failure, format_args!("plot: {error}")))?;
        std::fs::write(path, svg)
            .map_err(|error| Failure::message(Exit::Failure, format_args!("{}: {error}", path.display())))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let columns = self.panels.len().max(1) as u32;
        let area = SVGBackend::with_string(svg, (PANEL.0 * columns + LEGEND, PANEL.1)).into_drawing_area();
        area.fill(&WHITE)?;
        let (panels, legend) = area.split_horizontally(PANEL.0 * columns);
        // A curve has one colour in all panels.
        let mut labels: Vec<&str> = Vec::new();
        for curve in self.panels.iter().flat_map(|panel| &panel.curves) {
            if !labels.contains(&curve.label.as_str()) {
                labels.push(&curve.label);
            }
        }
        for (part, panel) in panels.split_evenly((1, columns as usize)).iter().zip(&self.panels) {
            let points = || panel.curves.iter().flat_map(|curve| curve.points.iter().copied());
            let range = |values: &mut dyn Iterator<Item = f64>| {
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
            };
            let (left, right) = range(&mut points().map(|(x, _)| x));
            let (low, high) = range(&mut points().map(|(_, y)| y));
            let mut chart = ChartBuilder::on(part);
            chart.caption(&panel.title, ("sans-serif", 16)).margin(10);
            chart.x_label_area_size(36).y_label_area_size(58);
            let across = (left / 1.15..right * 1.15).log_scale();
            if panel.logarithmic {
                let chart = chart.build_cartesian_2d(across, (low / 1.4..high * 1.4).log_scale())?;
                self.lines(chart, &panel.curves, &labels)?;
            } else {
                let room = 0.05 * (high - low).max(1e-9);
                let chart = chart.build_cartesian_2d(across, low - room..high + room)?;
                self.lines(chart, &panel.curves, &labels)?;
            }
        }
        for (index, label) in labels.iter().enumerate() {
            let line = 50 + 20 * index as i32;
            legend.draw(&Circle::new((12, line), 4, marker(index)))?;
            legend.draw(&Text::new((*label).to_owned(), (24, line - 7), ("sans-serif", 13)))?;
        }
        area.present()?;
        Ok(())
    }

    fn lines<'a, Y>(
        &self,
        mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<LogCoord<f64>, Y>>,
        curves: &[Curve],
        labels: &[&str],
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(self.axis)
            .x_label_formatter(&|x| {
                // 1, 2 and 5 times a power of ten: the others would run into one another.
                let leading = x / 10f64.powf(x.log10().floor() + 1e-9);
                let shown = [1.0, 2.0, 5.0].iter().any(|digit| (leading - digit).abs() < 1e-3);
                if shown { format!("{x}") } else { String::new() }
            })
            .y_label_formatter(&|y| {
                if *y != 0.0 && y.abs() < 0.01 { format!("{y:.0e}") } else { format!("{y}") }
            })
            .draw()?;
        for curve in curves {
            let index = labels.iter().position(|label| *label == curve.label).unwrap_or(0);
            let colour = COLOURS[index % COLOURS.len()];
            chart.draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(1)))?;
            chart.draw_series(curve.points.iter().map(|&at| Circle::new(at, 3, marker(index))))?;
        }
        Ok(())
    }
}

/// The marker of curve `index`: hollow where the colours begin again.
fn marker(index: usize) -> ShapeStyle {
    let colour = COLOURS[index % COLOURS.len()];
    if index < COLOURS.len() { colour.filled() } else { colour.stroke_width(1) }
}
