//! One file of a store, as the mount serves it: opened on first use, mapped once, and never trusted.
//!
//! A file may be truncated while it is served. Touching a mapped page beyond the new end kills this process
//! with SIGBUS. So bytes are available in two ways only. A slice of the map goes to the kernel *untouched*,
//! because the kernel survives a missing page. Anything that is computed reads with `pread` into a buffer, or
//! picks elements from a [guarded map](GuardedMap). All of them check the size of the file, because the rest
//! of its last page reads as zeros through a map.

use std::fs::File;
use std::hash::Hash;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::store::generation::{FileId, Used, is_written};
use crate::store::mmap::{GuardedMap, MmapBytes, Mode, Untouched, mmap_file};
use crate::store::open_files::Closable;
use crate::store::{FileKind, Identity, Permissions, Stat, Store};
use crate::task;
use crate::word::to_usize;

/// Elements picked, and bytes of a whole file read, between two checks whether anybody still waits for the
/// result. The number of elements is small because each may be a separate disk access.
const GATHERED: usize = 256;
const PIECE: usize = 4 << 20;

/// Pauses in milliseconds after each attempt to read a file that changed meanwhile. They give a writer that
/// writes now and then the time to finish.
const PAUSES: [u64; 7] = [0, 0, 1, 2, 4, 8, 16];

/// A byte range of a file of the store.
#[derive(Clone, Copy, Debug)]
pub struct ByteRange<'s> {
    /// The file.
    pub source: &'s Arc<Source>,
    /// Offset of the range in the file.
    pub offset: u64,
    /// Length of the range in bytes.
    pub length: u64,
}

impl ByteRange<'_> {
    /// Like [`Source::mapped`], for the bytes of the range from `offset`: at most `length`, fewer at its end.
    ///
    /// # Errors
    ///
    /// As [`Source::mapped`].
    pub fn mapped(&self, offset: u64, length: usize) -> Result<Option<Mapped>> {
        let left = self.length.saturating_sub(offset);
        let length = to_usize(left).min(length);
        self.source.mapped(self.offset + offset.min(self.length), length)
    }

    /// Disk usage in blocks of 512 bytes. For a part of a file, an upper bound.
    pub fn blocks(&self) -> u64 {
        let blocks = self.source.stat().blocks;
        if self.length == self.source.len() { blocks } else { blocks.min(self.length.div_ceil(512)) }
    }
}

/// The target of a [seek](Source::seek): data, or a hole that was never written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whence {
    /// `SEEK_DATA`
    Data,
    /// `SEEK_HOLE`
    Hole,
}

/// One version of one regular file of a store.
#[derive(Debug)]
pub struct Source {
    store: Arc<Store>,
    /// The path in the store, with links resolved.
    path: PathBuf,
    /// The path where it was found, which may be a link.
    name: PathBuf,
    stat: Stat,
    held: Arc<FileSlot>,
}

/// The open file of a source. It is closed when too many files are open.
#[derive(Debug)]
struct FileSlot {
    identity: Identity,
    opened: ArcSwapOption<Opened>,
    is_used: AtomicBool,
    was_read: AtomicBool,
    /// Set when the file is first opened.
    generation: OnceLock<Used>,
}

impl Closable for FileSlot {
    fn was_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// Closes the file only if the same version can be opened again: it still has a name and is unchanged.
    fn close(&self) -> bool {
        let Some(opened) = self.opened.load_full() else { return false };
        let can_come_back = opened.file.metadata().is_ok_and(|meta| {
            std::os::unix::fs::MetadataExt::nlink(&meta) > 0
                && Stat::of(&meta).identity.has_bytes_of(&self.identity)
        });
        if can_come_back {
            self.opened.store(None);
        }
        can_come_back
    }
}

/// Bytes of a memory map, which is kept alive for as long as this exists.
pub struct Mapped {
    opened: Arc<Opened>,
    range: Range<usize>,
}

