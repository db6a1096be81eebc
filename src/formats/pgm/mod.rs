//! PGM: a grey image of one byte a pixel, the simplest there is.
//!
//! ```text
//! P5\n COLUMNS ROWS\n 255\n | the elements
//! ```
//!
//! Netpbm, "PGM Format Specification", the raw variant. Numbers of two bytes are big-endian there, so only uint8 comes
//! in it without a copy.

#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Pgm;

impl Format for Pgm {
    fn extension(&self) -> &'static str {
        "pgm"
    }

    fn about(&self) -> &'static str {
        "a grey image: ImageJ, GIMP, Pillow, MATLAB's `imread`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_image = part.component == Component::Array && part.of == Region::Whole;
        let shape = selection.shape();
        // Programs have signed numbers of 32 bits for the axes.
        let fits = [shape.rows(), shape.columns()].iter().all(|axis| i32::try_from(*axis).is_ok());
        is_image && fits && shape.axes().len() == 2 && selection.array().metadata.dtype() == Dtype::Uint8
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        let block = selection.block(part)?;
        let (true, Shape::Matrix(rows, columns)) = (self.offers(selection, part), block.shape) else {
            return Err(Error::not_found(&selection.array().path));
        };
        let header = Extent::Literal(format!("P5\n{columns} {rows}\n255\n").into_bytes().into());
        let elements = block.bytes.extents().iter().cloned();
        VirtualFile::new([header].into_iter().chain(elements)).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}
