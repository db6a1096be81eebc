//! Inode numbers, and the server's state for the nodes that the kernel knows.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::common::{Mount, Sparse, names, wait_until, within, write_dense, write_files, write_hole};
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};
use tempfile::{TempDir, tempdir};

const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];

/// What a double holds exactly.
const DOUBLE: u64 = 1 << 53;

/// The server's own memory in KiB: what it has mapped of the store is not its own.
fn own_memory(mount: &Mount) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", mount.server())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The numbers of a folder and of all in it, by path; as they are listed and as `stat` tells them.
fn numbers(path: &Path, found: &mut HashMap<PathBuf, u64>) {
    let meta = fs::metadata(path).unwrap();
    found.insert(path.to_owned(), meta.ino());
    if !meta.is_dir() {
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        assert_eq!(entry.ino(), meta.ino(), "{}", entry.path().display());
        match meta.is_symlink() {
            true => drop(found.insert(entry.path(), meta.ino())),
            false => numbers(&entry.path(), found),
        }
    }
}

// Promise: Inode numbers are unique, and below 2^53, so that a double holds them, wherever the nodes of an array fit in 2^40.
#[test]
fn each_node_has_a_number_of_its_own_that_a_double_holds() {
    for options in MODES {
        let store = tempdir().unwrap();
        let at = |name: &str| store.path().join(name);
        for i in 0..30 {
            write_dense(&at(&format!("dense{i}")), "int16", &[i + 1, 40 - i]);
            write_dense(&at(&format!("vector{i}")), "int8", &[i + 1]);
            fs::write(at(&format!("plain{i}")), "x").unwrap();
            fs::create_dir(at(&format!("directory{i}"))).unwrap();
        }
        Sparse::example(40, 30).write(&at("sparse"));
        for (name, shape) in [("tall", [1 << 31, 1]), ("wide", [1, 1 << 40]), ("both", [1 << 20, 1 << 20])] {
            write_hole(&at(name), "bool", &shape);
        }
        let mount = Mount::with(store.path(), options);
        let mut found = HashMap::new();
        for entry in names(mount.path()) {
            match entry.as_str() {
                // Whose rows or columns nobody lists to the end.
                "tall" | "wide" | "both" => {}
                _ => numbers(&mount.join(&entry), &mut found),
            }
        }
        let far = ["tall/rows/-1", "wide/cols/-1", "both/rows/-1", "both/cols/-1.npy", "wide/slices/0:1"];
        for path in ["tall", "wide", "both"].into_iter().chain(far) {
            found.insert(path.into(), fs::metadata(mount.join(path)).unwrap().ino());
        }
        for slice in 0..10 {
            let path = format!("dense29/slices/{slice}:29");
            numbers(&mount.join(path), &mut found);
        }
        assert!(found.len() > 1000, "{}", found.len());
        assert!(found.values().all(|number| *number < DOUBLE));
        let mut unique: Vec<_> = found.values().collect();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), found.len());
        let wide = fs::read_dir(mount.join("wide/cols/")).unwrap().nth(7).unwrap().unwrap();
        assert_eq!(wide.ino(), wide.metadata().unwrap().ino());
    }
}

/// A store on a file system whose files may be of any length, if there is one.
fn boundless() -> Option<TempDir> {
    let dir = tempfile::tempdir_in("/dev/shm").ok()?;
    let file = File::create(dir.path().join("try")).ok()?;
    let is_boundless = file.set_len(1 << 62).is_ok();
    fs::remove_file(dir.path().join("try")).unwrap();
    is_boundless.then_some(dir)
}

