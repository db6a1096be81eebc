//! The command line as a process: exit codes, standard output and standard error, and no leftover files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::{
    Mount, Sparse, arrayfs, names, run, stdout, wait_until, within, write_dense, write_files, write_hole,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::{TempDir, tempdir};

const COMMANDS: [&str; 9] = ["mount", "unmount", "ls", "info", "cat", "create", "remove", "check", "demo"];

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn os<'a>(args: &[&'a dyn AsRef<OsStr>]) -> Vec<&'a OsStr> {
    args.iter().map(|arg| (*arg).as_ref()).collect()
}

/// A run that fails: words on standard error, nothing on standard output, and this exit code.
fn fails(args: &[&dyn AsRef<OsStr>], code: i32) -> String {
    let output = run(os(args));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(code), ""), "{output:?}");
    assert!(!output.stderr.is_empty(), "it says why");
    let said = text(&output.stderr).to_owned();
    assert!(code != 1 || said.starts_with("arrayfs: ") && said.lines().count() == 1, "{said}");
    assert!(!said.contains('\x1b'), "colour is for terminals: {said}");
    said
}

/// A run that succeeds and has nothing to say but data.
fn succeeds(args: &[&dyn AsRef<OsStr>]) -> Vec<u8> {
    let output = run(os(args));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{output:?}");
    output.stdout
}

/// A store with an array of each kind, a sub-directory and a plain file.
fn store() -> TempDir {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("m"), "int16", &[12, 3]);
    write_dense(&store.path().join("v"), "float64", &[7]);
    fs::create_dir(store.path().join("sub")).unwrap();
    Sparse::example(6, 9).write(&store.path().join("sub/s"));
    fs::write(store.path().join("notes.txt"), "plain\n").unwrap();
    store
}

