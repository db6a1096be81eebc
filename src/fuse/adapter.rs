//! The FUSE handlers. Each makes one call to the tree and replies. Errors of the tree become an errno in one
//! place.
//!
//! The thread that receives a request tries it at once. Work that takes longer than this thread may spend
//! goes to a pool. So does all work while few receiving threads are free, so that the next request always
//! finds one.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileHandle, Filesystem, INodeNo, InitFlags, IoctlFlags, KernelConfig,
    LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::clients::{Clients, has_gone};
use super::convert::ino;
use super::entries::Entries;
use super::failures::Failures;
use super::passthrough::Backings;
use super::ready_latch::ReadyLatch;
use super::request::{self, Answer, Pooled, PooledRead, Reply, guarded};
use super::serving::{LONGEST_NAME, LOOKUP, READ, SEEK, Serving};
use super::slow_pool::{Key, SlowPool, Work};
use super::watch::Watching;
use crate::error::Result;
use crate::fuse::handles::Handles;
use crate::store::source::Whence;
use crate::task;
use crate::tree::Tree;

/// Limit on concurrent background requests (read-ahead, and pages that several readers want) of all files
/// together. It exceeds the number that can be slow at once, because otherwise slow ones would block all
/// others.
const MOST_BACKGROUND: u16 = 4096;

/// Number of threads reserved for quick work.
const LEFT: usize = 2;

/// One connection to the kernel.
pub(super) struct ArrayFs {
    serving: Arc<Serving>,
    /// For work that reads or computes.
    slow: SlowPool,
    /// For directories of the store, which need many system calls. They must not wait behind computations.
    directories: SlowPool,
    /// Number of threads busy with a request, and the limit above which the others only do quick work.
    busy: AtomicUsize,
    most_busy: usize,
}

/// Counts a thread as busy with a request.
struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ArrayFs {
    /// A file system for this tree, served by this many threads.
    pub fn new(tree: Tree, backings: Option<Backings>, watch: Option<Arc<Watching>>, threads: usize) -> Self {
        let (folders, entries) = (Handles::default(), Arc::default());
        let clients = Clients::new(has_gone);
        Self {
            serving: Arc::new(Serving {
                tree,
                folders,
                backings,
                watch,
                entries,
                links: None,
                failures: Failures::default(),
            }),
            slow: SlowPool::new(&clients),
            directories: SlowPool::new(&clients),
            busy: AtomicUsize::new(0),
            most_busy: threads.saturating_sub(LEFT).max(1),
        }
    }

    /// The names that the kernel knows.
    pub fn entries(&self) -> Arc<Entries> {
        Arc::clone(&self.serving.entries)
    }

    /// The same file system, but recording the names that the kernel knows in `entries`.
    pub fn with_entries(self, entries: &Arc<Entries>) -> Self {
        let mut serving = self.serving;
        if let Some(serving) = Arc::get_mut(&mut serving) {
            serving.entries = Arc::clone(entries);
        }
        Self { serving, ..self }
    }

    /// The same file system, but replying to `readlink` only after this gate is open.
    pub fn with_links_behind(mut self, ready_latch: &Arc<ReadyLatch>) -> Self {
        if let Some(serving) = Arc::get_mut(&mut self.serving) {
            serving.links = Some(Arc::clone(ready_latch));
        }
        self
    }

    /// Tries to do the work on this thread. Returns `None` if it would take long, or if too few threads are
    /// free. A read may wait for a disk, so the last free threads never read.
    fn quickly<T>(&self, is_read: bool, work: impl FnOnce() -> Result<T>) -> Option<Result<T>> {
        let others = self.busy.fetch_add(1, Ordering::Relaxed);
        let _busy = Busy(&self.busy);
        match others < self.most_busy || !is_read && self.slow.is_full() {
            true => task::quick(work),
            false => None,
        }
    }

    /// Hands the work to a pool thread.
    fn slowly(&self, request: request::Request, key: Key, work: Box<dyn Work>) {
        let is_of_directory = self.serving.tree.is_directory(request.node);
        let pool = if is_of_directory { &self.directories } else { &self.slow };
        pool.run(key, request.client, work);
    }

    /// Does the work and replies, either at once or later from a pool thread.
    fn serve<R: Reply, T: 'static>(
        &self,
        request: request::Request,
        reply: R,
        work: impl Fn(&Serving) -> Result<T> + Send + Sync + 'static,
        answer: Answer<R, T>,
    ) {
        guarded(request.operation, || match self.quickly(false, || work(&self.serving)) {
            Some(Ok(done)) => answer(&self.serving, request, Some(reply), done),
            Some(Err(error)) => reply.refuse(self.serving.errno(request, &error)),
            None => {
                let key = Key::new((request.operation, request.node));
                let work = Pooled::new(&self.serving, request, reply, work, answer);
                self.slowly(request, key, Box::new(work));
            }
        });
    }
}

/// The description of a request for this node.
fn asked(request: &Request, operation: &'static str, number: INodeNo) -> request::Request {
    request::Request { operation, node: ino(number), client: request.pid() }
}

