//! A column of a Parquet file: its type, and its elements as encoded in `PLAIN` pages.

use std::sync::Arc;

use super::cast;
use super::thrift::Writer;
use crate::array::selection::{Block, RowBounds};
use crate::bytes::virtual_file::VirtualFile;
use crate::dtype::Dtype;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// All elements, as encoded in pages.
    pub bytes: VirtualFile,
    pub rows: Rows,
}

/// What is known about the values of a column without reading them. The footer's statistics need it.
#[derive(Debug)]
pub(super) enum Rows {
    Unknown,
    /// Row numbers of the elements of a row-major matrix with this number of columns.
    Dense {
        columns: u64,
    },
    /// Row numbers of the stored elements of a sparse matrix.
    Sparse(Arc<RowBounds>),
}

/// The type of a column, as a type of the array; the methods give Parquet's names for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind(pub Dtype);

impl Kind {
    /// The physical type: `Type` in `parquet.thrift`.
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

    /// `ConvertedType` and the arguments of `IntType` (bits, whether signed), for the types that need them.
    /// Older readers only know the former.
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
    /// A column of the elements of a block, in their order.
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

    /// A column of row or column numbers with 4 or 8 bytes each.
    pub fn of_numbers(name: &'static str, width: u64, bytes: VirtualFile, rows: Rows) -> Self {
        let dtype = if width == 4 { Dtype::Int32 } else { Dtype::Int64 };
        Self { name, kind: Kind(dtype), bytes, rows }
    }

    /// Size in bytes of `elements` elements in a page.
    pub fn bytes(&self, elements: u64) -> u64 {
        match self.kind.0 {
            Dtype::Bool => elements.div_ceil(8),
            dtype if self.kind.physical() == 1 => elements * dtype.itemsize().max(4),
            dtype => elements * dtype.itemsize(),
        }
    }

    /// Writes the `SchemaElement`.
    pub fn describe(&self, writer: &mut Writer) {
        writer.begin();
        writer.i32(1, self.kind.physical());
        if self.kind.0 == Dtype::Float16 {
            writer.i32(2, 2);
        }
        writer.i32(3, 0); // required: no value is null
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
