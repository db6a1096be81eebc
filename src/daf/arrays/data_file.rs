//! A data file of an array, read and written by copies.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::open_regular;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::store::mmap::{MmapBytes, Mode, mmap_file};

#[derive(Debug)]
pub(super) struct DataFile {
    file: File,
    path: PathBuf,
    size: u64,
    mode: Mode,
}

impl DataFile {
    /// Opens the file, which must have exactly `size` bytes.
    pub fn open(path: &Path, size: u64, mode: Mode) -> Result<Self> {
        let file = open_regular(path, mode)?;
        let opened = Self { file, path: path.to_owned(), size, mode };
        match opened.found()? {
            found if found == size => Ok(opened),
            found => Err(Error::invalid(path, "size", format!("{size} bytes"), format!("{found} bytes"))),
        }
    }

    pub fn is_frozen(&self) -> bool {
        self.mode == Mode::Read
    }

    fn found(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| Error::io(&self.path, "look at", e))?.len())
    }

    /// Maps the file into memory. The mapping stays valid after the file is closed.
    pub fn map(&self) -> Result<MmapBytes> {
        let path = std::path::absolute(&self.path).map_err(|e| Error::io(&self.path, "find", e))?;
        let bytes = mmap_file(&path, self.mode, &self.file, 0, 0)?;
        // Check again: the file may have been truncated since it was opened.
        match bytes.len() as u64 {
            found if found == self.size => Ok(bytes),
            found => Err(Error::Truncated { path, expected: self.size, found }),
        }
    }

    /// Fills `bytes` with the content from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file has become shorter.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(bytes, offset).map_err(|error| match (error.kind(), self.found()) {
            (ErrorKind::UnexpectedEof, Ok(found)) => self.truncated(found),
            _ => Error::io(&self.path, "read", error),
        })
    }

    /// Reads `count` elements, starting with element `first`.
    ///
    /// # Errors
    ///
    /// Like [`read_at`](Self::read_at), and [`Error::Refused`] when the elements do not fit into memory.
    pub fn read<T: Element>(&self, first: u64, count: u64) -> Result<Vec<T>> {
        let too_many = || Error::refused(&self.path, format!("{count} elements do not fit into memory"));
        let length = usize::try_from(count).map_err(|_| too_many())?;
        let mut items = Vec::new();
        items.try_reserve_exact(length).map_err(|_| too_many())?;
        items.resize(length, T::zeroed());
        self.read_at(bytemuck::cast_slice_mut(&mut items), first.saturating_mul(T::DTYPE.itemsize()))?;
        Ok(items)
    }

    /// Overwrites the elements from `first` on.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the file was opened read-only. [`Error::Truncated`] if the file has become
    /// shorter: writing would extend it again, with zeros in the gap. [`Error::Io`] from the system, for
    /// example for a full disk.
    pub fn write<T: Element>(&self, first: u64, items: &[T]) -> Result<()> {
        if self.is_frozen() {
            let why = "opened in mode r, which is frozen; open in mode r+ to write";
            return Err(Error::refused(&self.path, why));
        }
        match self.found()? {
            found if found < self.size => Err(self.truncated(found)),
            _ => {
                let offset = first.saturating_mul(T::DTYPE.itemsize());
                let written = self.file.write_all_at(bytemuck::cast_slice(items), offset);
                written.map_err(|e| Error::io(&self.path, "write", e))
            }
        }
    }

    fn truncated(&self, found: u64) -> Error {
        Error::Truncated { path: self.path.clone(), expected: self.size, found }
    }
}
