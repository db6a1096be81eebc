//! What the handlers do with the tree, on whichever thread, and what they answer.

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
use super::gate::Gate;
use super::passthrough::Backings;
use super::request::Request;
use super::watch::Watching;
use crate::error::{Error, Result};
use crate::fuse::handles::Handles;
use crate::task;
use crate::tree::{Answer, Attr, File, Ino, Lasting, Listing, NodeKind, Tree};

/// What the parent of a folder is numbered in a listing, where nobody asks.
const UNKNOWN_INO: u64 = 0xFFFF_FFFF;

/// Names of one listing that are kept in mind: those at the first places, of which an array takes some.
const MOST_KEPT: u64 = 4096;

/// Operations that are unlike the others.
pub(super) const LOOKUP: &str = "look up";
pub(super) const READ: &str = "read";
pub(super) const SEEK: &str = "find data or a hole in";

/// Bytes of the longest file name; the kernel passes on longer ones.
pub(super) const LONGEST_NAME: usize = 255;

/// A tree, and what the kernel has of it by one connection.
pub(super) struct Serving {
    pub tree: Tree,
    pub folders: Handles<OpenFolder>,
    /// What is open by way of the kernel; none where files are not opened at all: then the kernel is
    /// told once that there is nothing to do, and reads by number without another word.
    pub backings: Option<Backings>,
    pub watch: Option<Arc<Watching>>,
    /// What the kernel was told of, with the connection to it.
    pub entries: Arc<Entries>,
    /// Open when there is something where links lead; none where there always is.
    pub links: Option<Arc<Gate>>,
    pub failures: Failures,
}

/// A folder that is open, and its children as they were when it was opened, or read from the start again.
pub(super) struct OpenFolder {
    listing: ArcSwap<Listing>,
    /// Whether the start was read.
    is_begun: AtomicBool,
}

impl OpenFolder {
    /// Whether a read from here on begins anew what was begun before, and may show something else.
    pub fn is_begun_anew(&self, offset: u64) -> bool {
        offset == 0 && self.is_begun.swap(true, Ordering::Relaxed) && !self.listing.load().is_lasting
    }
}

