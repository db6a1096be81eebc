//! The reported sizes of files that are rendered again for each read. If the data change after `stat`, the
//! rendering may have a different size by then. The read then fails, so that it never silently ends early.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Ino;

/// The sizes of the files that were looked at most recently.
#[derive(Debug, Default)]
pub(super) struct ToldSizes(Mutex<[HashMap<u64, u64>; 2]>);

impl ToldSizes {
    /// At least this many sizes are kept, and at most twice as many. Replacing a full map drops the oldest
    /// half at once, so no order of use has to be tracked.
    const MOST: usize = 1 << 15;

    /// Records the size of a file.
    pub fn keep(&self, ino: Ino, size: u64) {
        let mut sizes = self.lock();
        let [new, old] = &mut *sizes;
        new.insert(ino.0, size);
        if new.len() >= Self::MOST {
            *old = std::mem::take(new);
        }
    }

    /// The last reported size, if it is recent enough.
    pub fn get(&self, ino: Ino) -> Option<u64> {
        let sizes = self.lock();
        sizes.iter().find_map(|sizes| sizes.get(&ino.0)).copied()
    }

    fn lock(&self) -> MutexGuard<'_, [HashMap<u64, u64>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sizes_are_known_and_the_memory_is_bounded() {
        let (told, most) = (ToldSizes::default(), ToldSizes::MOST as u64);
        for ino in 0..5 * most / 2 {
            told.keep(Ino(ino), 7);
            told.keep(Ino(ino), ino);
        }
        assert_eq!(told.get(Ino(5 * most / 2 - 1)), Some(5 * most / 2 - 1));
        assert_eq!(told.get(Ino(3 * most / 2)), Some(3 * most / 2));
        assert_eq!((told.get(Ino(0)), told.get(Ino(most / 2))), (None, None));
        assert!(told.lock().iter().map(HashMap::len).sum::<usize>() <= 2 * ToldSizes::MOST);
    }
}
