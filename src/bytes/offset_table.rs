//! Where the pieces of an array are in a file: the tables that formats have of their chunks or strips,
//! made by arithmetic as they are read, however many pieces there are.

use std::sync::Arc;

use crate::bytes::virtual_file::{Extent, Fill, Generate};
use crate::error::Result;
use crate::store::source::Source;

/// Bytes of one piece, that a reader reads whole, such that the table of all pieces (`entry` bytes for
/// each), which a reader reads whole as well, is no larger; at least 4 MiB.
pub fn piece_bytes(total: u64, entry: u64) -> u64 {
    total.saturating_mul(entry).isqrt().max(4 << 20)
}

/// A table of offsets, little-endian, 8 bytes each; or of offsets each followed by a length.
///
/// Entry `i` is `first + i / per * outer + i % per * inner`. The numbers must fit.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Number of entries.
    pub count: u64,
    /// The first offset.
    pub first: u64,
    /// Pieces side by side, above zero.
    pub per: u64,
    /// From one piece to the next beside it.
    pub inner: u64,
    /// From one row of pieces to the next.
    pub outer: u64,
    /// Bytes of every piece, to follow its offset.
    pub length: Option<u64>,
}

impl Table {
    /// The same number, so many times.
    pub const fn constant(count: u64, number: u64) -> Self {
        Self { count, first: number, per: 1, inner: 0, outer: 0, length: None }
    }

    /// The table's bytes.
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
