//! The work queue: hands out the pieces of all arrays, in order, to idle threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::buffers::Buffers;
use super::csr::Rules;
use super::matrix::{Csr, INDICES, INDPTR};
use super::rows::RowStarts;
use super::values::Values;
use super::{Options, Report};
use crate::array::names::idle_words;
use crate::array::stored_array::StoredArray;
use crate::daf::metadata::Metadata;
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// Size of a piece in bytes; a multiple of every item size.
pub(super) const PIECE: u64 = 4 << 20;
/// Elements that are read at once. Even as 64-bit integers, they fit the cache of a core.
pub(super) const BATCH: u64 = 32 << 10;

/// The pending work, and the results.
pub(super) struct Queue<'a> {
    options: Options,
    progress: &'a (dyn Fn(u64) -> bool + Sync),
    stopped: AtomicBool,
    ahead: Mutex<Ahead>,
    reports: Mutex<Vec<(usize, Report)>>,
}

/// Work that is not handed out yet.
struct Ahead {
    arrays: std::iter::Enumerate<std::vec::IntoIter<StoredArray>>,
    /// The array whose pieces are being handed out, and how many were. The array and its open files are
    /// dropped as soon as its last piece is checked.
    current: Option<(Arc<Job>, u64)>,
}

/// An array that is being checked.
pub(super) struct Job {
    number: usize,
    array: StoredArray,
    /// Number of pieces that are not checked yet.
    left: AtomicU64,
    findings: Mutex<Findings>,
}

/// A part of one of the array's files.
pub(super) struct Piece {
    /// Index of the file.
    pub file: usize,
    pub dtype: Dtype,
    /// Indices of its elements in the file.
    pub items: Range<u64>,
}

/// The findings in some pieces of an array.
#[derive(Default)]
struct Findings {
    rules: Rules,
    values: Values,
    /// What could not be read: the index of the file, the first element of the piece, and the error.
    unread: Vec<(usize, u64, Error)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Queue<'a> {
    pub fn new(
        arrays: Vec<StoredArray>,
        options: Options,
        progress: &'a (dyn Fn(u64) -> bool + Sync),
    ) -> Self {
        let ahead = Mutex::new(Ahead { arrays: arrays.into_iter().enumerate(), current: None });
        Self { options, progress, stopped: AtomicBool::new(false), ahead, reports: Mutex::default() }
    }

    /// Checks pieces until there are none left.
    pub fn work(&self) {
        let mut buffers = Buffers::default();
        while !self.stopped.load(Ordering::Relaxed) {
            let Some((job, piece)) = self.next() else { return };
            let findings = self.verify(&job.array, &piece, &mut buffers);
            lock(&job.findings).merge(findings);
            // The thread that checks the last piece of an array also writes its report.
            if job.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                let report = job.report(self.options.values);
                lock(&self.reports).push((job.number, report));
            }
        }
    }

    /// The reports of all finished arrays.
    pub fn into_reports(self) -> Vec<Report> {
        let mut reports = self.reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        reports.sort_by_key(|(number, _)| *number);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    fn next(&self) -> Option<(Arc<Job>, Piece)> {
        let mut ahead = lock(&self.ahead);
        loop {
            if let Some((job, given)) = &mut ahead.current
                && let Some(piece) = piece(&job.array, *given)
            {
                *given += 1;
                return Some((Arc::clone(job), piece));
            }
            let (number, array) = ahead.arrays.next()?;
            ahead.current = Some((Arc::new(Job::new(number, array)), 0));
        }
    }

    fn verify(&self, array: &StoredArray, piece: &Piece, buffers: &mut Buffers) -> Findings {
        let mut findings = Findings::default();
        let source = &array.files()[piece.file];
        let done = match (Csr::of(array), piece.file) {
            (Some(csr), INDICES) => {
                let mut rows = RowStarts::new(&csr, piece.items.start);
                self.by_batches(piece, |items| {
                    csr.check_columns(items, buffers, &mut rows, &mut findings.rules)
                })
            }
            (Some(csr), INDPTR) => {
                self.by_batches(piece, |items| csr.check_bounds(items, buffers, &mut findings.rules))
            }
            _ => self.by_batches(piece, |items| {
                let bytes = buffers.read(source, piece.dtype, items)?;
                if self.options.values {
                    findings.values += Values::of(piece.dtype, bytes);
                }
                Ok(())
            }),
        };
        findings.unread.extend(done.err().map(|error| (piece.file, piece.items.start, error)));
        findings
    }

    fn by_batches(&self, piece: &Piece, mut verify: impl FnMut(Range<u64>) -> Result<()>) -> Result<()> {
        let itemsize = piece.dtype.itemsize();
        let mut first = piece.items.start;
        while first < piece.items.end {
            let end = piece.items.end.min(first + BATCH);
            verify(first..end)?;
            if !(self.progress)((end - first) * itemsize) {
                self.stopped.store(true, Ordering::Relaxed);
            }
            first = end;
        }
        Ok(())
    }
}

