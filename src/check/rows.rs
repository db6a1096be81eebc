//! The positions among the stored elements at which rows start.

use super::buffers::Buffers;
use super::matrix::Csr;
use crate::error::Result;

/// Numbers of `indptr` that are read at once.
const BATCH: u64 = 4096;

/// The index of the first number in `indptr` for which `holds` is true, by binary search. `indptr` must be
/// valid.
pub(super) fn first_row(csr: &Csr<'_>, holds: impl Fn(u64) -> bool) -> Result<u64> {
    let (mut low, mut high, mut buffers) = (0, csr.meta.shape[0] + 1, Buffers::default());
    while low < high {
        let middle = low + (high - low) / 2;
        buffers.read_numbers(csr.indptr, csr.meta.indptr_dtype, middle..middle + 1)?;
        if holds(buffers.numbers[0]) { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}

/// The starts of rows, read forwards from some stored element.
pub(super) struct RowStarts {
    /// A window of `indptr`, and the position in it of the next number.
    bounds: Buffers,
    at: usize,
    /// Index of the number after the window.
    next: u64,
    before: u64,
    /// Whether all numbers so far could be read, and rise.
    is_sound: bool,
    passed: Vec<u64>,
}

impl RowStarts {
    /// Starts reading at the stored element `from`.
    pub fn new(csr: &Csr<'_>, from: u64) -> Self {
        let first = first_row(csr, |bound| bound >= from);
        Self {
            bounds: Buffers::default(),
            at: 0,
            is_sound: first.is_ok(),
            next: first.unwrap_or(0),
            before: from,
            passed: Vec::new(),
        }
    }

    /// The stored elements before `end` at which rows start, each once, beginning where the last call ended.
    /// `None` if `indptr` is invalid; this is reported where `indptr` itself is checked.
    pub fn up_to(&mut self, csr: &Csr<'_>, end: u64) -> Option<&[u64]> {
        self.passed.clear();
        while self.is_sound {
            let Some(bound) = self.bounds.numbers.get(self.at).copied() else {
                if self.next > csr.meta.shape[0] {
                    break;
                }
                self.read(csr);
                continue;
            };
            if bound >= end {
                break;
            }
            self.is_sound = bound >= self.before;
            // Empty rows start at the same element as the row after them.
            if self.passed.last() != Some(&bound) {
                self.passed.push(bound);
            }
            (self.before, self.at) = (bound, self.at + 1);
        }
        self.is_sound.then_some(&self.passed)
    }

    fn read(&mut self, csr: &Csr<'_>) {
        let end = (csr.meta.shape[0] + 1).min(self.next + BATCH);
        self.is_sound = self.bounds.read_numbers(csr.indptr, csr.meta.indptr_dtype, self.next..end).is_ok();
        (self.next, self.at) = (end, 0);
    }
}
