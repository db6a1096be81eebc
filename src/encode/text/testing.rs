//! Small stores for the tests of text formats.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::array::selection::Selection;
use crate::array::stored_array::StoredArray;
use crate::bytes::virtual_file::VirtualFile;
use crate::store::Store;

/// A dense array.
pub fn dense(dtype: &str, shape: &str, bytes: &[u8]) -> (TempDir, Selection) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.array"), bytes).unwrap();
    load(dir, &format!("dtype: {dtype}\nshape: {shape}\nversion: [1, 0]\n"))
}

/// A sparse matrix of float32 with int32 indices and an int64 indptr.
pub fn sparse(shape: [u64; 2], data: &[f32], indices: &[i32], indptr: &[i64]) -> (TempDir, Selection) {
    let dir = tempfile::tempdir().unwrap();
    let write =
        |suffix: &str, bytes: Vec<u8>| fs::write(dir.path().join(format!("x.{suffix}")), bytes).unwrap();
    write("data", data.iter().flat_map(|item| item.to_le_bytes()).collect());
    write("indices", indices.iter().flat_map(|item| item.to_le_bytes()).collect());
    write("indptr", indptr.iter().flat_map(|item| item.to_le_bytes()).collect());
    let yaml = format!(
        "data_dtype: float32\nindices_dtype: int32\nindptr_dtype: int64\nnnz: {}\nshape: {shape:?}\nversion: [1, 0]\n",
        data.len()
    );
    load(dir, &yaml)
}

fn load(dir: TempDir, yaml: &str) -> (TempDir, Selection) {
    fs::write(dir.path().join("x.yaml"), yaml).unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let array = StoredArray::load(&store, Path::new("x")).unwrap();
    (dir, Selection::whole(Arc::new(array)))
}

/// All bytes of a file. Checks that reads of any length return the same.
pub fn whole(file: &VirtualFile) -> Vec<u8> {
    let read = |offset: usize, length: usize| {
        let mut bytes = vec![b'?'; length];
        assert_eq!(file.read_at(offset as u64, &mut bytes).unwrap(), length);
        bytes
    };
    let bytes = read(0, usize::try_from(file.len()).unwrap());
    for step in [1, 2, 3, 7, 16, 31, 64, 1000, 65_537] {
        for offset in (0..bytes.len()).step_by(step).take(500) {
            let end = bytes.len().min(offset + step);
            assert_eq!(read(offset, end - offset), &bytes[offset..end], "{offset}..{end}");
        }
    }
    bytes
}

/// Like [`whole`], as text.
pub fn text(file: &VirtualFile) -> String {
    String::from_utf8(whole(file)).unwrap()
}

/// Numbers with arbitrary bits.
pub fn any_bits(count: u64) -> impl Iterator<Item = u64> {
    (1..=count).map(|i| {
        let mut x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    })
}

/// How many numbers to test. `ARRAYFS_TEST_FLOATS` sets another count.
pub fn patience() -> u64 {
    std::env::var("ARRAYFS_TEST_FLOATS").map_or(200_000, |text| text.parse().unwrap())
}
