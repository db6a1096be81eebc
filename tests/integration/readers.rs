//! Exchange with NumPy, SciPy and PyYAML: they read stores through a mount that they wrote themselves, and
//! arrays that this crate wrote. The comparisons are in `tests/readers/*.py`.
//!
//! `ARRAYFS_TEST_PYTHON` is a Python interpreter that has these packages. `scripts/test` sets it up.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::common::{Mount, arrayfs, python, real_stores};
use arrayfs::daf::arrays::DenseArray;
use arrayfs::daf::memory_mapping::{SparseInRows, create_memory_mapped_array, write_memory_mapped_sparse};
use arrayfs::dtype::{Bool, Dtype, Element};
use arrayfs::store::mmap::Mode;
use half::f16;
use tempfile::{TempDir, tempdir};

/// A store with every kind of array, written by NumPy; one for all tests.
fn written_by_numpy() -> &'static Path {
    static STORE: OnceLock<TempDir> = OnceLock::new();
    let store = STORE.get_or_init(|| {
        let store = tempdir().unwrap();
        python("write_store.py", &[store.path()]);
        store
    });
    store.path()
}

#[test]
fn what_numpy_wrote_is_the_same_through_the_mount() {
    let store = written_by_numpy();
    let mount = Mount::new(store);
    assert_eq!(mount.errors().trim(), "{}");
    python("compare.py", &[store, mount.path()]);
}

#[test]
fn real_stores_are_the_same_through_the_mount() {
    for store in real_stores() {
        let mount = Mount::new(&store);
        python("compare.py", &[&store, mount.path()]);
    }
}

/// Stores whose arrays are opened in every format: what NumPy wrote of all dtypes, and the real ones.
// Promise: Reading in any pieces, at any offsets, returns the same bytes as reading from start to end.
#[test]
fn every_format_opens_in_its_readers() {
    let mut stores = real_stores();
    stores.push(written_by_numpy().join("all_dtypes"));
    stores.push(written_by_numpy().join("all_sparse_dtypes"));
    for store in stores {
        let mount = Mount::new(&store);
        python("check_formats.py", &[&store, mount.path()]);
    }
}

/// Arrays of several chunks, and rows that are chunks by themselves.
#[test]
fn chunks_are_read_by_their_readers() {
    let store = written_by_numpy().join("chunks");
    let mount = Mount::new(&store);
    python("check_formats.py", &[&store, mount.path(), Path::new("zarr_")]);
}

// ------------------------------------------------------------------------------------------------ cat

