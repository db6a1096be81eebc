//! Sorts the elements of a sparse matrix into rows, whatever their order, and adds up those at the same
//! position.
//!
//! The elements are read twice: the first pass counts them per row, the second puts each into the part of its
//! row. This needs only the memory of the matrix itself: per element 4 bytes (8 beyond 2^32 columns) and the
//! itemsize, 8 bytes per row, and a buffer to sort the longest row. A list of all elements to sort would need
//! several times as much. The first pass also shows that the elements exist, before memory for them is
//! allocated.

use std::collections::TryReserveError;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::rc::Rc;

use super::input::{Input, no_memory};
use super::{Fill, Found};
use crate::daf::metadata::{Metadata, SparseMeta};
use crate::dtype::{Dtype, add, encode_integer};
use crate::error::Result;
use crate::word::to_usize;

/// The limit on rows: a constant for any file, and a number per byte of the file. Each row takes memory even
/// if it is empty, so a tiny file must not declare billions of them.
const MOST_ROWS: (u64, u64) = (1 << 24, 16);

/// A callback with the row, column and value of an element.
pub(crate) type See<'s> = &'s mut dyn FnMut(u64, u64, &[u8]) -> Result<()>;

/// The elements of a matrix, in any order, which is the same on every pass.
pub(crate) trait Elements {
    /// Calls `see` with the row of each element. The row is less than the number of rows.
    fn rows(&self, see: &mut dyn FnMut(u64) -> Result<()>) -> Result<()>;

    /// Calls `see` with each element, at a position inside the matrix.
    fn each(&self, see: See<'_>) -> Result<()>;
}

/// Refuses a matrix with far more rows than its file could fill.
pub(crate) fn check_rows(input: &Input<'_>, rows: u64) -> Result<()> {
    check_lines(input, rows, "rows")
}

/// As [`check_rows`], for rows or columns, whichever take memory each.
pub(crate) fn check_lines(input: &Input<'_>, count: u64, what: &str) -> Result<()> {
    let most = MOST_ROWS.0.max(input.length.saturating_mul(MOST_ROWS.1));
    let why = || format!("{count} {what} in a file of {} bytes: {most} are the most", input.length);
    if count > most { Err(input.refused(why())) } else { Ok(()) }
}

/// The matrix as CSR, with the index types that SciPy would use.
pub(crate) fn into_csr<'f>(
    input: &'f Input<'f>,
    dtype: Dtype,
    shape: [u64; 2],
    elements: &dyn Elements,
    is_lossy: bool,
) -> Result<Found<'f>> {
    check_rows(input, shape[0])?;
    if u32::try_from(shape[1]).is_ok() {
        Matrix::<u32>::of(input, dtype, shape, elements, is_lossy)?.found(input)
    } else {
        Matrix::<u64>::of(input, dtype, shape, elements, is_lossy)?.found(input)
    }
}

/// A matrix in memory. `C` is the type of a column number.
struct Matrix<C> {
    dtype: Dtype,
    shape: [u64; 2],
    /// For each row, the end of its elements in `columns` and `data`.
    ends: Vec<u64>,
    columns: Vec<C>,
    data: Vec<u8>,
    /// Number of elements that were added to another one.
    added: u64,
}

