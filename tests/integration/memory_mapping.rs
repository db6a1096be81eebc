//! The functions of the array format on real files: what they create, open, refuse and remove.
//!
//! `ARRAYFS_TEST_STORES` is a directory of stores that the original package wrote. If it is not set, the test
//! of these stores prints that it is skipped.
#![allow(unsafe_code)] // to open what is viewed without a copy

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use arrayfs::daf::arrays::{CsrMatrix, CsrRow, DenseArray, MappedArray, MappedCsr};
use arrayfs::daf::memory_mapping::*;
use arrayfs::daf::metadata::{Kind, MAX_YAML_BYTES, Metadata};
use arrayfs::dtype::{Bool, Dtype, Element, FIXED_DTYPES};
use arrayfs::error::{Error, Result};
use arrayfs::store::mmap::Mode;
use arrayfs::store::with_suffix;
use half::f16;
use tempfile::{TempDir, tempdir};

// ---------------------------------------------------------------------------- what tests are made of

/// An empty directory, and the path of an array `x` in it.
fn scratch() -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("x");
    (directory, path)
}

fn open_memory_mapped_array(path: impl AsRef<Path>, mode: Mode) -> Result<MappedArray> {
    // SAFETY: no test writes, or truncates, what it has a view of.
    unsafe { arrayfs::daf::memory_mapping::open_memory_mapped_array(path, mode) }
}

fn open_memory_mapped_sparse(path: impl AsRef<Path>, mode: Mode) -> Result<MappedCsr> {
    // SAFETY: no test writes, or truncates, what it has a view of.
    unsafe { arrayfs::daf::memory_mapping::open_memory_mapped_sparse(path, mode) }
}

fn bytes_of(path: &Path, suffix: &str) -> Vec<u8> {
    fs::read(with_suffix(path, suffix)).unwrap()
}

fn text_of(path: &Path, suffix: &str) -> String {
    String::from_utf8(bytes_of(path, suffix)).unwrap()
}

/// The names in the directory of `path`, hidden ones too.
fn names_beside(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let names: BTreeSet<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.into_iter().collect()
}

fn resize(path: &Path, by: i64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len().checked_add_signed(by).unwrap()).unwrap();
}

#[track_caller]
fn assert_invalid<T: Debug>(
    result: Result<T>,
    path: impl AsRef<Path>,
    what: &str,
    expected: &str,
    found: &str,
) {
    match result {
        Err(Error::Invalid { path: p, what: w, expected: e, found: f }) => {
            assert_eq!((p.as_path(), w, &*e, &*f), (path.as_ref(), what, expected, found));
        }
        other => panic!("expected {what}: expected {expected}, found {found}; got {other:?}"),
    }
}

#[track_caller]
fn assert_missing<T: Debug>(result: Result<T>, path: impl AsRef<Path>, action: &str) {
    match result {
        Err(Error::Io { path: p, action: a, source }) => {
            assert_eq!((p.as_path(), a, source.kind()), (path.as_ref(), action, ErrorKind::NotFound));
        }
        other => panic!("expected that {} is missing; got {other:?}", path.as_ref().display()),
    }
}

#[track_caller]
fn assert_refused<T: Debug>(result: Result<T>, path: impl AsRef<Path>, why: &str) {
    match result {
        Err(Error::Refused { path: p, why: w }) => {
            assert_eq!(p, path.as_ref());
            assert!(w.contains(why), "expected {why}; got {w}");
        }
        other => panic!("expected a refusal, {why}; got {other:?}"),
    }
}

/// The answer of `ask`, which must not hang.
fn soon<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> T {
    let (answer, answered) = mpsc::channel();
    thread::spawn(move || answer.send(ask()));
    answered.recv_timeout(Duration::from_secs(20)).expect("it should not hang")
}

/// Two by three of int32, from 1 to 6.
fn create_one_to_six(path: &Path) {
    create_memory_mapped_array(path, &[2, 3], Dtype::Int32).unwrap();
    let mut array = open_memory_mapped_array(path, Mode::ReadWrite).unwrap();
    array.view_mut::<i32>().unwrap().iter_mut().zip(1..).for_each(|(item, value)| *item = value);
}

/// Four rows, nine columns; rows 1 and 3 and the last column are empty.
const SMALL: SparseInRows<'static, f32, i32, i64> =
    SparseInRows { shape: [4, 9], data: &[1.5, -2.0, 3.0], indices: &[7, 0, 4], indptr: &[0, 2, 2, 3, 3] };

const SPARSE_FILES: [&str; 4] = ["x.data", "x.indices", "x.indptr", "x.yaml"];
const DENSE_FILES: [&str; 2] = ["x.array", "x.yaml"];

type Rows<D, I> = Vec<(Vec<D>, Vec<I>)>;

fn row<D: Element, I: Element>(row: CsrRow<'_, D, I>) -> (Vec<D>, Vec<I>) {
    (row.data.to_vec(), row.indices.to_vec())
}

// ---------------------------------------------------------------------------- dense arrays

/// Creates, writes, closes and opens six items as vector, matrix, one row and one column. The file
/// ends with `last`, the little-endian bytes of the sixth item.
fn dense_round_trip<T: Element + PartialEq + Debug>(items: [T; 6], last: &[u8]) -> Dtype {
    for axes in [&[6][..], &[2, 3], &[1, 6], &[6, 1]] {
        let (_directory, path) = scratch();
        create_memory_mapped_array(&path, axes, T::DTYPE).unwrap();
        assert!(exists_memory_mapped_array(&path));
        assert_eq!(bytes_of(&path, ".array"), vec![0; size_of_val(&items)], "created as zeros");

        let mut array = open_memory_mapped_array(&path, Mode::ReadWrite).unwrap();
        assert!(!array.is_frozen());
        array.view_mut::<T>().unwrap().iter_mut().zip(items).for_each(|(item, value)| *item = value);
        drop(array);
        assert!(bytes_of(&path, ".array").ends_with(last), "{}", T::DTYPE);

        let array = open_memory_mapped_array(&path, Mode::Read).unwrap();
        assert_eq!((array.dtype(), array.shape().axes(), array.is_frozen()), (T::DTYPE, axes.to_vec(), true));
        assert_eq!(array.path(), path);
        assert_eq!(array.bytes(), bytes_of(&path, ".array"));
        let view = array.view::<T>().unwrap();
        assert_eq!(view.shape().iter().map(|axis| *axis as u64).collect::<Vec<_>>(), axes);
        assert_eq!(view.iter().copied().collect::<Vec<_>>(), items, "row after row");
        assert_eq!(view.as_ptr().cast(), array.bytes().as_ptr(), "without a copy");
        let last_row = array.row::<T>(axes[0] - 1).unwrap();
        assert_eq!(last_row.as_slice().unwrap(), &items[6 - last_row.len()..]);

        let copy = DenseArray::open(&path, Mode::Read).unwrap();
        assert_eq!((copy.dtype(), copy.shape().axes(), copy.is_frozen()), (T::DTYPE, axes.to_vec(), true));
        assert_eq!((copy.path(), copy.to_array::<T>().unwrap().view()), (path.as_path(), view));
        assert_eq!(copy.row::<T>(axes[0] - 1).unwrap(), last_row.as_slice().unwrap());
        create_memory_mapped_array(&path, axes, T::DTYPE).unwrap();
        DenseArray::open(&path, Mode::ReadWrite)
            .unwrap()
            .assign(copy.to_array::<T>().unwrap().view())
            .unwrap();
        assert_eq!(bytes_of(&path, ".array"), array.bytes());
    }
    T::DTYPE
}

