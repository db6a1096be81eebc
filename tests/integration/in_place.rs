//! Arrays that are written in place, through memory maps, while they are mounted. This is hard to notice,
//! because only the first write to a page changes the times of the file.
#![cfg(feature = "verify")]
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::common::{Mount, Sparse, all_files, names, wait_until, write_dense};
use memmap2::MmapMut;
use tempfile::tempdir;

/// Both ways of mounting.
const WAYS: [&[&str]; 2] = [&[], &["--no-passthrough"]];

/// A program that has a file mapped for writing, and closed its descriptor.
struct Writer(MmapMut);

impl Writer {
    fn new(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        // SAFETY: others read the file by reading it, or do not care.
        Self(unsafe { MmapMut::map_mut(&file) }.unwrap())
    }

    /// Puts this byte everywhere.
    fn fill(&mut self, byte: u8) {
        self.0.fill(byte);
    }
}

/// All files of the array `x` and what is in them, by a mount of its own.
fn contents(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mount = Mount::with(store, &["--no-passthrough"]);
    let files = all_files(&mount, store, "x");
    let name = |path: &Path| path.strip_prefix(mount.path()).unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// Files that say of which version the array is.
fn tells_the_version(path: &Path) -> bool {
    path.ends_with("meta.yaml") || path.ends_with("README.md")
}

/// Reads every file until each is as it is in the store now, for a second at most; returns those that are not.
fn differing(mount: &Mount, expected: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<PathBuf> {
    let start = Instant::now();
    loop {
        let wrong = expected.iter().filter(|(path, bytes)| {
            !tells_the_version(path) && fs::read(mount.join(path)).ok().as_ref() != Some(*bytes)
        });
        let wrong: Vec<_> = wrong.map(|(path, _)| path.clone()).collect();
        // Reading all of them takes its time on a machine that is busy.
        if wrong.is_empty() || start.elapsed() > Duration::from_secs(10) {
            return wrong;
        }
    }
}

fn check_every_file(write: &dyn Fn(&Path), suffix: &str, fill: u8) {
    for options in WAYS {
        let store = tempdir().unwrap();
        write(&store.path().join("x"));
        let part = store.path().join(format!("x.{suffix}"));
        let mount = Mount::with(store.path(), options);
        let before = contents(store.path());
        let mut writer = Writer::new(&part);
        // The page is dirty from here on.
        let first = writer.0[0];
        writer.fill(fill);
        writer.0[0] = first;
        let dirty = contents(store.path());
        assert_eq!(differing(&mount, &dirty), [] as [PathBuf; 0], "{suffix} is being written, {options:?}");
        let open: Vec<_> = dirty.keys().map(|path| File::open(mount.join(path)).unwrap()).collect();
        // The system may have written the pages to the disk meanwhile: dirty once more.
        writer.fill(fill);
        let times = fs::metadata(&part).unwrap();
        writer.fill(fill + 1);
        let again = fs::metadata(&part).unwrap();
        assert_eq!(
            (again.mtime(), again.mtime_nsec()),
            (times.mtime(), times.mtime_nsec()),
            "it does not show"
        );
        drop(writer);
        let after = contents(store.path());
        assert!(after != dirty && after != before);
        assert_eq!(differing(&mount, &after), [] as [PathBuf; 0], "{suffix} was written, {options:?}");
        // Who had a file open goes on with what is there now, or is told that it cannot.
        for ((path, bytes), file) in after.iter().zip(open) {
            let mut found = vec![0; bytes.len()];
            if !tells_the_version(path) && file.read_exact_at(&mut found, 0).is_ok() && !has_a_checksum(path)
            {
                assert!(found == *bytes, "{}: old bytes, {suffix} {options:?}", path.display());
            }
        }
    }
}

/// Formats whose checksums tell a reader that what it has is a mix.
fn has_a_checksum(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path.ends_with(".npz") || path.ends_with(".gz")
}

// Promise: What is written in place through a map shows within a second of the writer's last map, in every format and with the right checksums; while somebody has the file open or mapped for writing, each lookup gives what is there then.
#[test]
fn every_format_of_what_was_written_in_place_is_new() {
    let dense = |path: &Path| drop(write_dense(path, "float32", &[90, 70]));
    check_every_file(&dense, "array", 1);
    let sparse = |path: &Path| Sparse::example(60, 50).write(path);
    check_every_file(&sparse, "data", 1);
    let vector = |path: &Path| drop(write_dense(path, "int16", &[5000]));
    check_every_file(&vector, "array", 1);
}

/// Waits until a file of the mount is full of this byte.
fn wait_for(path: &Path, byte: u8) {
    wait_until("the new bytes show", || fs::read(path).unwrap().iter().all(|other| *other == byte));
}

// Promise: A new generation of what was written in place has new inode numbers.
#[test]
fn a_generation_has_numbers_of_its_own() {
    for options in WAYS {
        let store = tempdir().unwrap();
        write_dense(&store.path().join("x"), "uint8", &[64, 128]);
        let mount = Mount::with(store.path(), options);
        let row = mount.join("x/rows/03");
        let number = || fs::metadata(&row).unwrap().ino();
        fs::read(&row).unwrap();
        let before = number();
        let mut writer = Writer::new(&store.path().join("x.array"));
        writer.fill(5);
        wait_for(&row, 5);
        // Until the server has heard of the writer: its first change shows by the file's times before that.
        std::thread::sleep(Duration::from_millis(1500));
        let written = number();
        writer.fill(6);
        wait_for(&row, 6);
        assert_eq!(number(), written, "as long as it is written it is one file: cp and tar rely on that");
        drop(writer);
        wait_until("the number is new", || ![before, written].contains(&number()));
        wait_for(&row, 6);
    }
}

#[test]
fn whoever_has_a_file_open_never_gets_old_bytes_from_the_cache() {
    for options in WAYS {
        let store = tempdir().unwrap();
        write_dense(&store.path().join("x"), "uint8", &[512, 1024]);
        let mount = Mount::with(store.path(), options);
        let files: Vec<_> = ["x/array", "x/array.npy", "x/rows/100", "x/cols/0100", "x/slices/64:128/array"]
            .map(|path| File::open(mount.join(path)).unwrap())
            .into();
        let last = |file: &File| {
            let end = file.metadata().unwrap().len();
            let mut byte = [0];
            file.read_exact_at(&mut byte, end - 1).unwrap();
            byte[0]
        };
        assert!(files.iter().map(&last).any(|byte| byte > 0));
        for byte in 1..6 {
            let mut writer = Writer::new(&store.path().join("x.array"));
            writer.fill(byte * 10);
            writer.fill(byte * 10 + 1);
            drop(writer);
            for (i, file) in files.iter().enumerate() {
                wait_until(&format!("file {i} is new, {options:?}"), || last(file) == byte * 10 + 1);
            }
        }
    }
}

#[test]
fn a_writer_is_heard_of_though_the_file_was_closed_for_want_of_room() {
    let store = tempdir().unwrap();
    for i in 0..120 {
        write_dense(&store.path().join(format!("x{i}")), "uint8", &[64, 128]);
    }
    let mount = Mount::limited(store.path(), &["--no-passthrough", "--threads=2"], "-n 80");
    let file = File::open(mount.join("x0/array.npy")).unwrap();
    let last = || {
        let mut byte = [0];
        file.read_exact_at(&mut byte, file.metadata().unwrap().len() - 1).unwrap();
        byte[0]
    };
    last();
    (1..120).for_each(|i| assert!(fs::read(mount.join(format!("x{i}/array.npy"))).unwrap().len() > 8192));
    let mut writer = Writer::new(&store.path().join("x0.array"));
    for byte in [77, 78] {
        // By its descriptor alone: the kernel has the page, and asks for nothing unless it is told to.
        writer.fill(byte);
        wait_until("the new bytes show", || last() == byte);
    }
    drop(writer);
}

#[test]
fn a_program_in_the_folder_goes_on_with_the_new_bytes() {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("x"), "uint8", &[64, 128]);
    let mount = Mount::with(store.path(), &["--no-passthrough"]);
    // By the folder's own descriptor, as from a shell that stays in it.
    let folder = File::open(mount.join("x")).unwrap();
    let by_folder = |name: &str| {
        let fd =
            nix::fcntl::openat(&folder, name, nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty());
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut File::from(fd.unwrap()), &mut bytes).unwrap();
        bytes
    };
    for byte in [3, 4] {
        let mut writer = Writer::new(&store.path().join("x.array"));
        writer.fill(9);
        writer.fill(byte);
        drop(writer);
        for name in ["array", "rows/07", "cols/007", "slices/1:5/array"] {
            wait_until(name, || by_folder(name).iter().all(|other| *other == byte));
        }
        wait_until("the sum is right", || {
            let table = String::from_utf8(by_folder("array.csv")).unwrap();
            table.matches(&byte.to_string()).count() >= 64 * 128
        });
    }
}

