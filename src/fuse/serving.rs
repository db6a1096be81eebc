//! The work of the handlers, on whichever thread, and their replies.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use fuser::{
    Errno, FileHandle, FopenFlags, Generation, INodeNo, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs,
};
use nix::sys::statvfs::{Statvfs, fstatvfs};

use super::convert::{bare_attr, errno, file_attr, file_type, time_to_live};
use super::entries::Entries;
use super::failures::Failures;
use super::passthrough::Backings;
use super::ready_latch::ReadyLatch;
use super::request::Request;
use super::watch::Watching;
use crate::error::{Error, Result};
use crate::fuse::handles::Handles;
use crate::task;
use crate::tree::{Answer, Attr, EntryKind, File, Ino, Listing, Tree, Ttl};

/// The inode number of `..` in a listing. Nobody needs the real one.
const UNKNOWN_INO: u64 = 0xFFFF_FFFF;

/// Only names at the first positions of a listing are recorded. An array occupies several positions.
const MOST_KEPT: u64 = 4096;

/// Operations that need special handling.
pub(super) const LOOKUP: &str = "look up";
pub(super) const READ: &str = "read";
pub(super) const SEEK: &str = "find data or a hole in";

/// Limit on the length of a file name in bytes. The kernel passes on longer ones.
pub(super) const LONGEST_NAME: usize = 255;

/// A tree, and the state of one connection.
pub(super) struct Serving {
    pub tree: Tree,
    pub folders: Handles<OpenDirectory>,
    /// The files open for passthrough. It is `None` on a connection without `open`: the kernel then gets
    /// ENOSYS once, and afterwards reads by inode without opening.
    pub backings: Option<Backings>,
    pub watch: Option<Arc<Watching>>,
    /// The names that the kernel knows on this connection.
    pub entries: Arc<Entries>,
    /// Open once the targets of links are mounted. It is `None` if they always exist.
    pub links: Option<Arc<ReadyLatch>>,
    pub failures: Failures,
}

/// An open directory, with its children as of the open, or as of the last read from its start.
pub(super) struct OpenDirectory {
    listing: ArcSwap<Listing>,
    /// Whether its start was read.
    is_begun: AtomicBool,
}

impl OpenDirectory {
    /// Whether a read at this offset starts over, and must show the current children.
    pub fn is_begun_anew(&self, offset: u64) -> bool {
        offset == 0 && self.is_begun.swap(true, Ordering::Relaxed) && !self.listing.load().is_lasting
    }
}

