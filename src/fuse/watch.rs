//! What is watched of the store, so that changes are heard of as they happen: the directories that the kernel knows, and the
//! files that are in use.
//!
//! The system has one watch for an inode, whatever its paths. A directory may be shown under several names, and be
//! moved or made anew under a name; a file may be known by a link in one directory and lie in another. So each watch
//! has a list of what it is of interest to, and each directory is looked at again whenever it is looked up.

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

/// What changes which array a name stands for, or who may read it. Not each single write: of an array that is
/// written in place the file itself tells.
const IN_DIRECTORY: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_ONLYDIR);

/// What may begin and end writing in a file.
const OF_FILE: AddWatchFlags = AddWatchFlags::IN_OPEN.union(AddWatchFlags::IN_CLOSE_WRITE);

/// File systems by their numbers (`linux/magic.h`) that others write to without this machine being told.
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

/// What a watch is of interest to.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Interest {
    /// The node that shows the directory.
    Directory(Ino),
    /// The array `shown` in another directory, one of whose files is a link to `target` in this one.
    Link { target: OsString, parent: Ino, shown: OsString },
    /// The generation of the file.
    File(FileId),
}

/// Something that has happened. Writers come first: to be told of a name the kernel may take its time.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Change {
    /// Somebody opened this file.
    Opened(FileId),
    /// Somebody who could write has closed this file.
    Written(FileId),
    /// What this name stands for in a folder may be another.
    Name(Ino, OsString),
    /// More has happened than the system could tell.
    Lost,
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Woken {
    /// There are changes, or it is time.
    Up { is_moved: bool },
    /// There is nobody any more to hear.
    Ended,
}

/// The directories and files that are watched.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Inotify,
    interests: Mutex<Interests>,
    /// Wakes who waits for changes; closed with the watch.
    wake: PipeWriter,
    woken: PipeReader,
    is_ended: AtomicBool,
    is_moved: AtomicBool,
}

/// A watch that ends when nobody serves any more.
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
    /// What the system says, and that the store is on a file system of which it does not hear.
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

    /// Watches the directory of the store that this node shows, if it shows one; false where that is not to be had.
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

    /// Watches where the files of an array are that are links; false where that is not to be had.
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

    /// Waits for changes until something is due.
    pub fn wait(&self, due: Option<Instant>) -> Woken {
        let left = due.map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let limit = left.and_then(|left| PollTimeout::try_from(left).ok()).unwrap_or(PollTimeout::NONE);
        let readable = |end| PollFd::new(end, PollFlags::POLLIN);
        let _ = poll(&mut [readable(self.inotify.as_fd()), readable(self.woken.as_fd())], limit);
        // Emptied before it is asked what for: whoever wakes us now is heard.
        while (&self.woken).read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        match self.is_ended.load(Ordering::Acquire) {
            true => Woken::Ended,
            false => Woken::Up { is_moved: self.is_moved.swap(false, Ordering::AcqRel) },
        }
    }

    /// Ends the waiting, now and for ever.
    fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        self.wake_up();
    }

    fn wake_up(&self) {
        // A full pipe wakes as well.
        let _ = (&self.wake).write(&[1]);
    }

    /// The changes since this was asked before, without waiting for any.
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

    /// Removes an interest; true where it was the last.
    fn remove(&mut self, watch: WatchDescriptor, interest: &Interest) -> bool {
        let Some(interests) = self.by_watch.get_mut(&watch) else { return false };
        interests.retain(|other| other != interest);
        let is_last = interests.is_empty();
        if is_last {
            self.by_watch.remove(&watch);
        }
        is_last
    }

    /// The system has removed a watch, for what it was of is gone.
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

/// The names that a change of a file is about: its own, and those of arrays that it may be part of.
fn names(name: &OsStr) -> impl Iterator<Item = OsString> {
    let dots = name.as_bytes().iter().enumerate().filter(|(at, byte)| **byte == b'.' && *at > 0);
    let stems = dots.map(|(at, _)| OsStr::from_bytes(&name.as_bytes()[..at]));
    stems.chain([name]).map(OsStr::to_owned)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
