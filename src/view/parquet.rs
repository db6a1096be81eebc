//! Apache Parquet: `PLAIN` pages, not compressed, are the numbers as they lie.
//!
//! ```text
//! PAR1
//! page head  elements        one page for each column: a row group, of a million elements or so
//! page head  elements
//! …                          all full row groups are alike
//! footer  its length  PAR1
//! ```
//!
//! Apache Parquet's "File Format" and `parquet.thrift`. A vector is one column, `value`. A matrix has one
//! line for each element: `row`, `column` and `value`; a sparse one for each stored element. Columns of
//! integers below 32 bits, of truth values, and the numbers of rows and columns are made as they are read;
//! the rest is the store's own bytes. Of each row group the footer tells the first and the last row, so that
//! programs need not look at the others when they want a row.

mod cast;
mod column;
mod footer;
mod numbers;
mod thrift;

use std::sync::Arc;

use super::View;
use crate::error::{Error, Result};
use crate::format::Shape;
use crate::part::{Part, RowBounds, Scope, Selection, Thing};
use crate::vfile::{Extent, Piece, Repeated, VirtualFile};
use column::{Column, Rows};
use footer::{Groups, footer_end, footer_start, page_head};
use numbers::{Places, RowNumbers, width};

pub(super) struct Parquet;

const MAGIC: &[u8] = b"PAR1";
/// Elements of a row group.
const GROUP: u64 = 1 << 20;
/// Elements of the largest row group: a page has fewer than 2^31 bytes.
const LARGEST_GROUP: u64 = 1 << 27;
/// The most row groups that a file shall have: beyond, they are larger.
const GROUPS: u64 = 1 << 15;
/// The most elements: with 20 bytes for each a file is far from the end of all offsets.
const MOST: u64 = 1 << 56;

impl View for Parquet {
    fn format(&self) -> &'static str {
        "parquet"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        match part.thing {
            Thing::Matrix => true,
            Thing::Array | Thing::Dense => selection.shape().elements() <= MOST,
            thing => thing.is_block(),
        }
    }

    fn is_listed(&self, part: Part) -> bool {
        matches!(part, Part { thing: Thing::Array | Thing::Matrix, of: Scope::All })
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        let (columns, elements) = match part.thing {
            Thing::Matrix => sparse(selection)?,
            _ => dense(selection, part)?,
        };
        framed(columns.into(), elements)
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
    let block = |thing| selection.block(Part { thing, of: Scope::All });
    let bounds = Arc::new(RowBounds::new(selection)?);
    let elements = bounds.nnz();
    let width = width(bounds.rows());
    let rows = RowNumbers { bounds: Arc::clone(&bounds), width }.file()?;
    let columns = vec![
        Column::of_numbers("row", width, rows, Rows::Sparse(bounds)),
        Column::of("column", block(Thing::Indices)?)?,
        Column::of("value", block(Thing::Data)?)?,
    ];
    Ok((columns, elements))
}

/// The file of these columns, which all have so many elements.
fn framed(columns: Arc<[Column]>, elements: u64) -> Result<VirtualFile> {
    let group = elements.div_ceil(GROUPS).next_power_of_two().clamp(GROUP, LARGEST_GROUP);
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

/// What each of the groups has: of each column a page.
fn pieces(groups: &Groups) -> Vec<Piece> {
    let page = |column: &Column| {
        let length = column.bytes(groups.elements);
        let head = Piece::Same(page_head(groups.elements, length).into());
        [head, Piece::Dealt { of: column.bytes.clone(), first: column.bytes(groups.first), length }]
    };
    groups.columns.iter().flat_map(page).collect()
}
