//! Every other format that the library chemfiles knows: DCD, TRR, AMBER NetCDF, TNG, LAMMPS, GRO, MMTF, MOL2 and more, also
//! packed (`.pdb.gz`). Feature `chemfiles`.
//!
//! The library's objects cannot leave the thread that made them, so each file has a thread of its own, one frame ahead of its user.
//! Lengths are ångström and times picoseconds here, whatever they are in the file. What a damaged file does to memory is the
//! library's business; our own formats promise more.
//!
//! Fraux, "chemfiles", <https://chemfiles.org>.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use ::chemfiles::{CellShape, Property, Trajectory as ForeignFile, UnitCell, formats_list, guess_format};

use super::atomic_file::AtomicFile;
use super::{FrameSink, FrameSource, at_frame, checked_atoms, open_file};
use crate::cell::Cell;
use crate::element::Element;
use crate::error::TrajectoryError;
use crate::topology::{Residue, Topology};
use crate::trajectory::Frame;
use crate::units::{FS_PER_AKMA, FS_PER_PS, shortest_decimal};

/// No format rounds positions to steps of more ångström.
const COARSEST: f64 = 0.05;

/// The library's name for the format of a file, by its suffix.
pub(super) fn format_of(path: &Path) -> Option<String> {
    // The library panics at a name that is no Unicode.
    path.to_str().and_then(|name| guess_format(name).ok())
}

/// Whether the library writes that format, too.
pub(super) fn can_write(path: &Path) -> bool {
    let Some(format) = format_of(path) else { return false };
    // "XYZ / GZ" is a format and how it is packed.
    let format = format.split(" / ").next();
    formats_list().iter().any(|known| Some(known.name) == format && known.write)
}

fn foreign(error: ::chemfiles::Error) -> TrajectoryError {
    TrajectoryError::malformed(format!("chemfiles: {error}"))
}

/// The thread has gone without saying why.
fn panicked() -> TrajectoryError {
    TrajectoryError::malformed("chemfiles stopped in the middle of its work")
}

/// A frame; with the first of a file its atoms.
type Read = Result<(Frame, Option<Topology>), TrajectoryError>;

pub(super) struct ChemfilesSource {
    topology: Topology,
    first: Option<Frame>,
    frames: Receiver<Read>,
    /// None after the end.
    thread: Option<JoinHandle<()>>,
}

impl ChemfilesSource {
    pub(super) fn open(path: &Path) -> Result<Self, TrajectoryError> {
        drop(open_file(path)?);
        let (sender, frames) = sync_channel(1);
        let of_thread = path.to_owned();
        let thread = Builder::new().name("chemfiles".to_owned()).spawn(move || {
            if let Err(error) = read_frames(&of_thread, &sender) {
                // Nobody may be there any more to be told.
                let _ = sender.send(Err(error));
            }
        })?;
        let mut source = Self { topology: Topology::default(), first: None, frames, thread: Some(thread) };
        if let Some((frame, topology)) = source.receive().map_err(|source| at_frame(path, 0, None, source))? {
            source.topology = topology.unwrap_or_default();
            source.first = Some(frame);
        }
        Ok(source)
    }

    fn receive(&mut self) -> Result<Option<(Frame, Option<Topology>)>, TrajectoryError> {
        match self.frames.recv() {
            Ok(read) => read.map(Some),
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(_)) => Err(panicked()),
                _ => Ok(None),
            },
        }
    }
}

impl FrameSource for ChemfilesSource {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, TrajectoryError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        Ok(self.receive()?.map(|(frame, _)| frame))
    }
}

