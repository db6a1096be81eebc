//! Files of the store that are written in place while files computed from them are open: each read returns
//! the bytes of some state or an error, and never those of another file.
#![cfg(feature = "verify")]

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::common::{Mount, Sparse, all_files, within, write_files};
use tempfile::tempdir;

/// What another array of the store is full of.
const SECRET: u8 = 0xD7;
/// Of so many of these bytes in a row nobody can say that they came about by chance.
const MANY: usize = 12;
const SECRET_BYTES: u64 = 2 << 20;

const ROWS: usize = 90;

fn matrix() -> Sparse {
    Sparse::example(ROWS, 40)
}

fn write_secret(store: &Path) {
    let yaml = format!("{{version: [1, 0], dtype: uint8, shape: [{}, 1024]}}", SECRET_BYTES / 1024);
    write_files(&store.join("secret"), &yaml, &[("array", &vec![SECRET; SECRET_BYTES as usize])]);
}

/// Has every thread of the server that makes something hold the secret.
fn read_secret(mount: &Mount) {
    std::thread::scope(|scope| {
        for step in 2..6 {
            let path = mount.join(format!("secret/slices/{step}::{step}/array"));
            scope.spawn(move || {
                let bytes = fs::read(&path).unwrap();
                assert!(bytes.len() > 1 << 18 && bytes.iter().all(|byte| *byte == SECRET));
            });
        }
    });
}

/// What each of the files is in this state of the matrix; nothing of those that cannot be read in it.
fn contents(matrix: &Sparse, paths: &[PathBuf]) -> BTreeMap<PathBuf, Vec<u8>> {
    let store = tempdir().unwrap();
    matrix.write(&store.path().join("x"));
    let mount = Mount::with(store.path(), &["--no-passthrough"]);
    let read = |path: &PathBuf| Some((path.clone(), fs::read(mount.join(path)).ok()?));
    paths.iter().filter_map(read).collect()
}

/// Reads in pieces to the end that `stat` told, and holds each piece against the states there were.
fn read_through(
    about: &str,
    path: &Path,
    file: &File,
    size: u64,
    states: [Option<&Vec<u8>>; 2],
) -> (usize, usize) {
    let (mut good, mut failed) = (0, 0);
    let mut at = 0;
    while at < size {
        let length = size.min(at + 3000) - at;
        let mut bytes = vec![0; length as usize];
        let here = format!("{} {at}..{} ({about})", path.display(), at + length);
        match file.read_exact_at(&mut bytes, at) {
            Ok(()) => {
                let has =
                    |state: &Vec<u8>| state.get(at as usize..(at + length) as usize) == Some(&bytes[..]);
                let secret = bytes.windows(MANY).any(|window| window.iter().all(|byte| *byte == SECRET));
                assert!(!secret, "{here}: another file's bytes");
                assert!(states.into_iter().flatten().any(has), "{here}: bytes of no state");
                good += 1;
            }
            // Text that is shorter by now, after another lookup, and says so.
            Err(error)
                if error.kind() == std::io::ErrorKind::UnexpectedEof
                    && file.metadata().unwrap().len() < at + length =>
            {
                failed += 1;
            }
            Err(error) => {
                // An end before the end would be another error.
                assert_eq!(error.raw_os_error(), Some(libc::EIO), "{here}: {error}");
                failed += 1;
            }
        }
        at += length;
    }
    (good, failed)
}

struct Case {
    name: &'static str,
    indptr: Vec<i64>,
    is_time_put_back: bool,
    /// Whether whoever has the files open reads before anybody can have noticed.
    at_once: bool,
}