#[test]
fn every_dtype_is_created_written_and_opened_again() {
    let yes_no = [true, false, true, false, false, true].map(Bool::from);
    let halves = [0.0, -0.5, 65504.0, 6e-8, f32::INFINITY, 1.5].map(f16::from_f32);
    let dtypes = [
        dense_round_trip::<Bool>(yes_no, &[1]),
        dense_round_trip::<i8>([1, 2, 3, 4, i8::MAX, -2], &[0xFE]),
        dense_round_trip::<i16>([1, 2, 3, 4, i16::MAX, -2], &[0xFE, 0xFF]),
        dense_round_trip::<i32>([1, 2, 3, 4, i32::MAX, -2], &[0xFE, 0xFF, 0xFF, 0xFF]),
        dense_round_trip::<i64>([1, 2, 3, 4, i64::MIN, 0x0102], &[2, 1, 0, 0, 0, 0, 0, 0]),
        dense_round_trip::<u8>([1, 2, 3, 4, 5, u8::MAX], &[0xFF]),
        dense_round_trip::<u16>([1, 2, 3, 4, 5, 0x0102], &[2, 1]),
        dense_round_trip::<u32>([1, 2, 3, 4, 5, 0x0102_0304], &[4, 3, 2, 1]),
        dense_round_trip::<u64>([1, 2, 3, 4, u64::MAX, 0x0102], &[2, 1, 0, 0, 0, 0, 0, 0]),
        dense_round_trip::<f16>(halves, &[0x00, 0x3E]),
        dense_round_trip::<f32>([0.0, 1.0, 1e-45, f32::MAX, f32::INFINITY, 1.5], &[0, 0, 0xC0, 0x3F]),
        dense_round_trip::<f64>([0.0, 1.0, 5e-324, f64::MAX, 0.1, 1.5], &[0, 0, 0, 0, 0, 0, 0xF8, 0x3F]),
    ];
    assert_eq!(dtypes, FIXED_DTYPES);
}

#[test]
fn the_yaml_is_what_pyyaml_dumps() {
    let cases: &[(&[u64], Dtype, &str)] = &[
        (&[700], Dtype::Int64, "dtype: int64\nshape:\n- 700\nversion:\n- 1\n- 0\n"),
        (&[7, 1], Dtype::Bool, "dtype: bool\nshape:\n- 7\n- 1\nversion:\n- 1\n- 0\n"),
        (&[1, 9], Dtype::Float16, "dtype: float16\nshape:\n- 1\n- 9\nversion:\n- 1\n- 0\n"),
    ];
    let (_directory, path) = scratch();
    for (axes, dtype, yaml) in cases {
        create_memory_mapped_array(&path, axes, *dtype).unwrap();
        assert_eq!(text_of(&path, ".yaml"), *yaml);
    }
    write_memory_mapped_sparse(&path, &SMALL).unwrap();
    let yaml = "data_dtype: float32\nindices_dtype: int32\nindptr_dtype: int64\nnnz: 3\n\
                shape:\n- 4\n- 9\nversion:\n- 1\n- 0\n";
    assert_eq!(text_of(&path, ".yaml"), yaml);
}

#[test]
fn a_large_array_is_a_hole_made_at_once() {
    let (_directory, path) = scratch();
    let bytes = 100 << 30;
    let start = Instant::now();
    create_memory_mapped_array(&path, &[bytes / 1024, 128], Dtype::Float64).unwrap();
    let facts = fs::metadata(with_suffix(&path, ".array")).unwrap();
    assert_eq!((facts.len(), facts.blocks()), (bytes, 0));
    let array = open_memory_mapped_array(&path, Mode::Read).unwrap();
    assert_eq!(array.row::<f64>(bytes / 1024 - 1).unwrap().as_slice().unwrap(), [0.0; 128]);
    remove_memory_mapped_array(&path).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    assert_eq!(names_beside(&path), [""; 0]);
}

#[test]
fn create_overwrites_silently() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let old = open_memory_mapped_array(&path, Mode::Read).unwrap();
    create_memory_mapped_array(&path, &[5], Dtype::Float64).unwrap();
    let new = open_memory_mapped_array(&path, Mode::Read).unwrap();
    assert_eq!(new.view::<f64>().unwrap().as_slice().unwrap(), [0.0; 5]);
    assert_eq!(old.view::<i32>().unwrap().as_slice().unwrap(), [1, 2, 3, 4, 5, 6], "the old holder's own");
    assert_eq!(names_beside(&path), DENSE_FILES);
}

#[test]
fn each_kind_removes_the_files_of_the_other_and_nothing_else() {
    let (_directory, path) = scratch();
    let neighbours = ["X.array", "x", "x.array.bak", "x.csv", "x.indptr2", "xy.data"];
    for name in neighbours {
        fs::write(path.with_file_name(name), name).unwrap();
    }
    let listing = |files: &[&'static str]| {
        let mut names = [&neighbours[..], files].concat();
        names.sort_unstable();
        names
    };
    for _ in 0..2 {
        create_one_to_six(&path);
        assert_eq!(names_beside(&path), listing(&DENSE_FILES));
        assert_eq!((exists_memory_mapped_array(&path), exists_memory_mapped_sparse(&path)), (true, false));
        write_memory_mapped_sparse(&path, &SMALL).unwrap();
        assert_eq!(names_beside(&path), listing(&SPARSE_FILES));
        assert_eq!((exists_memory_mapped_array(&path), exists_memory_mapped_sparse(&path)), (false, true));
    }
    remove_memory_mapped_sparse(&path).unwrap();
    assert_eq!(names_beside(&path), neighbours);
}

#[test]
fn files_get_the_mode_that_any_new_file_gets() {
    let (_directory, path) = scratch();
    let plain = File::create(path.with_file_name("plain")).unwrap().metadata().unwrap().mode();
    create_one_to_six(&path);
    for name in DENSE_FILES {
        assert_eq!(fs::metadata(path.with_file_name(name)).unwrap().mode(), plain, "{name}");
    }
}

