//! MATLAB's `.mat`, version 5, uncompressed: one variable, named after the component.
//!
//! ```text
//! 116 bytes of text | 8 zeros | version, byte order
//! miMATRIX  size
//!   flags | dimensions | name | the elements                       a dense array
//!   flags | dimensions | name | ir (int32) | jc (int32) | float64  a sparse matrix
//! ```
//!
//! Specification: "MAT-File Format", level 5. Each data element has a tag with its type and size, and is
//! padded to 8 bytes.
//!
//! - MATLAB is column-major, so a matrix appears with its axes exchanged. A vector is a column.
//! - A variable of this version has fewer than 2^31 bytes; larger arrays are not offered.
//! - MATLAB has no float16, so it becomes `single`.
//! - Elements of a sparse matrix are always `double`. An int64 that `double` cannot hold is an error on read,
//!   never rounded.
//! - Within a column of a sparse matrix, row numbers are sorted and unique. Programs rely on this, and
//!   otherwise find only the last element.

#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::cast::cast;
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::{Metadata, Shape};
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Mat;

/// Types of data elements, and below them the class and the flag of a variable.
const INT8: u32 = 1;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;

const SPARSE: u32 = 5;
const LOGICAL: u32 = 1 << 9;

/// Limit for the bytes of elements in a variable. It leaves room for the header of the variable.
const LIMIT: u64 = (1 << 31) - 256;

impl Mat {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let refuse = || Error::not_found(&selection.array().path);
        if !self.offers(selection, part) {
            return Err(refuse());
        }
        if part.component == Component::Matrix {
            // Programs need sorted rows, so a sparse matrix cannot use the stored blocks as they are.
            return sparse(selection);
        }
        let block = selection.block(part)?;
        let dtype = stored(block.dtype);
        let (kind, class, flags) = types(dtype).ok_or_else(refuse)?;
        let dimensions = match block.shape {
            Shape::Vector(n) => [n, 1],
            Shape::Matrix(rows, columns) => [columns, rows],
        };
        let elements = cast(&block.bytes, block.dtype, dtype)?;
        variable(part.component.name(), [class | flags, 0], dimensions, &[(kind, elements)])
    }
}

impl Format for Mat {
    fn extension(&self) -> &'static str {
        "mat"
    }

    fn about(&self) -> &'static str {
        "MATLAB's and Octave's format, version 5, rows as its columns: `load`, `scipy.io.loadmat`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let shape = selection.shape();
        let part_shape = match part.of {
            Region::Whole => shape,
            Region::Row(_) => Shape::Vector(shape.columns()),
            Region::Column(_) => Shape::Vector(shape.rows()),
        };
        match (&selection.array().metadata, part.component) {
            (Metadata::Sparse(meta), Component::Matrix) => {
                // The number of elements in some rows is unknown until `indptr` is read. If there are too
                // many, rendering refuses.
                let nnz = if selection.is_whole() { meta.nnz } else { 0 };
                shape.columns() < LIMIT && sparse_bytes(nnz, shape.rows()).is_some()
            }
            (Metadata::Dense(meta), Component::Array) => is_small(part_shape, meta.dtype),
            (Metadata::Sparse(meta), Component::Dense) => is_small(part_shape, meta.data_dtype),
            (Metadata::Sparse(meta), _) => {
                part.component.is_block() && meta.nnz.max(shape.rows() + 1) < LIMIT / 8
            }
            _ => false,
        }
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

/// The type of the elements in the file.
const fn stored(dtype: Dtype) -> Dtype {
    match dtype {
        Dtype::Float16 => Dtype::Float32,
        dtype => dtype,
    }
}

/// Type of the data element, class of the variable, and its flags.
const fn types(dtype: Dtype) -> Option<(u32, u32, u32)> {
    Some(match dtype {
        Dtype::Bool => (2, 9, LOGICAL),
        Dtype::Int8 => (INT8, 8, 0),
        Dtype::Uint8 => (2, 9, 0),
        Dtype::Int16 => (3, 10, 0),
        Dtype::Uint16 => (4, 11, 0),
        Dtype::Int32 => (INT32, 12, 0),
        Dtype::Uint32 => (UINT32, 13, 0),
        Dtype::Int64 => (12, 14, 0),
        Dtype::Uint64 => (13, 15, 0),
        Dtype::Float32 => (7, 7, 0),
        Dtype::Float64 => (DOUBLE, 6, 0),
        Dtype::Float16 => return None,
    })
}

fn is_small(shape: Shape, dtype: Dtype) -> bool {
    shape.bytes(stored(dtype)).is_some_and(|bytes| bytes < LIMIT)
}

