//! The inode ranges that the kernel knows, and those of them that are in use.
//!
//! Everything with state has an inode range: a directory or file of the store, a version of an array, or a
//! slice of one. The range is a block of [numbers](super::inode_numbers), one for each node. It depends only
//! on the path and the version. So numbers are the same in every mount, and a replaced file has other
//! numbers.
//!
//! The kernel may know hundreds of thousands of ranges. As long as it knows any node of a range, the table
//! keeps the recipe to recreate it. Only ranges that were used recently are in memory, and those that cannot
//! be recreated, such as an open file that was deleted.
//!
//! Once a range is out of memory, writes in place to its file are not noticed any more. So the kernel must
//! drop its content too: the nodes are [listed](Places::take_dropped) for notification.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use arc_swap::ArcSwapWeak;

use super::attr::Ino;
use super::inode_numbers::{Key, block_of};
use super::packed::{Packable, Packed};
use super::trim;

/// An inode range that is in use.
#[derive(Debug)]
pub struct InodeRange<T> {
    /// First number.
    pub base: u64,
    /// First number of the range that contains it.
    pub within: u64,
    /// What it is known by.
    pub key: Key,
    /// The content.
    pub what: T,
    /// Whether the table still has it. If not, it was recreated or is being removed.
    is_there: AtomicBool,
    /// Whether it was used since the last attempt to evict it.
    is_used: AtomicBool,
}

/// The content of an inode range.
pub trait Renewable {
    /// The recipe to recreate it, together with the range that contains it.
    type Recipe: Clone + Packable + std::fmt::Debug;

    /// Whether it can be recreated exactly. This may access the store.
    fn can_be_made_anew(&self) -> bool;

    /// The nodes whose content the kernel may cache, as offsets in the range. `None` if there are so many
    /// that the range must stay in use.
    fn read_nodes(&self) -> Option<Vec<u64>>;
}

/// The record of an inode range that is not in use.
#[derive(Debug)]
pub struct Kept<R> {
    /// First number.
    pub base: u64,
    /// First number of the range that contains it, which stays known as long as this one.
    pub within: u64,
    /// What it is known by.
    pub key: Key,
    /// The recipe to recreate it.
    pub recipe: R,
}

/// An inode range that the kernel knows.
#[derive(Debug)]
pub enum Found<T: Renewable> {
    /// It is in use.
    InUse(Arc<InodeRange<T>>),
    /// It must be recreated.
    Kept(Kept<T::Recipe>),
}

/// All inode ranges that the kernel knows.
#[derive(Debug)]
pub struct InodeTable<T: Renewable> {
    all: RwLock<All<T>>,
    /// Nodes whose content the kernel must drop, because their range is not in use any more.
    dropped: Mutex<Vec<Ino>>,
    /// The range that each thread found last. Finding it again takes no lock.
    recent: [ArcSwapWeak<InodeRange<T>>; THREADS],
}

#[derive(Debug)]
struct All<T: Renewable> {
    by_block: BTreeMap<u64, Known<T::Recipe>>,
    /// Those that are in use, by their blocks.
    places: HashMap<u64, Arc<InodeRange<T>>>,
    /// Where those are that did not get the block of their first choice: when that is free again, they
    /// stay where they are.
    elsewhere: BTreeMap<Key, u64>,
    /// The blocks of those in use that can go, the longest known first.
    in_use: VecDeque<u64>,
    /// Places that were forgotten since memory was given back.
    forgotten: usize,
}

/// One of very many: see to it that it stays small.
#[derive(Debug)]
struct Known<R> {
    key: Key,
    within: u64,
    /// How often the kernel was told of one of the nodes, less what it forgot, and the number of places
    /// within.
    lookups: AtomicU64,
    recipe: Packed<R>,
}

/// Places that are in use at the most, apart from those that could not be made again.
pub const MOST_IN_USE: usize = 2048;

/// When so many were forgotten, the memory that they took is given back to the system.
const MANY: usize = 1 << 14;

/// The container of ranges that are never forgotten.
const NOWHERE: u64 = u64::MAX;

/// Threads that remember a place of their own, before they share with others.
const THREADS: usize = 64;

thread_local! {
    /// The number of this thread among those.
    static THREAD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % THREADS
    };
}

