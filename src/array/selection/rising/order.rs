//! Scans the order in which the elements of a sparse matrix are stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::super::indptr::Indptr;
use crate::dtype::{Dtype, decode_integers, integer_text};
use crate::error::{Error, Result};
use crate::rows::Rows;
use crate::store::source::Source;
use crate::word::to_usize;

/// The most elements, and the most rows, of a block. A longer row is a block of its own.
const BLOCK: u64 = 16 * 1024;

/// The longest row that is sorted. Sorting needs the whole row in memory.
const MOST: u64 = 1 << 20;

/// Rows that a thread takes at a time.
const SHARE: u64 = 64 * 1024;

/// The stored elements of some rows, not necessarily in order.
#[derive(Clone)]
pub(in super::super) struct CsrParts {
    pub data: Arc<Source>,
    pub indices: Arc<Source>,
    pub indptr: Indptr,
    pub data_dtype: Dtype,
    pub indices_dtype: Dtype,
    pub columns: u64,
    pub rows: Rows,
}

/// Start and end of the elements of each of some rows.
pub(super) type Ranges = Vec<(u64, u64)>;

/// A block of consecutive rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// The first row.
    pub row: u64,
    /// Number of elements, without duplicates.
    pub count: u64,
    /// Whether all rows are sorted and without duplicates as stored.
    pub is_rising: bool,
}

/// The order in which the elements of the selected rows are stored, by blocks of rows.
#[derive(Debug)]
pub(in super::super) struct Order {
    pub(super) blocks: Vec<Block>,
    /// Number of elements before each block, and in total.
    pub(super) before: Vec<u64>,
}

impl Order {
    /// Scans all rows.
    ///
    /// # Errors
    ///
    /// Errors from reading the rows; [`Error::Invalid`] for a column index out of range; [`Error::Refused`]
    /// for an unsorted row that is too long to be sorted.
    pub fn new(stored: &CsrParts) -> Result<Self> {
        let shares = stored.rows.count().div_ceil(SHARE);
        let next = AtomicU64::new(0);
        let work = || -> Result<Vec<Block>> {
            let mut blocks = Vec::new();
            loop {
                let share = next.fetch_add(1, Ordering::Relaxed);
                if share >= shares {
                    return Ok(blocks);
                }
                let (first, last) = (share * SHARE, stored.rows.count().min((share + 1) * SHARE));
                // If one thread fails, the others stop as well.
                let scanned = stored.scan(first, last, &mut blocks);
                scanned.inspect_err(|_| next.store(shares, Ordering::Relaxed))?;
            }
        };
        let cores = thread::available_parallelism().map_or(1, Into::into);
        let others = cores.min(to_usize(shares));
        let mut blocks = thread::scope(|scope| {
            // If the system refuses another thread, fewer threads do the work.
            let start = |_| thread::Builder::new().name("order".into()).spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..others).filter_map(start).collect();
            let own = work();
            let join = |other: thread::ScopedJoinHandle<'_, _>| {
                other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let of_others: Vec<Result<Vec<Block>>> = others.into_iter().map(join).collect();
            of_others.into_iter().try_fold(own?, |mut all, other| {
                all.extend(other?);
                Ok::<_, Error>(all)
            })
        })?;
        // Otherwise the result might mix two versions.
        stored.sources().iter().try_for_each(|source| source.check_unchanged())?;
        blocks.sort_unstable_by_key(|block| block.row);
        let counts = blocks.iter().scan(0, |sum, block| {
            *sum += block.count;
            Some(*sum)
        });
        let before = std::iter::once(0).chain(counts).collect();
        Ok(Self { blocks, before })
    }

    /// Whether the elements can be used as stored.
    pub fn is_rising(&self) -> bool {
        self.blocks.iter().all(|block| block.is_rising)
    }

    /// Number of elements in all rows, without duplicates.
    pub fn total(&self) -> u64 {
        self.before.last().copied().unwrap_or(0)
    }

    /// The block that contains an element.
    pub(super) fn block_of_element(&self, element: u64) -> usize {
        let next = self.before.partition_point(|before| *before <= element);
        next.saturating_sub(1).min(self.blocks.len().saturating_sub(1))
    }

    /// The block that contains a row.
    pub(super) fn block_of_row(&self, row: u64) -> usize {
        self.blocks.partition_point(|block| block.row <= row).saturating_sub(1)
    }
}

impl CsrParts {
    fn sources(&self) -> [&Arc<Source>; 2] {
        [&self.indices, &self.indptr.source]
    }

    /// Appends the blocks of the rows `first..last`.
    fn scan(&self, first: u64, last: u64, blocks: &mut Vec<Block>) -> Result<()> {
        let (mut ranges, mut elements, mut row) = (Ranges::new(), 0, first);
        self.indptr.visit(self.rows, first, last, &mut |i, start, end| {
            let is_full = elements + (end - start) > BLOCK || ranges.len() as u64 == BLOCK;
            if is_full && !ranges.is_empty() {
                blocks.push(self.look(row, &ranges)?);
                (elements, row) = (0, i);
                ranges.clear();
            }
            elements += end - start;
            ranges.push((start, end));
            Ok(true)
        })?;
        if !ranges.is_empty() {
            blocks.push(self.look(row, &ranges)?);
        }
        Ok(())
    }

