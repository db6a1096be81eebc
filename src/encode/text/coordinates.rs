//! The elements of a matrix, one line each: row, column, value.
//!
//! ```text
//!   3,   7,1.500000000e+00\n      Layout::TABLE: counted from 0, right-aligned like cells
//! 4    8    1.500000000e+00\n     Layout::MATRIX_MARKET: counted from 1, no leading spaces
//! 8    4    1.500000000e+00\n     Layout::transposed: column first
//! ```
//!
//! All lines have equal width, so the element at any byte follows by arithmetic. Its row in a sparse matrix
//! is found by binary search in `indptr`. From there, rows are read sequentially.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cell;
use super::lines::length_of;
use super::short::{Separators, Text};
use super::window::Window;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::virtual_file::{Fill, Generate, VirtualFile};
use crate::daf::metadata::{IndptrRule, Kind, Metadata, Shape};
use crate::dtype::{Dtype, decode_integers, integer_text};
use crate::error::{Error, Result};
use crate::rows::index_width;
use crate::store::source::Source;
use crate::word::to_usize;

/// The most lines written at a time.
const PIECE: usize = 4096;

/// Rows whose bounds are read at a time.
const BOUNDS: u64 = 512;

/// The layout of a line.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Number of the first row and the first column.
    base: u64,
    /// Separator between the numbers.
    separator: u8,
    /// Whether rows and columns are padded in front, or behind.
    right_aligned: bool,
    column_first: bool,
}

impl Layout {
    /// A table of three columns, with rows and columns counted from 0.
    pub const fn table(separator: u8) -> Self {
        Self { base: 0, separator, right_aligned: true, column_first: false }
    }

    /// Matrix Market: counted from 1, separated by spaces.
    pub const MATRIX_MARKET: Self =
        Self { base: 1, separator: b' ', right_aligned: false, column_first: false };

    /// The layout for the transposed matrix. The elements keep their order.
    pub const fn transposed(self) -> Self {
        Self { column_first: !self.column_first, ..self }
    }

    fn write_number(&self, number: u64, place: &mut [u8]) {
        match self.right_aligned {
            true => cell::right_aligned(number + self.base, place),
            false => cell::left_aligned(number + self.base, place),
        }
    }
}

/// The elements of a matrix: the stored ones if it is sparse, all if it is dense.
pub struct Coordinates {
    layout: Layout,
    shape: [u64; 2],
    count: u64,
    dtype: Dtype,
    data: VirtualFile,
    place: Place,
    length: u64,
}

/// The positions of the elements.
enum Place {
    /// Every position, row by row.
    All,
    Stored(Box<Stored>),
}

/// The rows and columns of the elements of a sparse matrix.
struct Stored {
    indptr: Block,
    indices: Block,
    /// The files of `indptr` and `indices`, for errors.
    names: [PathBuf; 2],
    /// The row where the last read ended. Sequential reads continue there, without another binary search.
    guess: AtomicU64,
}

impl Coordinates {
    /// The elements of the selected rows. A vector counts as a matrix with one column.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no file can hold the text, and errors from [`Selection::block`] for a sparse
    /// matrix.
    pub fn new(selection: &Selection, layout: Layout) -> Result<Self> {
        let length = Self::length_of(selection, layout);
        let length = length.ok_or_else(|| Error::not_found(&selection.array().path))?;
        let of_all = |component| selection.block(Part { component, of: Region::Whole });
        let (data, place) = match selection.array().metadata.kind() {
            Kind::Dense => (of_all(Component::Array)?, Place::All),
            Kind::Sparse => {
                let (indptr, indices) = (of_all(Component::Indptr)?, of_all(Component::Indices)?);
                let file = |i: usize| selection.array().files()[i].name().to_owned();
                let stored = Stored { indptr, indices, names: [file(2), file(1)], guess: AtomicU64::new(0) };
                (of_all(Component::Data)?, Place::Stored(Box::new(stored)))
            }
        };
        let shape = axes(selection);
        let count = data.shape.elements();
        let mut new = Self { layout, shape, count, dtype: data.dtype, data: data.bytes, place, length };
        new.length = count * new.width() as u64;
        Ok(new)
    }

