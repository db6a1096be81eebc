//! The cache of memory maps: which maps are shared, which files are mapped again, and when a map is removed.
//!
//! Each test has its own cache, because all tests of this file share the cache of the process. The tests
//! compare the statements of the cache with those of the kernel, in `/proc/self/maps`.
#![allow(unsafe_code)] // to look at what is mapped

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, SystemTime};

use arrayfs::daf::memory_mapping::{create_memory_mapped_array, open_memory_mapped_array};
use arrayfs::dtype::Dtype;
use arrayfs::error::{Error, Result};
use arrayfs::store::mmap::{MMAP_CACHE, MmapBytes, MmapCache, Mode, allow_maximal_open_files, mmap_file};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tempfile::{TempDir, tempdir};

const SIZE: u64 = 20_000;

/// Twenty thousand bytes, some pages and a bit, no two neighbours alike.
fn pattern() -> Vec<u8> {
    (0..=250).cycle().take(usize::try_from(SIZE).unwrap()).collect()
}

/// Mapped bytes of a file that only the test has, and looks at while it does not write.
#[derive(Clone, Debug)]
struct Map(MmapBytes);

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: no test writes, or truncates, what it has a slice of.
        unsafe { self.0.bytes() }
    }
}

impl Map {
    fn mode(&self) -> Mode {
        self.0.mode()
    }

    fn bytes_mut(&mut self, path: &Path) -> Result<&mut [u8]> {
        // SAFETY: no test reads, or writes otherwise, what it has a slice of.
        unsafe { self.0.bytes_mut(path) }
    }
}

/// A file of the pattern, and a cache of nothing.
struct Fixture {
    _directory: TempDir,
    path: PathBuf,
    cache: MmapCache,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempdir().unwrap();
        let path = directory.path().join("x.array");
        fs::write(&path, pattern()).unwrap();
        Self { _directory: directory, path, cache: MmapCache::default() }
    }

    fn part(&self, mode: Mode, offset: u64, size: u64) -> Result<Map> {
        self.cache.mmap_file(&self.path, mode, &open(&self.path, mode), offset, size).map(Map)
    }

    fn whole(&self, mode: Mode) -> Map {
        self.part(mode, 0, 0).unwrap()
    }

    /// How many maps of the file the kernel knows.
    fn maps(&self) -> usize {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains(self.path.to_str().unwrap())).count()
    }

    /// Puts another file in the place of the file, as an editor or `create` does.
    fn replace(&self, bytes: &[u8]) {
        let other = self.path.with_extension("other");
        fs::write(&other, bytes).unwrap();
        let modified = fs::metadata(&self.path).unwrap().modified().unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        fs::rename(other, &self.path).unwrap();
    }
}

fn open(path: &Path, mode: Mode) -> File {
    File::options().read(true).write(mode == Mode::ReadWrite).open(path).unwrap()
}

fn same(one: &[u8], other: &[u8]) -> bool {
    (one.as_ptr(), one.len()) == (other.as_ptr(), other.len())
}

fn range(offset: u64, size: u64) -> std::ops::Range<usize> {
    usize::try_from(offset).unwrap()..usize::try_from(offset + size).unwrap()
}

#[track_caller]
fn assert_refused<T: Debug>(result: Result<T>, path: &Path, why: &str) {
    match result {
        Err(Error::Refused { path: p, why: w }) => {
            assert_eq!((p.as_path(), w.contains(why)), (path, true), "{w}")
        }
        other => panic!("expected a refusal, {why}; got {other:?}"),
    }
}

// ---------------------------------------------------------------------------- what is shared

#[test]
fn a_file_is_mapped_once_for_two_openers() {
    for mode in [Mode::Read, Mode::ReadWrite] {
        let it = Fixture::new();
        let (one, two) = (it.whole(mode), it.whole(mode));
        assert!(same(&one, &two));
        assert_eq!((&one[..], one.mode()), (&pattern()[..], mode));
        assert_eq!((it.cache.len(), it.maps()), (1, 1));
    }
}

