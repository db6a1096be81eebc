//! Imports of files that NumPy, SciPy and pandas wrote: every number is the same.
#![cfg(feature = "import")]

mod hostile;
mod matrices;
mod tables;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::common::{arrayfs, names, python, run, wait_until, write_dense};
use serde_yaml::Value;
use tempfile::tempdir;

fn import(file: &Path, path: &Path, options: &[String]) -> Output {
    arrayfs().arg("import").arg(file).arg(path).args(options).output().unwrap()
}

fn yaml(path: &Path) -> HashMap<String, Value> {
    serde_yaml::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The ends of the names of files that are imported here.
const ENDS: [&str; 14] = [
    "npy", "npz", "mtx", "csv", "tsv", "txt", "mtx.gz", "csv.gz", "txt.gz", "csv.bz2", "tsv.xz", "csv.zst",
    "npy.gz", "txt.bz2",
];

#[test]
fn what_other_programs_wrote_becomes_the_same_numbers() {
    let dir = tempdir().unwrap();
    python("write_imports.py", &[dir.path()]);
    let options: HashMap<String, Vec<String>> =
        serde_json::from_slice(&fs::read(dir.path().join("options.json")).unwrap()).unwrap();
    let (files, expected, store) =
        (dir.path().join("files"), dir.path().join("expected"), dir.path().join("store"));
    fs::create_dir(&store).unwrap();
    let mut count = 0;
    for file in names(&files) {
        let name = ENDS.iter().find_map(|end| file.strip_suffix(end)?.strip_suffix('.')).unwrap();
        let none = Vec::new();
        let output = import(&files.join(&file), &store.join(name), options.get(&file).unwrap_or(&none));
        assert!(output.status.success(), "{file}: {output:?}");
        let (facts, wanted) =
            (yaml(&store.join(format!("{name}.yaml"))), yaml(&expected.join(format!("{name}.yaml"))));
        for (key, value) in wanted {
            assert_eq!(facts.get(&key), Some(&value), "{file}: {key}");
        }
        count += 1;
    }
    assert_eq!(names(&store), names(&expected));
    for file in names(&expected).iter().filter(|file| !file.ends_with(".yaml")) {
        assert!(fs::read(store.join(file)).unwrap() == fs::read(expected.join(file)).unwrap(), "{file}");
    }
    assert!(count > 100, "{count} files");
    let check = run(["check".as_ref(), store.as_os_str()]);
    assert!(check.status.success(), "{check:?}");
}

/// A store with an array `x`, and a file of that name and text.
fn with_file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempdir().unwrap();
    let (file, path) = (dir.path().join(name), dir.path().join("x"));
    fs::write(&file, bytes).unwrap();
    write_dense(&path, "int8", &[3]);
    (dir, file, path)
}