thread_local! {
    /// Where a thread makes what has to be made.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Serving {
    /// What `stat` tells of a child, which the kernel will know from here on.
    pub fn lookup(&self, parent: Ino, name: &OsStr) -> Result<Attr> {
        let failed = |error: &Error| self.tell(LOOKUP, parent, || self.tree.path(parent).join(name), error);
        let attr = self.tree.lookup(parent, name).inspect_err(failed)?;
        self.watch(&attr, parent, name);
        self.entries.keep(parent, attr.ino, name);
        // Whoever began to write before the name was kept may have been told of without it.
        Ok(if self.tree.is_settled(attr.ino) { attr } else { attr.of_now() })
    }

    /// Sees to it that the kernel is told of changes in a directory of the store, before it knows it.
    fn watch(&self, attr: &Attr, parent: Ino, name: &OsStr) {
        let may_change = attr.kind == NodeKind::Folder && attr.lasting != Lasting::Version;
        let Some(Watching(watch)) = self.watch.as_deref().filter(|_| may_change) else { return };
        let is_watched =
            watch.add_directory(&self.tree, attr.ino) && watch.add_links(&self.tree, attr.ino, parent, name);
        if !is_watched && self.tree.set_changes_told(false) {
            log::warn!(
                "the system watches no more directories for us: changes in the store show after a moment only"
            );
        }
    }

    /// Finds bytes, or puts them together, and answers with them.
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

    /// Puts bytes together and answers with them.
    fn make(&self, file: &File, offset: u64, length: usize, answer: &mut dyn FnMut(&[u8])) -> Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            // Without memory it is this read that fails, and not this program.
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

    /// The children of a folder that is open: those that are there now where it is read anew.
    pub fn listing(&self, folder: &OpenFolder, number: Ino, is_anew: bool) -> Result<Arc<Listing>> {
        if is_anew {
            let listing = self.tree.list(number)?;
            task::finished()?;
            folder.listing.store(Arc::new(listing));
        }
        Ok(folder.listing.load_full())
    }

    /// Facts of the file system of the store.
    pub fn statfs(&self) -> Result<Statvfs> {
        let store = self.tree.store();
        fstatvfs(store.as_fd()).map_err(|error| Error::io(store.path(), "look at", error.into()))
    }

    /// The errno of what failed.
    pub fn errno(&self, request: Request, error: &Error) -> Errno {
        // Of a lookup it is known best what was looked for.
        if request.operation != LOOKUP {
            self.tell(request.operation, request.node, || self.tree.path(request.node), error);
        }
        errno_of(request.operation, error)
    }

    /// Puts down in the log what gives EIO.
    fn tell(&self, operation: &'static str, node: Ino, path: impl FnOnce() -> PathBuf, error: &Error) {
        if errno_of(operation, error) == Errno::EIO {
            self.failures.say(operation, node, path, error);
        }
    }

    // The answers.

    pub fn answer_lookup(&self, _: Request, reply: Option<ReplyEntry>, attr: Attr) {
        match reply {
            Some(reply) => reply.entry(&time_to_live(attr.lasting), &file_attr(&attr), Generation(0)),
            None => self.tree.forget(attr.ino, 1),
        }
    }

    pub fn answer_getattr(&self, _: Request, reply: Option<ReplyAttr>, attr: Attr) {
        if let Some(reply) = reply {
            reply.attr(&time_to_live(attr.lasting), &file_attr(&attr));
        }
    }

    pub fn answer_readlink(&self, _: Request, reply: Option<ReplyData>, target: PathBuf) {
        let Some(reply) = reply else { return };
        let answer = move || reply.data(target.as_os_str().as_bytes());
        match &self.links {
            Some(gate) => gate.pass(answer),
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
        let handle = self.folders.open(OpenFolder { listing, is_begun: AtomicBool::new(false) });
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
            // What the kernel was told of before stays told.
            if task::check().is_err() {
                return false;
            }
            let found = if i < 2 { None } else { self.tree.lookup_listed(folder, name) };
            // An entry without a node: the kernel lists the name, and looks it up when asked.
            let Some(attr) = found else {
                let bare = bare_attr(child, kind);
                return !reply.add(INodeNo(0), i + 1, name, &Duration::ZERO, &bare, Generation(0));
            };
            self.watch(&attr, folder, name);
            // The first of very many, lest they take the place of all else.
            if i < MOST_KEPT {
                self.entries.keep(folder, attr.ino, name);
            }
            let lasting = time_to_live(attr.lasting);
            let is_full =
                reply.add(INodeNo(attr.ino.0), i + 1, name, &lasting, &file_attr(&attr), Generation(0));
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
        // ESTALE would say that looking the name up again helps this reader: it does not. Nor does ENOENT, of a part
        // that what was written in place since has no more.
        Error::Stale { .. } | Error::NotFound { .. } if [READ, SEEK].contains(&operation) => Errno::EIO,
        error => errno(error),
    }
}

/// Visits a listing with the entries for the folder itself and its parent in front.
fn visit(
    listing: &Listing,
    folder: Ino,
    first: u64,
    visit: &mut dyn FnMut(u64, &OsStr, Ino, NodeKind) -> bool,
) {
    let parent = if folder == Ino::ROOT { folder } else { Ino(UNKNOWN_INO) };
    for (i, name, number) in [(0, ".", folder), (1, "..", parent)] {
        if first <= i && !visit(i, OsStr::new(name), number, NodeKind::Folder) {
            return;
        }
    }
    listing.visit(first.saturating_sub(2), &mut |i, name, number, kind| visit(i + 2, name, number, kind));
}
