//! Files of trajectories: one format, one file; read and written frame by frame.
//!
//! | suffix | [`Format`] | holds | units in the file |
//! | --- | --- | --- | --- |
//! | `.xtc` | [`Format::Xtc`] | positions to 0.01 Å (exact up to nine atoms), cell, time | nm, ps |
//! | `.extxyz .xyz` | [`Format::ExtXyz`] | elements, positions, cell, `time_fs` | Å, fs |
//! | `.pdb .ent` | [`Format::Pdb`] | elements, names, bonds, positions to 0.001 Å, cell; one `MODEL` a frame | Å |
//! | `.h5md .h5` | [`Format::H5md`] | elements, bonds, positions, cell, time | as its `unit` attributes say; Å and fs when written |
//! | `.npz` | [`Format::Npz`] | elements `z`, `bonds`, positions `R`, `cell`, `dt_fs`, `window` of samples | Å, fs |
//! | `.dcd .trr .nc` and more | `Format::Chemfiles` | what the format holds; with feature `chemfiles` only | as the format says |
//!
//! A file that is cut off or damaged gives [`TrajectoryError::Frame`] with the number of the frame; the frames before it
//! have been read. A file is written under another name beside its place and renamed when it is complete.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::TrajectoryError;
use crate::selection::Selection;
use crate::topology::Topology;
use crate::trajectory::{Frame, Trajectory};

mod array_file;
mod atomic_file;
#[cfg(feature = "chemfiles")]
mod chemfiles;
mod extxyz;
mod extxyz_comment;
mod h5md;
mod h5md_writer;
mod npy;
pub(crate) mod npz;
mod npz_writer;
mod pdb;
mod pdb_writer;
mod text_lines;
mod xtc;
mod xtc_stream;
mod zip;
mod zip_writer;

pub use array_file::NumpyWriter;
pub use npz::NumpyArchive;

/// More atoms than this are not read or written.
pub const MOST_ATOMS: usize = 1 << 24;

/// Deflate packs no more than this many bytes into one: what a file states beyond it is not believed.
const LARGEST_RATIO: u64 = 1040;

/// A format of trajectory files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// GROMACS' compressed trajectory.
    Xtc,
    /// Extended XYZ, as ASE writes it.
    ExtXyz,
    /// Protein Data Bank, several models.
    Pdb,
    /// H5MD 1.1 (de Buyl et al. 2014).
    H5md,
    /// Arrays of NumPy.
    Npz,
    /// Any other format of the library chemfiles, which the suffix names.
    #[cfg(feature = "chemfiles")]
    Chemfiles,
}

impl Format {
    /// The format a file name's suffix names, in any case.
    ///
    /// # Errors
    /// [`TrajectoryError::UnknownFormat`].
    pub fn of_path(path: &Path) -> Result<Self, TrajectoryError> {
        let suffix = path.extension().and_then(|suffix| suffix.to_str()).map(str::to_ascii_lowercase);
        match suffix.as_deref() {
            Some("xtc") => Ok(Self::Xtc),
            Some("extxyz" | "xyz") => Ok(Self::ExtXyz),
            Some("pdb" | "ent") => Ok(Self::Pdb),
            Some("h5md" | "h5" | "hdf5") => Ok(Self::H5md),
            Some("npz") => Ok(Self::Npz),
            #[cfg(feature = "chemfiles")]
            Some(_) if chemfiles::format_of(path).is_some() => Ok(Self::Chemfiles),
            _ => Err(TrajectoryError::UnknownFormat { path: path.to_owned() }),
        }
    }

    /// The format of a file that is to be written.
    ///
    /// # Errors
    /// As [`Format::of_path`]; [`TrajectoryError::ReadOnlyFormat`].
    pub fn to_write(path: &Path) -> Result<Self, TrajectoryError> {
        let format = Self::of_path(path)?;
        #[cfg(feature = "chemfiles")]
        if format == Self::Chemfiles && !chemfiles::can_write(path) {
            return Err(TrajectoryError::ReadOnlyFormat { path: path.to_owned() });
        }
        Ok(format)
    }

    /// The format of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [
            Self::Xtc,
            Self::ExtXyz,
            Self::Pdb,
            Self::H5md,
            Self::Npz,
            #[cfg(feature = "chemfiles")]
            Self::Chemfiles,
        ];
        all.into_iter().find(|format| format.name() == name)
    }

    /// Its name, which is its usual suffix where it has but one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xtc => "xtc",
            Self::ExtXyz => "extxyz",
            Self::Pdb => "pdb",
            Self::H5md => "h5md",
            Self::Npz => "npz",
            #[cfg(feature = "chemfiles")]
            Self::Chemfiles => "chemfiles",
        }
    }
}

/// Where the frames of a format come from.
trait FrameSource: Send {
    /// What is known before the first frame is asked for.
    fn topology(&self) -> &Topology;

    /// The next frame; `None` at the end of the file.
    fn next_frame(&mut self) -> Result<Option<Frame>, TrajectoryError>;

    /// 1-based line that was read last, where lines mean something.
    fn line(&self) -> Option<u64> {
        None
    }
}

