//! The expected numbers of a part, read from the store's files element by element and in order. No code is
//! shared with the code that renders virtual files.

use std::sync::Arc;

use half::f16;

use super::element::{Element, element, sum};
use crate::array::selection::{Component, Part, Region, Selection};
use crate::array::stored_array::StoredArray;
use crate::daf::metadata::{DenseMeta, Metadata, SparseMeta};
use crate::dtype::{Dtype, decode_integers, encode_integer};
use crate::error::{Error, Result};
use crate::rows::Rows;
use crate::store::source::Source;
use crate::word::to_usize;

/// Bytes that are read at once; a multiple of every item size.
const PIECE: u64 = 1 << 20;

/// Elements of a dense row that are produced at once.
const WINDOW: u64 = 128 * 1024;

/// Rows whose bounds are read at once.
const BATCH: u64 = 8192;

type Pieces<'s> = Box<dyn Iterator<Item = Result<Vec<u8>>> + 's>;

/// Numbers of one type, in order.
pub(crate) struct Numbers<'s> {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    /// Their bytes, little-endian. Each piece has whole elements.
    pub pieces: Pieces<'s>,
}

impl<'s> Numbers<'s> {
    /// How many numbers there are.
    pub(crate) fn count(&self) -> u64 {
        self.shape.iter().product()
    }

    /// The numbers one by one.
    pub(crate) fn elements(self) -> impl Iterator<Item = Result<Element>> + 's {
        let width = usize::try_from(self.dtype.itemsize()).unwrap_or(8);
        let (mut pieces, mut piece, mut at) = (self.pieces, Vec::new(), 0);
        std::iter::from_fn(move || {
            while at >= piece.len() {
                match pieces.next()? {
                    Ok(next) => (piece, at) = (next, 0),
                    Err(error) => return Some(Err(error)),
                }
            }
            at += width;
            Some(Ok(element(&piece[at - width..at])))
        })
    }
}

/// The expected numbers of a part that is a single block.
pub(crate) fn numbers(selection: &Selection, part: Part) -> Result<Numbers<'_>> {
    let (array, rows) = (&**selection.array(), selection.rows());
    match &array.metadata {
        Metadata::Dense(meta) => Ok(dense(array, meta, rows, part.of)),
        Metadata::Sparse(meta) => sparse(array, meta, rows, part),
    }
}

fn dense<'s>(array: &'s StoredArray, meta: &DenseMeta, rows: Rows, of: Region) -> Numbers<'s> {
    let (dtype, columns) = (meta.dtype, meta.shape.columns());
    let item = dtype.itemsize();
    let (skip, length, shape) = match of {
        Region::Whole => (0, columns * item, meta.shape.with_rows(rows.count()).axes()),
        Region::Row(_) => (0, columns * item, vec![columns]),
        Region::Column(j) => (j * item, item, vec![rows.count()]),
    };
    let ranges = rows_of(rows, of).map(move |row| Ok((row * columns * item + skip, length)));
    Numbers { dtype, shape, pieces: Box::new(Runs::new(&array.files()[0], Box::new(ranges))) }
}

/// Widens float16 to float32, because SciPy does not support float16.
pub(crate) fn known_to_scipy(numbers: Numbers<'_>) -> Numbers<'_> {
    if numbers.dtype != Dtype::Float16 {
        return numbers;
    }
    let widen = |item: &[u8; 2]| {
        let narrow = f16::from_le_bytes(*item);
        let bits = u32::from(narrow.to_bits());
        // Widening keeps the payload of a NaN, which a plain conversion may change.
        let nan = (bits & 0x8000) << 16 | 0x7F80_0000 | (bits & 0x03FF) << 13;
        if narrow.is_nan() { nan.to_le_bytes() } else { narrow.to_f32().to_le_bytes() }
    };
    let wide = move |piece: Vec<u8>| piece.as_chunks().0.iter().flat_map(widen).collect::<Vec<u8>>();
    let pieces = numbers.pieces.map(move |piece| piece.map(wide));
    Numbers { dtype: Dtype::Float32, shape: numbers.shape, pieces: Box::new(pieces) }
}

/// The rows of the stored array that a part shows.
fn rows_of(rows: Rows, of: Region) -> impl Iterator<Item = u64> {
    let shown = match of {
        Region::Row(i) => i..i + 1,
        _ => 0..rows.count(),
    };
    shown.map(move |i| rows.row(i))
}

fn sparse<'s>(
    array: &'s StoredArray,
    meta: &'s SparseMeta,
    rows: Rows,
    Part { component, of }: Part,
) -> Result<Numbers<'s>> {
    let mut bounds = Bounds::new(array, meta);
    let [data, indices, _] = array.files() else { unreachable!("a sparse matrix has three data files") };
    match component {
        Component::Indptr => Ok(indptr(bounds, meta, rows)),
        Component::Dense => {
            let columns = meta.shape[1];
            let shape = if of == Region::Whole { vec![rows.count(), columns] } else { vec![columns] };
            let scatter = Scatter { meta, data, indices, bounds };
            Ok(Numbers { dtype: meta.data_dtype, shape, pieces: scatter.pieces(rows, of) })
        }
        _ => {
            let mut total = 0;
            for row in rows_of(rows, of) {
                let (start, end) = bounds.of(row)?;
                total += end - start;
            }
            let (dtype, source) = match component {
                Component::Indices => (meta.indices_dtype, indices),
                _ => (meta.data_dtype, data),
            };
            let range = move |row| {
                bounds
                    .of(row)
                    .map(|(start, end)| (start * dtype.itemsize(), (end - start) * dtype.itemsize()))
            };
            let ranges = rows_of(rows, of).map(range);
            Ok(Numbers { dtype, shape: vec![total], pieces: Box::new(Runs::new(source, Box::new(ranges))) })
        }
    }
}