impl<T> InodeRange<T> {
    fn mark_used(&self) {
        // Test before the store, because stores by all threads would contend for the cache line.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }
}

impl<R: Packable + Clone> Known<R> {
    fn new(key: Key, within: u64, lookups: u64, recipe: R) -> Self {
        Self { key, within, lookups: AtomicU64::new(lookups), recipe: Packed::new(recipe) }
    }

    fn is_forgotten(&self) -> bool {
        self.lookups.load(Ordering::Relaxed) == 0
    }

    fn remember(&self) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets so many lookups: whether none are left.
    fn forget(&self, lookups: u64) -> bool {
        let less = |before: u64| Some(before.saturating_sub(lookups));
        let before = self.lookups.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        before.is_ok_and(|before| before <= lookups)
    }
}

impl<T: Renewable> All<T> {
    /// The block where a place is or would be; none where there is no room.
    fn block(&self, key: Key, count: u64) -> Option<u64> {
        let is_for = |block: &u64| self.by_block.get(block).is_none_or(|known| known.key == key);
        self.elsewhere.get(&key).copied().or_else(|| key.blocks(count).find(is_for))
    }

    fn holder(&self, ino: Ino) -> Option<&Known<T::Recipe>> {
        self.by_block.get(&block_of(ino)?)
    }

    /// Puts a range to use with this content. If it is already in use, it keeps its content. Returns `None`
    /// if the kernel does not know it.
    fn put_to_use(&mut self, base: u64, key: Key, what: T) -> Option<Arc<InodeRange<T>>> {
        let known = self.by_block.get(&base).filter(|known| known.key == key)?;
        if let Some(place) = self.places.get(&base) {
            return Some(Arc::clone(place));
        }
        let (is_there, is_used) = (AtomicBool::new(true), AtomicBool::new(false));
        let place = Arc::new(InodeRange { base, within: known.within, key, what, is_there, is_used });
        self.places.insert(base, Arc::clone(&place));
        self.in_use.push_back(base);
        Some(place)
    }

    /// If too many ranges are in use, removes some from the queue that were not used recently.
    fn take_unused(&mut self) -> Vec<Arc<InodeRange<T>>> {
        let mut unused = Vec::new();
        for _ in 0..2 * self.in_use.len() {
            if self.in_use.len() <= MOST_IN_USE {
                break;
            }
            let Some(base) = self.in_use.pop_front() else { break };
            // It is missing if the kernel forgot it meanwhile.
            match self.places.get(&base) {
                Some(place) if place.is_used.swap(false, Ordering::Relaxed) => self.in_use.push_back(base),
                Some(place) => unused.push(Arc::clone(place)),
                None => {}
            }
        }
        unused
    }

    /// Evicts a range that the caller holds, unless it must stay. If another thread is using it, it is queued
    /// again. Returns the nodes whose content the kernel may cache.
    fn let_go(&mut self, place: &Arc<InodeRange<T>>) -> Vec<Ino> {
        let base = place.base;
        if !self.places.get(&base).is_some_and(|it| Arc::ptr_eq(it, place)) {
            return Vec::new();
        }
        // A thread that finds it from now on without the lock sees that it is gone. A thread that found it
        // before is included in the reference count.
        place.is_there.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let is_unused = Arc::strong_count(place) == 2;
        match place.what.read_nodes().filter(|_| is_unused) {
            Some(nodes) => {
                self.places.remove(&base);
                nodes.into_iter().map(|node| Ino(base.saturating_add(node))).collect()
            }
            None => {
                place.is_there.store(true, Ordering::SeqCst);
                if !is_unused {
                    self.in_use.push_back(base);
                }
                Vec::new()
            }
        }
    }

