//! Watches the directories of the store that the kernel knows, and the files in use, with inotify.
//!
//! inotify has one watch for an inode, regardless of its paths. But a directory can appear under several
//! names, and can be moved or replaced by another of the same name. A file can be known by a link in one
//! directory and lie in another. So each watch has a list of interests, and every lookup of a directory
//! checks whether it is still the watched one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::store::generation::{FileId, Listener};
use crate::tree::{Ino, Tree};

/// Events that can change which array a name stands for, or its permissions. Single writes are not among
/// them: if an array is written in place, the watch of the file reports it.
const IN_DIRECTORY: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_ONLYDIR);

/// Events at which writing to a file can begin or end.
const OF_FILE: AddWatchFlags = AddWatchFlags::IN_OPEN.union(AddWatchFlags::IN_CLOSE_WRITE);

/// File systems, by their magic numbers (`linux/magic.h`), to which other machines can write. inotify does
/// not report such writes.
const SHARED: [i64; 14] = [
    0x6969,
    0x517B,
    0xFF53_4D42,
    0xFE53_4D42,
    0x0102_1997,
    0x6573_5546,
    0x00C3_6400,
    0x5346_414F,
    0x7375_7245,
    0x0BD0_0BD0,
    0x0116_1970,
    0x7461_636F,
    0x4750_4653,
    0x786F_4256,
];

/// What the events of a watch are about.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Interest {
    /// The node that shows the directory.
    Directory(Ino),
    /// The array `shown` in the directory `parent`. One of its files is a link to `target` in the watched
    /// directory.
    Link { target: OsString, parent: Ino, shown: OsString },
    /// The generation of the file.
    File(FileId),
}

/// A change in the store. The order of variants is the order of handling: writers first, because the kernel
/// may be slow to handle the notification of a name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Change {
    /// Somebody opened this file.
    Opened(FileId),
    /// Somebody closed this file who had it open for writing.
    Written(FileId),
    /// This name in a directory may stand for another file now.
    Name(Ino, OsString),
    /// The queue of events overflowed, so events are missing.
    Lost,
}

/// Why [`Watch::wait`] returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Woken {
    /// There are changes, or the time is up.
    Up { is_moved: bool },
    /// The watch has ended.
    Ended,
}

/// The directories and files that are watched.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Inotify,
    interests: Mutex<Interests>,
    /// Wakes the thread that waits for changes.
    wake: PipeWriter,
    woken: PipeReader,
    is_ended: AtomicBool,
    is_moved: AtomicBool,
}