fn indptr<'s>(mut bounds: Bounds<'s>, meta: &SparseMeta, rows: Rows) -> Numbers<'s> {
    let dtype = meta.indptr_dtype;
    let (mut next, mut total) = (0, 0);
    let pieces = std::iter::from_fn(move || {
        let mut piece = Vec::new();
        while next <= rows.count() && (piece.len() as u64) < PIECE {
            if next > 0 {
                match bounds.of(rows.row(next - 1)) {
                    Ok((start, end)) => total += end - start,
                    Err(error) => return Some(Err(error)),
                }
            }
            encode_integer(dtype, total, &mut piece);
            next += 1;
        }
        (!piece.is_empty()).then_some(Ok(piece))
    });
    Numbers { dtype, shape: vec![rows.count() + 1], pieces: Box::new(pieces) }
}

/// A stored element of a matrix: row, column and value.
pub(crate) type Stored = (u64, u64, Element);

/// The number of elements, and the elements.
pub(crate) type StoredElements<'s> = (u64, Box<dyn Iterator<Item = Result<Stored>> + 's>);

/// The elements of a matrix with their rows and columns: the stored ones of a sparse matrix, or all of a
/// dense array. A vector has column 0 only.
pub(crate) fn stored(selection: &Selection, part: Part) -> Result<StoredElements<'_>> {
    let Metadata::Sparse(meta) = &selection.array().metadata else {
        return all(selection, part);
    };
    if part.component == Component::Dense {
        return all(selection, part);
    }
    let block = |component| numbers(selection, Part { component, of: Region::Whole });
    let (data, indices) = (block(Component::Data)?, block(Component::Indices)?);
    let count = data.shape[0];
    let (mut bounds, rows) = (Bounds::new(selection.array(), meta), selection.rows());
    let numbers = (0..rows.count()).flat_map(move |i| {
        // Counting the elements has already read these bounds without an error.
        let (start, end) = bounds.of(rows.row(i)).unwrap_or((0, 0));
        (start..end).map(move |_| i)
    });
    let dtype = meta.indices_dtype;
    let places = numbers.zip(indices.elements()).zip(data.elements());
    let stored = move |((row, column), value): ((u64, Result<Element>), Result<Element>)| {
        let mut column_number = Vec::new();
        decode_integers(
            dtype,
            &column?[..usize::try_from(dtype.itemsize()).unwrap_or(8)],
            &mut column_number,
        );
        Ok((row, column_number[0], value?))
    };
    Ok((count, Box::new(places.map(stored))))
}

fn all(selection: &Selection, part: Part) -> Result<StoredElements<'_>> {
    let columns = selection.shape().columns();
    let elements = numbers(selection, part)?.elements();
    let stored = (0..).zip(elements).map(move |(i, value)| Ok((i / columns, i % columns, value?)));
    Ok((selection.shape().elements(), Box::new(stored)))
}

/// The bounds of the rows of a sparse matrix.
struct Bounds<'s> {
    source: &'s Source,
    dtype: Dtype,
    rows: u64,
    nnz: u64,
    /// A window of `indptr`, and the row of its first number.
    first: u64,
    numbers: Vec<u64>,
}

impl<'s> Bounds<'s> {
    fn new(array: &'s StoredArray, meta: &SparseMeta) -> Self {
        let (rows, nnz) = (meta.shape[0], meta.nnz);
        Self { source: &array.files()[2], dtype: meta.indptr_dtype, rows, nnz, first: 0, numbers: Vec::new() }
    }

