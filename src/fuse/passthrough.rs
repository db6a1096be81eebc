//! Passthrough: the kernel reads whole files of the store itself, after it gets the open file.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fuser::{BackingId, FileHandle, FopenFlags, INodeNo, InitFlags, KernelConfig, ReplyOpen};

use crate::store::source::Source;
use crate::tree::{File, Tree};

/// File systems that may be stacked on others, by their numbers in `linux/magic.h`: overlayfs, eCryptfs,
/// FUSE.
const STACKED: [i64; 3] = [0x794c_7630, 0xf15f, 0x6573_5546];

/// The number of stacked file systems below a read through this mount. The kernel allows two. Requesting no
/// more than necessary leaves room for another one on top, such as overlayfs.
fn stack_depth(tree: &Tree) -> u32 {
    let kind = rustix::fs::fstatfs(tree.store().as_fd()).map_or(0, |fs| fs.f_type);
    if STACKED.contains(&kind) { 2 } else { 1 }
}

/// The files that are open in the kernel, by inode. All handles of one inode must share one file.
pub(super) struct Backings {
    tree: Tree,
    is_possible: Arc<AtomicBool>,
    open: Mutex<Open>,
}

/// For each inode, the kernel's file, and how often the inode is open.
type Open = HashMap<INodeNo, (Arc<Backing>, u64)>;

/// The kernel's file of an inode, or `None` if the kernel refused. It is set outside the lock on all inodes,
/// because the request to the kernel may take long.
type Backing = OnceLock<Option<Arc<BackingId>>>;

/// The handle of files that are not whole files of the store. They are not counted.
const CACHED: FileHandle = FileHandle(0);
/// The handle of files that are counted here.
const COUNTED: FileHandle = FileHandle(1);

impl Backings {
    pub fn new(tree: Tree) -> Self {
        Self { tree, is_possible: Arc::default(), open: Mutex::default() }
    }

    /// Whether the kernel reads whole files itself. It becomes true when the kernel has agreed.
    pub fn is_possible(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_possible)
    }

    /// Requests passthrough from the kernel.
    pub fn init(&self, config: &mut KernelConfig) {
        let is_there = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(stack_depth(&self.tree)).is_ok();
        self.is_possible.store(is_there, Ordering::Relaxed);
        describe(&self.tree, (!is_there).then_some("this kernel has none (it came with Linux 6.9)"));
    }

    /// Replies that a file is open, with passthrough if possible, otherwise through the page cache.
    pub fn reply_open(&self, number: INodeNo, file: &File, reply: ReplyOpen) {
        // An inode belongs to one version, so its cached pages stay valid. This is not true while someone
        // writes.
        let cached = match file.is_settled() {
            true => FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH,
            false => FopenFlags::FOPEN_NOFLUSH,
        };
        let Some(source) = file.whole_source() else { return reply.opened(CACHED, cached) };
        match self.acquire(number, source, &reply) {
            Some(id) => reply.opened_passthrough(COUNTED, FopenFlags::FOPEN_NOFLUSH, &id),
            None => reply.opened(COUNTED, cached),
        }
    }

    /// The kernel's file for an inode, whose open count increases. The first answer holds while the inode is
    /// open, because the kernel does not allow a mix of both modes.
    fn acquire(&self, number: INodeNo, source: &Source, reply: &ReplyOpen) -> Option<Arc<BackingId>> {
        let backing = {
            let mut open = self.lock();
            let (backing, count) = open.entry(number).or_default();
            *count += 1;
            Arc::clone(backing)
        };
        backing.get_or_init(|| self.register(source, reply)).clone()
    }

    fn register(&self, source: &Source, reply: &ReplyOpen) -> Option<Arc<BackingId>> {
        if !self.is_possible.load(Ordering::Relaxed) {
            return None;
        }
        let id =
            source.with_file(|file| reply.open_backing(file)).map_err(io::Error::other).and_then(|id| id);
        id.inspect_err(|error| self.give_up(error)).ok().map(Arc::new)
    }

    /// Decreases the open count of an inode, if this handle was counted.
    pub fn release(&self, number: INodeNo, handle: FileHandle) {
        if handle != COUNTED {
            return;
        }
        let mut open = self.lock();
        let is_last = open.get_mut(&number).is_some_and(|(_, count)| {
            *count -= 1;
            *count == 0
        });
        let gone = if is_last { open.remove(&number) } else { None };
        drop(open);
        // Dropping the ID makes a system call that closes the file, so it happens outside the lock.
        drop(gone);
    }

    /// Handles a refusal of the kernel. A permanent one disables passthrough, and is logged once.
    fn give_up(&self, error: &io::Error) {
        let is_lasting = matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS | libc::EOPNOTSUPP));
        if !is_lasting {
            log::debug!("no passthrough for a file: {error}");
        } else if self.is_possible.swap(false, Ordering::Relaxed) {
            log::warn!("no passthrough: {error}");
            describe(&self.tree, Some(&error.to_string()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records for `.arrayfs/mount.yaml` whether passthrough is in use, or why not.
pub(super) fn describe(tree: &Tree, why_not: Option<&str>) {
    tree.describe_mount("passthrough", why_not);
}
