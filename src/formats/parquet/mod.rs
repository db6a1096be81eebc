//! Apache Parquet: uncompressed `PLAIN` pages, which are the array's own bytes.
//!
//! ```text
//! PAR1
//! page header  elements        one page per column make up a row group of about a million elements
//! page header  elements
//! …                             all full row groups have the same size
//! footer  its length  PAR1
//! ```
//!
//! Specification: Apache Parquet's "File Format" and `parquet.thrift`.
//!
//! A vector is one column, `value`. A matrix is a table of `row`, `column` and `value` with one line per
//! element; for a sparse matrix, per stored element. One column per array column is not an option, because a
//! page holds consecutive values of one column, and the matrix is row-major.
//!
//! Integers of fewer than 32 bits, bool, and the row and column numbers are converted on read. All other
//! values are the store's own bytes. The footer has the first and the last row of each row group, so that
//! programs can skip row groups when they look for one row.

#[cfg(feature = "verify")]
pub(super) mod verify;

mod cast;
mod column;
mod footer;
mod numbers;
mod thrift;

use std::sync::Arc;

use super::Format;
use crate::array::selection::{Component, Part, Region, RowBounds, Selection};
use crate::bytes::virtual_file::{Extent, Piece, Repeated, VirtualFile};
use crate::daf::metadata::Shape;
use crate::encode::Rendered;
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use column::{Column, Rows};
use footer::{Groups, footer_end, footer_start, page_head};
use numbers::{Places, RowNumbers, width};

pub(super) struct Parquet;

const MAGIC: &[u8] = b"PAR1";
/// Elements of a row group.
const GROUP: u64 = 1 << 20;
/// Elements of the largest row group. A page has fewer than 2^31 bytes.
const LARGEST_GROUP: u64 = 1 << 27;
/// The number of row groups above which they are made larger.
const GROUPS: u64 = 1 << 15;
/// The most elements of a file: 2^22 of the largest row groups. The description of one takes fewer than 512
/// bytes, so that the footer stays below 2^31 bytes.
const MOST: u64 = LARGEST_GROUP << 22;

impl Parquet {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        let (columns, elements) = match part.component {
            Component::Matrix => sparse(selection)?,
            _ => dense(selection, part)?,
        };
        framed(columns.into(), elements, GROUP)
    }
}

