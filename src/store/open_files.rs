//! Limits the number of open files below that of the system, however many are read.
//!
//! A file that was not used recently is closed to make room, and opened again on its next use. Only a file
//! that can be opened again is closed. A file that was replaced or deleted stays open for its readers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use nix::sys::resource::{Resource, getrlimit};

/// Descriptors reserved for everything else: connections, directories, short lookups.
const RESERVE: u64 = 32;
/// Upper limit on open files. Each may have two mappings, and the kernel allows 65,530 of them.
const MOST: usize = 16_000;
/// Lower limit on open files.
const LEAST: usize = 8;

/// An open file that can be closed.
pub trait Closable: std::fmt::Debug + Send + Sync {
    /// Whether it was used since the last call.
    fn was_used(&self) -> bool;

    /// Closes it if it can be opened again. Returns whether it did.
    fn close(&self) -> bool;
}

/// The queue of open files, the oldest first. Recently used ones get a second chance (the CLOCK algorithm).
#[derive(Debug, Default)]
pub struct OpenFiles {
    known: Mutex<Known>,
    /// Signals that a file is back in the queue.
    is_back: Condvar,
    most: OnceLock<usize>,
}

#[derive(Debug, Default)]
struct Known {
    open: VecDeque<Weak<dyn Closable>>,
    /// Number of files that are out of the queue while they are examined. That makes system calls, which may
    /// be slow, so the queue is not locked meanwhile.
    out: usize,
}

impl OpenFiles {
    /// Adds an opened file, and closes another one if there are too many.
    pub fn opened(&self, what: Weak<dyn Closable>) {
        let most = *self.most.get_or_init(most);
        let is_full = {
            let known = self.lock();
            known.open.len() + known.out >= most
        };
        if is_full {
            self.make_room();
        }
        self.lock().open.push_back(what);
    }

    /// Closes a file that can be opened again. Returns false if there is none.
    pub fn make_room(&self) -> bool {
        // Used files get a second chance, so at worst the first round finds nothing.
        let mut left = {
            let known = self.lock();
            2 * (known.open.len() + known.out)
        };
        while left > 0
            && let Some(next) = self.take()
        {
            left -= 1;
            let (is_closed, kept) = match next.upgrade() {
                // It was dropped.
                None => (true, None),
                Some(found) if !found.was_used() && found.close() => (true, None),
                Some(_) => (false, Some(next)),
            };
            self.put_back(kept);
            if is_closed {
                return true;
            }
        }
        false
    }

    /// Takes the oldest file. None if there is none, not even in the hands of another thread.
    fn take(&self) -> Option<Weak<dyn Closable>> {
        let mut known = self.lock();
        loop {
            if let Some(next) = known.open.pop_front() {
                known.out += 1;
                return Some(next);
            }
            if known.out == 0 {
                return None;
            }
            known = self.is_back.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the examination of a file, and puts it back into the queue if it is kept.
    fn put_back(&self, kept: Option<Weak<dyn Closable>>) {
        let mut known = self.lock();
        known.out -= 1;
        known.open.extend(kept);
        drop(known);
        self.is_back.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limit that leaves a quarter of the process's descriptors, and a reserve, for everything else.
fn most() -> usize {
    let allowed = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let room = usize::try_from((allowed - allowed / 4).saturating_sub(RESERVE)).unwrap_or(MOST);
    room.clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::*;

    #[derive(Debug)]
    struct Thing {
        is_used: AtomicBool,
        is_open: AtomicBool,
        is_lost: bool,
    }

    impl Thing {
        fn new(is_used: bool, is_lost: bool) -> Arc<Self> {
            Arc::new(Self { is_used: is_used.into(), is_open: true.into(), is_lost })
        }
    }

    impl Closable for Thing {
        fn was_used(&self) -> bool {
            self.is_used.swap(false, Ordering::Relaxed)
        }

        fn close(&self) -> bool {
            !self.is_lost && self.is_open.swap(false, Ordering::Relaxed)
        }
    }

    /// A file that is slow to close, and reports it.
    #[derive(Debug)]
    struct Slow {
        begun: mpsc::Sender<()>,
        go_on: Mutex<mpsc::Receiver<()>>,
    }

    impl Closable for Slow {
        fn was_used(&self) -> bool {
            false
        }

        fn close(&self) -> bool {
            self.begun.send(()).unwrap();
            self.go_on.lock().unwrap().recv().is_ok()
        }
    }

    #[test]
    fn what_takes_its_time_to_close_holds_nobody_up() {
        let files = OpenFiles { most: OnceLock::from(2), ..OpenFiles::default() };
        let ((begun, has_begun), (go, go_on)) = (mpsc::channel(), mpsc::channel());
        let slow = Arc::new(Slow { begun, go_on: Mutex::new(go_on) });
        files.opened(Arc::downgrade(&slow) as Weak<dyn Closable>);
        let things: Vec<_> = (0..10).map(|_| Thing::new(false, false)).collect();
        thread::scope(|scope| {
            let closing = scope.spawn(|| files.make_room());
            has_begun.recv().unwrap();
            for thing in &things {
                files.opened(Arc::downgrade(thing) as Weak<dyn Closable>);
            }
            assert_eq!(things.iter().filter(|thing| thing.is_open.load(Ordering::Relaxed)).count(), 1);
            assert!(files.make_room());
            // Only the file in the hands of another thread is left, so this one waits for it.
            let waiting = scope.spawn(|| files.make_room());
            go.send(()).unwrap();
            assert!(closing.join().unwrap());
            assert!(!waiting.join().unwrap(), "and then there is nothing");
        });
    }

    #[test]
    fn what_is_not_in_use_and_can_be_opened_again_goes_first() {
        let files = OpenFiles { most: OnceLock::from(4), ..OpenFiles::default() };
        let things = [(true, false), (false, true), (false, false), (true, false)]
            .map(|(is_used, is_lost)| Thing::new(is_used, is_lost));
        let open = || things.each_ref().map(|thing| thing.is_open.load(Ordering::Relaxed));
        for thing in &things {
            files.opened(Arc::downgrade(thing) as Weak<dyn Closable>);
        }
        assert_eq!(open(), [true; 4]);
        let another = Thing::new(false, true);
        files.opened(Arc::downgrade(&another) as Weak<dyn Closable>);
        assert_eq!(open(), [true, true, false, true]);
        assert!(files.make_room() && files.make_room());
        assert_eq!(open(), [false, true, false, false]);
        // The remaining files cannot be opened again.
        assert!(!files.make_room());
        drop(another);
        assert!(files.make_room(), "there is room where something went by itself");
        assert_eq!(open(), [false, true, false, false]);
    }
}
