//! A table of open handles. A lookup takes no lock and allocates nothing, because every read does one.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::{ArcSwapOption, Guard};

/// Number of slots in the first chunk. Each further chunk has as many as all before it, so slots never move.
const FIRST: usize = 64;
/// Number of chunks, more than will ever be used.
const CHUNKS: usize = 32;

/// A table of values, each with a number that is reused after it is closed.
#[derive(Debug)]
pub struct Handles<T> {
    chunks: [OnceLock<Box<[ArcSwapOption<T>]>>; CHUNKS],
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    /// Numbers that were closed.
    returned: Vec<usize>,
    /// The first number that was never used.
    next: usize,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], free: Mutex::default() }
    }
}

impl<T> Handles<T> {
    /// Adds a value, and returns its number.
    pub fn open(&self, component: T) -> u64 {
        let number = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.returned.pop().unwrap_or_else(|| {
                free.next += 1;
                free.next - 1
            })
        };
        let (chunk, slot) = position(number);
        let slots = self.chunks[chunk].get_or_init(|| {
            let count = if chunk == 0 { FIRST } else { FIRST << (chunk - 1) };
            (0..count).map(|_| ArcSwapOption::empty()).collect()
        });
        slots[slot].store(Some(Arc::new(component)));
        number as u64
    }

    /// The value with this number.
    pub fn get(&self, number: u64) -> Guard<Option<Arc<T>>> {
        self.slot(number).map_or_else(|| Guard::from_inner(None), ArcSwapOption::load)
    }

    /// Removes the value with this number. It is dropped when its last reader is done.
    pub fn close(&self, number: u64) {
        if let Some(slot) = self.slot(number)
            && slot.swap(None).is_some()
            && let Ok(number) = usize::try_from(number)
        {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).returned.push(number);
        }
    }

    fn slot(&self, number: u64) -> Option<&ArcSwapOption<T>> {
        let (chunk, slot) = position(usize::try_from(number).ok()?);
        self.chunks.get(chunk)?.get()?.get(slot)
    }
}

/// The chunk of a number, and its slot in the chunk.
fn position(number: usize) -> (usize, usize) {
    let chunk = (number / FIRST).checked_ilog2().map_or(0, |log| log as usize + 1);
    let before = if chunk == 0 { 0 } else { FIRST << (chunk - 1) };
    (chunk, number - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_again_and_used_again() {
        let handles = Handles::default();
        let numbers: Vec<u64> = (0..1000).map(|i| handles.open(i)).collect();
        for (i, number) in numbers.iter().enumerate() {
            assert_eq!(**handles.get(*number).as_ref().unwrap(), i);
        }
        let kept = handles.get(numbers[500]);
        handles.close(numbers[500]);
        handles.close(numbers[500]);
        assert!(handles.get(numbers[500]).is_none());
        assert_eq!(**kept.as_ref().unwrap(), 500);
        assert_eq!(handles.open(7), numbers[500]);
        assert_eq!(handles.open(8), 1000);
        assert!(handles.get(u64::MAX).is_none());
    }
}
