//! Rows of cells.
//!
//! ```text
//! cell , cell , cell \n          without names: every cell and its separator have the same width,
//! cell , cell , cell \n          so the cell at any byte follows by arithmetic
//!
//!      , name , name , name \n   with names: the start of a line is a sum of name lengths, found by
//! name , cell , cell , cell \n   binary search; the cells in it again have equal width
//! ```

use std::sync::Arc;

use super::axis::Axis;
use super::cell;
use super::lines::length_of;
use super::window::Window;
use crate::array::selection::Block;
use crate::bytes::virtual_file::{Fill, Generate, VirtualFile};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::store::source::Source;
use crate::word::to_usize;

/// The elements of a block, in lines of `columns` cells.
pub struct Table {
    dtype: Dtype,
    bytes: VirtualFile,
    columns: u64,
    separator: u8,
    length: u64,
}

impl Table {
    /// The elements of a block, in lines of `columns` cells. `None` if no file can be that long.
    pub fn new(block: Block, columns: u64, separator: u8) -> Option<Self> {
        let length = Self::length_of(block.dtype, block.shape.elements())?;
        Some(Self { dtype: block.dtype, bytes: block.bytes, columns, separator, length })
    }

    /// Length in bytes of a table with this many elements. `None` if no file can be that long.
    pub fn length_of(dtype: Dtype, elements: u64) -> Option<u64> {
        length_of(elements, cell::width(dtype) + 1)
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of a cell with its separator.
    fn width(&self) -> usize {
        cell::width(self.dtype) + 1
    }

    /// A writer of cells that reads no element from `limit` on.
    fn cells(&self, limit: u64) -> Cells<'_> {
        Cells { table: self, window: Window::new(&self.bytes, self.dtype.itemsize(), limit) }
    }

    /// Writes the separator or newline after each cell; `first` is the number of the first cell.
    fn separate(&self, first: u64, cells: &mut [u8]) {
        let width = self.width();
        if self.columns == 1 {
            return cells.chunks_exact_mut(width).for_each(|cell| cell[width - 1] = b'\n');
        }
        cells.chunks_exact_mut(width).for_each(|cell| cell[width - 1] = self.separator);
        let last = to_usize(self.columns - 1 - first % self.columns);
        let step = to_usize(self.columns);
        cells.chunks_exact_mut(width).skip(last).step_by(step).for_each(|cell| cell[width - 1] = b'\n');
    }
}

impl Generate for Table {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let width = self.width() as u64;
        let mut cells = self.cells(out.end().div_ceil(width));
        out.put_items(width, self.length / width, &mut |first, room| cells.write(first, room))
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.bytes.sources()
    }
}

/// Writes the cells of a table for one read, with the buffer that this needs.
struct Cells<'t> {
    table: &'t Table,
    window: Window<'t>,
}

impl Cells<'_> {
    /// Writes the cells from `first` on, as many as the buffered elements provide. Returns their number.
    fn write(&mut self, first: u64, out: &mut [u8]) -> Result<u64> {
        let (dtype, width) = (self.table.dtype, self.table.width());
        let items = self.window.items(first, (out.len() / width) as u64)?;
        let count = items.len() as u64 / dtype.itemsize();
        let cells = &mut out[..to_usize(count) * width];
        cell::write(dtype, items, cells, width);
        self.table.separate(first, cells);
        Ok(count)
    }
}

/// A table with a name in front of each line.
pub struct NamedTable {
    names: Axis,
    table: Table,
}

impl NamedTable {
    /// Puts a name in front of each line of the table.
    pub fn new(names: Axis, table: Table) -> Self {
        Self { names, table }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.start(self.names.count())
    }

    /// Bytes of the cells in one line.
    fn line_cells(&self) -> u64 {
        self.table.columns * self.table.width() as u64
    }

    /// Offset of a line.
    fn start(&self, row: u64) -> u64 {
        self.names.before(row) + row * (self.line_cells() + 1)
    }

    /// The name of a line with its separator.
    fn front(&self, row: u64) -> Vec<u8> {
        let mut front = Vec::new();
        self.names.append(row, &mut front);
        front.push(self.table.separator);
        front
    }
}

impl Generate for NamedTable {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let (columns, width) = (self.table.columns, self.table.width() as u64);
        let first = self.names.find(out.wanted(), self.line_cells() + 1);
        // Limit how far the window reads ahead: at most, all wanted bytes are cells.
        let most = (out.end() - out.wanted()) / width + 1;
        let mut cells = self.table.cells((first + 1) * columns + most);
        out.seek(self.start(first))?;
        for row in first..self.names.count() {
            if out.is_full() {
                break;
            }
            out.put(&self.front(row));
            out.put_items(width, columns, &mut |i, room| cells.write(row * columns + i, room))?;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.table.bytes.sources()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{dense, text};
    use super::*;
    use crate::array::names::AxisNames;
    use crate::array::selection::{Component, Part, Region, Selection};
    use crate::bytes::virtual_file::Extent;

    const PART: Part = Part { component: Component::Array, of: Region::Whole };

    fn named(selection: &Selection, names: &[&str]) -> String {
        let table = Table::new(selection.block(PART).unwrap(), selection.shape().columns(), b',').unwrap();
        let table = NamedTable::new(Axis::known(Arc::new(AxisNames::of(names)), selection.rows()), table);
        let length = table.length();
        text(&VirtualFile::new([Extent::Generated { content: Arc::new(table), length }]).unwrap())
    }

    #[test]
    fn names_stand_in_front_of_cells() {
        let (_dir, selection) = dense("int8", "[3, 2]", &[1, 2, 3, 0x80, 5, 6]);
        let names = ["a", "b,c", "long name"];
        let wanted = ["a,   1,   2\n", "\"b,c\",   3,-128\n", "long name,   5,   6\n"];
        assert_eq!(named(&selection, &names), wanted.concat());
        assert_eq!(named(&selection.slice(b"1:").unwrap(), &names), wanted[1..].concat());
        assert_eq!(named(&selection.slice(b"::2").unwrap(), &names), [wanted[0], wanted[2]].concat());
    }

    #[test]
    fn long_tables_are_the_same_in_pieces() {
        let bytes: Vec<u8> = (0..60_000u32).flat_map(|i| (i as f32 * 0.37).to_le_bytes()).collect();
        let (_dir, selection) = dense("float32", "[20000, 3]", &bytes);
        let names: Vec<String> = (0..20_000).map(|i| format!("{}{i}", "\"".repeat(i % 3))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let table = named(&selection, &names);
        let wanted = (0..20_000).map(|i| {
            let cells = (0..3).map(|j| format!("{:.9}", (i * 3 + j) as f32 * 0.37));
            (names[i].to_owned(), cells.collect::<Vec<_>>())
        });
        assert_eq!(table.lines().count(), 20_000);
        for (line, (name, cells)) in table.lines().zip(wanted) {
            let found: Vec<f32> = line.rsplit(',').take(3).map(|cell| cell.parse().unwrap()).collect();
            let cells: Vec<f32> = cells.iter().rev().map(|cell| cell.parse().unwrap()).collect();
            assert!(found.iter().zip(&cells).all(|(a, b)| (a - b).abs() < 1e-2), "{line} {cells:?}");
            assert!(line.contains(name.trim_start_matches('"')));
        }
    }
}