impl Mapped {
    /// The bytes, to be passed to the kernel.
    pub fn untouched(&self) -> Untouched<'_> {
        let map = self.opened.map.get().and_then(Option::as_ref);
        map.and_then(|map| map.part(self.range.clone())).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Opened {
    /// Shared with the file's [`Generation`], which uses it to ask for writers.
    file: Arc<File>,
    /// Created on first use. None if the system has no room for another mapping. Then `pread` is used
    /// instead.
    map: OnceLock<Option<MmapBytes>>,
    /// A second map, for picking elements.
    guarded: OnceLock<Option<GuardedMap>>,
}

impl Source {
    /// Finds the file at `path` in the store, following links inside the store. Does not open it.
    ///
    /// Its permissions are narrowed by the current permissions of the directories that a link passes through.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not a regular file, and any error from resolving the path.
    pub fn find(store: &Arc<Store>, path: &Path) -> Result<Self> {
        let mut stat = store.stat(path)?;
        let mut target = path.to_owned();
        if stat.kind == FileKind::Link {
            let way = store.resolve(path)?;
            stat = store.stat(&way.end)?;
            for directory in &way.passed {
                stat.permissions = stat.permissions.behind(&store.stat(directory)?.permissions);
            }
            target = way.end;
        }
        if stat.kind != FileKind::File {
            return Err(Error::invalid(path, "kind of file", FileKind::File.name(), stat.kind.name()));
        }
        let name = path.to_owned();
        let opened = ArcSwapOption::empty();
        let (is_used, was_read, generation) = Default::default();
        let held = Arc::new(FileSlot { identity: stat.identity, opened, is_used, was_read, generation });
        Ok(Self { store: Arc::clone(store), path: target, name, stat, held })
    }

    /// The path in the store where it was found.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The path of the file itself, if it was found through a link.
    pub fn link_target(&self) -> Option<&Path> {
        (self.path != self.name).then_some(&*self.path)
    }

    /// The attributes of the file when it was found.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Size in bytes when the file was found.
    pub fn len(&self) -> u64 {
        self.stat.identity.size
    }

    /// Whether the file was empty when it was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Identifies the file, regardless of its bytes.
    pub fn id(&self) -> FileId {
        self.stat.identity.file()
    }

    /// Whether the bytes are stable: no writer was seen since the file was found. Makes no system call.
    pub fn is_settled(&self) -> bool {
        let found = self.stat.identity.generation;
        !is_written(found) && self.generation() == found
    }

    /// The last known generation of the file, without a system call.
    pub fn generation(&self) -> u64 {
        match self.held.generation.get() {
            Some(generation) => generation.number(),
            None => self.store.generations().number(self.id()),
        }
    }

    /// Whether the file may be opened as the version that was found: it is current, or was written in place
    /// since.
    pub fn can_be_opened(&self) -> bool {
        self.is_current() || (!self.is_settled() && self.is_in_place())
    }

    /// Whether the path still leads to the version that was found, with the same permissions.
    pub fn is_current(&self) -> bool {
        if self.path == self.name {
            return self.store.identity(&self.path).is_ok_and(|identity| identity == self.stat.identity);
        }
        // A link may have a new target by now, or pass through directories whose permissions have changed.
        let now = Self::find(&self.store, &self.name);
        now.is_ok_and(|now| now.path == self.path && now.version() == self.version())
    }

    /// Identifies this version: the bytes, and who may read them.
    pub fn version(&self) -> (Identity, Permissions) {
        (self.stat.identity, self.stat.permissions)
    }

    /// The part of a version that stays the same when the file is written in place.
    pub fn ttl(&self) -> impl Hash {
        self.stat.identity.ttl()
    }

    /// Whether the path still leads to the same file, regardless of its bytes.
    fn is_in_place(&self) -> bool {
        self.store.identity(&self.path).is_ok_and(|now| now.is_same_file(&self.stat.identity))
    }

    /// Opens the file if it is not open yet. From then on this version can be read, even if its name is
    /// removed or reused.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if another file has taken its place.
    pub fn open(&self) -> Result<()> {
        self.opened().map(drop)
    }

    /// Whether the file was ever opened. From then on, writers are noticed.
    pub fn was_opened(&self) -> bool {
        self.held.generation.get().is_some()
    }

    /// Whether any of its bytes were ever read.
    pub fn was_read(&self) -> bool {
        self.held.was_read.load(Ordering::Relaxed)
    }

    /// Passes the open file to `use_it`, which may hand it to the kernel.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn with_file<T>(&self, use_it: impl FnOnce(&File) -> T) -> Result<T> {
        Ok(use_it(&self.opened()?.file))
    }

