//! Verifying arrays end to end: every byte is read, and the rules of CSR are held against the data.
//!
//! The files are cut into pieces that are verified one by one, by as many threads as there are, each
//! knowing nothing of the others. What they find is put together in the order of the file, so that
//! the outcome is the same whoever came first.

mod breach;
mod csr;
mod queue;
mod rows;
mod values;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use crate::array::catalog::StoredArray;
use crate::error::Error;
use queue::Queue;
pub use values::Values;

/// How to verify.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads at work.
    pub jobs: NonZeroUsize,
    /// Whether to count what is no finite number.
    pub values: bool,
}

/// What verifying an array has shown.
#[derive(Debug)]
pub struct Report {
    /// Path of the array in the store, without a suffix.
    pub path: PathBuf,
    /// What is wrong, file by file; that one cannot be read is a fault like any other.
    pub faults: Vec<Error>,
    /// Why names of rows or columns are not used, if there are any.
    pub flaws: Vec<String>,
    /// What is odd and no fault: the order of a sparse matrix's columns, and names that are used.
    pub notes: Vec<String>,
    /// What was counted, if it was asked for and the elements are floating-point numbers.
    pub values: Option<Values>,
}

impl Report {
    /// That of an array in which nothing was found.
    pub fn new(path: PathBuf) -> Self {
        Self { path, faults: Vec::new(), flaws: Vec::new(), notes: Vec::new(), values: None }
    }
}

/// Verifies arrays, whose sizes are right already, and returns what each has shown, in their order.
///
/// Takes memory for each thread, and an open file for each that is being read, whatever the arrays
/// are. Calls `progress`, from any thread, with the bytes read since the call before; as soon as it
/// says no, the rest is left, and the arrays that are not finished are left out.
pub fn check(
    arrays: Vec<StoredArray>,
    options: Options,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Vec<Report> {
    let queue = Queue::new(arrays, options, progress);
    thread::scope(|scope| {
        for _ in 1..options.jobs.get() {
            let worker = thread::Builder::new().name("check".into());
            // Where the system has no room for more threads, fewer will do.
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
