//! Rows of numbers as short as they can be.
//!
//! ```text
//!        1.5,-0.25,17.0 \n     the cells, and behind each what follows it: a separator or a newline
//! name , 1.5,-0.25,17.0 \n     with names: in front of each line one, whose length is known
//! ```
//!
//! The bytes of a block of cells are known from [`Offsets`], whatever stands between the cells: it is one byte,
//! so all tables of the same numbers share them.

use std::sync::Arc;

use super::axis::Axis;
use super::blocks;
use super::short::{Separators, Text, length};
use super::window::Window;
use crate::array::selection::{Block, Part, Scope, Selection, Thing};
use crate::bytes::text_index::{Key, Offsets};
use crate::bytes::virtual_file::{Fill, Generate, VirtualFile};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::rows::Rows;
use crate::store::source::Source;

/// Bytes of numbers that are measured at once.
const PIECE: u64 = 1 << 20;

/// The elements of a block, so many on a line, as short text.
pub struct ShortTable {
    dtype: Dtype,
    bytes: VirtualFile,
    columns: u64,
    separator: u8,
    /// In front of each line.
    names: Option<Axis>,
    offsets: Arc<Offsets>,
}

impl ShortTable {
    /// The numbers of a part, which are this block, `columns` of them on a line, a name in front of each line if there are any.
    ///
    /// # Errors
    ///
    /// Whatever reading the numbers gives: all are looked at, unless somebody did so before.
    pub fn new(
        selection: &Selection,
        part: Part,
        block: Block,
        columns: u64,
        separator: u8,
        names: Option<Axis>,
    ) -> Result<Self> {
        let offsets = offsets(selection, part, &block)?;
        Ok(Self { dtype: block.dtype, bytes: block.bytes, columns, separator, names, offsets })
    }

    /// Bytes of the whole.
    pub fn length(&self) -> u64 {
        self.start(self.offsets.blocks())
    }

    /// Where a block of cells starts: with the name in front of it, if it starts a line.
    fn start(&self, block: u64) -> u64 {
        let names = self.names.as_ref().map_or(0, |names| {
            let lines = self.offsets.cell(block).div_ceil(self.columns);
            names.before(lines) + lines
        });
        self.offsets.before(block) + names
    }

    /// Appends the cells from one on up to another.
    fn write(&self, cells: std::ops::Range<u64>, window: &mut Window<'_>, text: &mut Text) -> Result<()> {
        let mut at = cells.start;
        while at < cells.end {
            let most = match &self.names {
                None => cells.end - at,
                Some(_) => (cells.end - at).min(self.columns - at % self.columns),
            };
            let items = window.items(at, most)?;
            if let Some(names) = self.names.as_ref().filter(|_| at.is_multiple_of(self.columns)) {
                names.write(at / self.columns, text);
                text.push(&[self.separator]);
            }
            text.push_items(self.dtype, items, &mut Separators::from(at, self.columns, self.separator));
            at += items.len() as u64 / self.dtype.itemsize();
        }
        Ok(())
    }
}

impl Generate for ShortTable {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let (blocks, start) = (self.offsets.blocks(), |block| self.start(block));
        let last = blocks::find(blocks, &start, out.end().saturating_sub(1));
        let mut window = Window::new(&self.bytes, self.dtype.itemsize(), self.offsets.cell(last + 1));
        blocks::put(self, out, blocks, &start, &mut |block, text| {
            self.write(self.offsets.cell(block)..self.offsets.cell(block + 1), &mut window, text)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.bytes.sources()
    }
}

/// Where the text of the numbers of a part is.
fn offsets(selection: &Selection, part: Part, block: &Block) -> Result<Arc<Offsets>> {
    let measure = |first, last, size, out: &mut Vec<u64>| measure(block, first..last, size, out);
    let all = || Offsets::measure(block.shape.elements(), &measure);
    let array = selection.array();
    let key = key(selection, part);
    if let Some((whole, cells)) = whole(selection, key) {
        let within = |first, last, size, out: &mut Vec<u64>| {
            measure(first - cells.start, last - cells.start, size, out)
        };
        return whole.part(cells.start, cells.end, &within).map(Arc::new);
    }
    // Of numbers that are being written they are those of now, and worth nothing the next moment.
    if !array.is_settled() {
        return all().map(Arc::new);
    }
    array.offsets.get_or_measure(key, || {
        let offsets = all()?;
        // Else they might be those of no version.
        block.bytes.sources().iter().try_for_each(|source| source.check_unchanged())?;
        Ok(offsets)
    })
}

fn key(selection: &Selection, part: Part) -> Key {
    let (rows, column) = match part.of {
        Scope::All => (selection.rows(), None),
        Scope::Row(i) => (selection.rows().only(i), None),
        Scope::Column(j) => (selection.rows(), Some(j)),
    };
    Key { what: part.thing.name(), rows, column }
}

/// The offsets of the whole array, where they are known and the rows are a run of it; and the cells of that run.
fn whole(selection: &Selection, key: Key) -> Option<(Arc<Offsets>, std::ops::Range<u64>)> {
    let shape = selection.array().metadata.shape();
    let all = Key { rows: Rows::all(shape.rows()), ..key };
    let is_run = [Thing::Array, Thing::Dense].iter().any(|thing| thing.name() == key.what)
        && key.rows.is_contiguous()
        && key != all
        && selection.array().is_settled();
    let columns = if key.column.is_some() { 1 } else { shape.columns() };
    let (first, count) = (key.rows.start() * columns, key.rows.count() * columns);
    let known = is_run.then(|| selection.array().offsets.get(all))??;
    Some((known, first..first + count))
}

/// Appends the bytes of each so many numbers of these.
fn measure(block: &Block, cells: std::ops::Range<u64>, size: u64, lengths: &mut Vec<u64>) -> Result<()> {
    let item = block.dtype.itemsize();
    let share = (PIECE / (size * item)).max(1) * size;
    let mut bytes = Vec::new();
    let mut at = cells.start;
    while at < cells.end {
        let count = share.min(cells.end - at);
        bytes.resize(usize::try_from(count * item).unwrap_or(usize::MAX), 0);
        block.bytes.read_exact_at(at * item, &mut bytes)?;
        let blocks = bytes.chunks(usize::try_from(size * item).unwrap_or(usize::MAX));
        lengths.extend(blocks.map(|items| length(block.dtype, items)));
        at += count;
    }
    Ok(())
}
