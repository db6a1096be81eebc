//! Writing to a path that already has an array: it is kept unless the user asks to replace it, and its names
//! are replaced together with its numbers.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::{Mount, Sparse, arrayfs, names, run, say_skipped, wait_until, write_dense};
use arrayfs::daf::memory_mapping::{
    SparseInRows, create_memory_mapped_array, remove_memory_mapped_array, remove_memory_mapped_sparse,
    write_memory_mapped_sparse,
};
use arrayfs::dtype::Dtype;
use tempfile::tempdir;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn create(path: &Path, more: &[&str]) -> Output {
    arrayfs()
        .arg("create")
        .arg(path)
        .args(["--shape", "2,2", "--dtype", "int16"])
        .args(more)
        .output()
        .unwrap()
}

fn remove(args: &[&Path]) -> Output {
    arrayfs().arg("remove").args(args).output().unwrap()
}

/// A refusal in one line, which ends so.
#[track_caller]
fn refuses(output: &Output, end: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.starts_with("arrayfs: ") && said.lines().count() == 1, "{said}");
    assert!(said.ends_with(&format!("{end}\n")), "{end}: {said}");
}

/// Names for the rows and columns of an array.
fn name(path: &Path) {
    fs::write(path.with_extension("rows.txt"), "r1\nr2\n").unwrap();
    fs::write(path.with_extension("cols.txt"), "c1\nc2\n").unwrap();
}

const SMALL: SparseInRows<'static, f32, i32, i64> =
    SparseInRows { shape: [2, 2], data: &[1.5], indices: &[1], indptr: &[0, 1, 1] };

// ---------------------------------------------------------------------------- without --force

// Promise: `create` and `import` never replace an existing array unless `--force` is given.
#[test]
fn what_is_there_stays() {
    let store = tempdir().unwrap();
    let path = store.path().join("x");
    let shown = path.display().to_string();
    let force = "; --force replaces it";
    write_dense(&path, "float32", &[10, 20]);
    name(&path);
    let before = snapshot(store.path());
    refuses(&create(&path, &[]), &format!("{shown} is there already (dense float32 [10, 20]){force}"));
    assert_eq!(snapshot(store.path()), before);
    assert!(create(&path, &["--force"]).status.success());
    assert_eq!(names(store.path()), ["x.array", "x.yaml"]);

    Sparse::example(6, 9).write(&path);
    refuses(&create(&path, &[]), &format!("(sparse int32 [6, 9]){force}"));
    // Each of the files by itself, whatever it is.
    for suffix in ["yaml", "array", "data", "indices", "indptr"] {
        let store = tempdir().unwrap();
        let path = store.path().join("x");
        let file = path.with_extension(suffix);
        fs::write(&file, "left").unwrap();
        refuses(&create(&path, &[]), &format!("is there already (x.{suffix}){force}"));
        fs::remove_file(&file).unwrap();
        symlink("nowhere", &file).unwrap();
        refuses(&create(&path, &[]), &format!("is there already (x.{suffix}){force}"));
        assert_eq!(names(store.path()), [format!("x.{suffix}")]);
    }
}