    /// Scans some consecutive rows, which become one block.
    fn look(&self, row: u64, ranges: &[(u64, u64)]) -> Result<Block> {
        if let [(start, end)] = *ranges
            && end - start > BLOCK
        {
            return self.look_at_long(row, start, end);
        }
        let columns = self.columns_of(row, ranges)?;
        let (mut count, mut is_rising, mut at) = (0, true, 0);
        let mut sorted = Vec::new();
        for length in lengths(ranges) {
            let row = &columns[at..at + length];
            at += length;
            if is_rising_row(row) {
                count += length as u64;
            } else {
                is_rising = false;
                count += distinct(row, &mut sorted);
            }
        }
        Ok(Block { row, count, is_rising })
    }

    /// The same for a row that is too long to be read at once. Works in pieces as long as the row is
    /// sorted.
    fn look_at_long(&self, row: u64, start: u64, end: u64) -> Result<Block> {
        let (mut at, mut last) = (start, None);
        while at < end {
            let next = end.min(at + BLOCK);
            let columns = self.columns_of(row, &[(at, next)])?;
            if !is_rising_row(&columns)
                || columns.first().is_some_and(|first| last.is_some_and(|last| last >= *first))
            {
                return self.look_at_unordered(row, start, end);
            }
            (at, last) = (next, columns.last().copied());
        }
        Ok(Block { row, count: end - start, is_rising: true })
    }

    fn look_at_unordered(&self, row: u64, start: u64, end: u64) -> Result<Block> {
        let length = end - start;
        if length > MOST {
            let number = self.rows.row(row);
            let why = format!("row {number} is out of order and has {length} elements, more than are sorted");
            return Err(Error::refused(self.indices.name(), why));
        }
        let count = distinct(&self.columns_of(row, &[(start, end)])?, &mut Vec::new());
        Ok(Block { row, count, is_rising: false })
    }

    /// The columns of the elements in these ranges, which belong to the rows from `row` on.
    pub(super) fn columns_of(&self, row: u64, ranges: &[(u64, u64)]) -> Result<Vec<u64>> {
        let mut columns = Vec::new();
        decode_integers(self.indices_dtype, &read(&self.indices, self.indices_dtype, ranges)?, &mut columns);
        match columns.iter().position(|column| *column >= self.columns) {
            None => Ok(columns),
            Some(at) => Err(self.no_column(row, ranges, at, columns[at])),
        }
    }

    fn no_column(&self, row: u64, ranges: &[(u64, u64)], at: usize, column: u64) -> Error {
        let ends = lengths(ranges).scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        let before = ends.take_while(|end| *end <= at).count() as u64;
        let row = self.rows.row(row + before);
        let expected = format!("0 to {} in row {row}", self.columns - 1);
        Error::invalid(self.indices.name(), "column", expected, integer_text(self.indices_dtype, column))
    }

    /// Start and end of each row of a block.
    pub(super) fn ranges(&self, order: &Order, block: usize) -> Result<Ranges> {
        let first = order.blocks[block].row;
        let last = order.blocks.get(block + 1).map_or(self.rows.count(), |next| next.row);
        let mut ranges = Ranges::new();
        self.indptr.visit(self.rows, first, last, &mut |_, start, end| {
            ranges.push((start, end));
            Ok(true)
        })?;
        Ok(ranges)
    }

    /// The error for data that changed since it was scanned.
    pub(super) fn changed(&self) -> Error {
        let changed = self.sources().iter().find_map(|source| source.check_unchanged().err());
        changed.unwrap_or_else(|| Error::Stale { path: self.indices.name().to_owned() })
    }
}

/// Number of elements in each range.
pub(super) fn lengths(ranges: &[(u64, u64)]) -> impl Iterator<Item = usize> {
    ranges.iter().map(|(start, end)| to_usize(end - start))
}

/// The elements in these ranges of a file. Adjacent ranges share one read.
pub(super) fn read(source: &Source, dtype: Dtype, ranges: &[(u64, u64)]) -> Result<Vec<u8>> {
    let item = dtype.itemsize();
    let count: u64 = ranges.iter().map(|(start, end)| end - start).sum();
    let mut bytes = vec![0; to_usize(count * item)];
    let (mut filled, mut next) = (0, 0);
    while let Some((start, mut end)) = ranges.get(next).copied() {
        next += 1;
        while let Some((also, further)) = ranges.get(next).filter(|(start, _)| *start == end) {
            debug_assert_eq!(*also, end);
            end = *further;
            next += 1;
        }
        let length = to_usize((end - start) * item);
        source.read_exact_at(&mut bytes[filled..filled + length], start * item)?;
        filled += length;
    }
    Ok(bytes)
}

fn is_rising_row(columns: &[u64]) -> bool {
    columns.windows(2).all(|pair| pair[0] < pair[1])
}

/// Number of different columns. `sorted` is a buffer for reuse.
pub(super) fn distinct(columns: &[u64], sorted: &mut Vec<u64>) -> u64 {
    sorted.clear();
    sorted.extend_from_slice(columns);
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() as u64
}