#[test]
fn shapes_that_the_format_does_not_know_are_refused() {
    let cases: &[(&[u64], Dtype, &str, &str)] = &[
        (&[], Dtype::Int8, "one or two integers", "[]"),
        (&[1, 2, 3], Dtype::Int8, "one or two integers", "[1, 2, 3]"),
        (&[0], Dtype::Int8, "integers above zero", "[0]"),
        (&[3, 0], Dtype::Int8, "integers above zero", "[3, 0]"),
        (&[1 << 62, 2], Dtype::Int8, "fewer than 2^63 elements", "[4611686018427387904, 2]"),
        (&[1 << 60], Dtype::Int64, "fewer than 2^63 bytes", "[1152921504606846976] of int64"),
    ];
    let (_directory, path) = scratch();
    for (axes, dtype, expected, found) in cases {
        let created = create_memory_mapped_array(&path, axes, *dtype);
        assert_invalid(created, &path, "shape", expected, found);
        assert_eq!(names_beside(&path), [""; 0]);
    }
}

#[test]
fn names_may_hold_what_a_file_name_may() {
    let directory = tempdir().unwrap();
    let names: [&[u8]; 10] = [
        b"cell,gene#log1p",
        b"cell#",
        b"v1.0",
        b"x",
        b"x.yaml",
        b"x.array",
        b".hidden",
        "na\u{ef}ve \u{1f980}".as_bytes(),
        b" - ",
        b"no utf-8 \xFF",
    ];
    let path_of = |name| directory.path().join(OsStr::from_bytes(name));
    for (number, name) in (1..).zip(names) {
        create_memory_mapped_array(path_of(name), &[number], Dtype::Uint8).unwrap();
    }
    for (number, name) in (1..).zip(names) {
        let array = open_memory_mapped_array(path_of(name), Mode::Read).unwrap();
        assert_eq!(array.shape().axes(), [number], "{}", String::from_utf8_lossy(name));
    }
    write_memory_mapped_sparse(path_of(b"a.b,c#d"), &SMALL).unwrap();
    assert_eq!(open_memory_mapped_sparse(path_of(b"a.b,c#d"), Mode::Read).unwrap().meta().nnz, 3);
}

// ---------------------------------------------------------------------------- modes

#[test]
fn modes_are_spelled_as_the_seed_spells_them() {
    assert_eq!("r".parse(), Ok(Mode::Read));
    assert_eq!("r+".parse(), Ok(Mode::ReadWrite));
    assert_eq!("w".parse(), Ok(Mode::ReadWrite));
    for other in ["", "R", "rw", "w+", "a"] {
        assert_eq!(other.parse::<Mode>(), Err(format!("mode: expected r or r+, found {other}")));
    }
}

#[test]
fn what_is_opened_to_read_is_frozen() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let writer = open_memory_mapped_array(&path, Mode::ReadWrite).unwrap();
    let mut array = open_memory_mapped_array(&path, Mode::Read).unwrap();
    assert_refused(array.view_mut::<i32>(), &path, "opened in mode r");
    drop(writer);
    assert_refused(array.view_mut::<i32>(), &path, "opened in mode r");

    write_memory_mapped_sparse(&path, &SMALL).unwrap();
    let mut matrix = open_memory_mapped_sparse(&path, Mode::Read).unwrap();
    assert!(matrix.is_frozen());
    assert_refused(matrix.data_mut::<f32>(), &path, "opened in mode r");
    assert_eq!(matrix.data::<f32>().unwrap(), SMALL.data);
}

#[test]
fn what_is_written_shows_in_the_file_and_in_open_views() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let before = open_memory_mapped_array(&path, Mode::Read).unwrap();
    let mut writer = open_memory_mapped_array(&path, Mode::ReadWrite).unwrap();
    let after = open_memory_mapped_array(&path, Mode::Read).unwrap();
    writer.view_mut::<i32>().unwrap()[[1, 0]] = -9;
    let written = [1, 2, 3, -9, 5, 6];
    assert_eq!(bytes_of(&path, ".array"), written.map(i32::to_le_bytes).concat());
    for reader in [before, after] {
        assert_eq!(reader.view::<i32>().unwrap().as_slice().unwrap(), written);
    }

    write_memory_mapped_sparse(&path, &SMALL).unwrap();
    let reader = open_memory_mapped_sparse(&path, Mode::Read).unwrap();
    let mut writer = open_memory_mapped_sparse(&path, "w".parse().unwrap()).unwrap();
    writer.data_mut::<f32>().unwrap()[2] = 0.25;
    assert_eq!(reader.data::<f32>().unwrap(), [1.5, -2.0, 0.25]);
    assert!(bytes_of(&path, ".data").ends_with(&0.25_f32.to_le_bytes()));
}

#[test]
fn one_writes_at_a_time() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let mut first = open_memory_mapped_array(&path, Mode::ReadWrite).unwrap();
    let mut second = open_memory_mapped_array(&path, Mode::ReadWrite).unwrap();
    first.view_mut::<i32>().unwrap()[[0, 0]] = 7;
    assert_refused(second.view_mut::<i32>(), &path, "someone else in this process is writing");
    assert_eq!(second.view::<i32>().unwrap()[[0, 0]], 7, "yet it reads");
    drop(first);
    second.view_mut::<i32>().unwrap()[[0, 0]] = 8;
    assert_eq!(bytes_of(&path, ".array")[..4], [8, 0, 0, 0]);
}

#[test]
fn a_view_is_of_the_arrays_own_dtype() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let mut array = open_memory_mapped_array(&path, Mode::ReadWrite).unwrap();
    let what = "dtype of the view";
    assert_invalid(array.view::<f32>(), &path, what, "int32", "float32");
    assert_invalid(array.view_mut::<u32>(), &path, what, "int32", "uint32");
    assert_invalid(array.row::<i64>(0), &path, what, "int32", "int64");
    match array.row::<i32>(2) {
        Err(Error::NotFound { path: row }) => assert_eq!(row, path.join("2")),
        other => panic!("there are rows 0 and 1: {other:?}"),
    }
    write_memory_mapped_sparse(&path, &SMALL).unwrap();
    let mut matrix = open_memory_mapped_sparse(&path, Mode::ReadWrite).unwrap();
    assert_invalid(matrix.data::<f64>(), &path, what, "float32", "float64");
    assert_invalid(matrix.data_mut::<f64>(), &path, what, "float32", "float64");
    assert_invalid(matrix.indices::<u32>(), &path, what, "int32", "uint32");
    assert_invalid(matrix.indptr::<i32>(), &path, what, "int64", "int32");
    assert_invalid(matrix.rows::<f32, i64>().map(drop), &path, what, "int32", "int64");
}

// ---------------------------------------------------------------------------- copies

#[test]
fn what_one_handle_writes_others_read() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let [one, two] = [(); 2].map(|()| DenseArray::open(&path, Mode::ReadWrite).unwrap());
    let mapped = open_memory_mapped_array(&path, Mode::Read).unwrap();
    let before = two.to_array::<i32>().unwrap();
    one.write_row(1, &[7, 8, 9]).unwrap();
    two.write_row(0, &[-1, -2, -3]).unwrap();
    let written = [-1, -2, -3, 7, 8, 9];
    for array in [&one, &two] {
        assert_eq!(array.to_array::<i32>().unwrap().as_slice().unwrap(), written);
    }
    assert_eq!(mapped.view::<i32>().unwrap().as_slice().unwrap(), written, "by a map too");
    assert_eq!(before.as_slice().unwrap(), [1, 2, 3, 4, 5, 6], "a copy stays what it was");
    // Whatever way the numbers lie in memory.
    let turned = ndarray::arr2(&[[1, 4], [2, 5], [3, 6]]);
    one.assign(turned.t()).unwrap();
    assert_eq!(bytes_of(&path, ".array"), [1, 2, 3, 4, 5, 6].map(i32::to_le_bytes).concat());
}

