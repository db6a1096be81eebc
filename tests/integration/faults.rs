//! Real failures under a mount: a read returns the right bytes or an error, and other files stay readable.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::{
    Mount, Sparse, arrayfs, names, run, stdout, wait_until, within, write_dense, write_files, write_hole,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::{TempDir, tempdir};

/// What a mount may answer for an array that is broken now: to a file that was found before, or anew.
const GONE: [i32; 2] = [libc::EIO, libc::ENOENT];

fn errno<T>(result: io::Result<T>) -> i32 {
    result.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |_| 0)
}

fn is_mounted(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == path.to_str())
}

/// Descriptors and threads of a process.
fn burden(pid: u32) -> (usize, usize) {
    let count = |what: &str| names(Path::new(&format!("/proc/{pid}/{what}"))).len();
    (count("fd"), count("task"))
}

/// Puts a new file in the place of `path` at once, as careful writers do.
fn replace(path: &Path, bytes: &[u8]) {
    let elsewhere = tempfile::NamedTempFile::new_in(path.parent().unwrap().parent().unwrap()).unwrap();
    fs::write(elsewhere.path(), bytes).unwrap();
    elsewhere.persist(path).unwrap();
}

/// A store in a directory of its own, so that files beside it are on the same disk.
fn new_store() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let store = dir.path().join("store");
    fs::create_dir(&store).unwrap();
    (dir, store)
}

fn set_len(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// Reads a file in pieces, however short they come, and says what it got and how it ended.
fn drain(file: &File, piece: usize) -> (Vec<u8>, i32) {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0xAA; piece]);
    loop {
        match file.read_at(&mut buffer, bytes.len() as u64) {
            Ok(0) => return (bytes, 0),
            Ok(count) => bytes.extend(&buffer[..count]),
            Err(error) => return (bytes, error.raw_os_error().unwrap()),
        }
    }
}

/// How a store can be mounted: with passthrough where the system has it, and without.
const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];

/// Whether the kernel reads this file of an array by itself; then a file that shrank ends early.
fn is_passthrough(mount: &Mount, view: &str) -> bool {
    let is_on = String::from_utf8(mount.read(".arrayfs/mount.yaml")).unwrap().contains("passthrough: true");
    is_on && ["array", "data", "indices", "indptr"].contains(&view)
}

// Promise: A read within a file returns the right bytes or fails with `EIO`: never other bytes, never zeros in place of bytes, never fewer bytes than there are.
// Promise: A broken array that is repaired appears again within a second.
#[test]
fn a_truncated_source_is_an_error_through_every_view() {
    for options in MODES {
        truncate_under_every_view(options);
    }
}

fn truncate_under_every_view(options: &[&str]) {
    // Whole pages are lost, a part of a page, or a single byte.
    for (name, left) in
        [("all", 0u64), ("half", 32_768), ("mid-page", 32_000), ("little", 100), ("one byte", 65_535)]
    {
        let (_dir, store) = new_store();
        let bytes = write_dense(&store.join("m"), "int32", &[128, 128]);
        let sound = write_dense(&store.join("sound"), "int32", &[128, 128]);
        let mount = Mount::with(&store, options);
        let views = [
            "array",
            "array.npy",
            "array.csv",
            "array.mtx",
            "10x/matrix.mtx.gz",
            "slices/::2/array.tsv",
            "rows/127",
            "rows/127.npy",
            "cols/3",
            "cols/3.npy",
            "slices/2:/array",
            "slices/2:/array.npy",
            "slices/::2/array",
            "slices/1::2/rows/63",
            "slices/10:/slices/::3/cols/5",
            "slices/100:/array",
        ];
        let open: Vec<_> =
            views.iter().map(|view| (view, File::open(mount.join(format!("m/{view}"))).unwrap())).collect();
        // Read without the mount, lest the kernel knows the bytes already.
        let whole =
            views.map(|view| stdout(["cat".as_ref(), store.as_os_str(), format!("m/{view}").as_ref()]));
        set_len(&store.join("m.array"), left);
        for ((view, file), whole) in open.iter().zip(&whole) {
            let (read, error) = drain(file, 4096);
            assert!(whole.starts_with(&read), "{name}: {view} gave wrong bytes");
            if is_passthrough(&mount, view) {
                assert_eq!((error, read.len() as u64), (0, left), "{name}: {view}");
                continue;
            }
            // The last byte is no part of these.
            let is_spared = left == 65_535 && (view.contains("cols") || view.contains("::2/array"));
            assert!(
                error == libc::EIO || is_spared && read == *whole,
                "{name}: {view} ended after {}",
                read.len()
            );
        }
        let faults = mount.faults();
        assert_eq!(faults.keys().collect::<Vec<_>>(), ["m"], "{name}: {faults:?}");
        assert!(faults["m"].contains("m.array"), "{name}: {faults:?}");
        // The kernel may know some bytes for a moment: they are right, then.
        for (view, whole) in views.iter().zip(&whole) {
            wait_until("what is opened anew is gone", || match fs::read(mount.join(format!("m/{view}"))) {
                Ok(read) => {
                    assert!(read == *whole, "{name}: {view} gave wrong bytes");
                    false
                }
                Err(error) => GONE.contains(&error.raw_os_error().unwrap()),
            });
        }
        wait_until("it is left out", || mount.list("") == ["sound"]);
        wait_until("it is not found", || errno(fs::metadata(mount.join("m"))) == libc::ENOENT);
        assert_eq!(mount.read("sound/array"), sound, "{name}");
        drop(open);
        // Mended, it is there again.
        fs::write(store.join("m.array"), &bytes).unwrap();
        wait_until("it is back", || fs::read(mount.join("m/array")).is_ok_and(|read| read == bytes));
        assert_eq!(mount.faults().len(), 0, "{name}");
    }
}

