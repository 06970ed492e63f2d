//! Curves as an SVG.

use std::io::Write;
use std::path::Path;

use equidrift_backend::atomic::write_atomically;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::exit::{Exit, Failure};

/// A named line of points.
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

struct Panel {
    title: String,
    logarithmic: bool,
    curves: Vec<Curve>,
}

/// The horizontal axis of all panels.
#[derive(Clone, Copy)]
pub(crate) enum Axis {
    /// From 0 on.
    Linear(&'static str),
    Logarithmic(&'static str),
}

/// Panels side by side with a common horizontal axis.
pub(crate) struct Plot {
    axis: Axis,
    panels: Vec<Panel>,
}

const PANEL: (u32, u32) = (520, 420);

/// Panels in a row.
const COLUMNS: usize = 3;

/// Most points of a curve that are drawn: about one a pixel.
const POINTS: usize = 500;

/// Most points of a curve that get a marker.
const MARKED: usize = 40;

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
    pub(crate) fn new(axis: Axis) -> Self {
        Self { axis, panels: Vec::new() }
    }

    /// Adds a panel, unless no curve has a point that can be drawn. Of long curves only some points are, the last among
    /// them.
    pub(crate) fn panel(&mut self, title: &str, logarithmic: bool, mut curves: Vec<Curve>) {
        for curve in &mut curves {
            curve.points.retain(|&(x, y)| x > 0.0 && y.is_finite() && (!logarithmic || y > 0.0));
            let (count, step) = (curve.points.len(), curve.points.len().div_ceil(POINTS).max(1));
            let mut index = 0;
            curve.points.retain(|_| {
                index += 1;
                (count - index) % step == 0
            });
        }
        curves.retain(|curve| !curve.points.is_empty());
        if !curves.is_empty() {
            self.panels.push(Panel { title: title.to_owned(), logarithmic, curves });
        }
    }

    /// Writes the SVG.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut svg = String::new();
        self.draw(&mut svg)
            .map_err(|error| Failure::message(Exit::Failure, format_args!("plot: {error}")))?;
        write_atomically(path, |file| file.write_all(svg.as_bytes()))
            .map_err(|error| Failure::message(Exit::Failure, format_args!("{}: {error}", path.display())))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let columns = self.panels.len().clamp(1, COLUMNS);
        let rows = self.panels.len().div_ceil(columns).max(1);
        let (width, height) = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
        let area = SVGBackend::with_string(svg, (width + LEGEND, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let (panels, legend) = area.split_horizontally(width);
        // A curve has one colour in all panels.
        let mut labels: Vec<&str> = Vec::new();
        for curve in self.panels.iter().flat_map(|panel| &panel.curves) {
            if !labels.contains(&curve.label.as_str()) {
                labels.push(&curve.label);
            }
        }
        for (part, panel) in panels.split_evenly((rows, columns)).iter().zip(&self.panels) {
            let points = || panel.curves.iter().flat_map(|curve| curve.points.iter().copied());
            let range = |values: &mut dyn Iterator<Item = f64>| {
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
            };
            let (left, right) = range(&mut points().map(|(x, _)| x));
            let (low, high) = range(&mut points().map(|(_, y)| y));
            let mut chart = ChartBuilder::on(part);
            chart.caption(&panel.title, ("sans-serif", 16)).margin(10);
            chart.x_label_area_size(36).y_label_area_size(58);
            let (across, along) = (left / 1.15..right * 1.15, 0.0..(right * 1.02).max(1.0));
            let room = 0.05 * (high - low).max(1e-9);
            let (plain, stretched) = (low - room..high + room, (low / 1.4..high * 1.4).log_scale());
            // Over less than a decade a logarithmic axis would have hardly a number on it.
            match (self.axis, panel.logarithmic && high > 10.0 * low) {
                (Axis::Logarithmic(_), true) => {
                    self.lines(chart, across.log_scale(), stretched, &panel.curves, &labels)?;
                }
                (Axis::Logarithmic(_), false) => {
                    self.lines(chart, across.log_scale(), plain, &panel.curves, &labels)?;
                }
                (Axis::Linear(_), true) => self.lines(chart, along, stretched, &panel.curves, &labels)?,
                (Axis::Linear(_), false) => self.lines(chart, along, plain, &panel.curves, &labels)?,
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

    fn lines<X, Y>(
        &self,
        mut chart: ChartBuilder<'_, '_, SVGBackend<'_>>,
        across: X,
        up: Y,
        curves: &[Curve],
        labels: &[&str],
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        X: AsRangedCoord<Value = f64, CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>>,
        Y: AsRangedCoord<Value = f64, CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>>,
    {
        let mut chart = chart.build_cartesian_2d(across, up)?;
        let (name, logarithmic) = match self.axis {
            Axis::Linear(name) => (name, false),
            Axis::Logarithmic(name) => (name, true),
        };
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(name)
            .x_label_formatter(&|x| {
                // 1, 2 and 5 times a power of ten: the others would run into one another.
                let leading = x / 10f64.powf(x.log10().floor() + 1e-9);
                let shown =
                    !logarithmic || [1.0, 2.0, 5.0].iter().any(|digit| (leading - digit).abs() < 1e-3);
                if shown { format!("{x}") } else { String::new() }
            })
            .y_label_formatter(&|y| {
                if *y != 0.0 && y.abs() < 0.01 {
                    format!("{y:.1e}").replace(".0e", "e")
                } else {
                    format!("{}", rounded(*y))
                }
            })
            .draw()?;
        for curve in curves {
            let index = labels.iter().position(|label| *label == curve.label).unwrap_or(0);
            let colour = COLOURS[index % COLOURS.len()];
            chart.draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(1)))?;
            if curve.points.len() <= MARKED {
                chart.draw_series(curve.points.iter().map(|&at| Circle::new(at, 3, marker(index))))?;
            }
        }
        Ok(())
    }
}

/// Without the last digits, which the arithmetic of an axis leaves behind.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// The marker of curve `index`: hollow where the colours begin again.
fn marker(index: usize) -> ShapeStyle {
    let colour = COLOURS[index % COLOURS.len()];
    if index < COLOURS.len() { colour.filled() } else { colour.stroke_width(1) }
}