/// The paths below `path` in the mount that a walk finds, only so many of each directory.
fn sample(mount: &Path, path: &Path, found: &mut Vec<PathBuf>) {
    let mut names: Vec<_> =
        fs::read_dir(mount.join(path)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    // Rows and columns are all alike: the last will do for them.
    let is_numbered = |name: &OsStr| !name.is_empty() && name.as_bytes().iter().all(u8::is_ascii_digit);
    if names.len() > 1 && names.iter().all(|name| is_numbered(name)) {
        names.drain(..names.len() - 1);
    }
    for name in names {
        let path = path.join(name);
        match fs::metadata(mount.join(&path)).unwrap() {
            meta if meta.is_dir() => sample(mount, &path, found),
            _ => found.push(path),
        }
    }
}

/// What no listing shows, in the folder of this array.
fn unlisted(array: &Path, is_sparse: bool) -> Vec<PathBuf> {
    let dense = [
        "rows/-1.csv",
        "rows/00.npy",
        "cols/0.npy",
        "cols/0.csv",
        "array.tsv",
        "array.txt",
        "rows/0.txt",
        "array.mtx",
        "10x.v2/genes.tsv",
        "slices/1:/array.npy",
        "slices/::2/slices/-1:/rows/0",
        "array.h5",
        "slices/1::2/array.h5ad",
    ];
    let sparse = [
        "rows/-1/dense.csv",
        "matrix.csv",
        "matrix.tsv",
        "dense.txt",
        "10x.v2/matrix.mtx",
        "rows/0.npy",
        "slices/:2/indptr",
        "slices/::2/data.npy",
        "slices/1:/dense",
        "matrix.h5",
        "dense.h5",
        "dense.h5ad",
        "10x.h5",
        "slices/1:5/matrix.h5ad",
    ];
    let names: &[&str] = if is_sparse { &sparse } else { &dense };
    names.iter().map(|name| array.join(name)).collect()
}

// Promise: `arrayfs cat` writes the same bytes that the mount shows.
#[test]
fn cat_gives_the_bytes_of_the_mount() {
    let store = written_by_numpy();
    let mount = Mount::new(store);
    let mut paths = Vec::new();
    sample(mount.path(), Path::new("names"), &mut paths);
    sample(mount.path(), Path::new("clashes"), &mut paths);
    // Of the same name in folders of one kind some are enough.
    let mut of_name = BTreeMap::<_, Vec<PathBuf>>::new();
    for path in paths {
        of_name.entry(path.file_name().unwrap().to_owned()).or_default().push(path);
    }
    let mut paths: Vec<_> = of_name.into_values().flat_map(|paths| paths.into_iter().take(8)).collect();
    paths.extend(unlisted("all_dtypes/nested folder/float16 23x17".as_ref(), false));
    paths.extend(unlisted("all_sparse_dtypes/nested folder/int8 uint64".as_ref(), true));
    paths.extend(
        ["large/nested folder/sparse tall/slices/::3/data.npy", "at the root/array", "empty"]
            .map(PathBuf::from),
    );
    for path in paths {
        let output = arrayfs().args(["cat", "--"]).arg(store).arg(&path).output().unwrap();
        assert!(output.status.success(), "{path:?}: {output:?}");
        assert!(output.stdout == mount.read(&path), "{path:?}: {} bytes differ", output.stdout.len());
    }
}

// -------------------------------------------------------------------------------------- the other way

/// Element `i` of what is written here: `check_written.py` knows it too.
fn element<T: Element>(i: usize) -> T {
    let mut bytes = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
    if T::DTYPE == Dtype::Bool {
        bytes[0] &= 1;
    }
    bytemuck::pod_read_unaligned(&bytes[..size_of::<T>()])
}

fn write_dense<T: Element>(store: &Path) {
    for (kind, shape) in [("vector", &[29][..]), ("matrix", &[6, 7])] {
        let path = store.join(format!("{kind} {}", T::DTYPE));
        create_memory_mapped_array(&path, shape, T::DTYPE).unwrap();
        let array = DenseArray::open(&path, Mode::ReadWrite).unwrap();
        let mut items = array.to_array::<T>().unwrap();
        items.iter_mut().enumerate().for_each(|(i, item)| *item = element(i));
        array.assign(items.view()).unwrap();
    }
}

fn write_sparse<D: Element, I: Element + TryFrom<u8>, P: Element + TryFrom<u8>>(store: &Path) {
    let path = store.join(format!("sparse {}", D::DTYPE));
    // A dense array of the same name gives way.
    create_memory_mapped_array(&path, &[3], Dtype::Int8).unwrap();
    let indices = [4, 0, 1, 5].map(|column| I::try_from(column).ok().unwrap());
    let indptr = [0, 2, 2, 2, 4, 4].map(|bound| P::try_from(bound).ok().unwrap());
    let data = [0, 1, 2, 3].map(element::<D>);
    let sparse = SparseInRows { shape: [5, 8], data: &data, indices: &indices, indptr: &indptr };
    write_memory_mapped_sparse(&path, &sparse).unwrap();
}

#[test]
fn what_this_crate_writes_loads_in_numpy() {
    let dir = tempdir().unwrap();
    let store = dir.path();
    macro_rules! write_all {
        ($($data:ty: $index:ty, $pointer:ty;)*) => {$(
            write_dense::<$data>(store);
            write_sparse::<$data, $index, $pointer>(store);
        )*};
    }
    write_all! {
        Bool: i8, i16;
        i8: i16, u8;
        i16: i32, u64;
        i32: i64, i32;
        i64: u8, u16;
        u8: u16, i8;
        u16: u32, i64;
        u32: u64, u32;
        u64: i8, i16;
        f16: i16, u8;
        f32: i32, u64;
        f64: i64, i32;
    }
    let empty = SparseInRows::<f32, i32, i64> { shape: [3, 4], data: &[], indices: &[], indptr: &[0; 4] };
    write_memory_mapped_sparse(store.join("empty"), &empty).unwrap();
    // A sparse matrix of the same name gives way.
    write_memory_mapped_sparse(store.join("hole"), &empty).unwrap();
    create_memory_mapped_array(store.join("hole"), &[1000, 1001], Dtype::Float64).unwrap();
    python("check_written.py", &[store]);
}
