//! Which place a name has: a hash table of the places alone, 6 bytes a name.

use std::hash::{BuildHasher, RandomState};

use super::{Labels, MANY};
use crate::error::Result;
use crate::task;

/// The places of names, by the names' hashes; a place that is taken is passed to the next.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Its keys are random: nobody can choose names that all meet in one slot.
    hasher: RandomState,
    /// A place and one, or 0; a third of them is free.
    slots: Vec<u32>,
}

impl Index {
    /// The index of these names, or the places of two that are the same.
    ///
    /// # Errors
    ///
    /// As [`task::check`].
    pub fn new(labels: &Labels) -> Result<std::result::Result<Self, (u64, u64)>> {
        let count = labels.ends.len();
        let mut index = Self { hasher: RandomState::new(), slots: vec![0; count + count / 2 + 1] };
        for (place, number) in (0..labels.len()).zip(1u32..) {
            if place % MANY == 0 {
                task::check()?;
            }
            match index.slot(labels, labels.get(place)) {
                (_, Some(other)) => return Ok(Err((other, place))),
                (slot, None) => index.slots[slot] = number,
            }
        }
        Ok(Ok(index))
    }

    pub fn memory(&self) -> usize {
        self.slots.len() * 4
    }

    pub fn find(&self, labels: &Labels, name: &str) -> Option<u64> {
        if self.slots.is_empty() { None } else { self.slot(labels, name).1 }
    }

    /// The place of the name, or the free slot that is its own.
    fn slot(&self, labels: &Labels, name: &str) -> (usize, Option<u64>) {
        let count = self.slots.len();
        let hash = u128::from(self.hasher.hash_one(name));
        let mut slot = usize::try_from((hash * count as u128) >> 64).unwrap_or(0);
        loop {
            let Some(place) = self.slots[slot].checked_sub(1).map(u64::from) else { return (slot, None) };
            if labels.get(place) == name {
                return (slot, Some(place));
            }
            slot = if slot + 1 == count { 0 } else { slot + 1 };
        }
    }
}
