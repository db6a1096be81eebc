//! The ways in which POSIX and Linux programs read a file: each works as on a plain file of the same bytes.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::common::{Mount, write_dense};
use nix::sys::sendfile::sendfile;
use nix::unistd::{Whence, lseek};
use tempfile::{tempdir, tempfile};

const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];

/// Whole files, rows, columns, slices and what is made.
const FORMATS: [&str; 10] = [
    "array",
    "rows/17",
    "cols/03",
    "slices/10:50/array",
    "slices/::3/array",
    "array.npy",
    "array.csv",
    "array.npz",
    "array.h5",
    "meta.yaml",
];

/// What a call gave: a number, or the name of the error.
type Outcome = Result<i64, String>;

fn outcome(result: io::Result<i64>) -> Outcome {
    result.map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)).to_string())
}

fn opened(path: &Path, flags: i32) -> io::Result<File> {
    File::options().read(true).custom_flags(flags).open(path)
}

fn sum(bytes: &[u8]) -> i64 {
    bytes.iter().fold(bytes.len() as i64, |sum, byte| sum.wrapping_mul(31).wrapping_add(i64::from(*byte)))
}

/// All bytes by a file that was opened with these flags.
fn read_with(path: &Path, flags: i32) -> Outcome {
    let mut bytes = Vec::new();
    outcome(opened(path, flags).and_then(|mut file| file.read_to_end(&mut bytes)).map(|_| sum(&bytes)))
}

fn at(path: &Path, offset: u64, length: usize) -> Outcome {
    let mut bytes = vec![0; length];
    let read = opened(path, 0).and_then(|file| file.read_at(&mut bytes, offset));
    outcome(read.map(|length| sum(&bytes[..length])))
}

fn seek(path: &Path, offset: i64, whence: Whence) -> Outcome {
    let file = File::open(path).unwrap();
    outcome(lseek(&file, offset, whence).map_err(io::Error::from))
}

fn size(path: &Path) -> i64 {
    fs::metadata(path).unwrap().len() as i64
}

/// Where a hole and where data begin is for the file system to say; the end is not.
fn seeks(path: &Path) -> Vec<Outcome> {
    let (end, hole) = (size(path), seek(path, 0, Whence::SeekHole));
    assert!(hole.as_ref().is_ok_and(|at| *at <= end), "{hole:?}");
    let mut file = File::open(path).unwrap();
    vec![
        seek(path, 0, Whence::SeekData),
        seek(path, end, Whence::SeekData),
        seek(path, end, Whence::SeekHole),
        seek(path, end + 1, Whence::SeekHole),
        seek(path, -1, Whence::SeekSet),
        seek(path, 5, Whence::SeekEnd),
        outcome(file.seek(SeekFrom::End(-3)).map(|at| at as i64)),
    ]
}

fn copied(path: &Path) -> Vec<Outcome> {
    let source = File::open(path).unwrap();
    let whole = |mut target: File| {
        let mut bytes = Vec::new();
        target.rewind().unwrap();
        target.read_to_end(&mut bytes).unwrap();
        sum(&bytes)
    };
    let (sent, ranged) = (tempfile().unwrap(), tempfile().unwrap());
    let mut offset = 0;
    while sendfile(&sent, &source, Some(&mut offset), 1 << 20).unwrap() > 0 {}
    // `io::copy` goes by copy_file_range where it can.
    io::copy(&mut File::open(path).unwrap(), &mut &ranged).unwrap();
    vec![Ok(whole(sent)), Ok(whole(ranged))]
}

fn mapped(path: &Path) -> Outcome {
    let file = File::open(path).unwrap();
    // SAFETY: nobody changes the file meanwhile.
    #[allow(unsafe_code)]
    let map = unsafe { memmap2::Mmap::map(&file) };
    outcome(map.map(|map| sum(&map)))
}

