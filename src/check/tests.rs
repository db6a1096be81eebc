//! Matrices of several pieces with one violation each, at every boundary of pieces and batches.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::{BATCH, PIECE};
use super::*;
use crate::store::Store;

const COLUMNS: i32 = 24;

/// Rows with `width` elements and empty rows: 2.5 pieces of columns, and a few of `indptr`.
struct Matrix {
    dir: tempfile::TempDir,
    indptr: Vec<i64>,
    indices: Vec<i32>,
}

impl Matrix {
    fn new(width: usize) -> Self {
        let nnz = PIECE as usize / 4 * 5 / 2 / width * width;
        let indices: Vec<i32> = (0..nnz).map(|element| (element % width) as i32 * 3 + 1).collect();
        let indptr: Vec<i64> =
            [0, 0].into_iter().chain((1..=nnz / width).flat_map(|row| [(row * width) as i64; 3])).collect();
        let matrix = Self { dir: tempfile::tempdir().unwrap(), indptr, indices };
        let (rows, path) = (matrix.indptr.len() - 1, matrix.dir.path());
        let yaml = format!(
            "{{version: [1, 0], data_dtype: bool, indices_dtype: int32, indptr_dtype: int64, \
             shape: [{rows}, {COLUMNS}], nnz: {nnz}}}"
        );
        std::fs::write(path.join("s.yaml"), yaml).unwrap();
        std::fs::write(path.join("s.data"), vec![1; nnz]).unwrap();
        std::fs::write(path.join("s.indices"), bytemuck::cast_slice(&matrix.indices)).unwrap();
        std::fs::write(path.join("s.indptr"), bytemuck::cast_slice(&matrix.indptr)).unwrap();
        matrix
    }

    fn write(&self, name: &str, bytes: &[u8], offset: usize) {
        let file = File::options().write(true).open(self.dir.path().join(name)).unwrap();
        file.write_all_at(bytes, offset as u64).unwrap();
    }

    /// The violations that `check` reports. They must be the same with one thread and with three.
    fn faults(&self) -> Vec<String> {
        let [alone, together] = [1, 3].map(|jobs| faults(self.dir.path(), jobs));
        assert_eq!(alone, together);
        alone
    }

    /// The expected violations, computed in the simplest way, for a valid `indptr`.
    fn plain_faults(&self) -> Vec<String> {
        let (mut outside, mut unsorted, mut repeated) = (vec![], vec![], vec![]);
        for (row, bounds) in self.indptr.windows(2).enumerate() {
            let columns = &self.indices[bounds[0] as usize..bounds[1] as usize];
            let wrong = columns.iter().filter(|column| !(0..COLUMNS).contains(column));
            outside.extend(wrong.map(|column| format!("{column} in row {row}")));
            let in_range = |pair: &&[i32]| pair.iter().all(|column| (0..COLUMNS).contains(column));
            for pair in columns.windows(2).filter(in_range) {
                match pair[1].cmp(&pair[0]) {
                    std::cmp::Ordering::Less => {
                        unsorted.push(format!("{} after {} in row {row}", pair[1], pair[0]));
                    }
                    std::cmp::Ordering::Equal => repeated.push(format!("{} twice in row {row}", pair[1])),
                    std::cmp::Ordering::Greater => {}
                }
            }
        }
        let rules = [
            (outside, "range: expected columns 0 to 23"),
            (unsorted, "order: expected rising columns in each row"),
            (repeated, "order: expected each column once in a row"),
        ];
        let broken = rules.into_iter().filter(|(found, _)| !found.is_empty());
        broken.map(|(found, rule)| format!("s.indices: {rule}, found {}", several(&found))).collect()
    }
}

fn several(found: &[String]) -> String {
    match found.len() {
        1 => found[0].clone(),
        count => format!("{} (and {} more)", found[0], count - 1),
    }
}

fn reports(store: &Path, jobs: usize, progress: &(dyn Fn(u64) -> bool + Sync)) -> Vec<Report> {
    let store = Arc::new(Store::open(store).unwrap());
    let array = StoredArray::load(&store, Path::new("s")).unwrap();
    check(vec![array], Options { jobs: NonZeroUsize::new(jobs).unwrap(), values: true }, progress)
}

fn faults(store: &Path, jobs: usize) -> Vec<String> {
    let read = AtomicU64::new(0);
    let reports = reports(store, jobs, &|bytes| {
        read.fetch_add(bytes, Ordering::Relaxed);
        true
    });
    let sizes = ["data", "indices", "indptr"]
        .map(|suffix| store.join(format!("s.{suffix}")).metadata().unwrap().len());
    assert_eq!(read.into_inner(), sizes.iter().sum::<u64>());
    assert_eq!(reports.len(), 1);
    reports[0].faults.iter().map(ToString::to_string).chain(reports[0].notes.iter().cloned()).collect()
}