// Promise: A read within a file returns the right bytes or fails with `EIO`: never other bytes, never zeros in place of bytes, never fewer bytes than there are.
#[test]
fn a_truncated_part_of_a_sparse_matrix_is_an_error_where_it_is_needed() {
    let views = [
        (
            "data",
            "data data.npy dense dense.npy dense.csv matrix.csv matrix.mtx rows/28/data rows/28/dense rows/28.npy slices/5:/data slices/::2/data slices/::2/dense",
        ),
        (
            "indices",
            "indices indices.npy dense matrix.csv 10x.v2/matrix.mtx rows/28/indices rows/28/dense slices/5:/indices slices/::2/indices slices/::2/dense",
        ),
        ("indptr", "indptr indptr.npy dense slices/5:/indptr slices/1::2/indptr slices/1::2/dense"),
    ];
    for ((part, needing), options) in views.iter().flat_map(|view| MODES.map(|mode| (*view, mode))) {
        let (_dir, store) = new_store();
        let sparse = Sparse::example(30, 40);
        sparse.write(&store.join("s"));
        let mount = Mount::with(&store, options);
        let open: Vec<_> = needing
            .split(' ')
            .map(|view| (view, File::open(mount.join(format!("s/{view}"))).unwrap()))
            .collect();
        let path = store.join(format!("s.{part}"));
        set_len(&path, fs::metadata(&path).unwrap().len() - 3);
        for (view, file) in &open {
            let (read, error) = drain(file, 1 << 16);
            if is_passthrough(&mount, view) {
                assert_eq!((error, read.len() as u64), (0, fs::metadata(&path).unwrap().len()), "{view}");
                continue;
            }
            assert_eq!(error, libc::EIO, "{part} cut: {view} ended after {}", read.len());
        }
        assert!(mount.faults()["s"].contains(&format!("s.{part}")), "{:?}", mount.faults());
        wait_until("it is left out", || mount.list("") == [""; 0]);
    }
}

// Promise: If a source is truncated during a read, the read returns the right bytes or fails with `EIO`.
#[test]
fn a_source_truncated_while_it_is_read_gives_right_bytes_or_an_error() {
    const SIZE: usize = 4 << 20;
    let pattern: Arc<Vec<u8>> = Arc::new((0..SIZE as u64 / 8).flat_map(|i| (i + 1).to_le_bytes()).collect());
    let (_dir, store) = new_store();
    for i in 0..50 {
        let yaml = format!("{{version: [1, 0], dtype: uint64, shape: [{}, 64]}}", SIZE / 512);
        write_files(&store.join(format!("m{i:02}")), &yaml, &[("array", &pattern)]);
    }
    write_hole(&store.join("gigabyte"), "uint8", &[1 << 20, 1 << 10]);
    let sound = write_dense(&store.join("sound"), "int16", &[40, 3]);
    // Without passthrough, so that it is this program that reads.
    let mount = Mount::with(&store, &["--no-passthrough"]);
    let server = mount.server();
    for i in 0..50u64 {
        // Every other reader reads what is computed, and not the mapped bytes.
        let (view, header, first) =
            [("array", 0, 0), ("array.npy", 128, 0), ("slices/1::1/array", 0, 512)][i as usize % 3];
        let file = File::open(mount.join(format!("m{i:02}/{view}"))).unwrap();
        let (progress, expected) = (Arc::new(AtomicU64::new(0)), Arc::clone(&pattern));
        let seen = Arc::clone(&progress);
        let reader = std::thread::spawn(move || {
            let (mut at, mut buffer) = (header, vec![0; 20_000]);
            let size = file.metadata().unwrap().len();
            loop {
                match file.read_at(&mut buffer, at) {
                    Ok(0) => {
                        assert_eq!(at, size, "an end where there is none");
                        return 0;
                    }
                    Ok(count) => {
                        let start = (at - header) as usize + first;
                        assert!(buffer[..count] == expected[start..start + count], "wrong bytes at {at}");
                        at += count as u64;
                        seen.store(at, Ordering::Release);
                    }
                    Err(error) => return error.raw_os_error().unwrap(),
                }
            }
        });
        let when = (i * 7919) % 60 * (SIZE as u64 / 100);
        while progress.load(Ordering::Acquire) < when && !reader.is_finished() {
            std::thread::yield_now();
        }
        set_len(&store.join(format!("m{i:02}.array")), (i * 104_729) % (SIZE as u64));
        let ended = reader.join().unwrap();
        assert!([0, libc::EIO].contains(&ended), "{ended}");
    }
    let file = File::open(mount.join("gigabyte/array")).unwrap();
    let reader = std::thread::spawn(move || drain_errno(&file));
    std::thread::sleep(Duration::from_millis(20));
    set_len(&store.join("gigabyte.array"), 12_345);
    assert!([0, libc::EIO].contains(&reader.join().unwrap()));
    assert_eq!(mount.read("sound/array"), sound);
    assert_eq!(mount.server(), server, "the same process serves");
    assert!(mount.faults().len() >= 50, "{:?}", mount.faults());
}

