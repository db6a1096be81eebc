//! Items of a file at equal distances: a column, or every n-th row.
//!
//! Elements are picked from a map; rows, and what no map gives, are read.

use std::sync::Arc;

use bytemuck::Pod;

use crate::error::Result;
use crate::source::Source;
use crate::vfile::{Extent, Generate};

/// Where items are closer than this, in bytes, what lies between them is read along.
const NEAR: u64 = 2048;

/// Bytes that are read along at once.
const WINDOW: u64 = 256 * 1024;

/// `count` items of `item` bytes; each starts `stride` bytes after the one before.
pub(super) struct Strided {
    pub source: Arc<Source>,
    /// Where the first item starts.
    pub offset: u64,
    pub item: u64,
    pub stride: u64,
    pub count: u64,
}

impl Strided {
    /// The items as one extent: a slice of the file where nothing lies between them.
    pub fn extent(self) -> Extent {
        let length = self.item * self.count;
        if self.item == self.stride || self.count == 1 {
            return Extent::Slice { source: self.source, offset: self.offset, length };
        }
        Extent::Generated { content: Arc::new(self), length }
    }

    /// Picks single elements from a map; false where that cannot be done.
    fn gather(&self, offset: u64, buffer: &mut [u8]) -> Result<bool> {
        match self.item {
            1 => self.gather_items::<u8>(offset, buffer),
            2 => self.gather_items::<u16>(offset, buffer),
            4 => self.gather_items::<u32>(offset, buffer),
            8 => self.gather_items::<u64>(offset, buffer),
            _ => Ok(false),
        }
    }

    /// The same of items as large as `T`: which type it is makes no difference, their bytes are copied.
    fn gather_items<T: Pod>(&self, offset: u64, buffer: &mut [u8]) -> Result<bool> {
        match bytemuck::try_cast_slice_mut::<u8, T>(buffer) {
            Ok(items) if offset.is_multiple_of(self.item) => {
                self.source.gather(self.offset + offset / self.item * self.stride, self.stride, items)
            }
            _ => Ok(false),
        }
    }

    /// One read for each item.
    fn read_apart(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let within = at % self.item;
            let take = usize::try_from(self.item - within).unwrap_or(usize::MAX).min(rest.len());
            let (piece, after) = rest.split_at_mut(take);
            self.source.read_exact_at(piece, self.offset + at / self.item * self.stride + within)?;
            at += take as u64;
            rest = after;
        }
        Ok(())
    }

    /// One read for many items, and what lies between them.
    fn read_along(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut at = offset;
        let mut rest = buffer;
        let mut window = Vec::new();
        while !rest.is_empty() {
            let (first, within) = (at / self.item, at % self.item);
            let wanted = (within + rest.len() as u64).div_ceil(self.item);
            let items = (WINDOW / self.stride).clamp(1, wanted);
            let length = (items - 1) * self.stride + self.item;
            window.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
            self.source.read_exact_at(&mut window, self.offset + first * self.stride)?;
            for i in 0..items {
                let skip = if i == 0 { within } else { 0 };
                let start = usize::try_from(i * self.stride + skip).unwrap_or(usize::MAX);
                let take = usize::try_from(self.item - skip).unwrap_or(usize::MAX).min(rest.len());
                let (piece, after) = rest.split_at_mut(take);
                piece.copy_from_slice(&window[start..start + take]);
                at += take as u64;
                rest = after;
            }
        }
        Ok(())
    }
}

impl Generate for Strided {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if self.gather(offset, buffer)? {
            return Ok(());
        }
        if self.stride <= NEAR { self.read_along(offset, buffer) } else { self.read_apart(offset, buffer) }
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.source)]
    }
}