/// Indices of numbers around all boundaries, for numbers of `itemsize` bytes.
fn places(itemsize: u64, count: usize) -> Vec<usize> {
    let piece = PIECE / itemsize;
    let ends = [0, BATCH, 2 * BATCH, piece - BATCH, piece, piece + BATCH, 2 * piece].map(|end| end as usize);
    let around = ends.into_iter().flat_map(|end| [end.saturating_sub(1), end, end + 1]);
    around.chain([count - 2, count - 1]).filter(|place| *place < count).collect()
}

#[test]
fn a_column_is_wrong_wherever_it_stands() {
    // Rows that continue across the end of a piece, and rows that end with it.
    for width in [7, 8] {
        column_is_wrong_wherever_it_stands(Matrix::new(width));
    }
}

fn column_is_wrong_wherever_it_stands(mut matrix: Matrix) {
    assert_eq!(matrix.faults(), [""; 0]);
    for place in places(4, matrix.indices.len()) {
        let sound = matrix.indices[place];
        // Out of range, lowest, highest, and equal to a neighbour.
        for wrong in [COLUMNS, -1, 0, COLUMNS - 1, sound - 3, sound + 3] {
            matrix.indices[place] = wrong;
            matrix.write("s.indices", &wrong.to_le_bytes(), place * 4);
            assert_eq!(matrix.faults(), matrix.plain_faults(), "{wrong} at {place}");
        }
        matrix.indices[place] = sound;
        matrix.write("s.indices", &sound.to_le_bytes(), place * 4);
    }
    assert_eq!(matrix.faults(), [""; 0]);
}

#[test]
fn a_bound_is_wrong_wherever_it_stands() {
    let matrix = Matrix::new(7);
    let (last, nnz) = (matrix.indptr.len() - 1, matrix.indices.len() as i64);
    for place in places(8, last + 1) {
        let sound = matrix.indptr[place];
        for wrong in [nnz + 1, i64::MAX, -1, sound - 1, sound - 8, sound + 1, sound + 8] {
            let (before, after) =
                (place.checked_sub(1).map(|at| matrix.indptr[at]), matrix.indptr.get(place + 1));
            let mut expected = Vec::new();
            match place {
                0 => expected.push(format!("first and last: expected 0 and {nnz}, found {wrong} first")),
                _ if place == last => {
                    expected.push(format!("first and last: expected 0 and {nnz}, found {wrong} last"))
                }
                _ => {}
            }
            let is_beyond = !(0..=nnz).contains(&wrong);
            let mut falls = Vec::new();
            falls.extend(
                before
                    .filter(|before| !is_beyond && wrong < *before)
                    .map(|before| format!("{wrong} at {place} after {before}")),
            );
            let after = after.filter(|after| !is_beyond && wrong > **after);
            falls.extend(after.map(|after| format!("{after} at {} after {wrong}", place + 1)));
            if !falls.is_empty() {
                expected.push(format!("order: expected numbers that do not fall, found {}", several(&falls)));
            }
            if is_beyond {
                expected.push(format!("range: expected numbers up to {nnz}, found {wrong} at {place}"));
            }
            matrix.write("s.indptr", &wrong.to_le_bytes(), place * 8);
            let faults = matrix.faults();
            let of_bounds =
                faults.iter().filter_map(|fault| fault.strip_prefix("s.indptr: ")).collect::<Vec<_>>();
            assert_eq!(of_bounds, expected, "{wrong} at {place}");
            // With a valid `indptr` that has moved, columns may be unsorted. With an invalid one, nothing is
            // reported of them.
            assert!(expected.is_empty() || faults.len() == expected.len(), "{faults:?}");
        }
        matrix.write("s.indptr", &sound.to_le_bytes(), place * 8);
    }
    assert_eq!(matrix.faults(), [""; 0]);
}

#[test]
fn an_indptr_to_and_fro_is_read_once() {
    let matrix = Matrix::new(7);
    let nnz = matrix.indices.len() as i64;
    let to_and_fro: Vec<i64> =
        (0..matrix.indptr.len()).map(|row| if row % 2 == 0 { 0 } else { nnz }).collect();
    matrix.write("s.indptr", bytemuck::cast_slice(&to_and_fro), 0);
    let faults = matrix.faults();
    assert_eq!(faults.len(), 1 + usize::from(to_and_fro.len() % 2 == 1), "{faults:?}");
    assert!(faults.last().unwrap().starts_with(&format!(
        "s.indptr: order: expected numbers that do not fall, found 0 at 2 after {nnz} (and"
    )));
}

#[test]
fn what_is_stopped_reports_nothing_unfinished() {
    let matrix = Matrix::new(7);
    for jobs in [1, 3] {
        let read = AtomicU64::new(0);
        let stop = |bytes| read.fetch_add(bytes, Ordering::Relaxed) < PIECE;
        assert!(reports(matrix.dir.path(), jobs, &stop).is_empty());
        assert!(read.into_inner() < 6 * PIECE, "it goes on");
    }
}
