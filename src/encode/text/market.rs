//! A matrix in the coordinate form of Matrix Market, as it is or transposed.

use std::sync::Arc;

use super::coordinates::{Coordinates, Layout};
use crate::array::selection::Selection;
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::dtype::Dtype;
use crate::error::Result;

/// The elements of the selected rows, below the two lines that say what they are.
///
/// # Errors
///
/// As [`Coordinates::new`].
pub fn matrix_market(selection: &Selection, layout: Layout) -> Result<VirtualFile> {
    let elements = Coordinates::new(selection, layout)?;
    let [rows, columns] = elements.shape();
    let field = match selection.array().metadata.dtype() {
        Dtype::Float16 | Dtype::Float32 | Dtype::Float64 | Dtype::Uint64 => "real",
        _ => "integer",
    };
    let (count, length) = (elements.count(), elements.length());
    let header = format!("%%MatrixMarket matrix coordinate {field} general\n{rows} {columns} {count}\n");
    let elements = Extent::Generated { content: Arc::new(elements), length };
    VirtualFile::new([Extent::Literal(header.into_bytes().into()), elements])
}

/// Bytes of the elements of the whole array, if a file can have them. Reads nothing.
pub fn market_length_of(selection: &Selection) -> Option<u64> {
    Coordinates::length_of(selection, Layout::MATRIX_MARKET)
}
