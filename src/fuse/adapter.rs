//! The handlers: each asks the tree one thing and replies; what the tree gives as an error becomes an
//! errno in one place.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::convert::{bare_attr, errno, file_attr, file_type, ino, time_to_live};
use super::entries::Entries;
use super::gate::Gate;
use super::lane::Lane;
use super::passthrough::Backings;
use super::watch::Watching;
use crate::error::Error;
use crate::handles::Handles;
use crate::source::Whence;
use crate::tree::{Answer, Attr, File, Ino, Lasting, Listing, NodeKind, Tree};

/// What the parent of a folder is numbered in a listing, where nobody asks.
const UNKNOWN_INO: u64 = 0xFFFF_FFFF;

/// Names of one listing that are kept in mind: those at the first places, of which an array takes some.
const MOST_KEPT: u64 = 4096;

/// Bytes of the longest file name; the kernel passes on longer ones.
const LONGEST_NAME: usize = 255;

/// One connection to the kernel.
pub(super) struct ArrayFs {
    tree: Tree,
    folders: Handles<Listing>,
    /// What is open by way of the kernel; none where files are not opened at all: then the kernel is
    /// told once that there is nothing to do, and reads by number without another word.
    backings: Option<Backings>,
    slow: Lane,
    watch: Option<Arc<Watching>>,
    /// What the kernel was told of, with the connection to it.
    entries: Arc<Entries>,
    /// Open when there is something where links lead; none where there always is.
    links: Option<Arc<Gate>>,
}