fn drain_errno(file: &File) -> i32 {
    let (mut buffer, mut at) = (vec![0; 1 << 20], 0);
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => return 0,
            Ok(count) => at += count as u64,
            Err(error) => return error.raw_os_error().unwrap(),
        }
    }
}

// Promise: An open file keeps the version of its array that it was opened in, whatever replaces the array.
// Promise: No file ever mixes two versions of an array.
#[test]
fn a_source_replaced_by_one_of_the_same_size_is_seen_whole() {
    let (_dir, store) = new_store();
    let old = write_dense(&store.join("m"), "int32", &[256, 128]);
    let new: Vec<u8> = old.iter().map(|byte| !byte).collect();
    let mount = Mount::new(&store);
    let views = ["array", "rows/200", "slices/::2/array", "array.npy", "cols/7"];
    let before: Vec<_> = views.iter().map(|view| mount.read(format!("m/{view}"))).collect();
    let open: Vec<_> =
        views.iter().map(|view| File::open(mount.join(format!("m/{view}"))).unwrap()).collect();
    replace(&store.join("m.array"), &new);
    wait_until("the new array is read", || {
        let read = mount.read("m/array");
        assert!(read == old || read == new, "a mix of two versions");
        read == new
    });
    for ((view, file), before) in views.iter().zip(&open).zip(&before) {
        assert_eq!(drain(file, 10_000), (before.clone(), 0), "{view} stays as it was opened");
    }
    wait_until("the new rows are read", || mount.read("m/rows/200") == new[200 * 512..201 * 512]);
    assert!(mount.read("m/array.npy").ends_with(&new));
    assert_eq!(mount.faults().len(), 0, "a replacement is no fault");
}

// Promise: A file opened after a change is of the new version: within milliseconds where the system reports changes, within a second where it does not.
// Promise: Inode numbers are the same at every mount, and a replaced array gets new ones.
#[test]
fn changes_show_as_they_happen() {
    for options in MODES {
        let (_dir, store) = new_store();
        fs::create_dir(store.join("sub")).unwrap();
        write_dense(&store.join("sub/m"), "uint8", &[10, 4]);
        let mount = Mount::with(&store, options);
        let start = Instant::now();
        for byte in 0..60u8 {
            let before = fs::metadata(mount.join("sub/m/rows/3")).unwrap().ino();
            replace(&store.join("sub/m.array"), &[byte; 40]);
            let is_new = |view: &str| fs::read(mount.join(view)).unwrap().iter().all(|read| *read == byte);
            wait_until("the row is new", || is_new("sub/m/rows/3"));
            wait_until("the array is new", || is_new("sub/m/array"));
            assert_ne!(fs::metadata(mount.join("sub/m/rows/3")).unwrap().ino(), before);
        }
        // If each had to wait until names are not taken for granted any more, this would take a minute.
        assert!(start.elapsed() < Duration::from_secs(30), "{:?} for 60 changes", start.elapsed());
    }
}

// Promise: An open file keeps the version of its array that it was opened in, whatever replaces the array.
#[test]
fn a_plain_file_replaced_is_seen_whole_and_open_ones_go_on() {
    let (_dir, store) = new_store();
    let (old, new) = (vec![1; 300_000], vec![2; 500_000]);
    fs::write(store.join("plain"), &old).unwrap();
    let mount = Mount::new(&store);
    let open = File::open(mount.join("plain")).unwrap();
    replace(&store.join("plain"), &new);
    wait_until("the new file is read", || {
        let read = mount.read("plain");
        assert!(read == old || read == new, "a mix of two versions");
        read == new
    });
    assert_eq!(fs::metadata(mount.join("plain")).unwrap().len(), 500_000);
    assert_eq!(drain(&open, 10_000), (old, 0));
    set_len(&store.join("plain"), 1000);
    wait_until("the short file is read", || {
        fs::read(mount.join("plain")).is_ok_and(|read| read == [2; 1000])
    });
}

