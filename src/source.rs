//! One file of a store, as the mount serves it: opened when first needed, mapped once, never trusted.
//!
//! A file may be truncated while it is served. Bytes are therefore handed out in two ways only:
//! as a slice of the map that goes to the kernel *untouched* (the kernel survives a page that is no
//! longer there, this process would not), and by `pread` into a buffer for what is computed. Both look at
//! the file's size first, since the rest of its last page reads as zeros through a map.

use std::fs::File;
use std::ops::{Deref, Range};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwapOption;

use crate::error::{Error, Result};
use crate::mmap::{GuardedMap, MmapBytes, Mode, mmap_file};
use crate::open_files::Closable;
use crate::store::{FileKind, Identity, Stat, Store};

/// A run of bytes of a file of the store.
#[derive(Clone, Copy, Debug)]
pub struct Run<'s> {
    /// The file.
    pub source: &'s Arc<Source>,
    /// Where the run starts in it.
    pub offset: u64,
    /// Bytes of the run.
    pub length: u64,
}

impl Run<'_> {
    /// As [`Source::mapped`], for the bytes of the run from `offset` on: at most `length`, fewer at
    /// its end.
    ///
    /// # Errors
    ///
    /// As [`Source::mapped`].
    pub fn mapped(&self, offset: u64, length: usize) -> Result<Option<Mapped>> {
        let left = self.length.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(length);
        self.source.mapped(self.offset + offset.min(self.length), length)
    }
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
    held: Arc<Held>,
}

/// The open file of a source, as long as there is room for it.
#[derive(Debug)]
struct Held {
    identity: Identity,
    opened: ArcSwapOption<Opened>,
    is_used: AtomicBool,
}

impl Closable for Held {
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

/// Bytes of a map, which stays for as long as they are held. They are to be passed on and not touched.
pub struct Mapped {
    opened: Arc<Opened>,
    range: Range<usize>,
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let map = self.opened.map.get().and_then(Option::as_ref);
        map.and_then(|map| map.get(self.range.clone())).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// Made when it is first needed; none where the system had no room for another mapping: then
    /// everything is read instead.
    map: OnceLock<Option<MmapBytes>>,
    /// Another, to pick elements from.
    guarded: OnceLock<Option<GuardedMap>>,
}

impl Source {
    /// The file at `path` of the store, links inside the store followed. It is not opened yet.
    ///
    /// Its rights are narrowed by those of the directories that a link to it leads past.
    pub fn find(store: &Arc<Store>, path: &Path) -> Result<Self> {
        let mut stat = store.stat(path)?;
        let mut target = path.to_owned();
        if stat.kind == FileKind::Link {
            target = store.resolve(path)?;
            stat = store.stat(&target)?;
            for directory in store.passage(&target)? {
                stat.rights = stat.rights.behind(&directory);
            }
        }
        if stat.kind != FileKind::File {
            return Err(Error::invalid(path, "kind of file", FileKind::File.name(), stat.kind.name()));
        }
        let name = path.to_owned();
        let opened = ArcSwapOption::empty();
        let held = Arc::new(Held { identity: stat.identity, opened, is_used: AtomicBool::new(false) });
        Ok(Self { store: Arc::clone(store), path: target, name, stat, held })
    }

    /// Path in the store, as it was found.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// What the file was when it was found.
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

    /// Whether the path still shows the version that was found.
    pub fn is_current(&self) -> bool {
        self.store.identity(&self.path).is_ok_and(|identity| identity == self.stat.identity)
            && (self.path == self.name || self.store.resolve(&self.name).is_ok_and(|path| path == self.path))
    }

    /// Makes sure that the file is open: from here on this version can be read, whatever becomes of
    /// its name.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when another version has taken its place.
    pub fn open(&self) -> Result<()> {
        self.opened().map(drop)
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
        // Looked at first, lest all who read write to one place.
        if !self.held.is_used.load(Ordering::Relaxed) {
            self.held.is_used.store(true, Ordering::Relaxed);
        }
        Ok(opened)
    }

    fn open_anew(&self) -> Result<Arc<Opened>> {
        let (file, identity) =
            self.store.open_file(&self.path).map_err(|error| match error.is_not_found() {
                true => Error::Stale { path: self.name.clone() },
                false => error,
            })?;
        // Not its mode: a file that was closed for want of room is opened again for those who had it.
        if !identity.has_bytes_of(&self.stat.identity) {
            return Err(Error::Stale { path: self.name.clone() });
        }
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
        let now = self.identity_of(file)?;
        let found = now.size;
        // Any loss counts: of what is left nobody knows which version it belongs to.
        if found < self.len() || found < end {
            return Err(Error::Truncated { path: self.name.clone(), expected: self.len().max(end), found });
        }
        Ok(now)
    }

    fn identity_of(&self, file: &File) -> Result<Identity> {
        let meta = file.metadata().map_err(|e| Error::io(&self.name, "look at", e))?;
        Ok(Stat::of(&meta).identity)
    }

    /// Whether what was read so far is all of the version that was found: a file can be written in
    /// place while it is read.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] or [`Error::Stale`] when it is not.
    pub fn check_unchanged(&self) -> Result<()> {
        let opened = self.opened()?;
        let now = self.check_reaches(&opened.file, self.len())?;
        // The name may go meanwhile, or another take it: that is a change of the inode, not of the bytes.
        match now.has_bytes_of(&self.stat.identity) {
            true => Ok(()),
            false => Err(Error::Stale { path: self.name.clone() }),
        }
    }

    /// Which version of the bytes the open file has at this moment.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn identity_now(&self) -> Result<Identity> {
        self.identity_of(&self.opened()?.file)
    }

    /// The bytes `offset..offset + length` of the map, to be passed to the kernel and not touched;
    /// none where the file could not be mapped.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file has shrunk.
    pub fn mapped(&self, offset: u64, length: usize) -> Result<Option<Mapped>> {
        let opened = self.opened()?;
        let Some(map) = opened.map.get_or_init(|| self.map(&opened.file)) else { return Ok(None) };
        self.check_reaches(&opened.file, offset.saturating_add(length as u64))?;
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(length)?));
        let range = range.filter(|range| range.end <= map.len());
        Ok(range.map(|range| Mapped { opened: Arc::clone(&opened), range }))
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file does not reach so far any more.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let opened = self.opened()?;
        match opened.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.check_reaches(&opened.file, offset.saturating_add(buffer.len() as u64))?;
                Err(Error::io(&self.name, "read", error))
            }
            Err(error) => Err(Error::io(&self.name, "read", error)),
        }
    }

    /// Fills `out` with elements, the first at `offset` and each `stride` bytes after the one before;
    /// false where that has to be done by reading.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file has shrunk.
    pub fn gather<T: bytemuck::Pod>(&self, offset: u64, stride: u64, out: &mut [T]) -> Result<bool> {
        let opened = self.opened()?;
        let Some(map) = opened.guarded.get_or_init(|| GuardedMap::new(&opened.file)) else {
            return Ok(false);
        };
        let (Ok(offset), Ok(stride)) = (usize::try_from(offset), usize::try_from(stride)) else {
            return Ok(false);
        };
        let is_whole = map.gather(offset, stride, out);
        // Afterwards, for what is cut off the last page reads as zeros, and no signal tells.
        let now = self.check_reaches(&opened.file, self.len())?;
        // It may have been cut off, and all be there again by now: then a time tells, and reading is right.
        Ok(is_whole && now == self.stat.identity)
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
        file.read_exact_at(&mut bytes, 0).map_err(|e| Error::io(&self.name, "read", e))?;
        Ok(bytes)
    }
}
