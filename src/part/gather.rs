//! The stored elements of rows that are apart, put together.

use std::sync::Arc;

use super::indptr::{Indptr, RowSums};
use crate::error::Result;
use crate::select::Rows;
use crate::source::Source;
use crate::vfile::Generate;

/// `data` or `indices` of the selected rows.
pub(super) struct Gathered {
    pub source: Arc<Source>,
    /// Bytes of one element.
    pub item: u64,
    pub indptr: Indptr,
    pub rows: Rows,
    pub sums: Arc<RowSums>,
}

impl Generate for Gathered {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let (row, elements) = self.sums.before_element(offset / self.item);
        // Where the row starts in the gathered bytes, and how much of the buffer is filled.
        let mut start = elements * self.item;
        let mut filled = 0;
        self.indptr.visit(self.rows, row, self.rows.count(), &mut |_, first, last| {
            let length = (last - first) * self.item;
            let at = offset + filled as u64;
            if at < start + length {
                let skip = at - start;
                let take = usize::try_from(length - skip).unwrap_or(usize::MAX).min(buffer.len() - filled);
                self.source.read_exact_at(&mut buffer[filled..filled + take], first * self.item + skip)?;
                filled += take;
            }
            start += length;
            Ok(filled < buffer.len())
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.source), Arc::clone(&self.indptr.source)]
    }
}