// Promise: No file ever mixes two versions of an array.
#[test]
fn an_array_replaced_by_one_of_another_shape_is_never_mixed_with_it() {
    let (_dir, store) = new_store();
    let old = write_dense(&store.join("m"), "uint8", &[6, 4]);
    let mount = Mount::new(&store);
    let rows = File::open(mount.join("m/rows/5")).unwrap();
    let new: Vec<u8> = (100..140).collect();
    replace(&store.join("m.array"), &new);
    replace(&store.join("m.yaml"), b"{version: [1, 0], dtype: uint8, shape: [4, 10]}");
    wait_until("the new array is read", || match fs::read(mount.join("m/array")) {
        Ok(read) => {
            assert!(read == old || read == new, "{read:?}");
            read == new
        }
        Err(error) => {
            assert!(GONE.contains(&error.raw_os_error().unwrap()), "{error}");
            false
        }
    });
    wait_until("the new rows are listed", || mount.list("m/rows") == ["0", "1", "2", "3"]);
    assert_eq!(mount.read("m/rows/3"), new[30..]);
    assert_eq!(mount.read_error("m/rows/5"), libc::ENOENT);
    assert_eq!(drain(&rows, 100), (old[20..].to_vec(), 0));
}

// Promise: While metadata is rewritten, readers see the old array or the new one, whole.
#[test]
fn metadata_rewritten_gives_the_old_or_the_new_array() {
    // Twice: replaced by a careful writer, and written over in place.
    for in_place in [false, true] {
        let (_dir, store) = new_store();
        let bytes = write_dense(&store.join("m"), "uint8", &[6, 4]);
        let mount = Mount::new(&store);
        let open = File::open(mount.join("m/rows/3")).unwrap();
        let yaml = b"{version: [1, 0], dtype: uint8, shape: [4, 6]}";
        // Listings are known to the kernel, too.
        assert_eq!(mount.list("m/rows").len(), 6);
        if in_place {
            fs::write(store.join("m.yaml"), yaml).unwrap();
        } else {
            replace(&store.join("m.yaml"), yaml);
        }
        wait_until("the new shape is seen", || {
            let found = (
                errno(File::open(mount.join("m/rows/3"))),
                fs::read(mount.join("m/rows/3")).unwrap_or_default(),
            );
            let (before, after) = (&bytes[12..16], &bytes[18..24]);
            assert!([0, libc::EIO, libc::ENOENT].contains(&found.0), "{}", found.0);
            assert!(found.1.is_empty() || found.1 == before || found.1 == after, "{found:?}");
            found.1 == after
        });
        assert_eq!(mount.list("m/rows").len(), 4);
        assert_eq!(mount.read_error("m/rows/4"), libc::ENOENT);
        assert_eq!(mount.read("m/array"), bytes);
        let meta: serde_yaml::Value = serde_yaml::from_slice(&mount.read("m/meta.yaml")).unwrap();
        assert_eq!(meta["shape"], serde_yaml::from_str::<serde_yaml::Value>("[4, 6]").unwrap());
        let (read, error) = drain(&open, 100);
        assert!(error == libc::EIO || read == bytes[12..16], "{read:?} {error}");
    }
}

// Promise: A deleted file can still be read by programs that have it open; others stop finding it within a second.
#[test]
fn a_deleted_source_goes_on_for_who_has_it_open() {
    let (_dir, store) = new_store();
    let bytes = write_dense(&store.join("m"), "int32", &[100, 200]);
    let sparse = Sparse::example(30, 40);
    sparse.write(&store.join("s"));
    fs::write(store.join("plain"), b"plain").unwrap();
    let mount = Mount::new(&store);
    let open = |name: &str| File::open(mount.join(name)).unwrap();
    let files = [open("m/array"), open("m/slices/::2/array"), open("s/dense"), open("plain")];
    for name in names(&store) {
        fs::remove_file(store.join(name)).unwrap();
    }
    for name in ["m", "m/array", "m/rows/1", "m/rows", "s/dense", "plain"] {
        wait_until("nothing is found any more", || match errno(File::open(mount.join(name))) {
            libc::ENOENT => true,
            error => {
                assert!([0, libc::EIO].contains(&error), "{name}: {error}");
                false
            }
        });
    }
    assert_eq!(mount.list(""), [""; 0]);
    let [array, slice, dense, plain] = files.map(|file| drain(&file, 7000));
    assert_eq!(array, (bytes.clone(), 0));
    assert_eq!(slice, (bytes.chunks(800).step_by(2).flatten().copied().collect(), 0));
    assert_eq!(dense.0, sparse.dense().iter().flat_map(|item| item.to_le_bytes()).collect::<Vec<_>>());
    assert_eq!(plain, (b"plain".to_vec(), 0));
    assert_eq!(mount.faults().len(), 0);
}

