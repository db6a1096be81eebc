//! Apache Arrow's IPC file format (Feather version 2): the array's own bytes, in batches of rows.
//!
//! ```text
//! ARROW1 0 0  schema message
//! batch message  elements of some rows  zeros      all full batches have the same size
//! batch message  elements of the rest   zeros
//! FFFFFFFF 00000000
//! footer: schema, offset of each batch  its length  ARROW1
//! ```
//!
//! Specification: Apache Arrow, "Columnar Format", section "IPC File Format". Every section is padded to 64
//! bytes.
//!
//! - A vector is one column of numbers, `value`.
//! - A dense matrix is one column, `elements`, of fixed-size lists, one per row. It is not one Arrow column
//!   per array column, because Arrow stores columns separately, and a row-major matrix would have to be
//!   copied.
//! - A sparse matrix is one column, `elements`, of lists of (column, value). The name is not `array`, which
//!   SQL takes for a function.
//! - bool is the canonical extension type `arrow.bool8`, one byte each.

#[cfg(feature = "verify")]
pub(super) mod verify;

mod message;
mod sparse;

use std::sync::Arc;

use super::Format;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::virtual_file::{Extent, Fill, Generate, Piece, Repeated, VirtualFile};
use crate::daf::metadata::Shape;
use crate::encode::Rendered;
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::store::source::Source;
use message::{Field, Kind, aligned};

pub(super) struct Arrow;

const MAGIC: &[u8] = b"ARROW1";
/// Marks the end of the batches.
const END: &[u8] = &[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
/// Target size of a batch in bytes. Some programs read a whole batch to get at one row, so it must not be
/// large.
const BATCH: u64 = 16 << 20;
/// Above this number of batches they grow, because other programs read the metadata of every batch on open.
const MANY: u64 = 2048;
/// Batches do not grow beyond this size in bytes unless there would be more than `MOST` of them.
const LARGEST: u64 = 64 << 20;
const MOST: u64 = 1 << 16;
/// Name of the column of lists: the elements of one row.
const ELEMENTS: &str = "elements";
/// Size in bytes of a batch's entry in the footer.
const ENTRY: usize = 24;

impl Arrow {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        match part.component {
            Component::Matrix => sparse::file(selection, BATCH),
            _ => dense(&selection.block(part)?, BATCH),
        }
    }
}

impl Format for Arrow {
    fn extension(&self) -> &'static str {
        "arrow"
    }

    fn about(&self) -> &'static str {
        "Arrow's file format, in batches: `polars.read_ipc`, `pyarrow.ipc.open_file`"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        // The length of a fixed-size list is an int32 in Arrow's schema.
        let is_list = matches!(selection.shape(), Shape::Matrix(_, columns) if columns > i32::MAX as u64);
        match part {
            Part { component: Component::Matrix, of: Region::Whole } => true,
            Part { component: Component::Array | Component::Dense, of: Region::Whole } => !is_list,
            Part { component, .. } => component.is_block(),
        }
    }

    fn is_listed(&self, _: Part) -> bool {
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

/// The number of rows in a batch of about `batch` bytes, for `rows` rows with `bytes` bytes in total.
fn rows_of_batch(rows: u64, bytes: u64, batch: u64) -> u64 {
    let row = (bytes / rows).max(1);
    let batch = (bytes / MANY).clamp(batch, LARGEST).max(bytes / MOST);
    let fit = (batch / row).clamp(1, rows);
    // A multiple of 64 rows needs no padding, whatever the item size.
    if fit < 64 || fit == rows { fit } else { fit & !63 }
}

/// Renders a dense array in batches of about `batch` bytes.
fn dense(block: &Block, batch: u64) -> Result<VirtualFile> {
    let number = |name| Field { name, kind: Kind::Number(block.dtype) };
    let field = match block.shape {
        Shape::Vector(_) => number("value"),
        Shape::Matrix(_, columns) => {
            let columns = i32::try_from(columns).unwrap_or(i32::MAX);
            Field { name: ELEMENTS, kind: Kind::Rows(columns, Box::new(number("item"))) }
        }
    };
    let row_bytes = block.shape.columns() * block.dtype.itemsize();
    let total = block.shape.rows();
    // An empty component of a sparse matrix has no batch at all.
    let rows = if total == 0 { 1 } else { rows_of_batch(total, block.bytes.len(), batch) };
    // All full batches, then the remaining rows as one smaller batch.
    let batches = [
        (0, rows, total / rows),
        (total / rows * rows, total % rows, u64::from(!total.is_multiple_of(rows))),
    ];
    let mut extents = Vec::new();
    let mut places = Places { first: 0, message: 0, body: 0, count: 0, last: None };
    for (first, rows, count) in batches.into_iter().filter(|(.., count)| *count > 0) {
        let batch = Batch::new(block, rows, row_bytes);
        match places.count {
            0 => places = Places { message: batch.message.len() as u64, body: batch.body, count, ..places },
            _ => places.last = Some((batch.message.len() as u64, batch.body)),
        }
        extents
            .push(Repeated::extent(batch.pieces(&block.bytes, first * row_bytes, rows * row_bytes), count)?);
    }
    framed(&field, extents, |first| Places { first, ..places })
}

/// The metadata that all batches with the same number of rows share.
struct Batch {
    message: Vec<u8>,
    /// Size of the body, which follows the message, in bytes.
    body: u64,
}

impl Batch {
    fn new(block: &Block, rows: u64, row_bytes: u64) -> Self {
        let bytes = rows * row_bytes;
        let body = aligned(bytes);
        let items = rows * block.shape.columns();
        // Each level of nesting has a validity buffer, which may be empty if no value is null.
        let (nodes, buffers) = match block.shape {
            Shape::Vector(_) => (vec![rows], vec![(0, 0), (0, bytes)]),
            Shape::Matrix(..) => (vec![rows, items], vec![(0, 0), (0, 0), (0, bytes)]),
        };
        Self { message: message::batch_message(rows, &nodes, &buffers, body), body }
    }

    fn pieces(self, of: &VirtualFile, first: u64, length: u64) -> Vec<Piece> {
        let fill = usize::try_from(self.body - length).unwrap_or(0);
        vec![
            Piece::Same(self.message.into()),
            Piece::Dealt { of: of.clone(), first, length },
            Piece::Same(vec![0; fill].into()),
        ]
    }
}

/// The footer entries of a file: where its batches are.
trait Batches: Generate + 'static {
    fn count(&self) -> u64;
}