fn cases() -> Vec<Case> {
    let old = matrix().indptr;
    let nnz = *old.last().unwrap();
    let all_in = |row: usize| (0..=ROWS).map(|i| if i > row { nnz } else { 0 }).collect::<Vec<i64>>();
    let mut shifted = old.clone();
    for (i, bound) in shifted.iter_mut().enumerate().skip(1).take(ROWS - 1) {
        *bound = (*bound + i as i64 % 3).min(nnz);
    }
    shifted.sort_unstable();
    let states = [
        ("all in a row that is not selected", all_in(30)),
        ("all in a row that is selected", all_in(31)),
        ("all in the first row", all_in(0)),
        ("all in the last row", all_in(ROWS - 1)),
        ("a little elsewhere", shifted),
        ("nothing that rises", (0..=ROWS as i64).rev().collect()),
    ];
    let ways = [(false, true), (true, true), (true, false)];
    let cases = states.into_iter().flat_map(|(name, indptr)| {
        ways.map(|(is_time_put_back, at_once)| Case {
            name,
            indptr: indptr.clone(),
            is_time_put_back,
            at_once,
        })
    });
    cases.collect()
}

/// Writes it over what is there: the same file, as long as before.
fn write_in_place(path: &Path, indptr: &[i64], is_time_put_back: bool) {
    let file = File::options().write(true).open(path).unwrap();
    let before = file.metadata().unwrap();
    let bytes: Vec<u8> = indptr.iter().flat_map(|bound| bound.to_le_bytes()).collect();
    assert_eq!(bytes.len() as u64, before.len());
    file.write_all_at(&bytes, 0).unwrap();
    if is_time_put_back {
        let times = FileTimes::new().set_modified(before.modified().unwrap());
        file.set_times(times.set_accessed(before.accessed().unwrap())).unwrap();
        assert_eq!(file.metadata().unwrap().modified().unwrap(), before.modified().unwrap());
    }
}

