//! A sparse matrix that is checked.

use crate::array::stored_array::StoredArray;
use crate::daf::metadata::{Metadata, SparseMeta};
use crate::store::source::Source;

/// A sparse matrix in the store.
pub(super) struct Csr<'a> {
    pub meta: &'a SparseMeta,
    pub indices: &'a Source,
    pub indptr: &'a Source,
}

/// The position of `indices` among the files of a sparse matrix.
pub(super) const INDICES: usize = 1;
/// The position of `indptr` among them.
pub(super) const INDPTR: usize = 2;

impl<'a> Csr<'a> {
    /// The array as a sparse matrix, if it is one.
    pub fn of(array: &'a StoredArray) -> Option<Self> {
        match &array.metadata {
            Metadata::Sparse(meta) => {
                Some(Self { meta, indices: &array.files()[INDICES], indptr: &array.files()[INDPTR] })
            }
            Metadata::Dense(_) => None,
        }
    }
}