/// Assembles the file from its batches. `places` creates the footer entries from the offset of the first
/// batch.
fn framed<P: Batches>(
    field: &Field,
    batches: Vec<Extent>,
    places: impl FnOnce(u64) -> P,
) -> Result<VirtualFile> {
    let mut start = MAGIC.to_vec();
    start.resize(8, 0);
    let schema = message::schema_message(field, start.len() as u64);
    start.extend_from_slice(&schema);
    let places = places(start.len() as u64);
    // The format has 32 bits for the number of batches, and 31 for the size of the footer.
    let count = places.count();
    let listed = u32::try_from(count).map_err(|_| Error::refused("", "more batches than a file can have"))?;
    let footer = [END, &message::footer(field, listed)].concat();
    let footer_bytes = (footer.len() - END.len()) as u64 + count * ENTRY as u64;
    let footer_bytes =
        i32::try_from(footer_bytes).map_err(|_| Error::refused("", "more batches than a file can have"))?;
    let entries = Extent::Generated { content: Arc::new(places), length: count * ENTRY as u64 };
    let end = [&footer_bytes.to_le_bytes(), MAGIC].concat();
    let head = [Extent::Literal(start.into())].into_iter().chain(batches);
    VirtualFile::new(head.chain([Extent::Literal(footer.into()), entries, Extent::Literal(end.into())]))
}

/// Batches at equal distances. Only the last one may have a different size.
struct Places {
    /// Offset of the first batch in the file.
    first: u64,
    /// Sizes in bytes of each message, and of the body after it.
    message: u64,
    body: u64,
    /// Number of batches of this size.
    count: u64,
    /// Sizes of the message and body of the last batch, if they differ.
    last: Option<(u64, u64)>,
}

impl Batches for Places {
    fn count(&self) -> u64 {
        self.count + u64::from(self.last.is_some())
    }
}