/// Ends the watch when dropped, that is, when nobody serves the tree any more.
#[derive(Debug)]
pub(super) struct Watching(pub Arc<Watch>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[derive(Debug, Default)]
struct Interests {
    by_watch: HashMap<WatchDescriptor, Vec<Interest>>,
    directories: HashMap<Ino, (WatchDescriptor, FileId)>,
    files: HashMap<FileId, WatchDescriptor>,
}

impl Watch {
    /// Watches the root of the store, and nothing else yet.
    ///
    /// # Errors
    ///
    /// Any error of the system. Or the store is on a file system whose changes inotify does not report.
    pub fn new(tree: &Tree) -> io::Result<Self> {
        let kind = nix::sys::statfs::fstatfs(tree.store().as_fd())?.filesystem_type().0;
        if SHARED.contains(&kind) {
            return Err(io::Error::other(
                "the store's file system does not tell of what other machines write",
            ));
        }
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let (woken, wake) = io::pipe()?;
        for end in [woken.as_fd(), wake.as_fd()] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let (interests, is_ended, is_moved) = Default::default();
        let watch = Self { inotify, interests, wake, woken, is_ended, is_moved };
        if watch.add_directory(tree, Ino::ROOT) {
            return Ok(watch);
        }
        Err(io::Error::other("the store's directory cannot be watched"))
    }

    /// Watches the directory of the store that this node shows, if any. Returns false if that is impossible.
    pub fn add_directory(&self, tree: &Tree, number: Ino) -> bool {
        let Ok(Some(directory)) = tree.open_directory(number) else { return true };
        let Ok(meta) = directory.metadata() else { return true };
        let id = (meta.dev(), meta.ino());
        if lock(&self.interests).directories.get(&number).is_some_and(|(_, known)| *known == id) {
            return true;
        }
        let Some(watch) = self.watch(&directory, IN_DIRECTORY) else { return false };
        let mut interests = lock(&self.interests);
        interests.add(watch, Interest::Directory(number));
        if let Some((before, _)) = interests.directories.insert(number, (watch, id))
            && before != watch
            && interests.remove(before, &Interest::Directory(number))
        {
            let _ = self.inotify.rm_watch(before);
        }
        true
    }

    /// Watches the directories that the links among an array's files lead to. Returns false if that is
    /// impossible.
    pub fn add_links(&self, tree: &Tree, array: Ino, parent: Ino, shown: &OsStr) -> bool {
        tree.links_of(array).into_iter().all(|(directory, target)| {
            let Some(watch) = self.watch(&directory, IN_DIRECTORY) else { return false };
            let link = Interest::Link { target, parent, shown: shown.to_owned() };
            lock(&self.interests).add(watch, link);
            true
        })
    }

    fn watch(&self, file: &File, mask: AddWatchFlags) -> Option<WatchDescriptor> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let watch = self.inotify.add_watch(path.as_str(), mask);
        watch.inspect_err(|error| log::debug!("not watched: {error}")).ok()
    }

    /// Waits for changes, at most until `due`.
    pub fn wait(&self, due: Option<Instant>) -> Woken {
        let left = due.map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let limit = left.and_then(|left| PollTimeout::try_from(left).ok()).unwrap_or(PollTimeout::NONE);
        let readable = |end| PollFd::new(end, PollFlags::POLLIN);
        let _ = poll(&mut [readable(self.inotify.as_fd()), readable(self.woken.as_fd())], limit);
        // Empty the pipe before reading the flags. In the other order, a wake-up in between would be lost.
        while (&self.woken).read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        match self.is_ended.load(Ordering::Acquire) {
            true => Woken::Ended,
            false => Woken::Up { is_moved: self.is_moved.swap(false, Ordering::AcqRel) },
        }
    }

    /// Makes the current and all later calls of `wait` return [`Woken::Ended`].
    fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        self.wake_up();
    }

    fn wake_up(&self) {
        // If the pipe is full, the write fails, but the reader wakes anyway.
        let _ = (&self.wake).write(&[1]);
    }

    /// The changes since the last call. It does not wait.
    pub fn changes(&self, tree: &Tree) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            match self.inotify.read_events() {
                Ok(events) => changes.extend(events.iter().flat_map(|event| self.changes_of(tree, event))),
                Err(Errno::EINTR) => {}
                Err(_) => return changes,
            }
        }
    }

    fn changes_of(&self, tree: &Tree, event: &InotifyEvent) -> Vec<Change> {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return vec![Change::Lost];
        }
        let interests = {
            let mut interests = lock(&self.interests);
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                interests.ignored(event.wd);
                return Vec::new();
            }
            interests.by_watch.get(&event.wd).cloned().unwrap_or_default()
        };
        let change = |interest| match (interest, event.name.as_deref()) {
            (Interest::File(id), _) if event.mask.contains(AddWatchFlags::IN_CLOSE_WRITE) => {
                vec![Change::Written(id)]
            }
            (Interest::File(id), _) => vec![Change::Opened(id)],
            (Interest::Directory(number), Some(name)) => {
                let names = names(name).chain(tree.named_by(number, name));
                names.map(|name| Change::Name(number, name)).collect()
            }
            (Interest::Link { target, parent, shown }, Some(name)) if target == *name => {
                vec![Change::Name(parent, shown)]
            }
            _ => Vec::new(),
        };
        interests.into_iter().flat_map(change).collect()
    }
}

impl Listener for Watch {
    fn listen(&self, id: FileId, file: &File) -> bool {
        let Some(watch) = self.watch(file, OF_FILE) else { return false };
        let mut interests = lock(&self.interests);
        interests.add(watch, Interest::File(id));
        interests.files.insert(id, watch);
        true
    }

    fn leave(&self, id: FileId) {
        let mut interests = lock(&self.interests);
        if let Some(watch) = interests.files.remove(&id) {
            interests.by_watch.remove(&watch);
            let _ = self.inotify.rm_watch(watch);
        }
    }

    fn moved(&self) {
        self.is_moved.store(true, Ordering::Release);
        self.wake_up();
    }
}

impl Interests {
    fn add(&mut self, watch: WatchDescriptor, interest: Interest) {
        let interests = self.by_watch.entry(watch).or_default();
        if !interests.contains(&interest) {
            interests.push(interest);
        }
    }

    /// Removes an interest. Returns true if the watch has no other.
    fn remove(&mut self, watch: WatchDescriptor, interest: &Interest) -> bool {
        let Some(interests) = self.by_watch.get_mut(&watch) else { return false };
        interests.retain(|other| other != interest);
        let is_last = interests.is_empty();
        if is_last {
            self.by_watch.remove(&watch);
        }
        is_last
    }

    /// Forgets a watch that the system has removed, because its file or directory is gone.
    fn ignored(&mut self, watch: WatchDescriptor) {
        for interest in self.by_watch.remove(&watch).unwrap_or_default() {
            match interest {
                Interest::Directory(number)
                    if self.directories.get(&number).is_some_and(|known| known.0 == watch) =>
                {
                    self.directories.remove(&number);
                }
                Interest::File(id) if self.files.get(&id) == Some(&watch) => {
                    self.files.remove(&id);
                }
                _ => {}
            }
        }
    }
}

/// The names that a change of this file can affect: its own, and those of arrays that it may belong to. The
/// name of such an array is the part before any of its dots.
fn names(name: &OsStr) -> impl Iterator<Item = OsString> {
    let dots = name.as_bytes().iter().enumerate().filter(|(at, byte)| **byte == b'.' && *at > 0);
    let stems = dots.map(|(at, _)| OsStr::from_bytes(&name.as_bytes()[..at]));
    stems.chain([name]).map(OsStr::to_owned)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
