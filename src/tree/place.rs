//! Which inode numbers belong to what.
//!
//! A place is what has state: a directory or a file of the store, one version of an array, a slice of
//! one. It takes a range of numbers, one for each of its nodes, from a point that is made of its
//! path and version alone: so numbers are the same at every mount, and a file that was replaced has
//! another. A place is kept for as long as the kernel knows one of its nodes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use arc_swap::ArcSwapWeak;

use super::attr::Ino;

/// Numbers below this are given by hand.
const FIRST: u64 = 1 << 20;
/// Numbers above this are not used.
const LAST: u64 = 1 << 63;

/// What a place is known by: made of its path and version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key(u64, u64);

impl Key {
    /// The key of what `facts` describe.
    pub fn new(facts: impl Hash) -> Self {
        let half = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            facts.hash(&mut hasher);
            hasher.finish()
        };
        Self(half(0), half(1))
    }

    /// The key of what `facts` describe inside the place of this key.
    pub fn within(self, facts: impl Hash) -> Self {
        Self::new((self.0, self.1, facts))
    }

    /// Where a place of `count` numbers starts, at the `attempt`-th try.
    fn base(self, count: u64, attempt: u64) -> u64 {
        let point = if attempt == 0 { self.0 } else { self.within(attempt).0 };
        FIRST + point % (LAST - FIRST - count)
    }

    /// The number that a place of this key will have first, if no other is in the way.
    pub fn likely(self, count: u64) -> Ino {
        Ino(self.base(count, 0))
    }
}

/// A range of inode numbers, and what they belong to.
#[derive(Debug)]
pub struct Place<T> {
    /// First number.
    pub base: u64,
    count: u64,
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

    fn holds(&self, number: u64) -> bool {
        number >= self.base && number - self.base < self.count
    }
}

/// All places that the kernel knows of.
#[derive(Debug)]
pub struct Places<T> {
    by_base: RwLock<BTreeMap<u64, Arc<Place<T>>>>,
    /// The place that was found last, for each of so many threads: finding it again takes no lock.
    recent: [ArcSwapWeak<Place<T>>; THREADS],
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
    /// No places but these: (first number, count, key, what), never forgotten.
    pub fn new(fixed: impl IntoIterator<Item = (u64, u64, Key, T)>) -> Self {
        let place = |(base, count, key, what)| {
            (base, Arc::new(Place { base, count, key, lookups: AtomicU64::new(1 << 32), what }))
        };
        let by_base = RwLock::new(fixed.into_iter().map(place).collect());
        Self { by_base, recent: [const { Weak::new() }; THREADS].map(ArcSwapWeak::new) }
    }

    /// The place that a number belongs to.
    pub fn find(&self, ino: Ino) -> Option<Arc<Place<T>>> {
        let recent = &self.recent[THREAD.with(|number| *number)];
        // Weak, so that nothing stays alive for having been found.
        if let Some(place) = recent.load().upgrade()
            && place.holds(ino.0)
            && place.lookups.load(Ordering::Relaxed) > 0
        {
            return Some(place);
        }
        let place = holder(&self.read(), ino.0).cloned()?;
        recent.store(Arc::downgrade(&place));
        Some(place)
    }

    /// The place of this key, made if it is new, and counts one more lookup of it.
    pub fn enter(&self, key: Key, count: u64, make: impl FnOnce() -> T) -> Arc<Place<T>> {
        let mut places = self.write();
        let mut attempt = 0;
        loop {
            let base = key.base(count, attempt);
            match places.get(&base) {
                Some(place) if place.key == key => {
                    place.lookups.fetch_add(1, Ordering::Relaxed);
                    return Arc::clone(place);
                }
                _ if is_free(&places, base, count) => {
                    let place =
                        Arc::new(Place { base, count, key, lookups: AtomicU64::new(1), what: make() });
                    places.insert(base, Arc::clone(&place));
                    return place;
                }
                _ => attempt += 1,
            }
        }
    }

    /// The kernel forgot `lookups` lookups of a node; a place that it knows nothing of any more goes.
    pub fn forget(&self, ino: Ino, lookups: u64) {
        let left = |place: &Place<T>| place.lookups.load(Ordering::Relaxed);
        {
            let places = self.read();
            let Some(place) = holder(&places, ino.0) else { return };
            let before = place.lookups.fetch_sub(lookups.min(left(place)), Ordering::Relaxed);
            if before > lookups {
                return;
            }
        }
        let mut places = self.write();
        let base = holder(&places, ino.0).filter(|place| left(place) == 0).map(|place| place.base);
        let gone = base.and_then(|base| places.remove(&base));
        drop(places);
        // Its files are closed and no longer mapped, which others need not wait for.
        drop(gone);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.read().len()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Arc<Place<T>>>> {
        self.by_base.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Arc<Place<T>>>> {
        self.by_base.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holder<T>(places: &BTreeMap<u64, Arc<Place<T>>>, number: u64) -> Option<&Arc<Place<T>>> {
    let (_, place) = places.range(..=number).next_back()?;
    place.holds(number).then_some(place)
}

fn is_free<T>(places: &BTreeMap<u64, Arc<Place<T>>>, base: u64, count: u64) -> bool {
    holder(places, base).is_none() && places.range(base..base + count).next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_key_alone() {
        let (one, two) = (Places::new([]), Places::new([]));
        let a = one.enter(Key::new("a"), 100, || "a");
        two.enter(Key::new("b"), 7, || "b");
        assert_eq!(two.enter(Key::new("a"), 100, || "a").base, a.base);
        assert_eq!(Key::new("a").likely(100), Ino(a.base));
        assert_eq!(one.find(Ino(a.base + 99)).unwrap().what, "a");
        assert!(one.find(Ino(a.base + 100)).is_none());
    }

    #[test]
    fn places_in_the_way_of_each_other_give_way() {
        let places = Places::new([]);
        let huge = LAST - FIRST - 2;
        let first = places.enter(Key::new("first"), 1, || 1);
        // Hardly any range that long is free of the first number.
        let second = places.enter(Key::new("second"), huge / 4, || 2);
        let third = places.enter(Key::new("third"), huge / 4, || 3);
        for place in [first, second, third] {
            assert_eq!(places.find(Ino(place.base)).unwrap().what, place.what);
            assert_eq!(places.find(Ino(place.base + place.count - 1)).unwrap().what, place.what);
        }
    }

    #[test]
    fn a_place_goes_when_all_its_lookups_are_forgotten() {
        let places = Places::new([(1, 1, Key::new("root"), "root")]);
        let a = places.enter(Key::new("a"), 10, || "a");
        a.remember();
        places.forget(Ino(a.base + 3), 1);
        assert_eq!(places.len(), 2);
        places.forget(Ino(a.base), 1);
        assert_eq!(places.len(), 1);
        places.forget(Ino(1), 5);
        assert_eq!(places.len(), 1);
    }
}
