//! Memory maps of files, and the cache that never maps one twice. All unsafe code is here; what else is marked so
//! passes this module's contract on.
//!
//! # What a map is, and is not
//!
//! The bytes of a map *are* the file: when some process writes the file, the bytes change, and when
//! it truncates the file, touching the bytes that are gone kills the program with SIGBUS. No
//! language can rule this out. So mapping is safe, and looking at what is mapped is not: who does promises that
//! nobody writes meanwhile what he looks at, and that nobody truncates the file. The mount of this crate makes no
//! such assumption, and never touches a map itself.
#![allow(unsafe_code)]

mod guard;

use std::collections::HashMap;
use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::error::{Error, Result};
use crate::store::{Identity, Stat};
pub use guard::GuardedMap;

/// How a file is opened and mapped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mode {
    /// `r`: the data is frozen.
    Read,
    /// `r+`: what is written to the data is written to the file.
    ReadWrite,
}

impl std::str::FromStr for Mode {
    type Err = String;

    /// `r` or `r+`; `w` is the seed's other word for `r+` of sparse matrices.
    fn from_str(mode: &str) -> std::result::Result<Self, String> {
        match mode {
            "r" => Ok(Self::Read),
            "r+" | "w" => Ok(Self::ReadWrite),
            other => Err(format!("mode: expected r or r+, found {other}")),
        }
    }
}

/// One mapped range of one version of a file.
#[derive(Debug)]
struct Mapping {
    /// Never as a slice: others may write it.
    map: MmapRaw,
    mode: Mode,
    identity: Identity,
    /// Whether someone holds the right to write through this mapping.
    leased: AtomicBool,
}

impl Mapping {
    fn new(path: &Path, mode: Mode, file: &File, range: &Range, identity: Identity) -> Result<Self> {
        let mut options = MmapOptions::new();
        let length = usize::try_from(range.size)
            .map_err(|_| Error::refused(path, "the file is larger than the address space"))?;
        options.offset(range.offset).len(length);
        let map = match mode {
            Mode::Read => options.map_raw_read_only(file),
            Mode::ReadWrite => options.map_raw(file),
        };
        let map = map.map_err(|e| Error::io(path, "map", e))?;
        Ok(Self { map, mode, identity, leased: AtomicBool::new(false) })
    }

    /// Whether this mapping shows the file that is `now` at the path.
    ///
    /// A writable mapping changes the file's times itself, so there they prove nothing.
    fn shows(&self, now: &Identity) -> bool {
        let then = &self.identity;
        let same_file = (then.device, then.inode, then.size) == (now.device, now.inode, now.size);
        same_file && (self.mode == Mode::ReadWrite || then.modified == now.modified)
    }
}

/// Mapped bytes of a file, or of a part of it: `bytes` in mode `r`, `bytearray` in mode `r+`.
///
/// The mapping is shared with everyone else who opened the same file, and lives until the last of
/// them is dropped. Nothing that is safe shows the bytes themselves, since any of them may write.
#[derive(Debug)]
pub struct MmapBytes {
    mapping: Arc<Mapping>,
    start: usize,
    length: usize,
    mode: Mode,
    lease: bool,
}

impl MmapBytes {
    /// How the bytes were opened.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where they begin. Reading there is as dangerous as [`bytes`](Self::bytes) says.
    pub fn as_ptr(&self) -> *const u8 {
        self.mapping.map.as_ptr().wrapping_add(self.start)
    }

    /// The bytes, which are the file's.
    ///
    /// # Safety
    ///
    /// As long as the slice lives, nobody writes these bytes, by another handle of this process or in another
    /// process, and nobody truncates the file: that would end this process by SIGBUS.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: the range lies inside the mapping, which lives as long as `self`; that nobody writes it the
        // caller promises.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.length) }
    }

    /// The bytes, to be written; what is written here is written to the file.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for `path` when the bytes were opened in mode `r`, or while another holder of
    /// the same mapping writes: one at a time may, until it is dropped.
    ///
    /// # Safety
    ///
    /// As long as the slice lives, nobody else reads or writes these bytes, by another handle of this process or
    /// in another process, and nobody truncates the file. That of those who write one does at a time is no more
    /// than a help: it knows nothing of parts that are mapped by themselves, of other paths to the file, and of
    /// other processes.
    pub unsafe fn bytes_mut(&mut self, path: &Path) -> Result<&mut [u8]> {
        if self.mode == Mode::Read {
            return Err(Error::refused(path, "opened in mode r, which is frozen; open in mode r+ to write"));
        }
        if !self.lease {
            if self.mapping.leased.swap(true, Ordering::Acquire) {
                return Err(Error::refused(path, "someone else in this process is writing it"));
            }
            self.lease = true;
        }
        let start = self.mapping.map.as_mut_ptr().wrapping_add(self.start);
        // SAFETY: the range lies inside the mapping, which lives as long as `self` and is writable, for a mapping
        // to read serves nobody in mode r+; that nobody else uses it the caller promises.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, self.length) })
    }

    /// A part of the bytes, to be passed to the kernel; none where it leaves them.
    pub fn part(&self, range: std::ops::Range<usize>) -> Option<Untouched<'_>> {
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= self.length)?;
        Some(Untouched { start: self.as_ptr().wrapping_add(range.start), length, of: PhantomData })
    }
}

