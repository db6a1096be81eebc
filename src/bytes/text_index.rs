//! Byte offsets into text whose numbers differ in length: the length of the text of each block of cells.
//!
//! ```text
//! cells   0 … 1023 | 1024 … 2047 | …        blocks of cells; the first and the last may have fewer
//! text    0        | 7431        | 14712    offset of the text of each block
//! ```
//!
//! Measuring reads every number. It runs once for a version of an array, and the result is cached for as
//! long as that version is in use. The cost is 8 bytes for a thousand cells or more; an offset for each
//! cell would take as much memory as the numbers themselves.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use crate::error::Result;
use crate::rows::Rows;
use crate::task::{self, Flight};
use crate::word::to_usize;

/// The fewest cells of a block.
const LEAST_CELLS: u64 = 1024;
/// The most blocks. Beyond that, blocks get larger instead.
const MOST_BLOCKS: u64 = 1 << 16;
/// Blocks that a thread measures in one go.
const AT_ONCE: u64 = 64;

/// The text offsets of all blocks of cells.
#[derive(Debug, Eq, PartialEq)]
pub struct Offsets {
    cells: u64,
    /// Cells of the first block. A part of an array may start in the middle of a block.
    lead: u64,
    /// Cells of every other block except the last.
    block: u64,
    /// End offset of the text of each block.
    ends: Vec<u64>,
}

/// Measures the cells `first..last` in blocks of `block` cells (its arguments, in this order). Appends the
/// text length in bytes of each block.
pub type Measure<'m> = dyn Fn(u64, u64, u64, &mut Vec<u64>) -> Result<()> + Sync + 'm;

impl Offsets {
    /// Measures all cells, on as many threads as there are cores.
    ///
    /// # Errors
    ///
    /// The first error of `measure`.
    pub fn measure(cells: u64, measure: &Measure<'_>) -> Result<Self> {
        let block = cells.div_ceil(MOST_BLOCKS).max(LEAST_CELLS);
        let share = block * AT_ONCE;
        let lengths = by_all_cores(cells.div_ceil(share), &|i| {
            let mut lengths = Vec::new();
            measure(i * share, cells.min((i + 1) * share), block, &mut lengths)?;
            Ok(lengths)
        })?;
        let ends = lengths.into_iter().flatten().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        Ok(Self { cells, lead: block.min(cells), block, ends: ends.collect() })
    }

    /// The offsets of the cells `first..last`. Measures only the blocks at both ends, and reuses all
    /// others.
    ///
    /// # Errors
    ///
    /// Errors of `measure`, which takes cell numbers of `self`, not of the part.
    pub fn part(&self, first: u64, last: u64, measure: &Measure<'_>) -> Result<Self> {
        let (from, to) = (self.block_of(first), self.block_of(last - 1));
        let mut ends = Vec::new();
        let lead = self.cell(from + 1).min(last) - first;
        measure(first, first + lead, lead, &mut ends)?;
        let mut end = ends.iter().sum();
        for i in from + 1..=to {
            let length = match self.cell(i + 1) <= last {
                true => self.before(i + 1) - self.before(i),
                false => {
                    let mut length = Vec::new();
                    measure(self.cell(i), last, self.block, &mut length)?;
                    length.iter().sum()
                }
            };
            end += length;
            ends.push(end);
        }
        Ok(Self { cells: last - first, lead, block: self.block, ends })
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The first cell of a block. For blocks beyond the last, the number of cells.
    pub fn cell(&self, block: u64) -> u64 {
        match block.checked_sub(1) {
            None => 0,
            Some(others) => (self.lead + others * self.block).min(self.cells),
        }
    }

    /// Bytes of text before a block. For blocks beyond the last, the length of the whole text.
    pub fn before(&self, block: u64) -> u64 {
        let Some(last) = block.checked_sub(1) else { return 0 };
        let last = to_usize(last).min(self.ends.len().saturating_sub(1));
        self.ends.get(last).copied().unwrap_or(0)
    }

    /// The block that contains a cell.
    fn block_of(&self, cell: u64) -> u64 {
        if cell < self.lead { 0 } else { 1 + (cell - self.lead) / self.block }
    }
}

/// Runs `work` for each number below `count` on as many threads as there are cores. Returns the results in
/// order.
fn by_all_cores<T: Send>(count: u64, work: &(dyn Fn(u64) -> Result<T> + Sync)) -> Result<Vec<T>> {
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let take = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            // Threads take the next number instead of a fixed share, because blocks differ in cost.
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                break;
            }
            done.push((i, work(i).inspect_err(|_| failed.store(true, Ordering::Relaxed))?));
        }
        Ok(done)
    };
    let task = task::inherit();
    let cores = thread::available_parallelism().map_or(1, Into::into);
    let others = cores.min(to_usize(count));
    let mut done = thread::scope(|scope| {
        // If the system refuses another thread, fewer threads do the work.
        let start =
            |_| thread::Builder::new().name("text".into()).spawn_scoped(scope, || task.help(take)).ok();
        let others: Vec<_> = (1..others).filter_map(start).collect();
        let own = take();
        let join = |other: thread::ScopedJoinHandle<'_, _>| {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let of_others: Vec<Result<Vec<_>>> = others.into_iter().map(join).collect();
        of_others.into_iter().try_fold(own?, |mut all, other| {
            all.extend(other?);
            Ok(all)
        })
    })?;
    done.sort_unstable_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Identifies a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    /// A unique name for the kind of text.
    pub what: &'static str,
    /// The rows of the array in the text.
    pub rows: Rows,
    /// The column, if the text has only one.
    pub column: Option<u64>,
}

