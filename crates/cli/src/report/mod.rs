//! A report on figures as one self-contained page: what it holds is said here, how it looks in [`html`].
//!
//! Nothing here knows molecules or graphs: a page is a title, the most important figures, and sections of tables, charts,
//! pictures and motions.

use std::io::Write as _;
use std::path::Path;

use equidrift_backend::atomic::write_atomically;

use crate::exit::{Exit, Failure};

mod bins;
mod chart;
mod curves;
mod heat_map;
mod html;
mod motion;
mod style;

pub(crate) use chart::{Chart, Scale, Series};
pub(crate) use curves::{Curves, Line};
pub(crate) use heat_map::HeatMap;
pub(crate) use motion::{Motion, Scene};

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What was judged.
    pub(crate) title: String,
    /// A line below it.
    pub(crate) subtitle: String,
    /// The figures people look for first.
    pub(crate) tiles: Vec<Tile>,
    /// The rest, in order.
    pub(crate) sections: Vec<Section>,
    /// How the page was made, in small print.
    pub(crate) colophon: Vec<(String, String)>,
}

/// A large figure.
#[derive(Debug)]
pub(crate) struct Tile {
    pub(crate) name: String,
    pub(crate) figure: Figure,
    /// What it is to be read against, such as the reference's figure.
    pub(crate) note: String,
}

/// A number as people read it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figure {
    pub(crate) value: String,
    /// Its standard error or interval, such as "± 0.4 %".
    pub(crate) error: Option<String>,
    /// For a share: the value and its interval in 0..=1, drawn as a bar.
    pub(crate) bar: Option<Bar>,
}

impl Figure {
    /// A number without an error.
    pub(crate) fn plain(value: impl Into<String>) -> Self {
        Self { value: value.into(), ..Self::default() }
    }
}

/// A share and its interval, in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bar {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) note: String,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Debug)]
pub(crate) enum Block {
    Table(Table),
    /// Side by side, with one legend.
    Charts(Vec<Chart>),
    /// Side by side, with one legend.
    Curves(Vec<Curves>),
    /// Side by side.
    HeatMaps(Vec<HeatMap>),
    /// A grid.
    Pictures(Vec<Picture>),
    /// One below the other; the only part of a page that has a script.
    Motions(Vec<Scene>),
}

#[derive(Debug)]
pub(crate) struct Table {
    /// Headings of the figures; the first column has the names of the rows, the last one, if any row has a note, the notes.
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) figures: Vec<Option<Figure>>,
    /// The protocol, in words.
    pub(crate) note: String,
}

#[derive(Debug)]
pub(crate) struct Picture {
    /// An SVG element; it is put into the page as it is.
    pub(crate) svg: String,
    /// One line below the picture.
    pub(crate) caption: String,
    /// Shown when the pointer rests on the picture, and read aloud.
    pub(crate) description: String,
}

impl Report {
    /// Writes the page; an existing file is replaced at once or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let page = self.html();
        write_atomically(path, |file| file.write_all(page.as_bytes()))
            .map_err(|error| Failure::message(Exit::Failure, format_args!("{}: {error}", path.display())))
    }
}
