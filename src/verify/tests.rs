//! Each verifier detects any wrong byte.

use super::*;
use crate::bytes::virtual_file::VirtualFile;
use crate::encode::members::Members;
use crate::formats::FORMATS;
use crate::store::Store;
use std::fs;
use std::path::Path;

/// A store with these files, and its array `x`.
fn whole(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Selection) {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let array = Arc::new(StoredArray::load(&store, Path::new("x")).unwrap());
    (dir, Selection::whole(array))
}

fn dense() -> (tempfile::TempDir, Selection) {
    dense_of(&[1, 0, 0xFF, 0xFF, 3, 0, 4, 0, 0, 0x80, 6, 0])
}

fn dense_of(elements: &[u8]) -> (tempfile::TempDir, Selection) {
    let yaml = b"dtype: int16\nshape: [2, 3]\nversion: [1, 0]\n";
    whole(&[("x.yaml", yaml), ("x.array", elements)])
}

/// [[0, 0, 1.5], [0, 0, 0], [-2, 0, 0]]
fn sparse() -> (tempfile::TempDir, Selection) {
    sparse_of([1.5, -2.0], [2, 0], &[0, 0, 1, 0, 1, 0, 2, 0])
}

/// [[0, 3.5, 0], [0, 0, 0], [1, 0, 2]], with unsorted columns, and two stored elements in one place.
fn unordered() -> (tempfile::TempDir, Selection) {
    let yaml = b"data_dtype: float32\nindices_dtype: uint8\nindptr_dtype: int16\nnnz: 4\n\
        shape: [3, 3]\nversion: [1, 0]\n";
    let data = [1.5f32, 2.0, 2.0, 1.0].map(f32::to_le_bytes).concat();
    let indptr = [0, 0, 2, 0, 2, 0, 4, 0];
    whole(&[("x.yaml", yaml), ("x.data", &data), ("x.indices", &[1, 1, 2, 0]), ("x.indptr", &indptr)])
}

fn sparse_of(data: [f32; 2], indices: [u8; 2], indptr: &[u8]) -> (tempfile::TempDir, Selection) {
    let yaml = b"data_dtype: float32\nindices_dtype: uint8\nindptr_dtype: int16\nnnz: 2\n\
        shape: [3, 3]\nversion: [1, 0]\n";
    let data = data.map(f32::to_le_bytes).concat();
    whole(&[("x.yaml", yaml), ("x.data", &data), ("x.indices", &indices), ("x.indptr", indptr)])
}

