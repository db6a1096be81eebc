//! The file that is imported, read with progress.

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

/// Bytes that are read at once.
pub(crate) const PIECE: usize = 1 << 20;
/// How the file is called that is standard input.
pub const STANDARD_INPUT: &str = "-";

/// The file, and who is told of what was read.
///
/// It is opened once: whatever takes its place meanwhile, all of what is read is of one file. What cannot be read
/// twice, a pipe say, is first copied to a file without a name beside the array, which goes with this process.
pub(crate) struct Input<'f> {
    pub path: PathBuf,
    file: File,
    /// Where it starts: of a file on standard input others may have read.
    start: u64,
    /// Bytes from there to its end.
    pub length: u64,
    progress: Progress<'f>,
}

impl<'f> Input<'f> {
    /// Opens the file, or standard input; `beside` is a directory for a copy of it.
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

    /// Puts what is in the file, which is packed, in its place: in a file without a name in the directory `beside`.
    pub fn unpack(&mut self, beside: &Path) -> Result<()> {
        let (file, length) = spool(&self.path, &mut self.bytes()?, beside, &|_| Ok(()))?;
        (self.file, self.start, self.length) = (file, 0, length);
        Ok(())
    }

    /// The file from its start.
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

    /// Its first bytes.
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

    /// Whether it is packed.
    pub fn is_packed(&self) -> Result<bool> {
        Ok(packing(self.magic()?).is_some())
    }

    /// The bytes in the file from its start, unpacked if they are packed.
    pub fn bytes(&self) -> Result<Box<dyn BufRead + '_>> {
        let unpacked = unpacked(self.reader(), packing(self.magic()?));
        Ok(Box::new(BufReader::with_capacity(PIECE, unpacked)))
    }

    /// What went wrong with reading it.
    pub fn failed(&self) -> impl Fn(io::Error) -> Error {
        failed(&self.path)
    }

    /// Why it cannot be an array.
    pub fn refused(&self, why: impl Into<String>) -> Error {
        Error::refused(&self.path, why)
    }

    /// What went wrong with writing what was read.
    pub fn not_written(&self) -> impl Fn(io::Error) -> Error {
        move |error| Error::io(&self.path, "write what was read from it", error)
    }

    /// Writes so many bytes that `fill` fills a buffer with, each piece changed by `change`.
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

/// What went wrong with reading a file.
pub(crate) fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::UnexpectedEof => Error::refused(path, "it ends too early: was it cut?"),
        ErrorKind::InvalidData => Error::refused(path, format!("it cannot be unpacked: {error}")),
        _ => Error::io(path, "read", error),
    }
}

/// What went wrong where memory was asked for.
pub(crate) fn no_memory(path: &Path) -> Error {
    Error::io(path, "keep a part of it in memory", ErrorKind::OutOfMemory.into())
}

/// A file that is read, all of it or here and there.
pub(crate) struct Reader<'f> {
    file: &'f File,
    start: u64,
    at: u64,
    length: u64,
    progress: Progress<'f>,
    read: Rc<Cell<u64>>,
}

impl Reader<'_> {
    /// Is told how many bytes were read.
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

/// Copies what can be read only once, or not here and there, to a file without a name, and tells its length.
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

/// Bytes that are free on the disk of this directory, if it tells.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
    let disk = statvfs(directory).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Whether what is of unknown length had better end: a twentieth is left, or a gigabyte.
fn is_nearly_full(disk: &Statvfs) -> bool {
    let reserve = (disk.blocks() / 20).min((1 << 30) / disk.fragment_size().max(1));
    disk.blocks_available() < reserve
}
