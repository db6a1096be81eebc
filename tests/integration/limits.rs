//! The limits that the README names.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;

use crate::common::{Mount, names, wait_until, write_dense, write_files, write_hole};
use tempfile::tempdir;

/// Whether the kernel reads whole raw files by itself, and the tree has links.
fn is_passthrough(mount: &Mount) -> bool {
    mount.read(".arrayfs/mount.yaml").starts_with(b"passthrough: true")
}

/// A mount as whoever runs the test gets it, and one as without root.
fn mounts(store: &Path) -> [Mount; 2] {
    [Mount::new(store), Mount::with(store, &["--no-passthrough"])]
}

// Promise: The only exception is raw files as root, which the kernel reads by itself: a truncated file ends early, and a file that grew shows what was added.
#[test]
fn a_truncated_source_is_an_error_but_in_raw_files_that_the_kernel_reads() {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("x"), "int32", &[128, 128]);
    for mount in mounts(store.path()) {
        let open = |path: &str| File::open(mount.join(path)).unwrap();
        let (raw, others) = (open("x/array"), ["x/array.npy", "x/array.csv", "x/rows/127"].map(open));
        let source = File::options().write(true).open(store.path().join("x.array")).unwrap();
        source.set_len(32_768).unwrap();
        let read = |mut file: &File| {
            let mut content = Vec::new();
            file.read_to_end(&mut content).map(|_| content).map_err(|error| error.raw_os_error().unwrap())
        };
        match is_passthrough(&mount) {
            true => assert_eq!(read(&raw), Ok(bytes[..32_768].to_vec())),
            false => assert_eq!(read(&raw), Err(libc::EIO)),
        }
        others.iter().for_each(|file| assert_eq!(read(file), Err(libc::EIO)));
        fs::write(store.path().join("x.array"), &bytes).unwrap();
    }
}

#[test]
fn a_plain_umount_is_busy_where_another_mount_is_inside() {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("x"), "int8", &[3, 2]);
    let mount = Mount::new(store.path());
    if !is_passthrough(&mount) {
        crate::common::say_skipped("only root has a mount inside the mount");
        return;
    }
    let umount = |args: &[&str]| Command::new("umount").args(args).arg(mount.path()).output().unwrap();
    let busy = umount(&[]);
    assert!(!busy.status.success() && String::from_utf8_lossy(&busy.stderr).contains("busy"), "{busy:?}");
    assert_eq!(mount.read("x/array").len(), 6);
    let gone = umount(&["-R"]);
    assert!(gone.status.success() && names(mount.path()).is_empty(), "{gone:?}");
}

#[test]
fn a_copy_of_an_arrays_folder_has_links_in_place_of_rows_where_the_tree_has_them() {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("x"), "int8", &[300, 2]);
    for mount in mounts(store.path()) {
        let copy = tempdir().unwrap();
        let done = Command::new("cp").arg("-r").arg(mount.join("x")).arg(copy.path()).status().unwrap();
        assert!(done.success());
        assert_eq!(names(&copy.path().join("x")), mount.list("x"));
        let rows = copy.path().join("x/rows");
        match is_passthrough(&mount) {
            true => assert!(fs::read_link(&rows).is_ok() && !rows.exists(), "the link leads nowhere"),
            false => assert_eq!(names(&rows).len(), 300),
        }
        assert_eq!(mount.list("x/rows/").len(), 300);
    }
}

#[test]
fn a_format_that_cannot_hold_an_array_is_left_out() {
    let store = tempdir().unwrap();
    write_hole(&store.path().join("large"), "uint8", &[1 << 16, 1 << 15]);
    write_dense(&store.path().join("half"), "float16", &[3, 2]);
    write_dense(&store.path().join("single"), "float32", &[3, 2]);
    let mount = Mount::new(store.path());
    for path in ["large/array.mat", "half/array.nrrd", "half/array.nhdr", "half/array.envi"] {
        assert_eq!(fs::metadata(mount.join(path)).unwrap_err().raw_os_error(), Some(libc::ENOENT), "{path}");
    }
    for path in ["large/array.nrrd", "half/array.mat", "single/array.nrrd", "single/array.envi/array.hdr"] {
        assert!(fs::metadata(mount.join(path)).unwrap().len() > 0, "{path}");
    }
}

// Promise: A program whose working directory is the folder of a replaced array keeps the old array, or gets `ESTALE` for whole files as root.
#[test]
fn a_program_in_the_folder_of_a_replaced_array_never_gets_a_mix() {
    for options in [&[][..], &["--no-passthrough"]] {
        replace_under_a_program(options);
    }
}