// Promise: An array whose data file is longer or shorter than its metadata says is broken until they agree.
#[test]
fn a_source_that_grows_is_broken_until_its_metadata_follows() {
    let (_dir, store) = new_store();
    let bytes = write_dense(&store.join("m"), "uint8", &[6, 4]);
    let mount = Mount::new(&store);
    let open = File::open(mount.join("m/array")).unwrap();
    let grown = [&bytes[..], b"more"].concat();
    File::options().append(true).open(store.join("m.array")).unwrap().write_all_at_end(b"more");
    wait_until("it is left out", || {
        let error = errno(fs::read(mount.join("m/array")));
        assert!([0, libc::EIO, libc::ENOENT].contains(&error), "{error}");
        error == libc::ENOENT
    });
    assert!(mount.faults()["m"].contains("28 bytes"), "{:?}", mount.faults());
    let (read, error) = drain(&open, 100);
    // What the kernel reads by itself has grown.
    assert!(error == libc::EIO || read == bytes || read == grown, "{read:?}");
    replace(&store.join("m.yaml"), b"{version: [1, 0], dtype: uint8, shape: [7, 4]}");
    wait_until("it is back", || fs::read(mount.join("m/array")).is_ok_and(|read| read == grown));
    wait_until("the new row is there", || fs::read(mount.join("m/rows/6")).is_ok_and(|read| read == b"more"));
    assert_eq!(mount.faults().len(), 0);
}

/// Writing to the end in one call.
trait WriteAtEnd {
    fn write_all_at_end(&self, bytes: &[u8]);
}

impl WriteAtEnd for File {
    fn write_all_at_end(&self, bytes: &[u8]) {
        self.write_all_at(bytes, self.metadata().unwrap().len()).unwrap();
    }
}

// Promise: Errors do not leak: memory, descriptors and threads return to their previous level.
#[test]
fn a_server_that_saw_a_hundred_faults_carries_nothing_of_them() {
    let (_dir, store) = new_store();
    let sound = write_dense(&store.join("sound"), "int16", &[40, 3]);
    let mount = Mount::new(&store);
    assert_eq!(mount.read("sound/array"), sound);
    let before = burden(mount.server());
    for i in 0..100 {
        let name = format!("m{i}");
        let bytes = write_dense(&store.join(&name), "uint8", &[64, 64]);
        let read = File::open(mount.join(format!("{name}/array"))).unwrap();
        assert_eq!(drain(&read, 1000), (bytes, 0));
        set_len(&store.join(format!("{name}.array")), 5);
        drop(read);
        fs::remove_file(store.join(format!("{name}.array"))).unwrap();
        fs::remove_file(store.join(format!("{name}.yaml"))).unwrap();
    }
    fs::write("/proc/sys/vm/drop_caches", "2").unwrap_or_else(|e| {
        crate::common::say_skipped(&format!("only root can make the kernel forget ({e})"))
    });
    // What the kernel still remembers may still be open; it forgets in its own time, so allow for some.
    wait_until("the files are closed", || {
        let _ = mount.list("");
        let now = burden(mount.server());
        now.0 <= before.0 + 100 && now.1 == before.1
    });
    assert_eq!(mount.read("sound/array"), sound);
}

/// A mount that stays in the foreground, with readers that read on until they cannot.
struct Foreground {
    child: Child,
    mountpoint: TempDir,
    readers: Vec<std::thread::JoinHandle<i32>>,
    stop: Arc<AtomicBool>,
}

impl Foreground {
    fn new(store: &Path, options: &[&str]) -> Self {
        let mountpoint = tempdir().unwrap();
        let mut child = arrayfs()
            .args(["mount", "--foreground"])
            .args(options)
            .arg(store)
            .arg(mountpoint.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("mounted on"), "{line}");
        Self { child, mountpoint, readers: Vec::new(), stop: Arc::default() }
    }

