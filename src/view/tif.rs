//! BigTIFF: an image of one channel, a pixel for each element.
//!
//! ```text
//! II 43 8 0  where the directory is
//! directory: width, length, bits, no compression, …  {"shape": [rows, columns]}
//! where each strip is | bytes of each | zeros to a page | the elements
//! ```
//!
//! TIFF 6.0 with the 64-bit offsets of BigTIFF. The strips are blocks of rows that follow one another:
//! readers that map the file find the elements in one run. A vector is a row of pixels, as tifffile
//! writes one. bool is uint8.

use super::View;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::Shape;
use crate::grid::{Table, piece_bytes};
use crate::part::{Block, Part, Scope, Selection, Thing};
use crate::vfile::{Extent, VirtualFile};

pub(super) struct Tif;

/// Types of fields.
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const LONG8: u16 = 16;

impl View for Tif {
    fn format(&self) -> &'static str {
        "tif"
    }

    fn about(&self) -> &'static str {
        "BigTIFF, a pixel for each element: `tifffile.memmap`, ImageJ, GDAL, QGIS"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let shape = selection.shape();
        let is_image = matches!(part.thing, Thing::Array | Thing::Dense) && part.of == Scope::All;
        is_image && [shape.rows(), shape.columns()].iter().all(|axis| u32::try_from(*axis).is_ok())
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        image(&selection.block(part)?)
    }
}

/// 1 of numbers without a sign, 2 of those with one, 3 of floats.
const fn sample_format(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::Bool | Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => 1,
        Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64 => 2,
        Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => 3,
    }
}

fn image(block: &Block) -> Result<VirtualFile> {
    let (rows, columns) = match block.shape {
        Shape::Vector(n) => (1, n),
        Shape::Matrix(rows, columns) => (rows, columns),
    };
    let item = block.dtype.itemsize();
    let row_bytes = columns * item;
    let strip_rows = (piece_bytes(block.bytes.len(), 16) / row_bytes).clamp(1, rows);
    let strips = rows.div_ceil(strip_rows);
    let strip = strip_rows * row_bytes;
    let last = block.bytes.len() - (strips - 1) * strip;
    let description = description(block.shape);
    // The directory's 11 fields of 20 bytes, its length and its end.
    let described = 16 + 8 + 11 * 20 + 8;
    let tables = (described + description.len() as u64).next_multiple_of(8);
    let start = (tables + strips * 16).next_multiple_of(4096);
    // A single strip's place and bytes stand in the directory itself.
    let (place, bytes) = if strips == 1 { (start, last) } else { (tables, tables + strips * 8) };
    let fields = [
        (256, LONG, 1, columns),
        (257, LONG, 1, rows),
        (258, SHORT, 1, item * 8),
        (259, SHORT, 1, 1),
        (262, SHORT, 1, 1),
        (270, ASCII, description.len() as u64, described),
        (273, LONG8, strips, place),
        (277, SHORT, 1, 1),
        (278, LONG, 1, strip_rows),
        (279, LONG8, strips, bytes),
        (339, SHORT, 1, sample_format(block.dtype)),
    ];
    let mut head = b"II\x2B\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x0B\0\0\0\0\0\0\0".to_vec();
    for (tag, kind, count, value) in fields {
        head.extend(u16::to_le_bytes(tag));
        head.extend(kind.to_le_bytes());
        head.extend(count.to_le_bytes());
        head.extend(value.to_le_bytes());
    }
    head.extend([0; 8]);
    head.extend(description);
    let gap = Extent::Zeros(tables - head.len() as u64);
    let places = Table { count: strips, first: start, per: 1, inner: 0, outer: strip, length: None };
    let extents = [
        Extent::Literal(head.into()),
        gap,
        places.extent(),
        Table::constant(strips - 1, strip).extent(),
        Extent::Literal(last.to_le_bytes().to_vec().into()),
        Extent::Zeros(start - tables - strips * 16),
    ];
    VirtualFile::new(extents.into_iter().chain(block.bytes.extents().iter().cloned()))
}

/// The shape, as tifffile writes and reads it, and a NUL. Longer than the 8 bytes a field has for it.
fn description(shape: Shape) -> Vec<u8> {
    let axes: Vec<_> = shape.axes().iter().map(u64::to_string).collect();
    format!("{{\"shape\": [{}]}}\0", axes.join(", ")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_image_is_one_strip() {
        let block = Block {
            dtype: Dtype::Int16,
            shape: Shape::Matrix(2, 3),
            bytes: VirtualFile::literal([1u8, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]),
        };
        let file = image(&block).unwrap();
        let mut found = vec![0xAA; usize::try_from(file.len()).unwrap()];
        file.read_at(0, &mut found).unwrap();
        let field = |i: usize| found[24 + i * 20..44 + i * 20].to_vec();
        assert_eq!(&found[..24], b"II\x2B\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x0B\0\0\0\0\0\0\0");
        assert_eq!(field(0), b"\0\x01\x04\0\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0");
        assert_eq!(field(5), b"\x0E\x01\x02\0\x12\0\0\0\0\0\0\0\xFC\0\0\0\0\0\0\0");
        assert_eq!(field(6), b"\x11\x01\x10\0\x01\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0");
        assert_eq!(field(9), b"\x17\x01\x10\0\x01\0\0\0\0\0\0\0\x0C\0\0\0\0\0\0\0");
        assert_eq!(&found[252..270], b"{\"shape\": [2, 3]}\0");
        assert_eq!(&found[4096..], [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]);
    }

    #[test]
    fn strips_of_a_large_image_follow_one_another() {
        let (rows, columns) = (3_000_000, 1000);
        let block = Block {
            dtype: Dtype::Float32,
            shape: Shape::Matrix(rows, columns),
            bytes: VirtualFile::new([Extent::Zeros(rows * columns * 4)]).unwrap(),
        };
        let file = image(&block).unwrap();
        let word = |at: u64| {
            let mut word = [0; 8];
            file.read_at(at, &mut word).unwrap();
            u64::from_le_bytes(word)
        };
        let (strips, places, bytes) = (word(24 + 6 * 20 + 4), word(24 + 6 * 20 + 12), word(24 + 9 * 20 + 12));
        let start = word(places);
        assert_eq!(file.len() - start, rows * columns * 4);
        let ends: Vec<u64> = (0..strips).map(|i| word(places + i * 8) + word(bytes + i * 8)).collect();
        assert!((1..strips).all(|i| word(places + i * 8) == ends[usize::try_from(i).unwrap() - 1]));
        assert_eq!(ends.last(), Some(&file.len()));
    }
}
