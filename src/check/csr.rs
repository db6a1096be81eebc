//! The rules of CSR: `indptr` rises from 0 to nnz, and columns are in range. That the columns of a row are sorted and
//! unique is not a rule: SciPy writes such matrices, and every format handles them. It is only noted.
//!
//! Columns are checked in file order and not row by row. One row with all elements is then as fast as a
//! million rows, and an invalid `indptr` cannot cause the same columns to be read repeatedly. Whether columns
//! are sorted is only known if `indptr` is valid. If it is not, only the violations of `indptr` and of the
//! range are reported.

use std::ops::Range;

use super::buffers::Buffers;
use super::matrix::Csr;
use super::rows::{RowStarts, first_row};
use super::violation::{Case, Violation};
use crate::dtype::integer_text;
use crate::error::{Error, Result};
use crate::store::source::Source;

/// Violations of each rule in some part of a matrix.
#[derive(Debug, Default)]
pub(super) struct Rules {
    ends: Violation,
    falls: Violation,
    beyond: Violation,
    outside: Violation,
    unsorted: Violation,
    repeated: Violation,
}

impl Rules {
    pub fn merge(&mut self, other: Self) {
        self.ends.merge(other.ends);
        self.falls.merge(other.falls);
        self.beyond.merge(other.beyond);
        self.outside.merge(other.outside);
        self.unsorted.merge(other.unsorted);
        self.repeated.merge(other.repeated);
    }
}