/// Bytes of the elements of a sparse matrix, if they fit a variable: an int32 and a float64 per element, and
/// an int32 per row and one more.
fn sparse_bytes(nnz: u64, rows: u64) -> Option<u64> {
    let bytes = nnz.checked_mul(12)?.checked_add(rows.checked_add(1)?.checked_mul(4)?)?;
    Some(bytes).filter(|bytes| *bytes < LIMIT)
}

fn sparse(selection: &Selection) -> Result<VirtualFile> {
    let shape = selection.shape();
    let [data, indices, indptr] = selection.rising()?;
    let nnz = data.shape.elements();
    if sparse_bytes(nnz, shape.rows()).is_none() {
        let why = format!("{nnz} elements are more than a variable of MATLAB's version 5 holds");
        return Err(Error::refused(&selection.array().path, why));
    }
    let part = |block: &Block, dtype: Dtype| cast(&block.bytes, block.dtype, dtype);
    let parts = [
        (INT32, part(&indices, Dtype::Int32)?),
        (INT32, part(&indptr, Dtype::Int32)?),
        (DOUBLE, part(&data, Dtype::Float64)?),
    ];
    // MATLAB's `nzmax` is at least 1, even without elements.
    let nzmax = u32::try_from(nnz.max(1)).unwrap_or(u32::MAX);
    variable(Component::Matrix.name(), [SPARSE, nzmax], [shape.columns(), shape.rows()], &parts)
}

/// Renders the file with its one variable, of fewer than 2^31 bytes.
fn variable(
    name: &str,
    flags: [u32; 2],
    dimensions: [u64; 2],
    parts: &[(u32, VirtualFile)],
) -> Result<VirtualFile> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let small =
        |n: u64| u32::try_from(n).map_err(|_| Error::refused("", "more bytes than a variable can have"));
    let [down, across] = dimensions;
    let mut head = words(&[UINT32, 8, flags[0], flags[1], INT32, 8, small(down)?, small(across)?]);
    head.extend(words(&[INT8, small(name.len() as u64)?]));
    head.extend_from_slice(name.as_bytes());
    head.resize(head.len().next_multiple_of(8), 0);
    let mut extents = Vec::new();
    let mut length = head.len() as u64;
    for (kind, elements) in parts {
        extents.push(Extent::Literal(words(&[*kind, small(elements.len())?]).into()));
        extents.extend_from_slice(elements.extents());
        let whole = elements.len().next_multiple_of(8);
        extents.push(Extent::Zeros(whole - elements.len()));
        length += 8 + whole;
    }
    let mut start = format!("{:116}", "MATLAB 5.0 MAT-file, written by arrayfs").into_bytes();
    start.extend([0; 8]);
    start.extend(b"\x00\x01IM");
    start.extend(words(&[MATRIX, small(length)?]));
    start.extend(head);
    VirtualFile::new([Extent::Literal(start.into())].into_iter().chain(extents))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_tags_and_elements() {
        let elements = VirtualFile::literal([1u8, 0, 2, 0, 3, 0]);
        let file = variable("array", [10, 0], [3, 1], &[(3, elements)]).unwrap();
        let mut found = vec![0xAA; usize::try_from(file.len()).unwrap()];
        file.read_at(0, &mut found).unwrap();
        assert!(found.starts_with(b"MATLAB 5.0 MAT-file, written by arrayfs  "));
        assert_eq!(&found[116..128], b"\0\0\0\0\0\0\0\0\0\x01IM");
        let expected = b"\x0E\0\0\0\x40\0\0\0\
            \x06\0\0\0\x08\0\0\0\x0A\0\0\0\0\0\0\0\
            \x05\0\0\0\x08\0\0\0\x03\0\0\0\x01\0\0\0\
            \x01\0\0\0\x05\0\0\0array\0\0\0\
            \x03\0\0\0\x06\0\0\0\x01\0\x02\0\x03\0\0\0";
        assert_eq!(&found[128..], expected);
    }

    #[test]
    fn what_a_variable_cannot_hold_is_known() {
        assert!(is_small(Shape::Matrix(1 << 14, (1 << 14) - 1), Dtype::Float64));
        assert!(!is_small(Shape::Matrix(1 << 14, 1 << 14), Dtype::Float64));
        assert!(!is_small(Shape::Vector(1 << 29), Dtype::Float16));
        assert_eq!(sparse_bytes(10, 3), Some(136));
        assert_eq!(sparse_bytes(u64::MAX / 12, 3), None);
    }
}
