//! The stored elements of rows that are not contiguous.

use std::sync::Arc;

use super::indptr::{Indptr, RowSums};
use crate::bytes::virtual_file::{Fill, Generate};
use crate::error::Result;
use crate::rows::Rows;
use crate::store::source::Source;

/// `data` or `indices` of the selected rows.
pub(super) struct GatherRows {
    pub source: Arc<Source>,
    /// Bytes of one element.
    pub item: u64,
    pub indptr: Indptr,
    pub rows: Rows,
    pub sums: Arc<RowSums>,
}

impl Generate for GatherRows {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        self.sums.check(&self.indptr, self.rows)?;
        while !out.is_full() {
            // Go from one block of rows to the next. Rows without elements in between cost nothing, however
            // many there are.
            let wanted = out.wanted();
            let (row, elements) = self.sums.before_element(wanted / self.item);
            out.seek(elements * self.item)?;
            let end = self.rows.count().min(row + RowSums::EVERY);
            self.indptr.visit(self.rows, row, end, &mut |_, first, last| {
                out.put_source(&self.source, first * self.item, (last - first) * self.item)?;
                Ok(!out.is_full())
            })?;
            if out.wanted() == wanted {
                return Err(out.short());
            }
        }
        self.sums.check_unchanged(&self.indptr)
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.source), Arc::clone(&self.indptr.source)]
    }
}