    /// Length in bytes of all elements of the array, at least that of the selection. `None` if no file can
    /// be that long. Reads no data.
    pub fn length_of(selection: &Selection, layout: Layout) -> Option<u64> {
        let elements = match &selection.array().metadata {
            Metadata::Dense(_) => selection.shape().elements(),
            Metadata::Sparse(meta) => meta.nnz,
        };
        let fields = Fields::new(layout, axes(selection), selection.array().metadata.dtype());
        length_of(elements, fields.width)
    }

    /// Number of elements, which is the number of lines.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Rows and columns, in the order in which the lines show them.
    pub fn shape(&self) -> [u64; 2] {
        let [rows, columns] = self.shape;
        if self.layout.column_first { [columns, rows] } else { [rows, columns] }
    }

    fn width(&self) -> usize {
        self.fields().width
    }

    /// A reader for one request. It reads no element from `limit` on.
    pub(super) fn reader(&self, limit: u64) -> Reader<'_> {
        let places = match &self.place {
            Place::All => Places::All,
            Place::Stored(stored) => Places::Stored(Cursor::new(stored, self.shape[1], self.count, limit)),
        };
        let data = Window::new(&self.data, self.dtype.itemsize(), limit);
        Reader { of: self, fields: self.fields(), data, places, rows: Vec::new(), columns: Vec::new() }
    }

    fn fields(&self) -> Fields {
        Fields::new(self.layout, self.shape, self.dtype)
    }
}

fn axes(selection: &Selection) -> [u64; 2] {
    match selection.shape() {
        Shape::Vector(n) => [n, 1],
        Shape::Matrix(rows, columns) => [rows, columns],
    }
}

/// The positions of row, column and value in a line.
#[derive(Clone)]
struct Fields {
    row: std::ops::Range<usize>,
    column: std::ops::Range<usize>,
    value: usize,
    width: usize,
}

impl Fields {
    fn new(layout: Layout, [rows, columns]: [u64; 2], dtype: Dtype) -> Self {
        let [rows, columns] = [rows, columns].map(|count| index_width(count.saturating_add(layout.base)));
        let (row, column) = match layout.column_first {
            false => (0..rows, rows + 1..rows + 1 + columns),
            true => (columns + 1..columns + 1 + rows, 0..columns),
        };
        let value = rows + columns + 2;
        Self { row, column, value, width: value + cell::width(dtype) + 1 }
    }
}

impl Generate for Coordinates {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let width = self.width() as u64;
        let mut reader = self.reader(out.end().div_ceil(width));
        out.put_items(width, self.count, &mut |first, lines| reader.write(first, lines))
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        let mut sources = self.data.sources();
        if let Place::Stored(stored) = &self.place {
            sources.extend(stored.indptr.bytes.sources());
            sources.extend(stored.indices.bytes.sources());
        }
        sources
    }
}

/// The buffers of one request.
pub(super) struct Reader<'c> {
    of: &'c Coordinates,
    fields: Fields,
    data: Window<'c>,
    places: Places<'c>,
    rows: Vec<u64>,
    columns: Vec<u64>,
}

enum Places<'c> {
    All,
    Stored(Cursor<'c>),
}