/// Bytes of a map on their way to the kernel, which takes them whatever others write to the file meanwhile, and
/// says so when they are gone. This process does not look at them.
#[derive(Clone, Copy, Debug)]
pub struct Untouched<'m> {
    start: *const u8,
    length: usize,
    /// The map that they are of.
    of: PhantomData<&'m MmapBytes>,
}

impl Default for Untouched<'_> {
    /// None.
    fn default() -> Self {
        Self { start: std::ptr::NonNull::dangling().as_ptr(), length: 0, of: PhantomData }
    }
}

impl<'m> Untouched<'m> {
    /// Passes them to something that does nothing with them but giving their address to the kernel.
    pub(crate) fn pass_to_kernel<T>(self, pass: impl FnOnce(&[u8]) -> T) -> T {
        // SAFETY: the range lies inside a mapping that lives for 'm; nothing reads it by this slice.
        pass(unsafe { std::slice::from_raw_parts(self.start, self.length) })
    }

    /// The bytes.
    ///
    /// # Safety
    ///
    /// As that of [`MmapBytes::bytes`].
    pub unsafe fn bytes(self) -> &'m [u8] {
        // SAFETY: the range lies inside a mapping that lives for 'm; that nobody writes it the caller promises.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl Clone for MmapBytes {
    /// Another handle on the same mapping; the right to write is not handed on.
    fn clone(&self) -> Self {
        Self { mapping: Arc::clone(&self.mapping), lease: false, ..*self }
    }
}

