//! Memory maps of files, and a cache that never maps a file twice. All unsafe code for them is here. Other
//! functions marked `unsafe` pass on the contract of this module.
//!
//! # What a map guarantees
//!
//! The bytes of a map *are* the file. When a process writes to the file, they change. When a process
//! truncates the file, touching bytes beyond its new end kills this process with SIGBUS. No language can
//! prevent this. Therefore mapping is safe, but access to the mapped bytes is unsafe: the caller promises
//! that nobody writes to them meanwhile and that nobody truncates the file. The mount of this crate makes no
//! such promise, and never touches a map itself.
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
    /// `r`: the data is read-only.
    Read,
    /// `r+`: changes of the data go to the file.
    ReadWrite,
}

impl std::str::FromStr for Mode {
    type Err = String;

    /// Parses `r` or `r+`. `w` is the seed's other word for `r+` of sparse matrices.
    fn from_str(mode: &str) -> std::result::Result<Self, String> {
        match mode {
            "r" => Ok(Self::Read),
            "r+" | "w" => Ok(Self::ReadWrite),
            other => Err(format!("mode: expected r or r+, found {other}")),
        }
    }
}

/// A mapped range of one version of a file.
#[derive(Debug)]
struct Mapping {
    /// Never exposed as a slice, because others may write to it.
    map: MmapRaw,
    mode: Mode,
    identity: Identity,
    /// Whether a handle may currently write through this mapping.
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

    /// Whether this mapping shows the current file, whose identity is `now`.
    ///
    /// A writable mapping changes the times of the file itself, so they are not compared for it.
    fn shows(&self, now: &Identity) -> bool {
        let then = &self.identity;
        let same_file = (then.device, then.inode, then.size) == (now.device, now.inode, now.size);
        same_file && (self.mode == Mode::ReadWrite || then.modified == now.modified)
    }
}

/// Mapped bytes of a file, or of a part of it: `bytes` in mode `r`, `bytearray` in mode `r+`.
///
/// All handles of the same file share the mapping, which lives until the last one is dropped. No safe
/// function exposes the bytes, because any of the handles may write to them.
#[derive(Debug)]
pub struct MmapBytes {
    mapping: Arc<Mapping>,
    start: usize,
    length: usize,
    mode: Mode,
    lease: bool,
}

impl MmapBytes {
    /// The mode in which the bytes were opened.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A pointer to the first byte. Reading from it has the requirements of [`bytes`](Self::bytes).
    pub fn as_ptr(&self) -> *const u8 {
        self.mapping.map.as_ptr().wrapping_add(self.start)
    }

    /// The bytes of the file.
    ///
    /// # Safety
    ///
    /// While the slice lives, nobody may write to these bytes, by another handle of this process or in
    /// another process, and nobody may truncate the file, which would kill this process with SIGBUS.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: the range lies inside the mapping, which lives as long as `self`. The caller promises that
        // nobody writes to it.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.length) }
    }

    /// The bytes for writing. Changes go to the file.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for `path` if the bytes were opened in mode `r`, or if another handle of the same
    /// mapping has the right to write, which it keeps until it is dropped.
    ///
    /// # Safety
    ///
    /// While the slice lives, nobody else may read or write these bytes, by another handle of this process or
    /// in another process, and nobody may truncate the file. The limit to one writer at a time only helps to
    /// find mistakes: it does not cover separate mappings of parts, other paths to the file, or other
    /// processes.
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
        // SAFETY: the range lies inside the mapping, which lives as long as `self`. It is writable, because a
        // read-only mapping never serves mode r+. The caller promises that nobody else uses it.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, self.length) })
    }

    /// A part of the bytes for the kernel. None if the range is out of bounds.
    pub fn part(&self, range: std::ops::Range<usize>) -> Option<Untouched<'_>> {
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= self.length)?;
        Some(Untouched { start: self.as_ptr().wrapping_add(range.start), length, of: PhantomData })
    }
}

/// Bytes of a map on their way to the kernel. The kernel can copy them even if others write to the file
/// meanwhile, and returns an error if they are gone. This process never reads them.
#[derive(Clone, Copy, Debug)]
pub struct Untouched<'m> {
    start: *const u8,
    length: usize,
    /// Ties the bytes to the lifetime of their map.
    of: PhantomData<&'m MmapBytes>,
}