impl Csr<'_> {
    /// Checks these numbers of `indptr`. The first is compared with the one before it.
    pub fn check_bounds(&self, items: Range<u64>, buffers: &mut Buffers, rules: &mut Rules) -> Result<()> {
        let from = items.start.saturating_sub(1);
        buffers.read_numbers(self.indptr, self.meta.indptr_dtype, from..items.end)?;
        let (rule, bounds) = (self.meta.indptr_rule(), &buffers.numbers[..]);
        // The fast path. Violations are located only if there are any.
        if rule.holds(from, bounds) {
            return Ok(());
        }
        let mut before = 0;
        for (at, bound) in (from..).zip(bounds.iter().copied()) {
            let broken = rule.broken(at, before, bound);
            // The preceding number was checked with its own piece.
            let is_new = at >= items.start;
            for (rule, before, is_broken) in [
                (&mut rules.ends, 0, broken.is_end),
                (&mut rules.beyond, before, broken.is_beyond),
                (&mut rules.falls, before, broken.is_fall),
            ] {
                if is_new && is_broken {
                    rule.add(at, bound, before);
                }
            }
            before = bound;
        }
        Ok(())
    }

    /// Checks the columns of these stored elements. The first is compared with the one before it. `rows`
    /// yields the starts of rows, and must be passed on from batch to batch.
    pub fn check_columns(
        &self,
        items: Range<u64>,
        buffers: &mut Buffers,
        rows: &mut RowStarts,
        rules: &mut Rules,
    ) -> Result<()> {
        let from = items.start.saturating_sub(1);
        buffers.read_numbers(self.indices, self.meta.indices_dtype, from..items.end)?;
        let columns = &buffers.numbers[..];
        let new = &columns[columns.len() - usize::try_from(items.end - items.start).unwrap_or(0)..];
        // Collect the sign bits of columns and of differences without a branch, so that the loop vectorizes.
        // A set bit means that a column is negative or too large.
        let most = self.meta.shape[1] - 1;
        let signs = columns.iter().fold(0, |signs, column| signs | column | most.wrapping_sub(*column));
        let all_in_range = signs >> 63 == 0;
        if !all_in_range {
            let outside = (items.start..).zip(new).filter(|(_, column)| **column >= self.meta.shape[1]);
            outside.for_each(|(element, column)| rules.outside.add(element, *column, 0));
        }
        let Some(starts) = rows.up_to(self, items.end) else { return Ok(()) };
        // Columns may fall or repeat only at the start of a row. If all places where they do are starts,
        // nothing is wrong.
        let is_fall = |before, column| column <= before;
        let at = |start: &u64| usize::try_from(start - from).ok().filter(|at| *at > 0);
        let at_starts =
            starts.iter().filter_map(at).filter(|at| is_fall(columns[at - 1], columns[*at])).count();
        let pairs = columns.iter().zip(columns.get(1..).unwrap_or_default());
        let falls: u64 =
            pairs.map(|(before, column)| (column.wrapping_sub(*before).wrapping_sub(1)) >> 63).sum();
        if all_in_range && falls == at_starts as u64 {
            return Ok(());
        }
        // A column out of range is one violation. Its neighbours are not reported as unsorted too.
        let in_range = |pair: &[u64]| pair.iter().all(|column| *column < self.meta.shape[1]);
        let mut starts = starts.iter().copied().peekable();
        for (element, pair) in (from + 1..).zip(columns.windows(2)) {
            while starts.next_if(|start| *start < element).is_some() {}
            let violation = match pair[1].cmp(&pair[0]) {
                std::cmp::Ordering::Less => &mut rules.unsorted,
                std::cmp::Ordering::Equal => &mut rules.repeated,
                std::cmp::Ordering::Greater => continue,
            };
            if starts.peek() != Some(&element) && in_range(pair) {
                violation.add(element, pair[1], pair[0]);
            }
        }
        Ok(())
    }

    /// The row of a stored element below nnz: the last row that starts at or before it. `indptr` must be
    /// valid.
    fn row_of(&self, element: u64) -> Result<u64> {
        Ok(first_row(self, |bound| bound > element)?.saturating_sub(1))
    }

    /// The violations, and notes about the order of columns, after all of the matrix was checked. `is_unread` means
    /// that some of `indptr` could not be read.
    pub fn faults(&self, rules: &Rules, is_unread: bool) -> [Vec<Error>; 2] {
        let [number, column] = [self.meta.indptr_dtype, self.meta.indices_dtype]
            .map(|dtype| move |number| integer_text(dtype, number));
        let nnz = self.meta.nnz;
        let invalid = |source: &Source, what, expected: String, found: Option<String>| {
            found.map(|found| Error::invalid(source.name(), what, expected, found))
        };
        let ends = rules.ends.found(|case| {
            format!("{} {}", number(case.number), if case.place == 0 { "first" } else { "last" })
        });
        let falls = rules
            .falls
            .found(|case| format!("{} at {} after {}", number(case.number), case.place, number(case.before)));
        let beyond = rules.beyond.found(|case| format!("{} at {}", number(case.number), case.place));
        let is_sound =
            !is_unread && [&rules.ends, &rules.falls, &rules.beyond].iter().all(|rule| rule.is_empty());
        let place = |case: &Case| match is_sound.then(|| self.row_of(case.place)) {
            Some(Ok(row)) => format!("in row {row}"),
            _ => format!("at {}", case.place),
        };
        let outside = rules.outside.found(|case| format!("{} {}", column(case.number), place(&case)));
        let ordered = |rule: &Violation, describe: &dyn Fn(Case) -> String| {
            is_sound.then(|| rule.found(describe)).flatten()
        };
        let unsorted = ordered(&rules.unsorted, &|case| {
            format!("{} after {} {}", column(case.number), column(case.before), place(&case))
        });
        let repeated =
            ordered(&rules.repeated, &|case| format!("{} twice {}", column(case.number), place(&case)));
        let faults = [
            invalid(self.indptr, "first and last", format!("0 and {nnz}"), ends),
            invalid(self.indptr, "order", "numbers that do not fall".into(), falls),
            invalid(self.indptr, "range", format!("numbers up to {nnz}"), beyond),
            invalid(self.indices, "range", format!("columns 0 to {}", self.meta.shape[1] - 1), outside),
        ];
        let oddities = [
            invalid(self.indices, "order", "rising columns in each row".into(), unsorted),
            invalid(self.indices, "order", "each column once in a row".into(), repeated),
        ];
        [faults.into_iter().flatten().collect(), oddities.into_iter().flatten().collect()]
    }
}
