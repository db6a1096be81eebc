//! Reads `indptr` of a sparse matrix piece by piece. Every number is validated before it is used.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bytes::virtual_file::{Fill, Generate};
use crate::daf::metadata::IndptrRule;
use crate::dtype::{Dtype, decode_integers, encode_integer};
use crate::error::{Error, Result};
use crate::rows::Rows;
use crate::store::Identity;
use crate::store::source::Source;
use crate::word::to_usize;

/// Bounds read at a time.
const BATCH: u64 = 8192;

/// The `indptr` of a sparse matrix. If it is valid, rows + 1 numbers that increase from 0 to nnz.
#[derive(Clone, Debug)]
pub(super) struct Indptr {
    pub source: Arc<Source>,
    pub dtype: Dtype,
    pub rule: IndptrRule,
}

impl Indptr {
    /// The bounds of `count` consecutive rows from `first` on: `count + 1` validated numbers.
    pub fn bounds(&self, first: u64, count: u64) -> Result<Vec<u64>> {
        let mut bytes = vec![0; to_usize((count + 1) * self.dtype.itemsize())];
        self.source.read_exact_at(&mut bytes, first * self.dtype.itemsize())?;
        let mut bounds = Vec::with_capacity(bytes.len());
        decode_integers(self.dtype, &bytes, &mut bounds);
        self.rule.check(self.source.name(), self.dtype, first, &bounds)?;
        Ok(bounds)
    }

    /// The range of the elements of `count` consecutive rows from `first` on.
    pub fn run(&self, first: u64, count: u64) -> Result<Range<u64>> {
        let last = first + count - 1;
        let (start, end) = (self.bounds(first, 1)?[0], self.bounds(last, 1)?[1]);
        if start <= end { Ok(start..end) } else { Err(self.fault(last + 1, end)) }
    }

    /// The error for a number that breaks the rule.
    fn fault(&self, at: u64, bound: u64) -> Error {
        self.rule.fault(self.source.name(), self.dtype, at, bound)
    }

    /// Calls `visit` for the rows `from..to` of a selection with the index of the row and the start and end
    /// of its elements, until it returns `false`.
    pub fn visit(
        &self,
        rows: Rows,
        from: u64,
        to: u64,
        visit: &mut dyn FnMut(u64, u64, u64) -> Result<bool>,
    ) -> Result<()> {
        // If rows are close, read the bounds between them too. If they are far apart, read each row on its
        // own.
        let batch = (BATCH / rows.step()).max(1);
        let mut next = from;
        while next < to {
            let count = batch.min(to - next);
            let first = rows.row(next);
            let bounds = self.bounds(first, (count - 1) * rows.step() + 1)?;
            for i in 0..count {
                let at = to_usize(i * rows.step());
                if !visit(next + i, bounds[at], bounds[at + 1])? {
                    return Ok(());
                }
            }
            next += count;
        }
        Ok(())
    }
}

/// Where the elements of each row start when selected rows that are not contiguous are put together. Only
/// one number for every [`EVERY`](Self::EVERY) rows is kept, to limit memory.
#[derive(Debug)]
pub(super) struct RowSums {
    /// Elements before row `i * EVERY`.
    sums: Vec<u64>,
    total: u64,
    /// The version of `indptr` that the sums are from, or a later one with the same sums.
    seen: Mutex<Identity>,
}

impl RowSums {
    /// Rows for each sum that is kept.
    pub const EVERY: u64 = 4096;

    /// The most rows. Beyond that, the sums would take more than 8 MiB, and computing them would read too
    /// much of `indptr`.
    pub const MOST: u64 = 1 << 32;

    /// Computes the sums from the bounds of all selected rows.
    pub fn new(indptr: &Indptr, rows: Rows) -> Result<Self> {
        let seen = indptr.source.identity_now()?;
        let mut sums = Vec::new();
        let mut total = 0;
        indptr.visit(rows, 0, rows.count(), &mut |row, start, end| {
            if row % Self::EVERY == 0 {
                sums.push(total);
            }
            total += end - start;
            Ok(true)
        })?;
        let sums = Self { sums, total, seen: Mutex::new(seen) };
        sums.check_unchanged(indptr)?;
        Ok(sums)
    }

