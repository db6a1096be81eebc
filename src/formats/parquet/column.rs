//! A column of a Parquet file: its type, and its elements as `PLAIN` pages have them.

use std::sync::Arc;

use super::cast;
use super::thrift::Writer;
use crate::array::selection::{Block, RowBounds};
use crate::bytes::virtual_file::VirtualFile;
use crate::dtype::Dtype;
use crate::error::Result;

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// All elements, as pages have them.
    pub bytes: VirtualFile,
    pub rows: Rows,
}

/// What is known of the numbers in a column without a look at them.
#[derive(Debug)]
pub(super) enum Rows {
    Unknown,
    /// They are the rows of the elements of a row-major matrix.
    Dense {
        columns: u64,
    },
    /// They are the rows of the stored elements of a sparse matrix.
    Sparse(Arc<RowBounds>),
}

/// The type of a column: that of the array, for which Parquet has its own name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind(pub Dtype);

impl Kind {
    /// `Type`.
    pub fn physical(self) -> u64 {
        match self.0 {
            Dtype::Bool => 0,
            Dtype::Int64 | Dtype::Uint64 => 2,
            Dtype::Float32 => 4,
            Dtype::Float64 => 5,
            Dtype::Float16 => 7,
            _ => 1,
        }
    }

    /// `ConvertedType`, and the arguments of `IntType`: bits, and whether there is a sign.
    fn integer(self) -> Option<(u64, u8, bool)> {
        match self.0 {
            Dtype::Uint8 => Some((11, 8, false)),
            Dtype::Uint16 => Some((12, 16, false)),
            Dtype::Uint32 => Some((13, 32, false)),
            Dtype::Uint64 => Some((14, 64, false)),
            Dtype::Int8 => Some((15, 8, true)),
            Dtype::Int16 => Some((16, 16, true)),
            _ => None,
        }
    }
}

impl Column {
    /// The elements of a block, in the order they lie.
    pub fn of(name: &'static str, block: Block) -> Result<Self> {
        let bytes = match block.dtype {
            Dtype::Bool => cast::bits(block.bytes)?,
            Dtype::Int8 | Dtype::Int16 | Dtype::Uint8 | Dtype::Uint16 => {
                cast::widened(block.bytes, block.dtype)?
            }
            _ => block.bytes,
        };
        Ok(Self { name, kind: Kind(block.dtype), bytes, rows: Rows::Unknown })
    }

    /// Numbers of rows or columns, of 4 or 8 bytes.
    pub fn of_numbers(name: &'static str, width: u64, bytes: VirtualFile, rows: Rows) -> Self {
        let dtype = if width == 4 { Dtype::Int32 } else { Dtype::Int64 };
        Self { name, kind: Kind(dtype), bytes, rows }
    }

    /// Bytes of so many elements in a page.
    pub fn bytes(&self, elements: u64) -> u64 {
        match self.kind.0 {
            Dtype::Bool => elements.div_ceil(8),
            dtype if self.kind.physical() == 1 => elements * dtype.itemsize().max(4),
            dtype => elements * dtype.itemsize(),
        }
    }

    /// `SchemaElement`.
    pub fn describe(&self, writer: &mut Writer) {
        writer.begin();
        writer.i32(1, self.kind.physical());
        if self.kind.0 == Dtype::Float16 {
            writer.i32(2, 2);
        }
        writer.i32(3, 0); // required: none is missing
        writer.binary(4, self.name.as_bytes());
        if let Some((converted, bits, is_signed)) = self.kind.integer() {
            writer.i32(6, converted);
            writer.begin_struct(10); // LogicalType
            writer.begin_struct(10); // INTEGER
            writer.byte(1, bits);
            writer.bool(2, is_signed);
            writer.end();
            writer.end();
        } else if self.kind.0 == Dtype::Float16 {
            writer.begin_struct(10);
            writer.empty_struct(15);
            writer.end();
        }
        writer.end();
    }
}
