//! Columns of row and column numbers, generated on read.

use std::sync::Arc;

use crate::array::selection::RowBounds;
use crate::bytes::virtual_file::{Extent, Fill, Generate, VirtualFile};
use crate::error::Result;
use crate::store::source::Source;
use crate::word::to_usize;

/// Row bounds that are read at once.
const ROWS: u64 = 8192;

/// The width in bytes (4 or 8) of a signed integer that holds all numbers below `count`.
pub(super) fn width(count: u64) -> u64 {
    if count <= 1 << 31 { 4 } else { 8 }
}

/// Writes integers of the given width.
fn put(out: &mut [u8], width: u64, numbers: impl Iterator<Item = u64>) {
    if width == 4 {
        for (item, number) in out.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
            let number = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0);
            *item = number.to_le_bytes();
        }
    } else {
        for (item, number) in out.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *item = number.to_le_bytes();
        }
    }
}

/// The row numbers or the column numbers of all elements of a row-major matrix.
pub(super) struct Places {
    pub columns: u64,
    pub of_row: bool,
    pub width: u64,
}

impl Places {
    /// The numbers of `elements` elements, as a file.
    pub fn file(self, elements: u64) -> Result<VirtualFile> {
        let length = elements * self.width;
        VirtualFile::new([Extent::Generated { content: Arc::new(self), length }])
    }
}

impl Generate for Places {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        out.put_items(self.width, u64::MAX, &mut |first, out| {
            let (mut element, mut out) = (first, out);
            while !out.is_empty() {
                let (row, column) = (element / self.columns, element % self.columns);
                let count = (self.columns - column).min(out.len() as u64 / self.width);
                let (run, rest) = out.split_at_mut(to_usize(count * self.width));
                match self.of_row {
                    true => put(run, self.width, std::iter::repeat(row)),
                    false => put(run, self.width, column..column + count),
                }
                element += count;
                out = rest;
            }
            Ok(element - first)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        Vec::new()
    }
}

/// The row numbers of all stored elements of a sparse matrix.
pub(super) struct RowNumbers {
    pub bounds: Arc<RowBounds>,
    pub width: u64,
}

impl RowNumbers {
    /// The numbers of all stored elements, as a file.
    pub fn file(self) -> Result<VirtualFile> {
        let length = self.bounds.nnz() * self.width;
        VirtualFile::new([Extent::Generated { content: Arc::new(self), length }])
    }
}

impl Generate for RowNumbers {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        out.put_items_at_once(self.width, self.bounds.nnz(), &mut |first, out| {
            let (mut element, mut out) = (first, out);
            let mut row = self.bounds.row_of(element, 0)?;
            let mut bounds = Vec::new();
            while !out.is_empty() {
                let count = ROWS.min(self.bounds.rows() - row).min(out.len() as u64);
                bounds.clear();
                self.bounds.read(row, count + 1, &mut bounds)?;
                // This happens only if `indptr` falls: it led past the row of the element, or past the last
                // row.
                if count == 0 || bounds[0] > element {
                    return Err(self.bounds.fault(row, bounds[0]));
                }
                let before = element;
                for end in &bounds[1..] {
                    let count = end.saturating_sub(element).min(out.len() as u64 / self.width);
                    let bytes = to_usize(count * self.width);
                    let (run, rest) = out.split_at_mut(bytes);
                    put(run, self.width, std::iter::repeat(row));
                    element += count;
                    row += 1;
                    out = rest;
                }
                // Skip empty rows by a search, however many follow.
                if element == before && !out.is_empty() {
                    row = self.bounds.row_of(element, row)?;
                }
            }
            Ok(element - first)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.bounds.sources()
    }
}