impl<C: Copy + Default + Ord + TryFrom<u64> + Into<u64> + 'static> Matrix<C> {
    fn of(
        input: &Input<'_>,
        dtype: Dtype,
        shape: [u64; 2],
        elements: &dyn Elements,
        is_lossy: bool,
    ) -> Result<Self> {
        let no_memory = |_| no_memory(&input.path);
        let mut ends: Vec<u64> = Vec::new();
        let rows = to_usize(shape[0]);
        ends.try_reserve_exact(rows).map_err(no_memory)?;
        ends.resize(rows, 0);
        let changed = || input.refused("it was changed while it was read");
        elements.rows(&mut |row| {
            let count = ends.get_mut(to_usize(row)).ok_or_else(changed)?;
            *count += 1;
            Ok(())
        })?;
        // Turns the counts into start offsets. The second pass advances each offset, and so leaves the end of
        // the row.
        let mut nnz = 0;
        for count in &mut ends {
            nnz += std::mem::replace(count, nnz);
        }
        let count = to_usize(nnz);
        let width = usize::try_from(dtype.itemsize()).unwrap_or(8);
        let (mut columns, mut data) = (Vec::new(), Vec::new());
        columns.try_reserve_exact(count).map_err(no_memory)?;
        columns.resize(count, C::default());
        data.try_reserve_exact(count.saturating_mul(width)).map_err(no_memory)?;
        data.resize(count * width, 0);
        elements.each(&mut |row, column, value| {
            let next = ends.get_mut(to_usize(row)).ok_or_else(changed)?;
            let at = to_usize(*next);
            *next += 1;
            *columns.get_mut(at).ok_or_else(changed)? = C::try_from(column).map_err(|_| changed())?;
            data[at * width..][..width].copy_from_slice(&value[..width]);
            Ok(())
        })?;
        let mut matrix = Self { dtype, shape, ends, columns, data, added: 0 };
        matrix.sort(input, is_lossy)?;
        Ok(matrix)
    }

    /// Sorts each row by column, and adds up the elements at one position in the order of the file.
    fn sort(&mut self, input: &Input<'_>, is_lossy: bool) -> Result<()> {
        let width = usize::try_from(self.dtype.itemsize()).unwrap_or(8);
        let (mut start, mut kept) = (0, 0);
        let mut row = Row::default();
        for number in 0..self.ends.len() {
            let end = to_usize(self.ends[number]);
            let is_sorted = self.columns[start..end].is_sorted_by(|a, b| a < b);
            // The usual case, a matrix in order: nothing moves.
            if is_sorted && kept == start {
                (start, kept) = (end, end);
                continue;
            }
            if !is_sorted {
                let (columns, data) =
                    (&mut self.columns[start..end], &mut self.data[start * width..end * width]);
                row.sort(columns, data, width).map_err(|_| no_memory(&input.path))?;
            }
            let first = kept;
            for at in start..end {
                if !is_sorted && kept > first && self.columns[kept - 1] == self.columns[at] {
                    let (sum, value) = self.data.split_at_mut(at * width);
                    let sum = &mut sum[(kept - 1) * width..kept * width];
                    if !add_exactly(self.dtype, sum, &value[..width]) && !is_lossy {
                        let column = self.columns[at].into() + 1;
                        return Err(input.refused(format!(
                            "the elements at row {}, column {column} come to more than {} has (counted from 1)",
                            number + 1,
                            self.dtype
                        )));
                    }
                    self.added += 1;
                    continue;
                }
                if kept != at {
                    self.columns[kept] = self.columns[at];
                    self.data.copy_within(at * width..(at + 1) * width, kept * width);
                }
                kept += 1;
            }
            (start, self.ends[number]) = (end, kept as u64);
        }
        self.columns.truncate(kept);
        self.data.truncate(kept * width);
        Ok(())
    }

    fn found<'f>(self, input: &'f Input<'f>) -> Result<Found<'f>> {
        let nnz = self.columns.len() as u64;
        let index = |most: u64| if i32::try_from(most).is_ok() { Dtype::Int32 } else { Dtype::Int64 };
        let types = [self.dtype, index(self.shape[0].max(self.shape[1])), index(nnz)];
        let meta = SparseMeta::new(types, self.shape, nnz).map_err(|flaw| flaw.at(&input.path))?;
        let notes = match self.added {
            0 => Vec::new(),
            1 => vec!["1 element was added to another at the same place".into()],
            added => vec![format!("{added} elements were added to others at the same place")],
        };
        let matrix = Rc::new(self);
        let [data, columns, ends] = [(); 3].map(|()| Rc::clone(&matrix));
        let fill: Vec<Fill<'f>> = vec![
            Box::new(move |to| to.write_all(&data.data).map_err(input.not_written())),
            Box::new(move |to| {
                write(input, to, types[1], columns.columns.iter().map(|column| (*column).into()))
            }),
            Box::new(move |to| {
                write(input, to, types[2], std::iter::once(0).chain(ends.ends.iter().copied()))
            }),
        ];
        Ok(Found { metadata: Metadata::Sparse(meta), fill, beside: Vec::new(), notes })
    }
}

/// Buffers for sorting a row, reused for all rows.
#[derive(Default)]
struct Row<C> {
    order: Vec<(C, usize)>,
    data: Vec<u8>,
}

