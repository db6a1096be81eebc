//! One file of a store, as the mount serves it: opened when first needed, mapped once, never trusted.
//!
//! A file may be truncated while it is served. Bytes are therefore handed out in two ways only:
//! as a slice of the map that goes to the kernel *untouched* (the kernel survives a page that is no
//! longer there, this process would not), and by `pread` into a buffer for what is computed. Both look at
//! the file's size first, since the rest of its last page reads as zeros through a map.

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

/// Elements that are picked, and bytes of a whole file that are read, before it is asked again whether
/// anybody waits for them: each of the first may be a read of its own from a disk.
const GATHERED: usize = 256;
const PIECE: usize = 4 << 20;

/// Milliseconds that are waited after each time that a file was read and changed meanwhile: who writes now
/// and then is waited for.
const PAUSES: [u64; 7] = [0, 0, 1, 2, 4, 8, 16];

/// A run of bytes of a file of the store.
#[derive(Clone, Copy, Debug)]
pub struct ByteRange<'s> {
    /// The file.
    pub source: &'s Arc<Source>,
    /// Where the run starts in it.
    pub offset: u64,
    /// Bytes of the run.
    pub length: u64,
}

impl ByteRange<'_> {
    /// As [`Source::mapped`], for the bytes of the run from `offset` on: at most `length`, fewer at
    /// its end.
    ///
    /// # Errors
    ///
    /// As [`Source::mapped`].
    pub fn mapped(&self, offset: u64, length: usize) -> Result<Option<Mapped>> {
        let left = self.length.saturating_sub(offset);
        let length = to_usize(left).min(length);
        self.source.mapped(self.offset + offset.min(self.length), length)
    }

    /// Blocks of 512 bytes that it takes on the disk; of a part of a file at the most.
    pub fn blocks(&self) -> u64 {
        let blocks = self.source.stat().blocks;
        if self.length == self.source.len() { blocks } else { blocks.min(self.length.div_ceil(512)) }
    }
}

/// What to search for in a file: data, or a hole, where nothing was ever written.
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
    /// Where it is, links resolved.
    path: PathBuf,
    /// Where it was found.
    name: PathBuf,
    stat: Stat,
    held: Arc<FileSlot>,
}

/// The open file of a source, as long as there is room for it.
#[derive(Debug)]
struct FileSlot {
    identity: Identity,
    opened: ArcSwapOption<Opened>,
    is_used: AtomicBool,
    was_read: AtomicBool,
    /// Since it was first opened.
    generation: OnceLock<Used>,
}

impl Closable for FileSlot {
    fn was_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// The same file can be opened again if it still has a name, and is as it was.
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

/// Bytes of a map, which stays for as long as they are held.
pub struct Mapped {
    opened: Arc<Opened>,
    range: Range<usize>,
}

impl Mapped {
    /// The bytes, to be passed on.
    pub fn untouched(&self) -> Untouched<'_> {
        let map = self.opened.map.get().and_then(Option::as_ref);
        map.and_then(|map| map.part(self.range.clone())).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Opened {
    /// Shared with the file's [`Generation`], which asks by it whether anybody is writing.
    file: Arc<File>,
    /// Made when it is first needed; none where the system had no room for another mapping: then
    /// everything is read instead.
    map: OnceLock<Option<MmapBytes>>,
    /// Another, to pick elements from.
    guarded: OnceLock<Option<GuardedMap>>,
}

impl Source {
    /// The file at `path` of the store, links inside the store followed. It is not opened yet.
    ///
    /// Its permissions are restricted by the current ones of the directories on the way of a link to it.
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

    /// Path in the store, as it was found.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Where it is in the store, if what was found is a link.
    pub fn link_target(&self) -> Option<&Path> {
        (self.path != self.name).then_some(&*self.path)
    }

    /// The facts of the file when it was found.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Bytes of the file when it was found.
    pub fn len(&self) -> u64 {
        self.stat.identity.size
    }

    /// Whether the file was empty when it was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which file it is, whatever its bytes.
    pub fn id(&self) -> FileId {
        self.stat.identity.file()
    }

    /// Whether the bytes stay as they are, as far as anybody can tell: since the file was found nobody was
    /// seen who writes in it. Nothing is looked at.
    pub fn is_settled(&self) -> bool {
        let found = self.stat.identity.generation;
        !is_written(found) && self.generation() == found
    }

    /// The generation of the file as it was last seen; nothing is looked at.
    pub fn generation(&self) -> u64 {
        match self.held.generation.get() {
            Some(generation) => generation.number(),
            None => self.store.generations().number(self.id()),
        }
    }

    /// Whether the file may be opened now as what was found: it is current, or was written in place since.
    pub fn can_be_opened(&self) -> bool {
        self.is_current() || (!self.is_settled() && self.is_in_place())
    }

    /// Whether the path still shows the version that was found, to whom it was shown then.
    pub fn is_current(&self) -> bool {
        if self.path == self.name {
            return self.store.identity(&self.path).is_ok_and(|identity| identity == self.stat.identity);
        }
        // A link: it may lead elsewhere by now, or past directories that let others through.
        let now = Self::find(&self.store, &self.name);
        now.is_ok_and(|now| now.path == self.path && now.version() == self.version())
    }

    /// What tells this version from others: which bytes they are, and who may read them.
    pub fn version(&self) -> (Identity, Permissions) {
        (self.stat.identity, self.stat.permissions)
    }

    /// What of a version stays the same when the file is written in place.
    pub fn ttl(&self) -> impl Hash {
        self.stat.identity.ttl()
    }

    /// Whether the path still shows the file that was found, whatever its bytes.
    fn is_in_place(&self) -> bool {
        self.store.identity(&self.path).is_ok_and(|now| now.is_same_file(&self.stat.identity))
    }

