//! ENVI: a directory with the raw bytes and a header file, which describe an image with one band.
//!
//! ```text
//! array.envi/array        the elements
//! array.envi/array.hdr    the header:
//!
//! ENVI
//! samples = 765         columns
//! lines = 700           rows
//! bands = 1
//! header offset = 0
//! file type = ENVI Standard
//! data type = 4
//! interleave = bsq
//! byte order = 0
//! ```
//!
//! Specification: "ENVI Header Format". It is a directory because readers look for the header next to the
//! data file. A vector is one line. bool is a byte. The format has no int8 and no float16, so these types are
//! not offered.

#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::encode::members::Members;
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Envi;

impl Envi {
    fn members(&self, selection: &Selection, part: Part) -> Result<Members> {
        let dtype = selection.dtype_of(part).filter(|_| self.offers(selection, part));
        let code = dtype.and_then(code).ok_or_else(|| Error::not_found(&selection.array().path))?;
        let (name, header) = (part.component.name(), header(code, selection.shape()));
        Ok(Members::new([
            (name.to_owned(), selection.block(part)?.bytes),
            (format!("{name}.hdr"), VirtualFile::literal(header.into_bytes())),
        ]))
    }
}

impl Format for Envi {
    fn extension(&self) -> &'static str {
        "envi"
    }

    fn about(&self) -> &'static str {
        "ENVI, the bytes and a header: GDAL, QGIS, `spectral.open_image`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_image =
            matches!(part.component, Component::Array | Component::Dense) && part.of == Region::Whole;
        is_image && selection.dtype_of(part).is_some_and(|dtype| code(dtype).is_some())
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn is_directory(&self) -> bool {
        true
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.members(selection, part).map(Rendered::Directory)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

fn header(code: u32, shape: Shape) -> String {
    let (lines, samples) = match shape {
        Shape::Vector(n) => (1, n),
        Shape::Matrix(rows, columns) => (rows, columns),
    };
    format!(
        "ENVI\nsamples = {samples}\nlines = {lines}\nbands = 1\nheader offset = 0\n\
         file type = ENVI Standard\ndata type = {code}\ninterleave = bsq\nbyte order = 0\n"
    )
}

/// The data type code of the specification, if it has one for this type.
const fn code(dtype: Dtype) -> Option<u32> {
    Some(match dtype {
        Dtype::Bool | Dtype::Uint8 => 1,
        Dtype::Int16 => 2,
        Dtype::Int32 => 3,
        Dtype::Float32 => 4,
        Dtype::Float64 => 5,
        Dtype::Uint16 => 12,
        Dtype::Uint32 => 13,
        Dtype::Int64 => 14,
        Dtype::Uint64 => 15,
        Dtype::Int8 | Dtype::Float16 => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_exact() {
        assert_eq!(
            header(4, Shape::Matrix(700, 765)),
            "ENVI\nsamples = 765\nlines = 700\nbands = 1\nheader offset = 0\nfile type = ENVI Standard\n\
             data type = 4\ninterleave = bsq\nbyte order = 0\n"
        );
        assert!(header(1, Shape::Vector(7)).starts_with("ENVI\nsamples = 7\nlines = 1\n"));
    }
}
