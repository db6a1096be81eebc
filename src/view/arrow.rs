//! Apache Arrow's IPC file, which is Feather version 2: the numbers as they lie, in batches of rows.
//!
//! ```text
//! ARROW1 0 0  schema message
//! batch message  elements of some rows  zeros      all full batches are alike
//! batch message  elements of the rest   zeros
//! FFFFFFFF 00000000
//! footer: schema, place of each batch  its length  ARROW1
//! ```
//!
//! Apache Arrow, "Columnar Format", section "IPC File Format". Everything fills up to 64 bytes. A dense
//! matrix is one column, `elements`, of lists of fixed size, a row each, since Arrow's columns are apart and
//! a row-major matrix's are not. A vector is one column of numbers, `value`, and a sparse matrix one of
//! lists of column and value. (`array` would be a function to SQL.) bool is the canonical extension
//! `arrow.bool8`, a byte each.
//!
//! The batches are of about 16 MiB: what reads one row reads a whole batch, in some programs.

mod message;
mod sparse;

use std::sync::Arc;

use super::View;
use crate::error::{Error, Result};
use crate::format::Shape;
use crate::part::{Block, Part, Scope, Selection, Thing};
use crate::source::Source;
use crate::vfile::{Extent, Generate, Piece, Repeated, VirtualFile, read_items};
use message::{Field, Kind, aligned};

pub(super) struct Arrow;

const MAGIC: &[u8] = b"ARROW1";
/// The end of the batches.
const END: &[u8] = &[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
/// Bytes of a batch, about.
const BATCH: u64 = 16 << 20;
/// The most batches that a file shall have, about: beyond, they are larger.
const BATCHES: u64 = 1 << 16;
/// The column that has a row's elements.
const ELEMENTS: &str = "elements";
/// Bytes of a batch's entry in the footer.
const ENTRY: u64 = 24;

impl View for Arrow {
    fn format(&self) -> &'static str {
        "arrow"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_list = matches!(selection.shape(), Shape::Matrix(_, columns) if columns > i32::MAX as u64);
        match part {
            Part { thing: Thing::Matrix, of: Scope::All } => true,
            Part { thing: Thing::Array | Thing::Dense, of: Scope::All } => !is_list,
            Part { thing, .. } => thing.is_block(),
        }
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        match part.thing {
            Thing::Matrix => sparse::file(selection),
            _ => dense(&selection.block(part)?),
        }
    }
}

/// Rows of a batch, where `rows` rows have so many bytes in all.
fn rows_of_batch(rows: u64, bytes: u64) -> u64 {
    let row = (bytes / rows).max(1);
    let fit = (BATCH.max(bytes / BATCHES) / row).clamp(1, rows);
    // Of a multiple of 64 rows there is nothing to fill up.
    if fit > 64 { fit & !63 } else { fit }
}

fn dense(block: &Block) -> Result<VirtualFile> {
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
    // The parts of a sparse matrix may have no elements, and then there is no batch.
    let rows = if total == 0 { 1 } else { rows_of_batch(total, block.bytes.len()) };
    let batches = [(0, rows, total / rows), (total / rows * rows, total % rows, u64::from(total % rows > 0))];
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

/// What all batches of so many rows have.
struct Batch {
    message: Vec<u8>,
    /// Bytes after the message.
    body: u64,
}

impl Batch {
    fn new(block: &Block, rows: u64, row_bytes: u64) -> Self {
        let bytes = rows * row_bytes;
        let body = aligned(bytes);
        let items = rows * block.shape.columns();
        // A buffer that tells missing values comes before each: there are none missing, and no buffer.
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

/// Where the batches of a file are.
trait Batches: Generate + 'static {
    fn count(&self) -> u64;
}

/// The batches with what stands around them; `places` makes the footer's entries, told where the first
/// batch is.
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
    let count = places.count();
    let listed = u32::try_from(count).map_err(|_| Error::refused("", "more batches than a file can have"))?;
    let footer = [END, &message::footer(field, listed)].concat();
    let footer_bytes = (footer.len() - END.len()) as u64 + count * ENTRY;
    let footer_bytes =
        i32::try_from(footer_bytes).map_err(|_| Error::refused("", "more batches than a file can have"))?;
    let entries = Extent::Generated { content: Arc::new(places), length: count * ENTRY };
    let end = [&footer_bytes.to_le_bytes(), MAGIC].concat();
    let head = [Extent::Literal(start.into())].into_iter().chain(batches);
    VirtualFile::new(head.chain([Extent::Literal(footer.into()), entries, Extent::Literal(end.into())]))
}

/// Batches at equal distances; the last may be of another size.
struct Places {
    /// Where the first is.
    first: u64,
    /// Bytes of a message, and of the body after it.
    message: u64,
    body: u64,
    /// Batches of this size.
    count: u64,
    /// Message and body of the last, where it has others.
    last: Option<(u64, u64)>,
}

impl Batches for Places {
    fn count(&self) -> u64 {
        self.count + u64::from(self.last.is_some())
    }
}

impl Generate for Places {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        read_items(offset, buffer, ENTRY, |first, out| {
            for (i, entry) in (first..).zip(out.as_chunks_mut::<{ ENTRY as usize }>().0) {
                let (message, body) =
                    self.last.filter(|_| i == self.count).unwrap_or((self.message, self.body));
                let place = self.first + i * (self.message + self.body);
                *entry = message::footer_block(place, u32::try_from(message).unwrap_or(u32::MAX), body);
            }
            Ok(())
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        Vec::new()
    }
}