impl Reader<'_> {
    /// Writes the lines from number `first` on. Returns how many; at most [`PIECE`] at a time, to limit
    /// memory.
    fn write(&mut self, first: u64, out: &mut [u8]) -> Result<u64> {
        let width = self.fields.width;
        let count = (out.len() / width).min(PIECE);
        let lines = &mut out[..count * width];
        self.place(first, count as u64)?;
        self.write_places(lines);
        self.write_values(first, lines)?;
        Ok(count as u64)
    }

    /// Appends `count` lines from number `first` on, with all numbers as short as possible.
    pub fn append(&mut self, first: u64, count: u64, separator: u8, text: &mut Text) -> Result<()> {
        self.place(first, count)?;
        let (dtype, item) = (self.of.dtype, self.of.dtype.itemsize());
        let mut done = 0;
        while done < count {
            let items = self.data.items(first + done, count - done)?;
            let from = to_usize(done);
            let places = self.rows.iter().zip(&self.columns).skip(from);
            let mut newline = Separators::from(0, 1, separator);
            for ((row, column), item) in places.zip(items.chunks_exact(usize::try_from(item).unwrap_or(1))) {
                text.push_number(*row, separator);
                text.push_number(*column, separator);
                text.push_items(dtype, item, &mut newline);
            }
            done += items.len() as u64 / item;
        }
        Ok(())
    }

    /// Sets `rows` and `columns` to those of `count` elements from `first` on.
    fn place(&mut self, first: u64, count: u64) -> Result<()> {
        self.rows.clear();
        self.columns.clear();
        let columns = self.of.shape[1];
        match &mut self.places {
            Places::All => {
                let (mut row, mut column) = (first / columns, first % columns);
                for _ in 0..count {
                    self.rows.push(row);
                    self.columns.push(column);
                    column += 1;
                    if column == columns {
                        (row, column) = (row + 1, 0);
                    }
                }
                Ok(())
            }
            Places::Stored(cursor) => {
                cursor.rows(first, count, &mut self.rows)?;
                cursor.columns(first, count, &self.rows, &mut self.columns)
            }
        }
    }

    fn write_places(&self, piece: &mut [u8]) {
        let Fields { row, column, value, width } = &self.fields;
        let layout = &self.of.layout;
        let places = self.rows.iter().zip(&self.columns);
        for (line, (i, j)) in piece.chunks_exact_mut(*width).zip(places) {
            layout.write_number(*i, &mut line[row.clone()]);
            layout.write_number(*j, &mut line[column.clone()]);
            line[row.end.min(column.end)] = layout.separator;
            line[value - 1] = layout.separator;
            line[width - 1] = b'\n';
        }
    }

    fn write_values(&mut self, first: u64, piece: &mut [u8]) -> Result<()> {
        let Fields { value, width, .. } = self.fields;
        let (mut first, mut rest) = (first, piece);
        while !rest.is_empty() {
            let items = self.data.items(first, (rest.len() / width) as u64)?;
            let count = items.len() as u64 / self.of.dtype.itemsize();
            let (lines, after) = rest.split_at_mut(to_usize(count) * width);
            cell::write(self.of.dtype, items, &mut lines[value..], width);
            (first, rest) = (first + count, after);
        }
        Ok(())
    }
}

/// A position among the stored elements, for sequential reads from there.
struct Cursor<'s> {
    stored: &'s Stored,
    /// Columns of the matrix.
    columns: u64,
    /// Stored elements of all selected rows.
    count: u64,
    indices: Window<'s>,
    /// The row of the most recent element.
    row: u64,
    /// The row of `bounds[0]`.
    first: u64,
    /// A part of `indptr`: where consecutive rows start.
    bounds: Vec<u64>,
}

impl<'s> Cursor<'s> {
    fn new(stored: &'s Stored, columns: u64, count: u64, limit: u64) -> Self {
        let indices = Window::new(&stored.indices.bytes, stored.indices.dtype.itemsize(), limit);
        let row = stored.guess.load(Ordering::Relaxed);
        Self { stored, columns, count, indices, row, first: 0, bounds: Vec::new() }
    }

    /// Number of rows.
    fn count_of_rows(&self) -> u64 {
        self.stored.indptr.shape.elements() - 1
    }

    /// Appends the row of each of `count` elements from `first` on.
    fn rows(&mut self, first: u64, count: u64, rows: &mut Vec<u64>) -> Result<()> {
        let (mut at, end) = (first, first + count);
        while at < end {
            let stop = self.find(at)?.min(end);
            rows.extend((at..stop).map(|_| self.row));
            at = stop;
        }
        self.stored.guess.store(self.row, Ordering::Relaxed);
        Ok(())
    }

    /// Sets `row` to the row of an element. Returns the end of that row.
    fn find(&mut self, element: u64) -> Result<u64> {
        if let Some(end) = self.find_near(element)? {
            return Ok(end);
        }
        let rows = self.count_of_rows();
        let (mut low, mut high) = ((0, self.bound(0)?), (rows, self.bound(rows)?));
        // Binary search assumes that `indptr` increases, so check the ends here and every bound on the way.
        if (low.1, high.1) != (0, self.count) {
            return Err(self.fault(format!("0 first, {} last", self.count), low.1, high.1));
        }
        // Once few rows are left, one read of consecutive bounds is faster than more steps.
        while high.0 - low.0 > BOUNDS / 2 {
            let middle = low.0 + (high.0 - low.0) / 2;
            let bound = self.bound(middle)?;
            if bound < low.1 || bound > high.1 {
                return Err(self.fault(format!("{} to {} at {middle}", low.1, high.1), bound, bound));
            }
            if bound <= element { low = (middle, bound) } else { high = (middle, bound) }
        }
        self.row = low.0;
        self.read_bounds(low.0)?;
        self.find_near(element)?.ok_or_else(|| self.fault("rising numbers".into(), low.1, high.1))
    }