#[test]
fn copies_are_of_the_arrays_own_dtype_shape_and_mode() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let array = DenseArray::open(&path, Mode::ReadWrite).unwrap();
    let what = "dtype of the view";
    assert_invalid(array.to_array::<f32>(), &path, what, "int32", "float32");
    assert_invalid(array.row::<i64>(0), &path, what, "int32", "int64");
    assert_invalid(array.write_row(0, &[1_u32; 3]), &path, what, "int32", "uint32");
    assert_invalid(array.write_row(0, &[1; 2]), &path, "length", "3 elements", "2 elements");
    assert_invalid(array.assign(ndarray::arr2(&[[1], [2]]).view()), &path, "shape", "[2, 3]", "[2, 1]");
    assert_invalid(array.assign(ndarray::arr1(&[1; 6]).view()), &path, "shape", "[2, 3]", "[6]");
    for row in [array.row::<i32>(2).map(drop), array.write_row(2, &[1; 3])] {
        assert!(matches!(row, Err(Error::NotFound { path: row }) if row == path.join("2")));
    }
    let frozen = DenseArray::open(&path, Mode::Read).unwrap();
    assert_refused(frozen.write_row(0, &[1; 3]), with_suffix(&path, ".array"), "opened in mode r");
    assert_eq!(bytes_of(&path, ".array"), [1, 2, 3, 4, 5, 6].map(i32::to_le_bytes).concat());

    write_memory_mapped_sparse(&path, &SMALL).unwrap();
    let matrix = CsrMatrix::open(&path, Mode::ReadWrite).unwrap();
    assert_invalid(matrix.data::<f64>(), &path, what, "float32", "float64");
    assert_invalid(matrix.indices::<u32>(), &path, what, "int32", "uint32");
    assert_invalid(matrix.indptr::<i32>(), &path, what, "int64", "int32");
    assert_invalid(matrix.row::<f32, i64>(0), &path, what, "int32", "int64");
    assert_invalid(matrix.write_data(&[1_f32]), &path, "length", "3 elements", "1 elements");
    assert_invalid(matrix.write_row(1, &[1_f32]), &path, "length", "0 elements", "1 elements");
    assert!(matches!(matrix.row::<f32, i32>(4), Err(Error::NotFound { .. })));
    let frozen = CsrMatrix::open(&path, Mode::Read).unwrap();
    assert_refused(frozen.write_data(&[1_f32; 3]), with_suffix(&path, ".data"), "opened in mode r");
    fs::write(with_suffix(&path, ".indptr"), bytemuck::cast_slice(&[0_i64, 2, 1, 4, 3])).unwrap();
    let range = "rising numbers up to 3";
    let found = "2 to 1 for row 1";
    assert_invalid(matrix.row::<f32, i32>(1), with_suffix(&path, ".indptr"), "range of a row", range, found);
}

#[test]
fn a_file_that_was_truncated_is_an_error_and_is_not_made_longer() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let array = DenseArray::open(&path, Mode::ReadWrite).unwrap();
    let file = with_suffix(&path, ".array");
    resize(&file, -4);
    for result in
        [array.to_array::<i32>().map(drop), array.row::<i32>(1).map(drop), array.write_row(1, &[1; 3])]
    {
        match result {
            Err(Error::Truncated { path, expected: 24, found: 20 }) => assert_eq!(path, file),
            other => panic!("expected that it is truncated: {other:?}"),
        }
    }
    assert_eq!(array.row::<i32>(0).unwrap(), [1, 2, 3], "what is there is read");
    assert_eq!(fs::metadata(file).unwrap().len(), 20);
}

// ---------------------------------------------------------------------------- sparse matrices

trait Integer: Element + TryFrom<i8, Error: Debug> + PartialEq + Debug {}
impl<T: Element + TryFrom<i8, Error: Debug> + PartialEq + Debug> Integer for T {}

fn integers<T: Integer, const N: usize>(values: [i8; N]) -> [T; N] {
    values.map(|value| value.try_into().unwrap())
}

/// Writes and opens a matrix with empty rows and empty last columns; its types are `D`, `I` and `P`.
fn sparse_round_trip<D: Element + PartialEq + Debug, I: Integer, P: Integer>(data: [D; 3]) {
    let (_directory, path) = scratch();
    let (indices, indptr) = (integers::<I, 3>([7, 0, 4]), integers::<P, 5>([0, 2, 2, 3, 3]));
    let sparse = SparseInRows { shape: [4, 9], data: &data, indices: &indices, indptr: &indptr };
    write_memory_mapped_sparse(&path, &sparse).unwrap();
    assert!(exists_memory_mapped_sparse(&path));
    assert_eq!(names_beside(&path), SPARSE_FILES);

    let matrix = open_memory_mapped_sparse(&path, Mode::Read).unwrap();
    let meta = matrix.meta();
    assert_eq!((meta.shape, meta.nnz, matrix.path()), ([4, 9], 3, path.as_path()));
    assert_eq!([meta.data_dtype, meta.indices_dtype, meta.indptr_dtype], [D::DTYPE, I::DTYPE, P::DTYPE]);
    assert_eq!(matrix.data::<D>().unwrap(), data);
    assert_eq!(matrix.indices::<I>().unwrap(), indices);
    assert_eq!(matrix.indptr::<P>().unwrap(), indptr);
    let rows: Rows<D, I> = matrix.rows().unwrap().map(|found| row(found.unwrap())).collect();
    let expected = [
        (data[..2].to_vec(), indices[..2].to_vec()),
        (vec![], vec![]),
        (data[2..].to_vec(), indices[2..].to_vec()),
        (vec![], vec![]),
    ];
    assert_eq!(rows, expected);

    let copy = CsrMatrix::open(&path, Mode::ReadWrite).unwrap();
    assert_eq!((copy.meta(), copy.path(), copy.is_frozen()), (meta, path.as_path(), false));
    assert_eq!((copy.data::<D>().unwrap(), copy.indices::<I>().unwrap()), (data.to_vec(), indices.to_vec()));
    assert_eq!(copy.indptr::<P>().unwrap(), indptr);
    let row = |i| copy.row::<D, I>(i).map(|row| (row.data, row.indices)).unwrap();
    assert_eq!([0, 1, 2, 3].map(row), expected);
    copy.write_data(&[data[2], data[1], data[0]]).unwrap();
    copy.write_row(2, &[data[1]]).unwrap();
    assert_eq!(copy.data::<D>().unwrap(), [data[2], data[1], data[1]]);
}

