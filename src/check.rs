//! Verifying an array end to end: every byte is read, and the rules of CSR are held against the data.

use crate::catalog::StoredArray;
use crate::dtype::{Dtype, decode_integers, integer_text};
use crate::error::{Error, Result};
use crate::format::{Metadata, SparseMeta};
use crate::source::Source;

/// Elements that are read at once.
const BATCH: u64 = 128 * 1024;

/// Verifies one array, whose sizes are right already, and returns what is wrong with its data. Calls
/// `progress` with the bytes read since the call before.
///
/// # Errors
///
/// What the system says when a file cannot be read.
pub fn check_array(array: &StoredArray, progress: &mut dyn FnMut(u64)) -> Result<Vec<Error>> {
    match &array.metadata {
        Metadata::Dense(meta) => read_through(&array.files[0], meta.dtype, progress).map(|()| Vec::new()),
        Metadata::Sparse(meta) => {
            read_through(&array.files[0], meta.data_dtype, progress)?;
            check_sparse(meta, &array.files[1], &array.files[2], progress)
        }
    }
}

/// Reads every byte, which is all there is to be verified: any bits are a number.
fn read_through(source: &Source, dtype: Dtype, progress: &mut dyn FnMut(u64)) -> Result<()> {
    let mut buffer = Vec::new();
    let items = source.len() / dtype.itemsize();
    for first in (0..items).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        read_items(source, dtype, first, BATCH.min(items - first), &mut buffer)?;
        progress(buffer.len() as u64);
    }
    Ok(())
}

fn read_items(source: &Source, dtype: Dtype, first: u64, count: u64, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.resize(usize::try_from(count * dtype.itemsize()).unwrap_or(usize::MAX), 0);
    source.read_exact_at(buffer, first * dtype.itemsize())
}

/// How often a rule was broken, and what the first case was.
#[derive(Default)]
struct Breach {
    count: u64,
    first: String,
}

impl Breach {
    fn add(&mut self, describe: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = describe();
        }
        self.count += 1;
    }

    /// The breach as one fault of a file.
    fn fault(self, source: &Source, what: &'static str, expected: &str) -> Option<Error> {
        let found = match self.count {
            0 => return None,
            1 => self.first,
            count => format!("{} (and {} more)", self.first, count - 1),
        };
        Some(Error::invalid(source.name(), what, expected, found))
    }
}

/// Verifies `indptr`, and `indices` row by row along the way.
fn check_sparse(
    meta: &SparseMeta,
    indices: &Source,
    indptr: &Source,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Error>> {
    let rows = meta.shape[0];
    let (mut ends, mut falls, mut beyond) = (Breach::default(), Breach::default(), Breach::default());
    let mut columns = Columns::new(meta, indices);
    let (mut buffer, mut bounds) = (Vec::new(), Vec::new());
    let mut start = 0;
    for first in (0..=rows).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        read_items(indptr, meta.indptr_dtype, first, BATCH.min(rows + 1 - first), &mut buffer)?;
        progress(buffer.len() as u64);
        bounds.clear();
        decode_integers(meta.indptr_dtype, &buffer, &mut bounds);
        for (row, &bound) in (first..).zip(&bounds) {
            if row == 0 && bound != 0 {
                ends.add(|| format!("{} first", integer_text(meta.indptr_dtype, bound)));
            }
            if row == rows && bound != meta.nnz {
                ends.add(|| format!("{} last", integer_text(meta.indptr_dtype, bound)));
            }
            if bound > meta.nnz {
                beyond.add(|| format!("{} at {row}", integer_text(meta.indptr_dtype, bound)));
            } else if row > 0 && bound < start {
                falls.add(|| format!("{bound} at {row} after {}", integer_text(meta.indptr_dtype, start)));
            } else if row > 0 {
                columns.check_row(row - 1, start..bound, progress)?;
            }
            start = bound;
        }
    }
    let mut faults = vec![
        ends.fault(indptr, "first and last", &format!("0 and {}", meta.nnz)),
        falls.fault(indptr, "order", "numbers that do not fall"),
        beyond.fault(indptr, "range", &format!("numbers up to {}", meta.nnz)),
    ];
    faults.extend(columns.faults());
    Ok(faults.into_iter().flatten().collect())
}

/// The columns of the stored elements, read in order.
struct Columns<'a> {
    meta: &'a SparseMeta,
    source: &'a Source,
    buffer: Vec<u8>,
    /// Some of the numbers, and which element the first belongs to.
    numbers: Vec<u64>,
    first: u64,
    outside: Breach,
    unsorted: Breach,
    repeated: Breach,
}

impl<'a> Columns<'a> {
    fn new(meta: &'a SparseMeta, source: &'a Source) -> Self {
        let [outside, unsorted, repeated] = [const { Breach { count: 0, first: String::new() } }; 3];
        Self { meta, source, buffer: Vec::new(), numbers: Vec::new(), first: 0, outside, unsorted, repeated }
    }

    fn check_row(
        &mut self,
        row: u64,
        elements: std::ops::Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut before = None;
        for element in elements {
            let column = self.at(element, progress)?;
            if column >= self.meta.shape[1] {
                self.outside
                    .add(|| format!("{} in row {row}", integer_text(self.meta.indices_dtype, column)));
            }
            match before {
                Some(before) if column < before => {
                    self.unsorted.add(|| {
                        format!(
                            "{} after {} in row {row}",
                            integer_text(self.meta.indices_dtype, column),
                            integer_text(self.meta.indices_dtype, before)
                        )
                    });
                }
                Some(before) if column == before => {
                    self.repeated.add(|| {
                        format!("{} twice in row {row}", integer_text(self.meta.indices_dtype, column))
                    });
                }
                _ => {}
            }
            before = Some(column);
        }
        Ok(())
    }

    /// The column of a stored element (below nnz).
    fn at(&mut self, element: u64, progress: &mut dyn FnMut(u64)) -> Result<u64> {
        let known = self.first..self.first + self.numbers.len() as u64;
        if !known.contains(&element) {
            let dtype = self.meta.indices_dtype;
            read_items(self.source, dtype, element, BATCH.min(self.meta.nnz - element), &mut self.buffer)?;
            progress(self.buffer.len() as u64);
            self.numbers.clear();
            decode_integers(dtype, &self.buffer, &mut self.numbers);
            self.first = element;
        }
        Ok(self.numbers[usize::try_from(element - self.first).unwrap_or(usize::MAX)])
    }

    fn faults(self) -> [Option<Error>; 3] {
        let range = format!("columns 0 to {}", self.meta.shape[1] - 1);
        [
            self.outside.fault(self.source, "range", &range),
            self.unsorted.fault(self.source, "order", "rising columns in each row"),
            self.repeated.fault(self.source, "order", "each column once in a row"),
        ]
    }
}