    /// Removes a place if it is forgotten, and those that it is within if then they are; gives back what was
    /// in use of them.
    fn remove_forgotten(&mut self, mut base: u64) -> Vec<Arc<InodeRange<T>>> {
        let mut gone = Vec::new();
        while self.by_block.get(&base).is_some_and(Known::is_forgotten) {
            let Some(Known { key, within, .. }) = self.by_block.remove(&base) else { break };
            self.elsewhere.remove(&key);
            self.forgotten += 1;
            if let Some(place) = self.places.remove(&base) {
                place.is_there.store(false, Ordering::SeqCst);
                gone.push(place);
            }
            if let Some(outer) = self.by_block.get(&within) {
                outer.forget(1);
            }
            base = within;
        }
        gone
    }
}

impl<T: Renewable> InodeTable<T> {
    /// No places but these: (first number, key, recipe), never forgotten.
    pub fn new(fixed: impl IntoIterator<Item = (u64, Key, T::Recipe)>) -> Self {
        let known = |(base, key, recipe)| (base, Known::new(key, NOWHERE, 1 << 32, recipe));
        let by_block = fixed.into_iter().map(known).collect();
        let (places, elsewhere, in_use, forgotten) = Default::default();
        let all = RwLock::new(All { by_block, places, elsewhere, in_use, forgotten });
        let recent = [const { Weak::new() }; THREADS].map(ArcSwapWeak::new);
        Self { all, dropped: Mutex::default(), recent }
    }

    /// The place that a number belongs to.
    pub fn find(&self, ino: Ino) -> Option<Found<T>> {
        let base = block_of(ino)?;
        let recent = &self.recent[THREAD.with(|number| *number)];
        // Weak, so that nothing stays alive for having been found.
        if let Some(place) = recent.load().upgrade()
            && place.base == base
        {
            // It is held before it is looked whether it is there: see `let_go`.
            fence(Ordering::SeqCst);
            if place.is_there.load(Ordering::SeqCst) {
                place.mark_used();
                return Some(Found::InUse(place));
            }
        }
        let all = self.read();
        let Known { key, within, recipe, .. } = all.by_block.get(&base)?;
        Some(match all.places.get(&base) {
            Some(place) => {
                place.mark_used();
                recent.store(Arc::downgrade(place));
                Found::InUse(Arc::clone(place))
            }
            None => Found::Kept(Kept { base, within: *within, key: *key, recipe: recipe.get() }),
        })
    }

    /// All places that are in use at this moment.
    pub fn all_in_use(&self) -> Vec<Arc<InodeRange<T>>> {
        self.read().places.values().cloned().collect()
    }

    /// The results of `choose` for the recipes of all ranges that the kernel knows.
    pub fn choose<U>(&self, choose: impl FnMut(&T::Recipe) -> Option<U>) -> Vec<U> {
        let mut choose = choose;
        self.read().by_block.values().filter_map(|known| choose(&known.recipe.get())).collect()
    }

    /// The place that a number belongs to, if it is in use.
    pub fn in_use(&self, ino: Ino) -> Option<Arc<InodeRange<T>>> {
        self.read().places.get(&block_of(ino)?).cloned()
    }

    /// Puts a place to use with what was made of its recipe, or else was at hand; as it is, if it is in use
    /// by now. None where the kernel does not know it any more.
    pub fn put_to_use(&self, base: u64, key: Key, what: T) -> Option<Arc<InodeRange<T>>> {
        let (place, unused) = {
            let mut all = self.write();
            (all.put_to_use(base, key, what)?, all.take_unused())
        };
        // Not while all others wait: to look at the store and to close files takes its time.
        for unused in unused.iter().filter(|unused| unused.what.can_be_made_anew()) {
            let nodes = self.write().let_go(unused);
            self.drop_content(nodes);
        }
        Some(place)
    }

    /// Has the kernel told to keep no content of these nodes.
    pub fn drop_content(&self, nodes: impl IntoIterator<Item = Ino>) {
        self.dropped().extend(nodes);
    }

    /// Whether there are nodes of which the kernel has to be told.
    pub fn has_dropped(&self) -> bool {
        !self.dropped().is_empty()
    }

    /// The nodes of which the kernel is to keep no content, since this was asked before.
    pub fn take_dropped(&self) -> Vec<Ino> {
        std::mem::take(&mut *self.dropped())
    }

    fn dropped(&self) -> MutexGuard<'_, Vec<Ino>> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first number that a place has, or would have if it were entered now; none where there is no room.
    pub fn number(&self, key: Key, count: u64) -> Option<Ino> {
        self.read().block(key, count).map(Ino)
    }

