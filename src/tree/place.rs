//! Which inode numbers belong to what.
//!
//! A place is what has state: a directory or a file of the store, one version of an array, a slice of
//! one. It takes a block of [numbers](super::numbers), with one for each of its nodes, that is made of its
//! path and version alone: so numbers are the same at every mount, and a file that was replaced has
//! another. A place is kept for as long as the kernel knows one of its nodes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use arc_swap::ArcSwapWeak;

use super::attr::Ino;
use super::numbers::{Key, block_of};

/// A block of inode numbers, and what they belong to.
#[derive(Debug)]
pub struct Place<T> {
    /// First number.
    pub base: u64,
    /// What it is known by.
    pub key: Key,
    /// How often the kernel was told of one of its nodes, less what it forgot.
    lookups: AtomicU64,
    /// What the numbers belong to.
    pub what: T,
}

impl<T> Place<T> {
    /// Counts one more lookup of a node.
    pub fn remember(&self) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
    }
}

/// All places that the kernel knows of.
#[derive(Debug)]
pub struct Places<T> {
    known: RwLock<Known<T>>,
    /// The place that was found last, for each of so many threads: finding it again takes no lock.
    recent: [ArcSwapWeak<Place<T>>; THREADS],
}

#[derive(Debug)]
struct Known<T> {
    by_block: BTreeMap<u64, Arc<Place<T>>>,
    /// Where those are that did not get the block of their first choice: when that is free again, they
    /// stay where they are.
    elsewhere: BTreeMap<Key, u64>,
}

impl<T> Known<T> {
    /// The block where a place is or would be; none where there is no room.
    fn block(&self, key: Key, count: u64) -> Option<u64> {
        let is_for = |block: &u64| self.by_block.get(block).is_none_or(|place| place.key == key);
        self.elsewhere.get(&key).copied().or_else(|| key.blocks(count).find(is_for))
    }

    fn holder(&self, ino: Ino) -> Option<&Arc<Place<T>>> {
        self.by_block.get(&block_of(ino)?)
    }
}

/// Threads that remember a place of their own, before they share with others.
const THREADS: usize = 64;

thread_local! {
    /// The number of this thread among those.
    static THREAD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % THREADS
    };
}

impl<T> Places<T> {
    /// No places but these: (first number, key, what), never forgotten.
    pub fn new(fixed: impl IntoIterator<Item = (u64, Key, T)>) -> Self {
        let place =
            |(base, key, what)| (base, Arc::new(Place { base, key, lookups: AtomicU64::new(1 << 32), what }));
        let by_block = fixed.into_iter().map(place).collect();
        let known = RwLock::new(Known { by_block, elsewhere: BTreeMap::new() });
        Self { known, recent: [const { Weak::new() }; THREADS].map(ArcSwapWeak::new) }
    }

    /// The place that a number belongs to.
    pub fn find(&self, ino: Ino) -> Option<Arc<Place<T>>> {
        let recent = &self.recent[THREAD.with(|number| *number)];
        // Weak, so that nothing stays alive for having been found.
        if let Some(place) = recent.load().upgrade()
            && block_of(ino) == Some(place.base)
            && place.lookups.load(Ordering::Relaxed) > 0
        {
            return Some(place);
        }
        let place = self.read().holder(ino).cloned()?;
        recent.store(Arc::downgrade(&place));
        Some(place)
    }

    /// The first number that a place has, or would have if it were entered now; none where there is no room.
    pub fn number(&self, key: Key, count: u64) -> Option<Ino> {
        self.read().block(key, count).map(Ino)
    }

    /// The place of this key, made if it is new, and counts one more lookup of it; none where there is no
    /// room for it.
    pub fn enter(&self, key: Key, count: u64, make: impl FnOnce() -> T) -> Option<Arc<Place<T>>> {
        let mut known = self.write();
        let base = known.block(key, count)?;
        if let Some(place) = known.by_block.get(&base) {
            place.remember();
            return Some(Arc::clone(place));
        }
        if key.blocks(count).next() != Some(base) {
            known.elsewhere.insert(key, base);
        }
        let place = Arc::new(Place { base, key, lookups: AtomicU64::new(1), what: make() });
        known.by_block.insert(base, Arc::clone(&place));
        Some(place)
    }

