//! A mount by root that other users may access: they get the permissions that the store gives them, and no
//! more.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::{Mount, Sparse, all_files, wait_until, write_dense};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::{XattrFlags, setxattr};
use tempfile::{TempDir, tempdir};

const MODES: [&[&str]; 2] = [&["--allow-other"], &["--allow-other", "--no-passthrough"]];
const NOBODY: u32 = 65534;

/// Every kind of file that an array has, by the ways that lead to it.
const FORMATS: [&str; 16] = [
    "array",
    "array.npy",
    "array.csv",
    "array.npz",
    "array.h5ad",
    "array.parquet",
    "meta.yaml",
    "README.md",
    "rows/1",
    "rows/1.npy",
    "cols/2",
    "by-name/rows/one",
    "by-name/cols/b.csv",
    "slices/1:/array",
    "slices/::2/array.tif",
    "array.zarr/zarr.json",
];

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        crate::common::say_skipped("another user than the one who mounts needs root");
    }
    is_root
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// What a user who is nobody can read.
fn nobody_reads(path: &Path) -> Option<Vec<u8>> {
    let output = Command::new("cat").arg(path).uid(NOBODY).gid(NOBODY).output().unwrap();
    output.status.success().then_some(output.stdout)
}

fn nobody_lists(path: &Path) -> bool {
    Command::new("ls").arg(path).uid(NOBODY).gid(NOBODY).output().unwrap().status.success()
}

/// A store with an array in a directory, that anybody may read.
fn open_store() -> TempDir {
    let store = tempdir().unwrap();
    set_mode(store.path(), 0o755);
    fs::create_dir(store.path().join("sub")).unwrap();
    write_dense(&store.path().join("sub/x"), "int32", &[3, 3]);
    fs::write(store.path().join("sub/x.rows.txt"), "zero\none\ntwo\n").unwrap();
    fs::write(store.path().join("sub/x.cols.txt"), "a\nb\nc\n").unwrap();
    store
}