    /// Where the stored elements of a row start and end.
    fn of(&mut self, row: u64) -> Result<(u64, u64)> {
        let known = self.numbers.len() as u64;
        if row < self.first || row + 1 >= self.first + known {
            let count = BATCH.min(self.rows - row) + 1;
            let mut bytes = vec![0; to_usize(count * self.dtype.itemsize())];
            self.source.read_exact_at(&mut bytes, row * self.dtype.itemsize())?;
            self.numbers.clear();
            decode_integers(self.dtype, &bytes, &mut self.numbers);
            self.first = row;
        }
        let i = to_usize(row - self.first);
        match (self.numbers[i], self.numbers[i + 1]) {
            (start, end) if start <= end && end <= self.nnz => Ok((start, end)),
            (start, end) => {
                let found = format!("{start} to {end} for row {row}");
                Err(Error::invalid(self.source.name(), "ranges of rows", "rising numbers", found))
            }
        }
    }
}

/// Reads byte ranges of a file. Consecutive ranges are combined into one read.
struct Runs<'s> {
    source: &'s Arc<Source>,
    ranges: Box<dyn Iterator<Item = Result<(u64, u64)>> + 's>,
    /// The range that is read next: start and end.
    ahead: (u64, u64),
    fault: Option<Error>,
}

impl<'s> Runs<'s> {
    fn new(source: &'s Arc<Source>, ranges: Box<dyn Iterator<Item = Result<(u64, u64)>> + 's>) -> Self {
        Self { source, ranges, ahead: (0, 0), fault: None }
    }

    /// The next read: the pending range and all ranges that directly follow it, up to the size of a piece.
    fn run(&mut self) -> (u64, u64) {
        let (start, mut end) = self.ahead;
        while end - start < PIECE {
            match self.ranges.next() {
                Some(Ok((_, 0))) => {}
                Some(Ok((next, length))) if next == end => end += length,
                Some(Ok((next, length))) if start == end => return self.cut(next, next + length),
                Some(Ok((next, length))) => {
                    self.ahead = (next, next + length);
                    return (start, end);
                }
                Some(Err(error)) => {
                    self.fault = Some(error);
                    break;
                }
                None => break,
            }
        }
        self.cut(start, end)
    }

    fn cut(&mut self, start: u64, end: u64) -> (u64, u64) {
        let stop = end.min(start + PIECE);
        self.ahead = (stop, end);
        (start, stop)
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        let (start, end) = self.run();
        if start == end {
            return self.fault.take().map(Err);
        }
        let mut bytes = vec![0; to_usize(end - start)];
        Some(self.source.read_exact_at(&mut bytes, start).map(|()| bytes))
    }
}

/// Rows of a sparse matrix, with their zeros.
struct Scatter<'s> {
    meta: &'s SparseMeta,
    data: &'s Arc<Source>,
    indices: &'s Arc<Source>,
    bounds: Bounds<'s>,
}

impl<'s> Scatter<'s> {
    fn pieces(mut self, rows: Rows, of: Region) -> Pieces<'s> {
        let columns = self.meta.shape[1];
        let windows =
            rows_of(rows, of).flat_map(move |row| (0..columns.div_ceil(WINDOW)).map(move |i| (row, i)));
        Box::new(windows.map(move |(row, i)| {
            let first = i * WINDOW;
            self.window(row, first, columns.min(first + WINDOW))
        }))
    }

    /// The elements of a row in the columns `first..last`.
    fn window(&mut self, row: u64, first: u64, last: u64) -> Result<Vec<u8>> {
        let dtype = self.meta.data_dtype;
        let width = usize::try_from(dtype.itemsize()).unwrap_or(8);
        let mut window = vec![0; to_usize(last - first) * width];
        let (start, end) = self.bounds.of(row)?;
        let ranges = |item: u64| Box::new(std::iter::once(Ok((start * item, (end - start) * item))));
        let elements = |dtype: Dtype, source| {
            let pieces = Box::new(Runs::new(source, ranges(dtype.itemsize())));
            Numbers { dtype, shape: Vec::new(), pieces }.elements()
        };
        let indices_dtype = self.meta.indices_dtype;
        let index_width = usize::try_from(indices_dtype.itemsize()).unwrap_or(8);
        let mut column = Vec::new();
        for (index, value) in elements(indices_dtype, self.indices).zip(elements(dtype, self.data)) {
            column.clear();
            decode_integers(indices_dtype, &index?[..index_width], &mut column);
            let column = column[0];
            if column >= self.meta.shape[1] {
                let found = format!("{column} in row {row}");
                let expected = format!("columns below {}", self.meta.shape[1]);
                return Err(Error::invalid(self.indices.name(), "column", expected, found));
            }
            if (first..last).contains(&column) {
                let at = to_usize(column - first) * width;
                let total = sum(dtype, element(&window[at..at + width]), value?);
                window[at..at + width].copy_from_slice(&total[..width]);
            }
        }
        Ok(window)
    }
}
