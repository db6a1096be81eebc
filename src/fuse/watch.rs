//! Changes in the store, told to the kernel as they happen.
//!
//! The kernel takes names in directories of the store for granted for a [moment](super::MOMENT). So that
//! what is opened after a change is of the new version at once, the directories that it knows are watched,
//! and the names that a change may be about expire: the kernel asks for them anew when they
//! are next walked over, and what has not changed stays as it is. Where nothing can be watched (too many
//! directories, a file system over the network) the moment has to pass.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSlice, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::MOMENT;
use super::entries::{Entries, Entry};
use super::mounted::Connections;
use crate::tree::{Ino, Tree};

/// What changes which array a name stands for, or who may read it. Not each single write: an array
/// that is written in place has changed when its writer closes it.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_ONLYDIR);

/// `FUSE_NOTIFY_INVAL_ENTRY` of `linux/fuse.h`.
const INVAL_ENTRY: i32 = 3;
/// Its flag `FUSE_EXPIRE_ONLY`: the entry is asked for anew, and not taken from who is inside.
const EXPIRE_ONLY: u32 = 1;

/// The directories that are watched.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Inotify,
    known: Mutex<Known>,
    /// Closed with the watch, which tells the thread that there is nobody to tell any more.
    _end: PipeWriter,
    /// The other side, until there is a thread.
    ended: Mutex<Option<PipeReader>>,
    /// Held while the kernel is told something: whether there is to be no more of it.
    is_stopped: Mutex<bool>,
}

#[derive(Debug, Default)]
struct Known {
    by_watch: HashMap<WatchDescriptor, Ino>,
    by_number: HashMap<Ino, WatchDescriptor>,
}