impl Default for Untouched<'_> {
    /// No bytes.
    fn default() -> Self {
        Self { start: std::ptr::NonNull::dangling().as_ptr(), length: 0, of: PhantomData }
    }
}

impl<'m> Untouched<'m> {
    /// Calls `pass` with the bytes. It must do nothing but give their address to the kernel.
    pub(crate) fn pass_to_kernel<T>(self, pass: impl FnOnce(&[u8]) -> T) -> T {
        // SAFETY: the range lies inside a mapping that lives for 'm. Nothing reads it through this slice.
        pass(unsafe { std::slice::from_raw_parts(self.start, self.length) })
    }

    /// The bytes.
    ///
    /// # Safety
    ///
    /// As that of [`MmapBytes::bytes`].
    pub unsafe fn bytes(self) -> &'m [u8] {
        // SAFETY: the range lies inside a mapping that lives for 'm. The caller promises that nobody writes
        // to it.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl Clone for MmapBytes {
    /// Another handle of the same mapping. It does not get the right to write.
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
    /// Zero means the whole file.
    size: u64,
}

/// A cache of mappings. It holds weak references, so a mapping ends with its last user.
#[derive(Debug, Default)]
pub struct MmapCache {
    mappings: Mutex<HashMap<Key, Weak<Mapping>>>,
}

/// The cache of this process, which [`mmap_file`] uses.
pub static MMAP_CACHE: LazyLock<MmapCache> = LazyLock::new(MmapCache::default);

impl MmapCache {
    /// Number of live mappings.
    pub fn len(&self) -> usize {
        self.lock().values().filter(|mapping| mapping.strong_count() > 0).count()
    }

    /// Whether there is no live mapping.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Maps a file as [`mmap_file`] does.
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
        // These may be the last references to outdated mappings. Dropping one makes a system call, so they
        // are dropped without the lock, like all other system calls here.
        let mut unused = Vec::new();
        if let Some(found) = find(&mut self.lock(), path, mode, &wanted, &identity, &mut unused) {
            return Ok(found);
        }
        let mapping = Arc::new(Mapping::new(path, mode, file, &wanted, identity)?);
        let mut mappings = self.lock();
        // Another thread may have mapped the file meanwhile.
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

/// The wanted part of an existing mapping. Outdated mappings go into `unused`.
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

/// The requested part of a file with `file_size` bytes. A size of zero means up to the end.
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

/// Maps the file `path`, which is open as `file` in `mode`: `size` bytes from `offset`, or the whole file if
/// both are zero. The offset need not be a multiple of the page size, and the part has exactly the requested
/// size.
///
/// A compatible mapping is reused: one of the whole file serves every part, and one in mode `r+` also serves
/// mode `r`. A file that was replaced (another inode, size or modification time) is mapped again.
///
/// # Errors
///
/// [`Error::Invalid`] if the file ends before the part. [`Error::Io`] if the system cannot map it, because
/// there is not enough memory or no permission to write.
pub fn mmap_file(path: &Path, mode: Mode, file: &File, offset: u64, size: u64) -> Result<MmapBytes> {
    MMAP_CACHE.mmap_file(path, mode, file, offset, size)
}

/// Raises the limit on open files of this process as far as the system allows, and returns it. Every mapped
/// array needs open files.
///
/// # Errors
///
/// [`Error::Io`] if the system cannot report or change the limit.
pub fn allow_maximal_open_files() -> Result<u64> {
    let fail = |errno| Error::io("RLIMIT_NOFILE", "raise the limit", std::io::Error::from(errno));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(fail)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(fail)?;
    Ok(hard)
}

/// Makes all threads share one heap if the address space of this process is limited (`ulimit -v`). Otherwise
/// each thread would reserve 64 MiB of addresses for a heap of its own.
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

/// Makes the allocator map each large buffer separately, so that an unused part of it takes no memory.
///
/// Otherwise the allocator adapts when the first such buffer is freed: it keeps them, and clears reused ones
/// by writing zeros. The buffers for kernel requests have 16 MiB, of which mostly one page is used.
pub fn map_large_buffers() {
    // SAFETY: this sets a number in the allocator, before there are threads.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}
