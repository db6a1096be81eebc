//! A virtual file as [`Read`] and [`Seek`].

use std::io::{self, Read, Seek, SeekFrom};

use super::Mismatch;
use crate::bytes::virtual_file::VirtualFile;

/// A virtual file with a position.
pub(crate) struct FileReader<'a> {
    file: VirtualFile,
    at: u64,
    progress: &'a dyn Fn(u64),
}

impl<'a> FileReader<'a> {
    pub(crate) fn new(file: VirtualFile, progress: &'a dyn Fn(u64)) -> Self {
        Self { file, at: 0, progress }
    }

    /// Fails unless the last line ends with a newline.
    pub(crate) fn expect_lines(&self) -> Result<(), Mismatch> {
        let mut last = [0];
        self.file.read_at(self.file.len().saturating_sub(1), &mut last)?;
        if last == *b"\n" || self.file.is_empty() {
            Ok(())
        } else {
            Err(Mismatch("no newline at the end".into()))
        }
    }

    /// Size of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.file.len()
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.file.read_at(self.at, buffer).map_err(io::Error::other)?;
        self.at += filled as u64;
        (self.progress)(filled as u64);
        Ok(filled)
    }
}

impl Seek for FileReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Fails if there are more bytes.
pub(crate) fn expect_end(reader: &mut (impl Read + ?Sized)) -> Result<(), Mismatch> {
    match reader.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(Mismatch("more bytes than numbers".into())),
    }
}

/// Fails unless zeros follow, `count` of them.
pub(crate) fn expect_zeros(reader: &mut dyn Read, count: usize) -> Result<(), Mismatch> {
    let mut zeros = vec![0; count];
    reader.read_exact(&mut zeros)?;
    match zeros.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(Mismatch("bytes where there should be zeros".into())),
    }
}

/// The next `N` bytes.
pub(crate) fn read_bytes<const N: usize>(reader: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The next four bytes, as a little-endian number.
pub(crate) fn read_word(reader: &mut dyn Read) -> io::Result<u32> {
    read_bytes(reader).map(u32::from_le_bytes)
}
