//! The lines of a text, none of them too long to be kept.

use std::collections::TryReserveError;
use std::io::BufRead;
use std::path::Path;

use super::input::{Input, failed, no_memory};
use crate::error::{Error, Result};

/// The longest line that is read, in bytes.
pub(crate) const LONGEST: usize = 256 << 20;

/// A copy of a part of a text, whose length the file has chosen.
pub(crate) fn copied(text: &[u8]) -> std::result::Result<Vec<u8>, TryReserveError> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(text.len())?;
    copy.extend_from_slice(text);
    Ok(copy)
}

/// What a text says, for people: its first characters.
pub(crate) fn beginning(text: &[u8], characters: usize) -> String {
    let most = characters.saturating_mul(4).min(text.len());
    String::from_utf8_lossy(&text[..most]).chars().take(characters).collect()
}

/// What some programs begin a text in UTF-8 with.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Lines, one after the other, counted from 1.
pub(crate) struct Lines<'f> {
    path: &'f Path,
    text: Box<dyn BufRead + 'f>,
    /// What ends a line.
    end: u8,
    /// Whether a byte order mark may come first.
    is_whole: bool,
    /// Number of the line that was read last.
    pub number: u64,
}

impl<'f> Lines<'f> {
    /// The lines of the whole file.
    pub fn open(input: &'f Input<'f>, end: u8) -> Result<Self> {
        Ok(Self { path: &input.path, text: input.bytes()?, end, is_whole: true, number: 0 })
    }

    /// The lines of a part that was read already.
    pub fn of(path: &'f Path, text: &'f [u8], end: u8) -> Self {
        Self { path, text: Box::new(text), end, is_whole: false, number: 0 }
    }

    /// Appends the next line to `line`, without what ends it and a byte order mark at the start of a file; false at
    /// the end of the text.
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

    /// Why a line cannot be kept.
    pub fn no_memory(&self) -> Error {
        no_memory(self.path)
    }

    /// Why the line that was read last is refused.
    pub fn refused(&self, why: impl std::fmt::Display) -> Error {
        Error::refused(self.path, format!("line {}: {why}", self.number))
    }
}
