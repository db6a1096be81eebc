//! Where the rows of a sparse matrix are, read piece by piece and never believed unchecked.

use std::sync::Arc;

use crate::dtype::{Dtype, decode_integers, encode_integer, integer_text};
use crate::error::{Error, Result};
use crate::select::Rows;
use crate::source::Source;
use crate::vfile::{Fill, Generate};

/// Rows whose bounds are read at once.
const BATCH: u64 = 8192;

/// The `indptr` of a sparse matrix: rows + 1 numbers that rise from 0 to nnz, or so it should be.
#[derive(Clone, Debug)]
pub(super) struct Indptr {
    pub source: Arc<Source>,
    pub dtype: Dtype,
    /// Rows of the matrix.
    pub rows: u64,
    pub nnz: u64,
}

impl Indptr {
    /// The bounds of `count` neighbouring rows from `first` on: `count + 1` numbers, checked.
    pub fn bounds(&self, first: u64, count: u64) -> Result<Vec<u64>> {
        let mut bytes = vec![0; usize::try_from((count + 1) * self.dtype.itemsize()).unwrap_or(usize::MAX)];
        self.source.read_exact_at(&mut bytes, first * self.dtype.itemsize())?;
        let mut bounds = Vec::with_capacity(bytes.len());
        decode_integers(self.dtype, &bytes, &mut bounds);
        self.check(first, &bounds)?;
        Ok(bounds)
    }

    fn check(&self, first: u64, bounds: &[u64]) -> Result<()> {
        let fault = |row: u64, expected: String, found: u64| {
            let found = format!("{} at {row}", integer_text(self.dtype, found));
            Err(Error::invalid(self.source.name(), "ranges of rows", expected, found))
        };
        if first == 0 && bounds[0] != 0 {
            return fault(0, "0 first".into(), bounds[0]);
        }
        let mut before = 0;
        for (row, bound) in (first..).zip(bounds) {
            if *bound < before || *bound > self.nnz {
                return fault(row, format!("numbers that rise to {}", self.nnz), *bound);
            }
            before = *bound;
        }
        if first + bounds.len() as u64 == self.rows + 1 && before != self.nnz {
            return fault(self.rows, format!("{} last", self.nnz), before);
        }
        Ok(())
    }

    /// Where the elements of `count` neighbouring rows from `first` on start and end.
    pub fn run(&self, first: u64, count: u64) -> Result<(u64, u64)> {
        if count == 1 {
            let bounds = self.bounds(first, 1)?;
            return Ok((bounds[0], bounds[1]));
        }
        let (start, end) = (self.bounds(first, 1)?[0], self.bounds(first + count - 1, 1)?[1]);
        match start <= end {
            true => Ok((start, end)),
            false => {
                let found = format!("{start} at {first}, {end} at {}", first + count);
                Err(Error::invalid(self.source.name(), "ranges of rows", "rising numbers", found))
            }
        }
    }

    /// Calls `visit` with the number of each of the rows `from..to` of a selection, and where its
    /// elements start and end, until it says no.
    pub fn visit(
        &self,
        rows: Rows,
        from: u64,
        to: u64,
        visit: &mut dyn FnMut(u64, u64, u64) -> Result<bool>,
    ) -> Result<()> {
        // Of rows far apart each is read for itself, of near ones those between are read along.
        let batch = (BATCH / rows.step()).max(1);
        let mut next = from;
        while next < to {
            let count = batch.min(to - next);
            let first = rows.row(next);
            let bounds = self.bounds(first, (count - 1) * rows.step() + 1)?;
            for i in 0..count {
                let at = usize::try_from(i * rows.step()).unwrap_or(usize::MAX);
                if !visit(next + i, bounds[at], bounds[at + 1])? {
                    return Ok(());
                }
            }
            next += count;
        }
        Ok(())
    }
}

/// Where the rows of a selection start when their elements are put together: every so many rows one
/// number, so that the memory stays small whatever the number of rows.
#[derive(Debug)]
pub(super) struct RowSums {
    /// Elements before row `i * EVERY`.
    sums: Vec<u64>,
    total: u64,
}

impl RowSums {
    const EVERY: u64 = 4096;

    /// Reads the bounds of all selected rows.
    pub fn new(indptr: &Indptr, rows: Rows) -> Result<Self> {
        let mut sums = Vec::new();
        let mut total = 0;
        indptr.visit(rows, 0, rows.count(), &mut |row, start, end| {
            if row % Self::EVERY == 0 {
                sums.push(total);
            }
            total += end - start;
            Ok(true)
        })?;
        Ok(Self { sums, total })
    }

    /// Elements of all selected rows.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A row at or before the one that holds element `element`, and how many elements precede it.
    pub fn before_element(&self, element: u64) -> (u64, u64) {
        let i = self.sums.partition_point(|sum| *sum <= element).saturating_sub(1);
        (i as u64 * Self::EVERY, self.sums.get(i).copied().unwrap_or(0))
    }

    /// A row at or before `row`, and how many elements precede it.
    fn before_row(&self, row: u64) -> (u64, u64) {
        let i = row / Self::EVERY;
        let i = i.min((self.sums.len() as u64).saturating_sub(1));
        (i * Self::EVERY, usize::try_from(i).ok().and_then(|i| self.sums.get(i)).copied().unwrap_or(0))
    }
}

/// The `indptr` of a selection, counted from 0.
pub(super) struct Rebased {
    pub indptr: Indptr,
    pub rows: Rows,
    /// For rows that are apart.
    pub sums: Option<Arc<RowSums>>,
}

impl Rebased {
    /// The numbers `from..to` of the new `indptr`.
    fn numbers(&self, from: u64, to: u64) -> Result<Vec<u64>> {
        let Some(sums) = &self.sums else {
            let base = self.indptr.bounds(self.rows.start(), 1)?[0];
            let bounds = match from == self.rows.count() {
                // The end of the last row alone.
                true => self.indptr.bounds(self.rows.row(from - 1), 1)?[1..].to_vec(),
                false => {
                    let mut bounds = self.indptr.bounds(self.rows.row(from), (to - from - 1).max(1))?;
                    bounds.truncate(usize::try_from(to - from).unwrap_or(usize::MAX));
                    bounds
                }
            };
            let falls = || {
                Error::invalid(self.indptr.source.name(), "ranges of rows", "rising numbers", "falling ones")
            };
            return bounds.into_iter().map(|bound| bound.checked_sub(base).ok_or_else(falls)).collect();
        };
        let (row, mut sum) = sums.before_row(from);
        let mut numbers = Vec::new();
        self.indptr.visit(self.rows, row, self.rows.count().min(to), &mut |row, start, end| {
            if row >= from {
                numbers.push(sum);
            }
            sum += end - start;
            Ok(true)
        })?;
        if to > self.rows.count() {
            numbers.push(sum);
        }
        Ok(numbers)
    }
}

impl Generate for Rebased {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let item = self.indptr.dtype.itemsize();
        let mut bytes = Vec::new();
        while !out.is_full() {
            let from = out.seek_item(item);
            let to = from + out.missing(item).min(BATCH);
            bytes.clear();
            for number in self.numbers(from, to)? {
                encode_integer(self.indptr.dtype, number, &mut bytes);
            }
            out.put_some(&bytes)?;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.indptr.source)]
    }
}
