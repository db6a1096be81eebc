//! A mounted tree: waits for its end, and keeps the inner mount in place.
//!
//! Either of the two mounts can be removed from outside. The inner one depends on the outer one and goes with
//! it. Without the inner one, links of the outer one are dangling, so it is mounted again. Before that there
//! is a delay, so that a program that removes both has time to go on to the second.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::adapter::ArrayFs;
use super::entries::Entries;
use super::notifier::{Connection, Notifier};
use super::watch::Watching;
use super::{Options, changes, passthrough, serve};
use crate::fuse::mountpoint::{self, Changes, Device, Sign};
use crate::tree::Tree;

/// How long the inner mount may be missing before it is mounted again.
const WHILE_BOTH_GO: Duration = Duration::from_secs(2);
/// How often to check for remaining readers once the tree is unmounted.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// How long to wait for threads to end when nobody is left to serve. One may hang with its disk.
const TO_END: Duration = Duration::from_millis(500);

/// A connection with its serving threads.
pub(super) struct Served {
    pub connection: Connection,
    pub entries: Arc<Entries>,
    pub side: Side,
}

/// One mount of a tree.
pub(super) struct Side {
    number: usize,
    device: Device,
    target: PathBuf,
    /// Whether the system can tell if the mount is in use.
    is_shown: bool,
    /// Whether its connection has ended.
    is_over: bool,
    /// Tells a program that unmounts which process to wait for.
    _sign: Option<Sign>,
}

impl Side {
    /// Describes what was just mounted on `mountpoint`. `number` identifies it in events.
    pub fn new(mountpoint: &Path, number: usize) -> io::Result<Self> {
        let device = Device::of(mountpoint)?;
        let sign = Sign::put_up(&device);
        let sign = sign.inspect_err(|error| log::debug!("whoever unmounts will not wait: {error}")).ok();
        let target = device.target().map_err(io::Error::other)?;
        let target = target.ok_or_else(|| io::Error::other("it was unmounted at once"))?;
        Ok(Self { number, device, target, is_shown: device.is_in_use(), is_over: false, _sign: sign })
    }

    pub fn device(&self) -> Device {
        self.device
    }

    /// Whether it is mounted anywhere.
    fn is_mounted(&self) -> bool {
        self.device.target().is_ok_and(|target| target.is_some())
    }

    /// Whether it is still mounted in its original place.
    fn is_in_place(&self) -> bool {
        self.device.is_on(&self.target).unwrap_or(false)
    }

    /// Whether it still has readers. If that is unknown, it counts as yes.
    fn is_needed(&self) -> bool {
        !self.is_over && (!self.is_shown || self.device.is_in_use())
    }
}

/// An event that the waiting thread handles.
pub(super) enum Event {
    /// The connection with this number has ended, with this result.
    Ended(usize, io::Result<()>),
    /// Something was mounted or unmounted somewhere.
    Mounts,
}

/// Reports the end of a connection when it is dropped, even if its thread panics.
pub(super) struct Ending {
    events: Sender<Event>,
    pub number: usize,
    result: io::Result<()>,
}

impl Ending {
    pub fn new(events: &Sender<Event>, number: usize) -> Self {
        let panicked = Err(io::Error::other("a thread that served has panicked"));
        Self { events: events.clone(), number, result: panicked }
    }

    /// Reports this result instead of a panic.
    pub fn with(mut self, result: io::Result<()>) {
        self.result = result;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Ended(self.number, std::mem::replace(&mut self.result, Ok(()))));
    }
}

/// The parameters of the inner mount.
pub(super) struct Inner {
    pub tree: Tree,
    pub options: Options,
    pub watch: Weak<Watching>,
    /// The names that the kernel knows on it.
    pub entries: Arc<Entries>,
    /// Whether the kernel reads whole files on the outer mount.
    pub is_passthrough: Arc<AtomicBool>,
}

impl Inner {
    /// Mounts the tree inside the mount on `outer`.
    pub fn mount(&self, outer: &Path, events: &Sender<Event>, number: usize) -> io::Result<Served> {
        let inner = ArrayFs::new(self.tree.clone(), None, self.watch.upgrade(), self.options.threads)
            .with_entries(&self.entries);
        serve(inner, &self.tree, &outer.join(Tree::inner()), self.options, Ending::new(events, number))
    }
}

/// A mounted tree, served by its own threads.
pub struct Mounted {
    /// The outer mount is the first, the current inner one the last. Between them are former inner ones.
    sides: Vec<Side>,
    inner: Option<Inner>,
    teller: Teller,
    events: (Sender<Event>, Receiver<Event>),
    /// The first error.
    result: io::Result<()>,
}

/// Notifies the kernel of changes in the store.
#[derive(Clone, Debug)]
pub struct Teller(Arc<Notifier>);