    /// The open file. It stays open for as long as the result is held.
    fn opened(&self) -> Result<Arc<Opened>> {
        let Some(opened) = self.held.opened.load_full() else { return self.open_anew() };
        // Read before writing. Otherwise all readers would contend for one cache line.
        if !self.held.is_used.load(Ordering::Relaxed) {
            self.held.is_used.store(true, Ordering::Relaxed);
        }
        Ok(opened)
    }

    fn opened_to_read(&self) -> Result<Arc<Opened>> {
        if !self.was_read() {
            self.held.was_read.store(true, Ordering::Relaxed);
        }
        self.opened()
    }

    fn open_anew(&self) -> Result<Arc<Opened>> {
        let (file, identity) =
            self.store.open_file(&self.path).map_err(|error| match error.is_not_found() {
                true => Error::Stale { path: self.name.clone() },
                false => error,
            })?;
        let file = Arc::new(file);
        let generation = self.store.generations().opened(identity.file(), &file);
        if !identity.is_same_file(&self.stat.identity) {
            return Err(Error::Stale { path: self.name.clone() });
        }
        // Compare only the bytes. If the mode has changed, the file is still reopened for the readers that
        // had it open.
        if !identity.at(generation.number()).has_bytes_of(&self.stat.identity) {
            // The bytes have changed although no writer was seen.
            self.store.generations().was_written(self.id());
        }
        let _ = self.held.generation.set(generation);
        let opened = Arc::new(Opened { file, map: OnceLock::new(), guarded: OnceLock::new() });
        let none: Option<Arc<Opened>> = None;
        let before = self.held.opened.compare_and_swap(&none, Some(Arc::clone(&opened)));
        // If several threads open the file at once, the first one wins.
        if let Some(before) = &*before {
            return Ok(Arc::clone(before));
        }
        self.store.open_files().opened(Arc::downgrade(&self.held) as Weak<dyn Closable>);
        Ok(opened)
    }

    fn map(&self, file: &File) -> Option<MmapBytes> {
        let map = mmap_file(&self.store.path().join(&self.path), Mode::Read, file, 0, 0);
        map.inspect_err(|error| log::warn!("{error}; reading without a map")).ok()
    }

    /// Fails if the file no longer reaches to `end`.
    fn check_reaches(&self, file: &File, end: u64) -> Result<Identity> {
        let meta = file.metadata().map_err(|e| Error::io(&self.name, "look at", e))?;
        let now = Stat::of(&meta).identity;
        let found = now.size;
        // Any truncation is an error, even beyond `end`: the remaining bytes may belong to any version.
        if found < self.len() || found < end {
            return Err(Error::Truncated { path: self.name.clone(), expected: self.len().max(end), found });
        }
        Ok(now)
    }

    /// The current version of the bytes of the open file, as far as writers were seen.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Error::Truncated`] if the file has shrunk.
    pub fn identity_now(&self) -> Result<Identity> {
        let now = self.check_reaches(&self.opened()?.file, self.len())?;
        Ok(now.at(self.store.generations().look(self.id())))
    }

    /// Checks that everything read so far belongs to the version that was found, and that no writer was seen.
    /// A file can be written in place while it is read.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] or [`Error::Stale`] if the file has changed.
    pub fn check_unchanged(&self) -> Result<()> {
        let now = self.identity_now()?;
        let is_same_generation = now.generation == self.stat.identity.generation;
        // Removing or replacing the name changes the inode, but not the bytes, so it does not matter here.
        match now.has_bytes_of(&self.stat.identity) && is_same_generation {
            true => Ok(()),
            false => Err(Error::Stale { path: self.name.clone() }),
        }
    }

