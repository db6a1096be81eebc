//! One array: its metadata, and its only shard.

use serde_json::{Value, json};

use crate::dtype::Dtype;
use crate::error::Result;
use crate::format::Shape;
use crate::grid::{Table, piece_bytes};
use crate::part::Block;
use crate::strings::Strings;
use crate::vfile::{Extent, VirtualFile};

/// An array: what `zarr.json` says, and its only file, unless it has no elements.
pub(super) struct Array {
    pub metadata: Value,
    pub shard: Option<VirtualFile>,
}

/// The chunks of a row-major array: blocks of rows, or parts of rows where these are very long.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Rows and columns of the array, and bytes of an element.
    shape: [u64; 2],
    item: u64,
    /// Those of a chunk.
    chunk: [u64; 2],
}

impl Grid {
    fn new(shape: [u64; 2], item: u64) -> Self {
        let [rows, columns] = shape.map(|n| n.max(1));
        let row_bytes = columns.saturating_mul(item);
        let piece = piece_bytes(rows.saturating_mul(row_bytes), Self::ENTRY);
        let chunk = match piece / row_bytes {
            0 => [1, (piece / item).max(1)],
            fit => [fit.min(rows), columns],
        };
        Self { shape, item, chunk }
    }

    /// Bytes that the index has for a chunk.
    const ENTRY: u64 = 16;

    /// Chunks down and across.
    fn counts(&self) -> [u64; 2] {
        [self.shape[0].div_ceil(self.chunk[0]), self.shape[1].div_ceil(self.chunk[1])]
    }

    /// The shape of a shard that holds them all.
    fn shard(&self) -> [u64; 2] {
        let [down, across] = self.counts();
        [down.max(1) * self.chunk[0], across.max(1) * self.chunk[1]]
    }

    /// Bytes of the index and of the zeros after it, so that the elements start at a page.
    fn header(&self) -> u64 {
        let [down, across] = self.counts();
        (down * across * Self::ENTRY).next_multiple_of(4096)
    }

    /// A chunk at the end of a long row reaches into the next row, or beyond the end: readers leave
    /// out what is not in the array, so that a chunk is always one run of the elements.
    fn index(&self) -> Table {
        let [down, across] = self.counts();
        Table {
            count: down * across,
            first: self.header(),
            per: across,
            inner: self.chunk[1] * self.item,
            outer: self.chunk[0] * self.shape[1] * self.item,
            length: Some(self.chunk_bytes()),
        }
    }

    fn chunk_bytes(&self) -> u64 {
        self.chunk[0] * self.chunk[1] * self.item
    }

    /// Zeros after the elements, to the end of the last chunk.
    fn padding(&self) -> u64 {
        let [down, across] = self.counts();
        let index = self.index();
        let last = (down - 1) * index.outer + (across - 1) * index.inner;
        last.saturating_add(self.chunk_bytes()) - self.shape[0] * self.shape[1] * self.item
    }
}

/// The block as an array of one shard; its axes have these names.
pub(super) fn sharded(block: &Block, axes: &[String; 2]) -> Result<Array> {
    let (shape, number) = match block.shape {
        Shape::Vector(n) => ([n, 1], 1),
        Shape::Matrix(rows, columns) => ([rows, columns], 2),
    };
    let grid = Grid::new(shape, block.dtype.itemsize());
    let bytes = json!([{"name": "bytes", "configuration": {"endian": "little"}}]);
    let codec = json!({"name": "sharding_indexed", "configuration": {
        "chunk_shape": grid.chunk[..number],
        "codecs": bytes,
        "index_codecs": bytes,
        "index_location": "start",
    }});
    let fill = match block.dtype {
        Dtype::Bool => json!(false),
        Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => json!(0.0),
        _ => json!(0),
    };
    let mut metadata = metadata(block.dtype.name(), &shape[..number], &grid.shard()[..number], fill);
    metadata["codecs"] = json!([codec]);
    metadata["dimension_names"] = json!(axes[..number]);
    let shard = if block.bytes.is_empty() { None } else { Some(shard(&grid, block)?) };
    Ok(Array { metadata, shard })
}

fn shard(grid: &Grid, block: &Block) -> Result<VirtualFile> {
    let index = grid.index().extent();
    let gap = Extent::Zeros(grid.header() - index.len());
    let elements = block.bytes.extents().iter().cloned();
    VirtualFile::new([index, gap].into_iter().chain(elements).chain([Extent::Zeros(grid.padding())]))
}