#[test]
fn arrays_wider_than_any_disk_are_shown_as_far_as_there_are_numbers() {
    let Some(store) = boundless() else {
        crate::common::say_skipped("no file system for files of 2^62 bytes");
        return;
    };
    for (name, shape) in [
        ("columns44", [1, 1 << 44]),
        ("columns46", [3, 1 << 46]),
        ("columns62", [1, 1 << 62]),
        ("rows44", [1 << 44, 1]),
        ("rows62", [1 << 62, 1]),
        ("square", [1 << 31, 1 << 31]),
    ] {
        write_hole(&store.path().join(name), "uint8", &shape);
    }
    let yaml = "{version: [1, 0], data_dtype: int8, indices_dtype: int64, indptr_dtype: int8, nnz: 1, shape: [1, 4611686018427387904]}";
    let last = (1_u64 << 62) - 1;
    write_files(
        &store.path().join("sparse62"),
        yaml,
        &[("data", &[5]), ("indices", &last.to_le_bytes()), ("indptr", &[0, 1])],
    );
    for options in MODES {
        let mount = Mount::with(store.path(), options);
        within(60, "a look at very wide arrays", move || look_at_wide(&mount));
    }
}

fn look_at_wide(mount: &Mount) {
    assert_eq!(names(mount.path()).len(), 7);
    let first = |path: &str| fs::read_dir(mount.join(path)).unwrap().next().unwrap().unwrap().file_name();
    let has = |path: &str| mount.join(path).exists();
    assert_eq!(first("columns44/cols/"), *"00000000000000");
    for path in ["columns44/cols/-1", "columns44/cols/17592186044415", "rows44/rows/-1"] {
        assert_eq!(mount.read(path).len(), 1, "{path}");
    }
    assert_eq!(fs::metadata(mount.join("square/cols/-1")).unwrap().len(), 1 << 31);
    for path in ["columns44/rows", "columns46/rows", "columns62/rows", "rows62/cols", "columns62/slices/0:1"]
    {
        assert!(has(path), "{path}");
    }
    for path in ["columns46/cols", "columns62/cols", "rows62/rows"] {
        assert!(!has(path), "more than there are numbers: {path}");
    }
    // Fewer rows of it are numbered.
    assert_eq!(mount.read("rows62/slices/-5:/rows/4").len(), 1);
    let mut byte = [0];
    let row = File::open(mount.join("sparse62/rows/0/dense")).unwrap();
    assert_eq!(row.metadata().unwrap().len(), 1 << 62);
    row.read_exact_at(&mut byte, (1 << 62) - 1).unwrap();
    assert_eq!(byte, [5]);
    let mut numbers: Vec<_> =
        names(mount.path()).iter().map(|name| fs::metadata(mount.join(name)).unwrap().ino()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 7);
}

/// How many of something: all that is promised, unless the program is slow because it is made to be debugged.
const fn many(count: usize) -> usize {
    if cfg!(debug_assertions) { count / 8 } else { count }
}

/// What is promised for all, in KiB; for fewer there is less.
const LIMIT: u64 = if cfg!(debug_assertions) { 14 << 10 } else { 32 << 10 };

// Promise: The daemon keeps what the kernel knows in less than 32 MiB of its own memory: 200,000 slices of which a file is looked at, slices in slices 8,000 deep, a directory of 100,000 arrays that is listed, or 50,000 arrays that are read.
#[test]
fn many_slices_are_looked_at_in_little_memory() {
    let store = tempdir().unwrap();
    write_hole(&store.path().join("x"), "int16", &[1_000_000, 4]);
    let mount = Mount::new(store.path());
    let slices = File::open(mount.join("x/slices/")).unwrap();
    for start in 0..many(200_000) {
        let name = format!("{start}:{}/array.npy", start + 5);
        assert!(fstatat(&slices, name.as_str(), AtFlags::empty()).is_ok(), "{name}");
    }
    assert!(own_memory(&mount) < LIMIT, "{} KiB", own_memory(&mount));
    // They are all there.
    for start in (0..many(200_000)).step_by(9999) {
        assert_eq!(mount.read(format!("x/slices/{start}:{}/array", start + 5)).len(), 40);
    }
}

fn folder_in(folder: &File, name: &str) -> File {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    File::from(openat(folder, name, flags, Mode::empty()).unwrap())
}

fn number_of(folder: &File, name: &str) -> u64 {
    fstatat(folder, name, AtFlags::empty()).unwrap().st_ino
}

