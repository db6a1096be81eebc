//! A sparse matrix converted to dense on read.
//!
//! Repeated elements are summed, as SciPy does. An invalid column index makes only reads of its own row
//! fail.

use std::sync::Arc;

use super::indptr::Indptr;
use crate::bytes::virtual_file::{Fill, Generate};
use crate::dtype::{Dtype, add, decode_integers, integer_text};
use crate::error::{Error, Result};
use crate::rows::Rows;
use crate::store::source::Source;
use crate::word::to_usize;

/// Stored elements read at a time.
const CHUNK: u64 = 16 * 1024;

/// The elements of some rows of a sparse matrix, including zeros, row-major.
pub(super) struct Densify {
    pub data: Arc<Source>,
    pub indices: Arc<Source>,
    pub indptr: Indptr,
    pub data_dtype: Dtype,
    pub indices_dtype: Dtype,
    pub columns: u64,
    pub rows: Rows,
}

/// The most recently read stored elements. Consecutive short rows share one read.
#[derive(Default)]
struct Window {
    start: u64,
    indices: Vec<u64>,
    data: Vec<u8>,
    bytes: Vec<u8>,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.indices.len() as u64
    }
}

impl Densify {
    /// Fills `out` with the elements `from..to` of the dense matrix.
    fn make(&self, from: u64, to: u64, out: &mut [u8]) -> Result<()> {
        out.fill(0);
        let item = self.data_dtype.itemsize();
        let (first, last) = (from / self.columns, (to - 1) / self.columns);
        let limit = self.indptr.bounds(self.rows.row(last), 1)?[1];
        let mut window = Window::default();
        self.indptr.visit(self.rows, first, last + 1, &mut |row, start, end| {
            let origin = row * self.columns;
            let columns = from.saturating_sub(origin)..(to - origin).min(self.columns);
            let mut at = start;
            while at < end {
                self.slide(&mut window, at, end.max(limit))?;
                let stop = end.min(window.end());
                for i in at - window.start..stop - window.start {
                    let i = to_usize(i);
                    let column = window.indices[i];
                    if column >= self.columns {
                        return Err(self.no_column(row, column));
                    }
                    if columns.contains(&column) {
                        let width = usize::try_from(item).unwrap_or(8);
                        let to = to_usize((origin + column - from) * item);
                        add(
                            self.data_dtype,
                            &mut out[to..to + width],
                            &window.data[i * width..(i + 1) * width],
                        );
                    }
                }
                at = stop;
            }
            Ok(true)
        })
    }

    /// Makes `window` contain the stored element `at`. Reads no elements from `limit` on.
    fn slide(&self, window: &mut Window, at: u64, limit: u64) -> Result<()> {
        if (window.start..window.end()).contains(&at) {
            return Ok(());
        }
        let count = CHUNK.min(limit - at);
        let read = |source: &Source, item: u64, bytes: &mut Vec<u8>| {
            bytes.resize(to_usize(count * item), 0);
            source.read_exact_at(bytes, at * item)
        };
        read(&self.indices, self.indices_dtype.itemsize(), &mut window.bytes)?;
        read(&self.data, self.data_dtype.itemsize(), &mut window.data)?;
        window.indices.clear();
        decode_integers(self.indices_dtype, &window.bytes, &mut window.indices);
        window.start = at;
        Ok(())
    }

    fn no_column(&self, row: u64, column: u64) -> Error {
        let expected = format!("0 to {} in row {}", self.columns - 1, self.rows.row(row));
        Error::invalid(self.indices.name(), "column", expected, integer_text(self.indices_dtype, column))
    }
}

impl Generate for Densify {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let item = self.data_dtype.itemsize();
        // At once, because each call reads `indptr` and all elements of the rows that it touches.
        out.put_items_at_once(item, self.rows.count() * self.columns, &mut |first, out| {
            let count = out.len() as u64 / item;
            self.make(first, first + count, out)?;
            Ok(count)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.data), Arc::clone(&self.indices), Arc::clone(&self.indptr.source)]
    }
}