thread_local! {
    /// Where a thread makes what has to be made.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl ArrayFs {
    pub fn new(tree: Tree, backings: Option<Backings>, watch: Option<Arc<Watching>>) -> Self {
        Self {
            tree,
            folders: Handles::default(),
            backings,
            slow: Lane::new(),
            watch,
            entries: Arc::default(),
            links: None,
        }
    }

    /// The names that the kernel will have been told of.
    pub fn entries(&self) -> Arc<Entries> {
        Arc::clone(&self.entries)
    }

    /// The same, but that links are told of when this gate is open.
    pub fn with_links_behind(self, gate: &Arc<Gate>) -> Self {
        Self { links: Some(Arc::clone(gate)), ..self }
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

    fn reply_read(&self, number: Ino, offset: u64, size: usize, reply: ReplyData) {
        self.tree.read(number, offset, size, |answer| match answer {
            Ok(Answer::Mapped(bytes)) => bytes.pass_to_kernel(|bytes| reply.data(bytes)),
            Ok(Answer::Made { file, length, is_slow: false }) => {
                reply_made(&self.tree, &file, offset, length, reply);
            }
            Ok(Answer::Made { file, length, is_slow: true }) => {
                let tree = self.tree.clone();
                self.slow.run(number, Box::new(move || reply_made(&tree, &file, offset, length, reply)));
            }
            Err(error) => reply.error(read_errno(&error)),
        });
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
}

/// Puts bytes together and replies with them.
fn reply_made(tree: &Tree, file: &File, offset: u64, length: usize, reply: ReplyData) {
    SCRATCH.with_borrow_mut(|scratch| {
        // Without memory it is this read that fails, and not this program.
        if scratch.try_reserve(length.saturating_sub(scratch.len())).is_err() {
            return reply.error(Errno::ENOMEM);
        }
        scratch.resize(length, 0);
        match tree.read_at(file, offset, scratch) {
            Ok(filled) => reply.data(&scratch[..filled]),
            Err(error) => reply.error(read_errno(&error)),
        }
    });
}

/// The errno of a read that failed.
fn read_errno(error: &Error) -> Errno {
    match error {
        // ESTALE would say that looking the name up again helps this reader: it does not.
        Error::Stale { .. } => Errno::EIO,
        error => errno(error),
    }
}

impl Filesystem for ArrayFs {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each is a help where the kernel has it, and nothing is lost where it has not.
        for capability in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_CACHE_SYMLINKS,
            // What changes by itself tells so by its times.
            InitFlags::FUSE_AUTO_INVAL_DATA,
        ] {
            let _ = config.add_capabilities(capability);
        }
        if let Some(backings) = &self.backings {
            backings.init(config);
        }
        let _ = config.set_max_background(64);
        let _ = config.set_max_write(1 << 20);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name.len() > LONGEST_NAME {
            return reply.error(Errno::ENAMETOOLONG);
        }
        match self.tree.lookup(ino(parent), name) {
            Ok(attr) => {
                self.watch(&attr, ino(parent), name);
                self.entries.keep(ino(parent), attr.ino, name);
                // Whoever began to write before the name was kept may have been told of without it.
                let attr = if self.tree.is_settled(attr.ino) { attr } else { attr.of_now() };
                reply.entry(&time_to_live(attr.lasting), &file_attr(&attr), Generation(0));
            }
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn forget(&self, _: &Request, number: INodeNo, lookups: u64) {
        self.tree.forget(ino(number), lookups);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.tree.attr(ino(number)) {
            Ok(attr) => reply.attr(&time_to_live(attr.lasting), &file_attr(&attr)),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        let target = self.tree.read_link(ino(number));
        let answer = move || match target {
            Ok(target) => reply.data(target.as_os_str().as_bytes()),
            Err(error) => reply.error(errno(&error)),
        };
        match &self.links {
            Some(gate) => gate.pass(answer),
            None => answer(),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let Some(backings) = &self.backings else { return reply.error(Errno::ENOSYS) };
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return reply.error(Errno::EROFS);
        }
        match self.tree.open_file(ino(number)) {
            Ok(file) => backings.reply_open(number, &file, reply),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.reply_read(ino(number), offset, size as usize, reply);
    }

    fn lseek(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let whence = match whence {
            libc::SEEK_DATA => Whence::Data,
            libc::SEEK_HOLE => Whence::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let Ok(offset) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
        match self.tree.seek(ino(number), offset, whence) {
            Ok(found) => match found.and_then(|found| i64::try_from(found).ok()) {
                Some(found) => reply.offset(found),
                None => reply.error(Errno::ENXIO),
            },
            Err(error) => reply.error(read_errno(&error)),
        }
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        if let Some(backings) = &self.backings {
            backings.release(number, handle);
        }
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.tree.list(ino(number)) {
            Ok(listing) => {
                let cached = FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
                let flags = if listing.is_lasting { cached } else { FopenFlags::empty() };
                reply.opened(FileHandle(self.folders.open(listing)), flags);
            }
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(listing) = &*self.folders.get(handle.0) else { return reply.error(Errno::EBADF) };
        Self::visit(listing, ino(number), offset, &mut |i, name, child, kind| {
            !reply.add(INodeNo(child.0), i + 1, file_type(kind), name)
        });
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let Some(listing) = &*self.folders.get(handle.0) else { return reply.error(Errno::EBADF) };
        Self::visit(listing, ino(number), offset, &mut |i, name, child, kind| {
            let found = if i < 2 { None } else { self.tree.lookup_listed(ino(number), name) };
            // An entry without a node: the kernel lists the name, and looks it up when asked.
            let Some(attr) = found else {
                let bare = bare_attr(child, kind);
                return !reply.add(INodeNo(0), i + 1, name, &Duration::ZERO, &bare, Generation(0));
            };
            self.watch(&attr, ino(number), name);
            // The first of very many, lest they take the place of all else.
            if i < MOST_KEPT {
                self.entries.keep(ino(number), attr.ino, name);
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

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.folders.close(handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match nix::sys::statvfs::fstatvfs(self.tree.store().as_fd()) {
            Ok(fs) => {
                let size = u32::try_from(fs.fragment_size()).unwrap_or(4096);
                let namelen = u32::try_from(LONGEST_NAME).unwrap_or(255);
                reply.statfs(fs.blocks(), 0, 0, fs.files(), 0, size, namelen, size);
            }
            Err(error) => reply.error(Errno::from_i32(error as i32)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // The kernel asks no more.
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        // The kernel checks the modes itself, and asks no more.
        reply.error(Errno::ENOSYS);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    // Whatever would change something: the mount is read-only.

    fn setattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(Errno::EROFS);
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn mkdir(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn rmdir(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EROFS);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn create(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        reply.error(Errno::EROFS);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::EROFS);
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }
}
