//! The source file of an import, read with progress reports.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::sys::statvfs::{Statvfs, fstatvfs, statvfs};

use super::Progress;
use super::unpack::{packing, unpacked};
use crate::error::{Error, Result};

/// Bytes per read.
pub(crate) const PIECE: usize = 1 << 20;
/// The name that stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// The source file, and the callback for the number of bytes read.
///
/// It is opened only once, so that all passes read the same file even if another one replaces it meanwhile. A
/// source that cannot be read twice, such as a pipe, is first copied to an unnamed file in the array's
/// directory. The kernel removes that copy when the process ends, however it ends.
pub(crate) struct Input<'f> {
    pub path: PathBuf,
    file: File,
    /// The offset of the first byte. It is not 0 if another process has read a part of standard input
    /// already.
    start: u64,
    /// Bytes from the start to the end.
    pub length: u64,
    progress: Progress<'f>,
}

impl<'f> Input<'f> {
    /// Opens the file, or standard input. A pipe is copied to an unnamed file in the directory `beside`.
    pub fn open(path: &Path, beside: &Path, progress: Progress<'f>) -> Result<Self> {
        let is_standard = path == Path::new(STANDARD_INPUT);
        let shown = if is_standard { Path::new("standard input") } else { path };
        let failed = |action| move |error| Error::io(shown, action, error);
        let mut file = match is_standard {
            true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
            false => File::open(path),
        }
        .map_err(failed("open"))?;
        let meta = file.metadata().map_err(failed("look at"))?;
        if meta.is_dir() {
            return Err(Error::refused(shown, "it is a directory: name a file in it"));
        }
        if !meta.is_file() {
            let length = spool(shown, &mut file, beside, progress)?;
            return Ok(Self { path: shown.to_owned(), file: length.0, start: 0, length: length.1, progress });
        }
        let start = if is_standard { file.stream_position().map_err(failed("read"))? } else { 0 };
        let length = meta.len().saturating_sub(start);
        Ok(Self { path: shown.to_owned(), file, start, length, progress })
    }

    /// Unpacks the file into an unnamed file in the directory `beside`, which replaces it.
    ///
    /// Archives need this because they are read at random offsets, which no decompressor offers.
    pub fn unpack(&mut self, beside: &Path) -> Result<()> {
        let (file, length) = spool(&self.path, &mut self.bytes()?, beside, &|_| Ok(()))?;
        (self.file, self.start, self.length) = (file, 0, length);
        Ok(())
    }

    /// A reader from the start of the file.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            file: &self.file,
            start: self.start,
            at: 0,
            length: self.length,
            progress: self.progress,
            read: Rc::default(),
        }
    }

    /// The first bytes, which identify the compression. The rest is 0 if the file is shorter.
    pub fn magic(&self) -> Result<[u8; 6]> {
        let mut magic = [0; 6];
        let mut filled = 0;
        while filled < magic.len() {
            match self
                .file
                .read_at(&mut magic[filled..], self.start + filled as u64)
                .map_err(self.failed())?
            {
                0 => break,
                count => filled += count,
            }
        }
        Ok(magic)
    }

    /// Whether the file is compressed.
    pub fn is_packed(&self) -> Result<bool> {
        Ok(packing(self.magic()?).is_some())
    }

    /// The content from the start of the file, decompressed if it is compressed.
    pub fn bytes(&self) -> Result<Box<dyn BufRead + '_>> {
        let unpacked = unpacked(self.reader(), packing(self.magic()?));
        Ok(Box::new(BufReader::with_capacity(PIECE, unpacked)))
    }

    /// The error for a failed read.
    pub fn failed(&self) -> impl Fn(io::Error) -> Error {
        failed(&self.path)
    }

    /// The error for a file that cannot be an array.
    pub fn refused(&self, why: impl Into<String>) -> Error {
        Error::refused(&self.path, why)
    }

    /// The error for a failed write of what was read.
    pub fn not_written(&self) -> impl Fn(io::Error) -> Error {
        move |error| Error::io(&self.path, "write what was read from it", error)
    }

    /// Copies `bytes` bytes to `to`: `fill` fills a buffer with the next ones, and `change` edits each piece.
    pub fn copy(
        &self,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<()>,
        bytes: u64,
        to: &mut dyn Write,
        change: impl Fn(&mut [u8]),
    ) -> Result<()> {
        let mut buffer = vec![0; PIECE];
        let mut left = bytes;
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let piece = &mut buffer[..length];
            fill(piece)?;
            change(piece);
            to.write_all(piece).map_err(self.not_written())?;
            left -= length as u64;
        }
        Ok(())
    }
}

/// The error for a failed read of this file.
pub(crate) fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::UnexpectedEof => Error::refused(path, "it ends too early: was it cut?"),
        ErrorKind::InvalidData => Error::refused(path, format!("it cannot be unpacked: {error}")),
        _ => Error::io(path, "read", error),
    }
}

/// The error for a failed allocation.
pub(crate) fn no_memory(path: &Path) -> Error {
    Error::io(path, "keep a part of it in memory", ErrorKind::OutOfMemory.into())
}

/// A reader with a position of its own, sequential or at random offsets.
///
/// It uses `pread`, so several readers can share one file.
pub(crate) struct Reader<'f> {
    file: &'f File,
    start: u64,
    at: u64,
    length: u64,
    progress: Progress<'f>,
    read: Rc<Cell<u64>>,
}

impl Reader<'_> {
    /// A counter of the bytes read so far. It stays valid after a decoder takes the reader.
    pub fn count(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.read)
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.start + self.at)?;
        self.at += count as u64;
        self.read.set(self.read.get() + count as u64);
        (self.progress)(count as u64)?;
        Ok(count)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = at.filter(|at| *at <= i64::MAX as u64).ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Copies a source to an unnamed file in the directory `beside`. Returns the file and its length.
fn spool(path: &Path, from: &mut dyn Read, beside: &Path, progress: Progress<'_>) -> Result<(File, u64)> {
    let mut copy = tempfile::tempfile_in(beside).map_err(|e| Error::io(beside, "write in", e))?;
    let mut buffer = vec![0; PIECE];
    let mut length = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((copy, length)),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(path)(error)),
        };
        progress(count as u64).map_err(|e| Error::io(path, "read", e))?;
        copy.write_all(&buffer[..count]).map_err(|e| Error::io(path, "write what was read from it", e))?;
        length += count as u64;
        // Looks once per 64 MiB: the length of a stream is unknown, and it must not fill the disk of others.
        if length % (64 * PIECE as u64) < count as u64
            && fstatvfs(&copy).is_ok_and(|disk| is_nearly_full(&disk))
        {
            return Err(Error::refused(
                path,
                format!("it has more than {length} bytes, and the disk is nearly full"),
            ));
        }
    }
}

/// Free bytes on the disk of this directory, if the file system reports them.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
    let disk = statvfs(directory).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Whether a copy of unknown length should stop: less than a twentieth of the disk, or a gigabyte, is left.
fn is_nearly_full(disk: &Statvfs) -> bool {
    let reserve = (disk.blocks() / 20).min((1 << 30) / disk.fragment_size().max(1));
    disk.blocks_available() < reserve
}
