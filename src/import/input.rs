//! The file that is imported, read with progress.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Progress;
use crate::error::{Error, Result};

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// The file, and who is told of what was read.
pub(super) struct Input<'f> {
    pub path: &'f Path,
    pub progress: Progress<'f>,
}

impl<'f> Input<'f> {
    /// The file from its start.
    pub fn open(&self) -> Result<Reader<'f>> {
        let file = File::open(self.path).map_err(|e| Error::io(self.path, "open", e))?;
        Ok(Reader { file, progress: self.progress })
    }

    /// The text in the file from its start, unpacked if it is packed.
    pub fn text(&self) -> Result<Box<dyn BufRead + 'f>> {
        let file = BufReader::with_capacity(PIECE, self.open()?);
        let is_packed = self.path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
        Ok(if is_packed {
            Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        })
    }

    /// What went wrong with reading it.
    pub fn failed(&self) -> impl Fn(io::Error) -> Error {
        let path = self.path.to_owned();
        move |error| Error::io(&path, "read", error)
    }

    /// Why it cannot be an array.
    pub fn refused(&self, why: impl Into<String>) -> Error {
        Error::refused(self.path, why)
    }

    /// Passes so many bytes of the file on to `write`, each piece changed by `change`.
    pub fn copy(
        &self,
        from: &mut dyn Read,
        bytes: u64,
        to: &mut dyn io::Write,
        mut change: impl FnMut(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = vec![0; PIECE];
        let mut left = bytes;
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let piece = &mut buffer[..length];
            from.read_exact(piece).map_err(self.failed())?;
            change(piece)?;
            to.write_all(piece).map_err(|e| Error::io(self.path, "write what was read from it", e))?;
            left -= length as u64;
        }
        Ok(())
    }
}

/// A file that is read, all of it or here and there.
pub(super) struct Reader<'f> {
    file: File,
    progress: Progress<'f>,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        (self.progress)(count as u64)?;
        Ok(count)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
