//! R's own format, uncompressed, as written by `saveRDS` and read by `readRDS`.
//!
//! ```text
//! B\n  2  version of R that wrote it  oldest version that reads it
//! dense     REALSXP  length  the elements  dim = (columns, rows)  dimnames
//! sparse    S4SXP  i = indices  p = indptr  Dim  Dimnames  x = data  factors  class dgCMatrix
//! ```
//!
//! Specification: "Serialization Formats" in R Internals, version 2, in native byte order (`B`).
//!
//! R is column-major, so a matrix appears with its axes exchanged: rows of the array are columns in R. A
//! sparse matrix is a `dgCMatrix` of the Matrix package (`lgCMatrix` for bool), also exchanged: cells x genes
//! becomes R's genes x cells. Within a column, row numbers are sorted and unique, as Matrix requires.
//!
//! R has two types of numbers, int32 and float64, and uses the lowest int32 as NA. float64 is served without
//! conversion, and so are int32 indices and bounds. Every other type becomes the R type that holds all of its
//! values; for int32 elements that is float64, because of NA. For int64 and uint64 there is no such type.
//! Numbers beyond 2^53 that float64 cannot hold are an error on read, never rounded.

#[cfg(feature = "verify")]
pub(super) mod verify;

mod writer;

use super::Format;
use crate::array::names::Names;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::cast::cast;
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::{Metadata, Shape};
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::encode::strings::Strings;
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::rows::Rows;
use writer::Writer;

pub(super) struct Rds;

impl Rds {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        let names = if has_names(part) { selection.names()? } else { Names::default() };
        let columns = Rows::all(selection.shape().columns());
        let rows = names.rows.map(|axis_names| Strings::new(Some(axis_names), selection.rows()));
        let columns = names.columns.map(|axis_names| Strings::new(Some(axis_names), columns));
        match part.component {
            Component::Matrix => sparse(selection, &[columns, rows]),
            _ => dense(&selection.block(part)?, &[columns, rows]),
        }
    }
}

