//! Buffered access to the elements of a file, for code that takes a few at a time.

use crate::bytes::virtual_file::VirtualFile;
use crate::error::{Error, Result};
use crate::word::to_usize;

/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// The most recently read elements of a file.
pub(super) struct Window<'f> {
    file: &'f VirtualFile,
    /// Bytes of an element.
    item: u64,
    /// Nobody wants elements from here on, so reads stop there.
    limit: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'f> Window<'f> {
    /// An empty window. It never reads elements from `limit` on, except one that is asked for.
    pub fn new(file: &'f VirtualFile, item: u64, limit: u64) -> Self {
        Self { file, item, limit, start: 0, bytes: Vec::new() }
    }

    /// The elements from `first` on: at least one, at most `most`, and no more than one read provides.
    pub fn items(&mut self, first: u64, most: u64) -> Result<&[u8]> {
        let at_hand = self.start..self.start + self.bytes.len() as u64 / self.item;
        if !at_hand.contains(&first) {
            let wanted = (self.limit.saturating_sub(first).max(1)).saturating_mul(self.item);
            self.bytes.clear();
            self.bytes.resize(to_usize(wanted).min(PIECE), 0);
            self.start = first;
            let filled = self.file.read_at(first * self.item, &mut self.bytes)?;
            self.bytes.truncate(filled);
        }
        let from = to_usize((first - self.start) * self.item);
        let most = to_usize(most.saturating_mul(self.item));
        let bytes = self.bytes.get(from..).filter(|bytes| bytes.len() as u64 >= self.item);
        let bytes = bytes.ok_or_else(|| Error::refused("", "an element beyond the last"))?;
        Ok(&bytes[..bytes.len().min(most)])
    }
}