#[test]
fn a_file_is_mapped_once_for_sixteen_threads_at_once() {
    for mode in [Mode::Read, Mode::ReadWrite] {
        let it = Fixture::new();
        let together = Barrier::new(16);
        let open_together = || {
            together.wait();
            it.whole(mode)
        };
        let all: Vec<Map> = thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(open_together)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|bytes| same(bytes, &all[0])));
        assert_eq!((all.len(), it.cache.len(), it.maps()), (16, 1, 1));
    }
}

#[test]
fn a_map_of_the_whole_file_serves_every_part() {
    for mode in [Mode::Read, Mode::ReadWrite] {
        let it = Fixture::new();
        let whole = it.whole(mode);
        for (offset, size) in [(0, 1), (0, SIZE), (4096, 4096), (5003, 33), (SIZE - 1, 1)] {
            let part = it.part(mode, offset, size).unwrap();
            assert!(same(&part, &whole[range(offset, size)]), "{size} bytes from {offset} on");
        }
        assert_eq!((it.cache.len(), it.maps()), (1, 1));
    }
}

#[test]
fn the_whole_file_asked_for_by_its_size_is_the_whole_file() {
    let it = Fixture::new();
    let by_size = it.part(Mode::Read, 0, SIZE).unwrap();
    assert!(same(&by_size, &it.whole(Mode::Read)));
    assert!(same(&by_size[100..110], &it.part(Mode::Read, 100, 10).unwrap()));
    assert_eq!((it.cache.len(), it.maps()), (1, 1));
}

#[test]
fn a_part_serves_that_part_only() {
    let it = Fixture::new();
    let part = it.part(Mode::Read, 5003, 33).unwrap();
    assert!(same(&part, &it.part(Mode::Read, 5003, 33).unwrap()));
    assert_eq!(it.cache.len(), 1);
    let others = [(5003, 32), (5004, 32), (0, 0)].map(|(offset, size)| it.part(Mode::Read, offset, size));
    assert_eq!(it.cache.len(), 4);
    assert_eq!(others.map(|other| other.unwrap().len()), [32, 32, pattern().len()]);
}

#[test]
fn a_part_need_not_start_at_a_page_and_has_the_size_asked_for() {
    let it = Fixture::new();
    let parts = [(0, 1), (1, 1), (4095, 2), (4096, 4096), (5003, 33), (8191, 8194), (SIZE - 1, 1)];
    for mode in [Mode::Read, Mode::ReadWrite] {
        for (offset, size) in parts {
            let part = it.part(mode, offset, size).unwrap();
            assert_eq!(part[..], pattern()[range(offset, size)], "{size} bytes from {offset} on");
        }
        assert_eq!(it.part(mode, 19_990, 0).unwrap()[..], pattern()[19_990..], "a size of zero: to the end");
    }
    assert!(it.cache.is_empty());
}

#[test]
fn a_map_to_write_serves_those_who_read() {
    let it = Fixture::new();
    let writer = it.whole(Mode::ReadWrite);
    let mut reader = it.whole(Mode::Read);
    assert!(same(&writer, &reader));
    assert!(same(&writer[77..177], &it.part(Mode::Read, 77, 100).unwrap()));
    assert_eq!((reader.mode(), it.cache.len(), it.maps()), (Mode::Read, 1, 1));
    assert_refused(reader.bytes_mut(&it.path), &it.path, "opened in mode r, which is frozen");

    let it = Fixture::new();
    let writer = it.part(Mode::ReadWrite, 77, 100).unwrap();
    assert!(same(&writer, &it.part(Mode::Read, 77, 100).unwrap()), "a part of the file likewise");
}

