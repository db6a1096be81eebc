//! `arrayfs verify`: it accepts intact arrays, and reports each broken file exactly once.
#![cfg(feature = "verify")]

use std::path::Path;
use std::process::Output;

use crate::common::{Sparse, real_stores, run, write_dense, write_files};
use arrayfs::dtype::FIXED_DTYPES;
use tempfile::tempdir;

fn verify(store: &Path, array: &[&str]) -> (Output, Vec<String>) {
    let args =
        ["verify".as_ref(), store.as_os_str()].into_iter().chain(array.iter().map(|name| name.as_ref()));
    let output = run(args);
    let lines = String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect();
    (output, lines)
}

#[test]
fn a_sound_store_has_no_faults() {
    let dir = tempdir().unwrap();
    for dtype in FIXED_DTYPES {
        write_dense(&dir.path().join(format!("matrix {dtype}")), dtype.name(), &[11, 7]);
        write_dense(&dir.path().join(format!("vector {dtype}")), dtype.name(), &[13]);
    }
    Sparse::example(40, 30).write(&dir.path().join("sparse"));
    Sparse { shape: [3, 4], data: vec![], indices: vec![], indptr: vec![0; 4] }
        .write(&dir.path().join("empty"));
    let twice = Sparse { shape: [1, 3], data: vec![5, 6, 7], indices: vec![2, 0, 2], indptr: vec![0, 3] };
    twice.write(&dir.path().join("twice"));
    let (output, lines) = verify(dir.path(), &[]);
    assert_eq!((output.status.code(), lines), (Some(0), vec![]), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("of 27 arrays verified, 0 faults"),
        "{output:?}"
    );
}

#[test]
fn real_stores_have_no_faults() {
    for store in real_stores() {
        let (output, lines) = verify(&store, &[]);
        assert_eq!((output.status.code(), lines), (Some(0), vec![]), "{output:?}");
    }
}

#[test]
fn what_is_broken_is_named() {
    let dir = tempdir().unwrap();
    let mut sparse = Sparse::example(40, 30);
    sparse.write(&dir.path().join("sound"));
    sparse.indices[5] = 30;
    sparse.write(&dir.path().join("outside"));
    sparse.indptr[7] = 1;
    sparse.write(&dir.path().join("falling"));
    write_files(
        &dir.path().join("short"),
        "dtype: int8\nshape: [4]\nversion: [1, 0]\n",
        &[("array", b"123")],
    );
    let (output, lines) = verify(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for array in ["outside", "falling", "short"] {
        assert!(lines.iter().any(|line| line.starts_with(array)), "{array}: {lines:?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("sound")), "{lines:?}");
    let (output, lines) = verify(dir.path(), &["sound"]);
    assert_eq!((output.status.code(), lines), (Some(0), vec![]), "{output:?}");
    let (output, lines) = verify(dir.path(), &["short"]);
    assert_eq!((output.status.code(), lines.len()), (Some(1), 1), "{output:?}");
    let (output, _) = verify(dir.path(), &["missing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing: no such array"), "{output:?}");
}
