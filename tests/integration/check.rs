//! `arrayfs check` as a process: its output for real files, the order of the output, and the exit code.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use crate::common::{
    Sparse, arrayfs, run, say_skipped, wait_until, within, write_dense, write_files, write_hole,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::tempdir;

fn check(store: &Path, options: &[&str]) -> Output {
    arrayfs().arg("check").args(options).arg(store).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Writes an array of numbers that are given as they lie in the file.
fn write_values(store: &Path, name: &str, dtype: &str, count: usize, bytes: &[u8]) {
    let yaml = format!("{{version: [1, 0], dtype: {dtype}, shape: [{count}]}}");
    write_files(&store.join(name), &yaml, &[("array", bytes)]);
}

#[test]
fn every_fault_of_every_array_is_one_line_in_the_order_of_paths() {
    let store = tempdir().unwrap();
    let path = |name: &str| store.path().join(name);
    fs::create_dir_all(path("b/below")).unwrap();
    let sound = || Sparse::example(50, 40);
    let nnz = sound().data.len();
    type Change = fn(&mut Sparse);
    let cases: [(&str, Change, &str); 7] = [
        ("a", |s| s.indptr[0] = 1, "a.indptr: first and last: expected 0 and NNZ, found 1 first"),
        (
            "b/ends",
            |s| s.indptr[50] -= 1,
            "b/ends.indptr: first and last: expected 0 and NNZ, found LAST last",
        ),
        (
            "b/falls",
            |s| s.indptr[7] = 2,
            "b/falls.indptr: order: expected numbers that do not fall, found 2 at 7 after",
        ),
        (
            "b/below/beyond",
            |s| s.indptr[7] = 9999,
            "b/below/beyond.indptr: range: expected numbers up to NNZ, found 9999 at 7",
        ),
        (
            "b/below/negative",
            |s| s.indptr[7] = -2,
            "b/below/negative.indptr: range: expected numbers up to NNZ, found -2 at 7",
        ),
        (
            "c-column",
            |s| s.indices[4] = 40,
            "c-column.indices: range: expected columns 0 to 39, found 40 in row 0",
        ),
        (
            "c-negative",
            |s| *s.indices.last_mut().unwrap() = -1,
            "c-negative.indices: range: expected columns 0 to 39, found -1 in row 49",
        ),
    ];
    for (name, change, _) in &cases {
        let mut matrix = sound();
        change(&mut matrix);
        matrix.write(&path(name));
        sound().write(&path(&format!("{name}-sound")));
    }
    write_files(&path("b/size"), "{version: [1, 0], dtype: int8, shape: [3]}", &[("array", b"four")]);
    write_dense(&path("z"), "float64", &[100, 100]);
    let mut expected: Vec<(&str, String)> = cases
        .iter()
        .map(|(name, _, line)| {
            (*name, line.replace("NNZ", &nnz.to_string()).replace("LAST", &(nnz - 1).to_string()))
        })
        .collect();
    expected.push(("b/size", "b/size.array: size: expected 3 bytes, found 4 bytes".to_owned()));
    expected.sort_by(|a, b| Path::new(a.0).cmp(Path::new(b.0)));

    let first = check(store.path(), &["--jobs", "1"]);
    let said = text(&first.stdout).to_owned();
    assert_eq!(said.lines().count(), expected.len(), "{said}");
    for (line, (name, wanted)) in said.lines().zip(&expected) {
        assert!(line.starts_with(&format!("{name}: {wanted}")), "{line} is not of {wanted}");
    }
    assert_eq!(first.status.code(), Some(1));
    assert_eq!(text(&first.stderr), "16 arrays verified, 8 broken\n");
    for jobs in ["1", "2", "3", "16", "64"].repeat(3) {
        let again = check(store.path(), &["--jobs", jobs]);
        assert_eq!((again.status.code(), text(&again.stdout)), (Some(1), said.as_str()), "{jobs} jobs");
    }
    assert_eq!(check(store.path(), &["--jobs", "0"]).status.code(), Some(2));
    assert_eq!(check(store.path(), &["--jobs", "-1"]).status.code(), Some(2));
}

#[test]
fn what_is_no_finite_number_is_counted_and_no_fault() {
    let store = tempdir().unwrap();
    // Of each: NaN twice, infinite three times, and numbers at the edges; often enough for several threads.
    let half: [u16; 8] = [0x7E00, 0xFC01, 0x7C00, 0xFC00, 0x7C00, 0x7BFF, 0, 0x8001];
    let single =
        [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::MAX, -0.0, 1e-45];
    let double = single.map(f64::from);
    let times = 700_000;
    let halves: Vec<u8> = half.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let singles: Vec<u8> = single.iter().flat_map(|number| number.to_le_bytes()).collect();
    let doubles: Vec<u8> = double.iter().flat_map(|number| number.to_le_bytes()).collect();
    for (name, dtype, bytes) in [
        ("h", "float16", &halves),
        ("s", "float32", &singles),
        ("d", "float64", &doubles),
        ("i", "int32", &singles),
    ] {
        write_values(store.path(), name, dtype, 8 * times, &bytes.repeat(times));
    }
    let sparse = "{version: [1, 0], data_dtype: float32, indices_dtype: uint8, indptr_dtype: int8, shape: [1, 9], nnz: 8}";
    let files: [(&str, &[u8]); 3] =
        [("data", &singles), ("indices", &[0, 1, 2, 3, 4, 5, 6, 8]), ("indptr", &[0, 8])];
    write_files(&store.path().join("m"), sparse, &files);

    let plain = check(store.path(), &[]);
    assert_eq!((plain.status.code(), text(&plain.stdout)), (Some(0), ""));
    let many = format!("{} NaN, {} infinite", 2 * times, 3 * times);
    let expected = format!("d: {many}\nh: {many}\nm: 2 NaN, 3 infinite\ns: {many}\n");
    for jobs in ["1", "4"] {
        let output = check(store.path(), &["--values", "--jobs", jobs]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), expected.as_str()));
    }
}

