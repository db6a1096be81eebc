//! How many files are open at once: fewer than the system allows, whatever is read.
//!
//! What was not used lately is closed for what is needed now, and opened again when it is needed next.
//! Only a file that can be opened again is closed: one that was replaced or deleted stays open for who
//! reads it on.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError, Weak};

use nix::sys::resource::{Resource, getrlimit};

/// Descriptors that are left for all else: connections, directories, files that are looked at.
const RESERVE: u64 = 32;
/// Files that may be open at the most: each may be mapped twice, and the kernel allows 65,530 mappings.
const MOST: usize = 16_000;
/// Files that may be open at the least.
const LEAST: usize = 8;

/// Something open that can be closed.
pub trait Closable: std::fmt::Debug + Send + Sync {
    /// Whether it was used since this was asked before.
    fn was_used(&self) -> bool;

    /// Closes it if it could be opened again, and tells whether that was done.
    fn close(&self) -> bool;
}

/// What is open, the longest known first.
#[derive(Debug, Default)]
pub struct OpenFiles {
    open: Mutex<VecDeque<Weak<dyn Closable>>>,
    most: OnceLock<usize>,
}

impl OpenFiles {
    /// Remembers that something was opened, and closes something else where there are too many.
    pub fn opened(&self, what: Weak<dyn Closable>) {
        let most = *self.most.get_or_init(most);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= most {
            make_room(&mut open);
        }
        open.push_back(what);
    }

    /// Closes something that can be opened again; false where there is nothing.
    pub fn make_room(&self) -> bool {
        make_room(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Gives what was used a second chance, so nothing is found in the first round at worst.
fn make_room(open: &mut VecDeque<Weak<dyn Closable>>) -> bool {
    for _ in 0..2 * open.len() {
        let Some(next) = open.pop_front() else { break };
        match next.upgrade() {
            // Nobody has it any more.
            None => return true,
            Some(found) if !found.was_used() && found.close() => return true,
            Some(_) => open.push_back(next),
        }
    }
    false
}

/// As many as the limit of this process leaves room for.
fn most() -> usize {
    let allowed = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let room = usize::try_from((allowed - allowed / 4).saturating_sub(RESERVE)).unwrap_or(MOST);
    room.clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

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
        // What is left cannot be opened again.
        assert!(!files.make_room());
        drop(another);
        assert!(files.make_room(), "there is room where something went by itself");
        assert_eq!(open(), [false, true, false, false]);
    }
}