    /// The bytes `offset..offset + length` of the map, to be passed to the kernel without touching them. None
    /// if the file could not be mapped.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] if the file has shrunk.
    pub fn mapped(&self, offset: u64, length: usize) -> Result<Option<Mapped>> {
        let opened = self.opened_to_read()?;
        let Some(map) = opened.map.get_or_init(|| self.map(&opened.file)) else { return Ok(None) };
        self.check_reaches(&opened.file, offset.saturating_add(length as u64))?;
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(length)?));
        let range = range.filter(|range| range.end <= map.len());
        Ok(range.map(|range| Mapped { opened: Arc::clone(&opened), range }))
    }

    /// The next offset at or after `offset` where data or a hole begins. The end of the file if there is
    /// none.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] if the file has shrunk.
    pub fn seek(&self, offset: u64, whence: Whence) -> Result<u64> {
        let opened = self.opened()?;
        self.check_reaches(&opened.file, self.len())?;
        let to = match whence {
            Whence::Data => SeekFrom::Data(offset),
            Whence::Hole => SeekFrom::Hole(offset),
        };
        // This moves the descriptor's position. That is harmless, because every read has an explicit offset.
        match rustix::fs::seek(&opened.file, to) {
            Ok(found) => Ok(found.min(self.len())),
            // None follows before the end of the file.
            Err(Errno::NXIO) => Ok(self.len()),
            // The file system does not support holes: all bytes are data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => match whence {
                Whence::Data => Ok(offset),
                Whence::Hole => Ok(self.len()),
            },
            Err(error) => Err(Error::io(&self.name, "seek in", error.into())),
        }
    }

    /// Fills `buffer` with the bytes from `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] if the file has shrunk. [`Error::Stale`] if it keeps changing.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        task::check()?;
        let opened = self.opened_to_read()?;
        self.steadily(&opened.file, || match opened.file.read_exact_at(buffer, offset) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.check_reaches(&opened.file, offset.saturating_add(buffer.len() as u64))?;
                Err(Error::io(&self.name, "read", error))
            }
            result => result.map_err(|error| Error::io(&self.name, "read", error)),
        })
    }

    /// Fills `out` with elements. The first is at `offset`, and each following one is `stride` bytes further.
    /// Returns false if the map cannot be used. The caller then has to read instead.
    ///
    /// # Errors
    ///
    /// As [`read_exact_at`](Self::read_exact_at).
    pub fn gather<T: bytemuck::Pod>(&self, offset: u64, stride: u64, out: &mut [T]) -> Result<bool> {
        let opened = self.opened_to_read()?;
        let Some(map) = opened.guarded.get_or_init(|| GuardedMap::new(&opened.file)) else {
            return Ok(false);
        };
        let (Ok(offset), Ok(stride)) = (usize::try_from(offset), usize::try_from(stride)) else {
            return Ok(false);
        };
        self.steadily(&opened.file, || {
            for (i, piece) in out.chunks_mut(GATHERED).enumerate() {
                task::check()?;
                let skipped = (i * GATHERED).checked_mul(stride);
                let at = skipped.and_then(|skipped| offset.checked_add(skipped));
                if !at.is_some_and(|at| map.gather(at, stride, piece)) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Repeats `read` until the file does not change during it, and returns the result.
    ///
    /// When a file is truncated, the rest of its last page reads as zeros, both through a map and with
    /// `pread`, and nothing indicates this. Checking the size afterwards is not enough, because the file may
    /// have grown back. Only its modification time shows the change.
    fn steadily<T>(&self, file: &File, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        // If no writer was seen, the time from the lookup is still valid, which saves a system call.
        let mut before = match self.is_settled() {
            true => self.stat.identity.modified,
            false => self.check_reaches(file, self.len())?.modified,
        };
        for pause in PAUSES {
            let result = read()?;
            let now = self.check_reaches(file, self.len())?.modified;
            if now == before {
                return Ok(result);
            }
            before = now;
            task::begin_long()?;
            std::thread::sleep(Duration::from_millis(pause));
        }
        Err(Error::Stale { path: self.name.clone() })
    }

    /// Reads the whole file, if it has at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the file is larger, [`Error::Truncated`] or [`Error::Stale`] if it has changed,
    /// and any error from opening and reading it.
    pub fn read_all(&self, limit: u64) -> Result<Vec<u8>> {
        if self.len() > limit {
            let expected = format!("at most {limit} bytes");
            return Err(Error::invalid(&self.name, "size", expected, format!("{} bytes", self.len())));
        }
        let mut bytes = vec![0; usize::try_from(self.len()).unwrap_or(0)];
        // Without `opened`: a small file that is read once needs no map and no slot among the open files.
        let (file, identity) = self.store.open_file(&self.path)?;
        if identity != self.stat.identity {
            return Err(Error::Stale { path: self.name.clone() });
        }
        self.steadily(&file, || {
            for (i, piece) in (0..).zip(bytes.chunks_mut(PIECE)) {
                task::check()?;
                let read = file.read_exact_at(piece, i * PIECE as u64);
                read.map_err(|error| Error::io(&self.name, "read", error))?;
            }
            Ok(())
        })?;
        Ok(bytes)
    }
}
