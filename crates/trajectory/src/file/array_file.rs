//! Writes arrays of numbers under names of one's own (`.npz`), for what is no single trajectory: sets of samples, runs of a
//! simulator.

use std::io;
use std::path::{Path, PathBuf};

use super::atomic_file::AtomicFile;
use super::npy::header_bytes;
use super::zip_writer::ZipTable;
use crate::error::TrajectoryError;

/// An archive of arrays that is being written. Dropped without [`NumpyWriter::finish`], it leaves nothing behind.
pub struct NumpyWriter {
    path: PathBuf,
    out: AtomicFile,
    table: ZipTable,
}

impl NumpyWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// [`TrajectoryError::File`] if it cannot be made.
    pub fn create(path: &Path) -> Result<Self, TrajectoryError> {
        Ok(Self { path: path.to_owned(), out: AtomicFile::create(path)?, table: ZipTable::default() })
    }

    /// An array of single-precision numbers, row-major.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] if the numbers do not fill the shape; [`TrajectoryError::File`].
    pub fn floats(&mut self, name: &str, shape: &[usize], numbers: &[f32]) -> Result<(), TrajectoryError> {
        self.array(name, "<f4", shape, numbers.len(), numbers.iter().flat_map(|number| number.to_le_bytes()))
    }

    /// An array of double-precision numbers; an empty shape makes a scalar.
    ///
    /// # Errors
    /// As [`NumpyWriter::floats`].
    pub fn doubles(&mut self, name: &str, shape: &[usize], numbers: &[f64]) -> Result<(), TrajectoryError> {
        self.array(name, "<f8", shape, numbers.len(), numbers.iter().flat_map(|number| number.to_le_bytes()))
    }

    /// An array of whole numbers of 64 bits.
    ///
    /// # Errors
    /// As [`NumpyWriter::floats`].
    pub fn integers(&mut self, name: &str, shape: &[usize], numbers: &[i64]) -> Result<(), TrajectoryError> {
        self.array(name, "<i8", shape, numbers.len(), numbers.iter().flat_map(|number| number.to_le_bytes()))
    }

    /// An array of whole numbers of 8 bits.
    ///
    /// # Errors
    /// As [`NumpyWriter::floats`].
    pub fn bytes(&mut self, name: &str, shape: &[usize], numbers: &[u8]) -> Result<(), TrajectoryError> {
        self.array(name, "|u1", shape, numbers.len(), numbers.iter().copied())
    }

    fn array(
        &mut self,
        name: &str,
        description: &str,
        shape: &[usize],
        found: usize,
        data: impl Iterator<Item = u8>,
    ) -> Result<(), TrajectoryError> {
        let expected = shape.iter().product();
        if found != expected {
            return Err(TrajectoryError::Count { what: "numbers of an array", expected, found });
        }
        let axes: Vec<u64> = shape.iter().map(|axis| *axis as u64).collect();
        let mut bytes = header_bytes(description, &axes);
        bytes.extend(data);
        self.table
            .add(&mut self.out, &format!("{name}.npy"), &bytes)
            .map_err(|error| not_written(&self.path, error))
    }

    /// Ends the file and puts it in its place, in place of any older one.
    ///
    /// # Errors
    /// [`TrajectoryError::File`] if it cannot be written; the older file is then as it was.
    pub fn finish(mut self) -> Result<(), TrajectoryError> {
        let ended = self.table.write_end(&mut self.out);
        let finished = ended.and_then(|()| self.out.finish().map_err(TrajectoryError::Stream));
        finished.map_err(|error| not_written(&self.path, error))
    }
}

fn not_written(path: &Path, error: TrajectoryError) -> TrajectoryError {
    let source = match error {
        TrajectoryError::Stream(source) => source,
        other => io::Error::other(other),
    };
    TrajectoryError::File { task: "write", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::NumpyArchive;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.npz");
        let mut writer = NumpyWriter::create(&path).unwrap();
        writer.floats("positions", &[2, 1, 2], &[0.5, 1.0, -2.0, 3.25]).unwrap();
        writer.integers("window", &[2], &[7, -1]).unwrap();
        writer.doubles("dt_fs", &[], &[0.1]).unwrap();
        writer.bytes("z", &[3], &[1, 6, 255]).unwrap();
        assert!(writer.floats("short", &[3], &[1.0]).is_err());
        assert!(!path.exists());
        writer.finish().unwrap();
        let archive = NumpyArchive::open(&path).unwrap();
        assert_eq!(archive.array("positions").unwrap(), (vec![2, 1, 2], vec![0.5, 1.0, -2.0, 3.25]));
        assert_eq!(archive.array("window").unwrap(), (vec![2], vec![7.0, -1.0]));
        assert_eq!(archive.array("dt_fs").unwrap(), (vec![], vec![0.1]));
        assert_eq!(archive.array("z").unwrap(), (vec![3], vec![1.0, 6.0, 255.0]));
        assert!(!archive.has("short"));
        drop(NumpyWriter::create(&folder.path().join("y.npz")).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
