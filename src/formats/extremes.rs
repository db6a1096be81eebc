//! Arrays of extreme shapes in every format: whatever is offered can be rendered, and read at both ends.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::array::stored_array::StoredArray;
use crate::bytes::virtual_file::VirtualFile;
use crate::encode::Rendered;
use crate::store::Store;

/// A directory on a file system that supports very large sparse files. Elsewhere the largest cases are
/// skipped.
fn dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Loads an array with this metadata and all elements zero. `None` if the file system cannot hold such a
/// hole.
fn load(dir: &TempDir, yaml: &str) -> Option<Arc<StoredArray>> {
    let path = dir.path().join("x.yaml");
    fs::write(&path, format!("{{version: [1, 0], {yaml}}}")).unwrap();
    let keys = crate::daf::metadata::Keys::parse(&fs::read(&path).unwrap()).unwrap();
    let metadata = crate::daf::metadata::Metadata::from_keys(&keys, keys.kind().unwrap()).unwrap();
    for (suffix, size) in metadata.files() {
        let file = File::create(dir.path().join(format!("x{suffix}"))).unwrap();
        if let Err(error) = file.set_len(size) {
            eprintln!("skipped: a hole of {size} bytes: {error}");
            return None;
        }
        // The last number of `indptr` must be nnz, or the matrix is invalid.
        if let (".indptr", crate::daf::metadata::Metadata::Sparse(meta)) = (suffix, &metadata) {
            let mut bytes = Vec::new();
            crate::dtype::encode_integer(meta.indptr_dtype, meta.nnz, &mut bytes);
            let last = meta.shape[0] * meta.indptr_dtype.itemsize();
            std::os::unix::fs::FileExt::write_all_at(&file, &bytes, last).unwrap();
        }
    }
    let store = Arc::new(Store::open(dir.path()).unwrap());
    Some(Arc::new(StoredArray::load(&store, Path::new("x")).unwrap()))
}

const LARGEST: u64 = i64::MAX as u64;

fn dense() -> Vec<String> {
    let large = 1u64 << 44;
    let shapes = [
        ("uint8", format!("[1, {large}]")),
        ("uint8", format!("[{large}, 1]")),
        ("uint8", format!("[{large}]")),
        ("bool", format!("[3, {large}]")),
        ("float16", format!("[{}, {}]", 1u64 << 31, 1u64 << 20)),
        ("float64", format!("[1, {large}]")),
        ("int64", format!("[{}]", 1u64 << 49)),
        ("int8", format!("[1, {LARGEST}]")),
        ("int8", format!("[{LARGEST}, 1]")),
        ("bool", format!("[{LARGEST}]")),
        ("float64", format!("[{}, {}]", 1u64 << 31, (1u64 << 29) - 1)),
        ("int16", format!("[{}, {}]", 1u64 << 32, 1u64 << 24)),
    ];
    shapes.into_iter().map(|(dtype, shape)| format!("dtype: {dtype}, shape: {shape}")).collect()
}

fn sparse() -> Vec<String> {
    let large = 1u64 << 62;
    let mut all = Vec::new();
    for (shape, nnz, bounds) in [
        (format!("[1, {large}]"), 0, "int8"),
        (format!("[1, {large}]"), 1, "int8"),
        (format!("[{large}, 1]"), 0, "int8"),
        (format!("[{large}, 1]"), 1, "uint8"),
        (format!("[1, {LARGEST}]"), 1, "int64"),
        (format!("[{}, 1]", LARGEST - 1), 1, "uint8"),
        (format!("[{}, {}]", 1u64 << 31, 1u64 << 31), 3, "int32"),
        (format!("[{}, {}]", 1u64 << 57, 7), 3, "int8"),
        (format!("[{}, {}]", 7, 1u64 << 57), 3, "int8"),
        (format!("[{}, {}]", 1u64 << 40, 1u64 << 20), 100, "int8"),
        (format!("[2, {}]", 1u64 << 44), 1 << 44, "int64"),
        ("[2, 3]".into(), 1 << 57, "int64"),
        ("[1, 1]".into(), large, "int64"),
        ("[1, 1]".into(), 0, "int64"),
        ("[2, 1]".into(), 0, "uint64"),
    ] {
        for data in ["int8", "float64", "float16", "bool"] {
            let fits = u64::checked_mul(nnz, 8).is_some_and(|bytes| i64::try_from(bytes).is_ok());
            if fits || matches!(data, "int8" | "bool") {
                all.push(format!(
                    "data_dtype: {data}, indices_dtype: int8, indptr_dtype: {bounds}, shape: {shape}, nnz: {nnz}"
                ));
            }
        }
    }
    all
}