/// Where the frames of a format go.
trait FrameSink: Send {
    /// The next frame is the first of a sample, which begins at frame `window` of what it is a sample of, where that is known.
    /// Only some formats can say so.
    fn begin_sample(&mut self, window: Option<u64>) {
        let _ = window;
    }

    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError>;

    /// Ends the file and puts it in its place.
    fn finish(self: Box<Self>) -> Result<(), TrajectoryError>;
}

/// What of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// Which of several runs, from 0, where a file holds more than one (`.npz` with `R` of four axes); the first if `None`
    /// and there is only one.
    pub run: Option<usize>,
}

/// The frames of a file, one after the other.
pub struct TrajectoryReader {
    path: PathBuf,
    source: Box<dyn FrameSource>,
    next: u64,
    ended: bool,
}

impl TrajectoryReader {
    /// Opens a file of the format its suffix names.
    ///
    /// # Errors
    /// [`TrajectoryError::UnknownFormat`], [`TrajectoryError::File`], [`TrajectoryError::Document`], or
    /// [`TrajectoryError::Frame`] if the first frame, which tells the atoms, cannot be read.
    pub fn open(path: &Path) -> Result<Self, TrajectoryError> {
        Self::open_with(path, ReadOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`TrajectoryReader::open`].
    pub fn open_with(path: &Path, options: ReadOptions) -> Result<Self, TrajectoryError> {
        let source: Box<dyn FrameSource> = match Format::of_path(path)? {
            Format::Xtc => Box::new(xtc::XtcSource::open(path)?),
            Format::ExtXyz => Box::new(extxyz::ExtXyzSource::open(path)?),
            Format::Pdb => Box::new(pdb::PdbSource::open(path)?),
            Format::H5md => Box::new(h5md::H5mdSource::open(path)?),
            Format::Npz => Box::new(npz::NpzSource::open(path, options.run)?),
            #[cfg(feature = "chemfiles")]
            Format::Chemfiles => Box::new(chemfiles::ChemfilesSource::open(path)?),
        };
        Ok(Self { path: path.to_owned(), source, next: 0, ended: false })
    }

    /// The atoms. XTC knows only how many there are.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        self.source.topology()
    }

    /// The next frame, which has as many atoms as the first.
    fn next_checked(&mut self) -> Result<Option<Frame>, TrajectoryError> {
        let frame = self.source.next_frame()?;
        let (expected, found) = (self.topology().atoms(), frame.as_ref().map(|frame| frame.positions.len()));
        match found {
            Some(found) if found != expected => {
                Err(TrajectoryError::Count { what: "atoms, as in the first frame", expected, found })
            }
            _ => Ok(frame),
        }
    }

    /// Reads what is left into memory.
    ///
    /// # Errors
    /// The first error of a frame.
    pub fn read_all(mut self) -> Result<Trajectory, TrajectoryError> {
        let mut trajectory = Trajectory::new(self.topology().clone());
        for frame in &mut self {
            trajectory.push(&frame?)?;
        }
        Ok(trajectory)
    }
}

impl Iterator for TrajectoryReader {
    type Item = Result<Frame, TrajectoryError>;

    /// After an error nothing more comes: where the next frame begins is not known.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let result = self.next_checked().transpose();
        self.ended = !matches!(result, Some(Ok(_)));
        let result = result?.map_err(|source| at_frame(&self.path, self.next, self.source.line(), source));
        self.next += 1;
        Some(result)
    }
}

/// What goes into a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Which atoms.
    pub selection: Selection,
    /// Every how many frames; all for 0 or 1.
    pub stride: usize,
}

/// A file that is being written frame by frame. Dropped without [`TrajectoryWriter::finish`], it leaves nothing behind.
pub struct TrajectoryWriter {
    sink: Box<dyn FrameSink>,
    /// Atoms of the frames that are handed in.
    atoms: usize,
    /// Those written, in order; all if `None`.
    selected: Option<Vec<usize>>,
    stride: u64,
    given: u64,
    written: u64,
    path: PathBuf,
}

impl TrajectoryWriter {
    /// Begins a file of the format its suffix names.
    ///
    /// # Errors
    /// Those of [`Format::to_write`] and [`Selection::atoms`], [`TrajectoryError::File`].
    pub fn create(path: &Path, topology: &Topology, options: &WriteOptions) -> Result<Self, TrajectoryError> {
        let format = Format::to_write(path)?;
        let atoms = topology.atoms();
        if atoms > MOST_ATOMS {
            let (found, maximum) = (atoms as u64, MOST_ATOMS as u64);
            return Err(TrajectoryError::TooMany { what: "atoms", found, maximum });
        }
        let selected = match options.selection {
            Selection::All => None,
            ref selection => Some(selection.atoms(topology)?),
        };
        let topology = selected.as_ref().map_or_else(|| topology.clone(), |atoms| topology.selected(atoms));
        let sink: Box<dyn FrameSink> = match format {
            Format::Xtc => Box::new(xtc::XtcSink::create(path)?),
            Format::ExtXyz => Box::new(extxyz::ExtXyzSink::create(path, topology)?),
            Format::Pdb => Box::new(pdb_writer::PdbSink::create(path, topology)?),
            Format::H5md => Box::new(h5md_writer::H5mdSink::create(path, topology)?),
            Format::Npz => Box::new(npz_writer::NpzSink::create(path, topology)?),
            #[cfg(feature = "chemfiles")]
            Format::Chemfiles => Box::new(chemfiles::ChemfilesSink::create(path, topology)?),
        };
        let stride = options.stride.max(1) as u64;
        Ok(Self { sink, atoms, selected, stride, given: 0, written: 0, path: path.to_owned() })
    }