#[test]
fn help_is_data_and_has_examples() {
    let commands = COMMANDS.into_iter().chain(cfg!(feature = "verify").then_some("verify"));
    for command in commands.clone() {
        let help = succeeds(&[&command, &"--help"]);
        assert!(text(&help).contains("Example") && text(&help).contains("Usage: arrayfs"), "{}", text(&help));
        assert!(text(&help).contains(&format!("arrayfs {command} ")), "{command}: {}", text(&help));
    }
    let help = succeeds(&[&"--help"]);
    assert!(text(&help).contains("Examples:"));
    assert!(commands.into_iter().all(|command| text(&help).contains(command)));
    assert_eq!(text(&succeeds(&[&"--version"])), format!("arrayfs {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_usage_is_two() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("x");
    let create = |more: &[&'static str]| {
        let mut args: Vec<&OsStr> = vec!["create".as_ref(), path.as_os_str()];
        args.extend(more.iter().map(OsStr::new));
        let output = run(args);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{more:?}: {output:?}");
    };
    fails(&[], 2);
    fails(&[&"frobnicate"], 2);
    fails(&[&"ls"], 2);
    fails(&[&"ls", &dir.path(), &"more"], 2);
    fails(&[&"ls", &dir.path(), &"--frobnicate"], 2);
    fails(&[&"cat", &dir.path()], 2);
    fails(&[&"mount", &dir.path()], 2);
    for threads in ["many", "0", "257", "100000", "-1"] {
        fails(&[&"mount", &dir.path(), &dir.path(), &format!("--threads={threads}")], 2);
    }
    assert!(fails(&[&"mount", &dir.path(), &dir.path(), &"--threads=100000"], 2).contains("1..=256"));
    create(&[]);
    create(&["--shape", "3"]);
    create(&["--dtype", "int8"]);
    create(&["--shape", "3", "--dtype", "complex64"]);
    create(&["--shape", "three", "--dtype", "int8"]);
    create(&["--shape", "-3", "--dtype", "int8"]);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn ls_is_a_table() {
    let store = store();
    let table = succeeds(&[&"ls", &store.path()]);
    let cells: Vec<Vec<&str>> = text(&table)
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let nnz = Sparse::example(6, 9).data.len();
    let (nnz, bytes) = (nnz.to_string(), (nnz * 8 + 7 * 8).to_string());
    assert_eq!(
        cells,
        [
            vec!["name", "kind", "dtype", "shape", "nnz", "bytes"],
            vec!["m", "dense", "int16", "[12, 3]", "-", "72"],
            vec!["v", "dense", "float64", "[7]", "-", "56"],
            vec!["sub/s", "sparse", "int32", "[6, 9]", &nnz, &bytes],
        ]
    );
    // What is broken is said beside the table.
    fs::write(store.path().join("m.array"), "short").unwrap();
    let output = run(os(&[&"ls", &store.path()]));
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stderr).contains("m.array") && !text(&output.stdout).contains("int16"),
        "{output:?}"
    );
    assert!(fails(&[&"ls", &store.path().join("missing")], 1).contains("missing"));
    assert!(fails(&[&"ls", &store.path().join("notes.txt")], 1).contains("notes.txt"));
    assert_eq!(
        text(&succeeds(&[&"ls", &tempdir().unwrap().path()])).lines().count(),
        1,
        "an empty store is a store"
    );
}

#[test]
fn info_tells_all_about_an_array() {
    let store = store();
    for (name, kind, shape) in
        [("m", "dense", "[12, 3]"), ("v", "dense", "[7]"), ("sub/s", "sparse", "[6, 9]")]
    {
        let yaml = succeeds(&[&"info", &store.path().join(name)]);
        let facts: serde_yaml::Value = serde_yaml::from_slice(&yaml).unwrap();
        assert_eq!(facts["kind"].as_str(), Some(kind));
        assert_eq!(facts["shape"], serde_yaml::from_str::<serde_yaml::Value>(shape).unwrap());
    }
    let here = arrayfs().args(["info", "m"]).current_dir(store.path()).output().unwrap();
    assert!(here.status.success() && text(&here.stdout).contains("int16"), "{here:?}");
    for name in ["missing", "notes.txt", "sub", "m.yaml", "sub/missing", "gone/m"] {
        assert!(
            fails(&[&"info", &store.path().join(name)], 1).contains(name.rsplit('/').next().unwrap())
                || name == "gone/m"
        );
    }
    fs::write(store.path().join("m.array"), "short").unwrap();
    assert!(fails(&[&"info", &store.path().join("m")], 1).contains("72 bytes"));
}

// Promise: `arrayfs cat` writes the same bytes that the mount shows.
#[test]
fn cat_gives_what_a_mount_gives() {
    let store = store();
    let mount = Mount::new(store.path());
    let files = [
        "m/array",
        "m/array.npy",
        "m/rows/3",
        "m/rows/-1.csv",
        "m/cols/2",
        "m/cols/2.npy",
        "m/slices/2:9/array",
        "m/meta.yaml",
        "m/slices/::2/slices/1:/rows/0.npy",
        "v/array",
        "v/slices/3:/array.npy",
        "sub/s/dense",
        "sub/s/rows/3/data",
        "sub/s/slices/2:/indptr",
        "sub/s/dense.npy",
        "notes.txt",
        ".arrayfs/errors.yaml",
        "/m/array",
        "./m/array",
        "m//array",
    ];
    for file in files {
        assert_eq!(
            succeeds(&[&"cat", &store.path(), &file]),
            mount.read(file.trim_start_matches('/')),
            "{file}"
        );
    }
    for folder in ["", ".", "m", "m/rows", "m/slices/2:3", "sub", "sub/s/rows/3", ".arrayfs"] {
        let said = fails(&[&"cat", &store.path(), &folder], if folder.is_empty() { 2 } else { 1 });
        assert!(folder.is_empty() || said.contains("a folder"), "{said}");
    }
    for missing in [
        "missing",
        "m/rows/12",
        "m/missing",
        "m/array/more",
        "../etc/passwd",
        "m/array/../array",
        "m/slices/5:5/array",
        "m.yaml",
    ] {
        let said = fails(&[&"cat", &store.path(), &missing], 1);
        assert!(said.contains(missing), "{said}");
    }
    for outside in ["..", "../x", "m/../../x", "m/slices/2:3/../../../../m/array"] {
        let said = fails(&[&"cat", &store.path(), &outside], 1);
        assert!(said.contains("cannot lead out of it"), "{said}");
    }
    fails(&[&"cat", &store.path().join("missing"), &"m/array"], 1);
}

#[test]
fn cat_into_a_pipe_that_closes_ends_in_peace() {
    let store = tempdir().unwrap();
    write_hole(&store.path().join("big"), "float64", &[1_000_000, 1000]);
    for file in ["big/array", "big/slices/::2/array", "big/cols/5"] {
        let mut child = arrayfs()
            .arg("cat")
            .arg(store.path())
            .arg(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [1; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = within(60, "cat with nobody who reads", move || child.wait_with_output().unwrap());
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{file}");
        assert_eq!(first, [0; 10]);
    }
    let full = arrayfs()
        .arg("cat")
        .arg(store.path())
        .arg("big/array")
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    assert!(text(&full.stderr).contains("No space left"), "{full:?}");
}

#[test]
fn cat_of_what_cannot_be_read_fails() {
    let store = tempdir().unwrap();
    let mut sparse = Sparse::example(6, 9);
    sparse.indices[0] = 99;
    sparse.write(&store.path().join("s"));
    write_files(
        &store.path().join("short"),
        "{version: [1, 0], dtype: int8, shape: [9]}",
        &[("array", b"short")],
    );
    assert!(fails(&[&"cat", &store.path(), &"s/dense"], 1).contains("s.indices"));
    fails(&[&"cat", &store.path(), &"short/array"], 1);
}

#[test]
fn create_makes_zeros_and_remove_takes_them_away() {
    let store = tempdir().unwrap();
    let path = |name: &str| store.path().join(name);
    assert_eq!(succeeds(&[&"create", &path("a"), &"--shape", &"10,20", &"--dtype", &"float32"]), b"");
    assert_eq!(names(store.path()), ["a.array", "a.yaml"]);
    assert_eq!(fs::read(path("a.array")).unwrap(), vec![0; 800]);
    succeeds(&[&"create", &path("b c"), &"--shape", &"7", &"--dtype", &"bool"]);
    succeeds(&[&"create", &path("huge"), &"--shape", &"1000000,25000", &"--dtype", &"float32"]);
    assert_eq!(fs::metadata(path("huge.array")).unwrap().len(), 100_000_000_000);
    assert_eq!(stdout(os(&[&"cat", &store.path(), &"a/rows/09.txt"])).len(), "0.0 ".len() * 20);
    // One kind takes the place of the other.
    Sparse::example(6, 9).write(&path("s"));
    succeeds(&[&"create", &path("s"), &"--shape", &"3,4", &"--dtype", &"int8", &"--force"]);
    assert_eq!(
        names(store.path()).into_iter().filter(|name| name.starts_with('s')).collect::<Vec<_>>(),
        ["s.array", "s.yaml"]
    );

    Sparse::example(6, 9).write(&path("sparse"));
    for name in ["a", "b c", "huge", "s", "sparse"] {
        assert_eq!(succeeds(&[&"remove", &path(name)]), b"", "{name}");
    }
    assert_eq!(names(store.path()), [""; 0]);
    for name in ["a", "sparse", "missing/a"] {
        fails(&[&"remove", &path(name)], 1);
    }
    for (shape, dtype) in [
        ("0", "int8"),
        ("3,0", "int8"),
        ("1,2,3", "int8"),
        ("9223372036854775807,9", "int8"),
        ("4611686018427387904", "float64"),
    ] {
        fails(&[&"create", &path("x"), &"--shape", &shape, &"--dtype", &dtype], 1);
    }
    fails(&[&"create", &path("missing/x"), &"--shape", &"3", &"--dtype", &"int8"], 1);
    fs::write(path("file"), "x").unwrap();
    fails(&[&"create", &path("file/x"), &"--shape", &"3", &"--dtype", &"int8"], 1);
    fails(&[&"remove", &path("file")], 1);
    assert_eq!(names(store.path()), ["file"], "nothing half-made is left");
}

#[test]
fn check_is_one_if_any_array_is_broken() {
    let store = store();
    let good = run(os(&[&"check", &store.path()]));
    assert_eq!((good.status.code(), text(&good.stdout)), (Some(0), ""), "{good:?}");
    assert!(text(&good.stderr).contains("3 arrays"), "{good:?}");
    fs::write(store.path().join("v.array"), "short").unwrap();
    let bad = run(os(&[&"check", &store.path()]));
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert_eq!(text(&bad.stdout).lines().count(), 1, "{bad:?}");
    assert!(text(&bad.stdout).starts_with("v: v.array: size"), "{bad:?}");
    fails(&[&"check", &store.path().join("missing")], 1);
}

#[test]
fn mount_and_unmount_say_nothing_when_all_is_well() {
    let store = store();
    let mountpoint = tempdir().unwrap();
    assert_eq!(succeeds(&[&"mount", &store.path(), &mountpoint.path()]), b"");
    assert_eq!(names(mountpoint.path()), ["m", "notes.txt", "sub", "v"]);
    let again = run(os(&[&"mount", &store.path(), &mountpoint.path()]));
    assert_eq!(succeeds(&[&"unmount", &mountpoint.path()]), b"");
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(fails(&[&"unmount", &mountpoint.path()], 1).contains("no arrayfs"));
    assert!(fails(&[&"unmount", &Path::new("/proc")], 1).contains("of another kind"));
    fails(&[&"unmount", &mountpoint.path().join("missing")], 1);

    // Relative paths, and names that begin with a dash.
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("-store")).unwrap();
    fs::create_dir(dir.path().join("-m")).unwrap();
    write_dense(&dir.path().join("-store/m"), "int8", &[3]);
    let here = |args: &[&str]| arrayfs().args(args).current_dir(dir.path()).output().unwrap();
    let mounted = here(&["mount", "--", "-store", "-m"]);
    let read = fs::read(dir.path().join("-m/m/array"));
    let unmounted = here(&["unmount", "--", "-m"]);
    assert!(mounted.status.success() && unmounted.status.success(), "{mounted:?} {unmounted:?}");
    assert_eq!(read.unwrap().len(), 3);
}

#[test]
fn a_mount_in_the_foreground_ends_well_when_it_is_told_to() {
    let store = store();
    let mountpoint = tempdir().unwrap();
    let mut child = arrayfs()
        .args(["mount", "--foreground"])
        .arg(store.path())
        .arg(mountpoint.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains(mountpoint.path().to_str().unwrap()), "{line}");
    assert_eq!(fs::read(mountpoint.path().join("notes.txt")).unwrap(), b"plain\n");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let output = within(30, "a server that was told to end", move || child.wait_with_output().unwrap());
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{output:?}");
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "an end that was asked for needs no words");
    assert_eq!(names(mountpoint.path()), [""; 0]);
}

/// A demo whose temporary files are in a directory of its own, and that directory.
fn demo(command: &mut Command) -> (Output, TempDir) {
    let scratch = tempdir().unwrap();
    command.env("TMPDIR", scratch.path()).stdin(Stdio::null());
    let output = command.output().unwrap();
    (output, scratch)
}

#[test]
fn demo_shows_a_mount_and_cleans_up() {
    let (output, scratch) = demo(arrayfs().arg("demo"));
    let shown = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{output:?}");
    for line in ["$ ls", "the same bytes", "temperature/", "friends/", "arrayfs mount STORE MOUNTPOINT"] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert_eq!(names(scratch.path()), [""; 0], "something is left behind");
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(scratch.path().to_str().unwrap()));

    let own = tempdir().unwrap();
    let (output, _scratch) = demo(arrayfs().arg("demo").arg(own.path()));
    assert!(
        output.status.success() && text(&output.stdout).contains(own.path().to_str().unwrap()),
        "{output:?}"
    );
    assert_eq!(names(own.path()), [""; 0], "a directory that was there stays");
    let (output, _scratch) = demo(arrayfs().arg("demo").arg(own.path().join("new")));
    assert!(output.status.success() && names(own.path()).is_empty(), "one that was not goes: {output:?}");
}