#[test]
fn a_map_to_read_does_not_serve_those_who_write() {
    let it = Fixture::new();
    let mut reader = it.whole(Mode::Read);
    let mut writer = it.whole(Mode::ReadWrite);
    assert!(!same(&reader, &writer));
    assert_eq!((it.cache.len(), it.maps()), (2, 2));
    writer.bytes_mut(&it.path).unwrap()[3] = 0xAA;
    assert_eq!(reader[3], 0xAA, "it is the same file all the same");
    assert!(same(&writer, &it.whole(Mode::Read)), "who comes later shares the writer's");
    assert_refused(reader.bytes_mut(&it.path), &it.path, "opened in mode r, which is frozen");
}

#[test]
fn two_paths_are_two_maps() {
    let it = Fixture::new();
    let link = it.path.with_extension("link");
    fs::hard_link(&it.path, &link).unwrap();
    let one = it.whole(Mode::Read);
    let other = Map(it.cache.mmap_file(&link, Mode::Read, &open(&link, Mode::Read), 0, 0).unwrap());
    assert!(!same(&one, &other));
    assert_eq!((&one[..], it.cache.len()), (&other[..], 2));
}

#[test]
fn two_caches_share_nothing() {
    let it = Fixture::new();
    let one = it.whole(Mode::Read);
    let file = open(&it.path, Mode::Read);
    let other = Map(MmapCache::default().mmap_file(&it.path, Mode::Read, &file, 0, 0).unwrap());
    assert!(!same(&one, &other));
    assert_eq!(it.maps(), 2);
}

#[test]
fn the_cache_of_the_process_serves_everyone() {
    let it = Fixture::new();
    let open_whole = || Map(mmap_file(&it.path, Mode::Read, &open(&it.path, Mode::Read), 0, 0).unwrap());
    let (one, two) = (open_whole(), open_whole());
    let file = open(&it.path, Mode::Read);
    let three = Map(MMAP_CACHE.mmap_file(&it.path, Mode::Read, &file, 10, 20).unwrap());
    assert!(same(&one, &two) && same(&one[10..30], &three));
    assert!(!MMAP_CACHE.is_empty());
    assert_eq!(it.maps(), 1);
}

#[test]
fn arrays_are_mapped_through_the_cache_of_the_process() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("x");
    create_memory_mapped_array(&path, &[1000], Dtype::Int32).unwrap();
    let roundabout = directory.path().join(".").join("x");
    let arrays = [&path, &path, &roundabout].map(|path| {
        // SAFETY: nobody writes it.
        unsafe { open_memory_mapped_array(path, Mode::Read) }.unwrap()
    });
    assert!(arrays.iter().all(|array| same(array.bytes(), arrays[0].bytes())));
}

// ---------------------------------------------------------------------------- when a map goes

#[test]
fn a_map_goes_with_its_last_user() {
    let it = Fixture::new();
    let (one, two) = (it.whole(Mode::Read), it.part(Mode::Read, 10, 20).unwrap());
    let three = two.clone();
    drop(one);
    drop(two);
    assert_eq!((it.cache.len(), it.maps()), (1, 1));
    assert_eq!(three[..], pattern()[10..30], "a part keeps the whole");
    drop(three);
    assert_eq!((it.cache.len(), it.cache.is_empty(), it.maps()), (0, true, 0));
    assert_eq!(it.whole(Mode::Read)[..], pattern(), "and it is mapped again");
}

#[test]
fn a_map_to_write_lives_on_for_those_who_read() {
    let it = Fixture::new();
    let writer = it.whole(Mode::ReadWrite);
    let reader = it.whole(Mode::Read);
    drop(writer);
    assert!(same(&reader, &it.whole(Mode::ReadWrite)));
    assert_eq!(it.cache.len(), 1);
    drop(reader);
    assert_eq!((it.cache.len(), it.maps()), (0, 0));
}

#[test]
fn the_cache_does_not_grow_with_what_is_gone() {
    let it = Fixture::new();
    for offset in 0..1000 {
        drop(it.part(Mode::Read, offset, 1).unwrap());
    }
    assert_eq!((it.cache.len(), it.maps()), (0, 0));
    let kept = format!("{:?}", it.cache).matches("(Weak)").count();
    assert!(kept < 100, "{kept} of 1000 dead entries are kept");
}

