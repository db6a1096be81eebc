//! The header of NumPy's `.npy`, shared by all formats that contain such files.
//!
//! ```text
//! \x93NUMPY  1 0  length  {'descr': '<f4', 'fortran_order': False, 'shape': (700, 765), }  spaces  \n
//! ```
//!
//! Specification: `numpy/lib/format.py`, "Format Version 1.0". The header equals NumPy's own byte for byte.
//! It has 128 bytes for any array here; some readers have a buffer of no more than 256.

use crate::daf::metadata::Shape;

/// Bytes before the text of the header: magic string, version and length.
const PREFIX: usize = 10;

/// Alignment of the elements in bytes.
const ALIGN: usize = 64;

/// NumPy reserves this many digits for the axis along which an array can grow in place.
const GROWTH: usize = 21;

/// The memory order of an array's elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// The last axis varies fastest: row-major.
    C,
    /// The first axis varies fastest: column-major.
    Fortran,
}

/// The header of an array with this shape.
pub(crate) fn npy_header(descr: &str, order: Order, shape: Shape) -> Vec<u8> {
    let (shape, growing) = match shape {
        Shape::Vector(n) => (format!("({n},)"), n),
        Shape::Matrix(rows, columns) if order == Order::C => (format!("({rows}, {columns})"), rows),
        Shape::Matrix(rows, columns) => (format!("({rows}, {columns})"), columns),
    };
    header(descr, order, &shape, GROWTH - growing.to_string().len())
}

/// The header of a single element, that is, of an array without axes.
pub(crate) fn npy_scalar_header(descr: &str) -> Vec<u8> {
    header(descr, Order::C, "()", 0)
}

fn header(descr: &str, order: Order, shape: &str, room: usize) -> Vec<u8> {
    let fortran = if order == Order::Fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let length = (PREFIX + text.len() + room + 1).next_multiple_of(ALIGN);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let rest = u16::try_from(length - PREFIX).expect("a header is shorter than 64 KiB");
    bytes.extend_from_slice(&rest.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::FIXED_DTYPES;

    #[test]
    fn every_header_has_128_bytes() {
        let sizes = [0, 1, 7, 999, 12_345_678, i64::MAX as u64];
        for descr in FIXED_DTYPES.map(|dtype| dtype.descr()) {
            for order in [Order::C, Order::Fortran] {
                for rows in sizes {
                    assert_eq!(npy_header(descr, order, Shape::Vector(rows)).len(), 128);
                    for columns in sizes {
                        assert_eq!(npy_header(descr, order, Shape::Matrix(rows, columns)).len(), 128);
                    }
                }
            }
            assert_eq!(npy_scalar_header(descr).len(), 128);
        }
    }

    #[test]
    fn the_text_is_numpys() {
        let n = i64::MAX as u64;
        let header = npy_header("<f2", Order::C, Shape::Matrix(n, n));
        let text = String::from_utf8_lossy(&header[PREFIX..]).into_owned();
        assert_eq!(
            text.trim_end(),
            format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({n}, {n}), }}")
        );
        assert!(text.ends_with(" \n"));
    }
}