impl Watch {
    /// Watches the root of the store, and nothing else yet.
    pub fn new(tree: &Tree) -> io::Result<Arc<Self>> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let (ended, end) = io::pipe()?;
        let watch = Self {
            inotify,
            known: Mutex::default(),
            _end: end,
            ended: Mutex::new(Some(ended)),
            is_stopped: Mutex::default(),
        };
        watch.add(tree, Ino::ROOT);
        Ok(Arc::new(watch))
    }

    /// Watches the directory of the store that this node shows, if it shows one.
    pub fn add(&self, tree: &Tree, number: Ino) {
        if lock(&self.known).by_number.contains_key(&number) {
            return;
        }
        let Ok(Some(directory)) = tree.open_directory(number) else { return };
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        match self.inotify.add_watch(path.as_str(), CHANGES) {
            Ok(watch) => {
                let mut known = lock(&self.known);
                known.by_watch.insert(watch, number);
                known.by_number.insert(number, watch);
            }
            Err(error) => log::debug!("changes in a directory show after a moment only: {error}"),
        }
    }

    /// Tells these connections of changes for as long as anybody else holds the watch, and takes back from each
    /// what it was told of versions that are gone.
    pub fn start(self: &Arc<Self>, tree: &Tree, connections: Connections) -> io::Result<()> {
        let Some(ended) = lock(&self.ended).take() else { return Ok(()) };
        let changes = self.inotify.as_fd().try_clone_to_owned()?;
        let watch = Arc::downgrade(self);
        let tree = tree.clone();
        let tell = move || {
            let (mut due, mut changed) = (None::<Instant>, BTreeSet::new());
            while let Some(is_change) = wait(changes.as_fd(), ended.as_fd(), due)
                && let Some(watch) = watch.upgrade()
            {
                if is_change {
                    changed.extend(watch.tell(&lock(&connections)));
                    due.get_or_insert_with(|| Instant::now() + MOMENT);
                }
                if due.is_some_and(|due| due <= Instant::now()) {
                    for (parent, name) in std::mem::take(&mut changed) {
                        tree.forget_outdated(parent, &name);
                    }
                    // As long as there is anything: what was in use may have been told anew.
                    due = watch.take_back(&tree, &lock(&connections)).then(|| Instant::now() + MOMENT);
                }
            }
        };
        std::thread::Builder::new().name("watch".into()).spawn(tell).map(drop)
    }

    /// Tells of the names that changes may be about, and returns them.
    fn tell(&self, connections: &[(File, Arc<Entries>)]) -> BTreeSet<(Ino, OsString)> {
        let Ok(events) = self.inotify.read_events() else { return BTreeSet::new() };
        let names: BTreeSet<_> = events.iter().filter_map(|event| self.names(event)).flatten().collect();
        for (parent, name) in &names {
            for (connection, _) in connections {
                self.send(connection, *parent, name, EXPIRE_ONLY);
            }
        }
        names
    }

    /// Takes the names of versions that are gone back from the kernel; false where there were none.
    fn take_back(&self, tree: &Tree, connections: &[(File, Arc<Entries>)]) -> bool {
        let mut known = HashMap::new();
        // Of all nodes of a version one is asked.
        let mut is_outdated =
            |child| *known.entry(tree.origin(child)).or_insert_with(|| tree.is_outdated(child));
        let mut is_any = false;
        for (connection, entries) in connections {
            for Entry { parent, name, .. } in entries.take(&mut is_outdated) {
                self.send(connection, parent, &name, 0);
                is_any = true;
            }
        }
        is_any
    }

    fn send(&self, connection: &File, parent: Ino, name: &OsStr, flags: u32) {
        let is_stopped = lock(&self.is_stopped);
        if !*is_stopped {
            // A name that the kernel does not know needs no telling.
            let _ = invalidate(connection, parent, name, flags);
        }
    }

    /// Tells the kernel nothing any more, and returns when it has heard what it was being told.
    ///
    /// To hear of a name the kernel waits until nobody asks this program for one in that folder. Were this
    /// program to end meanwhile, each would wait for the other for ever.
    pub fn stop(&self) {
        *lock(&self.is_stopped) = true;
    }

    /// The names that a change is about: that of the file, and those of arrays that it may be part of.
    fn names(&self, event: &InotifyEvent) -> Option<Vec<(Ino, OsString)>> {
        let mut known = lock(&self.known);
        let number = *known.by_watch.get(&event.wd)?;
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            known.by_watch.remove(&event.wd);
            known.by_number.remove(&number);
            return None;
        }
        let name = event.name.as_deref()?;
        let dots = name.as_bytes().iter().enumerate().filter(|(at, byte)| **byte == b'.' && *at > 0);
        let stems = dots.map(|(at, _)| OsStr::from_bytes(&name.as_bytes()[..at]));
        Some(stems.chain([name]).map(|name| (number, name.to_owned())).collect())
    }
}

/// Waits for changes, until something is due: whether there are any, and nothing when there will be none.
fn wait(changes: BorrowedFd<'_>, ended: BorrowedFd<'_>, due: Option<Instant>) -> Option<bool> {
    let mut both = [PollFd::new(changes, PollFlags::POLLIN), PollFd::new(ended, PollFlags::POLLIN)];
    let left = due.map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
    let limit = left.and_then(|left| PollTimeout::try_from(left).ok()).unwrap_or(PollTimeout::NONE);
    match poll(&mut both, limit) {
        Ok(_) if both[1].any() != Some(false) => None,
        Ok(count) => Some(count > 0),
        Err(error) => (error == Errno::EINTR).then_some(true),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a name back from the kernel, or has it expire. `fuser` knows this message without flags only.
fn invalidate(mut connection: &File, parent: Ino, name: &OsStr, flags: u32) -> io::Result<()> {
    let length = u32::try_from(name.len()).map_err(io::Error::other)?;
    let mut head = [0; 32];
    head[..4].copy_from_slice(&(32 + length + 1).to_ne_bytes());
    head[4..8].copy_from_slice(&INVAL_ENTRY.to_ne_bytes());
    head[16..24].copy_from_slice(&parent.0.to_ne_bytes());
    head[24..28].copy_from_slice(&length.to_ne_bytes());
    head[28..].copy_from_slice(&flags.to_ne_bytes());
    let message = [IoSlice::new(&head), IoSlice::new(name.as_bytes()), IoSlice::new(&[0])];
    connection.write_vectored(&message).map(drop)
}
