//! Notifies the kernel of changes in the store as they happen.
//!
//! The kernel caches names in directories of the store for a [moment](super::MOMENT), and everything that
//! belongs to one version of an array for a long time. After a change, a program that opens a file must get
//! the new version at once. So this expires every name that the change may affect: the kernel looks up the
//! name again on its next use, and keeps its cache if nothing has changed. If a file is written in place,
//! this invalidates everything that the kernel caches of it. If changes are not reported (too many
//! directories, a network file system), the new version appears only after the moment has passed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::MOMENT;
use super::entries::{Entries, Entry};
use super::notifier::Notifier;
use super::watch::{Change, Watch, Woken};
use crate::tree::{Ino, Tree};

/// How often to check whether files still have writers. The system does not report every end of writing.
const GLANCE: Duration = Duration::from_millis(100);

/// Limit on the threads that invalidate content. Each works on one array.
const MOST_THREADS: usize = 32;

/// Notifies the kernel of changes, from its own thread.
pub(super) struct Teller {
    tree: Tree,
    watch: Arc<Watch>,
    notifier: Arc<Notifier>,
    /// The names that the kernel knows on each connection.
    entries: Vec<Arc<Entries>>,
    /// Names that have changed since the last cleanup, and may stand for another version now.
    changed: BTreeSet<(Ino, OsString)>,
    are_all_changed: bool,
    /// When to clean up outdated versions.
    due: Option<Instant>,
    /// When to check whether files still have writers.
    glance: Option<Instant>,
    /// Origins whose generation advanced since the last check for writers. A lookup that was in progress then
    /// may have reached the kernel only after the notification, so there is a second notification.
    moved: Vec<Ino>,
    threads: Arc<AtomicUsize>,
}

impl Teller {
    /// Starts the thread. It runs until the watch [ends](Watch::end).
    pub fn start(
        tree: &Tree,
        watch: &Arc<Watch>,
        notifier: &Arc<Notifier>,
        entries: Vec<Arc<Entries>>,
    ) -> io::Result<()> {
        let (tree, watch, notifier) = (tree.clone(), Arc::clone(watch), Arc::clone(notifier));
        let (changed, are_all_changed, due, glance, moved, threads) = Default::default();
        let mut teller =
            Self { tree, watch, notifier, entries, changed, are_all_changed, due, glance, moved, threads };
        std::thread::Builder::new().name("watch".into()).spawn(move || teller.run()).map(drop)
    }

    fn run(&mut self) {
        loop {
            let next = [self.due, self.glance].into_iter().flatten().min();
            let Woken::Up { is_moved } = self.watch.wait(next) else { return };
            let changes: BTreeSet<_> = self.watch.changes(&self.tree).into_iter().collect();
            changes.into_iter().for_each(|change| self.tell(change));
            let now = Instant::now();
            if self.glance.take_if(|glance| *glance <= now).is_some() {
                self.look_at_writers();
            }
            if is_moved {
                let dropped = self.tree.take_dropped();
                if !dropped.is_empty() {
                    self.forget_contents(dropped);
                }
                let moved = self.tree.take_moved();
                self.tell_of_moves(&moved);
                self.moved.extend(moved);
                self.glance.get_or_insert_with(|| Instant::now() + GLANCE);
            }
            if self.due.take_if(|due| *due <= now).is_some() {
                self.let_go();
            }
        }
    }

    fn tell(&mut self, change: Change) {
        let generations = self.tree.store().generations();
        match change {
            // If this advances a generation, the watch wakes this thread again.
            Change::Opened(id) => {
                if !generations.was_opened(id) {
                    self.tree.open_again(id);
                }
            }
            Change::Written(id) => generations.was_written(id),
            Change::Name(parent, name) => {
                self.notifier.expire(parent, &name);
                self.changed.insert((parent, name));
                self.due.get_or_insert_with(|| Instant::now() + MOMENT);
            }
            Change::Lost => {
                log::info!("more has changed in the store at once than the system tells of");
                generations.were_lost();
                if !self.notifier.expire_all() {
                    let known = self.entries.iter().flat_map(|entries| entries.find(|_| true));
                    known.for_each(|Entry { parent, name, .. }| self.notifier.expire(parent, &name));
                }
                self.are_all_changed = true;
                self.due.get_or_insert_with(|| Instant::now() + MOMENT);
            }
        }
    }

    /// Invalidates the cached names and contents of files in which writing began or ended.
    fn tell_of_moves(&self, moved: &[Ino]) {
        let origins: HashSet<_> = moved.iter().copied().collect();
        let names = self.entries.iter().flat_map(|entries| entries.find(|child| origins.contains(&child)));
        names.for_each(|Entry { parent, name, .. }| self.notifier.expire(parent, &name));
        origins.into_iter().for_each(|origin| self.forget_contents(self.tree.known_nodes(origin)));
    }

    /// Invalidates the contents of nodes. The kernel waits for pending reads of them, which can take long. So
    /// this runs on another thread, and other changes need not wait.
    fn forget_contents(&self, nodes: Vec<Ino>) {
        let (notifier, threads) = (Arc::clone(&self.notifier), Arc::clone(&self.threads));
        let nodes = Arc::new(nodes);
        let theirs = Arc::clone(&nodes);
        let tell = move || {
            theirs.iter().for_each(|node| notifier.forget_content(*node));
            threads.fetch_sub(1, Ordering::Relaxed);
        };
        let is_one_more = self.threads.fetch_add(1, Ordering::Relaxed) < MOST_THREADS;
        let is_told = is_one_more && std::thread::Builder::new().name("tell".into()).spawn(tell).is_ok();
        if !is_told {
            nodes.iter().for_each(|node| self.notifier.forget_content(*node));
            self.threads.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn look_at_writers(&mut self) {
        let moved = std::mem::take(&mut self.moved);
        self.tell_of_moves(&moved);
        if self.tree.store().generations().look_at_written() {
            self.glance = Some(Instant::now() + GLANCE);
        }
    }

    /// Removes outdated versions from our caches and from those of the kernel.
    fn let_go(&mut self) {
        if std::mem::take(&mut self.are_all_changed) {
            self.tree.forget_all_outdated();
        }
        for (parent, name) in std::mem::take(&mut self.changed) {
            self.tree.forget_outdated(parent, &name);
        }
        self.tree.forget_outdated_arrays();
        // Repeat until none is found: the kernel may have learned an outdated name again while it was in use.
        self.due = self.take_back().then(|| Instant::now() + MOMENT);
    }

    /// Invalidates the kernel's names of outdated versions. Returns false if there were none.
    fn take_back(&self) -> bool {
        let mut known = HashMap::new();
        // All nodes of a version share an origin, and one check for each origin is enough.
        let mut is_outdated =
            |child| *known.entry(self.tree.origin(child)).or_insert_with(|| self.tree.is_outdated(child));
        let mut is_any = false;
        for (connection, entries) in self.entries.iter().enumerate() {
            for Entry { parent, name, .. } in entries.take(&mut is_outdated) {
                self.notifier.take_back(connection, parent, &name);
                is_any = true;
            }
        }
        is_any
    }
}