/// All files of a directory.
fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
    names(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

// Promise: `create` and `import` never replace an existing array unless `--force` is given.
#[test]
fn of_many_that_create_one_array_at_once_one_does() {
    let store = tempdir().unwrap();
    let path = store.path().join("x");
    for _ in 0..10 {
        let start = |_| {
            let mut create = arrayfs();
            create.arg("create").arg(&path).args(["--shape", "2,2", "--dtype", "int16"]);
            create.stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        let creating: Vec<_> = (0..8).map(start).collect();
        let done: Vec<_> = creating.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        assert_eq!(done.iter().filter(|output| output.status.success()).count(), 1, "{done:?}");
        done.iter().filter(|output| !output.status.success()).for_each(|output| {
            refuses(output, "is there already (dense int16 [2, 2]); --force replaces it");
        });
        assert_eq!(names(store.path()), ["x.array", "x.yaml"]);
        assert!(remove(&[&path]).status.success());
    }
}

#[test]
fn a_directory_of_the_name_is_not_in_the_way() {
    let store = tempdir().unwrap();
    let path = store.path().join("x");
    fs::create_dir(&path).unwrap();
    assert!(create(&path, &[]).status.success());
    assert_eq!(names(store.path()), ["x", "x.array", "x.yaml"]);
}

#[test]
fn a_path_without_the_name_of_an_array_is_refused() {
    let store = tempdir().unwrap();
    fs::create_dir(store.path().join("s")).unwrap();
    let wanted = "the path of an array is wanted, with the array's name at its end";
    for path in ["s/", "s/.", "s/..", ".", ".."] {
        let path = store.path().join(path);
        refuses(&create(&path, &[]), wanted);
        refuses(&create(&path, &["--force"]), wanted);
        refuses(&remove(&[&path]), wanted);
    }
    let unfinished = store.path().join(".arrayfs-unfinished-x");
    refuses(&create(&unfinished, &[]), "an array cannot have a name of what is not finished yet");
    assert_eq!((names(store.path()), names(&store.path().join("s"))), (vec!["s".to_owned()], vec![]));
}

// ---------------------------------------------------------------------------- names

// Promise: New numbers never appear under old names: replacing or removing an array removes its names.
#[test]
fn names_go_with_the_numbers() {
    let store = tempdir().unwrap();
    let path = store.path().join("x");
    let files = |files: &[&str]| assert_eq!(names(store.path()), files);
    type Write<'w> = &'w dyn Fn();
    let dense: Write<'_> = &|| create_memory_mapped_array(&path, &[2, 2], Dtype::Int8).unwrap();
    let sparse: Write<'_> = &|| write_memory_mapped_sparse(&path, &SMALL).unwrap();
    for before in [dense, sparse] {
        for (write, left) in
            [(dense, &["x.array", "x.yaml"][..]), (sparse, &["x.data", "x.indices", "x.indptr", "x.yaml"])]
        {
            before();
            name(&path);
            write();
            files(left);
        }
    }
    sparse();
    name(&path);
    remove_memory_mapped_sparse(&path).unwrap();
    files(&[]);
    dense();
    name(&path);
    remove_memory_mapped_sparse(&path).unwrap();
    files(&["x.array", "x.cols.txt", "x.rows.txt", "x.yaml"]);
    remove_memory_mapped_array(&path).unwrap();
    files(&[]);
    // Those that were made for an array to come are not of an old one.
    name(&path);
    assert!(create(&path, &[]).status.success());
    files(&["x.array", "x.cols.txt", "x.rows.txt", "x.yaml"]);
}

#[cfg(feature = "import")]
mod import {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use arrayfs::array::stored_array::StoredArray;
    use arrayfs::store::Store;

    fn import(file: &Path, path: &Path, more: &[&str]) -> Output {
        arrayfs().arg("import").arg(file).arg(path).args(more).output().unwrap()
    }

    /// Files of two by two numbers: with names (int64), and without (float64).
    fn tables(dir: &Path) -> [std::path::PathBuf; 2] {
        let files = ["a.csv", "b.csv"].map(|name| dir.join(name));
        fs::write(&files[0], ",g1,g2\nk1,1,2\nk2,3,4\n").unwrap();
        fs::write(&files[1], "10.5,20\n30,40\n").unwrap();
        files
    }

    // Promise: New numbers never appear under old names: replacing or removing an array removes its names.
    #[test]
    fn the_names_of_an_import_are_its_own() {
        let (dir, store) = (tempdir().unwrap(), tempdir().unwrap());
        let [named, plain] = tables(dir.path());
        let path = store.path().join("x");
        let csv =
            || crate::common::stdout(["cat".as_ref(), store.path().as_os_str(), "x/array.csv".as_ref()]);
        assert!(import(&named, &path, &[]).status.success());
        let mount = Mount::new(store.path());
        let before = (snapshot(store.path()), csv());
        refuses(&import(&plain, &path, &[]), "is there already (dense int64 [2, 2]); --force replaces it");
        assert_eq!((snapshot(store.path()), csv()), before);
        assert!(import(&plain, &path, &["--force"]).status.success());
        assert_eq!(names(store.path()), ["x.array", "x.yaml"]);
        assert!(!text(&csv()).contains("g1") && !text(&csv()).contains("k1"), "{}", text(&csv()));
        wait_until("the mount shows it", || !mount.list("x").contains(&"by-name".to_owned()));
        name(&path);
        assert!(import(&named, &path, &["--force"]).status.success());
        assert_eq!(fs::read(path.with_extension("cols.txt")).unwrap(), b"g1\ng2\n");
        assert_eq!(fs::read(path.with_extension("rows.txt")).unwrap(), b"k1\nk2\n");
    }

    /// Numbers and names at `path` must be of one table.
    fn of_one_table(store: &Arc<Store>) -> bool {
        let Ok(array) = StoredArray::load(store, Path::new("x")) else { return false };
        let is_named = array.metadata.dtype() == Dtype::Int64;
        let files = [array.names.of_rows(), array.names.of_columns()];
        assert!(files.iter().all(|file| file.is_some() == is_named), "{} {files:?}", array.metadata);
        true
    }

    // Promise: New numbers never appear under old names: replacing or removing an array removes its names.
    #[test]
    fn whoever_looks_meanwhile_sees_no_new_numbers_under_old_names() {
        let (dir, store) = (tempdir().unwrap(), tempdir().unwrap());
        let (files, path) = (tables(dir.path()), store.path().join("x"));
        let looking = Arc::new(Store::open(store.path()).unwrap());
        let options = arrayfs::import::Options::default();
        let done = std::sync::atomic::AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let look = || {
                let mut seen = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    seen += u32::from(of_one_table(&looking));
                }
                seen
            };
            let reader = scope.spawn(look);
            let start = Instant::now();
            for turn in 0..3000 {
                arrayfs::formats::IMPORTERS.import(&files[turn % 2], &path, &options, &|_| Ok(())).unwrap();
                if reader.is_finished() || start.elapsed() > Duration::from_secs(6) {
                    break;
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            reader.join().unwrap()
        });
        assert!(seen > 10, "seen {seen} times");
    }

    // Promise: New numbers never appear under old names: replacing or removing an array removes its names.
    #[test]
    fn nor_does_who_looks_after_the_writer_was_killed() {
        let (dir, store) = (tempdir().unwrap(), tempdir().unwrap());
        let (files, path) = (tables(dir.path()), store.path().join("x"));
        let looking = Arc::new(Store::open(store.path()).unwrap());
        for round in 0..120_u32 {
            let mut writer = arrayfs();
            let writer = writer.arg("import").arg(&files[round as usize % 2]).arg(&path).arg("--force");
            let mut writer = writer.stderr(std::process::Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_micros(u64::from(round.wrapping_mul(2_654_435_761) % 8000)));
            let _ = writer.kill();
            writer.wait().unwrap();
            of_one_table(&looking);
            assert!(create(&store.path().join("next"), &["--force"]).status.success());
            of_one_table(&looking);
            let left: Vec<_> =
                names(store.path()).into_iter().filter(|name| !name.starts_with("next")).collect();
            assert!(left.is_empty() || left.contains(&"x.yaml".to_owned()), "round {round}: {left:?}");
        }
    }

    #[test]
    fn into_a_directory_it_goes_under_the_files_own_name() {
        let (dir, store) = (tempdir().unwrap(), tempdir().unwrap());
        let [named, _] = tables(dir.path());
        let inside = store.path().join("s");
        fs::create_dir(&inside).unwrap();
        assert!(import(&named, &inside, &[]).status.success());
        assert_eq!(names(&inside), ["a.array", "a.cols.txt", "a.rows.txt", "a.yaml"]);
        refuses(&import(&named, &store.path().join("s/"), &[]), "(dense int64 [2, 2]); --force replaces it");
        let packed = dir.path().join("packed.v1.CSV.gz");
        let gzip = Command::new("gzip").arg("-c").arg(&named).output().unwrap();
        fs::File::create(&packed).unwrap().write_all(&gzip.stdout).unwrap();
        let imported = import(&packed, &store.path().join("s/"), &[]);
        assert!(text(&imported.stderr).contains("s/packed.v1: dense int64 [2, 2]"), "{imported:?}");
        assert!(names(&inside).contains(&"packed.v1.yaml".to_owned()));
        let nowhere = import(&named, &store.path().join("missing/"), &[]);
        refuses(&nowhere, "missing/: there is no such directory");
    }
}

// ---------------------------------------------------------------------------- remove

#[test]
fn remove_takes_several_arrays_and_their_names() {
    let store = tempdir().unwrap();
    let path = |name: &str| store.path().join(name);
    write_dense(&path("a"), "int8", &[2, 2]);
    Sparse::example(2, 2).write(&path("b"));
    name(&path("b"));
    write_dense(&path("c"), "int8", &[2, 2]);
    fs::remove_file(path("c.yaml")).unwrap();
    fs::write(path("other.txt"), "other").unwrap();
    let before = names(store.path());

    let shown = remove(&[Path::new("-n"), &path("a"), &path("b")]);
    let expected: Vec<_> =
        ["a.yaml", "a.array", "b.yaml", "b.rows.txt", "b.cols.txt", "b.data", "b.indices", "b.indptr"]
            .map(|name| path(name).display().to_string())
            .into();
    assert_eq!((shown.status.code(), text(&shown.stderr)), (Some(0), ""));
    assert_eq!(text(&shown.stdout).lines().collect::<Vec<_>>(), expected);
    assert_eq!(names(store.path()), before, "nothing went");

    let gone = remove(&[&path("a"), &path("missing"), &path("b"), &path("c")]);
    refuses(&gone, "missing: there is no array of that name");
    assert_eq!(names(store.path()), ["other.txt"], "the others went all the same");
    refuses(&remove(&[&path("other.txt")]), "there is no array of that name");
    assert_eq!(run(["remove"]).status.code(), Some(2));
}

/// Runs `arrayfs remove` on a terminal where somebody answers.
fn on_a_terminal(path: &Path, options: &str, answer: &str) -> Option<String> {
    let line = format!("{} remove {options} {}", env!("CARGO_BIN_EXE_arrayfs"), path.display());
    let mut script = Command::new("script");
    let script = script.args(["-qec", &line, "/dev/null"]).stdin(std::process::Stdio::piped());
    let Ok(mut child) = script.stdout(std::process::Stdio::piped()).spawn() else {
        say_skipped("there is no `script` to make a terminal");
        return None;
    };
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn remove_asks_on_a_terminal() {
    let store = tempdir().unwrap();
    let path = store.path().join("x");
    write_dense(&path, "int8", &[2, 2]);
    for answer in ["n\n", "\n", "what\n"] {
        let Some(said) = on_a_terminal(&path, "", answer) else { return };
        assert!(said.contains("x (x.yaml, x.array)? [y/N]"), "{said}");
        assert_eq!(names(store.path()), ["x.array", "x.yaml"], "{answer}");
    }
    on_a_terminal(&path, "", "y\n");
    assert_eq!(names(store.path()), [""; 0]);
    write_dense(&path, "int8", &[2, 2]);
    let said = on_a_terminal(&path, "-f", "").unwrap();
    assert!(!said.contains("[y/N]") && names(store.path()).is_empty(), "{said}");
}
