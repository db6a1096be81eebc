//! Which place a name has: a hash table of the places alone, 6 bytes a name and 8 more for one that is there again.

use std::hash::{BuildHasher, RandomState};

use super::text::no_memory;
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
    /// Where names are there again: the first place of each, and this one; in order.
    again: Vec<(u32, u32)>,
}

impl Index {
    /// The index of these names; one that is empty has no place.
    ///
    /// # Errors
    ///
    /// As [`task::check`].
    pub fn new(labels: &Labels) -> Result<Self> {
        let count = labels.ends.len();
        let no_memory = |_| no_memory(&labels.source);
        let (mut slots, places) = (Vec::new(), count + count / 2 + 1);
        slots.try_reserve_exact(places).map_err(no_memory)?;
        slots.resize(places, 0);
        let mut index = Self { hasher: RandomState::new(), slots, again: Vec::new() };
        for (place, number) in
            (0..labels.len()).zip(1u32..).filter(|(place, _)| !labels.get(*place).is_empty())
        {
            if place % MANY == 0 {
                task::check()?;
            }
            match index.slot(labels, labels.get(place)) {
                (slot, None) => index.slots[slot] = number,
                (_, Some(first)) => {
                    index.again.try_reserve(1).map_err(no_memory)?;
                    index.again.push((u32::try_from(first).unwrap_or(u32::MAX), number - 1));
                }
            }
        }
        index.again.sort_unstable();
        index.again.shrink_to_fit();
        Ok(index)
    }

    /// The places of names that are there already.
    pub fn again(&self) -> &[(u32, u32)] {
        &self.again
    }

    /// The further places of the name whose first place this is.
    pub fn further(&self, first: u64) -> impl Iterator<Item = u64> {
        let start = self.again.partition_point(|(other, _)| u64::from(*other) < first);
        let places = self.again[start..].iter().take_while(move |(other, _)| u64::from(*other) == first);
        places.map(|(_, place)| u64::from(*place))
    }

    pub fn memory(&self) -> usize {
        self.slots.len() * 4 + self.again.len() * 8
    }

    pub fn find(&self, labels: &Labels, name: &str) -> Option<u64> {
        if self.slots.is_empty() || name.is_empty() { None } else { self.slot(labels, name).1 }
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
