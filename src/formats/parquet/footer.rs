//! Parquet's metadata: page headers, and the footer with a description of each row group.
//!
//! Field numbers are those in `parquet.thrift` of Apache Parquet's format 2.11. The length of a row group's
//! description varies, because offsets are varints. The total length is still computed by arithmetic, so that
//! only the descriptions that are read have to be written.

use std::sync::Arc;

use super::column::{Column, Rows};
use super::thrift::{Type, Writer, integers_length};
use crate::bytes::virtual_file::{Fill, Generate};
use crate::error::Result;
use crate::store::source::Source;

/// `Encoding.PLAIN` and `Encoding.RLE`.
const PLAIN: u64 = 0;
const RLE: u64 = 3;

/// The header of a page of `elements` elements: `PageHeader`.
pub(super) fn page_head(elements: u64, bytes: u64) -> Vec<u8> {
    let mut head = Writer::default();
    head.begin();
    head.i32(1, 0); // a data page
    head.i32(2, bytes);
    head.i32(3, bytes);
    head.begin_struct(5);
    head.i32(1, elements);
    head.i32(2, PLAIN);
    // The encodings of definition and repetition levels are required, although there are no levels.
    head.i32(3, RLE);
    head.i32(4, RLE);
    head.end();
    head.end();
    head.bytes
}

/// Consecutive row groups with the same number of elements.
pub(super) struct Groups {
    pub columns: Arc<[Column]>,
    /// Index of the first element of the first group.
    pub first: u64,
    /// Offset of the first group in the file.
    pub place: u64,
    /// Number of elements in each group.
    pub elements: u64,
    pub count: u64,
}

impl Groups {
    /// For each column, the offset of its page within the group and the size of the page with its header; and
    /// the size of the group. All in bytes.
    fn pages(&self) -> (Vec<(u64, u64)>, u64) {
        let mut end = 0;
        let pages = self.columns.iter().map(|column| {
            let start = end;
            let bytes = column.bytes(self.elements);
            end += page_head(self.elements, bytes).len() as u64 + bytes;
            (start, end - start)
        });
        let pages = pages.collect();
        (pages, end)
    }

    /// Size of one group in bytes.
    pub fn group_bytes(&self) -> u64 {
        self.pages().1
    }

    /// Size in bytes of the descriptions of the first `count` groups. `fixed` is the result of
    /// [`Self::fixed`].
    fn described(&self, count: u64, fixed: u64) -> u64 {
        let (pages, bytes) = self.pages();
        let places = pages.iter().map(|(start, _)| integers_length(self.place + start, bytes, count));
        fixed * count + places.sum::<u64>()
    }

    /// Size in bytes of a description without the offsets of its pages, the only fields whose length varies.
    fn fixed(&self) -> u64 {
        let mut writer = Writer::default();
        self.describe(0, &self.columns.iter().map(|_| (0, 0)).collect::<Vec<_>>(), &mut writer);
        let (pages, _) = self.pages();
        let places = pages.iter().map(|(start, _)| integers_length(self.place + start, 1, 1));
        writer.bytes.len() as u64 - places.sum::<u64>()
    }

    /// Size of all descriptions in bytes.
    pub fn length(&self) -> u64 {
        self.described(self.count, self.fixed())
    }

    /// The lowest and highest row number in a group, for each column that has them in its statistics. They
    /// are zero for other columns.
    fn ranges(&self, group: u64) -> Result<Vec<(u64, u64)>> {
        let first = self.first + group * self.elements;
        let last = first + self.elements - 1;
        let range = |column: &Column| match &column.rows {
            Rows::Unknown => Ok((0, 0)),
            Rows::Dense { columns } => Ok((first / columns, last / columns)),
            Rows::Sparse(bounds) => {
                let low = bounds.row_of(first, 0)?;
                Ok((low, bounds.row_of(last, low)?))
            }
        };
        self.columns.iter().map(range).collect()
    }

    /// Writes the `RowGroup`.
    fn describe(&self, group: u64, ranges: &[(u64, u64)], writer: &mut Writer) {
        let (pages, bytes) = self.pages();
        let place = self.place + group * bytes;
        writer.begin();
        writer.list(1, self.columns.len() as u64, Type::Struct);
        for ((column, (start, length)), range) in self.columns.iter().zip(pages).zip(ranges) {
            writer.begin(); // ColumnChunk
            writer.i64(2, 0);
            writer.begin_struct(3); // ColumnMetaData
            writer.i32(1, column.kind.physical());
            writer.list(2, 1, Type::I32);
            writer.integer(PLAIN);
            writer.list(3, 1, Type::Binary);
            writer.text(column.name.as_bytes());
            writer.i32(4, 0); // not compressed
            writer.i64(5, self.elements);
            writer.i64(6, length);
            writer.i64(7, length);
            writer.i64(9, place + start);
            writer.begin_struct(12); // Statistics
            writer.i64(3, 0);
            if !matches!(column.rows, Rows::Unknown) {
                let width = usize::try_from(column.bytes(1)).unwrap_or(8);
                writer.binary(5, &range.1.to_le_bytes()[..width]);
                writer.binary(6, &range.0.to_le_bytes()[..width]);
            }
            writer.end();
            writer.end();
            writer.end();
        }
        writer.i64(2, bytes);
        writer.i64(3, self.elements);
        writer.end();
    }
}

impl Generate for Groups {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let (fixed, offset) = (self.fixed(), out.wanted());
        let (mut low, mut high) = (0, self.count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.described(middle, fixed) <= offset { low = middle } else { high = middle }
        }
        out.seek(self.described(low, fixed))?;
        for group in low..self.count {
            if out.is_full() {
                break;
            }
            let mut writer = Writer::default();
            self.describe(group, &self.ranges(group)?, &mut writer);
            out.put(&writer.bytes);
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        let of = |column: &Column| match &column.rows {
            Rows::Sparse(bounds) => bounds.sources(),
            _ => Vec::new(),
        };
        self.columns.iter().flat_map(of).collect()
    }
}

/// The `FileMetaData` before the row groups.
pub(super) fn footer_start(columns: &[Column], elements: u64, groups: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin();
    writer.i32(1, 2); // version
    writer.list(2, columns.len() as u64 + 1, Type::Struct);
    writer.begin();
    writer.binary(4, b"schema");
    writer.i32(5, columns.len() as u64);
    writer.end();
    columns.iter().for_each(|column| column.describe(&mut writer));
    writer.i64(3, elements);
    writer.list(4, groups, Type::Struct);
    writer.bytes
}

/// The `FileMetaData` after the row groups.
pub(super) fn footer_end(columns: &[Column]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin();
    // The version is that of the layout and not of the program, so that the same array gives the same bytes.
    writer.binary(6, b"arrayfs version 1.0.0");
    // The order of values in the statistics is the natural order of the type, for all columns.
    writer.list(7, columns.len() as u64, Type::Struct);
    for _ in columns {
        writer.begin();
        writer.empty_struct(1);
        writer.end();
    }
    writer.end();
    // Field numbers are encoded as differences. This writer started at 0, but the field before is number 4.
    writer.bytes[0] -= 4 << 4;
    writer.bytes
}