    /// The first number of a place, which counts as looked up once more; none where there is no room for it.
    pub fn enter(
        &self,
        within: u64,
        key: Key,
        count: u64,
        recipe: impl FnOnce() -> T::Recipe,
    ) -> Option<u64> {
        let mut all = self.write();
        let base = all.block(key, count)?;
        if let Some(known) = all.by_block.get(&base) {
            known.remember();
            return Some(base);
        }
        if key.blocks(count).next() != Some(base) {
            all.elsewhere.insert(key, base);
        }
        if let Some(outer) = all.by_block.get(&within) {
            outer.remember();
        }
        all.by_block.insert(base, Known::new(key, within, 1, recipe()));
        Some(base)
    }

    /// Counts one more lookup of a node.
    pub fn remember(&self, ino: Ino) {
        if let Some(known) = self.read().holder(ino) {
            known.remember();
        }
    }

    /// The kernel forgot `lookups` lookups of a node; a place that it knows nothing of any more goes.
    pub fn forget(&self, ino: Ino, lookups: u64) {
        if !self.read().holder(ino).is_some_and(|known| known.forget(lookups)) {
            return;
        }
        let Some(base) = block_of(ino) else { return };
        let (gone, are_many) = {
            let mut all = self.write();
            let gone = all.remove_forgotten(base);
            let are_many = all.forgotten >= MANY;
            all.forgotten %= MANY;
            (gone, are_many)
        };
        // Not while all others wait: files may close with it.
        drop(gone);
        if are_many {
            trim::give_back();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, All<T>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, All<T>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It can be recreated unless it is negative.
    impl Renewable for i64 {
        type Recipe = Self;

        fn can_be_made_anew(&self) -> bool {
            *self >= 0
        }

        fn read_nodes(&self) -> Option<Vec<u64>> {
            (*self >= 0).then(|| if *self == 1 { vec![3] } else { Vec::new() })
        }
    }

    impl Packable for i64 {
        fn pack(&self, bytes: &mut Vec<u8>) -> bool {
            bytes.extend(self.to_le_bytes());
            self % 2 == 0
        }

        fn unpack(bytes: &[u8]) -> Option<Self> {
            bytes.try_into().map(Self::from_le_bytes).ok()
        }
    }

    const ROOT: u64 = 0;

    fn places() -> InodeTable<i64> {
        InodeTable::new([(ROOT, Key::new("root"), 0)])
    }

    fn enter(places: &InodeTable<i64>, within: u64, key: impl std::hash::Hash, count: u64, what: i64) -> u64 {
        places.enter(within, Key::new(key), count, || what).unwrap()
    }

    /// The content or recipe of a number, and whether it is in use.
    fn found(places: &InodeTable<i64>, number: u64) -> Option<(i64, bool)> {
        places.find(Ino(number)).map(|found| match found {
            Found::InUse(place) => (place.what, true),
            Found::Kept(kept) => (kept.recipe, false),
        })
    }

    fn count(places: &InodeTable<i64>) -> usize {
        places.read().by_block.len()
    }

    #[test]
    fn numbers_depend_on_the_key_alone() {
        let (one, two) = (places(), places());
        let a = enter(&one, ROOT, "a", 100, 1);
        assert_eq!(two.number(Key::new("a"), 100), Some(Ino(a)));
        enter(&two, ROOT, "b", 7, 2);
        assert_eq!(enter(&two, ROOT, "a", 100, 1), a);
        assert_eq!(found(&one, a + 99), Some((1, false)));
        assert_eq!(found(&one, a - 1), None);
    }

    #[test]
    fn places_in_the_way_of_each_other_give_way_and_stay_there() {
        // There are eight blocks of that size, and then others.
        let size = 1 << 47;
        let places = places();
        let key = |place: i64| Key::new(("huge", place));
        let bases: Vec<u64> =
            (0..100).map(|place| places.enter(ROOT, key(place), size, || place).unwrap()).collect();
        for (place, base) in (0..).zip(&bases) {
            assert_eq!(found(&places, *base), Some((place, false)));
            assert_eq!(found(&places, base + size - 1), Some((place, false)));
        }
        let first = |place: i64| key(place).blocks(size).next().unwrap();
        let (moved, base) = (0..).zip(&bases).find(|(place, base)| first(*place) != **base).unwrap();
        places.forget(Ino(first(moved)), 1);
        assert_eq!(places.number(key(moved), size), Some(Ino(*base)));
        assert_eq!(places.enter(ROOT, key(moved), size, || 0), Some(*base));
        places.forget(Ino(*base), 2);
        assert_eq!(places.number(key(moved), size), Some(Ino(first(moved))));
    }

    #[test]
    fn where_there_is_no_room_there_is_no_place() {
        let (places, most) = (places(), super::super::inode_numbers::MOST);
        let entered: Vec<_> = (0..5000)
            .filter_map(|place| Some((place, places.enter(ROOT, Key::new(place), most, || place)?)))
            .collect();
        assert!((500..=1024).contains(&entered.len()), "{}", entered.len());
        for (place, base) in entered {
            assert_eq!(found(&places, base), Some((place, false)));
        }
        assert!(places.enter(ROOT, Key::new("small"), 1, || 0).is_some(), "others have room");
    }

    #[test]
    fn a_place_goes_when_all_its_lookups_are_forgotten_and_nothing_is_within() {
        let places = places();
        let a = enter(&places, ROOT, "a", 10, 1);
        places.remember(Ino(a + 3));
        let b = enter(&places, a, "b", 10, 2);
        let c = enter(&places, b, "c", 10, 3);
        enter(&places, b, "c", 10, 3);
        places.put_to_use(b, Key::new("b"), 2).unwrap();
        assert_eq!(found(&places, b), Some((2, true)));
        places.forget(Ino(a + 3), 1);
        places.forget(Ino(a), 1);
        places.forget(Ino(b + 9), 1);
        assert_eq!((count(&places), found(&places, b)), (4, Some((2, true))));
        places.forget(Ino(c), 1);
        assert_eq!(count(&places), 4);
        places.forget(Ino(c), 1);
        assert_eq!((count(&places), found(&places, b)), (1, None));
        places.forget(Ino(ROOT), 5);
        places.forget(Ino(a), 5);
        assert_eq!(count(&places), 1);
        assert!(places.put_to_use(b, Key::new("b"), 2).is_none());
    }

    #[test]
    fn those_used_lately_are_in_use_and_those_that_could_not_be_made_again() {
        let places = places();
        let most = i64::try_from(MOST_IN_USE).unwrap();
        let use_it = |place: i64| {
            let base = enter(&places, ROOT, place, 1, place);
            places.put_to_use(base, Key::new(place), place).unwrap();
            base
        };
        let lost = use_it(-1);
        let often = use_it(0);
        let bases: Vec<u64> = (1..3 * most)
            .map(|place| {
                assert_eq!(found(&places, often), Some((0, true)));
                use_it(place)
            })
            .collect();
        assert_eq!(found(&places, lost), Some((-1, true)));
        let in_use = bases.iter().filter(|base| places.in_use(Ino(**base)).is_some()).count();
        assert!(in_use <= MOST_IN_USE, "{in_use}");
        assert_eq!(found(&places, bases[0]), Some((1, false)));
        assert!(places.has_dropped());
        assert_eq!(places.take_dropped(), [Ino(bases[0] + 3)], "the others were not read");
        assert!(!places.has_dropped());
        assert_eq!(found(&places, *bases.last().unwrap()), Some((3 * most - 1, true)));
        // A range that is in use keeps its content.
        assert_eq!(places.put_to_use(often, Key::new(0_i64), 7).unwrap().what, 0);
        assert!(places.put_to_use(often, Key::new("another"), 7).is_none());
        assert!(places.put_to_use(bases[0], Key::new(1_i64), 7).is_some());
    }

    #[test]
    fn who_uses_a_place_keeps_it() {
        let places = places();
        let use_it = |place: i64| {
            let base = enter(&places, ROOT, place, 1, place);
            places.put_to_use(base, Key::new(place), place).unwrap()
        };
        let held: Vec<_> = (0..10).map(use_it).collect();
        (10..3 * MOST_IN_USE).for_each(|place| drop(use_it(i64::try_from(place).unwrap())));
        for (what, place) in (0..).zip(&held) {
            assert_eq!(found(&places, place.base), Some((what, true)));
            assert!(place.is_there.load(Ordering::Relaxed));
        }
    }

    #[test]
    fn a_place_is_small() {
        assert!(std::mem::size_of::<Known<super::super::content::Recipe>>() <= 48);
    }
}