/// Sends the frames of a file until its end, or until nobody listens.
fn read_frames(path: &Path, frames: &SyncSender<Read>) -> Result<(), TrajectoryError> {
    let mut file = ForeignFile::open(path, 'r').map_err(foreign)?;
    // Of DCD the library hands on the number in the file, which is in CHARMM's unit.
    let fs = if format_of(path).as_deref() == Some("DCD") { FS_PER_AKMA } else { FS_PER_PS };
    let mut read = ::chemfiles::Frame::new();
    for step in 0..file.nsteps() {
        file.read(&mut read).map_err(foreign)?;
        let topology = if step == 0 { Some(topology_of(&read)?) } else { None };
        if frames.send(Ok((frame_of(&read, fs)?, topology))).is_err() {
            break;
        }
    }
    Ok(())
}

/// A frame, and how many femtoseconds its unit of time has.
fn frame_of(read: &::chemfiles::Frame, fs: f64) -> Result<Frame, TrajectoryError> {
    let positions: Vec<[f32; 3]> =
        read.positions().iter().map(|point| point.map(|value| value as f32)).collect();
    if positions.as_flattened().iter().any(|value| !value.is_finite()) {
        return Err(TrajectoryError::malformed("a coordinate is not finite"));
    }
    let time = match read.get("time") {
        // Most formats hold it in single precision.
        Some(Property::Double(time)) if time.is_finite() => Some(shortest_decimal(time as f32) * fs),
        _ => None,
    };
    let cell = read.cell();
    let cell = match cell.shape() {
        CellShape::Infinite => None,
        _ => {
            // The edges are the matrix' columns.
            let columns = cell.matrix();
            Some(Cell([0, 1, 2].map(|edge| columns.map(|row| row[edge])))).filter(Cell::is_proper)
        }
    };
    Ok(Frame { time, cell, positions })
}

fn topology_of(read: &::chemfiles::Frame) -> Result<Topology, TrajectoryError> {
    let atoms = checked_atoms(read.size() as u64)?;
    let foreign = read.topology();
    let element = |atom| Element::from_symbol(&read.atom(atom).atomic_type()).unwrap_or(Element::UNKNOWN);
    let mut topology = Topology::of_elements((0..atoms).map(element).collect());
    let names: Vec<String> = (0..atoms).map(|atom| read.atom(atom).name()).collect();
    let residue = |atom| {
        let residue = foreign.residue_for_atom(atom)?;
        let chain = match residue.get("chainid") {
            Some(Property::String(chain)) => chain.chars().next(),
            _ => None,
        };
        let number = residue.id().and_then(|number| i32::try_from(number).ok()).unwrap_or(0);
        Some(Residue { name: residue.name(), number, chain: chain.unwrap_or(' ') })
    };
    let residues: Option<Vec<Residue>> = (0..atoms).map(residue).collect();
    let names = if names.iter().all(String::is_empty) { Vec::new() } else { names };
    topology.set_names(names, residues.unwrap_or_default())?;
    topology.set_bonds(foreign.bonds().iter().map(|bond| bond.map(|atom| atom as u32)).collect())?;
    Ok(topology)
}

pub(super) struct ChemfilesSink {
    file: AtomicFile,
    format: String,
    frames: SyncSender<Frame>,
    /// First whether the file could be opened, then one for each frame.
    answers: Receiver<Result<(), TrajectoryError>>,
    thread: JoinHandle<()>,
    written: usize,
    /// Positions of the last frame.
    last: Vec<[f32; 3]>,
}

impl ChemfilesSink {
    pub(super) fn create(path: &Path, topology: Topology) -> Result<Self, TrajectoryError> {
        let format =
            format_of(path).ok_or_else(|| TrajectoryError::UnknownFormat { path: path.to_owned() })?;
        let file = AtomicFile::create(path)?;
        let (frames, to_write) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let (place, of_thread) = (file.temporary().to_owned(), format.clone());
        let thread = Builder::new().name("chemfiles".to_owned()).spawn(move || {
            write_frames(&place, &of_thread, &topology, &to_write, &answer);
        })?;
        let sink = Self { file, format, frames, answers, thread, written: 0, last: Vec::new() };
        sink.answer()?;
        Ok(sink)
    }

    fn answer(&self) -> Result<(), TrajectoryError> {
        self.answers.recv().unwrap_or_else(|_| Err(panicked()))
    }
}

