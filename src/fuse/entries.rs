//! Names that the kernel has cached, with a limit on their number. Those of outdated versions are
//! invalidated.
//!
//! The kernel neither asks again about a cached name nor forgets it, unless memory is short. A replaced or
//! deleted file of the store would stay open because of it, and keep its disk space. After an invalidation,
//! the name goes at once if it is unused, otherwise with its last user.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::tree::Ino;

/// Limit on the recorded names.
const MOST: usize = 1 << 14;

/// A name in a directory, and the node that the kernel knows by it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub parent: Ino,
    pub child: Ino,
    pub name: Box<OsStr>,
}

/// The names of one connection: a hash table in which a name replaces another in the same slot. Losing a name
/// is harmless, the kernel only keeps it longer.
pub(super) struct Entries(Mutex<Vec<Option<Entry>>>);

impl Default for Entries {
    fn default() -> Self {
        Self(Mutex::new(vec![None; MOST]))
    }
}

impl Entries {
    /// Records a name.
    pub fn keep(&self, parent: Ino, child: Ino, name: &OsStr) {
        let mut hasher = DefaultHasher::new();
        (parent, name).hash(&mut hasher);
        let place = hasher.finish() % MOST as u64;
        let entry = Entry { parent, child, name: name.into() };
        self.lock()[usize::try_from(place).unwrap_or(0)] = Some(entry);
    }

    /// The names of the wanted nodes.
    pub fn find(&self, is_wanted: impl Fn(Ino) -> bool) -> Vec<Entry> {
        self.lock().iter().flatten().filter(|entry| is_wanted(entry.child)).cloned().collect()
    }

    /// Removes the names of outdated nodes, and returns them.
    pub fn take(&self, mut is_outdated: impl FnMut(Ino) -> bool) -> Vec<Entry> {
        // `is_outdated` may be slow, so it runs without the lock.
        let children: Vec<_> = self.lock().iter().flatten().map(|entry| entry.child).collect();
        let outdated: HashSet<_> = children.into_iter().filter(|child| is_outdated(*child)).collect();
        let is_taken = |entry: &mut Option<Entry>| entry.take_if(|entry| outdated.contains(&entry.child));
        self.lock().iter_mut().filter_map(is_taken).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_once() {
        let entries = Entries::default();
        for number in 0..100 {
            entries.keep(Ino(1), Ino(number), OsStr::new(&number.to_string()));
        }
        entries.keep(Ino(1), Ino(200), OsStr::new("7"));
        let taken = entries.take(|child| child == Ino(200) || child == Ino(7));
        assert_eq!(taken, [Entry { parent: Ino(1), child: Ino(200), name: OsStr::new("7").into() }]);
        assert_eq!(entries.take(|child| child == Ino(200)), []);
        for number in 0..10 * MOST as u64 {
            entries.keep(Ino(2), Ino(number), OsStr::new(&number.to_string()));
        }
        assert!(entries.take(|_| true).len() <= MOST);
    }
}
