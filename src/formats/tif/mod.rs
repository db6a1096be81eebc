//! TIFF: an image with one channel, and one pixel per element.
//!
//! ```text
//! II 42      offset of the directory      all offsets have 32 bits, or
//! II 43 8 0  offset of the directory      64 bits if the file has 4 GiB or more
//! directory: width, length, bits, no compression, …  {"shape": [rows, columns]}
//! offset of each strip | size of each | zeros to a page | the elements
//! ```
//!
//! Specification: TIFF 6.0, and BigTIFF for files of 4 GiB or more. Smaller files avoid BigTIFF, because not
//! all programs read it. The strips are consecutive blocks of rows, so that readers that map the file find
//! all elements contiguously. A vector is one row of pixels, as tifffile writes it. bool is uint8.

#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::offset_table::{Table, piece_bytes};
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Tif;

/// Types of directory fields.
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const LONG8: u16 = 16;

impl Tif {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        image(&selection.block(part)?)
    }
}

impl Format for Tif {
    fn extension(&self) -> &'static str {
        "tif"
    }

    fn about(&self) -> &'static str {
        "TIFF (BigTIFF from 4 GiB on), a pixel for each element: `tifffile.memmap`, ImageJ, GDAL, QGIS"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let shape = selection.shape();
        let is_image =
            matches!(part.component, Component::Array | Component::Dense) && part.of == Region::Whole;
        // Width and length of an image are 32-bit fields.
        is_image && [shape.rows(), shape.columns()].iter().all(|axis| u32::try_from(*axis).is_ok())
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

/// The `SampleFormat` field: 1 for unsigned integers, 2 for signed ones, 3 for floats.
const fn sample_format(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::Bool | Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => 1,
        Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64 => 2,
        Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => 3,
    }
}

/// The width of offsets and counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Words {
    Classic,
    Big,
}

impl Words {
    /// Size in bytes.
    const fn size(self) -> u64 {
        if matches!(self, Self::Classic) { 4 } else { 8 }
    }

    /// The type of a field of offsets.
    const fn kind(self) -> u16 {
        if matches!(self, Self::Classic) { LONG } else { LONG8 }
    }

    fn push(self, number: u64, bytes: &mut Vec<u8>) {
        let size = usize::try_from(self.size()).unwrap_or(8);
        bytes.extend_from_slice(&number.to_le_bytes()[..size]);
    }

    /// The first bytes of the file, up to and including the number of fields.
    fn header(self) -> Vec<u8> {
        match self {
            Self::Classic => b"II\x2A\0\x08\0\0\0\x0B\0".to_vec(),
            Self::Big => b"II\x2B\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x0B\0\0\0\0\0\0\0".to_vec(),
        }
    }
}

/// Offsets and sizes in the file.
struct Layout {
    words: Words,
    strips: u64,
    /// Rows and bytes of a strip, and bytes of the last one.
    strip_rows: u64,
    strip: u64,
    last: u64,
    /// Offsets of the description, of the tables of strips, and of the elements.
    described: u64,
    tables: u64,
    start: u64,
}

impl Layout {
    fn new(words: Words, rows: u64, row_bytes: u64, description: u64) -> Self {
        let bytes = rows * row_bytes;
        // Readers load the tables of all strips and then whole strips, so neither should be large.
        let strip_rows = (piece_bytes(bytes, 16) / row_bytes).clamp(1, rows);
        let strips = rows.div_ceil(strip_rows);
        let strip = strip_rows * row_bytes;
        let fields = 11 * (4 + 2 * words.size());
        let described = words.header().len() as u64 + fields + words.size();
        let tables = (described + description).next_multiple_of(8);
        let start = (tables + strips * 2 * words.size()).next_multiple_of(4096);
        Self {
            words,
            strips,
            strip_rows,
            strip,
            last: bytes - (strips - 1) * strip,
            described,
            tables,
            start,
        }
    }

    /// The table of the strips' offsets, then that of their sizes.
    fn extents(&self) -> Vec<Extent> {
        let Self { words, strips, strip, last, start, .. } = *self;
        // A classic file has few strips, but the tables of a large one are generated on read.
        if words == Words::Classic {
            let mut tables = Vec::new();
            (0..strips).for_each(|i| words.push(start + i * strip, &mut tables));
            (1..strips).for_each(|_| words.push(strip, &mut tables));
            words.push(last, &mut tables);
            return vec![Extent::Literal(tables.into())];
        }
        let places = Table { count: strips, first: start, per: 1, inner: 0, outer: strip, length: None };
        let last = Extent::Literal(last.to_le_bytes().to_vec().into());
        vec![places.extent(), Table::constant(strips - 1, strip).extent(), last]
    }
}