/// Starts `check` and waits until it has the file open: then it is reading.
fn start_check(store: &Path, file: &Path) -> Child {
    let child = arrayfs()
        .args(["check", "--jobs", "2"])
        .arg(store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let descriptors = format!("/proc/{}/fd", child.id());
    let is_open = || {
        let entries = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target == file)
    };
    wait_until("check reads the file", is_open);
    child
}

fn wait(child: Child) -> Output {
    within(60, "check", move || child.wait_with_output().unwrap())
}

#[test]
fn a_truncation_meanwhile_is_a_fault_that_is_named() {
    let store = tempdir().unwrap();
    let mut met = 0;
    for round in 0..5u64 {
        // A hole of 8 GiB: nobody reads it to the end in the time that it takes to cut it off.
        write_hole(&store.path().join("x"), "int8", &[8 << 30]);
        write_dense(&store.path().join("y"), "int16", &[1000, 1000]);
        let path = store.path().join("x.array").canonicalize().unwrap();
        let child = start_check(store.path(), &path);
        std::thread::sleep(Duration::from_millis(2 * round));
        File::options().write(true).open(&path).unwrap().set_len(12_345).unwrap();
        let output = wait(child);
        assert!([Some(0), Some(1)].contains(&output.status.code()), "{output:?}");
        if output.status.code() == Some(1) {
            met += 1;
            let line = "x: x.array: truncated: expected 8589934592 bytes, found 12345\n";
            assert_eq!(text(&output.stdout), line);
            assert_eq!(text(&output.stderr), "2 arrays verified, 1 broken\n");
        }
    }
    assert!(met > 0, "it was never cut off in time");
}

#[test]
fn an_interrupted_check_says_so_in_whole_lines() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let store = tempdir().unwrap();
        let mut broken = Sparse::example(20, 20);
        broken.indices[0] = 99;
        broken.write(&store.path().join("a"));
        // Larger than can be read before the signal comes.
        write_hole(&store.path().join("x"), "int8", &[1 << 42]);
        let child = start_check(store.path(), &store.path().join("x.array").canonicalize().unwrap());
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let output = wait(child);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let said = text(&output.stdout);
        assert!(
            said.is_empty() || said.starts_with("a: a.indices: range:") && said.lines().count() == 1,
            "{said}"
        );
        assert!(said.is_empty() || said.ends_with('\n'), "{said}");
        assert!(text(&output.stderr).contains("interrupted"), "{output:?}");
        assert!(!text(&output.stderr).contains("x: "), "{output:?}");
    }
}

#[test]
fn a_thousand_arrays_take_few_descriptors() {
    let store = tempdir().unwrap();
    for number in 0..1000 {
        write_dense(&store.path().join(format!("x{number:03}")), "int8", &[10]);
    }
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 40; exec \"$0\" check --jobs 4 \"$1\""])
        .arg(env!("CARGO_BIN_EXE_arrayfs"))
        .arg(store.path())
        .output()
        .unwrap();
    assert_eq!((limited.status.code(), text(&limited.stderr)), (Some(0), "1000 arrays verified, 0 broken\n"));
}

#[test]
fn progress_is_shown_on_a_terminal_only() {
    let store = tempdir().unwrap();
    write_hole(&store.path().join("x"), "int8", &[4 << 30]);
    let quiet = run(["check".as_ref(), store.path().as_os_str()]);
    assert_eq!(text(&quiet.stderr), "1 arrays verified, 0 broken\n");
    // `script` gives the program a terminal.
    let command = format!("{} check --jobs 1 {}", env!("CARGO_BIN_EXE_arrayfs"), store.path().display());
    let shown = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut shown) = shown else {
        say_skipped("there is no `script` to make a terminal");
        return;
    };
    let mut said = Vec::new();
    BufReader::new(shown.stdout.take().unwrap()).read_to_end(&mut said).unwrap();
    assert!(shown.wait().unwrap().success());
    assert!(String::from_utf8_lossy(&said).contains("GiB/s"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn one_array_is_verified_by_several_threads() {
    // Each thread reads at a place of its own: two reads of one file under way at once are seen in /proc.
    let store = tempdir().unwrap();
    write_hole(&store.path().join("x"), "int8", &[1 << 42]);
    let child = start_check(store.path(), &store.path().join("x.array").canonicalize().unwrap());
    let tasks = format!("/proc/{}/task", child.id());
    let read = |task: &str| {
        let io = fs::read_to_string(format!("{tasks}/{task}/io")).unwrap_or_default();
        io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse::<u64>().ok()).unwrap_or(0)
    };
    let names = crate::common::names(Path::new(&tasks));
    wait_until("two threads read", || names.iter().filter(|task| read(task) > 100 << 20).count() >= 2);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    wait(child);
}