    /// The kernel forgot `lookups` lookups of a node; a place that it knows nothing of any more goes.
    pub fn forget(&self, ino: Ino, lookups: u64) {
        let left = |place: &Place<T>| place.lookups.load(Ordering::Relaxed);
        {
            let known = self.read();
            let Some(place) = known.holder(ino) else { return };
            let before = place.lookups.fetch_sub(lookups.min(left(place)), Ordering::Relaxed);
            if before > lookups {
                return;
            }
        }
        let mut known = self.write();
        if let Some(place) = known.holder(ino).filter(|place| left(place) == 0).cloned() {
            known.by_block.remove(&place.base);
            known.elsewhere.remove(&place.key);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.read().by_block.len()
    }

    fn read(&self) -> RwLockReadGuard<'_, Known<T>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known<T>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_key_alone() {
        let (one, two) = (Places::new([]), Places::new([]));
        let a = one.enter(Key::new("a"), 100, || "a").unwrap();
        assert_eq!(two.number(Key::new("a"), 100), Some(Ino(a.base)));
        two.enter(Key::new("b"), 7, || "b").unwrap();
        assert_eq!(two.enter(Key::new("a"), 100, || "a").unwrap().base, a.base);
        assert_eq!(one.find(Ino(a.base + 99)).unwrap().what, "a");
        assert!(one.find(Ino(a.base - 1)).is_none());
    }

    #[test]
    fn places_in_the_way_of_each_other_give_way_and_stay_there() {
        // There are eight blocks of that size, and then others.
        let count = 1 << 47;
        let places = Places::new([]);
        let key = |place: u64| Key::new(("huge", place));
        let entered: Vec<_> =
            (0..100).map(|place| places.enter(key(place), count, || place).unwrap()).collect();
        for place in &entered {
            assert_eq!(places.find(Ino(place.base)).unwrap().what, place.what);
            assert_eq!(places.find(Ino(place.base + count - 1)).unwrap().what, place.what);
        }
        let first = |place: u64| key(place).blocks(count).next().unwrap();
        let moved = entered.iter().find(|place| place.base != first(place.what)).unwrap();
        let in_the_way = places.find(Ino(first(moved.what))).unwrap();
        places.forget(Ino(in_the_way.base), 1);
        assert_eq!(places.number(moved.key, count), Some(Ino(moved.base)));
        assert_eq!(places.enter(moved.key, count, || 0).unwrap().base, moved.base);
        places.forget(Ino(moved.base), 2);
        assert_eq!(places.number(moved.key, count), Some(Ino(in_the_way.base)));
    }

    #[test]
    fn where_there_is_no_room_there_is_no_place() {
        let places = Places::new([]);
        let entered: Vec<_> = (0..5000)
            .filter_map(|place| places.enter(Key::new(place), crate::tree::numbers::MOST, || place))
            .collect();
        assert!((500..=1024).contains(&entered.len()), "{}", entered.len());
        for place in &entered {
            assert_eq!(places.find(Ino(place.base)).unwrap().what, place.what);
        }
        assert!(places.enter(Key::new("small"), 1, || 0).is_some(), "others have room");
    }

    #[test]
    fn a_place_goes_when_all_its_lookups_are_forgotten() {
        let places = Places::new([(1, Key::new("root"), "root")]);
        let a = places.enter(Key::new("a"), 10, || "a").unwrap();
        a.remember();
        places.forget(Ino(a.base + 3), 1);
        assert_eq!(places.len(), 2);
        places.forget(Ino(a.base), 1);
        assert_eq!(places.len(), 1);
        places.forget(Ino(1), 5);
        assert_eq!(places.len(), 1);
    }
}