impl Format for Rds {
    fn extension(&self) -> &'static str {
        "rds"
    }

    fn about(&self) -> &'static str {
        "R's own format, rows as its columns: `readRDS`; a sparse matrix is Matrix's `dgCMatrix`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        match (&selection.array().metadata, part.component) {
            (Metadata::Sparse(meta), Component::Matrix) => {
                // The number of elements in some rows is unknown until `indptr` is read. If there are too
                // many, rendering refuses.
                fits(selection.shape()) && (!selection.is_whole() || is_i32(meta.nnz))
            }
            _ => part.component.is_block() && (part.of != Region::Whole || fits(selection.shape())),
        }
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn shows_names(&self, part: Part) -> bool {
        has_names(part)
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

fn has_names(part: Part) -> bool {
    part.of == Region::Whole
        && matches!(part.component, Component::Array | Component::Dense | Component::Matrix)
}

fn is_i32(n: u64) -> bool {
    i32::try_from(n).is_ok()
}

/// Whether R can count along the axes. Vectors may be longer than int32, but axes of a matrix may not.
fn fits(shape: Shape) -> bool {
    match shape {
        Shape::Vector(_) => true,
        // One more, because `p` has one more element than rows.
        Shape::Matrix(rows, columns) => is_i32(rows + 1) && is_i32(columns),
    }
}

/// The type of the vector in R, and the type of its elements.
const fn vector(dtype: Dtype) -> (u32, Dtype) {
    match dtype {
        Dtype::Bool => (writer::LOGICAL, Dtype::Int32),
        Dtype::Int8 | Dtype::Int16 | Dtype::Uint8 | Dtype::Uint16 => (writer::INTEGER, Dtype::Int32),
        _ => (writer::REAL, Dtype::Float64),
    }
}

fn dense(block: &Block, names: &[Option<Strings>; 2]) -> Result<VirtualFile> {
    let (kind, dtype) = vector(block.dtype);
    let elements = cast(&block.bytes, block.dtype, dtype)?;
    let mut writer = Writer::default();
    let is_named = names.iter().any(Option::is_some);
    match block.shape {
        Shape::Matrix(rows, columns) => {
            writer.vector(kind | writer::HAS_ATTRIBUTES, rows * columns, &elements);
            writer.tag("dim");
            writer.integers(&[columns, rows]);
            if is_named {
                writer.tag("dimnames");
                dimnames(&mut writer, names);
            }
            writer.null();
        }
        Shape::Vector(n) => match &names[1] {
            None => writer.vector(kind, n, &elements),
            Some(names) => {
                writer.vector(kind | writer::HAS_ATTRIBUTES, n, &elements);
                writer.tag("names");
                writer.strings(names);
                writer.null();
            }
        },
    }
    writer.finish()
}

fn dimnames(writer: &mut Writer, names: &[Option<Strings>; 2]) {
    writer.list(2);
    for axis in names {
        match axis {
            Some(names) => writer.strings(names),
            None => writer.null(),
        }
    }
}

fn sparse(selection: &Selection, names: &[Option<Strings>; 2]) -> Result<VirtualFile> {
    let [data, indices, indptr] = selection.rising()?;
    let (nnz, shape) = (data.shape.elements(), selection.shape());
    if !is_i32(nnz) {
        return Err(Error::refused(
            &selection.array().path,
            format!("{nnz} elements are more than R counts"),
        ));
    }
    let (kind, class) = match data.dtype {
        Dtype::Bool => (vector(Dtype::Bool), "lgCMatrix"),
        _ => ((writer::REAL, Dtype::Float64), "dgCMatrix"),
    };
    let mut writer = Writer::default();
    writer.object();
    for (name, block) in [("i", indices), ("p", indptr)] {
        writer.tag(name);
        let elements = cast(&block.bytes, block.dtype, Dtype::Int32)?;
        writer.vector(writer::INTEGER, block.shape.elements(), &elements);
    }
    writer.tag("Dim");
    writer.integers(&[shape.columns(), shape.rows()]);
    writer.tag("Dimnames");
    dimnames(&mut writer, names);
    writer.tag("x");
    writer.vector(kind.0, nnz, &cast(&data.bytes, data.dtype, kind.1)?);
    writer.tag("factors");
    writer.list(0);
    writer.tag("class");
    writer.class(class, "Matrix");
    writer.null();
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(file: &VirtualFile) -> Vec<u8> {
        let mut bytes = vec![0xAA; usize::try_from(file.len()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_matrix_is_61_bytes_and_its_elements() {
        let elements = [1.5f64, 2.0].map(f64::to_le_bytes).concat();
        let block = Block {
            dtype: Dtype::Float64,
            shape: Shape::Matrix(1, 2),
            bytes: VirtualFile::literal(elements.clone()),
        };
        let found = bytes(&dense(&block, &[None, None]).unwrap());
        assert_eq!(found.len(), 61 + 16);
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let expected = [
            b"B\n".to_vec(),
            words(&[2, 0x0004_0200, 0x0002_0300, 0x20E, 2]),
            elements,
            words(&[0x402, 1, 0x4_0009, 3]),
            b"dim".to_vec(),
            words(&[13, 2, 2, 1, 254]),
        ];
        assert_eq!(found, expected.concat());
    }

    #[test]
    fn a_vector_has_its_names() {
        let block =
            Block { dtype: Dtype::Bool, shape: Shape::Vector(2), bytes: VirtualFile::literal([0u8, 1]) };
        let names = Strings::new(None, Rows::parse(b"9:11", 20).unwrap());
        let found = bytes(&dense(&block, &[None, Some(names)]).unwrap());
        let expected = b"\x0A\x02\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\
            \x02\x04\0\0\x01\0\0\0\x09\0\x04\0\x05\0\0\0names\
            \x10\0\0\0\x02\0\0\0\x09\x80\0\0\x01\0\0\x009\x09\x80\0\0\x02\0\0\x0010\xFE\0\0\0";
        assert_eq!(&found[14..], expected);
    }
}
