//! NumPy's `.npy`: a header, then the bytes as they are.
//!
//! ```text
//! \x93NUMPY  1 0  length  {'descr': '<f4', 'fortran_order': False, 'shape': (700, 765), }  spaces  \n
//! the elements
//! ```
//!
//! Version 1.0 of the format (`numpy/lib/format.py`, "Format Version 1.0"). Of whole parts the header
//! fills a page, so that the elements start at one; of rows and columns it fills 128 bytes.

use super::View;
use crate::error::Result;
use crate::format::Shape;
use crate::part::{Block, Part, Scope, Selection};
use crate::vfile::{Extent, VirtualFile};

pub(super) struct Npy;

/// Bytes before the header's text: magic string, version, length.
const PREFIX: usize = 10;

impl View for Npy {
    fn format(&self) -> &'static str {
        "npy"
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.thing.is_block()
    }

    fn about(&self) -> &'static str {
        "NumPy's own format: `numpy.load(file, mmap_mode=\"r\")`"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let block = selection.block(part)?;
        let length = if part.of == Scope::All { 4096 } else { 128 };
        let header = Extent::Literal(header(&block, length).into());
        VirtualFile::new([header].into_iter().chain(block.bytes.extents().iter().cloned()))
    }
}

fn header(block: &Block, length: usize) -> Vec<u8> {
    let shape = match block.shape {
        Shape::Vector(n) => format!("({n},)"),
        Shape::Matrix(rows, columns) => format!("({rows}, {columns})"),
    };
    let text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}", block.dtype.descr());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let rest = u16::try_from(length - PREFIX).expect("a header is shorter than 64 KiB");
    bytes.extend_from_slice(&rest.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    // The text has at most 96 bytes: two axes of 19 digits.
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;

    #[test]
    fn the_longest_header_still_fits_a_row() {
        let n = i64::MAX as u64;
        let block =
            Block { dtype: Dtype::Float16, shape: Shape::Matrix(n, n), bytes: VirtualFile::default() };
        let header = header(&block, 128);
        assert_eq!(header.len(), 128);
        let text = String::from_utf8_lossy(&header[PREFIX..]).into_owned();
        assert_eq!(
            text.trim_end(),
            format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({n}, {n}), }}")
        );
        assert!(text.ends_with(" \n"));
    }
}