fn replace_under_a_program(options: &[&str]) {
    let store = tempdir().unwrap();
    let old = write_dense(&store.path().join("x"), "int16", &[4, 3]);
    let mount = Mount::with(store.path(), options);
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
    wait_until("the new rows are seen", || {
        fs::read(mount.join("x/rows/1")).is_ok_and(|row| row == new[12..24])
    });
    std::io::Write::write_all(inside.stdin.as_mut().unwrap(), b"go\n").unwrap();
    let output = inside.wait_with_output().unwrap();
    let is_stale = String::from_utf8_lossy(&output.stderr).contains("Stale file handle");
    assert_eq!(is_stale, is_passthrough(&mount), "{output:?}");
    // Links lead to what is in the folder's place by now.
    let expected = if is_stale { [&new[12..36], &[]] } else { [&old[6..18], &old] };
    assert_eq!(output.stdout, expected.concat(), "{output:?}");
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

// Promise: Another file system that is mounted in the store is broken.
#[test]
fn another_file_system_in_the_store_is_left_out_and_named() {
    if !nix::unistd::geteuid().is_root() {
        crate::common::say_skipped("only root can mount another file system into a store");
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
    assert_eq!(names(mount.path()), ["x"]);
    assert!(
        mount.errors().contains("\"inner\": \"inner: another file system is mounted there\""),
        "{}",
        mount.errors()
    );
    assert_eq!(mount.read("x/array").len(), 3);
}

#[test]
fn eight_readers_seek_in_a_listing_of_a_million_rows() {
    const ROWS: usize = 1_000_000;
    let store = tempdir().unwrap();
    write_hole(&store.path().join("x"), "uint8", &[ROWS as u64, 4]);
    for mount in mounts(store.path()) {
        let path = mount.join("x/rows");
        let open = || {
            let directory = File::open(&path).unwrap();
            rustix::fs::Dir::read_from(&directory).unwrap()
        };
        // Each entry, and where the one after it begins.
        let entries: Vec<_> = open()
            .map(|entry| entry.map(|entry| (entry.file_name().to_owned(), entry.offset())).unwrap())
            .collect();
        assert_eq!(entries.len(), ROWS + 2);
        std::thread::scope(|scope| {
            for reader in 0..8 {
                let (entries, mut directory) = (&entries, open());
                scope.spawn(move || {
                    for jump in 0..200 {
                        let at = (jump * 7_919_773 + reader * 104_729) % (ROWS + 1);
                        directory.seek(entries[at].1).unwrap();
                        let next = directory.read().unwrap().unwrap();
                        assert_eq!(
                            next.file_name(),
                            entries[at + 1].0.as_c_str(),
                            "after {:?}",
                            entries[at].0
                        );
                    }
                    directory.rewind();
                    let first = directory.read().unwrap().unwrap();
                    assert_eq!(first.file_name(), entries[0].0.as_c_str());
                });
            }
        });
        let memory = fs::read_to_string(format!("/proc/{}/status", mount.server())).unwrap();
        let own = memory
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:")?.strip_suffix("kB")?.trim().parse().ok());
        assert!(own.is_some_and(|kib: u64| kib < 64 << 10), "{own:?} KiB");
    }
}

/// Files below a folder, but of numbered folders only the first.
fn listed_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    // Chunks are numbered too.
    let is_numbered = ["rows", "cols", "slices", "c"].iter().any(|name| folder.ends_with(name));
    let names = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for name in names.take(if is_numbered { 1 } else { usize::MAX }) {
        let path = name.unwrap().path();
        let kind = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if kind.is_dir() { listed_files(&path, found) } else { found.push(path) }
    }
}

// Promise: Every listed file can be opened: formats that cannot hold an array of that shape are left out.
#[test]
fn what_is_listed_of_extreme_arrays_can_be_read_from_end_to_end() {
    use std::os::unix::fs::FileExt;
    // Where a file may have a hole of any size.
    let store = tempfile::tempdir_in("/dev/shm").or_else(|_| tempdir()).unwrap();
    let large = 1u64 << 62;
    for (name, shape, bounds) in
        [("wide", [1, large], 2), ("tall", [large, 1], large + 1), ("few", [1, 1], 2)]
    {
        let yaml = format!(
            "{{version: [1, 0], data_dtype: float32, indices_dtype: int8, indptr_dtype: int8, nnz: 0, shape: {shape:?}}}"
        );
        write_files(&store.path().join(name), &yaml, &[("data", b""), ("indices", b""), ("indptr", b"")]);
        let indptr = File::options().write(true).open(store.path().join(format!("{name}.indptr"))).unwrap();
        if let Err(error) = indptr.set_len(bounds) {
            crate::common::say_skipped(&format!("there is no room for a hole of {bounds} bytes: {error}"));
            fs::remove_file(store.path().join(format!("{name}.yaml"))).unwrap();
        }
    }
    let holes = || {
        write_hole(&store.path().join("row"), "uint8", &[1, 1 << 44]);
        write_hole(&store.path().join("column"), "float64", &[1 << 44, 1]);
        write_hole(&store.path().join("vector"), "bool", &[1 << 50]);
    };
    if std::panic::catch_unwind(holes).is_err() {
        crate::common::say_skipped("there is no room for holes of so many bytes");
    }
    let path = store.path().to_owned();
    crate::common::within(120, "reading extreme arrays", move || {
        let mount = Mount::with(&path, &["--no-passthrough"]);
        assert!(mount.list("").len() > 2);
        for array in mount.list("") {
            let mut files = Vec::new();
            listed_files(&mount.join(&array), &mut files);
            assert!(files.len() > 3, "{array}: {files:?}");
            for path in files {
                let (file, size) = (File::open(&path).unwrap(), path.metadata().unwrap().len());
                // They have checksums at the end, or the start too, for which all is read.
                let kind = path.extension().filter(|_| size > 1 << 20);
                let places = match kind.and_then(|kind| kind.to_str()) {
                    Some("gz") => [0, size / 2],
                    Some("npz") => [size / 2, size / 2],
                    _ => [0, size.saturating_sub(1)],
                };
                for at in places {
                    let mut byte = [0; 1];
                    let read = file
                        .read_at(&mut byte, at)
                        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    assert_eq!(read as u64, size.min(1), "{}", path.display());
                }
            }
        }
        assert_eq!(mount.faults().len(), 0, "{:?}", mount.faults());
        let names = mount.list("wide");
        assert!(names.contains(&"matrix.npz".into()) && !names.contains(&"matrix.h5ad".into()), "{names:?}");
    });
}
