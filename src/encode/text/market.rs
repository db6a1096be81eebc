//! A matrix in the coordinate format of Matrix Market, transposed or not.

use std::sync::Arc;

use super::coordinates::{Coordinates, Layout};
use crate::array::selection::Selection;
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::dtype::Dtype;
use crate::error::Result;

/// The elements of the selected rows after the two header lines.
///
/// # Errors
///
/// Like [`Coordinates::new`].
pub fn matrix_market(selection: &Selection, layout: Layout) -> Result<VirtualFile> {
    let elements = Coordinates::new(selection, layout)?;
    let [rows, columns] = elements.shape();
    let field = match selection.array().metadata.dtype() {
        // Readers parse integers as int64, which cannot hold every uint64.
        Dtype::Float16 | Dtype::Float32 | Dtype::Float64 | Dtype::Uint64 => "real",
        _ => "integer",
    };
    let (count, length) = (elements.count(), elements.length());
    let header = format!("%%MatrixMarket matrix coordinate {field} general\n{rows} {columns} {count}\n");
    let elements = Extent::Generated { content: Arc::new(elements), length };
    VirtualFile::new([Extent::Literal(header.into_bytes().into()), elements])
}

/// Length in bytes of the elements of the whole array. `None` if no file can be that long. Reads no data.
pub fn market_length_of(selection: &Selection) -> Option<u64> {
    Coordinates::length_of(selection, Layout::MATRIX_MARKET)
}