impl Teller {
    /// Stops all notifications. Call it before the process ends while the tree is mounted. Otherwise the
    /// kernel could wait forever for a process that is gone.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Mounted {
    /// A tree that these connections serve. From now on, they are notified of changes in the store.
    pub(super) fn new(
        tree: &Tree,
        served: impl IntoIterator<Item = Served>,
        inner: Option<Inner>,
        watch: Option<&Watching>,
        events: (Sender<Event>, Receiver<Event>),
    ) -> Self {
        let (mut sides, mut connections, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for served in served {
            sides.push(served.side);
            connections.push(served.connection);
            entries.push(served.entries);
        }
        let notifier = Arc::new(Notifier::new(connections));
        if let Some(Watching(watch)) = watch {
            match changes::Teller::start(tree, watch, &notifier, entries) {
                Ok(()) => drop(tree.set_changes_told(true)),
                Err(error) => log::warn!("changes in the store show after a moment only: {error}"),
            }
        }
        Self { sides, inner, teller: Teller(notifier), events, result: Ok(()) }
    }

    /// A handle to stop the notifications.
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Waits until the tree is unmounted, by anyone, and has no more readers. If only the inner mount is
    /// removed meanwhile, this mounts it again.
    ///
    /// # Errors
    ///
    /// The error of the connection to the kernel, if it did not end by an unmount. Or the reason why the
    /// inner mount could not be restored, in which case the tree is unmounted.
    pub fn wait(mut self) -> io::Result<()> {
        if let Err(error) = self.watch_mounts() {
            log::debug!("what others unmount is not noticed at once: {error}");
        }
        self.keep();
        // A mount that nobody serves is useless.
        if self.sides[0].is_in_place() {
            self.take_away();
        }
        self.wait_for_readers();
        self.result
    }

    /// Starts to report mounts and unmounts as events.
    fn watch_mounts(&self) -> io::Result<()> {
        let (changes, events) = (Changes::new()?, self.events.0.clone());
        let tell = move || while changes.wait().is_ok() && events.send(Event::Mounts).is_ok() {};
        std::thread::Builder::new().name("mounts".into()).spawn(tell).map(drop)
    }

    /// Keeps the inner mount in place until the outer one is removed or no longer served.
    fn keep(&mut self) {
        let mut gone = None::<Instant>;
        while !self.sides[0].is_over && self.sides[0].is_mounted() {
            let is_there = self.inner.is_none() || self.is_inner_there();
            if is_there || !self.sides[0].is_in_place() {
                gone = None;
            } else if gone.is_none() {
                gone = Some(Instant::now());
                self.describe(Some(
                    "the mount in .arrayfs/tree was taken away, and is made anew in a moment",
                ));
            }
            match gone.map(|gone| WHILE_BOTH_GO.saturating_sub(gone.elapsed())) {
                Some(Duration::ZERO) => {
                    gone = None;
                    self.mend();
                }
                left => self.next_event(left),
            }
        }
    }

    fn is_inner_there(&self) -> bool {
        self.sides.last().is_some_and(|inner| !inner.is_over && inner.is_mounted())
    }

    /// Restores the inner mount, or else removes the outer one.
    fn mend(&mut self) {
        let Some(inner) = &self.inner else { return };
        let (outer, last) = (&self.sides[0], &self.sides[self.sides.len() - 1]);
        let number = last.number + 1;
        // The old one may still be there, but without a server.
        let cleared = if last.is_in_place() { mountpoint::unmount(&last.target) } else { Ok(()) };
        let mended = cleared.map_err(io::Error::other);
        match mended.and_then(|()| inner.mount(&outer.target, &self.events.0, number)) {
            Ok(Served { connection, side, .. }) => {
                log::warn!("the mount in .arrayfs/tree was taken away, and is made anew");
                self.teller.0.replace_last(connection);
                // Former inner mounts stay while programs have files on them open.
                self.sides.retain(|side| side.number == 0 || !side.is_over);
                self.sides.push(side);
                self.describe(None);
            }
            // Both are being removed, but slowly.
            Err(_) if !self.sides[0].is_in_place() => {}
            Err(error) => {
                self.fail(format!(
                    "the mount in .arrayfs/tree was taken away, and cannot be made anew: {error}"
                ));
                self.take_away();
            }
        }
    }

    /// Records for `.arrayfs/mount.yaml` whether the kernel reads whole files itself, and links have a
    /// target.
    fn describe(&self, why_not: Option<&str>) {
        if let Some(inner) = &self.inner
            && inner.is_passthrough.load(Ordering::Relaxed)
        {
            passthrough::describe(&inner.tree, why_not);
        }
    }

    /// Unmounts everything. Programs with open files can go on reading.
    fn take_away(&mut self) {
        if let Err(error) = mountpoint::unmount(&self.sides[0].target) {
            self.fail(error);
        }
    }

    /// Waits until no program has a file of the mount open.
    fn wait_for_readers(&mut self) {
        let mut idle = None::<Instant>;
        while self.sides.iter().any(|side| !side.is_over) {
            self.next_event(Some(BETWEEN_LOOKS));
            if self.sides.iter().any(Side::is_needed) {
                idle = None;
            } else if idle.get_or_insert_with(Instant::now).elapsed() > TO_END {
                // A thread may hang with a disk that does not answer. The process does not wait for it.
                return;
            }
        }
    }

    /// Waits for the next event, up to `limit`, and handles it.
    fn next_event(&mut self, limit: Option<Duration>) {
        let event = match limit {
            Some(limit) => self.events.1.recv_timeout(limit).ok(),
            None => self.events.1.recv().ok(),
        };
        let Some(Event::Ended(number, result)) = event else { return };
        if let Some(side) = self.sides.iter_mut().find(|side| side.number == number) {
            side.is_over = true;
            self.teller.0.forget(side.device.minor());
        }
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Records the first error.
    fn fail(&mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        if self.result.is_ok() {
            self.result = Err(io::Error::other(error));
        }
    }
}
