//! The tree as a file system of the kernel's. Nothing outside this module names `fuser`.
//!
//! Every handler asks the tree one thing and replies; what the tree gives as an error becomes an
//! errno in one place.

mod convert;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, Config, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, MountOption, OpenAccMode, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyIoctl, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, Session, SessionACL, TimeOrNow,
    WriteFlags,
};

use crate::error::Error;
use crate::handles::Handles;
use crate::tree::{Ino, Listing, NodeKind, OpenFile, Tree};
use convert::{bare_attr, errno, file_attr, file_type, ino, time_to_live};

pub use convert::MOMENT;

/// What the parent of a folder is numbered in a listing, where nobody asks.
const UNKNOWN_INO: u64 = 0xFFFF_FFFF;

/// Bytes of the longest file name; the kernel passes on longer ones.
const LONGEST_NAME: usize = 255;

/// How to mount.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether other users than the one who mounts may come in; the kernel then checks the modes.
    pub allow_other: bool,
    /// Threads that serve.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, Into::into);
        Self { allow_other: false, threads: (2 * cores).clamp(4, 32) }
    }
}

/// A mounted tree, served by threads of its own.
#[derive(Debug)]
pub struct Mounted {
    served: JoinHandle<io::Result<()>>,
}

impl Mounted {
    /// Waits until the tree is unmounted, by whomever.
    ///
    /// # Errors
    ///
    /// What the connection to the kernel ended with, if not an unmount.
    pub fn wait(self) -> io::Result<()> {
        self.served.join().unwrap_or_else(|_| Err(io::Error::other("a thread that served has panicked")))
    }
}

/// Mounts a tree on the directory `mountpoint`: read-only, without devices, set-id bits and programs.
/// When this returns, the mount is ready.
///
/// # Errors
///
/// Whatever the system says; see [`crate::mountpoint`] for the checks to make first.
pub fn mount(tree: Tree, mountpoint: &Path, options: Options) -> io::Result<Mounted> {
    let mut config = Config::default();
    let mut source = tree.store().path().to_string_lossy().into_owned();
    if !nix::unistd::geteuid().is_root() {
        // Options go to `fusermount3` as one text.
        source = source.replace('\\', "\\\\").replace(',', "\\,");
    }
    config.mount_options = vec![
        MountOption::FSName(source),
        MountOption::CUSTOM("subtype=arrayfs".into()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
        MountOption::DefaultPermissions,
    ];
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(options.threads.max(1));
    let fs = ArrayFs {
        tree: Arc::new(tree),
        files: Handles::default(),
        folders: Handles::default(),
        slow: Arc::default(),
    };
    let session = Session::new(fs, mountpoint, &config)?;
    // Not `Session::spawn`: that unmounts where it is dropped, and this mount outlives its maker.
    let served = std::thread::Builder::new().name("serve".into()).spawn(move || session.run())?;
    Ok(Mounted { served })
}

struct ArrayFs {
    tree: Arc<Tree>,
    files: Handles<OpenFile>,
    folders: Handles<Listing>,
    /// Slow reads that have threads of their own.
    slow: Arc<AtomicUsize>,
}

/// The most slow reads that have threads of their own.
const MOST_SLOW: usize = 256;

thread_local! {
    /// Where a thread makes what has to be made.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl ArrayFs {
    fn reply_read(&self, file: &Arc<OpenFile>, offset: u64, size: usize, reply: ReplyData) {
        let length = file.available(offset, size);
        match self.tree.mapped(file, offset, length) {
            Ok(Some(bytes)) => reply.data(bytes),
            Ok(None) if file.is_slow(offset, length) => self.reply_slowly(file, offset, length, reply),
            Ok(None) => {
                SCRATCH
                    .with_borrow_mut(|scratch| reply_made(&self.tree, file, offset, length, scratch, reply));
            }
            Err(error) => reply.error(errno(&error)),
        }
    }

    /// Replies from a thread of its own, so that those that serve go on serving others.
    fn reply_slowly(&self, file: &Arc<OpenFile>, offset: u64, length: usize, reply: ReplyData) {
        let (tree, file, slow) = (Arc::clone(&self.tree), Arc::clone(file), Arc::clone(&self.slow));
        let is_too_many = slow.fetch_add(1, Ordering::Relaxed) >= MOST_SLOW;
        let work = move || {
            reply_made(&tree, &file, offset, length, &mut Vec::new(), reply);
            slow.fetch_sub(1, Ordering::Relaxed);
        };
        if is_too_many {
            return work();
        }
        let thread = std::thread::Builder::new().name("slow read".into()).spawn(work);
        if let Err(error) = thread {
            // The reply went with what was to send it, and that was an EIO.
            self.slow.fetch_sub(1, Ordering::Relaxed);
            log::warn!("no thread for a slow read: {error}");
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
}

/// Makes what is to be read in `scratch`, and replies with it.
fn reply_made(
    tree: &Tree,
    file: &OpenFile,
    offset: u64,
    length: usize,
    scratch: &mut Vec<u8>,
    reply: ReplyData,
) {
    scratch.resize(length, 0);
    match tree.read_at(file, offset, scratch) {
        Ok(filled) => reply.data(&scratch[..filled]),
        // ESTALE would say that looking the name up again helps this reader: it does not.
        Err(Error::Stale { .. }) => reply.error(Errno::EIO),
        Err(error) => reply.error(errno(&error)),
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
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
        ] {
            let _ = config.add_capabilities(capability);
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
            Ok(attr) => reply.entry(&time_to_live(attr.lasting), &file_attr(&attr), Generation(0)),
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

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return reply.error(Errno::EROFS);
        }
        match self.tree.open_file(ino(number)) {
            Ok(file) => {
                // A number belongs to one version, so cached pages stay right.
                let flags =
                    if file.is_live { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::FOPEN_KEEP_CACHE };
                reply.opened(FileHandle(self.files.open(file)), flags | FopenFlags::FOPEN_NOFLUSH);
            }
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match &*self.files.get(handle.0) {
            Some(file) => self.reply_read(file, offset, size as usize, reply),
            None => reply.error(Errno::EBADF),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.files.close(handle.0);
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
            let found = if i < 2 { None } else { self.tree.lookup(ino(number), name).ok() };
            // An entry without a node: the kernel lists the name, and looks it up when asked.
            let Some(attr) = found else {
                let bare = bare_attr(child, kind);
                return !reply.add(INodeNo(0), i + 1, name, &Duration::ZERO, &bare, Generation(0));
            };
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
        reply.ok();
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
