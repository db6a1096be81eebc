//! The tables in which formats list where their chunks or strips are in a file.
//!
//! Pieces lie at regular distances, so entries are computed when they are read. A table of any length takes
//! no memory.

use std::sync::Arc;

use crate::bytes::virtual_file::{Extent, Fill, Generate};
use crate::error::Result;
use crate::store::source::Source;

/// The size for one piece of a file of `total` bytes, at least 4 MiB.
///
/// Readers load the table of pieces (`entry` bytes for each) as a whole, and each piece as a whole. This
/// size balances the two: the table is no larger than a piece.
pub fn piece_bytes(total: u64, entry: u64) -> u64 {
    total.saturating_mul(entry).isqrt().max(4 << 20)
}

/// A table of little-endian `u64` offsets, each followed by a length if `length` is set.
///
/// The offset in entry `i` is `first + i / per * outer + i % per * inner`. It must not overflow.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Number of entries.
    pub count: u64,
    /// The offset in entry 0.
    pub first: u64,
    /// Pieces in one row of pieces, above zero.
    pub per: u64,
    /// Distance in bytes from one piece to the next in the same row.
    pub inner: u64,
    /// Distance in bytes from one row of pieces to the next.
    pub outer: u64,
    /// The length of each piece in bytes, if the table lists lengths.
    pub length: Option<u64>,
}

impl Table {
    /// A table that repeats one number.
    pub const fn constant(count: u64, number: u64) -> Self {
        Self { count, first: number, per: 1, inner: 0, outer: 0, length: None }
    }

    /// The table as an extent.
    pub fn extent(self) -> Extent {
        let words = self.count * self.words();
        Extent::Generated { content: Arc::new(self), length: words * 8 }
    }

    const fn words(&self) -> u64 {
        if self.length.is_some() { 2 } else { 1 }
    }

    fn word(&self, i: u64) -> u64 {
        match self.length {
            Some(length) if i % 2 == 1 => length,
            _ => {
                let i = i / self.words();
                self.first + i / self.per * self.outer + i % self.per * self.inner
            }
        }
    }
}

impl Generate for Table {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        out.put_items(8, self.count * self.words(), &mut |first, room| {
            let words = room.as_chunks_mut().0;
            (first..).zip(&mut *words).for_each(|(i, word)| *word = self.word(i).to_le_bytes());
            Ok(words.len() as u64)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::virtual_file::VirtualFile;
    use proptest::prelude::*;

    #[test]
    fn pieces_and_their_table_grow_alike() {
        assert_eq!(piece_bytes(1, 16), 4 << 20);
        assert_eq!(piece_bytes(100 << 30, 16), 4 << 20);
        let total: u64 = 1 << 43;
        assert!((total / piece_bytes(total, 16) * 16).abs_diff(piece_bytes(total, 16)) < 16);
        assert!(piece_bytes(u64::MAX, 16) > 4 << 20);
    }

    proptest! {
        #[test]
        fn any_read_gives_the_words_of_the_whole(
            per in 1u64..4, length in proptest::option::of(0u64..1000), from in 0usize..120, bytes in 0usize..120,
        ) {
            let table = Table { count: 7, first: 1 << 40, per, inner: 10, outer: 1000, length };
            let words = (0..7).flat_map(|i| [Some((1 << 40) + i / per * 1000 + i % per * 10), length]);
            let whole: Vec<u8> = words.flatten().flat_map(u64::to_le_bytes).collect();
            let file = VirtualFile::new([table.extent()]).unwrap();
            prop_assert_eq!(file.len(), whole.len() as u64);
            let mut buffer = vec![0xAA; bytes];
            let filled = file.read_at(from as u64, &mut buffer).unwrap();
            let expected: Vec<u8> = whole.iter().skip(from).take(bytes).copied().collect();
            prop_assert_eq!(&buffer[..filled], &expected[..]);
        }
    }
}
