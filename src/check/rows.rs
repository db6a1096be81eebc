//! Where rows start among the stored elements.

use super::csr::Csr;
use super::queue::Buffers;
use crate::error::Result;

/// Numbers of `indptr` that are read at once.
const BATCH: u64 = 4096;

/// The first number of `indptr` of which this holds, if they rise.
pub(super) fn first_row(csr: &Csr<'_>, holds: impl Fn(u64) -> bool) -> Result<u64> {
    let (mut low, mut high, mut buffers) = (0, csr.meta.shape[0] + 1, Buffers::default());
    while low < high {
        let middle = low + (high - low) / 2;
        buffers.read_numbers(csr.indptr, csr.meta.indptr_dtype, middle..middle + 1)?;
        if holds(buffers.numbers[0]) { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}

/// Where rows start, read onwards from some stored element.
pub(super) struct RowStarts {
    /// Some numbers of `indptr`, and which of them was not passed yet.
    bounds: Buffers,
    at: usize,
    /// The number behind them in the file.
    next: u64,
    before: u64,
    /// Whether they could be read, and rise, so far.
    is_sound: bool,
    passed: Vec<u64>,
}

impl RowStarts {
    /// Those at and behind the element `from`.
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

    /// Elements before `end`, from where the call before ended, at which rows start, each once; none where `indptr` is
    /// not sound, which those who verify it will find themselves.
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