fn everything(path: &Path) -> Vec<Outcome> {
    let end = size(path) as u64;
    let slash = path.join("");
    let mut found = vec![
        read_with(path, 0),
        read_with(path, libc::O_NOATIME),
        read_with(path, libc::O_NOFOLLOW),
        read_with(path, libc::O_NONBLOCK),
        read_with(path, libc::O_SYNC),
        read_with(path, libc::O_DIRECTORY),
        read_with(path, libc::O_PATH),
        read_with(&slash, 0),
        at(path, end, 10),
        at(path, end + 4096, 10),
        at(path, end - 1, 10),
        at(path, i64::MAX as u64 - 10, 10),
        at(path, 1, 1 << 20),
        mapped(path),
    ];
    found.extend(seeks(path));
    found.extend(copied(path));
    let file = File::open(path).unwrap();
    found.push(outcome(file.sync_all().map(|()| 0)));
    found.push(outcome(
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared)
            .map(|()| 1)
            .map_err(io::Error::from),
    ));
    let advice = nix::fcntl::PosixFadviseAdvice::POSIX_FADV_WILLNEED;
    found.push(outcome(nix::fcntl::posix_fadvise(&file, 0, 0, advice).map(|()| 2).map_err(io::Error::from)));
    for access in
        [nix::unistd::AccessFlags::F_OK, nix::unistd::AccessFlags::R_OK, nix::unistd::AccessFlags::X_OK]
    {
        found.push(outcome(nix::unistd::access(path, access).map(|()| 3).map_err(io::Error::from)));
    }
    found
}

// Promise: Every way of reading a file behaves as on a plain file with the same bytes.
#[test]
fn files_are_read_in_every_way_as_plain_files_are() {
    for options in MODES {
        let store = tempdir().unwrap();
        write_dense(&store.path().join("x"), "int32", &[100, 40]);
        let mount = Mount::with(store.path(), options);
        let copies = tempdir().unwrap();
        let plain = copies.path().join("plain");
        for view in FORMATS {
            let path = mount.join("x").join(view);
            let bytes = mount.read(Path::new("x").join(view));
            fs::write(&plain, &bytes).unwrap();
            fs::set_permissions(&plain, fs::metadata(&path).unwrap().permissions()).unwrap();
            assert_eq!(everything(&path), everything(&plain), "{options:?} {view}");
            // Direct reads need room that begins where a page does; here it must only not give other bytes.
            if let Ok(file) = opened(&path, libc::O_DIRECT) {
                let mut room = vec![0; 3 * 4096];
                let start = room.as_ptr().align_offset(4096);
                let read = file.read_at(&mut room[start..start + 4096], 0);
                assert!(
                    read.is_err() || room[start..].starts_with(&bytes[..bytes.len().min(4096)]),
                    "{view}"
                );
            }
        }
    }
}

#[test]
fn names_that_are_too_long_or_no_folders_are_told_as_such() {
    for options in MODES {
        let store = tempdir().unwrap();
        write_dense(&store.path().join("x"), "int32", &[100, 40]);
        let mount = Mount::with(store.path(), options);
        let error = |path: &str| fs::metadata(mount.join(path)).unwrap_err().raw_os_error().unwrap();
        for folder in ["", "x", "x/rows", "x/slices", ".arrayfs"] {
            assert_eq!(error(&format!("{folder}/{}", "a".repeat(256))), libc::ENAMETOOLONG, "{folder}");
            assert_eq!(error(&format!("{folder}/{}", "a".repeat(255))), libc::ENOENT, "{folder}");
        }
        assert_eq!(error("x/array/in"), libc::ENOTDIR);
        assert_eq!(error("x/rows/17/in"), libc::ENOTDIR);
    }
}

