//! A tree that is mounted: who waits for its end, and keeps its second mount in place.
//!
//! Anybody who may can take away one mount of the two. Without the outer the inner is nothing, and goes with it;
//! without the inner, links of the outer lead nowhere: so it is made anew, after a while in which whoever takes
//! away both can go on to the second.

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

/// How long the inner mount may be gone before it is made anew.
const WHILE_BOTH_GO: Duration = Duration::from_secs(2);
/// How often somebody who may still read is looked for, once the tree is unmounted.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// How long threads have to end when there is nobody left to serve: one may hang with its disk.
const TO_END: Duration = Duration::from_millis(500);

/// A connection that is served.
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
    /// Whether the system shows whether it is in use.
    is_shown: bool,
    /// Whether nobody serves it any more.
    is_over: bool,
    /// Tells whoever unmounts which process to wait for.
    _sign: Option<Sign>,
}

impl Side {
    /// What was mounted on `mountpoint`, under the number that its end will be told by.
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

    /// Whether it is mounted where it was at first.
    fn is_in_place(&self) -> bool {
        self.device.is_on(&self.target).unwrap_or(false)
    }

    /// Whether anybody is served by it, as far as is known.
    fn is_needed(&self) -> bool {
        !self.is_over && (!self.is_shown || self.device.is_in_use())
    }
}

/// Something that happened.
pub(super) enum Event {
    /// A connection has ended, that of the side of this number, and how.
    Ended(usize, io::Result<()>),
    /// Something was mounted or unmounted somewhere.
    Mounts,
}

/// Tells that a connection has ended, even when its thread has panicked.
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

    /// It has ended like this.
    pub fn with(mut self, result: io::Result<()>) {
        self.result = result;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Ended(self.number, std::mem::replace(&mut self.result, Ok(()))));
    }
}

/// What it takes to make an inner mount.
pub(super) struct Inner {
    pub tree: Tree,
    pub options: Options,
    pub watch: Weak<Watching>,
    /// What the kernel is told of there.
    pub entries: Arc<Entries>,
    /// Whether the kernel reads whole files on the outer mount.
    pub is_passthrough: Arc<AtomicBool>,
}

impl Inner {
    /// Mounts the tree inside what is mounted on `outer`.
    pub fn mount(&self, outer: &Path, events: &Sender<Event>, number: usize) -> io::Result<Served> {
        let inner = ArrayFs::new(self.tree.clone(), None, self.watch.upgrade(), self.options.threads)
            .with_entries(&self.entries);
        serve(inner, &self.tree, &outer.join(Tree::inner()), self.options, Ending::new(events, number))
    }
}

/// A mounted tree, served by threads of its own.
pub struct Mounted {
    /// First the mount on the mountpoint; the last one is that inside it.
    sides: Vec<Side>,
    inner: Option<Inner>,
    teller: Teller,
    events: (Sender<Event>, Receiver<Event>),
    /// The first thing that went wrong.
    result: io::Result<()>,
}

/// What tells the kernel of changes in the store.
#[derive(Clone, Debug)]
pub struct Teller(Arc<Notifier>);

impl Teller {
    /// Tells nothing any more. To be called before the process ends while the tree is mounted, lest the kernel
    /// waits for ever for a process that is gone.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Mounted {
    /// What these connections serve; from here on they are told of changes in the store.
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

    /// What tells the kernel of changes.
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Waits until the tree is unmounted, by whomever, and nobody reads it any more. Meanwhile, where only the
    /// mount inside the mount is taken away, it is made anew.
    ///
    /// # Errors
    ///
    /// What the connection to the kernel ended with, if not an unmount; or why the mount inside the mount could
    /// not be made anew, without which the tree is unmounted.
    pub fn wait(mut self) -> io::Result<()> {
        if let Err(error) = self.watch_mounts() {
            log::debug!("what others unmount is not noticed at once: {error}");
        }
        self.keep();
        // What nobody serves is of no use to anybody.
        if self.sides[0].is_in_place() {
            self.take_away();
        }
        self.wait_for_readers();
        self.result
    }

    /// Has it told when something is mounted or unmounted.
    fn watch_mounts(&self) -> io::Result<()> {
        let (changes, events) = (Changes::new()?, self.events.0.clone());
        let tell = move || while changes.wait().is_ok() && events.send(Event::Mounts).is_ok() {};
        std::thread::Builder::new().name("mounts".into()).spawn(tell).map(drop)
    }

    /// Keeps the inner mount in place, until the outer is taken away or not served any more.
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

    /// Makes the inner mount anew, or takes away the outer.
    fn mend(&mut self) {
        let Some(inner) = &self.inner else { return };
        let (outer, last) = (&self.sides[0], &self.sides[self.sides.len() - 1]);
        let number = last.number + 1;
        // It may be there still, and served by nobody.
        let cleared = if last.is_in_place() { mountpoint::unmount(&last.target) } else { Ok(()) };
        let mended = cleared.map_err(io::Error::other);
        match mended.and_then(|()| inner.mount(&outer.target, &self.events.0, number)) {
            Ok(Served { connection, side, .. }) => {
                log::warn!("the mount in .arrayfs/tree was taken away, and is made anew");
                self.teller.0.replace_last(connection);
                // Others may be read by who has files of them open.
                self.sides.retain(|side| side.number == 0 || !side.is_over);
                self.sides.push(side);
                self.describe(None);
            }
            // Both are going, and slowly.
            Err(_) if !self.sides[0].is_in_place() => {}
            Err(error) => {
                self.fail(format!(
                    "the mount in .arrayfs/tree was taken away, and cannot be made anew: {error}"
                ));
                self.take_away();
            }
        }
    }

    /// Puts down for `.arrayfs/mount.yaml` whether the kernel reads whole files by itself, and links lead to
    /// where they should.
    fn describe(&self, why_not: Option<&str>) {
        if let Some(inner) = &self.inner
            && inner.is_passthrough.load(Ordering::Relaxed)
        {
            passthrough::describe(&inner.tree, why_not);
        }
    }

    /// Takes all away. Who reads may go on.
    fn take_away(&mut self) {
        if let Err(error) = mountpoint::unmount(&self.sides[0].target) {
            self.fail(error);
        }
    }

    /// Waits until nobody has anything open of what was mounted.
    fn wait_for_readers(&mut self) {
        let mut idle = None::<Instant>;
        while self.sides.iter().any(|side| !side.is_over) {
            self.next_event(Some(BETWEEN_LOOKS));
            if self.sides.iter().any(Side::is_needed) {
                idle = None;
            } else if idle.get_or_insert_with(Instant::now).elapsed() > TO_END {
                // A thread may wait for a disk that does not answer: nobody waits for the thread.
                return;
            }
        }
    }

    /// Waits for what happens next, for so long at the most.
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

    /// Keeps the first thing that went wrong.
    fn fail(&mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        if self.result.is_ok() {
            self.result = Err(io::Error::other(error));
        }
    }
}
