//! Matrix Market's `.mtx`: the elements of a matrix with their coordinates, numbered from 1.
//!
//! ```text
//! %%MatrixMarket matrix coordinate real general
//! 700 765 3
//! 4   8   1.500000000e+00       row, column, value; all lines have the same width
//! ```
//!
//! Specification: "The Matrix Market Exchange Formats", section 2.
//!
//! - A sparse matrix lists its stored elements, in the order of the store.
//! - A dense matrix lists all of its elements, because few readers support the `array` variant of the format.
//!   A vector is a column.
//! - bool is `integer`, 0 and 1.
//! - uint64 is `real`: readers parse `integer` as int64, and fail on larger numbers.

#[cfg(feature = "import")]
pub(super) mod import;
#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::encode::Rendered;
use crate::encode::text::{Layout, market_length_of, matrix_market};
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Mtx;

impl Mtx {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        match self.offers(selection, part) {
            true => matrix_market(selection, Layout::MATRIX_MARKET),
            false => Err(Error::not_found(&selection.array().path)),
        }
    }
}

impl Format for Mtx {
    fn extension(&self) -> &'static str {
        "mtx"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_whole =
            part.of == Region::Whole && matches!(part.component, Component::Array | Component::Matrix);
        is_whole && market_length_of(selection).is_some()
    }

    fn about(&self) -> &'static str {
        "Matrix Market: `scipy.io.mmread`, `Matrix::readMM` in R, `MatrixMarket.mmread` in Julia"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn is_listed(&self, part: Part) -> bool {
        part.of == Region::Whole && part.component == Component::Matrix
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::text::testing::{dense, sparse, text};

    #[test]
    fn files_are_exact() {
        let (_dir, selection) = sparse([2, 3], &[1.5, -0.0], &[2, 0], &[0, 1, 2]);
        let part = Part { component: Component::Matrix, of: Region::Whole };
        let wanted = "%%MatrixMarket matrix coordinate real general\n2 3 2\n1 3 1.500000000e+00\n2 1 -0.00000000e+00\n";
        assert_eq!(text(&Mtx.file(&selection, part).unwrap()), wanted);
        let (_dir, selection) = dense("int8", "[2]", &[7, 0xFF]);
        let part = Part { component: Component::Array, of: Region::Whole };
        let wanted = "%%MatrixMarket matrix coordinate integer general\n2 1 2\n1 1    7\n2 1   -1\n";
        assert_eq!(text(&Mtx.file(&selection, part).unwrap()), wanted);
    }
}