#[test]
fn a_file_that_is_removed_lives_on_for_its_holder() {
    let it = Fixture::new();
    let holder = it.whole(Mode::Read);
    fs::remove_file(&it.path).unwrap();
    assert_eq!(holder[..], pattern());
    assert_eq!(it.cache.len(), 1);
}

// ---------------------------------------------------------------------------- one writer

#[test]
fn what_is_written_is_in_the_file() {
    let it = Fixture::new();
    let mut part = it.part(Mode::ReadWrite, 5003, 3).unwrap();
    part.bytes_mut(&it.path).unwrap().copy_from_slice(b"abc");
    assert_eq!(&part[..], b"abc");
    let mut expected = pattern();
    expected[5003..5006].copy_from_slice(b"abc");
    assert_eq!(fs::read(&it.path).unwrap(), expected, "these bytes and no others");
}

#[test]
fn one_writes_at_a_time() {
    let it = Fixture::new();
    let (mut one, mut two) = (it.whole(Mode::ReadWrite), it.part(Mode::ReadWrite, 0, 10).unwrap());
    let mut three = one.clone();
    one.bytes_mut(&it.path).unwrap()[0] = 1;
    one.bytes_mut(&it.path).unwrap()[0] = 2;
    for other in [&mut two, &mut three, &mut one.clone()] {
        assert_refused(other.bytes_mut(&it.path), &it.path, "someone else in this process is writing it");
        assert_eq!(other[0], 2, "yet it reads");
    }
    drop(one);
    two.bytes_mut(&it.path).unwrap()[0] = 3;
    assert_refused(three.bytes_mut(&it.path), &it.path, "someone else in this process is writing it");
}

#[test]
fn of_sixteen_threads_one_may_write() {
    let it = Fixture::new();
    let together = Barrier::new(16);
    let try_to_write = || {
        let mut bytes = it.whole(Mode::ReadWrite);
        together.wait();
        let may = bytes.bytes_mut(&it.path).is_ok();
        together.wait();
        may
    };
    let writers = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(try_to_write)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|may| *may).count()
    });
    assert_eq!(writers, 1);
}

// ---------------------------------------------------------------------------- what cannot be mapped

#[test]
fn a_part_beyond_the_end_is_an_error() {
    let cases = [
        (0, SIZE + 1, "at least 20001 bytes"),
        (1, SIZE, "at least 20001 bytes"),
        (SIZE, 1, "at least 20001 bytes"),
        (SIZE + 1, 0, "at least 20001 bytes"),
        (SIZE + 1, 1, "at least 20002 bytes"),
        (5000, u64::MAX, "at least 18446744073709556615 bytes"),
        (u64::MAX, 0, "at least 18446744073709551615 bytes"),
        (u64::MAX, u64::MAX, "at least 36893488147419103230 bytes"),
    ];
    let it = Fixture::new();
    // An open map of the whole file makes no difference.
    for _whole in [None, Some(it.whole(Mode::ReadWrite))] {
        for (offset, size, least) in cases {
            match it.part(Mode::Read, offset, size) {
                Err(Error::Invalid { path, what: "size", expected, found }) => {
                    assert_eq!((path, &*expected, &*found), (it.path.clone(), least, "20000 bytes"));
                }
                other => panic!("{size} bytes from {offset} on: {other:?}"),
            }
        }
    }
}

#[test]
fn nothing_can_be_mapped_too() {
    let it = Fixture::new();
    assert!(it.part(Mode::Read, SIZE, 0).unwrap().is_empty());
    fs::write(&it.path, "").unwrap();
    for mode in [Mode::Read, Mode::ReadWrite] {
        let (one, two) = (it.whole(mode), it.whole(mode));
        assert!(one.is_empty() && same(&one, &two));
        assert_eq!(it.cache.len(), 1);
    }
}

