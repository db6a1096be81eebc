//! A sparse matrix as one column of lists of (column, value), in batches of rows.
//!
//! The number of elements in a batch depends on its rows. Offsets must still be computable without reading
//! them all, so batch `i` starts at `i` times the fixed size of a batch (message, row bounds and slack), plus
//! the size of all elements before it, rounded up. One number of `indptr` gives that size. Batches therefore
//! end with some zeros, and the footer and the total size do not depend on how elements are distributed.
//!
//! ```text
//! message  bounds of the rows, from 0: int64  columns  values  zeros
//! ```

use std::sync::Arc;

use super::message::{self, ALIGN, Field, Kind, aligned};
use super::{Batches, ELEMENTS, ENTRY, rows_of_batch};
use crate::array::selection::{Block, Component, Part, Region, RowBounds, Selection};
use crate::bytes::virtual_file::{Extent, Fill, Generate, VirtualFile};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::store::source::ByteRange;
use crate::store::source::Source;

/// Renders a selection of a sparse matrix, in batches of about `batch` bytes.
pub(super) fn file(selection: &Selection, batch: u64) -> Result<VirtualFile> {
    let block = |component| selection.block(Part { component, of: Region::Whole });
    let (indices, data) = (block(Component::Indices)?, block(Component::Data)?);
    let number = |name, dtype| Field { name, kind: Kind::Number(dtype) };
    let item = vec![number("column", indices.dtype), number("value", data.dtype)];
    let item = Field { name: "item", kind: Kind::Struct(item) };
    let field = Field { name: ELEMENTS, kind: Kind::Lists(Box::new(item)) };
    let bounds = RowBounds::new(selection)?;
    let bytes = indices.bytes.len().saturating_add(data.bytes.len());
    let rows = rows_of_batch(bounds.rows(), bytes.saturating_add(bounds.rows().saturating_mul(8)), batch);
    let lists = Arc::new(Lists::new(bounds, indices, data, rows)?);
    let batches =
        Extent::Generated { content: Arc::clone(&lists) as Arc<dyn Generate>, length: lists.length };
    super::framed(&field, vec![batches], |first| Entries { first, lists })
}

/// The batches of a sparse matrix, generated on read.
struct Lists {
    bounds: RowBounds,
    indices: VirtualFile,
    data: VirtualFile,
    dtypes: [Dtype; 2],
    /// Rows of a batch. The last batch may have fewer.
    rows: u64,
    /// Number of batches.
    count: u64,
    /// Size of each message in bytes.
    message: u64,
    /// Size of a batch in bytes without its elements: message, row bounds and slack.
    fixed: u64,
    /// Size of all batches in bytes.
    length: u64,
}

/// Padding reserved in each batch: one alignment each for the end of the columns, for the end of the values,
/// and for rounding up the elements that come before the batch.
const SLACK: u64 = 3 * ALIGN;

/// One batch: the stored elements `start..end` of the rows from `first` on.
#[derive(Clone, Copy)]
struct Batch {
    first: u64,
    rows: u64,
    start: u64,
    end: u64,
    /// Offsets of this batch and of the next one, relative to the first batch.
    place: u64,
    next: u64,
}

impl Lists {
    fn new(bounds: RowBounds, indices: Block, data: Block, rows: u64) -> Result<Self> {
        let dtypes = [indices.dtype, data.dtype];
        let elements = indices.bytes.len().saturating_add(data.bytes.len());
        let mut lists = Self {
            count: bounds.rows().div_ceil(rows),
            bounds,
            indices: indices.bytes,
            data: data.bytes,
            dtypes,
            rows,
            message: 0,
            fixed: 0,
            length: 0,
        };
        // All messages have the same length, because their fields are integers of fixed width. One empty
        // batch is enough to measure it.
        let none = Batch { first: 0, rows: 0, start: 0, end: 0, place: 0, next: 0 };
        lists.message = lists.message(&none).len() as u64;
        lists.fixed = lists.message + lists.offsets() + SLACK;
        let length =
            lists.fixed.checked_mul(lists.count).and_then(|fixed| fixed.checked_add(aligned(elements)));
        lists.length = length.ok_or_else(|| Error::refused("", "more bytes than a file can have"))?;
        Ok(lists)
    }

    /// Size in bytes of the row bounds of a batch, padded.
    fn offsets(&self) -> u64 {
        aligned((self.rows + 1) * 8)
    }

    /// Sizes in bytes of the columns and of the values of `elements` elements.
    fn bytes(&self, elements: u64) -> [u64; 2] {
        self.dtypes.map(|dtype| dtype.itemsize() * elements)
    }

    /// The offset of batch `i`, if `elements` stored elements precede it.
    fn place(&self, i: u64, elements: u64) -> u64 {
        let [columns, values] = self.bytes(elements);
        i * self.fixed + aligned(columns + values)
    }

    fn batch(&self, i: u64) -> Result<Batch> {
        let first = i * self.rows;
        let rows = self.rows.min(self.bounds.rows() - first);
        let (start, end) = (self.bounds.get(first)?, self.bounds.get(first + rows)?);
        if end < start {
            return Err(self.bounds.fault(first + rows, end));
        }
        Ok(Batch { first, rows, start, end, place: self.place(i, start), next: self.place(i + 1, end) })
    }