#[test]
fn a_mount_cannot_be_made_writable() {
    for options in MODES {
        let store = tempdir().unwrap();
        let bytes = write_dense(&store.path().join("x"), "int32", &[10, 4]);
        let mount = Mount::with(store.path(), options);
        let target = CString::new(mount.path().as_os_str().as_bytes()).unwrap();
        // Root may say so; nothing comes of it.
        let _ = nix::mount::mount(
            None::<&str>,
            target.as_c_str(),
            None::<&str>,
            nix::mount::MsFlags::MS_REMOUNT,
            None::<&str>,
        );
        for path in ["x/array", "x/rows/1", "new", "x/new"] {
            // Where files are opened without asking, the first to refuse is the write.
            let open = File::options().write(true).create(true).truncate(false).open(mount.join(path));
            let error = open.and_then(|file| file.write_at(b"x", 0)).unwrap_err();
            assert!([libc::EROFS, libc::EACCES].contains(&error.raw_os_error().unwrap()), "{path}: {error}");
            let error = File::create(mount.join(path)).unwrap_err();
            assert!([libc::EROFS, libc::EACCES].contains(&error.raw_os_error().unwrap()), "{path}: {error}");
        }
        let file = File::open(mount.join("x/array")).unwrap();
        assert!(file.as_raw_fd() > 0 && file.set_len(0).is_err() && file.write_at(b"x", 0).is_err());
        assert_eq!(mount.read("x/array"), bytes);
    }
}

/// Where the data of a file begin and end, as the file system says.
fn data_of(path: &Path) -> Vec<(i64, i64)> {
    let file = File::open(path).unwrap();
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        match lseek(&file, at, Whence::SeekData) {
            Ok(start) => {
                at = lseek(&file, start, Whence::SeekHole).unwrap();
                found.push((start, at));
            }
            Err(error) => {
                assert_eq!(error, nix::errno::Errno::ENXIO);
                return found;
            }
        }
    }
}

/// An array of 64 rows of a mebibyte with data in the rows 8 and 40 only; false where the file system has no holes.
fn write_with_holes(store: &Path) -> bool {
    crate::common::write_hole(&store.join("x"), "uint8", &[64, 1 << 20]);
    let array = File::options().write(true).open(store.join("x.array")).unwrap();
    array.write_all_at(&[1; 10_000], 8 << 20).unwrap();
    array.write_all_at(&[2; 4096], 40 << 20).unwrap();
    array.sync_all().unwrap();
    File::create(store.join("plain")).unwrap().set_len(1 << 30).unwrap();
    array.metadata().unwrap().blocks() < 1000
}

// Promise: Holes in the store are holes in the mount, for `SEEK_HOLE` and in the blocks that `stat` reports, so that copies keep them; computed files have one block.
#[test]
fn holes_of_the_store_are_holes_in_the_mount() {
    let store = tempdir().unwrap();
    if !write_with_holes(store.path()) {
        crate::common::say_skipped("the file system of the temporary directory has no holes");
        return;
    }
    let source = data_of(&store.path().join("x.array"));
    assert_eq!(source.len(), 2);
    let part = |from: i64, to: i64, by: i64| -> Vec<_> {
        let inside = source.iter().map(|(start, end)| ((*start).max(from), (*end).min(to)));
        inside.filter(|(start, end)| start < end).map(|(start, end)| (start - by, end - by)).collect()
    };
    let blocks = |path: &Path| fs::metadata(path).unwrap().blocks();
    let of_source = blocks(&store.path().join("x.array"));
    for options in MODES {
        let mount = Mount::with(store.path(), options);
        let data = |path: &str| data_of(&mount.join(path));
        assert_eq!(data("x/array"), source);
        assert_eq!(data("plain"), []);
        for (row, is_hole) in [(8, false), (40, false), (0, true), (63, true)] {
            let found = data(&format!("x/rows/{row:02}"));
            assert_eq!(found, part(row << 20, (row + 1) << 20, row << 20), "{row}");
            assert_eq!(found.is_empty(), is_hole);
        }
        assert_eq!(data("x/slices/7:41/array"), part(7 << 20, 41 << 20, 7 << 20));
        let npy = size(&mount.join("x/array.npy"));
        let header = npy - (64 << 20);
        let shifted = part(0, 64 << 20, -header);
        assert_eq!(data("x/array.npy"), [&[(0, header)], &shifted[..]].concat(), "the header is none");
        let whole = |path: &str| vec![(0, size(&mount.join(path)))];
        for made in ["x/slices/::2/array", "x/cols/0000007", "x/meta.yaml", "x/README.md"] {
            assert_eq!((data(made), blocks(&mount.join(made))), (whole(made), 1), "{made}");
        }
        assert_eq!((blocks(&mount.join("x/array")), blocks(&mount.join("plain"))), (of_source, 0));
        assert!(blocks(&mount.join("x/rows/08")) <= of_source);
        copies_keep_holes(&mount, of_source);
    }
}

