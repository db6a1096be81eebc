//! Groups and arrays, independent of the version of the format.

use serde_json::{Value, json};

use crate::array::selection::Block;
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;
use crate::encode::strings::Strings;
use crate::error::Result;

/// The most bytes of a chunk, unless it is a single row. Chunks have at least half of this, unless there is
/// only one.
const MOST: u64 = 8 << 20;

/// A node of the hierarchy.
pub(super) enum Node {
    /// A group with these attributes.
    Group(Value),
    Array(Array),
}

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Number(Dtype),
    /// Strings of any length, encoded as `vlen-utf8`: their number, then each with its length in front.
    Text,
}

/// An array in chunks of whole rows.
pub(super) struct Array {
    pub kind: Kind,
    pub shape: Vec<u64>,
    /// Number of rows in a chunk.
    pub rows: u64,
    /// Names of the axes; empty if they have none.
    pub axes: Vec<String>,
    pub attributes: Value,
    /// All chunks, one after the other. The last one may be shorter.
    pub bytes: VirtualFile,
    /// Size of a chunk in bytes.
    pub chunk_bytes: u64,
}

impl Array {
    /// The numbers of a block, with these names of its axes.
    pub fn numbers(block: Block, axes: &[String]) -> Self {
        let shape = block.shape.axes();
        let row_bytes = match block.shape {
            Shape::Vector(_) => block.dtype.itemsize(),
            Shape::Matrix(_, columns) => columns * block.dtype.itemsize(),
        };
        let rows = chunk_rows(shape[0], row_bytes);
        Self {
            kind: Kind::Number(block.dtype),
            axes: axes.iter().take(shape.len()).cloned().collect(),
            shape,
            rows,
            attributes: json!({}),
            bytes: block.bytes,
            chunk_bytes: rows * row_bytes,
        }
    }

    /// A vector of names, in a single chunk.
    pub fn names(strings: &Strings) -> Result<Self> {
        let header = |length: u32, out: &mut Vec<u8>| out.extend_from_slice(&length.to_le_bytes());
        let count = u32::try_from(strings.count()).unwrap_or(u32::MAX);
        let count = Extent::Literal(count.to_le_bytes().to_vec().into());
        let bytes = VirtualFile::new([count, strings.extent(4, header)])?;
        Ok(Self {
            kind: Kind::Text,
            shape: vec![strings.count()],
            rows: strings.count(),
            axes: Vec::new(),
            attributes: json!({"encoding-type": "string-array", "encoding-version": "0.2.0"}),
            chunk_bytes: bytes.len(),
            bytes,
        })
    }

    /// The shape of a chunk.
    pub fn chunk(&self) -> Vec<u64> {
        std::iter::once(self.rows).chain(self.shape.iter().skip(1).copied()).collect()
    }
}

/// The number of rows in a chunk. It makes all chunks about equally large, so that the last one has little
/// padding.
fn chunk_rows(rows: u64, row_bytes: u64) -> u64 {
    let rows = rows.max(1);
    let fit = (MOST / row_bytes.max(1)).clamp(1, rows);
    rows.div_ceil(rows.div_ceil(fit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Rows;
    use proptest::prelude::*;

    #[test]
    fn strings_are_counted() {
        let array = Array::names(&Strings::new(None, Rows::parse(b"9:11", 20).unwrap())).unwrap();
        let mut bytes = vec![0xAA; usize::try_from(array.bytes.len()).unwrap()];
        array.bytes.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, b"\x02\0\0\0\x01\0\0\09\x02\0\0\x0010");
    }

    #[test]
    fn chunks_are_whole_rows() {
        assert_eq!(chunk_rows(0, 8), 1);
        assert_eq!(chunk_rows(700, 3060), 700);
        assert_eq!(chunk_rows(1 << 20, 8), 1 << 20);
        assert_eq!(chunk_rows((1 << 20) + 1, 8), (1 << 19) + 1);
        assert_eq!(chunk_rows(3, (8 << 20) + 8), 1);
        assert_eq!(chunk_rows(1 << 40, 1), 8 << 20);
    }

    proptest! {
        #[test]
        fn chunks_have_four_to_eight_mib(rows in 1u64..1 << 40, row_bytes in 1u64..8 << 20) {
            let bytes = chunk_rows(rows, row_bytes) * row_bytes;
            prop_assert!(bytes <= MOST && (bytes >= MOST / 2 || bytes >= rows * row_bytes), "{bytes}");
            prop_assert!(rows.div_ceil(chunk_rows(rows, row_bytes)) <= rows.saturating_mul(row_bytes) / (MOST / 2) + 1);
        }
    }
}