    /// Like [`find`](Self::find), if the row is among the buffered ones or those right after `row`.
    /// Otherwise `None`.
    fn find_near(&mut self, element: u64) -> Result<Option<u64>> {
        if let Some(end) = self.find_at_hand(element) {
            return Ok(Some(end));
        }
        self.read_bounds(self.row)?;
        Ok(self.find_at_hand(element))
    }

    fn find_at_hand(&mut self, element: u64) -> Option<u64> {
        let (start, end) = (*self.bounds.first()?, *self.bounds.last()?);
        if !(start..end).contains(&element) {
            return None;
        }
        let i = self.bounds.partition_point(|bound| *bound <= element);
        self.row = self.first + i as u64 - 1;
        Some(self.bounds[i])
    }

    /// Buffers the bounds of consecutive rows from `first` on.
    fn read_bounds(&mut self, first: u64) -> Result<()> {
        let count = (self.count_of_rows() - first).min(BOUNDS) + 1;
        self.first = first;
        self.bounds.clear();
        self.read(first, count)?;
        let rule = IndptrRule { rows: self.count_of_rows(), nnz: self.count };
        rule.check(&self.stored.names[0], self.stored.indptr.dtype, first, &self.bounds)
    }

    /// Where one row starts.
    fn bound(&mut self, row: u64) -> Result<u64> {
        self.bounds.clear();
        self.read(row, 1)?;
        Ok(self.bounds.pop().unwrap_or(0))
    }

    fn read(&mut self, first: u64, count: u64) -> Result<()> {
        let indptr = &self.stored.indptr;
        let item = indptr.dtype.itemsize();
        let mut bytes = vec![0; to_usize(count * item)];
        indptr.bytes.read_exact_at(first * item, &mut bytes)?;
        decode_integers(indptr.dtype, &bytes, &mut self.bounds);
        Ok(())
    }

    fn fault(&self, expected: String, first: u64, last: u64) -> Error {
        let [first, last] = [first, last].map(|bound| integer_text(self.stored.indptr.dtype, bound));
        Error::invalid(&self.stored.names[0], "ranges of rows", expected, format!("{first} to {last}"))
    }

