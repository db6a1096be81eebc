//! The limits that the README names.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use common::{Mount, names, wait_until, write_dense, write_files};
use tempfile::tempdir;

#[test]
fn text_is_there_for_rows_of_up_to_2_to_the_20_columns() {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("wide"), "uint8", &[2, 1 << 20]);
    write_dense(&store.path().join("wider"), "uint8", &[2, (1 << 20) + 1]);
    let mount = Mount::new(store.path());
    let text = mount.read("wide/rows/1.csv");
    assert_eq!(text.iter().filter(|byte| **byte == b',').count(), (1 << 20) - 1);
    assert_eq!(fs::metadata(mount.join("wide/rows/1.csv")).unwrap().len(), text.len() as u64);
    assert_eq!(mount.read_error("wider/rows/1.csv"), libc::ENOENT);
    assert_eq!(mount.read("wider/rows/1").len(), (1 << 20) + 1);
}

#[test]
fn a_program_in_the_folder_of_a_replaced_array_goes_on_with_the_old_one() {
    let store = tempdir().unwrap();
    let old = write_dense(&store.path().join("x"), "int16", &[4, 3]);
    let mount = Mount::new(store.path());
    let script = "cat rows/1 >&2; echo ready; read go; cat rows/1 rows/2; cat array";
    let mut inside = Command::new("sh");
    inside.args(["-c", script]).current_dir(mount.join("x"));
    inside
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut inside = inside.spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(inside.stdout.as_mut().unwrap(), &mut ready).unwrap();
    fs::remove_file(store.path().join("x.array")).unwrap();
    let new = write_dense(&store.path().join("x"), "int32", &[4, 3]);
    std::io::Write::write_all(inside.stdin.as_mut().unwrap(), b"go\n").unwrap();
    let output = inside.wait_with_output().unwrap();
    assert_eq!(output.stdout, old[6..18], "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Stale file handle"), "{output:?}");
    wait_until("the new array is seen", || fs::read(mount.join("x/array")).is_ok_and(|bytes| bytes == new));
}

/// A file system mounted in a store; taken away when it goes.
struct Inner(std::path::PathBuf);

impl Inner {
    fn new(path: &Path) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(path).status().unwrap();
        assert!(status.success(), "cannot mount a tmpfs, which this test needs");
        Self(path.to_owned())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn another_file_system_in_the_store_is_left_out_and_named() {
    if !nix::unistd::geteuid().is_root() {
        common::say_skipped("only root can mount another file system into a store");
        return;
    }
    let store = tempdir().unwrap();
    let inner = store.path().join("inner");
    fs::create_dir(&inner).unwrap();
    write_dense(&store.path().join("x"), "int8", &[3]);
    let _inner = Inner::new(&inner);
    File::create(inner.join("file")).unwrap();
    write_files(&inner.join("y"), "dtype: int8\nshape: [1]\nversion: [1, 0]\n", &[("array", b"1")]);
    let mount = Mount::new(store.path());
    assert_eq!(names(mount.path()), [".arrayfs", "x"]);
    assert!(
        mount.errors().contains("\"inner\": \"inner: another file system is mounted there\""),
        "{}",
        mount.errors()
    );
    assert_eq!(mount.read("x/array").len(), 3);
}
