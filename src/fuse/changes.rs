//! Changes in the store, told to the kernel as they happen.
//!
//! The kernel takes names in directories of the store for granted for a [moment](super::MOMENT), and what belongs to one
//! version of an array for long. So that what is opened after a change is of the new version at once, the names that
//! a change may be about expire: the kernel asks for them anew when they are next walked over, and what has not
//! changed stays as it is. What was written in place has the kernel let go of all that it keeps of it. Where nothing is
//! heard (too many directories, a file system over the network) the moment has to pass.

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

/// How often it is looked whether somebody who writes in a file still does, if the system does not tell.
const GLANCE: Duration = Duration::from_millis(100);

/// The most threads that have the kernel let go of content, each of one array.
const MOST_THREADS: usize = 32;

/// Tells the kernel of changes, from a thread of its own.
pub(super) struct Teller {
    tree: Tree,
    watch: Arc<Watch>,
    notifier: Arc<Notifier>,
    /// What each connection was told of.
    entries: Vec<Arc<Entries>>,
    /// Names that have changed, and may stand for another version by now.
    changed: BTreeSet<(Ino, OsString)>,
    are_all_changed: bool,
    /// When to look for versions that are gone.
    due: Option<Instant>,
    /// When to look whether writers are still there.
    glance: Option<Instant>,
    /// What moved on since the last look. What was being looked up at that moment the kernel may have come to know only
    /// after it was told of the change, so it is told once more.
    moved: Vec<Ino>,
    threads: Arc<AtomicUsize>,
}

impl Teller {
    /// Starts to tell, until the watch [ends](Watch::end).
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
            // What this moves on wakes us again.
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

    /// Has the kernel let go of what it keeps of files that somebody began or ended to write in.
    fn tell_of_moves(&self, moved: &[Ino]) {
        let origins: HashSet<_> = moved.iter().copied().collect();
        let names = self.entries.iter().flat_map(|entries| entries.find(|child| origins.contains(&child)));
        names.for_each(|Entry { parent, name, .. }| self.notifier.expire(parent, &name));
        origins.into_iter().for_each(|origin| self.forget_contents(self.tree.known_nodes(origin)));
    }

    /// To let go of what is being read the kernel waits for those reads, which may take long: others must not.
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

    /// Lets go of versions that are gone, and has the kernel do so.
    fn let_go(&mut self) {
        if std::mem::take(&mut self.are_all_changed) {
            self.tree.forget_all_outdated();
        }
        for (parent, name) in std::mem::take(&mut self.changed) {
            self.tree.forget_outdated(parent, &name);
        }
        self.tree.forget_outdated_arrays();
        // As long as there is anything: what was in use may have been told anew.
        self.due = self.take_back().then(|| Instant::now() + MOMENT);
    }

    /// Takes the names of versions that are gone back from the kernel; false where there were none.
    fn take_back(&self) -> bool {
        let mut known = HashMap::new();
        // Of all nodes of a version one is asked.
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