/// Names as a vector of strings in one chunk: their number, then each behind its length.
pub(super) fn strings(strings: &Strings) -> Result<Array> {
    let shape = [strings.count()];
    let mut metadata = metadata("string", &shape, &shape, json!(""));
    metadata["codecs"] = json!([{"name": "vlen-utf8", "configuration": {}}]);
    metadata["attributes"] = json!({"encoding-type": "string-array", "encoding-version": "0.2.0"});
    let count = u32::try_from(strings.count()).unwrap_or(u32::MAX);
    let header = |length: u32, out: &mut Vec<u8>| out.extend_from_slice(&length.to_le_bytes());
    let count = Extent::Literal(count.to_le_bytes().to_vec().into());
    Ok(Array { metadata, shard: Some(VirtualFile::new([count, strings.extent(4, header)])?) })
}

fn metadata(dtype: &str, shape: &[u64], chunk: &[u64], fill: Value) -> Value {
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "attributes": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::select::Rows;

    fn axes() -> [String; 2] {
        ["rows", "columns"].map(String::from)
    }

    fn bytes(file: &VirtualFile) -> Vec<u8> {
        let mut bytes = vec![0xAA; usize::try_from(file.len()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_small_array_is_one_chunk() {
        let block = Block {
            dtype: Dtype::Int16,
            shape: Shape::Matrix(2, 3),
            bytes: VirtualFile::literal([1u8, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]),
        };
        let array = sharded(&block, &axes()).unwrap();
        assert_eq!(
            array.metadata.to_string(),
            concat!(
                r#"{"attributes":{},"#,
                r#""chunk_grid":{"configuration":{"chunk_shape":[2,3]},"name":"regular"},"#,
                r#""chunk_key_encoding":{"configuration":{"separator":"/"},"name":"default"},"#,
                r#""codecs":[{"configuration":{"chunk_shape":[2,3],"#,
                r#""codecs":[{"configuration":{"endian":"little"},"name":"bytes"}],"#,
                r#""index_codecs":[{"configuration":{"endian":"little"},"name":"bytes"}],"#,
                r#""index_location":"start"},"name":"sharding_indexed"}],"#,
                r#""data_type":"int16","dimension_names":["rows","columns"],"fill_value":0,"#,
                r#""node_type":"array","shape":[2,3],"zarr_format":3}"#,
            )
        );
        let mut expected = [4096u64.to_le_bytes(), 12u64.to_le_bytes()].concat();
        expected.resize(4096, 0);
        expected.extend([1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]);
        assert_eq!(bytes(&array.shard.unwrap()), expected);
    }

    #[test]
    fn an_array_without_elements_has_no_shard() {
        let block = Block { dtype: Dtype::Bool, shape: Shape::Vector(0), bytes: VirtualFile::default() };
        let array = sharded(&block, &axes()).unwrap();
        assert!(array.shard.is_none());
        assert_eq!(array.metadata["shape"], json!([0]));
        assert_eq!(array.metadata["dimension_names"], json!(["rows"]));
    }

    #[test]
    fn strings_are_counted() {
        let array = strings(&Strings::new(None, Rows::parse(b"9:11", 20).unwrap())).unwrap();
        assert_eq!(bytes(&array.shard.unwrap()), b"\x02\0\0\0\x01\0\0\09\x02\0\0\x0010");
    }

    #[test]
    fn every_chunk_is_where_its_elements_are() {
        let cases = [
            [1, 1],
            [3, 7],
            [1_000_000, 1],
            [5000, 1000],
            [3, 9_000_001],
            [30_000_000_000, 17],
            [2, 1 << 55],
        ];
        for shape in cases {
            for item in [1, 8] {
                let grid = Grid::new(shape, item);
                let (index, [down, across], total) =
                    (grid.index(), grid.counts(), shape[0] * shape[1] * item);
                assert_eq!(index.count, down * across);
                assert_eq!(index.per, across);
                assert_eq!(index.outer, grid.chunk[0] * shape[1] * item);
                assert!(index.count * 16 <= (4 << 20).max(2 * total.isqrt() * 4 + 32), "{grid:?}");
                assert!(grid.chunk_bytes() <= (4 << 20).max(total.isqrt() * 4), "{grid:?}");
                assert!(grid.padding() < grid.chunk_bytes(), "{grid:?}");
            }
        }
    }
}