/// The bytes of a format that is a single file.
fn bytes_of(selection: &Selection, part: Part, view: &dyn Format) -> Vec<u8> {
    let file = view.render(selection, part).unwrap().file().unwrap();
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// The mismatch in a file with these bytes, if any.
fn said(selection: &Selection, component: Component, format: &str, bytes: &[u8]) -> Option<String> {
    let content = Rendered::File(VirtualFile::literal(bytes));
    let shown = Shown { selection, part: Part { component, of: Region::Whole }, content, progress: &|_| {} };
    let part = shown.part;
    let (_, format) = offered(selection, part).find(|(_, other)| other.name() == format).unwrap();
    decode(format, &shown).err().map(|Mismatch(why)| why)
}

#[test]
fn files_with_a_wrong_byte_are_found_out() {
    for (_dir, selection) in [dense(), sparse(), unordered()] {
        for case in cases(selection.array()) {
            assert_eq!(case.verify(&|_| {}), Ok(()), "{case}");
            let (Rendered::File(file), Region::Whole) = (case.content().unwrap(), case.part.of) else {
                continue;
            };
            if !case.folder.is_empty() || case.part.component == Component::Meta {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
            file.read_at(0, &mut bytes).unwrap();
            assert_eq!(said(&selection, case.part.component, case.format(), &bytes), None);
            // The last byte belongs to the last element, except in an archive, where byte 192 belongs to an
            // element.
            let last = bytes.len() - 1;
            bytes[if case.format() == "npz" { 192 } else { last }] ^= 1;
            assert!(said(&selection, case.part.component, case.format(), &bytes).is_some(), "{case}");
            assert!(said(&selection, case.part.component, case.format(), &bytes[..last]).is_some(), "{case}");
        }
    }
}

/// How many nonzero bytes of a format's file may change undetected. It is 0 where every byte is compared.
/// Third-party readers ignore:
///
/// - redundant information: the names of columns in `.parquet`
/// - how the rest is laid out: the tables in `.arrow`
/// - values without an effect: rows of the only strip and spaces in `.tif`; versions, date, mode and padding
///   of each member in `.npz`; the reserved space for texts in HDF5; the system in `.gz`
fn idle(format: &str) -> usize {
    match format {
        "parquet" => 14,
        "arrow" => 30,
        "tif" => 4,
        "npz" => 13 * 5,
        "h5" | "h5ad" => 2,
        "10x" => 1,
        _ => 0,
    }
}

#[test]
fn whatever_byte_is_wrong_is_found_out() {
    // Also render an array with the same shape and other numbers. Bytes that differ between the two encode
    // the numbers.
    let other_dense = dense_of(&[0xFE, 0xFF, 0, 0, 0xFC, 0xFF, 0xFB, 0xFF, 0xFF, 0x7F, 0xF9, 0xFF]);
    let other_sparse = sparse_of([-2.5e9, 3.7e-5], [1, 1], &[0, 0, 0, 0, 1, 0, 2, 0]);
    for ((_dir, selection), (_other_dir, other)) in [(dense(), other_dense), (sparse(), other_sparse)] {
        let other = Arc::new(other);
        for case in cases(selection.array()) {
            let is_whole = [
                "arrow",
                "parquet",
                "rds",
                "tif",
                "mat",
                "nrrd",
                "nhdr",
                "envi",
                "h5",
                "h5ad",
                "npz",
                "zarr",
                "v2.zarr",
                "xarray.zarr",
                "10x",
            ];
            if case.part.of == Region::Whole && case.folder.is_empty() && is_whole.contains(&case.format()) {
                expect_all_bytes_to_matter(&case, &other);
            }
        }
    }
}

/// The files of a case. A format that is a single file has one, with an empty name.
fn files(content: Rendered) -> Vec<(String, Vec<u8>)> {
    let bytes = |file: &VirtualFile| {
        let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    };
    match content {
        Rendered::File(file) => vec![(String::new(), bytes(&file))],
        Rendered::Directory(members) => {
            members.iter().filter_map(|member| Some((member.path, bytes(&member.file?)))).collect()
        }
    }
}

/// The mismatch in a case with these files, if any.
fn said_of(case: &Case, files: &[(String, Vec<u8>)]) -> Option<String> {
    let content = match files {
        [(name, bytes)] if name.is_empty() => Rendered::File(VirtualFile::literal(&bytes[..])),
        files => Rendered::Directory(Members::new(
            files.iter().map(|(name, bytes)| (name.clone(), VirtualFile::literal(&bytes[..]))),
        )),
    };
    let shown = Shown { selection: &case.selection, part: case.part, content, progress: &|_| {} };
    decode(case.format, &shown).err().map(|Mismatch(why)| why)
}

fn expect_all_bytes_to_matter(case: &Case, other: &Arc<Selection>) {
    let mut files = files(case.content().unwrap());
    let other = Case { selection: Arc::clone(other), folder: String::new(), ..*case };
    let others = self::files(other.content().unwrap());
    assert_eq!(said_of(case, &files), None, "{case}");
    for file in 0..files.len() {
        let path = format!("{case}/{}", files[file].0);
        let mut idle_bytes = Vec::new();
        for i in 0..files[file].1.len() {
            let is_seen = [0x01, 0x80, 0xFF].map(|flip| {
                files[file].1[i] ^= flip;
                let is_seen = said_of(case, &files).is_some();
                files[file].1[i] ^= flip;
                is_seen
            });
            let byte = files[file].1[i];
            let is_of_numbers = others[file].1.get(i).is_none_or(|other| byte != *other);
            assert!(
                !is_of_numbers || is_seen == [true; 3],
                "{path}: byte {i} is of the numbers: {is_seen:?}"
            );
            if is_seen == [false; 3] && byte != 0 {
                idle_bytes.push(i);
            }
        }
        assert!(idle_bytes.len() <= idle(case.format()), "{path}: any bytes at {idle_bytes:?}");
        let whole = files[file].1.clone();
        // JSON remains valid without the newline at the end.
        let length = whole.trim_ascii_end().len();
        for end in (0..length).step_by(if length > 2048 { 13 } else { 1 }) {
            files[file].1.truncate(end);
            assert!(said_of(case, &files).is_some(), "{path} of {end} bytes");
            files[file].1.clone_from(&whole);
        }
    }
}

#[test]
fn what_a_readme_tells_is_held_against_the_array() {
    let wrong_dense = [
        ("2 rows", "3 rows"),
        ("int16", "int32"),
        ("`array.csv`", "`array.cvs`"),
        ("rows/1", "rows/2"),
        ("slices/0:2/array.csv", "slices/0:2/dense.csv"),
    ];
    let wrong_sparse = [
        ("`data` float32", "`data` float64"),
        ("rows/2/dense", "rows/3/dense"),
        ("matrix.parquet", "matrix.paquet"),
    ];
    for ((_dir, selection), wrong) in [(dense(), &wrong_dense[..]), (sparse(), &wrong_sparse)] {
        let part = Part { component: Component::Readme, of: Region::Whole };
        let case = cases(selection.array()).into_iter().find(|case| case.part == part).unwrap();
        let text = String::from_utf8(bytes_of(&selection, part, case.format)).unwrap();
        assert_eq!(said(&selection, Component::Readme, "md", text.as_bytes()), None);
        for (right, wrong) in wrong {
            assert!(text.contains(right), "{right}: {text}");
            let changed = text.replace(right, wrong);
            assert!(said(&selection, Component::Readme, "md", changed.as_bytes()).is_some(), "{wrong}");
        }
    }
}

#[test]
fn numbers_that_a_format_has_not_are_refused() {
    let yaml = b"dtype: int64\nshape: [2]\nversion: [1, 0]\n";
    let (_dir, selection) = whole(&[("x.yaml", yaml), ("x.array", &[0x7F; 16])]);
    let part = Part { component: Component::Array, of: Region::Whole };
    let case = cases(selection.array()).into_iter().find(|case| case.format() == "rds").unwrap();
    assert_eq!((case.part, case.verify(&|_| {})), (part, Ok(())));
    // The nearest number that R has. The file must refuse to be read, rather than contain it.
    let rounded = f64::from_bits(0x43DF_DFDF_DFDF_DFE0).to_le_bytes().repeat(2);
    let bytes = [b"B\n\x02\0\0\0\0\x02\x04\0\0\x03\x02\0\x0E\0\0\0\x02\0\0\0", &rounded[..]].concat();
    assert!(said(&selection, part.component, "rds", &bytes).unwrap().contains("element 0: expected"));
}

#[test]
fn elements_in_the_order_of_the_store_are_no_object_of_r() {
    let (_dir, selection) = unordered();
    let part = Part { component: Component::Matrix, of: Region::Whole };
    let rds = FORMATS.iter().find(|(_, view)| view.name() == "rds").unwrap();
    let right = bytes_of(&selection, part, rds.1);
    let at = right.windows(12).position(|bytes| bytes == b"\x01\0\0\0\0\0\0\0\x02\0\0\0").unwrap();
    assert_eq!(said(&selection, part.component, "rds", &right), None);
    let mut swapped = right;
    swapped[at + 4..at + 12].rotate_left(4);
    assert!(said(&selection, part.component, "rds", &swapped).is_some());
}

#[test]
fn text_is_held_against_the_store() {
    let (_dir, selection) = dense();
    let csv = |text: &str| said(&selection, Component::Array, "csv", text.as_bytes());
    assert_eq!(csv("c0,c1,c2\n1,-1,3\n4,-32768,6\n"), None);
    assert_eq!(csv("c0,c1,c2\n1,-1,3\n4,-32768,7\n").unwrap(), "cell 1, 2: expected 6, found 7");
    let header = "c0,c1,c2\n1,-1,3\n4,-32768";
    assert!(csv(&format!("{header}\n")).is_some() && csv(&format!("{header},6\n1,2,3\n")).is_some());
    assert!(csv(&format!("{header}, 6\n")).is_some(), "a space in front");
    assert!(csv("1,-1,3\n4,-32768,6\n").unwrap().starts_with("header"));
    assert_eq!(said(&selection, Component::Array, "tsv", b"c0\tc1\tc2\n1\t-1\t3\n4\t-32768\t6\n"), None);
    assert_eq!(said(&selection, Component::Array, "txt", b"1 -1 3\n4 -32768 6\n"), None);
    assert!(said(&selection, Component::Array, "txt", b"1  -1 3\n4 -32768 6\n").is_some());
    let mtx =
        "%%MatrixMarket matrix coordinate integer general\n2 3 6\n1 1  1\n1 2 -1\n1 3 3\n2 1 4\n2 2 -32768\n";
    assert_eq!(said(&selection, Component::Array, "mtx", format!("{mtx}2 3 6\n").as_bytes()), None);
    assert!(said(&selection, Component::Array, "mtx", format!("{mtx}2 3 5\n").as_bytes()).is_some());
    assert_eq!(
        said(&selection, Component::Array, "mtx", mtx.as_bytes()).unwrap(),
        "fewer lines than elements"
    );
}

#[test]
fn stored_elements_are_held_against_the_store() {
    let (_dir, selection) = sparse();
    let csv = |text: &str| said(&selection, Component::Matrix, "csv", text.as_bytes());
    assert_eq!(csv("row,column,value\n0,2, 1.5\n2,0,-2.0e+00\n"), None);
    assert_eq!(csv("row,column,value\n0,2, 1.5\n2,0,2\n").unwrap().lines().count(), 1);
    let mtx = b"%%MatrixMarket matrix coordinate real general\n% words\n3 3 2\n1 3 1.5\n3 1 -2.0\n";
    assert_eq!(said(&selection, Component::Matrix, "mtx", mtx), None);
    let integer = b"%%MatrixMarket matrix coordinate integer general\n3 3 2\n1 3 1.5\n3 1 -2.0\n";
    assert!(said(&selection, Component::Matrix, "mtx", integer).is_some());
}