thread_local! {
    /// The buffer of a thread for composed bytes. It is reused, because allocating it for each read is slow.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Serving {
    /// Looks up a child, which the kernel knows from now on.
    pub fn lookup(&self, parent: Ino, name: &OsStr) -> Result<Attr> {
        let failed = |error: &Error| self.tell(LOOKUP, parent, || self.tree.path(parent).join(name), error);
        let attr = self.tree.lookup(parent, name).inspect_err(failed)?;
        self.watch(&attr, parent, name);
        self.entries.keep(parent, attr.ino, name);
        // A writer that started before `keep` may have been reported without this name.
        Ok(if self.tree.is_settled(attr.ino) { attr } else { attr.of_now() })
    }

    /// Makes sure that changes in a directory are reported to the kernel, before it learns the directory.
    fn watch(&self, attr: &Attr, parent: Ino, name: &OsStr) {
        let may_change = attr.kind == EntryKind::Directory && attr.ttl != Ttl::Version;
        let Some(Watching(watch)) = self.watch.as_deref().filter(|_| may_change) else { return };
        let is_watched =
            watch.add_directory(&self.tree, attr.ino) && watch.add_links(&self.tree, attr.ino, parent, name);
        if !is_watched && self.tree.set_changes_told(false) {
            log::warn!(
                "the system watches no more directories for us: changes in the store show after a moment only"
            );
        }
    }

    /// Reads bytes from the store or composes them, and replies with them.
    pub fn read(&self, number: Ino, offset: u64, length: usize, answer: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.tree.read(number, offset, length, |found| {
            let found = found?;
            task::finished()?;
            match found {
                Answer::Mapped(bytes) => bytes.pass_to_kernel(|bytes| answer(bytes)),
                Answer::Made { file, length, is_slow } => {
                    if is_slow {
                        task::begin_long()?;
                    }
                    self.make(&file, offset, length, answer)?;
                }
            }
            Ok(())
        })
    }

    /// Composes bytes and replies with them.
    fn make(&self, file: &File, offset: u64, length: usize, answer: &mut dyn FnMut(&[u8])) -> Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            // If there is no memory, only this read fails, not the process.
            if scratch.try_reserve(length.saturating_sub(scratch.len())).is_err() {
                let none = io::Error::from_raw_os_error(libc::ENOMEM);
                return Err(Error::io(PathBuf::new(), "hold what is read", none));
            }
            scratch.resize(length, 0);
            let filled = self.tree.read_at(file, offset, scratch)?;
            task::finished()?;
            answer(&scratch[..filled]);
            Ok(())
        })
    }

    /// The children of an open directory. If `is_anew`, it is listed again.
    pub fn listing(&self, folder: &OpenDirectory, number: Ino, is_anew: bool) -> Result<Arc<Listing>> {
        if is_anew {
            let listing = self.tree.list(number)?;
            task::finished()?;
            folder.listing.store(Arc::new(listing));
        }
        Ok(folder.listing.load_full())
    }

    /// Attributes of the file system that contains the store.
    pub fn statfs(&self) -> Result<Statvfs> {
        let store = self.tree.store();
        fstatvfs(store.as_fd()).map_err(|error| Error::io(store.path(), "look at", error.into()))
    }

    /// The errno for a failed request, which is logged if necessary.
    pub fn errno(&self, request: Request, error: &Error) -> Errno {
        // A lookup logs its own failures, because it knows the name.
        if request.operation != LOOKUP {
            self.tell(request.operation, request.node, || self.tree.path(request.node), error);
        }
        errno_of(request.operation, error)
    }

    /// Logs a failure that gives EIO.
    fn tell(&self, operation: &'static str, node: Ino, path: impl FnOnce() -> PathBuf, error: &Error) {
        if errno_of(operation, error) == Errno::EIO {
            self.failures.say(operation, node, path, error);
        }
    }

    // The replies.

    pub fn answer_lookup(&self, _: Request, reply: Option<ReplyEntry>, attr: Attr) {
        match reply {
            Some(reply) => reply.entry(&time_to_live(attr.ttl), &file_attr(&attr), Generation(0)),
            None => self.tree.forget(attr.ino, 1),
        }
    }

    pub fn answer_getattr(&self, _: Request, reply: Option<ReplyAttr>, attr: Attr) {
        if let Some(reply) = reply {
            reply.attr(&time_to_live(attr.ttl), &file_attr(&attr));
        }
    }

    pub fn answer_readlink(&self, _: Request, reply: Option<ReplyData>, target: PathBuf) {
        let Some(reply) = reply else { return };
        let answer = move || reply.data(target.as_os_str().as_bytes());
        match &self.links {
            Some(ready_latch) => ready_latch.pass(answer),
            None => answer(),
        }
    }

    pub fn answer_open(&self, request: Request, reply: Option<ReplyOpen>, file: Arc<File>) {
        let Some(reply) = reply else { return };
        match &self.backings {
            Some(backings) => backings.reply_open(INodeNo(request.node.0), &file, reply),
            None => reply.error(Errno::ENOSYS),
        }
    }

    pub fn answer_opendir(&self, _: Request, reply: Option<ReplyOpen>, listing: Listing) {
        let Some(reply) = reply else { return };
        let cached = FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
        let flags = if listing.is_lasting { cached } else { FopenFlags::empty() };
        let listing = ArcSwap::from_pointee(listing);
        let handle = self.folders.open(OpenDirectory { listing, is_begun: AtomicBool::new(false) });
        reply.opened(FileHandle(handle), flags);
    }

    pub fn answer_readdir(
        &self,
        request: Request,
        reply: Option<ReplyDirectory>,
        (listing, offset): (Arc<Listing>, u64),
    ) {
        let Some(mut reply) = reply else { return };
        visit(&listing, request.node, offset, &mut |i, name, child, kind| {
            !reply.add(INodeNo(child.0), i + 1, file_type(kind), name)
        });
        reply.ok();
    }

    pub fn answer_readdirplus(
        &self,
        request: Request,
        reply: Option<ReplyDirectoryPlus>,
        (listing, offset): (Arc<Listing>, u64),
    ) {
        let Some(mut reply) = reply else { return };
        let folder = request.node;
        visit(&listing, folder, offset, &mut |i, name, child, kind| {
            // The kernel keeps the entries that were added before.
            if task::check().is_err() {
                return false;
            }
            let found = if i < 2 { None } else { self.tree.lookup_listed(folder, name) };
            // For an entry without an inode, the kernel lists the name, and looks it up on use.
            let Some(attr) = found else {
                let bare = bare_attr(child, kind);
                return !reply.add(INodeNo(0), i + 1, name, &Duration::ZERO, &bare, Generation(0));
            };
            self.watch(&attr, folder, name);
            // Of a huge listing only the first names, so that they do not displace all others.
            if i < MOST_KEPT {
                self.entries.keep(folder, attr.ino, name);
            }
            let ttl = time_to_live(attr.ttl);
            let is_full = reply.add(INodeNo(attr.ino.0), i + 1, name, &ttl, &file_attr(&attr), Generation(0));
            if is_full {
                self.tree.forget(attr.ino, 1);
            }
            !is_full
        });
        reply.ok();
    }

    pub fn answer_lseek(&self, _: Request, reply: Option<ReplyLseek>, found: Option<u64>) {
        let Some(reply) = reply else { return };
        match found.and_then(|found| i64::try_from(found).ok()) {
            Some(found) => reply.offset(found),
            None => reply.error(Errno::ENXIO),
        }
    }

    pub fn answer_statfs(&self, _: Request, reply: Option<ReplyStatfs>, fs: Statvfs) {
        let Some(reply) = reply else { return };
        let size = u32::try_from(fs.fragment_size()).unwrap_or(4096);
        let namelen = u32::try_from(LONGEST_NAME).unwrap_or(255);
        reply.statfs(fs.blocks(), 0, 0, fs.files(), 0, size, namelen, size);
    }
}

fn errno_of(operation: &'static str, error: &Error) -> Errno {
    match error {
        // ESTALE would suggest that another lookup of the name helps this reader, which is wrong. So is
        // ENOENT, which results if an array was overwritten in place and no longer has this part.
        Error::Stale { .. } | Error::NotFound { .. } if [READ, SEEK].contains(&operation) => Errno::EIO,
        error => errno(error),
    }
}

/// Visits `.` and `..`, and then the entries of the listing.
fn visit(
    listing: &Listing,
    folder: Ino,
    first: u64,
    visit: &mut dyn FnMut(u64, &OsStr, Ino, EntryKind) -> bool,
) {
    let parent = if folder == Ino::ROOT { folder } else { Ino(UNKNOWN_INO) };
    for (i, name, number) in [(0, ".", folder), (1, "..", parent)] {
        if first <= i && !visit(i, OsStr::new(name), number, EntryKind::Directory) {
            return;
        }
    }
    listing.visit(first.saturating_sub(2), &mut |i, name, number, kind| visit(i + 2, name, number, kind));
}
