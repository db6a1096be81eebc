//! The lines of a text file, with a limit on their length.

use std::collections::TryReserveError;
use std::io::BufRead;
use std::path::Path;

use super::input::{Input, failed, no_memory};
use crate::error::{Error, Result};

/// The longest line accepted, in bytes. It bounds the memory for a file without line ends.
pub(crate) const LONGEST: usize = 256 << 20;

/// Copies a part of a text. The file determines its length, so a failed allocation is an error, not an abort.
pub(crate) fn copied(text: &[u8]) -> std::result::Result<Vec<u8>, TryReserveError> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(text.len())?;
    copy.extend_from_slice(text);
    Ok(copy)
}

/// The first characters of a text, for error messages.
pub(crate) fn beginning(text: &[u8], characters: usize) -> String {
    let most = characters.saturating_mul(4).min(text.len());
    String::from_utf8_lossy(&text[..most]).chars().take(characters).collect()
}

/// The byte order mark that some programs write before UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// An iterator over lines, which are counted from 1.
pub(crate) struct Lines<'f> {
    path: &'f Path,
    text: Box<dyn BufRead + 'f>,
    /// The byte that ends a line.
    end: u8,
    /// Whether the text starts at the start of the file, where a byte order mark may be.
    is_whole: bool,
    /// Number of the last line read.
    pub number: u64,
}

impl<'f> Lines<'f> {
    /// The lines of the whole file.
    pub fn open(input: &'f Input<'f>, end: u8) -> Result<Self> {
        Ok(Self { path: &input.path, text: input.bytes()?, end, is_whole: true, number: 0 })
    }

    /// The lines of a part of the file that is in memory already.
    pub fn of(path: &'f Path, text: &'f [u8], end: u8) -> Self {
        Self { path, text: Box::new(text), end, is_whole: false, number: 0 }
    }

    /// Appends the next line to `line`, without its end and without a byte order mark at the start of the
    /// file. Returns false at the end of the text.
    pub fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        let is_there = self.append(line)?;
        if self.is_whole && self.number == 1 && line.starts_with(MARK) {
            line.drain(..MARK.len());
        }
        Ok(is_there)
    }

    fn append(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        self.number += 1;
        let mut is_there = false;
        loop {
            let text = self.text.fill_buf().map_err(failed(self.path))?;
            if text.is_empty() {
                return Ok(is_there);
            }
            is_there = true;
            let stop = memchr::memchr(self.end, text);
            let piece = &text[..stop.unwrap_or(text.len())];
            if line.len() + piece.len() > LONGEST {
                return Err(self.too_long());
            }
            line.try_reserve(piece.len()).map_err(|_| no_memory(self.path))?;
            line.extend_from_slice(piece);
            let used = piece.len() + usize::from(stop.is_some());
            self.text.consume(used);
            if stop.is_some() {
                if line.last() == Some(&b'\r') && self.end == b'\n' {
                    line.pop();
                }
                return Ok(true);
            }
        }
    }

    fn too_long(&self) -> Error {
        let why = format!("line {} is longer than {} MiB", self.number, LONGEST >> 20);
        Error::refused(self.path, why)
    }

    /// The error for a line that does not fit in memory.
    pub fn no_memory(&self) -> Error {
        no_memory(self.path)
    }

    /// The error for the last line read.
    pub fn refused(&self, why: impl std::fmt::Display) -> Error {
        Error::refused(self.path, format!("line {}: {why}", self.number))
    }
}