    /// The batch that contains the byte at `offset`, by binary search over `indptr`.
    fn find(&self, offset: u64) -> Result<Batch> {
        let (mut low, mut high) = (0, self.count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let start = self.bounds.get(middle * self.rows)?;
            if self.place(middle, start) <= offset { low = middle } else { high = middle }
        }
        let batch = self.batch(low)?;
        match (batch.place..batch.next).contains(&offset) {
            true => Ok(batch),
            // This happens only if `indptr` falls somewhere, that is, if the matrix is invalid.
            false => Err(self.bounds.fault(batch.first, batch.start)),
        }
    }

    fn message(&self, batch: &Batch) -> Vec<u8> {
        let elements = batch.end - batch.start;
        let [columns, values] = self.bytes(elements);
        let offsets = self.offsets();
        let lists = (0, (batch.rows + 1) * 8);
        let columns_at = (offsets, columns);
        let values_at = (offsets + aligned(columns), values);
        // Each field has a validity buffer, which may be empty if no value is null.
        let buffers = [(0, 0), lists, (0, 0), (0, 0), columns_at, (0, 0), values_at];
        let nodes = [batch.rows, elements, elements, elements];
        message::batch_message(
            batch.rows,
            &nodes,
            &buffers,
            (batch.next - batch.place).saturating_sub(self.message),
        )
    }

    /// The piece that contains the byte `within` a batch, the position in the piece, and the bytes left in
    /// it.
    fn piece(&self, batch: &Batch, within: u64) -> (Piece<'_>, u64, u64) {
        let [columns, values] = self.bytes(batch.end - batch.start);
        let [columns_from, values_from] = self.bytes(batch.start);
        let offsets = (batch.rows + 1) * 8;
        let columns_at = self.message + self.offsets();
        let values_at = columns_at + aligned(columns);
        let pieces = [
            (Piece::Message, 0, self.message),
            (Piece::Offsets, self.message, offsets),
            (Piece::ByteRange(&self.indices, columns_from), columns_at, columns),
            (Piece::ByteRange(&self.data, values_from), values_at, values),
        ];
        let mut end = batch.next - batch.place;
        for (piece, start, length) in pieces.into_iter().rev() {
            if within >= start + length {
                break;
            }
            if within >= start {
                return (piece, within - start, start + length - within);
            }
            end = start;
        }
        (Piece::Zeros, 0, end - within)
    }

    /// Writes the requested bytes of a batch.
    fn put_batch(&self, batch: &Batch, out: &mut Fill<'_>) -> Result<()> {
        let end = batch.next - batch.place;
        let mut within = out.wanted() - batch.place;
        while within < end && !out.is_full() {
            let (piece, skip, left) = self.piece(batch, within);
            // `put` calls take the piece from its start. Bytes before the requested ones are skipped.
            out.seek(batch.place + within - skip)?;
            match piece {
                Piece::Message => out.put(&self.message(batch)),
                Piece::Offsets => self.put_offsets(batch, out)?,
                Piece::ByteRange(file, from) => out.put_file(file, from, skip + left)?,
                Piece::Zeros => out.put_zeros(left),
            }
            within += left;
        }
        Ok(())
    }

    /// Writes the bounds of the batch's rows, counted from its first element.
    fn put_offsets(&self, batch: &Batch, out: &mut Fill<'_>) -> Result<()> {
        out.put_items_at_once(8, batch.rows + 1, &mut |first, out| {
            let out = out.as_chunks_mut::<8>().0;
            // Include the preceding bound, if there is one, so that a fall between two reads is detected.
            let before = first.min(1);
            let mut bounds = Vec::with_capacity(out.len() + 1);
            self.bounds.read(batch.first + first - before, out.len() as u64 + before, &mut bounds)?;
            let bounds = bounds.into_iter().skip(usize::from(before > 0));
            let mut count = 0;
            for (row, (out, bound)) in (batch.first + first..).zip(out.iter_mut().zip(bounds)) {
                if !(batch.start..=batch.end).contains(&bound) {
                    return Err(self.bounds.fault(row, bound));
                }
                *out = (bound - batch.start).to_le_bytes();
                count += 1;
            }
            Ok(count)
        })
    }
}

enum Piece<'a> {
    Message,
    Offsets,
    /// The bytes of the file from this offset on.
    ByteRange(&'a VirtualFile, u64),
    Zeros,
}

impl Generate for Lists {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        while !out.is_full() {
            let batch = self.find(out.wanted())?;
            self.put_batch(&batch, out)?;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        [self.bounds.sources(), self.indices.sources(), self.data.sources()].concat()
    }

    fn run_at(&self, offset: u64) -> Option<ByteRange<'_>> {
        // An error here is not lost: reading the bytes reports it again.
        let batch = self.find(offset).ok()?;
        match self.piece(&batch, offset - batch.place) {
            (Piece::ByteRange(file, from), within, left) => {
                let run = file.run_at(from + within)?;
                Some(ByteRange { length: run.length.min(left), ..run })
            }
            _ => None,
        }
    }
}

/// The footer entries.
struct Entries {
    /// Offset of the first batch in the file.
    first: u64,
    lists: Arc<Lists>,
}

impl Batches for Entries {
    fn count(&self) -> u64 {
        self.lists.count
    }
}

impl Generate for Entries {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        out.put_items(ENTRY as u64, self.count(), &mut |first, out| {
            let message = u32::try_from(self.lists.message).unwrap_or(u32::MAX);
            let entries = out.as_chunks_mut::<ENTRY>().0;
            for (i, entry) in (first..).zip(&mut *entries) {
                let batch = self.lists.batch(i)?;
                let body = batch.next - batch.place - self.lists.message;
                *entry = message::footer_block(self.first + batch.place, message, body);
            }
            Ok(entries.len() as u64)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.lists.sources()
    }
}