    /// Fails if `indptr` was changed since the sums were computed, so that rows are now elsewhere. If the
    /// sums are still the same, the change does not matter: for example, only the attributes of the file
    /// changed.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`], and errors from reading `indptr`.
    pub fn check(&self, indptr: &Indptr, rows: Rows) -> Result<()> {
        if self.check_unchanged(indptr).is_ok() {
            return Ok(());
        }
        let now = Self::new(indptr, rows)?;
        if (&now.sums, now.total) != (&self.sums, self.total) {
            return Err(Error::Stale { path: indptr.source.name().to_owned() });
        }
        let seen = now.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }

    /// Fails if the file of `indptr` was touched in any way since the last [`check`](Self::check). Cheap:
    /// it does not read the file.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`].
    pub fn check_unchanged(&self, indptr: &Indptr) -> Result<()> {
        let now = indptr.source.identity_now()?;
        match *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == now {
            true => Ok(()),
            false => Err(Error::Stale { path: indptr.source.name().to_owned() }),
        }
    }

    /// Number of elements in all selected rows.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The first row of the block of rows that contains an element, and the number of elements before that
    /// row.
    pub fn before_element(&self, element: u64) -> (u64, u64) {
        let i = self.sums.partition_point(|sum| *sum <= element).saturating_sub(1);
        (i as u64 * Self::EVERY, self.sums.get(i).copied().unwrap_or(0))
    }

    /// A row at or before `row`, and the number of elements before it.
    fn before_row(&self, row: u64) -> (u64, u64) {
        let i = row / Self::EVERY;
        let i = i.min((self.sums.len() as u64).saturating_sub(1));
        (i * Self::EVERY, usize::try_from(i).ok().and_then(|i| self.sums.get(i)).copied().unwrap_or(0))
    }
}

/// The `indptr` of a selection, starting at 0.
pub(super) struct RebasedIndptr {
    pub indptr: Indptr,
    pub rows: Rows,
    pub stored: Stored,
}

/// Where the elements of a selection are stored.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// In one run.
    Run(Range<u64>),
    /// In one run for each row.
    Apart(Arc<RowSums>),
}

impl Stored {
    /// Number of elements.
    pub fn count(&self) -> u64 {
        match self {
            Self::Run(run) => run.end - run.start,
            Self::Apart(sums) => sums.total(),
        }
    }
}

impl RebasedIndptr {
    /// The numbers `from..to` of the new `indptr`.
    fn numbers(&self, from: u64, to: u64) -> Result<Vec<u64>> {
        let numbers = match &self.stored {
            Stored::Run(run) => self.numbers_of_run(run.start, from, to)?,
            Stored::Apart(sums) => self.numbers_apart(sums, from, to)?,
        };
        let rule = IndptrRule { rows: self.rows.count(), nnz: self.stored.count() };
        rule.check(self.indptr.source.name(), self.indptr.dtype, from, &numbers)?;
        Ok(numbers)
    }

    fn numbers_of_run(&self, start: u64, from: u64, to: u64) -> Result<Vec<u64>> {
        let mut bounds = match from == self.rows.count() {
            // Only the end of the last row is left.
            true => self.indptr.bounds(self.rows.row(from - 1), 1)?.split_off(1),
            false => self.indptr.bounds(self.rows.row(from), (to - from - 1).max(1))?,
        };
        bounds.truncate(to_usize(to - from));
        for (row, bound) in (self.rows.row(0) + from..).zip(&mut bounds) {
            *bound = bound.checked_sub(start).ok_or_else(|| self.indptr.fault(row, *bound))?;
        }
        Ok(bounds)
    }

    fn numbers_apart(&self, sums: &RowSums, from: u64, to: u64) -> Result<Vec<u64>> {
        sums.check(&self.indptr, self.rows)?;
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
        sums.check_unchanged(&self.indptr)?;
        Ok(numbers)
    }
}

impl Generate for RebasedIndptr {
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