    /// Makes sure that the file is open: from here on this version can be read, whatever becomes of
    /// its name.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when another file has taken its place.
    pub fn open(&self) -> Result<()> {
        self.opened().map(drop)
    }

    /// Whether the file was ever opened: from then on it is known of its bytes whether somebody writes in
    /// them.
    pub fn was_opened(&self) -> bool {
        self.held.generation.get().is_some()
    }

    /// Whether something of the file was ever read.
    pub fn was_read(&self) -> bool {
        self.held.was_read.load(Ordering::Relaxed)
    }

    /// Passes the open file to `use_it`, who may hand it to the kernel.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn with_file<T>(&self, use_it: impl FnOnce(&File) -> T) -> Result<T> {
        Ok(use_it(&self.opened()?.file))
    }

    /// The open file, which stays open for as long as this is held.
    fn opened(&self) -> Result<Arc<Opened>> {
        let Some(opened) = self.held.opened.load_full() else { return self.open_anew() };
        // Test before the store, because stores by all readers would contend for the cache line.
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
        // Not its mode: a file that was closed for want of room is opened again for those who had it.
        if !identity.at(generation.number()).has_bytes_of(&self.stat.identity) {
            // Nobody was seen, but somebody has written in it.
            self.store.generations().was_written(self.id());
        }
        let _ = self.held.generation.set(generation);
        let opened = Arc::new(Opened { file, map: OnceLock::new(), guarded: OnceLock::new() });
        let none: Option<Arc<Opened>> = None;
        let before = self.held.opened.compare_and_swap(&none, Some(Arc::clone(&opened)));
        // Of several who open it at once, one is heard.
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

    /// Refuses when the file no longer reaches to `end`.
    fn check_reaches(&self, file: &File, end: u64) -> Result<Identity> {
        let meta = file.metadata().map_err(|e| Error::io(&self.name, "look at", e))?;
        let now = Stat::of(&meta).identity;
        let found = now.size;
        // Any loss counts: of what is left nobody knows which version it belongs to.
        if found < self.len() || found < end {
            return Err(Error::Truncated { path: self.name.clone(), expected: self.len().max(end), found });
        }
        Ok(now)
    }

    /// Which version of the bytes the open file has at this moment, as far as anybody was seen who writes.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Error::Truncated`] when the file has shrunk.
    pub fn identity_now(&self) -> Result<Identity> {
        let now = self.check_reaches(&self.opened()?.file, self.len())?;
        Ok(now.at(self.store.generations().look(self.id())))
    }

    /// Whether what was read so far is all of the version that was found, and nobody was seen who writes: a
    /// file can be written in place while it is read.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] or [`Error::Stale`] when it is not.
    pub fn check_unchanged(&self) -> Result<()> {
        let now = self.identity_now()?;
        let is_same_generation = now.generation == self.stat.identity.generation;
        // The name may go meanwhile, or another take it: that is a change of the inode, not of the bytes.
        match now.has_bytes_of(&self.stat.identity) && is_same_generation {
            true => Ok(()),
            false => Err(Error::Stale { path: self.name.clone() }),
        }
    }

    /// The bytes `offset..offset + length` of the map, to be passed to the kernel and not touched;
    /// none where the file could not be mapped.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file has shrunk.
    pub fn mapped(&self, offset: u64, length: usize) -> Result<Option<Mapped>> {
        let opened = self.opened_to_read()?;
        let Some(map) = opened.map.get_or_init(|| self.map(&opened.file)) else { return Ok(None) };
        self.check_reaches(&opened.file, offset.saturating_add(length as u64))?;
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(length)?));
        let range = range.filter(|range| range.end <= map.len());
        Ok(range.map(|range| Mapped { opened: Arc::clone(&opened), range }))
    }

    /// Where data begin, or a hole, at `offset` or after it; the end of the file where none do.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file has shrunk.
    pub fn seek(&self, offset: u64, whence: Whence) -> Result<u64> {
        let opened = self.opened()?;
        self.check_reaches(&opened.file, self.len())?;
        let to = match whence {
            Whence::Data => SeekFrom::Data(offset),
            Whence::Hole => SeekFrom::Hole(offset),
        };
        // All reading is done by offset, so that it does not matter where this leaves the descriptor.
        match rustix::fs::seek(&opened.file, to) {
            Ok(found) => Ok(found.min(self.len())),
            Err(Errno::NXIO) => Ok(self.len()),
            // A file system that knows no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => match whence {
                Whence::Data => Ok(offset),
                Whence::Hole => Ok(self.len()),
            },
            Err(error) => Err(Error::io(&self.name, "seek in", error.into())),
        }
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file has shrunk, [`Error::Stale`] when it does not stop changing.
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

    /// Fills `out` with elements, the first at `offset` and each `stride` bytes after the one before;
    /// false where that has to be done by reading.
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

    /// The result of `read`, if the file did not change from before the read until after it.
    ///
    /// If a file is truncated, the rest of its last page reads as zeros, both through a map and by `read`,
    /// without any error. Checking the size afterwards is not enough, because the file may have grown again.
    /// The modification time shows it.
    fn steadily<T>(&self, file: &File, mut read: impl FnMut() -> Result<T>) -> Result<T> {
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

    /// The whole file, when it has at most `limit` bytes.
    pub fn read_all(&self, limit: u64) -> Result<Vec<u8>> {
        if self.len() > limit {
            let expected = format!("at most {limit} bytes");
            return Err(Error::invalid(&self.name, "size", expected, format!("{} bytes", self.len())));
        }
        let mut bytes = vec![0; usize::try_from(self.len()).unwrap_or(0)];
        // Not by way of `opened`: what is read once and small needs no map.
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
