//! The sizes that the kernel knows of files that are rendered again when they are read. If the size differs
//! by then, because the array was written meanwhile, the read fails. Otherwise it would silently end early.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Ino;

/// The sizes of the most recently used files.
#[derive(Debug, Default)]
pub(super) struct ToldSizes(Mutex<[HashMap<u64, u64>; 2]>);

impl ToldSizes {
    /// It remembers at least this many files, and at most twice as many.
    const MOST: usize = 1 << 15;

    /// Keeps the size of a file.
    pub fn keep(&self, ino: Ino, size: u64) {
        let mut sizes = self.lock();
        let [new, old] = &mut *sizes;
        new.insert(ino.0, size);
        if new.len() >= Self::MOST {
            *old = std::mem::take(new);
        }
    }

    /// The size that was recorded last, if it is still remembered.
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
