//! Finds the index of a name: a hash table of indices without the names, 6 bytes per name and 8 per
//! duplicate.

use std::hash::{BuildHasher, RandomState};

use super::text::no_memory;
use super::{AxisNames, MANY};
use crate::error::Result;
use crate::task;

/// An open-addressing hash table with linear probing. A `HashMap` of strings would need many times the
/// memory.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Its keys are random, so that nobody can choose names that all hash to one slot.
    hasher: RandomState,
    /// An index plus 1, or 0 for a free slot. A third of the slots is free, which keeps probing short.
    slots: Vec<u32>,
    /// For each duplicate: the first index with the name, and its own. Sorted.
    again: Vec<(u32, u32)>,
}

impl Index {
    /// The index of these names. Empty names are left out.
    ///
    /// # Errors
    ///
    /// As [`task::check`], or if there is not enough memory.
    pub fn new(axis_names: &AxisNames) -> Result<Self> {
        let count = axis_names.ends.len();
        let no_memory = |_| no_memory(&axis_names.source);
        let (mut slots, places) = (Vec::new(), count + count / 2 + 1);
        slots.try_reserve_exact(places).map_err(no_memory)?;
        slots.resize(places, 0);
        let mut index = Self { hasher: RandomState::new(), slots, again: Vec::new() };
        for (place, number) in
            (0..axis_names.len()).zip(1u32..).filter(|(place, _)| !axis_names.get(*place).is_empty())
        {
            if place % MANY == 0 {
                task::check()?;
            }
            match index.slot(axis_names, axis_names.get(place)) {
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

    /// The duplicates: for each, the first index with the name, and its own.
    pub fn again(&self) -> &[(u32, u32)] {
        &self.again
    }

    /// The other indices with the same name. `first` is the first index with that name.
    pub fn further(&self, first: u64) -> impl Iterator<Item = u64> {
        let start = self.again.partition_point(|(other, _)| u64::from(*other) < first);
        let places = self.again[start..].iter().take_while(move |(other, _)| u64::from(*other) == first);
        places.map(|(_, place)| u64::from(*place))
    }

    pub fn memory(&self) -> usize {
        self.slots.len() * 4 + self.again.len() * 8
    }

    pub fn find(&self, axis_names: &AxisNames, name: &str) -> Option<u64> {
        if self.slots.is_empty() || name.is_empty() { None } else { self.slot(axis_names, name).1 }
    }

    /// The slot of the name and its index, or the free slot for it.
    fn slot(&self, axis_names: &AxisNames, name: &str) -> (usize, Option<u64>) {
        let count = self.slots.len();
        let hash = u128::from(self.hasher.hash_one(name));
        let mut slot = usize::try_from((hash * count as u128) >> 64).unwrap_or(0);
        loop {
            let Some(place) = self.slots[slot].checked_sub(1).map(u64::from) else { return (slot, None) };
            if axis_names.get(place) == name {
                return (slot, Some(place));
            }
            slot = if slot + 1 == count { 0 } else { slot + 1 };
        }
    }
}
