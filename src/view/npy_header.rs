//! The header of NumPy's `.npy`, for the formats that have one.
//!
//! ```text
//! \x93NUMPY  1 0  length  {'descr': '<f4', 'fortran_order': False, 'shape': (700, 765), }  spaces  \n
//! ```
//!
//! Version 1.0 of the format (`numpy/lib/format.py`, "Format Version 1.0").

use crate::format::Shape;

/// Bytes before the header's text: magic string, version, length.
const PREFIX: usize = 10;

/// The order that the elements of an array stand in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// The last axis varies fastest: row-major.
    C,
    /// The first axis varies fastest: column-major.
    Fortran,
}

/// The header of an array of that shape, in `length` bytes.
pub(super) fn npy_header(descr: &str, order: Order, shape: Shape, length: usize) -> Vec<u8> {
    let shape = match shape {
        Shape::Vector(n) => format!("({n},)"),
        Shape::Matrix(rows, columns) => format!("({rows}, {columns})"),
    };
    header(descr, order, &shape, length)
}

/// The header of a single element.
pub(super) fn npy_scalar_header(descr: &str, length: usize) -> Vec<u8> {
    header(descr, Order::C, "()", length)
}

fn header(descr: &str, order: Order, shape: &str, length: usize) -> Vec<u8> {
    let fortran = if order == Order::Fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
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

    #[test]
    fn the_longest_header_still_fits_a_row() {
        let n = i64::MAX as u64;
        let header = npy_header("<f2", Order::C, Shape::Matrix(n, n), 128);
        assert_eq!(header.len(), 128);
        let text = String::from_utf8_lossy(&header[PREFIX..]).into_owned();
        assert_eq!(
            text.trim_end(),
            format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({n}, {n}), }}")
        );
        assert!(text.ends_with(" \n"));
    }
}
