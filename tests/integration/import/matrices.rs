//! Matrices in `.mtx` and `.npz`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use tempfile::{TempDir, tempdir};

use super::tables::shown;
use crate::common::{arrayfs, names, run, stdout};

fn take(name: &str, bytes: &[u8], options: &[&str]) -> (TempDir, PathBuf, Option<i32>, String) {
    let dir = tempdir().unwrap();
    let file = dir.path().join(name);
    fs::write(&file, bytes).unwrap();
    let store = dir.path().join("s");
    fs::create_dir(&store).unwrap();
    let output = arrayfs().arg("import").arg(&file).arg(store.join("x")).args(options).output().unwrap();
    (dir, store, output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn mtx(words: &str, rest: &str) -> String {
    format!("%%MatrixMarket matrix {words}\n% made by hand\n{rest}")
}

#[test]
fn dense_matrices_come_whole_of_a_half() {
    let cases = [
        ("array real symmetric", "3 3\n1\n0\n0\n1\n0\n1\n", "float64 [3, 3] 1 0 0 0 1 0 0 0 1"),
        ("array integer symmetric", "3 3\n1\n2\n3\n4\n5\n6\n", "int64 [3, 3] 1 2 3 2 4 5 3 5 6"),
        ("array real skew-symmetric", "3 3\n1\n-2.5\n+3\n", "float64 [3, 3] 0 -1 2.5 1 0 -3 -2.5 3 0"),
        ("array real symmetric", "1 1\n7\n", "float64 [1, 1] 7"),
        ("array real skew-symmetric", "1 1\n", "float64 [1, 1] 0"),
        ("array integer general", "1 2\n0\n18446744073709551615\n", "uint64 [1, 2] 0 18446744073709551615"),
        ("array real general", "1 1\n1e+05\n", "float64 [1, 1] 100000"),
        ("array real general", "2 3\n1\n2\n3\n4\n5\n6\n", "float64 [2, 3] 1 3 5 2 4 6"),
    ];
    for (words, rest, wanted) in cases {
        let (_dir, store, code, said) = take("e.mtx", mtx(words, rest).as_bytes(), &[]);
        assert_eq!(code, Some(0), "{words}: {said}");
        assert_eq!(shown(&store.join("x")), wanted, "{words}");
    }
}

#[test]
fn what_is_no_matrix_is_refused_by_its_line() {
    let cases = [
        ("array real symmetric", "2 3\n1\n2\n3\n", "line 3: expected as many rows as columns"),
        ("coordinate real symmetric", "2 3 1\n2 1 1\n", "line 3: expected as many rows as columns"),
        ("array real general", "2 2\n1\n2\n3\n", "it ends after 3 values, before the last: was it cut?"),
        (
            "array real general",
            "2 2\n1\n2\n3\n4\n5\n",
            "line 8: expected no more lines than elements, found \"5\"",
        ),
        ("array real symmetric", "2 2\n1\n2\n3\n4\n", "line 7: expected no more lines"),
        ("array real general", "1 1\n1 2\n", "line 4: expected a number, found \"1 2\""),
        ("coordinate real general", "2 2 1\n1 1 1e400\n", "line 4: 1e400 would be inf in float64"),
        (
            "coordinate integer general",
            "2 2 2\n1 1 9223372036854775808\n2 2 -1\n",
            "line 4: 9223372036854775808 is beyond int64 (--dtype uint64 has it",
        ),
        (
            "coordinate integer skew-symmetric",
            "2 2 1\n2 1 9223372036854775808\n",
            "line 4: 9223372036854775808 is beyond int64 (--dtype uint64 has it",
        ),
        (
            "array integer general",
            "1 2\n-1\n18446744073709551615\n",
            "line 5: 18446744073709551615 is beyond int64 (--dtype uint64 has it",
        ),
        (
            "coordinate integer general",
            "2 2 2\n1 1 9223372036854775807\n1 1 1\n",
            "at row 1, column 1 come to more than int64 has",
        ),
    ];
    for (words, rest, why) in cases {
        let (_dir, store, code, said) = take("e.mtx", mtx(words, rest).as_bytes(), &[]);
        assert_eq!((code, names(&store).len()), (Some(1), 0), "{words}: {said}");
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn counts_that_are_written_as_real_are_integers() {
    let text = mtx("coordinate real general", "2 2 2\n1 1 2.0\n2 2 1e+05\n");
    let (_dir, store, code, said) = take("c.mtx", text.as_bytes(), &["--dtype", "int32"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read(store.join("x.data")).unwrap(), [2i32, 100_000].map(i32::to_le_bytes).concat());
    let text = mtx("coordinate integer general", "2 2 2\n1 1 3\n2 2 18446744073709551615\n");
    let (_dir, store, code, said) = take("c.mtx", text.as_bytes(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read(store.join("x.data")).unwrap(), [3, u64::MAX].map(u64::to_le_bytes).concat());
    let text = format!("\u{FEFF}{}", mtx("array real general", "1 1\n7\n"));
    let (_dir, store, code, said) = take("c.mtx", text.as_bytes(), &[]);
    assert_eq!((code, shown(&store.join("x"))), (Some(0), "float64 [1, 1] 7".into()), "{said}");
    let text = mtx("coordinate real general", "2 2 1\n1 1 2.5\n");
    let (_dir, _, code, said) = take("c.mtx", text.as_bytes(), &["--dtype", "int32"]);
    assert!(code == Some(1) && said.contains("line 4: 2.5 is no integer"), "{said}");
}

/// A `.npz` of these vectors, of float64, int32 and int64, and of text.
fn npz(members: &[(&str, &str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, descr, bytes) in members {
        let shape = match *descr {
            "|S3" => "()".into(),
            descr => format!("({},)", bytes.len() / usize::from(descr.as_bytes()[2] - b'0')),
        };
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let header = format!("{header:<117}\n");
        let data = [b"\x93NUMPY\x01\x00v\x00", header.as_bytes(), bytes].concat();
        let (name, offset) = (format!("{name}.npy"), u32::try_from(archive.len()).unwrap());
        let size = u32::try_from(data.len()).unwrap().to_le_bytes();
        let mut crc = 0xFFFF_FFFFu32;
        for byte in &data {
            crc = (0..8)
                .fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 });
        }
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let common =
            [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &(!crc).to_le_bytes(), &size, &size, &length, &[0, 0]]
                .concat();
        archive.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), &data].concat());
        directory.extend(
            [&b"PK\x01\x02\x14\x00"[..], &common, &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat(),
        );
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let [size, offset] = [directory.len(), archive.len()].map(|n| u32::try_from(n).unwrap().to_le_bytes());
    [&archive[..], &directory, b"PK\x05\x06\0\0\0\0", &count, &count, &size, &offset, &[0, 0]].concat()
}

fn floats(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn ints(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn longs(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The parts of the sparse matrix at `path`, its data as float64 and its indices as int32.
fn parts(path: &Path) -> (Vec<f64>, Vec<i32>, Vec<i32>) {
    let read = |suffix: &str| fs::read(path.with_extension(suffix)).unwrap();
    let ints = |bytes: Vec<u8>| bytes.as_chunks().0.iter().map(|item| i32::from_le_bytes(*item)).collect();
    let data = read("data").as_chunks().0.iter().map(|item| f64::from_le_bytes(*item)).collect();
    (data, ints(read("indices")), ints(read("indptr")))
}

#[test]
fn rows_out_of_order_are_sorted_and_what_stands_twice_is_added_up() {
    let csr = |indices: &[i32]| {
        npz(&[
            ("data", "<f8", floats(&[1.0, 2.0, 3.0])),
            ("indices", "<i4", ints(indices)),
            ("indptr", "<i4", ints(&[0, 3, 3])),
            ("shape", "<i8", longs(&[2, 4])),
            ("format", "|S3", b"csr".to_vec()),
        ])
    };
    let cases = [
        (&[3, 1, 0], vec![3.0, 2.0, 1.0], vec![0, 1, 3], "not in order"),
        (&[3, 1, 1], vec![5.0, 1.0], vec![1, 3], "1 element was added to another"),
        (&[2, 2, 2], vec![6.0], vec![2], "2 elements were added to others"),
        (&[0, 1, 3], vec![1.0, 2.0, 3.0], vec![0, 1, 3], "sparse float64 [2, 4], 3 elements stored"),
    ];
    for (indices, data, sorted, words) in cases {
        let (_dir, store, code, said) = take("u.npz", &csr(indices), &[]);
        assert!(code == Some(0) && said.contains(words), "{indices:?}: {said}");
        let nnz = i32::try_from(data.len()).unwrap();
        assert_eq!(parts(&store.join("x")), (data, sorted, vec![0, nnz, nnz]), "{indices:?}");
        assert!(run(["check".as_ref(), store.as_os_str()]).status.success(), "{indices:?}");
    }
    let (_dir, store, code, said) = take("u.npz", &csr(&[0, 1, 4]), &[]);
    assert!(code == Some(1) && said.contains("there is no column 4 of 4"), "{said}");
    assert!(names(&store).is_empty());
}

#[test]
fn three_vectors_without_a_format_are_a_matrix_if_they_fit() {
    let three = |indices: &[i32], indptr: &[i32], shape: Option<&[i64]>| {
        let mut members = vec![
            ("data", "<f8", floats(&[1.0, 2.0])),
            ("indices", "<i4", ints(indices)),
            ("indptr", "<i4", ints(indptr)),
        ];
        members.extend(shape.map(|shape| ("shape", "<i8", longs(shape))));
        npz(&members)
    };
    let cases = [
        (three(&[0, 1], &[0, 1, 2], Some(&[2, 2])), "1,0\n0,2\n", "taken as a matrix in rows (CSR)"),
        (three(&[0, 2], &[0, 1, 2], None), "1,0,0\n0,0,2\n", "as many columns as are in use"),
        (three(&[0, 2], &[0, 1, 2], Some(&[3, 2])), "1,0\n0,0\n0,2\n", "in columns (CSC)"),
    ];
    for (file, wanted, words) in cases {
        let (_dir, store, code, said) = take("o.npz", &file, &[]);
        assert!(code == Some(0) && said.contains(words), "{said}");
        let table = stdout(["cat".as_ref(), store.as_os_str(), "x/dense.npy".as_ref()]);
        let numbers: Vec<f64> = table[table.len() - wanted.matches([',', '\n']).count() * 8..]
            .as_chunks()
            .0
            .iter()
            .map(|item| f64::from_le_bytes(*item))
            .collect();
        let wanted: Vec<f64> = wanted.split([',', '\n']).filter_map(|number| number.parse().ok()).collect();
        assert_eq!(numbers, wanted);
    }
    let (_dir, _, code, said) = take("o.npz", &three(&[0, 1], &[0, 1, 2], Some(&[3, 3])), &[]);
    assert!(code == Some(1) && said.contains("scipy.sparse.save_npz"), "{said}");
    let (_dir, _, code, said) = take("o.npz", &three(&[0, 1], &[0, 2, 1], Some(&[2, 2])), &[]);
    assert!(code == Some(1) && said.contains("rising from 0 to 2"), "{said}");
}

#[test]
fn an_archive_may_be_packed() {
    let archive = npz(&[("ages", "<f8", [1.5f64, 2.0].map(f64::to_le_bytes).concat())]);
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&archive).unwrap();
    let packed = packed.finish().unwrap();
    let (_dir, store, code, said) = take("a.npz.gz", &packed, &[]);
    assert_eq!((code, shown(&store.join("x"))), (Some(0), "float64 [2] 1.5 2".into()), "{said}");
    assert_eq!(names(&store), ["x.array", "x.yaml"]);
    let (_dir, store, code, said) = take("a.npz.gz", &packed[..packed.len() - 9], &[]);
    assert!(code == Some(1) && said.contains("it ends too early: was it cut?"), "{said}");
    assert!(names(&store).is_empty());
    let (_dir, _, code, said) = take("a.npz.xz", b"\xFD7zXZ\0 no more", &[]);
    assert!(code == Some(1) && said.lines().count() == 1, "{said}");
}
