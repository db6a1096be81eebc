//! A cache of checksums for one version of an array, kept for as long as the version is in use.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::Result;
use crate::rows::Rows;
use crate::task::Flight;

/// Identifies the content that a number was computed from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    /// A unique name for the content: the format, and the part of it.
    pub what: &'static str,
    /// The rows of the array in the content.
    pub rows: Rows,
}

/// The cached numbers for one version of an array.
#[derive(Debug, Default)]
pub struct CrcCache {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_key: HashMap<Key, Arc<Slot>>,
    /// In order of insertion, oldest first.
    order: VecDeque<Key>,
}

/// A number, once it is computed.
#[derive(Debug, Default)]
struct Slot {
    number: OnceLock<u32>,
    flight: Flight,
}

impl CrcCache {
    /// The capacity. When it is full, the oldest number is evicted.
    const MOST: usize = 4096;

    /// The cached number, if there is one.
    pub fn get(&self, key: Key) -> Option<u32> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.by_key.get(&key)?.number.get().copied()
    }

    /// The number, computed on first use. If several threads ask at the same time, one computes and the
    /// others wait, or park their request until the number is there.
    ///
    /// # Errors
    ///
    /// Errors of `compute`, which are not cached: the next caller tries again. [`crate::Error::Unfinished`]
    /// where another thread computes and this one must not block.
    pub fn get_or_compute(&self, key: Key, compute: impl FnOnce() -> Result<u32>) -> Result<u32> {
        let slot = self.slot(key);
        let compute = || compute().map(|number| *slot.number.get_or_init(|| number));
        slot.flight.run(|| slot.number.get().copied(), compute)
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.by_key.get(&key) {
            return Arc::clone(slot);
        }
        if slots.order.len() >= Self::MOST
            && let Some(oldest) = slots.order.pop_front()
        {
            slots.by_key.remove(&oldest);
        }
        slots.order.push_back(key);
        Arc::clone(slots.by_key.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn key(rows: u64) -> Key {
        Key { what: "test", rows: Rows::all(rows) }
    }

    #[test]
    fn one_computes_and_the_others_wait() {
        let (memo, runs) = (CrcCache::default(), AtomicU32::new(0));
        let compute = || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(40 + runs.fetch_add(1, Ordering::Relaxed))
        };
        std::thread::scope(|scope| {
            let ask = || assert_eq!(memo.get_or_compute(key(1), compute).unwrap(), 40);
            (0..8).for_each(|_| drop(scope.spawn(ask)));
        });
        assert_eq!((memo.get(key(1)), memo.get(key(2))), (Some(40), None));
    }

    #[test]
    fn an_error_is_not_remembered() {
        let memo = CrcCache::default();
        assert!(memo.get_or_compute(key(1), || Err(Error::not_found("x"))).is_err());
        assert_eq!(memo.get(key(1)), None);
        assert_eq!(memo.get_or_compute(key(1), || Ok(7)).unwrap(), 7);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let memo = CrcCache::default();
        for i in (0..).take(CrcCache::MOST + 10) {
            memo.get_or_compute(key(u64::from(i) + 1), || Ok(i)).unwrap();
        }
        assert_eq!((memo.get(key(10)), memo.get(key(11))), (None, Some(10)));
        assert_eq!(memo.slots.lock().unwrap().by_key.len(), CrcCache::MOST);
    }
}
