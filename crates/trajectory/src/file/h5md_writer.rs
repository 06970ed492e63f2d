//! Writes H5MD 1.1: ångström and femtoseconds, with unit attributes of variable length, as `MDAnalysis` wants them,
//! and checksums of the positions.
//!
//! The library lays a file out when everything is known, so that the frames are kept in memory until then: 12 bytes for
//! each atom and frame.

use std::path::Path;

use hdf5_pure::{AttrValue, FileBuilder};

use super::FrameSink;
use super::atomic_file::AtomicFile;
use crate::error::TrajectoryError;
use crate::topology::Topology;
use crate::trajectory::Frame;

/// Positions of so many bytes are packed together.
const CHUNK_BYTES: usize = 1 << 18;

pub(super) struct H5mdSink {
    out: AtomicFile,
    topology: Topology,
    coordinates: Vec<f32>,
    times: Vec<f64>,
    cells: Vec<f64>,
    frames: u64,
}

impl H5mdSink {
    pub(super) fn create(path: &Path, topology: Topology) -> Result<Self, TrajectoryError> {
        Ok(Self {
            out: AtomicFile::create(path)?,
            topology,
            coordinates: Vec::new(),
            times: Vec::new(),
            cells: Vec::new(),
            frames: 0,
        })
    }
}

fn text(value: &str) -> AttrValue {
    AttrValue::VarLenString(value.to_owned())
}

impl FrameSink for H5mdSink {
    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        self.coordinates.extend_from_slice(frame.positions.as_flattened());
        self.times.extend(frame.time);
        self.cells.extend(frame.cell.iter().flat_map(|cell| cell.0.as_flattened().to_owned()));
        self.frames += 1;
        Ok(())
    }

    /// Times and cells are written if every frame has them.
    fn finish(mut self: Box<Self>) -> Result<(), TrajectoryError> {
        let (frames, atoms) = (self.frames, self.topology.atoms() as u64);
        let steps: Vec<i32> = (0..frames as i32).collect();
        let mut builder = FileBuilder::new();
        let mut h5md = builder.create_group("h5md");
        h5md.set_attr("version", AttrValue::I32Array(vec![1, 1]));
        let mut author = h5md.create_group("author");
        author.set_attr("name", text("unknown"));
        h5md.add_group(author.finish());
        let mut creator = h5md.create_group("creator");
        creator.set_attr("name", text("equidrift"));
        creator.set_attr("version", text(env!("CARGO_PKG_VERSION")));
        h5md.add_group(creator.finish());
        builder.add_group(h5md.finish());

        let mut particles = builder.create_group("particles");
        let mut group = particles.create_group("trajectory");
        let mut position = group.create_group("position");
        let rows = (CHUNK_BYTES / (12 * atoms.max(1) as usize)).clamp(1, frames.max(1) as usize) as u64;
        let value = position.create_dataset("value");
        value
            .with_f32_data(&self.coordinates)
            .with_shape(&[frames, atoms, 3])
            .set_attr("unit", text("Angstrom"));
        if frames > 0 && atoms > 0 {
            value.with_chunks(&[rows, atoms, 3]).with_shuffle().with_deflate(4).with_fletcher32();
        }
        position.create_dataset("step").with_i32_data(&steps).with_shape(&[frames]);
        let timed = self.times.len() as u64 == frames;
        if timed {
            let time = position.create_dataset("time");
            time.with_f64_data(&self.times).with_shape(&[frames]).set_attr("unit", text("fs"));
        }
        group.add_group(position.finish());

        let mut periodic = group.create_group("box");
        periodic.set_attr("dimension", AttrValue::I32(3));
        let has_cells = frames > 0 && self.cells.len() as u64 == 9 * frames;
        let boundary = if has_cells { "periodic" } else { "none" };
        periodic.set_attr("boundary", AttrValue::VarLenStringArray(vec![boundary.to_owned(); 3]));
        if has_cells {
            let mut edges = periodic.create_group("edges");
            let value = edges.create_dataset("value");
            value.with_f64_data(&self.cells).with_shape(&[frames, 3, 3]).set_attr("unit", text("Angstrom"));
            edges.create_dataset("step").with_i32_data(&steps).with_shape(&[frames]);
            if timed {
                let time = edges.create_dataset("time");
                time.with_f64_data(&self.times).with_shape(&[frames]).set_attr("unit", text("fs"));
            }
            periodic.add_group(edges.finish());
        }
        group.add_group(periodic.finish());
        let species: Vec<u8> = self.topology.elements().iter().map(|element| element.0).collect();
        group.create_dataset("species").with_u8_data(&species).with_shape(&[atoms]);
        particles.add_group(group.finish());
        builder.add_group(particles.finish());

        if !self.topology.bonds().is_empty() {
            let bonds: Vec<u32> = self.topology.bonds().as_flattened().to_vec();
            let mut connectivity = builder.create_group("connectivity");
            connectivity
                .create_dataset("bonds")
                .with_u32_data(&bonds)
                .with_shape(&[bonds.len() as u64 / 2, 2]);
            builder.add_group(connectivity.finish());
        }
        builder.finish_to(&mut self.out)?;
        Ok(self.out.finish()?)
    }
}
