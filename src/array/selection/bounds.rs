//! The row bounds of a selection of a sparse matrix, for any dtype of `indptr`: for formats that store rows
//! in batches, or the row of each element.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Component, Part, Region, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::IndptrRule;
use crate::dtype::{Dtype, decode_integers};
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::word::to_usize;

/// The `indptr` of the selected rows, starting at 0. It is validated while it is read.
#[derive(Debug)]
pub struct RowBounds {
    indptr: VirtualFile,
    dtype: Dtype,
    rule: IndptrRule,
    /// Path of the file, for errors.
    path: PathBuf,
}

impl RowBounds {
    /// The bounds of a selection of a sparse matrix.
    ///
    /// # Errors
    ///
    /// Like [`Selection::block`].
    pub fn new(selection: &Selection) -> Result<Self> {
        let part = |component| Part { component, of: Region::Whole };
        let indptr = selection.block(part(Component::Indptr))?;
        let nnz = selection.block(part(Component::Indices))?.shape.elements();
        let source = selection.array().files().get(2);
        Ok(Self {
            indptr: indptr.bytes,
            dtype: indptr.dtype,
            rule: IndptrRule { rows: selection.rows().count(), nnz },
            path: source.map(|source| source.name().to_owned()).unwrap_or_default(),
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rule.rows
    }

    /// Number of stored elements in all selected rows.
    pub fn nnz(&self) -> u64 {
        self.rule.nnz
    }

    /// The file that `indptr` is read from.
    pub fn sources(&self) -> Vec<Arc<Source>> {
        self.indptr.sources()
    }

    /// Appends `count` of the `rows + 1` bounds to `bounds`, from number `first` on.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the bounds do not increase from 0 to nnz, and errors from reading them.
    pub fn read(&self, first: u64, count: u64, bounds: &mut Vec<u64>) -> Result<()> {
        let item = self.dtype.itemsize();
        let mut bytes = vec![0; to_usize(count * item)];
        self.indptr.read_exact_at(first * item, &mut bytes)?;
        let start = bounds.len();
        decode_integers(self.dtype, &bytes, bounds);
        self.rule.check(&self.path, self.dtype, first, &bounds[start..])
    }

    /// One of the `rows + 1` bounds.
    ///
    /// # Errors
    ///
    /// Like [`read`](Self::read).
    pub fn get(&self, row: u64) -> Result<u64> {
        let mut bounds = Vec::with_capacity(1);
        self.read(row, 1, &mut bounds)?;
        bounds.first().copied().ok_or_else(|| self.fault(row, 0))
    }

    /// The row that contains a stored element (below nnz). The search starts at row `from`.
    ///
    /// # Errors
    ///
    /// Like [`read`](Self::read).
    pub fn row_of(&self, element: u64, from: u64) -> Result<u64> {
        let (mut low, mut high) = (from, self.rule.rows);
        // Invariant: row `low` starts at or before the element, row `high` after it.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.get(middle)? <= element { low = middle } else { high = middle }
        }
        Ok(low)
    }

    /// The error for bounds that do not increase from 0 to nnz.
    pub fn fault(&self, row: u64, found: u64) -> Error {
        self.rule.fault(&self.path, self.dtype, row, found)
    }
}