// Promise: The daemon keeps what the kernel knows in less than 32 MiB of its own memory: 200,000 slices of which a file is looked at, slices in slices 8,000 deep, a directory of 100,000 arrays that is listed, or 50,000 arrays that are read.
#[test]
fn slices_are_nested_thousands_deep() {
    const DEPTH: usize = 8000;
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("x"), "uint8", &[DEPTH as u64 + 10, 3]);
    for options in MODES {
        let mount = Mount::with(store.path(), options);
        let mut folder = File::open(mount.join("x")).unwrap();
        for depth in 0..DEPTH {
            let slices = folder_in(&folder, "slices");
            let inner = folder_in(&slices, "1:");
            assert_eq!(number_of(&inner, ".."), number_of(&slices, "."), "{depth}");
            assert_ne!(number_of(&inner, "."), number_of(&folder, "."), "{depth}");
            folder = inner;
        }
        let mut array = Vec::new();
        File::from(openat(&folder, "array", OFlag::O_RDONLY, Mode::empty()).unwrap())
            .read_to_end(&mut array)
            .unwrap();
        assert_eq!(array, bytes[DEPTH * 3..]);
        // Out again by the way that led in.
        for _ in 0..DEPTH {
            folder = folder_in(&folder, "../..");
        }
        assert_eq!(number_of(&folder, "."), fs::metadata(mount.join("x")).unwrap().ino());
        assert!(own_memory(&mount) < LIMIT, "{} KiB", own_memory(&mount));
    }
}

/// Writes arrays of four bytes, each of its own.
fn write_small(store: &Path, count: usize) {
    for i in 0..count {
        let bytes = u32::try_from(i).unwrap().to_le_bytes();
        let yaml = "{version: [1, 0], dtype: uint8, shape: [2, 2]}";
        write_files(&store.join(format!("a{i:06}")), yaml, &[("array", &bytes)]);
    }
}

// Promise: The daemon keeps what the kernel knows in less than 32 MiB of its own memory: 200,000 slices of which a file is looked at, slices in slices 8,000 deep, a directory of 100,000 arrays that is listed, or 50,000 arrays that are read.
#[test]
fn many_arrays_are_listed_in_little_memory() {
    let count = many(100_000);
    let store = tempdir().unwrap();
    write_small(store.path(), count);
    let mount = Mount::new(store.path());
    let listed = || fs::read_dir(mount.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    for _ in 0..2 {
        assert_eq!(listed().filter(Metadata::is_dir).count(), count);
    }
    assert!(own_memory(&mount) < LIMIT, "{} KiB", own_memory(&mount));
    for i in (0..count).step_by(999) {
        let bytes = u32::try_from(i).unwrap().to_le_bytes();
        assert_eq!(mount.read(format!("a{i:06}/array")), bytes);
        assert_eq!(mount.read(format!("a{i:06}/rows/1")), bytes[2..]);
    }
}

// Promise: The daemon keeps what the kernel knows in less than 32 MiB of its own memory: 200,000 slices of which a file is looked at, slices in slices 8,000 deep, a directory of 100,000 arrays that is listed, or 50,000 arrays that are read.
#[test]
fn many_arrays_are_read_in_little_memory() {
    let count = many(50_000);
    let store = tempdir().unwrap();
    for i in 0..count {
        let bytes = u128::try_from(i).unwrap().to_le_bytes();
        let yaml = "{version: [1, 0], dtype: uint8, shape: [16]}";
        write_files(&store.path().join(format!("v{i:06}")), yaml, &[("array", &bytes)]);
    }
    let mount = Mount::with(store.path(), &["--no-passthrough"]);
    for i in 0..count {
        let bytes = u128::try_from(i).unwrap().to_le_bytes();
        assert!(mount.read(format!("v{i:06}/array.npy")).ends_with(&bytes));
    }
    assert!(own_memory(&mount) < LIMIT, "{} KiB", own_memory(&mount));
    let open = fs::read_dir(format!("/proc/{}/fd", mount.server())).unwrap().count();
    assert!(open < 4000, "{open} files are open");
    // What the kernel keeps of those that are not in use any more is not old.
    for i in (0..count).step_by(999) {
        fs::write(store.path().join(format!("v{i:06}.array")), [77; 16]).unwrap();
        wait_until("the new bytes show", || mount.read(format!("v{i:06}/array.npy")).ends_with(&[77; 16]));
    }
}

/// Looks into more arrays than the server has in use.
fn look_into_all(mount: &Mount, count: usize) {
    for i in 0..count {
        assert_eq!(fs::metadata(mount.join(format!("a{i:06}/array"))).unwrap().len(), 4);
    }
}

// Promise: There is one exception for open files: an array that was not used while 2,048 others were is released. Reads of files that are open on it go on if it is unchanged or was written in place, and fail with `EIO` if it was replaced.
#[test]
fn what_was_let_go_of_is_made_anew_for_who_has_it_open() {
    const COUNT: usize = 3500;
    let store = tempdir().unwrap();
    write_small(store.path(), COUNT);
    fs::write(store.path().join("plain"), "notes").unwrap();
    for options in MODES {
        let mount = Mount::with(store.path(), options);
        let open = |path: &str| File::open(mount.join(path)).unwrap();
        let folder = open("a000258");
        let unread: Vec<_> =
            ["array", "array.npy", "rows/0", "cols/1", "slices/1:/array", "slices/1:/slices/:/rows/0.csv"]
                .map(|path| open(&format!("a000258/{path}")))
                .into();
        let plain = open("plain");
        look_into_all(&mount, COUNT);
        let whole = |mut file: &File| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map(|_| bytes)
        };
        let read: Vec<_> = unread.iter().map(|file| whole(file).unwrap()).collect();
        assert_eq!(read[0], [2, 1, 0, 0]);
        assert!(read[1].ends_with(&[2, 1, 0, 0]) && read[1].len() > 100);
        assert_eq!((&*read[2], &*read[3], &*read[4]), (&[2, 1][..], &[1, 0][..], &[0, 0][..]));
        assert!(read[5].ends_with(b"0,0\n"), "{}", String::from_utf8_lossy(&read[5]));
        assert_eq!(whole(&plain).unwrap(), b"notes");
        assert!(folder_in(&folder, "slices").metadata().is_ok());
        assert_eq!(mount.faults().len(), 0);
    }
}