fn rewrite_under_open_files(options: &[&str], cases: Vec<Case>) {
    let store = tempdir().unwrap();
    let (path, old) = (store.path().join("x"), matrix());
    old.write(&path);
    write_secret(store.path());
    let paths: Vec<PathBuf> = {
        let mount = Mount::with(store.path(), options);
        let files = all_files(&mount, store.path(), "x");
        files.iter().map(|file| file.strip_prefix(mount.path()).unwrap().to_owned()).collect()
    };
    let before = contents(&old, &paths);
    assert_eq!(before.len(), paths.len());
    let (mut good, mut failed) = (0, 0);
    for Case { name, indptr, is_time_put_back, at_once } in cases {
        let after = contents(&Sparse { indptr: indptr.clone(), ..matrix() }, &paths);
        old.write(&path);
        let mount = Mount::with(store.path(), options);
        let open: Vec<_> = paths
            .iter()
            .map(|path| {
                let file = File::open(mount.join(path)).unwrap();
                let size = file.metadata().unwrap().len();
                assert_eq!(size, before[path].len() as u64, "{}", path.display());
                (path, file, size)
            })
            .collect();
        read_secret(&mount);
        write_in_place(&path.with_extension("indptr"), &indptr, is_time_put_back);
        if !at_once {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        for (i, (path, file, size)) in open.iter().enumerate() {
            if i % 40 == 0 {
                read_secret(&mount);
            }
            let states = [before.get(*path), after.get(*path)];
            let (read, not) = read_through(name, path, file, *size, states);
            good += read;
            failed += not;
        }
        // Whoever looks anew finds the new state, whole, or an error.
        let is_time = if is_time_put_back { "its time put back" } else { "its time new" };
        crate::common::wait_until(&format!("{name}, {is_time}, is shown"), || {
            paths.iter().all(|path| match (fs::read(mount.join(path)), after.get(path)) {
                (Ok(bytes), Some(state)) => bytes == *state,
                (Ok(_), None) => false,
                (Err(_), state) => state.is_none(),
            })
        });
    }
    assert!(good > 500 && failed > 50, "{good} pieces were read, {failed} were not");
}

// Promise: Computed content of a file that is written in place meanwhile is right for what the file held or holds, or the read fails with `EIO`: never another file's bytes, and never fewer bytes than `stat` reported.
#[test]
fn what_is_computed_of_a_file_that_is_written_in_place_is_right_or_an_error() {
    let few = cases().into_iter().step_by(5).collect();
    within(600, "reading what is written", || rewrite_under_open_files(&[], few));
    within(600, "reading what is written", || rewrite_under_open_files(&["--no-passthrough"], cases()));
}

// Promise: Computed content of a file that is written in place meanwhile is right for what the file held or holds, or the read fails with `EIO`: never another file's bytes, and never fewer bytes than `stat` reported.
#[test]
fn a_row_of_text_that_changes_its_length_is_an_error() {
    const PATHS: [(&str, i32); 3] =
        [("x/rows/3.txt", 3), ("x/rows/19.txt", 19), ("x/slices/5:/rows/0.txt", 5)];
    let store = tempdir().unwrap();
    let bytes = |value: i32| (0..20 * 30).flat_map(|i| (value + i % 7).to_le_bytes()).collect::<Vec<u8>>();
    let line = |value: i32, row: i32| {
        let numbers = (row * 30..(row + 1) * 30).map(|i| (value + i % 7).to_string());
        numbers.collect::<Vec<_>>().join(" ") + "\n"
    };
    let yaml = "{version: [1, 0], dtype: int32, shape: [20, 30]}";
    let values = [100, 200, 1, -500, 70_000, 20];
    write_files(&store.path().join("x"), yaml, &[("array", &bytes(values[0]))]);
    write_secret(store.path());
    let mount = Mount::with(store.path(), &["--no-passthrough"]);
    let source = File::options().write(true).open(store.path().join("x.array")).unwrap();
    let mut failed = 0;
    for (old, new) in values.into_iter().zip(&values[1..]) {
        let files = PATHS.map(|(path, row)| (File::open(mount.join(path)).unwrap(), row));
        let sizes = files.each_ref().map(|(file, row)| {
            let size = file.metadata().unwrap().len();
            assert_eq!(size, line(old, *row).len() as u64);
            size as usize
        });
        read_secret(&mount);
        source.write_all_at(&bytes(*new), 0).unwrap();
        for ((file, row), size) in files.iter().zip(sizes) {
            let mut text = vec![0; size];
            match file.read_exact_at(&mut text, 0) {
                Ok(()) => {
                    let text = String::from_utf8(text).unwrap();
                    assert!([line(old, *row), line(*new, *row)].contains(&text), "{old} to {new}: {text:?}");
                }
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{old} to {new}: {error}");
                    failed += 1;
                }
            }
        }
        // Of a row that no other looks at: what was read once is in the kernel's memory.
        crate::common::wait_until("new text is read", || {
            fs::read_to_string(mount.join("x/rows/9.txt")).is_ok_and(|text| text == line(*new, 9))
        });
    }
    // What was made for a lookup may be read on as it was.
    println!("{failed} texts had another length");
}

// Promise: Computed content of a file that is written in place meanwhile is right for what the file held or holds, or the read fails with `EIO`: never another file's bytes, and never fewer bytes than `stat` reported.
#[test]
fn who_has_a_whole_matrix_open_is_told_what_it_was_told() {
    for options in [&[][..], &["--no-passthrough"]] {
        let store = tempdir().unwrap();
        matrix().write(&store.path().join("x"));
        let mount = Mount::with(store.path(), options);
        let files = ["x/matrix.rds", "x/matrix.mat", "x/matrix.npz", "x/slices/2:/matrix.rds"]
            .map(|path| (path, File::open(mount.join(path)).unwrap()));
        let sizes = files.each_ref().map(|(_, file)| file.metadata().unwrap().len());
        let indptr = store.path().join("x.indptr");
        fs::write(&indptr, fs::read(&indptr).unwrap()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let expected = files.each_ref().map(|(path, _)| fs::read(mount.join(path)).unwrap());
        for (((path, file), size), expected) in files.iter().zip(sizes).zip(expected) {
            let mut bytes = vec![0; size as usize];
            match file.read_exact_at(&mut bytes, 0) {
                Ok(()) => assert!(bytes == expected, "{path}, {options:?}"),
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO), "{path}, {options:?}"),
            }
            assert_eq!(file.metadata().unwrap().len(), size, "{path}, {options:?}");
        }
    }
}