    /// Says that the next frame is the first of a sample, and which frame of the reference it stands for, where that is known.
    /// In `.npz` samples of equal length have an axis of their own and their frames stand in `window`; other formats have
    /// samples one behind the other.
    pub fn begin_sample(&mut self, window: Option<u64>) {
        self.sink.begin_sample(window);
    }

    /// Writes a frame, if it is one of those to be written.
    ///
    /// # Errors
    /// [`TrajectoryError::Frame`] around [`TrajectoryError::Count`] (another number of atoms), [`TrajectoryError::Value`]
    /// (a number that is not finite or that the format cannot hold) or [`TrajectoryError::Stream`].
    pub fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        let number = self.given;
        self.given += 1;
        if !number.is_multiple_of(self.stride) {
            return Ok(());
        }
        self.checked_write(frame).map_err(|source| at_frame(&self.path, number, None, source))?;
        self.written += 1;
        Ok(())
    }

    fn checked_write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        let (expected, found) = (self.atoms, frame.positions.len());
        if found != expected {
            return Err(TrajectoryError::Count { what: "atoms of the frame", expected, found });
        }
        let coordinates = frame.positions.as_flattened();
        if let Some(value) = coordinates.iter().find(|value| !value.is_finite()) {
            let value = f64::from(*value);
            return Err(TrajectoryError::Value { what: "a coordinate", value, expected: "a finite number" });
        }
        match &self.selected {
            None => self.sink.write(frame),
            Some(atoms) => {
                let positions = atoms.iter().map(|atom| frame.positions[*atom]).collect();
                self.sink.write(&Frame { time: frame.time, cell: frame.cell, positions })
            }
        }
    }

    /// Ends the file and puts it in its place, in place of any older one. Returns the number of frames in it.
    ///
    /// # Errors
    /// [`TrajectoryError::File`] if it cannot be written; the older file is then as it was.
    pub fn finish(self) -> Result<u64, TrajectoryError> {
        self.sink.finish().map_err(|error| match error {
            TrajectoryError::Stream(source) => {
                TrajectoryError::File { task: "write", path: self.path, source }
            }
            other => other,
        })?;
        Ok(self.written)
    }
}

/// How many runs a file holds, each of which can be read with [`ReadOptions::run`]; `None` where it is one run and nothing has
/// to be said (every format but `.npz` with `R` of four axes).
///
/// # Errors
/// As [`TrajectoryReader::open`].
pub fn runs(path: &Path) -> Result<Option<u64>, TrajectoryError> {
    match Format::of_path(path)? {
        Format::Npz => npz::runs(path),
        _ => Ok(None),
    }
}

/// Reads a whole file.
///
/// # Errors
/// As [`TrajectoryReader::open`] and [`TrajectoryReader::read_all`].
pub fn read(path: &Path) -> Result<Trajectory, TrajectoryError> {
    TrajectoryReader::open(path)?.read_all()
}

/// Writes a whole trajectory.
///
/// # Errors
/// As [`TrajectoryWriter`].
pub fn write(path: &Path, trajectory: &Trajectory, options: &WriteOptions) -> Result<u64, TrajectoryError> {
    let mut writer = TrajectoryWriter::create(path, trajectory.topology(), options)?;
    for frame in 0..trajectory.frames() {
        writer.write(&trajectory.owned_frame(frame))?;
    }
    writer.finish()
}

fn at_frame(path: &Path, frame: u64, line: Option<u64>, source: TrajectoryError) -> TrajectoryError {
    TrajectoryError::Frame { path: path.to_owned(), frame, line, source: Box::new(source) }
}

/// A problem of a file as a whole.
fn in_document(path: &Path, source: TrajectoryError) -> TrajectoryError {
    TrajectoryError::Document { path: path.to_owned(), line: None, source: Box::new(source) }
}

fn open_file(path: &Path) -> Result<std::fs::File, TrajectoryError> {
    let file_error = |source| TrajectoryError::File { task: "open", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(file_error)?;
    if file.metadata().map_err(file_error)?.is_dir() {
        return Err(file_error(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    Ok(file)
}

/// A number of atoms that a file states.
fn checked_atoms(found: u64) -> Result<usize, TrajectoryError> {
    match usize::try_from(found) {
        Ok(atoms) if atoms <= MOST_ATOMS => Ok(atoms),
        _ => Err(TrajectoryError::TooMany { what: "atoms", found, maximum: MOST_ATOMS as u64 }),
    }
}