#[test]
fn demo_shows_the_same_tree_where_there_is_no_fuse() {
    // In a mount namespace of its own the device is another.
    let script = "mount --bind /dev/null /dev/fuse && exec \"$0\" demo";
    let mut unshare = Command::new("unshare");
    let probe = Command::new("unshare").args(["-m", "sh", "-c", "mount --bind /dev/null /dev/fuse"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        crate::common::say_skipped("FUSE cannot be taken away here");
        return;
    }
    let (output, scratch) = demo(unshare.args(["-m", "sh", "-c", script]).arg(env!("CARGO_BIN_EXE_arrayfs")));
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let all = [text(&output.stderr), shown].concat();
    assert_eq!(all.lines().filter(|line| line.contains("annot mount")).count(), 1, "{all}");
    for line in ["temperature/", "friends/", "notes.txt", "rows", "16.25"] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert_eq!(names(scratch.path()), [""; 0], "something is left behind");
}

#[test]
fn demo_cleans_up_when_it_is_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scratch = tempdir().unwrap();
        // It is held up by a reader who does not read, in the middle of the show.
        let mut child = arrayfs()
            .arg("demo")
            .env("TMPDIR", scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the demo has begun", || !names(scratch.path()).is_empty());
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let status = within(30, "an interrupted demo", move || {
            drop(child.stdout.take());
            child.wait().unwrap()
        });
        let known = [Some(0), Some(128 + signal as i32)];
        assert!(known.contains(&status.code()), "{status}");
        assert_eq!(names(scratch.path()), [""; 0], "something is left behind after {signal}");
    }
}

#[test]
fn cat_and_info_say_why_an_array_is_not_there() {
    let store = tempdir().unwrap();
    write_files(&store.path().join("x"), "dtype: int8\nshape: [3]\nversion: [1, 0]\n", &[("array", b"four")]);
    let reason = "arrayfs: x.array: size: expected 3 bytes, found 4 bytes\n";
    let array = store.path().join("x");
    let outputs = [
        run([OsStr::new("cat"), store.path().as_os_str(), OsStr::new("x/rows/0")]),
        run([OsStr::new("info"), array.as_os_str()]),
    ];
    for output in outputs {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(1), reason));
    }
}