fn copies_keep_holes(mount: &Mount, blocks: u64) {
    let copies = tempdir().unwrap();
    let copy = copies.path().join("copy");
    let archive = copies.path().join("archive");
    let run = |program: &str, args: &[&std::ffi::OsStr]| {
        assert!(
            std::process::Command::new(program).args(args).status().unwrap().success(),
            "{program} {args:?}"
        );
    };
    for path in ["x/array", "x/array.npy", "x/slices/7:41/array", "plain"] {
        let source = mount.join(path);
        run("cp", &["--sparse=auto".as_ref(), source.as_os_str(), copy.as_os_str()]);
        let taken = fs::metadata(&copy).unwrap().blocks();
        assert!(taken <= blocks + 64, "{path}: a copy takes {taken} blocks");
        run(
            "tar",
            &["-cSf".as_ref(), archive.as_os_str(), "-C".as_ref(), mount.path().as_os_str(), path.as_ref()],
        );
        assert!(fs::metadata(&archive).unwrap().len() < 1 << 20, "{path}");
        assert_eq!(size(&copy), size(&mount.join(path)));
    }
    fs::copy(mount.join("x/array"), &copy).unwrap();
    assert!(fs::read(&copy).unwrap() == mount.read("x/array"));
}

#[test]
fn a_directory_does_not_say_how_many_are_in_it() {
    for options in MODES {
        let store = tempdir().unwrap();
        write_dense(&store.path().join("x"), "int32", &[10, 4]);
        fs::create_dir(store.path().join("sub")).unwrap();
        let mount = Mount::with(store.path(), options);
        for folder in ["", ".arrayfs", "sub", "x", "x/rows", "x/slices", "x/slices/1:3", "x/array.zarr"] {
            assert_eq!(fs::metadata(mount.join(folder)).unwrap().nlink(), 1, "{folder}");
        }
    }
}

// Promise: A directory that is rewound shows what is there at that time.
#[test]
fn a_directory_that_is_read_again_shows_what_is_there_then() {
    for options in MODES {
        let store = tempdir().unwrap();
        write_dense(&store.path().join("x"), "int8", &[5, 2]);
        fs::create_dir(store.path().join("sub")).unwrap();
        let mount = Mount::with(store.path(), options);
        for (folder, before) in [("", vec!["sub", "x"]), ("sub", vec![])] {
            let mut dir = rustix::fs::Dir::new(File::open(mount.join(folder)).unwrap()).unwrap();
            let mut names = || {
                let entries =
                    dir.by_ref().map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned());
                let mut names: Vec<_> = entries.filter(|name| name != "." && name != "..").collect();
                names.sort();
                dir.rewind();
                names
            };
            assert_eq!(names(), before, "{folder}");
            fs::write(store.path().join(folder).join("added"), "").unwrap();
            let mut with_it = [&["added"], before.as_slice()].concat();
            with_it.sort_unstable();
            assert_eq!(names(), with_it, "{folder}");
            fs::remove_file(store.path().join(folder).join("added")).unwrap();
            assert_eq!(names(), before, "{folder}");
        }
        // What cannot change is as it was.
        let mut rows = rustix::fs::Dir::new(File::open(mount.join("x/rows")).unwrap()).unwrap();
        for _ in 0..2 {
            assert_eq!(rows.by_ref().count(), 7);
            rows.rewind();
        }
    }
}
