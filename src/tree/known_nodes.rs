//! The nodes of an inode range that the kernel knows, so that its caches of them can be invalidated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::node::SINGLE;

/// Numbers of rows and columns are split here: those of the nodes of some neighbours share the upper part, and of
/// many the same few lower parts are known.
const LOW_BITS: u32 = 10;

/// A set of numbers that takes a bit or so for each row: it has all that were added, and may have others.
#[derive(Debug, Default)]
pub struct KnownNodes {
    parts: Mutex<Parts>,
    /// The number that was added last, and one more: those who read one file on take no lock.
    last: AtomicU64,
    /// The generation at the last notification of the kernel.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Parts {
    /// Those that are not of a single row or column.
    whole: BTreeSet<u32>,
    /// Of the others the upper parts, 64 in each word.
    high: BTreeMap<u64, u64>,
    low: BTreeSet<u64>,
}

impl KnownNodes {
    /// Of what is shown at this generation, none.
    pub fn new(generation: u64) -> Self {
        let generation = AtomicU64::new(generation);
        Self { generation, ..Self::default() }
    }

    /// As [`new`](Self::new), with the number zero.
    pub fn of_one(generation: u64) -> Self {
        let known = Self::new(generation);
        known.add(0);
        known
    }

    /// Records the generation. Returns whether it differs from the previous one, so that the kernel must be
    /// notified.
    pub fn moves_to(&self, generation: u64) -> bool {
        self.generation.swap(generation, Ordering::Relaxed) != generation
    }

    /// Words of upper parts that are kept at the most.
    const MOST: usize = 1 << 16;

    /// Adds a number; false where there is no room for it.
    pub fn add(&self, number: u64) -> bool {
        if self.last.load(Ordering::Relaxed) == number.saturating_add(1) {
            return true;
        }
        let is_added = self.insert(number);
        if is_added {
            self.last.store(number.saturating_add(1), Ordering::Relaxed);
        }
        is_added
    }

    fn insert(&self, number: u64) -> bool {
        let mut parts = self.lock();
        if number < SINGLE
            && let Ok(number) = u32::try_from(number)
        {
            parts.whole.insert(number);
            return true;
        }
        let (high, low) = (number >> LOW_BITS, number & ((1 << LOW_BITS) - 1));
        if parts.high.len() >= Self::MOST && !parts.high.contains_key(&(high / 64)) {
            return false;
        }
        *parts.high.entry(high / 64).or_default() |= 1 << (high % 64);
        parts.low.insert(low);
        true
    }

    /// As [`numbers`](Self::numbers), if they are quickly told.
    pub fn few(&self) -> Option<Vec<u64>> {
        let are_few = {
            let parts = self.lock();
            let high: usize = parts.high.values().map(|bits| bits.count_ones() as usize).sum();
            high.saturating_mul(parts.low.len()).saturating_add(parts.whole.len()) <= Self::FEW
        };
        are_few.then(|| self.numbers())
    }

    /// Numbers that are few.
    const FEW: usize = 4096;

    /// The numbers, at this moment.
    pub fn numbers(&self) -> Vec<u64> {
        let parts = self.lock();
        let bits = |(word, bits): (&u64, &u64)| {
            let (word, bits) = (*word, *bits);
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
        };
        let high = parts.high.iter().flat_map(bits);
        let single = high.flat_map(|high| parts.low.iter().map(move |low| high << LOW_BITS | low));
        parts.whole.iter().map(|number| u64::from(*number)).chain(single).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_missing() {
        let known = KnownNodes::default();
        assert!(known.numbers().is_empty());
        assert_eq!(known.few(), Some(vec![]));
        assert!([0, 3, SINGLE - 1].iter().all(|number| known.add(*number)));
        assert_eq!(known.numbers(), [0, 3, SINGLE - 1]);
        let added = [SINGLE, SINGLE + 1024 * 7 + 600, SINGLE + 1024 * 70_000 + 600, (1 << 60) + 5];
        assert!(added.iter().all(|number| known.add(*number)));
        let numbers = known.numbers();
        assert!(added.iter().all(|number| numbers.contains(number)));
        assert!(numbers.len() <= 3 + 4 * 3);
        assert_eq!(known.few(), Some(numbers));
        assert!((0..1000).all(|i| known.add(SINGLE + i * 2000)));
        assert_eq!(known.few(), None);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let known = KnownNodes::default();
        let scattered = |i: u64| SINGLE + (i << (LOW_BITS + 6));
        assert!((0..KnownNodes::MOST as u64).all(|i| known.add(scattered(i))));
        assert!(!known.add(scattered(KnownNodes::MOST as u64)));
        assert!(known.add(scattered(7) + (5 << LOW_BITS)), "there is room beside those that are known");
    }
}
