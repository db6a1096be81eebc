//! NumPy's `.npy`: a header (see `npy_header`), then the bytes as they are.
//!
//! `transposed.npy` has the very same elements: read by columns, of the reversed shape,
//! they are the matrix with its axes exchanged.

use super::View;
use super::npy_header::{Order, npy_header};
use crate::error::Result;
use crate::format::Shape;
use crate::part::{Part, Scope, Selection, Thing};
use crate::vfile::{Extent, VirtualFile};

pub(super) struct Npy;

impl View for Npy {
    fn format(&self) -> &'static str {
        "npy"
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.thing.is_block() || part.thing == Thing::Transposed
    }

    fn is_listed(&self, part: Part) -> bool {
        part.of == Scope::All && part.thing.is_block()
    }

    fn about(&self) -> &'static str {
        "NumPy's own format: `numpy.load(file, mmap_mode=\"r\")`"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let (order, stored) = match part.thing {
            Thing::Transposed => (Order::Fortran, Part { thing: Thing::Array, ..part }),
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