    /// Readers that have files open, and others that open them again and again.
    fn read_on(&mut self, path: &str) {
        for i in 0..4 {
            let (path, stop) = (self.mountpoint.path().join(path), Arc::clone(&self.stop));
            let (ready, is_ready) = std::sync::mpsc::channel();
            self.readers.push(std::thread::spawn(move || {
                let file = File::open(&path).unwrap();
                let (mut at, mut buffer) = (0, vec![0; 1 << 16]);
                while !stop.load(Ordering::Acquire) {
                    let again = if i % 2 == 0 { Ok(()) } else { File::open(&path).map(drop) };
                    let read = again.and_then(|()| file.read_at(&mut buffer, at));
                    let _ = ready.send(());
                    match read {
                        Ok(count) => at = if count == 0 { 0 } else { at + count as u64 },
                        Err(error) => return error.raw_os_error().unwrap(),
                    }
                }
                0
            }));
            is_ready.recv().unwrap();
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for the server and the readers, and returns how they ended.
    fn end(mut self) -> (std::process::ExitStatus, Vec<i32>) {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(start.elapsed() < Duration::from_secs(30), "the server does not end"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.stop.store(true, Ordering::Release);
        let readers = std::mem::take(&mut self.readers);
        (
            status,
            within(30, "a reader", move || {
                readers.into_iter().map(|reader| reader.join().unwrap()).collect()
            }),
        )
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = arrayfs().arg("unmount").arg(self.mountpoint.path()).output();
    }
}

// Promise: `SIGTERM`, `SIGINT` and `SIGHUP` unmount, with readers in the middle, and the exit status is 0.
#[test]
fn a_signal_unmounts_with_readers_in_the_middle() {
    let (_dir, store) = new_store();
    write_hole(&store.join("big"), "float32", &[100_000, 1000]);
    for (signal, options) in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
        .iter()
        .flat_map(|signal| MODES.map(|mode| (*signal, mode)))
    {
        for readers in [true, false] {
            let mut mount = Foreground::new(&store, options);
            let path = mount.mountpoint.path().to_owned();
            if readers {
                mount.read_on("big/slices/::2/array");
                mount.read_on("big/array");
            }
            assert!(is_mounted(&path));
            mount.signal(signal);
            wait_until("it is unmounted", || !is_mounted(&path));
            let keep = path.clone();
            let (status, ends) = mount.end();
            assert_eq!(status.code(), Some(0), "{signal} {status}");
            let known = [0, libc::ENOENT, libc::ENOTCONN, libc::ECONNABORTED, libc::EIO];
            assert!(ends.iter().all(|end| known.contains(end)), "{ends:?}");
            assert!(!keep.exists() || names(&keep).is_empty(), "nothing of the mount is left");
        }
    }
}

// Promise: `SIGTERM`, `SIGINT` and `SIGHUP` unmount, with readers in the middle, and the exit status is 0.
#[test]
fn a_signal_to_a_server_in_the_background_unmounts() {
    let (_dir, store) = new_store();
    write_hole(&store.join("big"), "float32", &[100_000, 1000]);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mount = Mount::new(&store);
        let (path, server) = (mount.path().to_owned(), mount.server());
        let file = File::open(mount.join("big/array")).unwrap();
        kill(Pid::from_raw(server as i32), signal).unwrap();
        wait_until("it is unmounted", || !is_mounted(&path));
        assert_eq!(names(&path), [""; 0]);
        wait_until("the server is gone", || !is_running(server));
        drop(file);
        assert_eq!(
            run(["unmount".as_ref(), path.as_os_str()]).status.code(),
            Some(1),
            "nothing is left to unmount"
        );
    }
}

/// Whether a process runs; one that is dead and waits for its parent does not.
fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

// Promise: Unmounting by any means ends the daemon.
#[test]
fn the_server_ends_when_the_mount_is_taken_away() {
    let (_dir, store) = new_store();
    let bytes = write_dense(&store.join("m"), "int8", &[50, 70]);
    let mount = Mount::new(&store);
    let server = mount.server();
    let file = File::open(mount.join("m/array")).unwrap();
    assert!(run(["unmount".as_ref(), mount.path().as_os_str()]).status.success());
    assert!(!is_mounted(mount.path()));
    assert_eq!(drain(&file, 100), (bytes, 0), "who has a file open reads on");
    drop(file);
    wait_until("the server is gone", || !is_running(server));
}

// Promise: After `SIGKILL` readers get an error at once, the next mount clears the dead one and says so, and `arrayfs unmount` works.
#[test]
fn a_killed_server_is_told_cleared_and_unmounted() {
    let (_dir, store) = new_store();
    write_hole(&store.join("big"), "float32", &[100_000, 1000]);
    let bytes = write_dense(&store.join("m"), "int8", &[5, 7]);
    MODES.iter().for_each(|options| kill_and_mount_again(&store, &bytes, options));
}

fn kill_and_mount_again(store: &Path, bytes: &[u8], options: &[&str]) {
    let mut dead = Foreground::new(store, options);
    let path = dead.mountpoint.path().to_owned();
    dead.read_on("big/slices/::2/array");
    dead.signal(Signal::SIGKILL);
    let readers = std::mem::take(&mut dead.readers);
    let ends: Vec<i32> = within(30, "a reader of a dead mount", move || {
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    assert!(ends.iter().all(|end| [libc::ENOTCONN, libc::ECONNABORTED].contains(end)), "{ends:?}");
    assert_eq!(dead.child.wait().unwrap().signal(), Some(libc::SIGKILL));
    let found = within(30, "a look at a dead mount", move || errno(fs::metadata(path.join("m/array"))));
    assert_eq!(found, libc::ENOTCONN);

    let path = dead.mountpoint.path();
    let again = arrayfs().arg("mount").args(options).args([store, path]).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(0), "{said}");
    assert!(said.contains("cleared") && said.lines().count() == 1, "{said}");
    assert_eq!(fs::read(path.join("m/array")).unwrap(), bytes);
    assert!(run(["unmount".as_ref(), path.as_os_str()]).status.success());
    assert!(!is_mounted(path));

    let mount = Mount::with(store, options);
    kill(Pid::from_raw(mount.server() as i32), Signal::SIGKILL).unwrap();
    wait_until("it is dead", || errno(fs::metadata(mount.path())) == libc::ENOTCONN);
    let unmount = run(["unmount".as_ref(), mount.path().as_os_str()]);
    assert!(unmount.status.success(), "{unmount:?}");
    assert!(!is_mounted(mount.path()));
    assert_eq!(names(mount.path()), [""; 0]);
}

// Promise: A mount that cannot be is refused in one line, with exit status 1, and nothing is mounted.
#[test]
fn a_mount_that_cannot_be_is_refused_in_a_line() {
    let (dir, store) = new_store();
    let path = |name: &str| dir.path().join(name);
    write_dense(&store.join("m"), "int8", &[5, 7]);
    fs::create_dir_all(store.join("below/deep")).unwrap();
    fs::create_dir_all(path("full/inside")).unwrap();
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("file"), "x").unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    symlink(&store, path("link-to-store")).unwrap();
    let mounted = Mount::new(&store);
    let taken = mounted.path().to_owned();
    let cases: [(&str, PathBuf, PathBuf, &str); 11] = [
        ("two mounts at one place", store.clone(), taken.clone(), "mounted there already"),
        ("a directory that is not empty", store.clone(), path("full"), "not empty"),
        ("a missing directory", store.clone(), path("missing"), "no such directory"),
        ("a dangling link", store.clone(), path("dangling"), "dangling"),
        ("a file as mountpoint", store.clone(), path("file"), "not a directory"),
        ("a store that is a file", path("file"), path("empty"), "a directory"),
        ("a store that is missing", path("missing"), path("empty"), "missing"),
        ("inside its own store", store.clone(), store.join("below/deep"), "inside the store"),
        (
            "inside its own store by a link",
            store.clone(),
            path("link-to-store/below/deep"),
            "inside the store",
        ),
        ("its own store", store.clone(), store.clone(), "inside the store"),
        ("inside another mount", store.clone(), taken.join("below/deep"), "deep"),
    ];
    for (name, from, to, why) in cases {
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let (from_too, to_too) = (from.clone(), to.clone());
        let output =
            within(30, name, move || run(["mount".as_ref(), from_too.as_os_str(), to_too.as_os_str()]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if name == "inside another mount" && output.status.success() {
            // Mounting on an empty directory of another mount is nobody's harm.
            assert!(run(["unmount".as_ref(), to.as_os_str()]).status.success());
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{name}: {said}");
        assert_eq!(output.stdout, b"", "{name}");
        let mine =
            |table: &str| table.lines().filter(|line| line.contains(dir.path().to_str().unwrap())).count();
        assert_eq!(mine(&fs::read_to_string("/proc/self/mountinfo").unwrap()), mine(&before), "{name}");
    }
    assert!(mounted.list("").contains(&"m".to_owned()), "the first mount serves on");
}

// Promise: A mount inside its own store is never walked into.
#[test]
fn a_mount_inside_a_store_is_not_walked_into() {
    let (_dir, store) = new_store();
    let (_other_dir, other) = new_store();
    let bytes = write_dense(&store.join("m"), "int8", &[5, 7]);
    fs::create_dir(store.join("below")).unwrap();
    write_dense(&other.join("n"), "int8", &[5]);
    assert!(run(["mount".as_ref(), other.as_os_str(), store.join("below").as_os_str()]).status.success());
    let inner = store.join("below");
    let result = std::panic::catch_unwind(|| {
        let store = store.clone();
        within(30, "a store with a mount in it", move || {
            let mount = Mount::new(&store);
            assert_eq!(mount.read("m/array"), bytes);
            assert!(mount.list("").contains(&"m".to_owned()));
            let faults = mount.faults();
            assert_eq!(faults.keys().collect::<Vec<_>>(), ["below"], "{faults:?}");
            assert_ne!(errno(fs::metadata(mount.join("below/n"))), 0);
        });
    });
    assert!(run(["unmount".as_ref(), inner.as_os_str()]).status.success());
    result.unwrap();
}

/// Files of the store that a process has open although they are gone.
fn held_after_death(pid: u32) -> Vec<String> {
    let open = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    open.map(|path| path.to_string_lossy().into_owned()).filter(|path| path.ends_with("(deleted)")).collect()
}

// Promise: A replaced or deleted version is released once no program reads it, where the system reports changes: its disk space is free within seconds.
#[test]
fn what_is_gone_is_let_go_of_when_nobody_reads_it() {
    for options in MODES {
        let (_dir, store) = new_store();
        for name in ["replaced", "deleted", "held"] {
            write_dense(&store.join(name), "int16", &[300, 20]);
        }
        Sparse::example(30, 40).write(&store.join("sparse"));
        fs::write(store.join("notes.txt"), "notes").unwrap();
        let mount = Mount::with(&store, options);
        let views = [
            "array",
            "array.npy",
            "array.csv",
            "rows/7",
            "rows/123",
            "cols/3",
            "slices/2:9/rows/1",
            "array.zarr/c/0/0",
        ];
        for name in ["replaced", "deleted", "held"] {
            views.iter().for_each(|view| drop(mount.read(format!("{name}/{view}"))));
        }
        for view in ["data", "dense", "rows/7/data", "matrix.npz"] {
            mount.read(format!("sparse/{view}"));
        }
        mount.read("notes.txt");
        // In use when it happens, in every way there is.
        let held: Vec<_> = views
            .iter()
            .map(|view| (view, File::open(mount.join(format!("held/{view}"))).unwrap()))
            .collect();
        let folder = File::open(mount.join("held/rows")).unwrap();
        let before: Vec<_> = held.iter().map(|(_, file)| drain(file, 4096).0).collect();
        for name in ["replaced", "held"] {
            replace(&store.join(format!("{name}.array")), &[1; 12_000]);
        }
        for name in [
            "deleted.array",
            "deleted.yaml",
            "sparse.data",
            "sparse.indices",
            "sparse.indptr",
            "sparse.yaml",
            "notes.txt",
        ] {
            fs::remove_file(store.join(name)).unwrap();
        }
        let server = mount.server();
        wait_until("only what is in use is held", || {
            held_after_death(server).iter().all(|path| path.contains("held.array"))
        });
        assert_ne!(held_after_death(server), [""; 0], "{options:?}");
        for ((view, file), before) in held.iter().zip(before) {
            assert!(drain(file, 4096) == (before, 0), "{view} goes on");
        }
        drop((held, folder));
        wait_until("nothing is held", || held_after_death(server).is_empty());
        assert_eq!(mount.read("held/array"), [1; 12_000]);
    }
}

/// Maps a file, waits for a line, and reads the last byte of the map.
const READS_A_MAP: &str = "import mmap, sys
with open(sys.argv[1], 'rb') as file:
    map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print(map[0], flush=True)
sys.stdin.readline()
print(map[-1])";

// Promise: A program that maps a file of the mount gets `SIGBUS` beyond the end of a truncated source, as on any file system; no other program is affected.
#[test]
fn a_map_of_a_source_that_is_cut_kills_its_reader_only() {
    for options in MODES {
        let (_dir, store) = new_store();
        for name in ["whole", "cut"] {
            write_files(
                &store.join(name),
                "{version: [1, 0], dtype: uint8, shape: [4096, 1024]}",
                &[("array", &vec![7; 4 << 20])],
            );
        }
        let mount = Mount::with(&store, options);
        for view in ["array", "array.npy", "slices/::2/array"] {
            let start = |name: &str| {
                let python = std::env::var_os("ARRAYFS_TEST_PYTHON").expect("set by scripts/test");
                let mut reader = std::process::Command::new(python)
                    .args(["-c", READS_A_MAP])
                    .arg(mount.join(format!("{name}/{view}")))
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut line = String::new();
                BufReader::new(reader.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
                reader
            };
            let (whole, cut) = (start("whole"), start("cut"));
            set_len(&store.join("cut.array"), 8192);
            // Standard input ends here, for both.
            let [whole, cut] = [whole, cut].map(|reader| reader.wait_with_output().unwrap());
            assert_eq!((whole.status.code(), &whole.stdout[..]), (Some(0), &b"7\n"[..]), "{view}");
            assert_eq!(cut.status.signal(), Some(libc::SIGBUS), "{view}: {cut:?}");
            assert_eq!(mount.read(format!("whole/{view}")).last(), Some(&7));
            fs::write(store.join("cut.array"), vec![7; 4 << 20]).unwrap();
            wait_until("it is back", || {
                fs::read(mount.join("cut/array")).is_ok_and(|bytes| bytes.len() == 4 << 20)
            });
        }
    }
}

// Promise: A daemon that is told to end leaves no reader waiting, whatever changes in the store meanwhile.
#[test]
fn a_server_that_ends_while_it_tells_of_changes_leaves_nobody_waiting() {
    let (_dir, store) = new_store();
    for name in ["a", "b", "c"] {
        write_dense(&store.join(name), "int8", &[5, 7]);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let (changed, over) = (store.join("notes.txt"), Arc::clone(&is_over));
    let changes = std::thread::spawn(move || {
        while !over.load(Ordering::Acquire) {
            fs::write(&changed, "notes").unwrap();
            fs::remove_file(&changed).unwrap();
        }
    });
    for round in 0..20 {
        let mount = Mount::with(&store, MODES[round % 2]);
        let (path, server) = (mount.path().to_owned(), mount.server());
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let script = "for i in $(seq 60); do ls -l \"$0\" >/dev/null 2>&1; done";
                std::process::Command::new("sh").args(["-c", script]).arg(&path).spawn().unwrap()
            })
            .collect();
        std::thread::sleep(Duration::from_millis(40));
        kill(Pid::from_raw(server as i32), Signal::SIGTERM).unwrap();
        for mut reader in readers {
            within(60, "a reader of a mount that has ended", move || reader.wait().unwrap());
        }
        wait_until("the server is gone", || !is_running(server));
        assert!(!is_mounted(&path));
    }
    is_over.store(true, Ordering::Release);
    changes.join().unwrap();
}