impl FrameSink for ChemfilesSink {
    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        self.frames.send(frame.clone()).map_err(|_| panicked())?;
        self.answer()?;
        self.written += 1;
        self.last.clone_from(&frame.positions);
        Ok(())
    }

    /// The library does not say whether what it kept back has reached the disk when it closes a file, nor that a format (CIF) has no
    /// place for positions without a cell: the frames are counted, and the last is read.
    fn finish(self: Box<Self>) -> Result<(), TrajectoryError> {
        let Self { file, format, frames, thread, written, last, .. } = *self;
        drop(frames);
        thread.join().map_err(|_| panicked())?;
        let mut again = ForeignFile::open_with_format(file.temporary(), 'r', &*format).map_err(foreign)?;
        let found = again.nsteps();
        if found != written {
            return Err(TrajectoryError::Count { what: "frames in the file", expected: written, found });
        }
        if written > 0 {
            let mut read = ::chemfiles::Frame::new();
            again.read_step(written - 1, &mut read).map_err(foreign)?;
            let pairs = read.positions().as_flattened().iter().zip(last.as_flattened());
            let near = pairs.filter(|&(read, last)| (read - f64::from(*last)).abs() <= COARSEST).count();
            if near != last.as_flattened().len() {
                return Err(TrajectoryError::Unsupported { format: "such", what: "these positions" });
            }
        }
        Ok(file.finish()?)
    }
}

/// Opens the file, says so, and writes frames until none come any more.
fn write_frames(
    path: &Path,
    format: &str,
    topology: &Topology,
    frames: &Receiver<Frame>,
    answer: &SyncSender<Result<(), TrajectoryError>>,
) {
    let opened = ForeignFile::open_with_format(path, 'w', format).map_err(foreign);
    let (mut file, atoms) = match opened.and_then(|file| Ok((file, atoms_of(topology)?))) {
        Ok(ready) => ready,
        Err(error) => {
            // Nobody may be there any more to be told, here and below.
            let _ = answer.send(Err(error));
            return;
        }
    };
    let _ = answer.send(Ok(()));
    for (step, frame) in frames.iter().enumerate() {
        // A copy of each, because what one frame has, a time say, cannot be taken from the next.
        let mut written = atoms.clone();
        for (place, point) in written.positions_mut().iter_mut().zip(&frame.positions) {
            *place = point.map(f64::from);
        }
        written.set_step(step);
        if let Some(time) = frame.time {
            written.set("time", time / FS_PER_PS);
        }
        written.set_cell(&frame.cell.map_or_else(UnitCell::infinite, |cell| {
            let (lengths, angles) = cell.lengths_and_angles();
            UnitCell::triclinic(lengths, angles)
        }));
        let _ = answer.send(file.write(&written).map_err(foreign));
    }
}

/// The library's form of the atoms, at the origin.
fn atoms_of(topology: &Topology) -> Result<::chemfiles::Frame, TrajectoryError> {
    let mut atoms = ::chemfiles::Frame::new();
    for (atom, element) in topology.elements().iter().enumerate() {
        let name = topology.names().get(atom).map_or(element.symbol(), String::as_str);
        let mut foreign = ::chemfiles::Atom::new(name);
        foreign.set_atomic_type(element.symbol());
        atoms.add_atom(&foreign, [0.0; 3], None);
    }
    for &[i, j] in topology.bonds() {
        atoms.add_bond(i as usize, j as usize);
    }
    let mut first = 0;
    for residues in topology.residues().chunk_by(|a, b| a == b) {
        let mut foreign_residue =
            ::chemfiles::Residue::with_id(residues[0].name.as_str(), i64::from(residues[0].number));
        foreign_residue.set("chainid", residues[0].chain.to_string());
        (first..first + residues.len()).for_each(|atom| foreign_residue.add_atom(atom));
        first += residues.len();
        atoms.add_residue(&foreign_residue).map_err(foreign)?;
    }
    Ok(atoms)
}