impl Drop for MmapBytes {
    fn drop(&mut self) {
        if self.lease {
            self.mapping.leased.store(false, Ordering::Release);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Range {
    offset: u64,
    size: u64,
}

#[derive(Debug, Eq, Hash, PartialEq)]
struct Key {
    path: PathBuf,
    mode: Mode,
    offset: u64,
    /// Zero stands for the whole file.
    size: u64,
}

/// Mapped files, held weakly: a mapping goes when its last user goes.
#[derive(Debug, Default)]
pub struct MmapCache {
    mappings: Mutex<HashMap<Key, Weak<Mapping>>>,
}

/// The cache of this process; [`mmap_file`] goes through it.
pub static MMAP_CACHE: LazyLock<MmapCache> = LazyLock::new(MmapCache::default);

impl MmapCache {
    /// Number of mappings that are alive.
    pub fn len(&self) -> usize {
        self.lock().values().filter(|mapping| mapping.strong_count() > 0).count()
    }

    /// Whether no mapping is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Maps as [`mmap_file`] does.
    pub fn mmap_file(
        &self,
        path: &Path,
        mode: Mode,
        file: &File,
        offset: u64,
        size: u64,
    ) -> Result<MmapBytes> {
        let meta = file.metadata().map_err(|e| Error::io(path, "look at", e))?;
        let identity = Stat::of(&meta).identity;
        let wanted = part(path, offset, size, identity.size)?;
        let whole = wanted.offset == 0 && wanted.size == identity.size;
        // Those that are found and not used may be the last of theirs: let go of, as everything that the system is
        // asked for is done, while others may look.
        let mut unused = Vec::new();
        if let Some(found) = find(&mut self.lock(), path, mode, &wanted, &identity, &mut unused) {
            return Ok(found);
        }
        let mapping = Arc::new(Mapping::new(path, mode, file, &wanted, identity)?);
        let mut mappings = self.lock();
        // Another may have been quicker.
        if let Some(found) = find(&mut mappings, path, mode, &wanted, &identity, &mut unused) {
            drop(mappings);
            return Ok(found);
        }
        let key = Key { path: path.to_owned(), mode, offset, size: if whole { 0 } else { wanted.size } };
        if mappings.len() == mappings.capacity() {
            mappings.retain(|_, mapping| mapping.strong_count() > 0);
        }
        mappings.insert(key, Arc::downgrade(&mapping));
        drop(mappings);
        Ok(handle(mapping, 0, wanted, mode))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Weak<Mapping>>> {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wanted part of a mapping that is there already; `unused` are those of other versions.
fn find(
    mappings: &mut HashMap<Key, Weak<Mapping>>,
    path: &Path,
    mode: Mode,
    wanted: &Range,
    identity: &Identity,
    unused: &mut Vec<Arc<Mapping>>,
) -> Option<MmapBytes> {
    let modes = if mode == Mode::Read { &[Mode::ReadWrite, Mode::Read][..] } else { &[Mode::ReadWrite] };
    for &existing in modes {
        for (offset, size, start) in [(0, 0, wanted.offset), (wanted.offset, wanted.size, 0)] {
            let key = Key { path: path.to_owned(), mode: existing, offset, size };
            let Some(mapping) = mappings.get(&key).and_then(Weak::upgrade) else { continue };
            if mapping.shows(identity) {
                return Some(handle(mapping, start, *wanted, mode));
            }
            mappings.remove(&key);
            unused.push(mapping);
        }
    }
    None
}

/// The part of a file of `file_size` bytes that was asked for; a size of zero reaches to its end.
fn part(path: &Path, offset: u64, size: u64, file_size: u64) -> Result<Range> {
    let left = file_size.checked_sub(offset);
    let size = if size == 0 { left } else { Some(size) };
    match (size, left) {
        (Some(size), Some(left)) if size <= left => Ok(Range { offset, size }),
        _ => {
            let expected = format!("at least {} bytes", u128::from(offset) + u128::from(size.unwrap_or(0)));
            Err(Error::invalid(path, "size", expected, format!("{file_size} bytes")))
        }
    }
}

fn handle(mapping: Arc<Mapping>, start: u64, range: Range, mode: Mode) -> MmapBytes {
    let fits = "a mapped range fits the address space";
    let (start, length) = (usize::try_from(start).expect(fits), usize::try_from(range.size).expect(fits));
    MmapBytes { mapping, start, length, mode, lease: false }
}

/// Maps the file `path`, opened as `file` in `mode`: `size` bytes from `offset` on, or the whole file
/// when both are zero. The part need not start at a page, and has exactly the size asked for.
///
/// If a compatible mapping exists it is used instead of a new one: a mapping of the whole file serves
/// every part of it, and one for `r+` serves `r` too. A file that was replaced (another inode, size or
/// time of change) is mapped anew.
///
/// # Errors
///
/// [`Error::Invalid`] when the file is shorter than the part, [`Error::Io`] when the system does not
/// map it, for lack of memory or of the right to write.
pub fn mmap_file(path: &Path, mode: Mode, file: &File, offset: u64, size: u64) -> Result<MmapBytes> {
    MMAP_CACHE.mmap_file(path, mode, file, offset, size)
}

/// Raises the number of files this process may have open as far as the system allows, and returns
/// that number. Every mapped array counts as open files.
///
/// # Errors
///
/// [`Error::Io`] when the system does not tell or change the limit.
pub fn allow_maximal_open_files() -> Result<u64> {
    let fail = |errno| Error::io("RLIMIT_NOFILE", "raise the limit", std::io::Error::from(errno));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(fail)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(fail)?;
    Ok(hard)
}

/// Has all threads share one heap, where the addresses of this process are limited (`ulimit -v`): each would
/// otherwise take 64 MiB of them for a heap of its own.
pub fn spare_addresses() {
    if getrlimit(Resource::RLIMIT_AS).is_ok_and(|(soft, _)| soft == libc::RLIM_INFINITY) {
        return;
    }
    // SAFETY: this sets a number in the allocator, before there are threads.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Has large buffers mapped one by one, so that a part of one that is never used takes no memory.
///
/// The allocator would otherwise learn from the first that is freed to keep such buffers, and fill the
/// next with zeros by hand. The kernel's requests are read into buffers of 16 MiB, of which they
/// mostly use a page.
pub fn map_large_buffers() {
    // SAFETY: this sets a number in the allocator, before there are threads.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}
