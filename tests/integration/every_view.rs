//! A source that is truncated or replaced while files computed from it are open: every file of every format.
#![cfg(feature = "verify")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::common::{Mount, Sparse, all_files, names, wait_until, write_dense};
use tempfile::tempdir;

fn drain(mut file: &File) -> (Vec<u8>, io::Result<usize>) {
    let mut bytes = Vec::new();
    let end = file.read_to_end(&mut bytes);
    (bytes, end)
}

/// All files of the array `x`, and what is in them, by a mount of its own: what the kernel knows of it, it does not know
/// of others.
fn contents(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mount = Mount::with(store, &["--no-passthrough"]);
    let files = all_files(&mount, store, "x");
    let name = |path: &Path| path.strip_prefix(mount.path()).unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// Cuts a file of the store by so many bytes under a mount, and holds what is then read through files that are open
/// against what was there. Returns how many of the files end in an error, and how many are whole.
fn cut(write: &dyn Fn(&Path), suffix: &str, by: u64) -> (usize, usize) {
    let store = tempdir().unwrap();
    write(&store.path().join("x"));
    let whole = contents(store.path());
    let mount = Mount::with(store.path(), &["--no-passthrough"]);
    let open: Vec<_> = whole.keys().map(|path| (path, File::open(mount.join(path)).unwrap())).collect();
    let source = File::options().write(true).open(store.path().join(format!("x.{suffix}"))).unwrap();
    source.set_len(source.metadata().unwrap().len() - by).unwrap();
    let (mut failed, mut same) = (0, 0);
    for (path, file) in &open {
        let (bytes, end) = drain(file);
        assert!(whole[*path].starts_with(&bytes), "{}: wrong bytes, {suffix} cut by {by}", path.display());
        match end {
            Ok(_) => {
                assert!(bytes == whole[*path], "{}: short, {suffix} cut by {by}", path.display());
                same += 1;
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EIO), "{}", path.display());
                failed += 1;
            }
        }
    }
    assert_eq!(mount.faults().keys().collect::<Vec<_>>(), ["x"]);
    wait_until("it is left out", || mount.list("") == [""; 0]);
    (failed, same)
}

// Promise: A read within a file returns the right bytes or fails with `EIO`: never other bytes, never zeros in place of bytes, never fewer bytes than there are.
#[test]
fn every_file_of_every_format_gives_the_right_bytes_or_an_error() {
    let dense = |path: &Path| drop(write_dense(path, "float32", &[90, 70]));
    let sparse = |path: &Path| Sparse::example(60, 50).write(path);
    let vector = |path: &Path| drop(write_dense(path, "int16", &[5000]));
    // All, a page or more, less than a page, a byte.
    for by in [90 * 70 * 4, 8192, 100, 1] {
        let (failed, same) = cut(&dense, "array", by);
        assert!(failed > 40 && same > 5, "{failed} failed, {same} are whole");
    }
    for by in [10_000, 4000, 3] {
        let (failed, same) = cut(&vector, "array", by);
        assert!(failed > 20 && same > 0, "{failed} failed, {same} are whole");
    }
    for suffix in ["data", "indices", "indptr"] {
        for by in [60, 1] {
            let (failed, same) = cut(&sparse, suffix, by);
            assert!(failed > 40 && same > 5, "{suffix}: {failed} failed, {same} are whole");
        }
    }
}

/// Puts an array in the place of another of its shape, and holds what is then read through files that are open, and
/// through those opened anew, against the two.
fn replace(write: &dyn Fn(&Path, bool), options: &[&str]) {
    let (store, aside) = (tempdir().unwrap(), tempdir().unwrap());
    write(&store.path().join("x"), false);
    write(&aside.path().join("x"), true);
    let (old, new) = (contents(store.path()), contents(aside.path()));
    let mount = Mount::with(store.path(), options);
    let open: Vec<_> = old.keys().map(|path| (path, File::open(mount.join(path)).unwrap())).collect();
    for file in names(aside.path()).iter().filter(|file| !file.ends_with(".yaml")) {
        fs::rename(aside.path().join(file), store.path().join(file)).unwrap();
    }
    for (path, file) in &open {
        let (bytes, end) = drain(file);
        match end {
            Ok(_) => assert!(bytes == old[*path], "{}: not the version that was opened", path.display()),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EIO), "{}", path.display());
                assert!(old[*path].starts_with(&bytes), "{}: wrong bytes", path.display());
            }
        }
    }
    for (path, whole) in &new {
        wait_until("the new version is there", || {
            fs::read(mount.join(path)).is_ok_and(|bytes| bytes == *whole)
        });
    }
    assert_eq!(mount.faults().len(), 0);
}

// Promise: An open file keeps the version of its array that it was opened in, whatever replaces the array.
#[test]
fn every_file_of_every_format_shows_one_version() {
    let dense = |path: &Path, is_new: bool| {
        let bytes = write_dense(path, "float32", &[90, 70]);
        if is_new {
            fs::write(path.with_extension("array"), bytes.iter().rev().copied().collect::<Vec<_>>()).unwrap();
        }
    };
    let sparse = |path: &Path, is_new: bool| {
        let mut sparse = Sparse::example(60, 50);
        if is_new {
            sparse.data.reverse();
            // As many of each row, elsewhere.
            for pair in
                sparse.indptr.windows(2).map(|pair| [pair[0], pair[1]].map(|at| usize::try_from(at).unwrap()))
            {
                (0..).zip(&mut sparse.indices[pair[0]..pair[1]]).for_each(|(column, index)| *index = column);
            }
        }
        sparse.write(path);
    };
    for options in [&[][..], &["--no-passthrough"]] {
        replace(&dense, options);
        replace(&sparse, options);
    }
}