impl Generate for Places {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        out.put_items(ENTRY as u64, self.count(), &mut |first, out| {
            let entries = out.as_chunks_mut::<ENTRY>().0;
            for (i, entry) in (first..).zip(&mut *entries) {
                let (message, body) =
                    self.last.filter(|_| i == self.count).unwrap_or((self.message, self.body));
                let place = self.first + i * (self.message + self.body);
                *entry = message::footer_block(place, u32::try_from(message).unwrap_or(u32::MAX), body);
            }
            Ok(entries.len() as u64)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        Vec::new()
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use crate::array::selection::tests::{sparse_selection, sparse_with, whole};
    use crate::dtype::Dtype;

    fn block(shape: Shape) -> Block {
        let bytes: Vec<u8> = (0..shape.elements() * 2).map(|i| i as u8).collect();
        Block { dtype: Dtype::Int16, shape, bytes: VirtualFile::literal(bytes) }
    }

    /// pyarrow read the golden file; the reader tests check all other files of this kind.
    #[test]
    fn a_vector_is_the_golden_file() {
        assert_eq!(
            whole(&dense(&block(Shape::Vector(3)), BATCH).unwrap()),
            include_bytes!("../../../tests/golden/vector.arrow")
        );
    }

    /// The batches that the footer lists, as bytes of message and body.
    fn batches(file: &[u8]) -> Vec<(&[u8], &[u8])> {
        let end = file.len() - 10;
        assert_eq!(&file[end + 4..], MAGIC);
        let length = u32::from_le_bytes(*file[end..].first_chunk().unwrap()) as usize;
        let footer = &file[end - length..end];
        let number = |at: usize| u64::from_le_bytes(*footer[at..].first_chunk().unwrap()) as usize;
        let mut entries = Vec::new();
        let mut at = footer.len();
        // Entries are read from the last to the first, until the vector's length field precedes them.
        loop {
            at -= ENTRY;
            let (place, message, body) = (number(at), number(at + 8), number(at + 16));
            let body_at = place + message;
            entries.push((&file[place..body_at], &file[body_at..body_at + body]));
            if number(at - 4) as u32 as usize == entries.len() {
                entries.reverse();
                return entries;
            }
        }
    }

    #[test]
    fn batches_are_where_the_footer_says() {
        for (rows, columns, batch, count) in
            [(10, 3, 24, 3), (8, 3, 24, 2), (7, 100, 1, 7), (200, 1, 130, 4), (5, 5, 1000, 1)]
        {
            let block = block(Shape::Matrix(rows, columns));
            let file = whole(&dense(&block, batch).unwrap());
            let batches = batches(&file);
            assert_eq!(batches.len(), count, "{rows} x {columns}");
            let mut elements = whole(&block.bytes);
            for (message, body) in batches {
                assert_eq!((&message[..4], message.len() % 64, body.len() % 64), (&[0xFF; 4][..], 0, 0));
                let here = elements.len().min(body.len() - body.len() % (columns as usize * 2));
                let here = elements.drain(..here).collect::<Vec<_>>();
                // The last body may be padded. Elements that do not match belong to the next batch.
                let same = here.iter().zip(body).take_while(|(a, b)| a == b).count();
                elements.splice(0..0, here[same..].iter().copied());
            }
            assert!(elements.is_empty(), "{rows} x {columns}: {} left", elements.len());
        }
    }

    #[test]
    fn no_elements_are_no_batches() {
        assert_eq!(batches_listed(&whole(&dense(&block(Shape::Vector(0)), BATCH).unwrap())), 0);
    }

    fn batches_listed(file: &[u8]) -> u32 {
        u32::from_le_bytes(*file[file.len() - 14..].first_chunk().unwrap())
    }

    #[test]
    fn sparse_batches_are_where_the_footer_says() {
        // Number of stored elements in each row.
        let counts = [0u64, 3, 0, 0, 70, 1, 2, 9, 0];
        let (_store, selection) = sparse_selection(&counts, 100);
        for batch in [1, 100, 300, BATCH] {
            let file = sparse::file(&selection, batch).unwrap();
            let bytes = whole(&file);
            let mut found = Vec::new();
            for (message, body) in batches(&bytes) {
                assert_eq!((&message[..4], message.len() % 64, body.len() % 64), (&[0xFF; 4][..], 0, 0));
                found.push(body[..8].to_vec());
            }
            assert!(found.iter().all(|bound| *bound == [0; 8]), "the bounds of a batch start at 0");
            assert_eq!(found.len() == 1, batch == BATCH);
        }
    }

    #[test]
    fn bounds_that_do_not_rise_to_nnz_are_an_error() {
        for indptr in [[1, 3, 5, 9], [0, 5, 3, 9], [0, 3, 12, 9], [0, 3, 5, 8], [0, 3, 5, 10]] {
            for batch in [1, BATCH] {
                let (_store, selection) = sparse_with(&indptr, 9, 100);
                let file = sparse::file(&selection, batch).unwrap();
                let mut bytes = vec![0; file.len() as usize];
                assert!(matches!(file.read_at(0, &mut bytes), Err(Error::Invalid { .. })), "{indptr:?}");
            }
        }
    }
}