    /// Appends the columns of `count` elements from `first` on. `rows` are their rows, for errors.
    fn columns(&mut self, first: u64, count: u64, rows: &[u64], columns: &mut Vec<u64>) -> Result<()> {
        let dtype = self.stored.indices.dtype;
        let mut at = first;
        while at < first + count {
            let items = self.indices.items(at, first + count - at)?;
            decode_integers(dtype, items, columns);
            at += items.len() as u64 / dtype.itemsize();
        }
        match columns.iter().position(|column| *column >= self.columns) {
            None => Ok(()),
            Some(i) => {
                let expected = format!("0 to {} in selected row {}", self.columns - 1, rows[i]);
                let found = integer_text(dtype, columns[i]);
                Err(Error::invalid(&self.stored.names[1], "column", expected, found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{dense, sparse, text, whole};
    use super::*;
    use crate::bytes::virtual_file::Extent;

    fn file(selection: &Selection, layout: Layout) -> Result<VirtualFile> {
        let elements = Coordinates::new(selection, layout)?;
        let length = elements.length();
        VirtualFile::new([Extent::Generated { content: Arc::new(elements), length }])
    }

    #[test]
    fn lines_are_exact() {
        let (_dir, selection) =
            sparse([11, 9], &[1.5, -2.0, 0.25], &[8, 0, 3], &[0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
        let table = " 1,8,1.500000000e+00\n 1,0,-2.00000000e+00\n10,3,2.500000000e-01\n";
        assert_eq!(text(&file(&selection, Layout::table(b',')).unwrap()), table);
        let market = "2  9 1.500000000e+00\n2  1 -2.00000000e+00\n11 4 2.500000000e-01\n";
        assert_eq!(text(&file(&selection, Layout::MATRIX_MARKET).unwrap()), market);
        let transposed = "9 2  1.500000000e+00\n1 2  -2.00000000e+00\n4 11 2.500000000e-01\n";
        assert_eq!(text(&file(&selection, Layout::MATRIX_MARKET.transposed()).unwrap()), transposed);
        let slice = selection.slice(b"4:").unwrap();
        assert_eq!(text(&file(&slice, Layout::table(b'\t')).unwrap()), "6\t3\t2.500000000e-01\n");

        let (_dir, selection) = dense("bool", "[2, 2]", &[0, 1, 1, 0]);
        assert_eq!(text(&file(&selection, Layout::MATRIX_MARKET).unwrap()), "1 1 0\n1 2 1\n2 1 1\n2 2 0\n");
        let (_dir, selection) = dense("uint8", "[2]", &[7, 255]);
        assert_eq!(text(&file(&selection, Layout::table(b',')).unwrap()), "0,0,  7\n1,0,255\n");
    }

    /// A matrix whose rows have 0 to 4 elements, with long runs of empty rows.
    fn large() -> (tempfile::TempDir, Selection, Vec<String>) {
        let (mut indices, mut indptr, mut lines) = (Vec::new(), vec![0], Vec::new());
        for row in 0..20_000 {
            let count = if row / 3000 % 2 == 1 { 0 } else { row * 7 % 5 };
            for i in 0..count {
                lines.push(format!("{row:5},{:2},", (row + i) % 30));
                indices.push((row + i) % 30);
            }
            indptr.push(i64::try_from(indices.len()).unwrap());
        }
        let data: Vec<f32> = (0..indices.len()).map(|i| i as f32).collect();
        let (dir, selection) = sparse([20_000, 30], &data, &indices, &indptr);
        (dir, selection, lines)
    }

    #[test]
    fn any_element_finds_its_row() {
        let (_dir, selection, wanted) = large();
        let found = text(&file(&selection, Layout::table(b',')).unwrap());
        assert_eq!(found.lines().count(), wanted.len());
        for (i, (line, wanted)) in found.lines().zip(wanted).enumerate() {
            let value = line.strip_prefix(&wanted).unwrap_or_else(|| panic!("{line:?} {wanted:?}"));
            assert_eq!(value.parse(), Ok(i as f32));
        }
        let apart = text(&file(&selection.slice(b"1::3").unwrap(), Layout::table(b',')).unwrap());
        let of_third = found.lines().filter(|line| line[..5].trim().parse::<u64>().unwrap() % 3 == 1);
        let of_third = of_third.map(|line| {
            let row: u64 = line[..5].trim().parse().unwrap();
            format!("{:4}{}\n", (row - 1) / 3, &line[5..])
        });
        assert_eq!(apart, of_third.collect::<String>());
    }

    #[test]
    fn what_is_broken_is_an_error_and_no_number() {
        let broken: [(&[i32], &[i64]); 6] = [
            (&[0, 1, 9], &[0, 1, 2, 3]),
            (&[0, -1, 1], &[0, 1, 2, 3]),
            (&[0, 1, 1], &[1, 1, 2, 3]),
            (&[0, 1, 1], &[0, 3, 2, 3]),
            (&[0, 1, 1], &[0, -2, 2, 3]),
            (&[0, 1, 1], &[0, 1, 2, 2]),
        ];
        for (indices, indptr) in broken {
            let (_dir, selection) = sparse([3, 2], &[1.0, 2.0, 3.0], indices, indptr);
            let file = file(&selection, Layout::table(b',')).unwrap();
            let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
            let found = file.read_at(0, &mut bytes);
            assert!(matches!(found, Err(Error::Invalid { .. })), "{indices:?} {indptr:?} {found:?}");
        }
    }

    #[test]
    fn a_matrix_without_elements_is_empty() {
        let (_dir, selection) = sparse([3, 2], &[], &[], &[0, 0, 0, 0]);
        assert!(whole(&file(&selection, Layout::MATRIX_MARKET).unwrap()).is_empty());
    }
}