fn sparse_with_every_indptr<I: Integer>() {
    let data = [1.5_f32, -2.0, 3.0];
    sparse_round_trip::<_, I, i8>(data);
    sparse_round_trip::<_, I, i16>(data);
    sparse_round_trip::<_, I, i32>(data);
    sparse_round_trip::<_, I, i64>(data);
    sparse_round_trip::<_, I, u8>(data);
    sparse_round_trip::<_, I, u16>(data);
    sparse_round_trip::<_, I, u32>(data);
    sparse_round_trip::<_, I, u64>(data);
}

#[test]
fn every_integer_type_may_index_and_count() {
    sparse_with_every_indptr::<i8>();
    sparse_with_every_indptr::<i16>();
    sparse_with_every_indptr::<i32>();
    sparse_with_every_indptr::<i64>();
    sparse_with_every_indptr::<u8>();
    sparse_with_every_indptr::<u16>();
    sparse_with_every_indptr::<u32>();
    sparse_with_every_indptr::<u64>();
}

#[test]
fn every_dtype_may_be_stored_sparsely() {
    sparse_round_trip::<Bool, i32, i64>([true, true, false].map(Bool::from));
    sparse_round_trip::<i8, i32, i64>([1, -2, 3]);
    sparse_round_trip::<i16, i32, i64>([1, -2, 3]);
    sparse_round_trip::<i32, i32, i64>([1, -2, 3]);
    sparse_round_trip::<i64, i32, i64>([1, -2, 3]);
    sparse_round_trip::<u8, i32, i64>([1, 2, 3]);
    sparse_round_trip::<u16, i32, i64>([1, 2, 3]);
    sparse_round_trip::<u32, i32, i64>([1, 2, 3]);
    sparse_round_trip::<u64, i32, i64>([1, 2, 3]);
    sparse_round_trip::<f16, i32, i64>([1.5, -2.0, 3.0].map(f16::from_f32));
    sparse_round_trip::<f32, i32, i64>([1.5, -2.0, 3.0]);
    sparse_round_trip::<f64, i32, i64>([1.5, -2.0, 3.0]);
}

#[test]
fn a_matrix_of_nothing_works() {
    let (_directory, path) = scratch();
    let empty = SparseInRows::<f64, u16, u8> { shape: [3, 5], data: &[], indices: &[], indptr: &[0; 4] };
    write_memory_mapped_sparse(&path, &empty).unwrap();
    assert_eq!(
        ["data", "indices", "indptr"].map(|file| bytes_of(&path, &format!(".{file}")).len()),
        [0, 0, 4]
    );
    for mode in [Mode::Read, Mode::ReadWrite] {
        let mut matrix = open_memory_mapped_sparse(&path, mode).unwrap();
        assert_eq!((matrix.meta().nnz, matrix.meta().shape), (0, [3, 5]));
        assert!(matrix.data::<f64>().unwrap().is_empty());
        assert!(matrix.rows::<f64, u16>().unwrap().all(|row| row.unwrap().data.is_empty()));
        assert_eq!(matrix.rows::<f64, u16>().unwrap().count(), 3);
        assert_eq!(matrix.data_mut::<f64>().is_ok(), mode == Mode::ReadWrite);
    }
}

#[test]
fn what_is_no_csr_matrix_is_refused() {
    type Case = (&'static [i32], &'static [i16], &'static str, &'static str, &'static str, &'static str);
    let (rising, good): (&[i32], &[i16]) = (&[7, 0, 4], &[0, 2, 2, 3, 3]);
    let ranges = "5 numbers rising from 0 to 3";
    let cases: &[Case] = &[
        (&[7, 0], good, ".indices", "length", "3 as .data", "2"),
        (&[7, 0, 4, 5], good, ".indices", "length", "3 as .data", "4"),
        (&[7, 0, 9], good, ".indices", "column", "0 to 8", "9"),
        (&[7, 0, i32::MAX], good, ".indices", "column", "0 to 8", "2147483647"),
        (&[7, -1, 4], good, ".indices", "column", "0 to 8", "-1"),
        (rising, &[], ".indptr", "ranges", ranges, "0 numbers"),
        (rising, &[0, 2, 2, 3], ".indptr", "ranges", ranges, "4 numbers from 0 to 3"),
        (rising, &[0, 2, 2, 3, 3, 3], ".indptr", "ranges", ranges, "6 numbers from 0 to 3"),
        (rising, &[1, 2, 2, 3, 3], ".indptr", "ranges", ranges, "5 numbers from 1 to 3"),
        (rising, &[0, 2, 2, 2, 2], ".indptr", "ranges", ranges, "5 numbers from 0 to 2"),
        (rising, &[0, 2, 2, 3, 4], ".indptr", "ranges", ranges, "5 numbers from 0 to 4"),
        (rising, &[0, 2, 1, 3, 3], ".indptr", "ranges", ranges, "1 after 2"),
        (rising, &[0, -2, 2, 3, 3], ".indptr", "ranges", ranges, "2 after -2"),
        (rising, &[0, 2, 2, 3, -1], ".indptr", "ranges", ranges, "5 numbers from 0 to -1"),
    ];
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    for (indices, indptr, suffix, what, expected, found) in cases {
        let sparse = SparseInRows { shape: [4, 9], data: &[1.5, -2.0, 3.0], indices, indptr };
        let written = write_memory_mapped_sparse(&path, &sparse);
        assert_invalid(written, with_suffix(&path, suffix), what, expected, found);
    }
    assert_eq!(names_beside(&path), DENSE_FILES, "what stood there stands");
}

#[test]
fn an_index_without_a_sign_is_named_without_a_sign() {
    let (_directory, path) = scratch();
    let sparse = SparseInRows { shape: [1, 9], data: &[1_u8], indices: &[u64::MAX], indptr: &[0_u8, 1] };
    let written = write_memory_mapped_sparse(&path, &sparse);
    assert_invalid(written, with_suffix(&path, ".indices"), "column", "0 to 8", "18446744073709551615");
}

#[test]
fn types_and_shapes_that_a_sparse_matrix_cannot_have_are_refused() {
    let (_directory, path) = scratch();
    let floats = SparseInRows { shape: [1, 9], data: &[1_u8], indices: &[0_f32], indptr: &[0_u8, 1] };
    let written = write_memory_mapped_sparse(&path, &floats);
    assert_invalid(written, &path, "indices_dtype", "an integer type", "float32");
    let bools = SparseInRows {
        shape: [1, 9],
        data: &[1_u8],
        indices: &[0_i8],
        indptr: &[false, true].map(Bool::from),
    };
    let written = write_memory_mapped_sparse(&path, &bools);
    assert_invalid(written, &path, "indptr_dtype", "an integer type", "bool");
    for (shape, found) in [([0, 9], "[0, 9]"), ([4, 0], "[4, 0]")] {
        let written = write_memory_mapped_sparse(&path, &SparseInRows { shape, ..SMALL });
        assert_invalid(written, &path, "shape", "integers above zero", found);
    }
    assert_eq!(names_beside(&path), [""; 0]);
}

