//! The stored elements of rows that are apart, put together.

use std::sync::Arc;

use super::indptr::{Indptr, RowSums};
use crate::error::Result;
use crate::select::Rows;
use crate::source::Source;
use crate::vfile::{Fill, Generate};

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
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let (row, elements) = self.sums.before_element(out.wanted() / self.item);
        out.seek(elements * self.item)?;
        self.indptr.visit(self.rows, row, self.rows.count(), &mut |_, first, last| {
            out.put_source(&self.source, first * self.item, (last - first) * self.item)?;
            Ok(!out.is_full())
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.source), Arc::clone(&self.indptr.source)]
    }
}