fn image(block: &Block) -> Result<VirtualFile> {
    let (rows, columns) = match block.shape {
        Shape::Vector(n) => (1, n),
        Shape::Matrix(rows, columns) => (rows, columns),
    };
    let item = block.dtype.itemsize();
    let description = description(block.shape);
    let layout = |words| Layout::new(words, rows, columns * item, description.len() as u64);
    let classic = layout(Words::Classic);
    let is_small = classic.start.saturating_add(block.bytes.len()) < 1 << 32;
    let layout = if is_small { classic } else { layout(Words::Big) };
    let Layout { words, strips, tables, .. } = layout;
    // The offset and size of a single strip are in the directory itself, because they fit the field.
    let (place, bytes) = match strips {
        1 => (layout.start, layout.last),
        _ => (tables, tables + strips * words.size()),
    };
    let fields = [
        (256, LONG, 1, columns),
        (257, LONG, 1, rows),
        (258, SHORT, 1, item * 8),
        (259, SHORT, 1, 1),
        (262, SHORT, 1, 1),
        (270, ASCII, description.len() as u64, layout.described),
        (273, words.kind(), strips, place),
        (277, SHORT, 1, 1),
        (278, LONG, 1, layout.strip_rows),
        (279, words.kind(), strips, bytes),
        (339, SHORT, 1, sample_format(block.dtype)),
    ];
    let mut head = words.header();
    for (tag, kind, count, value) in fields {
        head.extend(u16::to_le_bytes(tag));
        head.extend(kind.to_le_bytes());
        words.push(count, &mut head);
        words.push(value, &mut head);
    }
    // There is no next directory.
    words.push(0, &mut head);
    head.extend(description);
    let gap = Extent::Zeros(tables - head.len() as u64);
    let end = Extent::Zeros(layout.start - tables - strips * 2 * words.size());
    let elements = block.bytes.extents().iter().cloned();
    let head = [Extent::Literal(head.into()), gap].into_iter();
    VirtualFile::new(head.chain(layout.extents()).chain([end]).chain(elements))
}

/// The shape in the form that tifffile writes and reads, and a NUL. It is always longer than the 8 bytes that
/// would have to be in the field itself.
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
        let field = |i: usize| found[10 + i * 12..22 + i * 12].to_vec();
        assert_eq!(&found[..10], b"II\x2A\0\x08\0\0\0\x0B\0");
        assert_eq!(field(0), b"\0\x01\x04\0\x01\0\0\0\x03\0\0\0");
        assert_eq!(field(5), b"\x0E\x01\x02\0\x12\0\0\0\x92\0\0\0");
        assert_eq!(field(6), b"\x11\x01\x04\0\x01\0\0\0\0\x10\0\0");
        assert_eq!(field(9), b"\x17\x01\x04\0\x01\0\0\0\x0C\0\0\0");
        assert_eq!(&found[142..164], b"\0\0\0\0{\"shape\": [2, 3]}\0");
        assert_eq!(&found[4096..], [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]);
    }

    /// Reads a little-endian number of `size` bytes.
    fn word(file: &VirtualFile, at: u64, size: u64) -> u64 {
        let mut word = [0; 8];
        file.read_at(at, &mut word[..usize::try_from(size).unwrap()]).unwrap();
        u64::from_le_bytes(word)
    }

    #[test]
    fn strips_of_a_large_image_follow_one_another() {
        // In the third case, the strip tables and everything else before the elements take 12,288 bytes.
        let most_rows = ((1 << 32) - 12_288) / 4000;
        let cases = [(3_000_000, true), (1_000_000, false), (most_rows, false), (most_rows + 1, true)];
        for (rows, is_big) in cases {
            let block = Block {
                dtype: Dtype::Float32,
                shape: Shape::Matrix(rows, 1000),
                bytes: VirtualFile::new([Extent::Zeros(rows * 4000)]).unwrap(),
            };
            let file = image(&block).unwrap();
            assert_eq!(word(&file, 2, 2), if is_big { 43 } else { 42 }, "{rows}");
            let (size, fields) = if is_big { (8, 24) } else { (4, 10) };
            let field = |i: u64, part: u64| word(&file, fields + i * (4 + 2 * size) + 4 + part * size, size);
            let (strips, places, bytes) = (field(6, 0), field(6, 1), field(9, 1));
            let start = word(&file, places, size);
            assert_eq!(file.len() - start, rows * 4000);
            let entry = |table: u64, i: u64| word(&file, table + i * size, size);
            let ends: Vec<u64> = (0..strips).map(|i| entry(places, i) + entry(bytes, i)).collect();
            assert!((1..strips).all(|i| entry(places, i) == ends[usize::try_from(i).unwrap() - 1]));
            assert_eq!(ends.last(), Some(&file.len()));
        }
    }
}