/// The cached offsets for one version of an array.
#[derive(Debug, Default)]
pub struct KnownOffsets {
    /// One queue for texts with all columns, one for single columns. A program that reads column after
    /// column must not evict the offsets of the whole array, which are far more expensive to measure.
    slots: [Mutex<Slots>; 2],
}

/// The offsets of each text, most recently used first.
type Slots = VecDeque<(Key, Arc<Slot>)>;

/// Offsets, once they are measured.
#[derive(Debug, Default)]
struct Slot {
    offsets: OnceLock<Arc<Offsets>>,
    flight: Flight,
}

impl KnownOffsets {
    /// The capacity of each queue.
    const MOST: usize = 16;

    /// The cached offsets, if there are any.
    pub fn get(&self, key: Key) -> Option<Arc<Offsets>> {
        let mut slots = self.slots(key);
        let at = slots.iter().position(|(other, slot)| *other == key && slot.offsets.get().is_some())?;
        touch(&mut slots, at).offsets.get().cloned()
    }

    /// The offsets, measured on first use. If several threads ask at the same time, one measures and the
    /// others wait, or park their request until the offsets are there.
    ///
    /// # Errors
    ///
    /// Errors of `measure`, which are not cached. [`crate::Error::Unfinished`] on a thread that must not
    /// block.
    pub fn get_or_measure(
        &self,
        key: Key,
        measure: impl FnOnce() -> Result<Offsets>,
    ) -> Result<Arc<Offsets>> {
        let slot = self.slot(key);
        let measure = || {
            task::begin_long()?;
            measure().map(|offsets| Arc::clone(slot.offsets.get_or_init(|| Arc::new(offsets))))
        };
        slot.flight.run(|| slot.offsets.get().cloned(), measure)
    }

    fn slots(&self, key: Key) -> MutexGuard<'_, Slots> {
        self.slots[usize::from(key.column.is_some())].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots(key);
        if let Some(at) = slots.iter().position(|(other, _)| *other == key) {
            return touch(&mut slots, at);
        }
        slots.truncate(Self::MOST - 1);
        let slot = Arc::new(Slot::default());
        slots.push_front((key, Arc::clone(&slot)));
        slot
    }
}

