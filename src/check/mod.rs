//! Checking arrays end to end: reads every byte, and checks the data against the rules of CSR.
//!
//! Files are split into pieces, which worker threads check independently of each other. Findings are merged
//! in the order of the file. The outcome is therefore the same, whichever thread finishes first.

mod buffers;
mod csr;
mod matrix;
mod queue;
mod rows;
mod values;
mod violation;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use crate::array::stored_array::StoredArray;
use crate::error::Error;
use queue::Queue;
pub use values::Values;

/// Options of [`check`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of threads.
    pub jobs: NonZeroUsize,
    /// Whether to count NaN and infinities.
    pub values: bool,
}

/// The result of checking an array.
#[derive(Debug)]
pub struct Report {
    /// Path of the array in the store, without a suffix.
    pub path: PathBuf,
    /// Violations, in the order of the array's files. A file that cannot be read is one of them.
    pub faults: Vec<Error>,
    /// Why names of rows or columns are not used, for each that is invalid.
    pub flaws: Vec<String>,
    /// Notes that are no violations: about the order of a sparse matrix's columns, and about names.
    pub notes: Vec<String>,
    /// Counts of NaN and infinities, if requested and if the elements are floats.
    pub values: Option<Values>,
}

impl Report {
    /// The report for an array without findings.
    pub fn new(path: PathBuf) -> Self {
        Self { path, faults: Vec::new(), flaws: Vec::new(), notes: Vec::new(), values: None }
    }
}

/// Checks arrays whose file sizes are already known to be right. Returns their reports in the same order.
///
/// Memory is proportional to the number of threads, and only files that are being read are open. Neither
/// depends on the arrays. Calls `progress`, from any thread, with the number of bytes read since the last
/// call. Once it returns `false`, the check stops, and unfinished arrays have no report.
pub fn check(
    arrays: Vec<StoredArray>,
    options: Options,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Vec<Report> {
    let queue = Queue::new(arrays, options, progress);
    thread::scope(|scope| {
        for _ in 1..options.jobs.get() {
            let worker = thread::Builder::new().name("check".into());
            // If the system cannot create more threads, continue with fewer. The calling thread works as
            // well.
            if worker.spawn_scoped(scope, || queue.work()).is_err() {
                break;
            }
        }
        queue.work();
    });
    queue.into_reports()
}

#[cfg(test)]
mod tests;