#[test]
fn a_file_that_was_opened_to_read_is_not_mapped_to_write() {
    let it = Fixture::new();
    match it.cache.mmap_file(&it.path, Mode::ReadWrite, &open(&it.path, Mode::Read), 0, 0) {
        Err(Error::Io { path, action: "map", source }) => {
            assert_eq!((path, source.kind()), (it.path.clone(), ErrorKind::PermissionDenied));
        }
        other => panic!("expected that the system refuses; got {other:?}"),
    }
    assert!(it.cache.is_empty());
    assert_eq!(it.whole(Mode::ReadWrite)[..], pattern(), "the next one may");
}

// ---------------------------------------------------------------------------- files that change

#[test]
fn a_file_that_was_renamed_over_is_mapped_anew() {
    for mode in [Mode::Read, Mode::ReadWrite] {
        let it = Fixture::new();
        let (old, old_part) = (it.whole(mode), it.part(mode, 7, 8).unwrap());
        let same_size = vec![7; pattern().len()];
        it.replace(&same_size);
        let new = it.whole(mode);
        assert_eq!(new[..], same_size, "the new opener's");
        assert_eq!(it.part(mode, 7, 8).unwrap()[..], [7; 8]);
        assert_eq!((&old[..], &old_part[..]), (&pattern()[..], &pattern()[7..15]), "the old holder's");
        assert!(same(&new, &it.whole(mode)), "the new map is shared in its turn");
        it.replace(b"shorter");
        assert_eq!(it.whole(mode)[..], *b"shorter");
        assert_eq!((&old[..], &new[..]), (&pattern()[..], &same_size[..]));
    }
}

#[test]
fn a_part_is_not_served_from_a_file_that_was_renamed_over() {
    let it = Fixture::new();
    let old = it.part(Mode::Read, 5003, 4).unwrap();
    it.replace(&vec![7; pattern().len()]);
    assert_eq!(it.part(Mode::Read, 5003, 4).unwrap()[..], [7; 4]);
    assert_eq!(old[..], pattern()[5003..5007]);
}

#[test]
fn a_file_that_grew_is_mapped_anew() {
    for mode in [Mode::Read, Mode::ReadWrite] {
        let it = Fixture::new();
        let old = it.whole(mode);
        File::options().append(true).open(&it.path).unwrap().write_all(b"more").unwrap();
        let new = it.whole(mode);
        assert_eq!((&new[..20_000], &new[20_000..]), (&pattern()[..], &b"more"[..]));
        assert_eq!(old[..], pattern());
        assert_eq!(it.part(mode, 20_000, 4).unwrap()[..], *b"more");
    }
}

#[test]
fn a_file_that_was_written_in_place_is_mapped_anew_to_read() {
    let it = Fixture::new();
    let old = it.whole(Mode::Read);
    let file = open(&it.path, Mode::ReadWrite);
    file.write_all_at(b"new", 100).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(2)).unwrap();
    let new = it.whole(Mode::Read);
    assert!(!same(&old, &new));
    assert_eq!(new[100..103], *b"new");
    assert_eq!(old[..], new[..], "a map is the file: what is written in place shows at once");
}

#[test]
fn a_map_to_write_is_shared_although_writing_changes_the_files_times() {
    let it = Fixture::new();
    let mut old = it.whole(Mode::ReadWrite);
    old.bytes_mut(&it.path).unwrap()[100] = 1;
    File::options().write(true).open(&it.path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(same(&old, &it.whole(Mode::ReadWrite)) && same(&old, &it.whole(Mode::Read)));
    assert_eq!((it.cache.len(), it.maps()), (1, 1));
}

// ---------------------------------------------------------------------------- open files

#[test]
fn the_number_of_open_files_is_raised_as_far_as_it_goes() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // One below, so that the other tests of this process have files enough meanwhile.
    setrlimit(Resource::RLIMIT_NOFILE, hard - 1, hard).unwrap();
    assert_eq!(allow_maximal_open_files().unwrap(), hard);
    assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    assert_eq!(allow_maximal_open_files().unwrap(), hard, "and again, when there is nothing to raise");
}