#[test]
fn a_row_whose_range_is_wrong_is_an_error_and_the_others_go_on() {
    type Case = (Vec<i64>, [Option<&'static str>; 4]);
    let cases: [Case; 3] = [
        (vec![0, 2, 1, 3, 3], [None, Some("2 to 1"), None, None]),
        (vec![0, 2, 2, 4, 3], [None, None, Some("2 to 4"), Some("4 to 3")]),
        (vec![2, 0, 0, 3, 3], [Some("2 to 0"), None, None, None]),
    ];
    for (indptr, flaws) in cases {
        let (_directory, path) = scratch();
        write_memory_mapped_sparse(&path, &SMALL).unwrap();
        fs::write(with_suffix(&path, ".indptr"), bytemuck::cast_slice(&indptr)).unwrap();
        let matrix = open_memory_mapped_sparse(&path, Mode::Read).unwrap();
        let rows: Vec<_> = matrix.rows::<f32, i32>().unwrap().collect();
        assert_eq!(rows.len(), 4);
        for (number, (found, flaw)) in rows.into_iter().zip(flaws).enumerate() {
            match (found, flaw) {
                (Ok(found), None) => {
                    let ends = [indptr[number], indptr[number + 1]].map(|end| usize::try_from(end).unwrap());
                    assert_eq!(found.data, &SMALL.data[ends[0]..ends[1]]);
                    assert_eq!(found.indices, &SMALL.indices[ends[0]..ends[1]]);
                }
                (found, flaw) => {
                    let found_text = format!("{} for row {number}", flaw.unwrap_or("no error"));
                    let file = with_suffix(&path, ".indptr");
                    assert_invalid(found, file, "range of a row", "rising numbers up to 3", &found_text);
                }
            }
        }
    }
}

// ---------------------------------------------------------------------------- removing

#[test]
fn an_array_of_which_a_file_is_missing_is_not_removed() {
    for (missing, left) in [("x.array", &["x.yaml"][..]), ("x.yaml", &["x.array"])] {
        let (_directory, path) = scratch();
        assert_missing(remove_memory_mapped_array(&path), with_suffix(&path, ".yaml"), "remove");
        create_one_to_six(&path);
        let missing = path.with_file_name(missing);
        fs::remove_file(&missing).unwrap();
        assert!(!exists_memory_mapped_array(&path));
        assert_missing(remove_memory_mapped_array(&path), missing, "remove");
        assert_eq!(names_beside(&path), left);
    }
    let (_directory, path) = scratch();
    write_memory_mapped_sparse(&path, &SMALL).unwrap();
    assert_missing(remove_memory_mapped_array(&path), with_suffix(&path, ".array"), "remove");
    assert_eq!(names_beside(&path), SPARSE_FILES);
}

#[test]
fn a_sparse_matrix_is_removed_as_far_as_it_is_there() {
    let (_directory, path) = scratch();
    remove_memory_mapped_sparse(&path).unwrap();
    for missing in SPARSE_FILES {
        write_memory_mapped_sparse(&path, &SMALL).unwrap();
        fs::remove_file(path.with_file_name(missing)).unwrap();
        assert!(!exists_memory_mapped_sparse(&path), "without {missing}");
        remove_memory_mapped_sparse(&path).unwrap();
        assert_eq!(names_beside(&path), [""; 0], "without {missing}");
    }
}

#[test]
fn removing_a_sparse_matrix_that_is_not_there_leaves_the_dense_array_that_is() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    remove_memory_mapped_sparse(&path).unwrap();
    assert_eq!(names_beside(&path), DENSE_FILES);
}

#[test]
fn what_is_removed_lives_on_for_its_holders() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let array = open_memory_mapped_array(&path, Mode::Read).unwrap();
    remove_memory_mapped_array(&path).unwrap();
    assert_eq!(array.view::<i32>().unwrap().as_slice().unwrap(), [1, 2, 3, 4, 5, 6]);
    assert_missing(open_memory_mapped_array(&path, Mode::Read), with_suffix(&path, ".yaml"), "open");
}

// Promise: A half-made array is never visible, neither while it is written nor after its writer was killed.
#[test]
fn a_failure_leaves_nothing_unfinished() {
    let directory = tempdir().unwrap();
    let nowhere = directory.path().join("no such directory/x");
    assert_missing(create_memory_mapped_array(&nowhere, &[3], Dtype::Int8), &nowhere, "create");
    assert_missing(write_memory_mapped_sparse(&nowhere, &SMALL), &nowhere, "create");

    let path = directory.path().join("x");
    fs::create_dir_all(with_suffix(&path, ".array").join("full")).unwrap();
    match create_memory_mapped_array(&path, &[3], Dtype::Int8) {
        Err(Error::Io { path: file, action: "create", .. }) => assert_eq!(file, with_suffix(&path, ".array")),
        other => panic!("a directory is in the way: {other:?}"),
    }
    match write_memory_mapped_sparse(&path, &SMALL) {
        Err(Error::Io { path: file, action: "remove", .. }) => assert_eq!(file, with_suffix(&path, ".array")),
        other => panic!("a directory is in the way: {other:?}"),
    }
    assert_eq!(names_beside(&path), ["x.array"]);

    // Larger than most file systems let a file be; one that does lets it be created.
    let huge = directory.path().join("huge");
    let _ = create_memory_mapped_array(&huge, &[1 << 62], Dtype::Int8);
    assert!(!names_beside(&huge).iter().any(|name| name.starts_with(UNFINISHED)));
}

// ---------------------------------------------------------------------------- what is broken

fn open_either(path: &Path, kind: Kind) -> Result<()> {
    match kind {
        Kind::Dense => open_memory_mapped_array(path, Mode::Read).map(drop),
        Kind::Sparse => open_memory_mapped_sparse(path, Mode::Read).map(drop),
    }
}

/// A sound array of each kind, each in its own directory.
fn one_of_each_kind() -> [(TempDir, PathBuf, Kind); 2] {
    let ((dense_directory, dense), (sparse_directory, sparse)) = (scratch(), scratch());
    create_one_to_six(&dense);
    write_memory_mapped_sparse(&sparse, &SMALL).unwrap();
    [(dense_directory, dense, Kind::Dense), (sparse_directory, sparse, Kind::Sparse)]
}

#[test]
fn a_byte_too_few_or_too_many_is_an_error() {
    let sizes = [(".array", 24), (".data", 12), (".indices", 12), (".indptr", 40)];
    for (_directory, path, kind) in one_of_each_kind() {
        for (suffix, size) in sizes.into_iter().filter(|(suffix, _)| kind.suffixes().contains(suffix)) {
            let file = with_suffix(&path, suffix);
            for by in [-1, 1] {
                resize(&file, by);
                let (expected, found) = (format!("{size} bytes"), format!("{} bytes", size + by));
                assert_invalid(open_either(&path, kind), &file, "size", &expected, &found);
                resize(&file, -by);
                open_either(&path, kind).unwrap();
            }
        }
    }
}