#[test]
fn what_is_no_array_is_refused_by_name_and_leaves_the_old_one() {
    let banner = "%%MatrixMarket matrix coordinate real general\n";
    let npy = |header: &str| {
        let text = format!("{header:<117}\n");
        [b"\x93NUMPY\x01\x00v\x00", text.as_bytes(), &[0; 64]].concat()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a.dat", b"1 2".to_vec(), "must end with one of .npy"),
        ("a.csv", b"".to_vec(), "empty"),
        ("a.csv", b"a,b\n".to_vec(), "names and no numbers"),
        ("a.csv", b"1,2\n3\n".to_vec(), "line 2: expected 2 cells, as in line 1, found 1"),
        ("a.csv", b"1,2\n3,x\n".to_vec(), "line 2, column 2: expected a number, found \"x\""),
        ("a.csv", b",a\nx,true\ny,2\n".to_vec(), "line 3, column 2"),
        ("a.mtx", b"1 1 1\n".to_vec(), "line 1: expected %%MatrixMarket"),
        (
            "a.mtx",
            b"%%MatrixMarket matrix coordinate complex general\n1 1 0\n".to_vec(),
            "line 1: expected real",
        ),
        ("a.mtx", format!("{banner}2 2 1\n").into_bytes(), "it ends after 0 of 1 elements: was it cut?"),
        ("a.mtx", format!("{banner}2 2 1\n3 1 1.5\n").into_bytes(), "line 3: expected a row and a column"),
        ("a.mtx", format!("{banner}2 2 1\n0 1 1.5\n").into_bytes(), "line 3: expected a row and a column"),
        ("a.mtx", format!("{banner}2 2 1\n1 1 x\n").into_bytes(), "line 3: expected a number, found \"x\""),
        ("a.mtx", format!("{banner}2 2 1\n1 1 1\n1 2 1\n").into_bytes(), "line 4: expected no more"),
        (
            "a.mtx",
            format!("{banner}2 2 99999999999999999\n1 1 1\n").into_bytes(),
            "it ends after 1 of 99999999999999999 elements",
        ),
        ("a.mtx", format!("{banner}0 2 0\n").into_bytes(), "shape"),
        ("a.npy", b"no array".to_vec(), "does not begin"),
        ("a.npy", b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF".to_vec(), "a header of 4294967295 bytes"),
        ("a.npy", npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }"), "the type <c8"),
        ("a.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"), "the type |O"),
        ("a.npy", npy("{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }"), "the type <U3"),
        ("a.npy", npy("{'descr': '|i1', 'fortran_order': False, 'shape': (2,2,2), }"), "shape"),
        ("a.npy", npy("{'descr': '|i1', 'fortran_order': False, 'shape': (), }"), "shape"),
        ("a.npy", npy("{'descr': '|i1', 'fortran_order': False, 'shape': (0, 5), }"), "shape"),
        (
            "a.npy",
            npy("{'descr': '<i8', 'fortran_order': False, 'shape': (9, 9), }"),
            "ends after 192 of 776",
        ),
        ("a.npy", npy("{'descr': '<i8', 'fortran_order': True, 'shape': (9, 9), }"), "ends after 192 of 776"),
        ("a.npz", b"no archive".to_vec(), "a.npz"),
    ];
    for (name, bytes, why) in cases {
        let (dir, file, path) = with_file(name, &bytes);
        let before = names(dir.path());
        let output = import(&file, &path, &["--force".into()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name} {why}: {output:?}");
        assert!(said.contains(why) && said.contains(name) && said.lines().count() == 1, "{why}: {said}");
        assert_eq!(names(dir.path()), before, "{name} {why}");
        assert_eq!(fs::read(path.with_extension("array")).unwrap().len(), 3);
    }
}

#[test]
fn an_array_of_another_kind_goes_and_names_come() {
    let (dir, file, path) =
        with_file("a.mtx", b"%%MatrixMarket matrix coordinate integer general\n2 2 1\n2 1 7\n");
    assert!(import(&file, &path, &["--force".into()]).status.success());
    assert_eq!(names(dir.path()), ["a.mtx", "x.data", "x.indices", "x.indptr", "x.yaml"]);
    let table = dir.path().join("b.csv");
    fs::write(&table, ",g\u{e9}ne,b\nc1,1,2\nc2,3,4\n").unwrap();
    let options = ["--dtype".into(), "float32".into(), "--force".into()];
    assert!(import(&table, &path, &options).status.success());
    assert_eq!(names(dir.path()), ["a.mtx", "b.csv", "x.array", "x.cols.txt", "x.rows.txt", "x.yaml"]);
    let column =
        crate::common::stdout(["cat".as_ref(), dir.path().as_os_str(), "x/by-name/cols/g\u{e9}ne".as_ref()]);
    assert_eq!(column, [1f32, 3.0].map(f32::to_le_bytes).concat());
    // What was imported is given back.
    let text = crate::common::stdout(["cat".as_ref(), dir.path().as_os_str(), "x/array.csv".as_ref()]);
    let again = dir.path().join("again.csv");
    fs::write(&again, text).unwrap();
    assert!(import(&again, &dir.path().join("y"), &["--dtype".into(), "float32".into()]).status.success());
    for suffix in ["array", "rows.txt", "cols.txt"] {
        let bytes = |name: &str| fs::read(dir.path().join(format!("{name}.{suffix}"))).unwrap();
        assert_eq!(bytes("x"), bytes("y"), "{suffix}");
    }
}

#[test]
fn one_that_is_killed_leaves_nothing_that_the_next_does_not_clear() {
    let dir = tempdir().unwrap();
    let source = dir.path().join("large.npy");
    let header = format!("{:<117}\n", "{'descr': '|i1', 'fortran_order': False, 'shape': (4000000000,), }");
    fs::write(&source, [b"\x93NUMPY\x01\x00v\x00", header.as_bytes()].concat()).unwrap();
    fs::File::options().write(true).open(&source).unwrap().set_len(4_000_000_128).unwrap();
    let store = dir.path().join("store");
    fs::create_dir(&store).unwrap();
    let mut importer = arrayfs().arg("import").arg(&source).arg(store.join("x")).spawn().unwrap();
    wait_until("it writes", || !names(&store).is_empty());
    importer.kill().unwrap();
    importer.wait().unwrap();
    let (_other, file, _) = with_file("a.csv", b"1\n2\n");
    assert!(import(&file, &store.join("x"), &[]).status.success());
    assert_eq!(names(&store), ["x.array", "x.yaml"]);
}

#[test]
fn an_array_goes_into_a_directory_by_the_name_of_its_file() {
    let (dir, file, _) = with_file("t.csv.gz", b"1,2\n3,4\n");
    let store = dir.path().join("s");
    fs::create_dir(&store).unwrap();
    for path in [store.join(""), store.clone()] {
        assert!(import(&file, &path, &["--force".into()]).status.success());
        assert_eq!(names(&store), ["t.array", "t.yaml"]);
    }
    let output = import(&file, &dir.path().join("none/"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no such directory"));
    let output = import(&dir.path().join("s"), &dir.path().join("y"), &["--format".into(), "csv".into()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("it is a directory"), "{output:?}");
}
