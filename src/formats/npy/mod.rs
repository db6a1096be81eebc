//! NumPy's `.npy`: a header (see `npy_header`), followed by the raw bytes.
//!
//! `transposed.npy` holds the same bytes as `array.npy`. Its header declares them column-major with the
//! reversed shape, which transposes the matrix without moving an element.

pub(super) mod header;
#[cfg(feature = "import")]
pub(super) mod import;
#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::Shape;
use crate::encode::Rendered;
use crate::error::Result;
use crate::formats::npy::header::{Order, npy_header};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Npy;

impl Npy {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let (order, stored) = match part.component {
            Component::Transposed => (Order::Fortran, Part { component: Component::Array, ..part }),
            _ => (Order::C, part),
        };
        let block = selection.block(stored)?;
        let shape = match (order, block.shape) {
            (Order::Fortran, Shape::Matrix(rows, columns)) => Shape::Matrix(columns, rows),
            (_, shape) => shape,
        };
        let header = Extent::Literal(npy_header(block.dtype.descr(), order, shape).into());
        VirtualFile::new([header].into_iter().chain(block.bytes.extents().iter().cloned()))
    }
}

impl Format for Npy {
    fn extension(&self) -> &'static str {
        "npy"
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.component.is_block() || part.component == Component::Transposed
    }

    fn is_listed(&self, part: Part) -> bool {
        part.of == Region::Whole && part.component.is_block()
    }

    fn about(&self) -> &'static str {
        "NumPy's own format: `numpy.load(file, mmap_mode=\"r\")`"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}