/// Moves the slot at this index to the front, where it is evicted last.
fn touch(slots: &mut Slots, at: usize) -> Arc<Slot> {
    slots.make_contiguous()[..=at].rotate_right(1);
    Arc::clone(&slots[0].1)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::error::Error;

    /// The text of cell `i` has `i % 7 + 1` bytes.
    fn measured(cells: u64) -> Offsets {
        Offsets::measure(cells, &measure).unwrap()
    }

    fn measure(first: u64, last: u64, block: u64, out: &mut Vec<u64>) -> Result<()> {
        for start in (first..last).step_by(usize::try_from(block).unwrap()) {
            out.push((start..last.min(start + block)).map(|i| i % 7 + 1).sum());
        }
        Ok(())
    }

    #[test]
    fn blocks_add_up() {
        for cells in [1, 7, LEAST_CELLS, LEAST_CELLS + 1, 5 * AT_ONCE * LEAST_CELLS + 3, 200_000] {
            let offsets = measured(cells);
            assert_eq!(offsets.blocks(), cells.div_ceil(LEAST_CELLS));
            for i in 0..=offsets.blocks() {
                let wanted: u64 = (0..offsets.cell(i)).map(|i| i % 7 + 1).sum();
                assert_eq!(offsets.before(i), wanted, "{cells} {i}");
            }
            assert_eq!(offsets.cell(offsets.blocks()), cells);
        }
        assert!(measured(MOST_BLOCKS * LEAST_CELLS + 1).blocks() <= MOST_BLOCKS);
    }

    #[test]
    fn a_part_is_as_if_it_were_measured() {
        let all = measured(10_000);
        let text = |first: u64, last: u64| (first..last).map(|i| i % 7 + 1).sum::<u64>();
        for (first, last) in
            [(0, 10_000), (0, 1), (5, 6), (1023, 1025), (1024, 2048), (1000, 9999), (9999, 10_000)]
        {
            for part in [all.part(first, last, &measure).unwrap()] {
                assert_eq!(part.cell(part.blocks()), last - first);
                for i in 0..=part.blocks() {
                    assert_eq!(part.before(i), text(first, first + part.cell(i)), "{first}..{last} {i}");
                }
                // A part of a part, as for a slice of a slice.
                if last - first > 2 {
                    let inner = part.part(1, last - first - 1, &|a, b, block, out| {
                        measure(first + a, first + b, block, out)
                    });
                    let inner = inner.unwrap();
                    assert_eq!(inner.before(inner.blocks()), text(first + 1, last - 1));
                }
            }
        }
    }

    fn key(rows: u64, column: Option<u64>) -> Key {
        Key { what: "test", rows: Rows::all(rows), column }
    }

    #[test]
    fn one_measures_and_the_others_wait() {
        let (known, runs) = (KnownOffsets::default(), AtomicU32::new(0));
        let measure = || {
            thread::sleep(std::time::Duration::from_millis(20));
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(measured(5))
        };
        thread::scope(|scope| {
            let ask = || assert_eq!(*known.get_or_measure(key(1, None), measure).unwrap(), measured(5));
            (0..8).for_each(|_| drop(scope.spawn(ask)));
        });
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert!(known.get(key(1, Some(0))).is_none());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_an_error_is_not_kept() {
        let known = KnownOffsets::default();
        assert!(known.get_or_measure(key(1, None), || Err(Error::not_found("x"))).is_err());
        assert!(known.get(key(1, None)).is_none());
        for i in 1..=20 {
            known.get_or_measure(key(i, None), || Ok(measured(i))).unwrap();
            for column in 0..20 {
                known.get_or_measure(key(1, Some(column)), || Ok(measured(1))).unwrap();
            }
            assert!(known.get(key(1, None)).is_some(), "it is used all the time");
        }
        assert!(known.get(key(2, None)).is_none() && known.get(key(20, None)).is_some());
    }

    #[test]
    fn the_first_error_is_that_of_the_whole() {
        let failing = |first: u64, _, _, out: &mut Vec<u64>| match first {
            0 => Err(Error::not_found("x")),
            _ => measure(first, first + 1, 1, out),
        };
        assert!(Offsets::measure(1 << 20, &failing).is_err());
    }
}