#[test]
fn the_message_names_the_file_what_was_expected_and_what_was_found() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    resize(&with_suffix(&path, ".array"), -1);
    let message = open_memory_mapped_array(&path, Mode::Read).unwrap_err().to_string();
    assert_eq!(message, format!("{}.array: size: expected 24 bytes, found 23 bytes", path.display()));
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    for (_directory, path, kind) in one_of_each_kind() {
        for suffix in [".yaml"].iter().chain(kind.suffixes()) {
            let (file, aside) = (with_suffix(&path, suffix), path.with_file_name("aside"));
            fs::rename(&file, &aside).unwrap();
            assert_missing(open_either(&path, kind), &file, "open");
            assert!(open_either(&path, kind).unwrap_err().is_not_found());
            fs::rename(aside, file).unwrap();
        }
        open_either(&path, kind).unwrap();
    }
}

#[test]
fn what_is_no_regular_file_is_an_error_at_once() {
    for (_directory, path, kind) in one_of_each_kind() {
        for suffix in [".yaml"].iter().chain(kind.suffixes()) {
            let (file, aside) = (with_suffix(&path, suffix), path.with_file_name("aside"));
            fs::rename(&file, &aside).unwrap();
            nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
            for mode in [Mode::Read, Mode::ReadWrite] {
                let path = path.clone();
                let opened = soon(move || match kind {
                    Kind::Dense => open_memory_mapped_array(path, mode).map(drop),
                    Kind::Sparse => open_memory_mapped_sparse(path, mode).map(drop),
                });
                assert_invalid(opened, &file, "kind of file", "a regular file", "a FIFO");
            }
            let asked = path.clone();
            assert!(!soon(move || exists_memory_mapped_array(&asked) || exists_memory_mapped_sparse(&asked)));
            fs::remove_file(&file).unwrap();

            fs::create_dir(&file).unwrap();
            assert_invalid(open_either(&path, kind), &file, "kind of file", "a regular file", "a directory");
            fs::remove_dir(&file).unwrap();
            fs::rename(aside, file).unwrap();
        }
    }
}

#[test]
fn metadata_that_the_format_does_not_know_is_an_error() {
    let dtypes = "one of bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, \
                  float16, float32, float64";
    let cases = [
        (Kind::Dense, "- 1\n- 0", "- 2\n- 0", "version", "[1, minor]", "[2, 0]"),
        (Kind::Dense, "- 1\n- 0", "- 0\n- 9", "version", "[1, minor]", "[0, 9]"),
        (Kind::Dense, "version:\n- 1\n- 0\n", "", "version", "[1, minor]", "no such key"),
        (Kind::Dense, "dtype: int32", "dtype: float128", "dtype", dtypes, "float128"),
        (Kind::Dense, "dtype: int32", "dtype: <i4", "dtype", dtypes, "<i4"),
        (Kind::Dense, "dtype: int32", "data_dtype: int32", "dtype", "the name of a type", "no such key"),
        (Kind::Dense, "- 2\n- 3\n", "- 2\n- -3\n", "shape", "one or two integers above zero", "[2, -3]"),
        (Kind::Dense, "- 2\n- 3\n", "- 2\n- 0\n", "shape", "integers above zero", "[2, 0]"),
        (Kind::Dense, "dtype: int32", "- int32", "YAML", "a mapping of the format's keys", ""),
        (Kind::Sparse, "- 1\n- 0", "- 2\n- 0", "version", "[1, minor]", "[2, 0]"),
        (Kind::Sparse, "data_dtype: float32", "data_dtype: object", "data_dtype", dtypes, "object"),
        (Kind::Sparse, "int32", "bool", "indices_dtype", "an integer type", "bool"),
        (Kind::Sparse, "- 4\n- 9\n", "- 4\n", "shape", "two integers", "[4]"),
        (Kind::Sparse, "nnz: 3", "nnz: -3", "nnz", "an integer, not negative", "-3"),
    ];
    for (kind, old, new, what, expected, found) in cases {
        let (_directory, path, _) = one_of_each_kind().into_iter().find(|case| case.2 == kind).unwrap();
        let (file, text) = (with_suffix(&path, ".yaml"), text_of(&path, ".yaml"));
        assert!(text.contains(old), "{text}");
        fs::write(&file, text.replacen(old, new, 1)).unwrap();
        match open_either(&path, kind) {
            // The parser's own words are not this crate's.
            Err(Error::Invalid { path, what: "YAML", .. }) if what == "YAML" => assert_eq!(path, file),
            opened => assert_invalid(opened, &file, what, expected, found),
        }
    }
}

// Promise: Metadata beyond 64 KiB is not read.
#[test]
fn metadata_that_is_overlong_is_not_read() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let file = with_suffix(&path, ".yaml");
    resize(&file, 1 << 40);
    let (expected, found) =
        (format!("at most {MAX_YAML_BYTES} bytes"), format!("{} bytes", MAX_YAML_BYTES + 1));
    assert_invalid(open_either(&path, Kind::Dense), &file, "size", &expected, &found);
}

#[test]
fn any_minor_version_key_order_and_yaml_style_is_opened() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    for yaml in [
        "version: [1, 9]\nshape: [2, 3]\ndtype: int32\n",
        "{\"shape\": [2, 3], \"version\": [1, 0], \"dtype\": \"int32\"}",
        "# by hand\nwritten_by: me\ndtype: 'int32'\nshape:\n    - 2\n    - 3\nversion: [1, 0]",
    ] {
        fs::write(with_suffix(&path, ".yaml"), yaml).unwrap();
        let array = open_memory_mapped_array(&path, Mode::Read).unwrap();
        assert_eq!(array.view::<i32>().unwrap()[[1, 2]], 6, "{yaml}");
    }
}

#[test]
fn one_kind_is_not_opened_as_the_other() {
    let [(_d, dense, _), (_s, sparse, _)] = one_of_each_kind();
    let file = with_suffix(&sparse, ".yaml");
    let opened = open_memory_mapped_array(&sparse, Mode::Read);
    assert_invalid(opened, file, "dtype", "the name of a type", "no such key");
    let file = with_suffix(&dense, ".yaml");
    let opened = open_memory_mapped_sparse(&dense, Mode::Read);
    assert_invalid(opened, file, "data_dtype", "the name of a type", "no such key");
}

#[test]
fn links_to_files_are_followed() {
    let (_directory, path) = scratch();
    create_one_to_six(&path);
    let link = path.with_file_name("link");
    for suffix in [".yaml", ".array"] {
        std::os::unix::fs::symlink(with_suffix(&path, suffix), with_suffix(&link, suffix)).unwrap();
    }
    assert!(exists_memory_mapped_array(&link));
    let array = open_memory_mapped_array(&link, Mode::Read).unwrap();
    assert_eq!(array.view::<i32>().unwrap()[[1, 2]], 6);
}

// ---------------------------------------------------------------------------- readers and writers

/// Runs `write` for even and odd numbers in turn while `read` is repeated; returns how often the
/// reader found something. `read` panics for what it should not see.
fn race(write: impl Fn(u32) + Sync, read: impl Fn() -> bool + Sync) -> u32 {
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                seen += u32::from(read());
                begun.store(true, Ordering::Relaxed);
            }
            seen + u32::from(read())
        });
        while !begun.load(Ordering::Relaxed) && !reader.is_finished() {
            thread::yield_now();
        }
        (0..2000).take_while(|_| !reader.is_finished()).for_each(write);
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    })
}