fn scopes(selection: &Selection) -> Vec<Region> {
    let (rows, columns) = (selection.shape().rows(), selection.shape().columns());
    let of = [Region::Row(0), Region::Row(rows - 1), Region::Column(0), Region::Column(columns - 1)];
    [Region::Whole].into_iter().chain(of).collect()
}

/// Reads only the first and the last byte: a longer read at the end could hit a checksum over the whole file.
fn read_ends(what: &str, file: &VirtualFile) {
    assert!(i64::try_from(file.len()).is_ok(), "{what}");
    for at in [0, file.len().saturating_sub(1)] {
        if !file.is_empty() {
            let mut byte = [0xEE];
            file.read_exact_at(at, &mut byte).unwrap_or_else(|error| panic!("{what} at {at}: {error}"));
        }
    }
}

/// Renders every offered part and reads its ends. Returns how many there were.
fn read_all(about: &str, selection: &Selection, only_listed: bool) -> usize {
    let mut count = 0;
    for component in Component::ALL {
        for part in scopes(selection).into_iter().map(|of| Part { component, of }) {
            for (_, view) in offered(selection, part) {
                if only_listed && !view.is_listed(part) {
                    continue;
                }
                // Column indices need not be sorted, so one dense element needs a read of all stored elements
                // of its row.
                if part.component == Component::Dense
                    && selection.count(Part { component: Component::Data, of: Region::Whole }) > 1 << 20
                {
                    continue;
                }
                let what = format!("{about}: {part:?} in {:?}", view.extension());
                let rendered = view.render(selection, part).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(view.is_directory(), matches!(rendered, Rendered::Directory(_)), "{what}");
                match rendered {
                    Rendered::File(file) => read_ends(&what, &file),
                    Rendered::Directory(members) => {
                        // Directories of chunks can have very many members; the first and the last ones are
                        // enough.
                        let count = members.count();
                        for number in (0..count.min(99)).chain(count.saturating_sub(3)..count) {
                            // Not every number stands for a member.
                            let Some(member) = members.get(number) else { continue };
                            let what = format!("{what}: {}", member.path);
                            member.file.iter().for_each(|file| read_ends(&what, file));
                        }
                    }
                }
                count += 1;
            }
        }
    }
    count
}

#[test]
fn what_is_offered_of_extreme_arrays_can_be_made_and_read() {
    for yaml in dense().into_iter().chain(sparse()) {
        let dir = dir();
        let Some(array) = load(&dir, &yaml) else { continue };
        let selection = Selection::whole(array);
        let count = read_all(&yaml, &selection, false);
        assert!(count > 2, "{yaml}: {count}");
        for slice in [":1", "-1:", "::2", "1:", "::3", ":-1", "::9223372036854775807"] {
            let Some(slice_of) = selection.slice(slice.as_bytes()) else { continue };
            // Rows that are not contiguous need a read of their part of `indptr`: refused for very many rows,
            // and slow for many.
            let rows = slice_of.rows();
            if !rows.is_contiguous() && (1 << 20..=1 << 32).contains(&rows.count()) {
                continue;
            }
            // The number of stored elements in a slice is known only after a read, so unlisted formats may
            // refuse it.
            read_all(&format!("{yaml} [{slice}]"), &slice_of, true);
        }
    }
}

#[test]
fn small_arrays_come_in_all_formats() {
    let (small, large) = (dir(), dir());
    let yaml = |shape: &str| {
        format!("data_dtype: int8, indices_dtype: int8, indptr_dtype: int8, shape: {shape}, nnz: 1")
    };
    let formats = |array: Arc<StoredArray>, component| {
        let selection = Selection::whole(array);
        let offered = offered(&selection, Part { component, of: Region::Whole });
        offered.map(|(_, view)| view.extension()).collect::<Vec<_>>()
    };
    let all = formats(load(&small, &yaml("[2, 3]")).unwrap(), Component::Matrix);
    for format in ["npz", "mtx", "csv", "tsv", "h5", "h5ad", "zarr", "arrow", "parquet", "rds", "mat"] {
        assert!(all.contains(&format), "{format}: {all:?}");
    }
    let some = formats(load(&large, &yaml(&format!("[1, {}]", 1u64 << 62))).unwrap(), Component::Matrix);
    for format in ["npz", "mtx", "csv", "arrow", "parquet"] {
        assert!(some.contains(&format), "{format}: {some:?}");
    }
    assert!(!some.contains(&"h5ad") && !some.contains(&"zarr"), "{some:?}");
}