impl Filesystem for ArrayFs {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each of these is an improvement, and everything works without it.
        for capability in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_CACHE_SYMLINKS,
            // The kernel drops cached pages when the times of a file change.
            InitFlags::FUSE_AUTO_INVAL_DATA,
        ] {
            let _ = config.add_capabilities(capability);
        }
        if let Some(backings) = &self.serving.backings {
            backings.init(config);
        }
        let _ = config.set_max_background(MOST_BACKGROUND);
        let _ = config.set_max_write(1 << 20);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name.len() > LONGEST_NAME {
            return reply.error(Errno::ENAMETOOLONG);
        }
        let (request, parent) = (asked(request, LOOKUP, parent), ino(parent));
        guarded(request.operation, || match self.quickly(false, || self.serving.lookup(parent, name)) {
            Some(Ok(attr)) => self.serving.answer_lookup(request, Some(reply), attr),
            Some(Err(error)) => reply.refuse(self.serving.errno(request, &error)),
            None => {
                let (key, name) = (Key::new((request.operation, parent, name)), name.to_owned());
                let work = move |serving: &Serving| serving.lookup(parent, &name);
                let work = Pooled::new(&self.serving, request, reply, work, Serving::answer_lookup);
                self.slowly(request, key, Box::new(work));
            }
        });
    }

    fn forget(&self, _: &Request, number: INodeNo, lookups: u64) {
        guarded("forget", || self.serving.tree.forget(ino(number), lookups));
    }

    fn getattr(&self, request: &Request, number: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        // The kernel passes a handle only before a read, so this is the first part of the read.
        let request = asked(request, if handle.is_some() { READ } else { "look at" }, number);
        let work = move |serving: &Serving| serving.tree.attr(request.node);
        self.serve(request, reply, work, Serving::answer_getattr);
    }

    fn readlink(&self, request: &Request, number: INodeNo, reply: ReplyData) {
        let request = asked(request, "follow", number);
        let work = move |serving: &Serving| serving.tree.read_link(request.node);
        self.serve(request, reply, work, Serving::answer_readlink);
    }

    fn open(&self, request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if self.serving.backings.is_none() {
            return reply.error(Errno::ENOSYS);
        }
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return reply.error(Errno::EROFS);
        }
        let request = asked(request, "open", number);
        let work = move |serving: &Serving| serving.tree.open_file(request.node);
        self.serve(request, reply, work, Serving::answer_open);
    }

    fn read(
        &self,
        request: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (request, size) = (asked(request, READ, number), size as usize);
        guarded(request.operation, || {
            let mut reply = Some(reply);
            let answer = &mut |bytes: &[u8]| {
                if let Some(reply) = reply.take() {
                    reply.data(bytes);
                }
            };
            let done = self.quickly(true, || self.serving.read(request.node, offset, size, answer));
            let Some(reply) = reply else { return };
            match done {
                Some(Ok(())) => reply.data(&[]),
                Some(Err(error)) => reply.refuse(self.serving.errno(request, &error)),
                None => {
                    let work = PooledRead::new(&self.serving, request, offset, size, reply);
                    let key = Key::new((request.operation, request.node));
                    self.slowly(request, key, Box::new(work));
                }
            }
        });
    }

    fn lseek(
        &self,
        request: &Request,
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
        let request = asked(request, SEEK, number);
        let work = move |serving: &Serving| serving.tree.seek(request.node, offset, whence);
        self.serve(request, reply, work, Serving::answer_lseek);
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
        guarded("release", || {
            if let Some(backings) = &self.serving.backings {
                backings.release(number, handle);
            }
            reply.ok();
        });
    }

    fn opendir(&self, request: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let request = asked(request, "list", number);
        let work = move |serving: &Serving| serving.tree.list(request.node);
        self.serve(request, reply, work, Serving::answer_opendir);
    }

    fn readdir(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let Some(folder) = self.serving.folders.get(handle.0).clone() else {
            return reply.error(Errno::EBADF);
        };
        let request = asked(request, "read the folder", number);
        let is_anew = folder.is_begun_anew(offset);
        let work = move |serving: &Serving| Ok((serving.listing(&folder, request.node, is_anew)?, offset));
        self.serve(request, reply, work, Serving::answer_readdir);
    }

    fn readdirplus(
        &self,
        request: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let Some(folder) = self.serving.folders.get(handle.0).clone() else {
            return reply.error(Errno::EBADF);
        };
        let request = asked(request, "read the folder", number);
        let is_anew = folder.is_begun_anew(offset);
        let work = move |serving: &Serving| {
            if serving.tree.is_directory(request.node) {
                // Every child must be looked up.
                task::begin_long()?;
            }
            Ok((serving.listing(&folder, request.node, is_anew)?, offset))
        };
        self.serve(request, reply, work, Serving::answer_readdirplus);
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        guarded("releasedir", || {
            self.serving.folders.close(handle.0);
            reply.ok();
        });
    }

    fn statfs(&self, request: &Request, number: INodeNo, reply: ReplyStatfs) {
        self.serve(
            asked(request, "look at the file system of", number),
            reply,
            Serving::statfs,
            Serving::answer_statfs,
        );
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // ENOSYS makes the kernel stop asking.
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        // The kernel checks permissions itself. ENOSYS makes it stop asking.
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

    // The mount is read-only: every operation that would modify it fails.

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
