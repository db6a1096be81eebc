//! A sparse matrix in canonical form, for formats that require it: the columns of each row are in
//! increasing order, without duplicates. Repeated elements are summed, as SciPy does.
//!
//! The size must be known in advance, so all rows are scanned once, on all cores. Only the start of every
//! few thousand elements is kept. Unsorted rows are sorted again on each read, which saves memory for a
//! sorted copy.

mod order;

use std::sync::Arc;

use crate::bytes::virtual_file::{Fill, Generate};
use crate::dtype::{Dtype, add, encode_integer};
use crate::error::Result;
use crate::store::source::Source;
use order::{Block, distinct, lengths, read};

pub(super) use order::{CsrParts, Order};

/// One of the three arrays of CSR.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Which {
    Data,
    Indices,
    /// As uint64: the bounds may not fit the original dtype.
    Indptr,
}

/// One of the three arrays of CSR, in canonical form.
pub(super) struct Rising {
    pub stored: CsrParts,
    pub order: Arc<Order>,
    pub which: Which,
}

impl Rising {
    /// Writes the elements of a block.
    fn put_block(&self, block: usize, out: &mut Fill<'_>) -> Result<()> {
        let ranges = self.stored.ranges(&self.order, block)?;
        let Block { row, count, is_rising } = self.order.blocks[block];
        if is_rising {
            if ranges.iter().map(|(start, end)| end - start).sum::<u64>() != count {
                return Err(self.stored.changed());
            }
            let (source, dtype) = self.source();
            let item = dtype.itemsize();
            return ranges
                .iter()
                .try_for_each(|(start, end)| out.put_source(source, start * item, (end - start) * item));
        }
        let columns = self.stored.columns_of(row, &ranges)?;
        let data = match self.which {
            Which::Data => read(&self.stored.data, self.stored.data_dtype, &ranges)?,
            _ => Vec::new(),
        };
        let (mut bytes, mut found, mut at) = (Vec::new(), 0, 0);
        for length in lengths(&ranges) {
            found += self.push_row(&columns, &data, at..at + length, &mut bytes);
            at += length;
        }
        if found != count {
            return Err(self.stored.changed());
        }
        out.put(&bytes);
        Ok(())
    }

    fn source(&self) -> (&Source, Dtype) {
        match self.which {
            Which::Data => (&self.stored.data, self.stored.data_dtype),
            _ => (&self.stored.indices, self.stored.indices_dtype),
        }
    }

    /// Appends the elements of a row, which are at these positions. Returns how many there are.
    fn push_row(
        &self,
        columns: &[u64],
        data: &[u8],
        row: std::ops::Range<usize>,
        bytes: &mut Vec<u8>,
    ) -> u64 {
        let mut places: Vec<_> = row.collect();
        // The sort is stable: repeated elements are summed in stored order, so the result does not vary.
        places.sort_by_key(|place| columns[*place]);
        let dtype = self.source().1;
        let width = usize::try_from(dtype.itemsize()).unwrap_or(8);
        let (mut last, mut count) = (None, 0);
        for place in places {
            let is_new = last != Some(columns[place]);
            last = Some(columns[place]);
            count += u64::from(is_new);
            match self.which {
                Which::Data if !is_new => {
                    let sum = bytes.len() - width;
                    add(dtype, &mut bytes[sum..], &data[place * width..(place + 1) * width]);
                }
                Which::Data => bytes.extend_from_slice(&data[place * width..(place + 1) * width]),
                _ if is_new => encode_integer(dtype, columns[place], bytes),
                _ => {}
            }
        }
        count
    }

    /// Writes the bounds of the rows of a block, and after the last block the end of the last row.
    fn put_bounds(&self, block: usize, out: &mut Fill<'_>) -> Result<()> {
        let ranges = self.stored.ranges(&self.order, block)?;
        let Block { row, count, is_rising } = self.order.blocks[block];
        let columns = if is_rising { Vec::new() } else { self.stored.columns_of(row, &ranges)? };
        let before = self.order.before[block];
        let (mut bytes, mut bound, mut at, mut sorted) = (Vec::new(), before, 0, Vec::new());
        for length in lengths(&ranges) {
            bytes.extend_from_slice(&bound.to_le_bytes());
            bound += match columns.get(at..at + length) {
                Some(columns) if !is_rising => distinct(columns, &mut sorted),
                _ => length as u64,
            };
            at += length;
        }
        if bound != before + count {
            return Err(self.stored.changed());
        }
        if block + 1 == self.order.blocks.len() {
            bytes.extend_from_slice(&bound.to_le_bytes());
        }
        out.put(&bytes);
        Ok(())
    }
}

impl Generate for Rising {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        while !out.is_full() {
            let wanted = out.wanted();
            if self.which == Which::Indptr {
                let block = self.order.block_of_row(wanted / 8);
                out.seek(self.order.blocks[block].row * 8)?;
                self.put_bounds(block, out)?;
            } else {
                let item = self.source().1.itemsize();
                let block = self.order.block_of_element(wanted / item);
                out.seek(self.order.before[block] * item)?;
                self.put_block(block, out)?;
            }
            if out.wanted() == wanted {
                // No progress. Stop here; the caller reports the missing bytes.
                return Ok(());
            }
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        let CsrParts { data, indices, indptr, .. } = &self.stored;
        let of_data = (self.which == Which::Data).then_some(data);
        [indices, &indptr.source].into_iter().chain(of_data).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