// Promise: A half-made array is never visible, neither while it is written nor after its writer was killed.
#[test]
fn a_reader_sees_the_old_array_or_the_new_one_or_none() {
    let (_directory, path) = scratch();
    let arrays: [(&[u64], Dtype); 2] = [(&[3, 4], Dtype::Int32), (&[5], Dtype::Float64)];
    let write = |turn: u32| {
        let (axes, dtype) = arrays[turn as usize % 2];
        create_memory_mapped_array(&path, axes, dtype).unwrap();
    };
    let read = || match open_memory_mapped_array(&path, Mode::Read) {
        Ok(array) => {
            assert!(
                arrays
                    .iter()
                    .any(|(axes, dtype)| (array.shape().axes(), array.dtype()) == (axes.to_vec(), *dtype))
            );
            assert_eq!(array.bytes().len(), if array.dtype() == Dtype::Int32 { 48 } else { 40 });
            true
        }
        Err(error) if error.is_not_found() => false,
        Err(error) => panic!("{error}"),
    };
    assert!(race(write, read) > 0);
    assert_eq!(names_beside(&path), DENSE_FILES);
}

#[test]
fn a_reader_sees_one_sparse_matrix_even_when_both_have_the_same_sizes() {
    let (_directory, path) = scratch();
    let ones = SparseInRows { shape: [3, 2], data: &[1.0, 1.0], indices: &[1, 1], indptr: &[0, 1, 1, 2] };
    let twos = SparseInRows { shape: [3, 9], data: &[2.0, 2.0], indices: &[2, 2], indptr: &[0, 0, 2, 2] };
    let both: [SparseInRows<'_, f32, i32, i64>; 2] = [ones, twos];
    let write = |turn: u32| write_memory_mapped_sparse(&path, &both[turn as usize % 2]).unwrap();
    let read = || match open_memory_mapped_sparse(&path, Mode::Read) {
        Ok(matrix) => {
            let one = both.iter().find(|one| one.shape == matrix.meta().shape).unwrap();
            assert_eq!(matrix.data::<f32>().unwrap(), one.data, "{:?}", one.shape);
            assert_eq!(matrix.indices::<i32>().unwrap(), one.indices, "{:?}", one.shape);
            assert_eq!(matrix.indptr::<i64>().unwrap(), one.indptr, "{:?}", one.shape);
            true
        }
        Err(error) if error.is_not_found() => false,
        Err(error) => panic!("{error}"),
    };
    assert!(race(write, read) > 0);
    assert_eq!(names_beside(&path), SPARSE_FILES);
}

// ---------------------------------------------------------------------------- bytes_as_ndarray

#[test]
fn bytes_are_viewed_without_a_copy() {
    let items = [1_i16, -2, 3, 4, 5, 6];
    let memory: &[u8] = bytemuck::cast_slice(&items);
    let view = bytes_as_ndarray::<i16>(memory, "six", &[3, 2]).unwrap();
    assert_eq!((view.shape(), view[[0, 1]], view[[2, 1]]), (&[3, 2][..], -2, 6));
    assert_eq!(view.as_ptr(), items.as_ptr());
    assert_eq!(bytes_as_ndarray::<u8>(memory, "six", &[12]).unwrap()[[2]], 0xFE);
}

#[test]
fn bytes_of_the_wrong_size_or_alignment_are_refused_by_name() {
    let items = [0_u64; 4];
    let memory: &[u8] = bytemuck::cast_slice(&items);
    type Case = (usize, &'static [u64], &'static str, &'static str, &'static str);
    let cases: &[Case] = &[
        (23, &[2, 3], "size", "24 bytes", "23 bytes"),
        (25, &[2, 3], "size", "24 bytes", "25 bytes"),
        (0, &[1], "size", "4 bytes", "0 bytes"),
        (8, &[1 << 62], "size", "fewer than 2^63 bytes", "8 bytes"),
        (8, &[], "shape", "one or two integers", "[]"),
        (0, &[0], "shape", "integers above zero", "[0]"),
        (8, &[1, 1, 2], "shape", "one or two integers", "[1, 1, 2]"),
    ];
    for (length, shape, what, expected, found) in cases {
        let view = bytes_as_ndarray::<f32>(&memory[..*length], "the name", shape);
        assert_invalid(view, "the name", what, expected, found);
    }
    assert_refused(bytes_as_ndarray::<f32>(&memory[1..9], "the name", &[2]), "the name", "float32");
    bytes_as_ndarray::<u8>(&memory[1..9], "the name", &[8]).unwrap();
}

// ---------------------------------------------------------------------------- the original's stores

#[test]
fn stores_of_the_original_package_open() {
    let Some(stores) = std::env::var_os("ARRAYFS_TEST_STORES") else {
        // Past the test harness, which keeps what tests print.
        let _ = writeln!(std::io::stderr(), "skipped: ARRAYFS_TEST_STORES names no directory of real stores");
        return;
    };
    let stores = Path::new(&stores);
    assert_eq!(open_all(&stores.join("daf-example")), [7, 1], "dense, sparse");
    assert_eq!(open_all(&stores.join("pbmc68k")), [12, 3], "dense, sparse");

    let scaled = open_memory_mapped_array(stores.join("pbmc68k/cell,gene#scaled"), Mode::Read).unwrap();
    assert_eq!((scaled.shape().axes(), scaled.dtype()), (vec![700, 765], Dtype::Float32));
    let log1p = open_memory_mapped_sparse(stores.join("pbmc68k/cell,gene#log1p"), Mode::Read).unwrap();
    assert_eq!((log1p.meta().shape, log1p.meta().nnz), ([700, 765], 174_400));
    let stored: usize = log1p.rows::<f32, i32>().unwrap().map(|row| row.unwrap().indices.len()).sum();
    assert_eq!(stored, 174_400);
}

/// Opens every array of a store, and sees that its metadata would be written just as it stands;
/// returns how many there are of each kind.
fn open_all(store: &Path) -> [usize; 2] {
    let mut counts = [0; 2];
    for entry in fs::read_dir(store).unwrap() {
        let file = entry.unwrap().path();
        let Some(path) = file.to_str().unwrap().strip_suffix(".yaml").map(Path::new) else { continue };
        let text = text_of(path, ".yaml");
        if !text.contains("shape:") {
            continue;
        }
        let metadata = Metadata::parse(text.as_bytes()).unwrap();
        assert_eq!(metadata.to_yaml(), text, "{}", path.display());
        open_either(path, metadata.kind()).unwrap();
        let exists = [exists_memory_mapped_array(path), exists_memory_mapped_sparse(path)];
        assert_eq!(exists, [metadata.kind() == Kind::Dense, metadata.kind() == Kind::Sparse]);
        counts.iter_mut().zip(exists).for_each(|(count, exists)| *count += usize::from(exists));
    }
    counts
}
