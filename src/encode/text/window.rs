//! Elements of a file of numbers, read a good many at once for those who take a few at a time.

use crate::bytes::virtual_file::VirtualFile;
use crate::error::{Error, Result};

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// The elements of a file that were read last.
pub(super) struct Window<'f> {
    file: &'f VirtualFile,
    /// Bytes of an element.
    item: u64,
    /// Elements from here on are not wanted.
    limit: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'f> Window<'f> {
    /// No elements yet; none from `limit` on will be read.
    pub fn new(file: &'f VirtualFile, item: u64, limit: u64) -> Self {
        Self { file, item, limit, start: 0, bytes: Vec::new() }
    }

    /// The elements from `first` on: as many as there are at hand, `most` at most and at least one.
    pub fn items(&mut self, first: u64, most: u64) -> Result<&[u8]> {
        let at_hand = self.start..self.start + self.bytes.len() as u64 / self.item;
        if !at_hand.contains(&first) {
            let wanted = (self.limit.saturating_sub(first).max(1)).saturating_mul(self.item);
            self.bytes.clear();
            self.bytes.resize(usize::try_from(wanted).unwrap_or(usize::MAX).min(PIECE), 0);
            self.start = first;
            let filled = self.file.read_at(first * self.item, &mut self.bytes)?;
            self.bytes.truncate(filled);
        }
        let from = usize::try_from((first - self.start) * self.item).unwrap_or(usize::MAX);
        let most = usize::try_from(most.saturating_mul(self.item)).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(from..).filter(|bytes| bytes.len() as u64 >= self.item);
        let bytes = bytes.ok_or_else(|| Error::refused("", "an element beyond the last"))?;
        Ok(&bytes[..bytes.len().min(most)])
    }
}