// Promise: There is one exception for open files: an array that was not used while 2,048 others were is released. Reads of files that are open on it go on if it is unchanged or was written in place, and fail with `EIO` if it was replaced.
#[test]
fn what_was_let_go_of_and_replaced_never_gives_other_bytes() {
    const COUNT: usize = 3500;
    let store = tempdir().unwrap();
    write_small(store.path(), COUNT);
    let mount = Mount::with(store.path(), &["--no-passthrough"]);
    let file = File::open(mount.join("a000258/array")).unwrap();
    look_into_all(&mount, COUNT);
    fs::write(store.path().join("new"), [9; 4]).unwrap();
    fs::rename(store.path().join("new"), store.path().join("a000258.array")).unwrap();
    let mut bytes = [0; 4];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => assert_eq!(bytes, [2, 1, 0, 0]),
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO)),
    }
    wait_until("the new version shows", || {
        fs::read(mount.join("a000258/array")).is_ok_and(|bytes| bytes == [9; 4])
    });
}

#[test]
fn what_was_read_is_heard_of_however_many_are_in_use() {
    const COUNT: usize = 3500;
    let store = tempdir().unwrap();
    write_small(store.path(), COUNT);
    for options in MODES {
        let mount = Mount::with(store.path(), options);
        let file = File::open(mount.join("a000258/rows/0.npy")).unwrap();
        let last = || {
            let mut byte = [0];
            file.read_exact_at(&mut byte, file.metadata().unwrap().len() - 1).unwrap();
            byte[0]
        };
        last();
        look_into_all(&mount, COUNT);
        let array = store.path().join("a000258.array");
        let writer = File::options().read(true).write(true).open(array).unwrap();
        // SAFETY: others read the file by reading it.
        let mut map = unsafe { memmap2::MmapMut::map_mut(&writer) }.unwrap();
        drop(writer);
        for byte in [77, 78] {
            // The second time no time of the file changes.
            map.fill(byte);
            wait_until("the new bytes show", || last() == byte);
        }
        map.fill(79);
        drop(map);
        wait_until("the last bytes show", || last() == 79);
    }
}
