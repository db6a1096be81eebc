//! NRRD: a text header, followed by the elements (`.nrrd`), or next to the file of raw bytes (`.nhdr`).
//!
//! ```text
//! NRRD0004
//! type: float
//! dimension: 2
//! sizes: 765 700        fastest axis first: columns, rows
//! endian: little
//! encoding: raw
//! data file: array      only in `.nhdr`
//! #   spaces            only in `.nrrd`, followed by an empty line
//! ```
//!
//! Specification: "Definition of NRRD File Format", version 4. bool is uint8. The format has no float16. Only
//! matrices are offered, because programs for NRRD expect images.

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

pub(super) struct Nrrd;
pub(super) struct Nhdr;

/// Alignment of the elements in bytes.
const ALIGN: usize = 128;

impl Nrrd {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let block = selection.block(part)?;
        let name = name(block.dtype).filter(|_| self.offers(selection, part));
        let name = name.ok_or_else(|| Error::not_found(&selection.array().path))?;
        let mut text = header(name, block.shape);
        // A comment line pads the header up to the alignment.
        let width = (text.len() + "#\n\n".len()).next_multiple_of(ALIGN) - text.len() - "\n\n".len();
        text.push_str(&format!("{:width$}\n\n", "#"));
        let header = Extent::Literal(text.into_bytes().into());
        VirtualFile::new([header].into_iter().chain(block.bytes.extents().iter().cloned()))
    }
}

impl Format for Nrrd {
    fn extension(&self) -> &'static str {
        "nrrd"
    }

    fn about(&self) -> &'static str {
        "NRRD, columns as its first axis: 3D Slicer, ITK, `nrrd.read(file, index_order=\"C\")`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_image = part.of == Region::Whole
            && matches!(part.component, Component::Array | Component::Dense)
            && matches!(selection.shape(), Shape::Matrix(..));
        is_image && selection.dtype_of(part).is_some_and(|dtype| name(dtype).is_some())
    }

    fn is_listed(&self, _: Part) -> bool {
        false
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

impl Nhdr {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let block = selection.block(part)?;
        let name = name(block.dtype).filter(|_| self.offers(selection, part));
        let name = name.ok_or_else(|| Error::not_found(&selection.array().path))?;
        let text = header(name, block.shape) + &format!("data file: {}\n", part.component.name());
        Ok(VirtualFile::literal(text.into_bytes()))
    }
}

impl Format for Nhdr {
    fn extension(&self) -> &'static str {
        "nhdr"
    }

    fn about(&self) -> &'static str {
        "NRRD's header alone, for the bytes as they are"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        Nrrd.offers(selection, part)
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify_header(shown)
    }
}

/// The fields that `.nrrd` and `.nhdr` have in common.
fn header(name: &str, shape: Shape) -> String {
    let (dimension, sizes) = match shape {
        Shape::Vector(n) => (1, n.to_string()),
        Shape::Matrix(rows, columns) => (2, format!("{columns} {rows}")),
    };
    format!("NRRD0004\ntype: {name}\ndimension: {dimension}\nsizes: {sizes}\nendian: little\nencoding: raw\n")
}

/// NRRD's name of a type, if it has one.
const fn name(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::Bool => Some("uint8"),
        Dtype::Float16 => None,
        Dtype::Float32 => Some("float"),
        Dtype::Float64 => Some("double"),
        dtype => Some(dtype.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_of_neighbours_comes_first() {
        assert_eq!(
            header("float", Shape::Matrix(700, 765)),
            "NRRD0004\ntype: float\ndimension: 2\nsizes: 765 700\nendian: little\nencoding: raw\n"
        );
        assert!(header("int8", Shape::Vector(7)).contains("dimension: 1\nsizes: 7\n"));
    }
}