impl Format for Parquet {
    fn extension(&self) -> &'static str {
        "parquet"
    }

    fn about(&self) -> &'static str {
        "a table for SQL: DuckDB, `polars.read_parquet`, `pandas.read_parquet`"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        (part.component.is_block() || part.component == Component::Matrix) && selection.count(part) <= MOST
    }

    fn is_listed(&self, part: Part) -> bool {
        matches!(part, Part { component: Component::Array | Component::Matrix, of: Region::Whole })
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

/// The columns of a dense array, and the number of elements.
fn dense(selection: &Selection, part: Part) -> Result<(Vec<Column>, u64)> {
    let block = selection.block(part)?;
    let elements = block.shape.elements();
    let mut all = Vec::new();
    if let Shape::Matrix(rows, columns) = block.shape {
        let numbers = |of_row, count| Places { columns, of_row, width: width(count) }.file(elements);
        let rows_of = Rows::Dense { columns };
        all.push(Column::of_numbers("row", width(rows), numbers(true, rows)?, rows_of));
        all.push(Column::of_numbers("column", width(columns), numbers(false, columns)?, Rows::Unknown));
    }
    all.push(Column::of("value", block)?);
    Ok((all, elements))
}

/// The columns of a sparse matrix, and the number of its stored elements.
fn sparse(selection: &Selection) -> Result<(Vec<Column>, u64)> {
    let block = |component| selection.block(Part { component, of: Region::Whole });
    let bounds = Arc::new(RowBounds::new(selection)?);
    let elements = bounds.nnz();
    let width = width(bounds.rows());
    let rows = RowNumbers { bounds: Arc::clone(&bounds), width }.file()?;
    let columns = vec![
        Column::of_numbers("row", width, rows, Rows::Sparse(bounds)),
        Column::of("column", block(Component::Indices)?)?,
        Column::of("value", block(Component::Data)?)?,
    ];
    Ok((columns, elements))
}

/// Assembles the file from columns with `elements` elements each, in row groups of at least `group` elements.
fn framed(columns: Arc<[Column]>, elements: u64, group: u64) -> Result<VirtualFile> {
    let group = elements.div_ceil(GROUPS).next_power_of_two().clamp(group, LARGEST_GROUP);
    let (full, rest) = (elements / group, elements % group);
    let groups = |first, place, elements, count| {
        let columns = Arc::clone(&columns);
        Groups { columns, first, place, elements, count }
    };
    let first = groups(0, MAGIC.len() as u64, group, full);
    let last = groups(full * group, first.place + full * first.group_bytes(), rest, u64::from(rest > 0));
    let count = first.count + last.count;
    let mut extents = vec![Extent::Literal(MAGIC.into())];
    let mut described = Vec::new();
    for groups in [first, last].into_iter().filter(|groups| groups.count > 0) {
        extents.push(Repeated::extent(pieces(&groups), groups.count)?);
        let length = groups.length();
        described.push(Extent::Generated { content: Arc::new(groups), length });
    }
    let footer = [footer_start(&columns, elements, count), footer_end(&columns)];
    let lengths = footer.iter().map(|bytes| bytes.len() as u64).chain(described.iter().map(Extent::len));
    let length = i32::try_from(lengths.sum::<u64>())
        .map_err(|_| Error::refused("", "more row groups than a file can have"))?;
    let [start, end] = footer;
    extents.push(Extent::Literal(start.into()));
    extents.extend(described);
    extents.push(Extent::Literal([&end, &length.to_le_bytes()[..], MAGIC].concat().into()));
    VirtualFile::new(extents)
}

/// The pieces of each row group: per column, a page header and the elements.
fn pieces(groups: &Groups) -> Vec<Piece> {
    let page = |column: &Column| {
        let length = column.bytes(groups.elements);
        let head = Piece::Same(page_head(groups.elements, length).into());
        [head, Piece::Dealt { of: column.bytes.clone(), first: column.bytes(groups.first), length }]
    };
    groups.columns.iter().flat_map(page).collect()
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use crate::array::selection::Block;
    use crate::array::selection::tests::{sparse_selection, sparse_with, whole};
    use crate::dtype::Dtype;

    fn value(dtype: Dtype, elements: u64) -> Column {
        let bytes: Vec<u8> = (0..elements * dtype.itemsize()).map(|i| i as u8).collect();
        let block = Block { dtype, shape: Shape::Vector(elements), bytes: VirtualFile::literal(bytes) };
        Column::of("value", block).unwrap()
    }

    /// pyarrow read the golden file; the reader tests check all other files of this kind.
    #[test]
    fn a_vector_is_the_golden_file() {
        let file = framed([value(Dtype::Uint16, 3)].into(), 3, GROUP).unwrap();
        assert_eq!(whole(&file), include_bytes!("../../../tests/golden/vector.parquet"));
    }

    #[test]
    fn groups_are_described_at_any_offset() {
        for elements in [0, 1, 8, 16, 3000, 40_001] {
            let places = Places { columns: 7, of_row: true, width: 4 }.file(elements).unwrap();
            let row = Column::of_numbers("row", 4, places, Rows::Dense { columns: 7 });
            let file = framed([row, value(Dtype::Bool, elements)].into(), elements, 8).unwrap();
            let bytes = whole(&file);
            // The computed length of the footer must lead to its first field, the version.
            let length = u32::from_le_bytes(*bytes[bytes.len() - 8..].first_chunk().unwrap()) as usize;
            let footer = &bytes[bytes.len() - 8 - length..];
            assert_eq!(footer[..3], [0x15, 4, 0x19], "{elements}");
            let group = bytes.windows(3).filter(|window| *window == [0x19, 0x2C, 0x26]).count() as u64;
            assert_eq!(group, elements.div_ceil(8), "{elements}");
        }
    }

    #[test]
    fn rows_of_stored_elements_are_numbered() {
        let counts = [0u64, 3, 0, 0, 70, 1, 2, 9, 0];
        let (_store, selection) = sparse_selection(&counts, 100);
        let (columns, elements) = sparse(&selection).unwrap();
        assert_eq!(elements, 85);
        let rows = (0u32..).zip(counts).flat_map(|(row, count)| vec![row; count as usize]);
        let expected: Vec<u8> = rows.flat_map(u32::to_le_bytes).collect();
        assert_eq!(whole(&columns[0].bytes), expected);
        whole(&framed(columns.into(), elements, 8).unwrap());
    }

    #[test]
    fn bounds_that_do_not_rise_to_nnz_are_an_error() {
        for indptr in [[1, 3, 5, 9], [0, 5, 3, 9], [0, 3, 12, 9], [0, 3, 5, 8], [0, 3, 5, 10]] {
            let (_store, selection) = sparse_with(&indptr, 9, 100);
            let rows = &sparse(&selection).unwrap().0[0].bytes;
            let mut bytes = vec![0; rows.len() as usize];
            assert!(matches!(rows.read_at(0, &mut bytes), Err(Error::Invalid { .. })), "{indptr:?}");
        }
    }

    #[test]
    fn places_of_elements_are_numbered() {
        for width in [4, 8] {
            let numbers = |of_row| whole(&Places { columns: 3, of_row, width }.file(8).unwrap());
            let bytes = |items: [u64; 8]| {
                items
                    .iter()
                    .flat_map(|item| item.to_le_bytes()[..width as usize].to_vec())
                    .collect::<Vec<_>>()
            };
            assert_eq!(numbers(true), bytes([0, 0, 0, 1, 1, 1, 2, 2]));
            assert_eq!(numbers(false), bytes([0, 1, 2, 0, 1, 2, 0, 1]));
        }
    }
}