impl<C: Copy + Ord> Row<C> {
    fn sort(
        &mut self,
        columns: &mut [C],
        data: &mut [u8],
        width: usize,
    ) -> std::result::Result<(), TryReserveError> {
        self.order.clear();
        self.order.try_reserve(columns.len())?;
        // The index makes the unstable sort stable: equal columns stay in the order of the file.
        self.order.extend(columns.iter().copied().zip(0..));
        self.order.sort_unstable();
        self.data.clear();
        self.data.try_reserve(data.len())?;
        self.data.extend_from_slice(data);
        let places = columns.iter_mut().zip(data.chunks_exact_mut(width));
        for ((column, value), (sorted, from)) in places.zip(&self.order) {
            *column = *sorted;
            value.copy_from_slice(&self.data[from * width..][..width]);
        }
        Ok(())
    }
}

fn write(input: &Input<'_>, to: &mut File, dtype: Dtype, numbers: impl Iterator<Item = u64>) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, to);
    let mut bytes = Vec::new();
    for number in numbers {
        bytes.clear();
        encode_integer(dtype, number, &mut bytes);
        out.write_all(&bytes).map_err(input.not_written())?;
    }
    out.flush().map_err(input.not_written())
}

/// Adds one element to another of the same type. Returns false if the sum overflows: an integer is then the
/// nearest one, and a float is infinite.
fn add_exactly(dtype: Dtype, sum: &mut [u8], value: &[u8]) -> bool {
    macro_rules! integer {
        ($t:ty) => {
            if let (Some(a), Some(b)) = (sum.first_chunk(), value.first_chunk()) {
                let (a, b) = (<$t>::from_le_bytes(*a), <$t>::from_le_bytes(*b));
                sum.copy_from_slice(&a.saturating_add(b).to_le_bytes());
                return a.checked_add(b).is_some();
            }
        };
    }
    match dtype {
        Dtype::Int8 => integer!(i8),
        Dtype::Int16 => integer!(i16),
        Dtype::Int32 => integer!(i32),
        Dtype::Int64 => integer!(i64),
        Dtype::Uint8 => integer!(u8),
        Dtype::Uint16 => integer!(u16),
        Dtype::Uint32 => integer!(u32),
        Dtype::Uint64 => integer!(u64),
        Dtype::Bool | Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => {
            let were_finite = is_finite(dtype, sum) && is_finite(dtype, value);
            add(dtype, sum, value);
            return !were_finite || is_finite(dtype, sum);
        }
    }
    true
}

/// Whether a float is finite. Other types always are.
fn is_finite(dtype: Dtype, item: &[u8]) -> bool {
    // All exponent bits are set in an infinity and in NaN.
    let top = |mask: u16| item.last_chunk().is_none_or(|top| u16::from_le_bytes(*top) & mask != mask);
    match dtype {
        Dtype::Float16 => top(0x7C00),
        Dtype::Float32 => top(0x7F80),
        Dtype::Float64 => top(0x7FF0),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_type_or_told() {
        type Case = (Dtype, Vec<u8>, Vec<u8>, Vec<u8>, bool);
        let cases: [Case; 8] = [
            (Dtype::Int8, vec![100], vec![27], vec![127], true),
            (Dtype::Int8, vec![100], vec![28], vec![127], false),
            (Dtype::Int8, vec![0x80], vec![0xFF], vec![0x80], false),
            (Dtype::Uint16, vec![0xFF, 0xFF], vec![1, 0], vec![0xFF, 0xFF], false),
            (Dtype::Bool, vec![1], vec![1], vec![1], true),
            (
                Dtype::Float32,
                1.5f32.to_le_bytes().into(),
                2f32.to_le_bytes().into(),
                3.5f32.to_le_bytes().into(),
                true,
            ),
            (
                Dtype::Float64,
                f64::MAX.to_le_bytes().into(),
                f64::MAX.to_le_bytes().into(),
                f64::INFINITY.to_le_bytes().into(),
                false,
            ),
            (
                Dtype::Float64,
                f64::INFINITY.to_le_bytes().into(),
                1f64.to_le_bytes().into(),
                f64::INFINITY.to_le_bytes().into(),
                true,
            ),
        ];
        for (dtype, mut sum, value, wanted, is_exact) in cases {
            assert_eq!(add_exactly(dtype, &mut sum, &value), is_exact, "{dtype} {value:?}");
            assert_eq!(sum, wanted, "{dtype}");
        }
    }
}