/// An access control list under which `who` may not do anything, and all others may read.
fn deny(path: &Path, who: u32) {
    let entry = |tag: u16, mode: u16, id: u32| {
        [&tag.to_le_bytes()[..], &mode.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let any = u32::MAX;
    let entries =
        [entry(1, 7, any), entry(2, 0, who), entry(4, 5, any), entry(0x10, 5, any), entry(0x20, 5, any)];
    let list = [&2u32.to_le_bytes()[..], &entries.concat()].concat();
    setxattr(path, "system.posix_acl_access", &list, XattrFlags::empty())
        .expect("access control lists in TMPDIR");
}

/// What nobody reads of all views: twice, for the first time root has not read it and then it has.
fn read_as_nobody(store: &TempDir, options: &[&str]) -> Vec<(&'static str, bool)> {
    let mount = Mount::with(store.path(), options);
    let read = |view: &str| nobody_reads(&mount.join("sub/x").join(view));
    let direct = |view: &str| nobody_reads(&mount.join(".arrayfs/tree/sub/x").join(view));
    let before = FORMATS.map(|view| read(view).or_else(|| direct(view)).is_some());
    let all = FORMATS.map(|view| mount.read(Path::new("sub/x").join(view)));
    let found = FORMATS.iter().zip(all).zip(before).map(|((view, bytes), before)| {
        let now = read(view).or_else(|| direct(view));
        assert!(now.as_ref().is_none_or(|read| *read == bytes), "{view}");
        (*view, before || now.is_some())
    });
    found.collect()
}

fn allowed(store: &TempDir, options: &[&str]) -> Vec<&'static str> {
    read_as_nobody(store, options)
        .into_iter()
        .filter_map(|(view, is_allowed)| is_allowed.then_some(view))
        .collect()
}

#[test]
fn others_read_what_the_store_lets_them_read() {
    if !is_root() {
        return;
    }
    for options in MODES {
        assert_eq!(allowed(&open_store(), options), FORMATS, "{options:?}");
    }
}

// Promise: A user who may not read a file of the store cannot read it through the mount: in no format, on no path, whoever read it before.
#[test]
fn others_read_nothing_of_what_the_store_keeps_from_them() {
    if !is_root() {
        return;
    }
    type Close<'c> = &'c dyn Fn(&Path);
    let closed: [(&str, Close<'_>); 6] = [
        ("a closed file", &|store| set_mode(&store.join("sub/x.array"), 0o600)),
        ("a file of another group", &|store| set_mode(&store.join("sub/x.array"), 0o640)),
        ("a closed directory", &|store| set_mode(&store.join("sub"), 0o700)),
        ("a closed store", &|store| set_mode(store, 0o700)),
        ("a file that a list keeps from nobody", &|store| deny(&store.join("sub/x.array"), NOBODY)),
        ("a directory that a list keeps from nobody", &|store| deny(&store.join("sub"), NOBODY)),
    ];
    for (what, close) in closed {
        for options in MODES {
            let store = open_store();
            close(store.path());
            assert!(nobody_reads(&store.path().join("sub/x.array")).is_none(), "{what}: the store itself");
            let found = allowed(&store, options);
            // What tells of metadata alone is as open as the metadata are.
            let of_metadata = ["meta.yaml", "README.md"];
            let found: Vec<_> = found.iter().filter(|view| !of_metadata.contains(view)).collect();
            assert!(found.is_empty(), "{what}, {options:?}: {found:?}");
        }
    }
}

/// A store below two directories, with an array in each place that links can lead past.
fn store_of_ways() -> TempDir {
    let dir = tempdir().unwrap();
    set_mode(dir.path(), 0o755);
    let path = |name: &str| dir.path().join("above/between/store").join(name);
    for directory in ["direct", "far/deep/d", "files", "middle", "names", "plain"] {
        fs::create_dir_all(path(directory)).unwrap();
    }
    let link = |name: &str, target: &str| symlink(target, path(name)).unwrap();
    for name in ["direct/x", "files/secret", "far/deep/d/x", "named"] {
        write_dense(&path(name), "int32", &[3, 3]);
    }
    for suffix in ["yaml", "array"] {
        link(&format!("linked.{suffix}"), &format!("files/secret.{suffix}"));
        // By way of another link, which is in a directory of its own.
        link(&format!("twice.{suffix}"), &format!("middle/hop.{suffix}"));
        link(&format!("middle/hop.{suffix}"), &format!("../direct/x.{suffix}"));
    }
    link("directory", "far/deep/d");
    fs::write(path("names/rows"), "zero\none\ntwo\n").unwrap();
    link("named.rows.txt", "names/rows");
    fs::write(path("plain/notes"), "notes").unwrap();
    link("notes", "plain/notes");
    dir
}

// Promise: When permissions are taken away, from a file or from any directory on any path to it, above the store and behind links too, the file is closed to others within a second.
#[test]
fn what_is_closed_after_it_was_read_is_shut() {
    if !is_root() {
        return;
    }
    let whole = ["array", "array.npy", "rows/1", "cols/2.csv", "slices/1:/array", "array.zarr/zarr.json"];
    let named = ["by-name/rows/one", "by-name/rows/two.csv"];
    let views = |name: &str, views: &[&str]| -> Vec<String> {
        views.iter().map(|view| format!("{name}/{view}")).collect()
    };
    let all = [views("direct/x", &whole), views("linked", &whole), views("directory/x", &whole)].concat();
    // What is closed, in the order of the store's directories, and what is shut by that.
    let cases: [(&str, Vec<String>); 12] = [
        ("above", all.clone()),
        ("above/between", all.clone()),
        ("above/between/store", all),
        ("above/between/store/direct", [views("direct/x", &whole), views("twice", &whole)].concat()),
        ("above/between/store/direct/x.array", [views("direct/x", &whole), views("twice", &whole)].concat()),
        ("above/between/store/files", views("linked", &whole)),
        ("above/between/store/middle", views("twice", &whole)),
        ("above/between/store/far", views("directory/x", &whole)),
        ("above/between/store/far/deep", views("directory/x", &whole)),
        ("above/between/store/far/deep/d", views("directory/x", &whole)),
        ("above/between/store/names", views("named", &named)),
        ("above/between/store/plain", vec!["notes".to_owned()]),
    ];
    std::thread::scope(|scope| {
        for options in MODES {
            scope.spawn(|| cases.iter().for_each(|(closed, files)| close_and_open(options, closed, files)));
        }
    });
}

/// Closes something of a store that is mounted, and looks whether nobody can read these files then.
fn close_and_open(options: &[&str], closed: &str, files: &[String]) {
    let dir = store_of_ways();
    let mount = Mount::with(&dir.path().join("above/between/store"), options);
    let path = dir.path().join(closed);
    let ways = |file: &String| {
        let ways = [mount.join(file), mount.join(".arrayfs/tree").join(file)];
        ways.into_iter().take(if options.len() == 1 { 2 } else { 1 })
    };
    let are_readable =
        |wanted: bool| files.iter().flat_map(ways).all(|path| nobody_reads(&path).is_some() == wanted);
    assert!(are_readable(true), "{closed} is open");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    set_mode(&path, 0o700);
    // Twice the promised time, for the system's own.
    std::thread::sleep(Duration::from_secs(2));
    let open: Vec<_> = files.iter().flat_map(ways).filter(|path| nobody_reads(path).is_some()).collect();
    assert!(open.is_empty(), "{closed} is closed, {options:?}: {open:#?}");
    set_mode(&path, mode);
    wait_until("all is open again", || are_readable(true));
}

/// Those of the files that a user who is nobody can read.
#[cfg(feature = "verify")]
fn readable_by_nobody(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    const READ: &str =
        r#"for file; do head -c 1 "$file" >/dev/null 2>&1 && printf '%s\n' "$file"; done; true"#;
    let output =
        Command::new("sh").args(["-c", READ, "sh"]).args(files).uid(NOBODY).gid(NOBODY).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).collect()
}

// Promise: A user who may not read a file of the store cannot read it through the mount: in no format, on no path, whoever read it before.
#[test]
#[cfg(feature = "verify")]
fn no_file_of_any_format_shows_what_the_store_keeps() {
    if !is_root() {
        return;
    }
    const SECRET: &str = "known-to-few";
    let names: String = (0..60).map(|row| format!("{SECRET}-{row}\n")).collect();
    for options in MODES {
        for (is_sparse, closed) in
            [(false, "array"), (false, "rows.txt"), (true, "data"), (true, "indptr"), (true, "rows.txt")]
        {
            let store = tempdir().unwrap();
            set_mode(store.path(), 0o755);
            let path = store.path().join("x");
            match is_sparse {
                true => Sparse::example(60, 50).write(&path),
                false => drop(write_dense(&path, "float32", &[60, 50])),
            }
            fs::write(path.with_extension("rows.txt"), &names).unwrap();
            fs::write(
                path.with_extension("cols.txt"),
                (0..50).map(|j| format!("g{j}\n")).collect::<String>(),
            )
            .unwrap();
            set_mode(&path.with_extension(closed), 0o600);
            let mount = Mount::with(store.path(), options);
            let files = all_files(&mount, store.path(), "x");
            let readable = readable_by_nobody(&files);
            for file in &files {
                let bytes = fs::read(file).unwrap();
                let shows_names = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
                let is_open = readable.contains(file);
                assert!(!(closed == "rows.txt" && shows_names && is_open), "{}: {closed}", file.display());
                let of_metadata = ["meta.yaml", "README.md"].iter().any(|name| file.ends_with(name));
                // Of a sparse matrix each part has rights of its own.
                let is_other_part = is_sparse && !file.to_string_lossy().contains(closed);
                if closed != "rows.txt" && is_open && !of_metadata && !is_other_part {
                    panic!("{}: {closed} is closed", file.display());
                }
            }
            let listed = Command::new("ls")
                .arg(mount.join("x/by-name/rows"))
                .uid(NOBODY)
                .gid(NOBODY)
                .output()
                .unwrap();
            assert!(
                closed != "rows.txt" || !String::from_utf8_lossy(&listed.stdout).contains(SECRET),
                "{listed:?}"
            );
            if closed == "rows.txt" {
                let raw = mount.join(if is_sparse { "x/data" } else { "x/array" });
                assert!(nobody_reads(&raw).is_some(), "{}", raw.display());
            }
            // Whatever is made of all parts is as closed as the most closed of them.
            for whole in ["x/matrix.npz", "x/dense.csv", "x/matrix.h5ad"] {
                assert!(
                    !is_sparse
                        || nobody_reads(&mount.join(whole)).is_none()
                        || closed == "rows.txt" && whole.ends_with("npz"),
                    "{whole}"
                );
            }
        }
    }
}

#[test]
fn what_cannot_be_listed_in_the_store_cannot_be_listed_in_the_mount() {
    if !is_root() {
        return;
    }
    for options in MODES {
        let store = open_store();
        set_mode(&store.path().join("sub"), 0o711);
        let mount = Mount::with(store.path(), options);
        assert!(nobody_lists(mount.path()) && !nobody_lists(&mount.join("sub")));
        assert!(nobody_reads(&mount.join("sub/x/rows/1")).is_some(), "who knows the name may pass");
        assert!(!nobody_lists(&mount.join(".arrayfs")));
        assert!(nobody_reads(&mount.join(".arrayfs/errors.yaml")).is_none());
    }
}

// Promise: The threads that serve can read the store and nothing else, where the kernel has Landlock; `.arrayfs/mount.yaml` says whether it has.
#[test]
fn the_threads_that_serve_are_confined() {
    for options in [&[][..], &["--no-passthrough"]] {
        let store = open_store();
        let mount = Mount::with(store.path(), options);
        assert_eq!(mount.read("sub/x/rows/1").len(), 12);
        let told = String::from_utf8(mount.read(".arrayfs/mount.yaml")).unwrap();
        if !told.contains("sandbox: true\n") {
            assert!(told.contains("sandbox: false\nsandbox_why: "), "{told}");
            crate::common::say_skipped("this kernel has no Landlock to hold threads by");
            return;
        }
        // Who is held by Landlock has given up new privileges first.
        let threads = fs::read_dir(format!("/proc/{}/task", mount.server())).unwrap().map(Result::unwrap);
        let told = |thread: &Path, file: &str| fs::read_to_string(thread.join(file)).unwrap_or_default();
        let serving: Vec<_> = threads
            .map(|thread| thread.path())
            .filter(|thread| told(thread, "comm").starts_with("fuser-"))
            .map(|thread| told(&thread, "status").contains("NoNewPrivs:\t1"))
            .collect();
        assert!(serving.len() >= 8 && serving.iter().all(|is_confined| *is_confined), "{serving:?}");
    }
}

// Promise: The user who mounts can read `.arrayfs` even when the store is closed to them, or gone.
#[test]
fn the_reports_are_readable_when_the_store_is_gone() {
    let bottom = tempdir().unwrap();
    fs::create_dir(bottom.path().join("inside")).unwrap();
    fs::write(bottom.path().join("inside/plain"), "plain").unwrap();
    for options in [&[][..], &["--no-passthrough"]] {
        let below = Mount::with(bottom.path(), options);
        let mount = Mount::with(&below.join("inside"), options);
        assert_eq!(mount.read("plain"), b"plain");
        // From here on whatever is asked about the store is an error.
        kill(Pid::from_raw(below.server().cast_signed()), Signal::SIGKILL).unwrap();
        wait_until("the store is gone", || fs::metadata(below.join("inside")).is_err());
        wait_until("what was there is not found", || fs::read(mount.join("plain")).is_err());
        let faults = mount.faults();
        assert!(faults["."].contains("not connected"), "{faults:?}");
        assert!(mount.read(".arrayfs/mount.yaml").starts_with(b"passthrough: "));
        assert_eq!(mount.list(".arrayfs"), ["errors.yaml", "mount.yaml", "warnings.yaml"]);
    }
}
