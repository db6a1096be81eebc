//! Rows of numbers, written as short as possible.
//!
//! ```text
//!        1.5,-0.25,17.0 \n     cells, each followed by one byte: a separator or a newline
//! name , 1.5,-0.25,17.0 \n     with names: one in front of each line, of known length
//! ```
//!
//! [`Offsets`] tells the length of each block of cells. The separator is always one byte, so all tables of
//! the same numbers (CSV, TSV, with names or without) share the same offsets.

use std::sync::Arc;

use super::axis::Axis;
use super::blocks;
use super::short::{Separators, Text, length};
use super::window::Window;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::text_index::{Key, Offsets};
use crate::bytes::virtual_file::{Fill, Generate, VirtualFile};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::rows::Rows;
use crate::store::source::Source;
use crate::word::to_usize;

/// Bytes of numbers measured at a time.
const PIECE: u64 = 1 << 20;

/// The elements of a block as short text, in lines of `columns` cells.
pub struct ShortTable {
    dtype: Dtype,
    bytes: VirtualFile,
    columns: u64,
    separator: u8,
    /// The names in front of the lines.
    names: Option<Axis>,
    offsets: Arc<Offsets>,
}

impl ShortTable {
    /// The numbers in `block`, which must be that of `part`, with `columns` of them and optionally a name
    /// in each line.
    ///
    /// # Errors
    ///
    /// Errors from reading the numbers. This reads all of them, unless their offsets are cached.
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

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.start(self.offsets.blocks())
    }

    /// Offset of a block of cells. If the block starts a line, this is the offset of the name in front of
    /// it.
    fn start(&self, block: u64) -> u64 {
        let names = self.names.as_ref().map_or(0, |names| {
            let lines = self.offsets.cell(block).div_ceil(self.columns);
            names.before(lines) + lines
        });
        self.offsets.before(block) + names
    }

    /// Appends these cells, with the names of lines that start among them.
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

/// The text offsets of the numbers of a part.
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
    // Do not cache offsets of an array that is still being written: they may be outdated at once.
    if !array.is_settled() {
        return all().map(Arc::new);
    }
    array.offsets.get_or_measure(key, || {
        let offsets = all()?;
        // Otherwise the offsets might mix two versions.
        block.bytes.sources().iter().try_for_each(|source| source.check_unchanged())?;
        Ok(offsets)
    })
}

fn key(selection: &Selection, part: Part) -> Key {
    let (rows, column) = match part.of {
        Region::Whole => (selection.rows(), None),
        Region::Row(i) => (selection.rows().only(i), None),
        Region::Column(j) => (selection.rows(), Some(j)),
    };
    Key { what: part.component.name(), rows, column }
}

/// If the selected rows are contiguous and the offsets of the whole array are cached: those offsets, and
/// the cells of these rows. This saves slices from measuring the numbers again.
fn whole(selection: &Selection, key: Key) -> Option<(Arc<Offsets>, std::ops::Range<u64>)> {
    let shape = selection.array().metadata.shape();
    let all = Key { rows: Rows::all(shape.rows()), ..key };
    let is_run = [Component::Array, Component::Dense].iter().any(|component| component.name() == key.what)
        && key.rows.is_contiguous()
        && key != all
        && selection.array().is_settled();
    let columns = if key.column.is_some() { 1 } else { shape.columns() };
    let (first, count) = (key.rows.start() * columns, key.rows.count() * columns);
    let known = is_run.then(|| selection.array().offsets.get(all))??;
    Some((known, first..first + count))
}

/// Appends the text length of each `size` cells.
fn measure(block: &Block, cells: std::ops::Range<u64>, size: u64, lengths: &mut Vec<u64>) -> Result<()> {
    let item = block.dtype.itemsize();
    let share = (PIECE / (size * item)).max(1) * size;
    let mut bytes = Vec::new();
    let mut at = cells.start;
    while at < cells.end {
        let count = share.min(cells.end - at);
        bytes.resize(to_usize(count * item), 0);
        block.bytes.read_exact_at(at * item, &mut bytes)?;
        let blocks = bytes.chunks(to_usize(size * item));
        lengths.extend(blocks.map(|items| length(block.dtype, items)));
        at += count;
    }
    Ok(())
}
