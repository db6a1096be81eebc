//! The division of inode numbers into blocks.
//!
//! Each inode range takes one block of numbers. Blocks come in a few sizes, and all blocks of one size lie in
//! the same region. Therefore a number alone determines its block, blocks never overlap, and the many small
//! blocks take no space from the few large ones.
//!
//! ```text
//! region            blocks of   how many
//! 0    .. 2^20      2^4                    fixed: the root, `.arrayfs`
//! 2^20 .. 2^50      1           2^50       files and directories of the store
//! i * 2^50 ..       2^16        2^34       arrays, for i from 1 to 7
//!                   2^20        2^30
//!                   2^24        2^26
//!                   2^28        2^22
//!                   2^32        2^18
//!                   2^40        2^10
//!                   2^47        2^3
//! 2^60 .. 2^61      2^47        2^13       overflow, when no other block is free
//! 2^62 .. 2^63      2^52        2^10       arrays with more columns than fit on any disk
//! ```
//!
//! Numbers below 2^53 are exact as a double, the only number type of JavaScript, Lua and R. Only ranges that
//! do not fit there get larger numbers.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::attr::Ino;

/// A region of inode numbers, divided into blocks of one size.
struct NumberRange {
    first: u64,
    end: u64,
    /// Number of inode numbers in a block.
    size: u64,
}

impl NumberRange {
    const fn new(first: u64, end: u64, log: u32) -> Self {
        Self { first, end, size: 1 << log }
    }
}

/// The region of fixed numbers, in blocks of sixteen.
const BY_HAND: NumberRange = NumberRange::new(0, 1 << 20, 4);

/// The other regions, ascending both by number and by block size.
const REGIONS: [NumberRange; 10] = [
    NumberRange::new(1 << 20, 1 << 50, 0),
    NumberRange::new(1 << 50, 2 << 50, 16),
    NumberRange::new(2 << 50, 3 << 50, 20),
    NumberRange::new(3 << 50, 4 << 50, 24),
    NumberRange::new(4 << 50, 5 << 50, 28),
    NumberRange::new(5 << 50, 6 << 50, 32),
    NumberRange::new(6 << 50, 7 << 50, 40),
    NumberRange::new(7 << 50, 8 << 50, 47),
    NumberRange::new(1 << 60, 1 << 61, 47),
    NumberRange::new(1 << 62, 1 << 63, 52),
];

/// Maximum number of inode numbers in one range.
pub const MOST: u64 = 1 << 52;

/// Number of blocks of one region that are tried before the next region.
const ATTEMPTS: u64 = 32;

/// The first number of the block that contains a number.
pub fn block_of(ino: Ino) -> Option<u64> {
    let mut regions = std::iter::once(&BY_HAND).chain(&REGIONS);
    let region = regions.find(|region| (region.first..region.end).contains(&ino.0))?;
    // Masking suffices, because regions start at multiples of their block size, which is a power of two.
    Some(ino.0 & !(region.size - 1))
}

/// Identifies an inode range, by hashes of its path and version. The first half differs for each version and
/// determines the inode numbers. The second half is the same for all versions of the same files written in
/// place.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key(u64, u64);

impl Key {
    /// The key of the object that `facts` describe.
    pub fn new(facts: impl Hash) -> Self {
        Self(half(0, &facts), half(1, &facts))
    }

    /// The key of the object that `facts` describe. Of these, `ttl` stays the same when the files are written
    /// in place.
    pub fn of_version(facts: impl Hash, ttl: impl Hash) -> Self {
        Self(half(0, &facts), half(1, &ttl))
    }

    /// Whether both are versions of the same files, perhaps written in place.
    pub fn is_of_files_of(self, other: Self) -> bool {
        self.1 == other.1
    }

    /// The key of the object that `facts` describe inside the range with this key.
    pub fn within(self, facts: impl Hash) -> Self {
        Self::new((self.0, self.1, facts))
    }

    /// The blocks that a range of `count` numbers may take, in order of preference. They depend only on the
    /// key. So a range has the same numbers at every mount, unless another range has taken its first choice.
    ///
    /// The list has at most a few hundred blocks. If all are taken, there is no room.
    pub fn blocks(self, count: u64) -> impl Iterator<Item = u64> {
        let fitting = REGIONS.iter().filter(move |region| count <= region.size);
        fitting.flat_map(move |region| (0..ATTEMPTS).map(move |attempt| self.block(region, attempt)))
    }

    fn block(self, region: &NumberRange, attempt: u64) -> u64 {
        // Each further attempt hashes again. Ranges that share their first choice then do not compete for the
        // same sequence of blocks.
        let point = if attempt == 0 { self.0 } else { self.within(attempt).0 };
        let count = (region.end - region.first) / region.size;
        region.first + point % count * region.size
    }
}

fn half(salt: u64, facts: &impl Hash) -> u64 {
    // Unlike `RandomState`, this hasher has fixed keys, so that the numbers are the same at every mount.
    let mut hasher = DefaultHasher::new();
    salt.hash(&mut hasher);
    facts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Integers up to this are exact as a double.
    const DOUBLE: u64 = 1 << 53;

    #[test]
    fn regions_are_in_order_and_of_whole_blocks() {
        let mut end = BY_HAND.end;
        let mut size = 1;
        for region in REGIONS {
            assert!(region.first >= end && region.end > region.first);
            assert!(region.first.is_multiple_of(region.size) && region.end.is_multiple_of(region.size));
            assert!(region.size >= size);
            (end, size) = (region.end, region.size);
        }
        assert!(i64::try_from(end - 1).is_ok(), "some programs have numbers with a sign");
        assert_eq!(size, MOST);
    }

    #[test]
    fn all_numbers_of_a_block_lead_to_it_and_no_others() {
        for count in (0..=52).flat_map(|log| [1 << log, (1 << log) - 1, (1 << log) + 1]) {
            for block in Key::new(count).blocks(count) {
                for number in [block, block + count / 2, block + count.max(1) - 1] {
                    assert_eq!(block_of(Ino(number)), Some(block), "{number} of {count}");
                }
                assert_ne!(block.checked_sub(1).and_then(|before| block_of(Ino(before))), Some(block));
            }
        }
        assert_eq!(block_of(Ino(1)), Some(0));
        for number in [DOUBLE, 1 << 59, 1 << 61, 1 << 63, u64::MAX] {
            assert_eq!(block_of(Ino(number)), None, "{number}");
        }
    }

    #[test]
    fn what_can_be_is_exact_as_a_double() {
        for log in 0..=47 {
            let first = Key::new(log).blocks(1 << log).next().unwrap();
            assert!(first + (1 << log) <= DOUBLE, "2^{log}");
        }
        assert!(Key::new("huge").blocks(1 << 48).all(|block| block >= DOUBLE));
        assert_eq!(Key::new("too huge").blocks(MOST + 1).count(), 0);
    }

    #[test]
    fn few_have_the_same_first_choice() {
        let mut firsts: Vec<_> =
            (0..100_000).filter_map(|place| Key::new(place).blocks(900_000).next()).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert!(firsts.len() > 99_950, "{}", firsts.len());
    }
}
