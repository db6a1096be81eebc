//! Whole files of the store, which the kernel reads by itself once it was given the open file.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fuser::{BackingId, FileHandle, FopenFlags, INodeNo, InitFlags, KernelConfig, ReplyOpen};

use crate::store::source::Source;
use crate::tree::{File, Tree};

/// File systems that may lie on others, as `linux/magic.h` numbers them: overlayfs, eCryptfs, FUSE.
const STACKED: [i64; 3] = [0x794c_7630, 0xf15f, 0x6573_5546];

/// How many file systems lie one above the other where a store is read through this mount. The kernel allows two,
/// so what asks for no more than it needs can have another put on top, such as overlayfs.
fn stack_depth(tree: &Tree) -> u32 {
    let kind = rustix::fs::fstatfs(tree.store().as_fd()).map_or(0, |fs| fs.f_type);
    if STACKED.contains(&kind) { 2 } else { 1 }
}

/// The files that are open in the kernel, by the number of their node: all that have one node open must
/// share one file.
pub(super) struct Backings {
    tree: Tree,
    is_possible: Arc<AtomicBool>,
    open: Mutex<Open>,
}

/// The kernel's file of each node, and how often the node is open.
type Open = HashMap<INodeNo, (Arc<Backing>, u64)>;

/// The kernel's file of a node once it was asked, if it took one: asked outside the lock of all.
type Backing = OnceLock<Option<Arc<BackingId>>>;

/// The handle of files that no file of the store is, and that are not counted.
const CACHED: FileHandle = FileHandle(0);
/// The handle of files that are counted here.
const COUNTED: FileHandle = FileHandle(1);

impl Backings {
    pub fn new(tree: Tree) -> Self {
        Self { tree, is_possible: Arc::default(), open: Mutex::default() }
    }

    /// Whether the kernel reads whole files by itself, from the moment on that it was asked.
    pub fn is_possible(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_possible)
    }

    /// Asks the kernel for passthrough.
    pub fn init(&self, config: &mut KernelConfig) {
        let is_there = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(stack_depth(&self.tree)).is_ok();
        self.is_possible.store(is_there, Ordering::Relaxed);
        describe(&self.tree, (!is_there).then_some("this kernel has none (it came with Linux 6.9)"));
    }

    /// Replies that a file is open: read by the kernel where that is possible, or else through its cache.
    pub fn reply_open(&self, number: INodeNo, file: &File, reply: ReplyOpen) {
        // A number belongs to one version, so cached pages stay right; of what is being written there is none.
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

    /// The kernel's file for a node, which counts as opened once more. While a node is open it stays as
    /// it was opened first: the kernel allows no mix.
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

    /// Counts a node as closed once, if its opening counted.
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
        // The kernel is told to close it.
        drop(gone);
    }

    /// Goes on without, where the kernel refuses: said once.
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

/// Puts down for `.arrayfs/mount.yaml` whether the kernel reads whole files by itself, or why not.
pub(super) fn describe(tree: &Tree, why_not: Option<&str>) {
    tree.describe_mount("passthrough", why_not);
}