/// The types of the elements in each file of an array.
fn dtypes(metadata: &Metadata) -> Vec<Dtype> {
    match metadata {
        Metadata::Dense(meta) => vec![meta.dtype],
        Metadata::Sparse(meta) => vec![meta.data_dtype, meta.indices_dtype, meta.indptr_dtype],
    }
}

/// The piece with this number, if there is one. Each begins at a multiple of `PIECE` bytes.
fn piece(array: &StoredArray, mut number: u64) -> Option<Piece> {
    for (file, (dtype, (_, size))) in
        dtypes(&array.metadata).into_iter().zip(array.metadata.files()).enumerate()
    {
        let count = size.div_ceil(PIECE);
        if number < count {
            let (start, end) = (number * PIECE, size.min((number + 1) * PIECE));
            return Some(Piece { file, dtype, items: start / dtype.itemsize()..end / dtype.itemsize() });
        }
        number -= count;
    }
    None
}

impl Job {
    fn new(number: usize, array: StoredArray) -> Self {
        let pieces = array.metadata.files().iter().map(|(_, size)| size.div_ceil(PIECE)).sum();
        Self { number, array, left: AtomicU64::new(pieces), findings: Mutex::default() }
    }

    /// The report, after all pieces are checked.
    fn report(&self, values: bool) -> Report {
        let (array, findings) = (&self.array, std::mem::take(&mut *lock(&self.findings)));
        let is_unread = findings.unread.iter().any(|(file, ..)| *file == INDPTR);
        let mut faults: Vec<_> = findings.unread.into_iter().map(|(_, _, error)| error).collect();
        let [broken, odd] = match Csr::of(array) {
            Some(csr) => csr.faults(&findings.rules, is_unread),
            None => [Vec::new(), Vec::new()],
        };
        faults.extend(broken);
        faults.extend(array.names.names().err());
        let flaws = array.names.flaws().map(ToString::to_string).collect();
        let idle = array.names.idle().into_iter().map(|file| idle_words(&file));
        let odd = odd.iter().map(ToString::to_string);
        let notes = odd.chain(array.names.notes().map(str::to_owned)).chain(idle).collect();
        let is_counted =
            values && dtypes(&array.metadata).first().is_some_and(|dtype| Values::can_be_in(*dtype));
        let values = is_counted.then_some(findings.values);
        Report { path: array.path.clone(), faults, flaws, notes, values }
    }
}

impl Findings {
    fn merge(&mut self, other: Self) {
        self.rules.merge(other.rules);
        self.values += other.values;
        self.unread.extend(other.unread);
        // Keep only the first error per file: a file can have very many pieces that all fail alike.
        self.unread.sort_by_key(|(file, first, _)| (*file, *first));
        self.unread.dedup_by_key(|(file, ..)| *file);
    }
}