/// Files of arrays that are links to where they are, and under other names.
#[test]
fn what_is_written_under_another_name_shows() {
    let store = tempdir().unwrap();
    let [x, aside] = ["x", "aside"].map(|name| store.path().join(name));
    fs::create_dir(&aside).unwrap();
    write_dense(&x, "uint8", &[64, 128]);
    fs::rename(x.with_extension("array"), aside.join("linked")).unwrap();
    std::os::unix::fs::symlink("aside/linked", x.with_extension("array")).unwrap();
    let hard = store.path().join("y");
    write_dense(&hard, "uint8", &[64, 128]);
    fs::hard_link(hard.with_extension("array"), aside.join("hard")).unwrap();
    let mount = Mount::new(store.path());
    for (name, written) in [("x", "linked"), ("y", "hard")] {
        let row = mount.join(name).join("rows/03");
        for byte in [7, 8] {
            fs::read(&row).unwrap();
            let mut writer = Writer::new(&aside.join(written));
            writer.fill(1);
            writer.fill(byte);
            drop(writer);
            wait_for(&row, byte);
        }
    }
}

// Promise: Files of the store that belong to no array follow writes in place like the files of arrays.
#[test]
fn plain_files_that_are_written_in_place_are_new() {
    for options in WAYS {
        let store = tempdir().unwrap();
        fs::write(store.path().join("notes"), [0; 10_000]).unwrap();
        let mount = Mount::with(store.path(), options);
        let notes = mount.join("notes");
        for byte in [7, 8] {
            fs::read(&notes).unwrap();
            let mut writer = Writer::new(&store.path().join("notes"));
            writer.fill(1);
            wait_for(&notes, 1);
            writer.fill(byte);
            drop(writer);
            wait_for(&notes, byte);
        }
    }
}

// Promise: Watching the store neither slows down nor ends its writers; only a non-blocking open for writing may fail with `EWOULDBLOCK` at the very moment of a check.
#[test]
fn writers_and_the_server_outlive_each_other() {
    let store = tempdir().unwrap();
    let x = store.path().join("x");
    write_dense(&x, "uint8", &[64, 128]);
    let mount = Mount::new(store.path());
    let server = mount.server();
    let until = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < until {
                    drop(File::options().write(true).open(x.with_extension("array")).unwrap());
                }
            });
        }
        scope.spawn(|| {
            while Instant::now() < until {
                // What changes all the time may be gone from under a reader.
                let _ = fs::read(mount.join("x/rows/03"));
            }
        });
    });
    assert_eq!(mount.server(), server);
    wait_until("it is as it was", || fs::read(mount.join("x/array")).is_ok());
    assert!(names(&mount.join("x")).contains(&"array.npy".to_owned()));
}
