//! Consecutive blocks of the same layout, such as record batches or row groups.

use std::sync::Arc;

use super::{Extent, Fill, Generate, VirtualFile};
use crate::error::{Error, Result};
use crate::store::source::ByteRange;
use crate::store::source::Source;

/// One piece of the block layout.
#[derive(Debug)]
pub enum Piece {
    /// The same bytes in every block.
    Same(Arc<[u8]>),
    /// A share of a file: block `i` has the `length` bytes from `first + i * length` on.
    Dealt {
        /// The file. It must contain all shares.
        of: VirtualFile,
        /// Offset of the first block's share.
        first: u64,
        /// Bytes of each share.
        length: u64,
    },
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Same(bytes) => bytes.len() as u64,
            Self::Dealt { length, .. } => *length,
        }
    }
}

/// Any number of blocks, in the memory of one: only the layout is stored.
#[derive(Debug)]
pub struct Repeated {
    pieces: Vec<Piece>,
    /// End offset of each piece in the block.
    ends: Vec<u64>,
}

impl Repeated {
    /// One extent with `count` blocks of these pieces.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the extent would exceed the largest size of a file.
    pub fn extent(pieces: Vec<Piece>, count: u64) -> Result<Extent> {
        let pieces: Vec<_> = pieces.into_iter().filter(|piece| piece.len() > 0).collect();
        let ends = pieces.iter().scan(Some(0u64), |end, piece| {
            *end = end.and_then(|end| end.checked_add(piece.len()));
            Some(*end)
        });
        let ends: Option<Vec<_>> = ends.collect();
        let length = ends.as_ref().and_then(|ends| ends.last().copied().unwrap_or(0).checked_mul(count));
        match (ends, length) {
            (_, Some(0)) => Ok(Extent::Zeros(0)),
            (Some(ends), Some(length)) => {
                Ok(Extent::Generated { content: Arc::new(Self { pieces, ends }), length })
            }
            _ => Err(Error::refused("", "more bytes than a file can have")),
        }
    }

    /// The piece that contains the byte at `offset`, the number of its block, and the offset in the piece.
    fn find(&self, offset: u64) -> Option<(&Piece, u64, u64)> {
        let period = *self.ends.last()?;
        let (block, within) = (offset / period, offset % period);
        let i = self.ends.partition_point(|end| *end <= within);
        let piece = &self.pieces[i];
        Some((piece, block, within + piece.len() - self.ends[i]))
    }
}

impl Generate for Repeated {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let Some(period) = self.ends.last() else { return Ok(()) };
        let mut block = out.seek_item(*period);
        while !out.is_full() {
            for piece in &self.pieces {
                match piece {
                    Piece::Same(bytes) => out.put(bytes),
                    Piece::Dealt { of, first, length } => {
                        out.put_file(of, first + block * length, *length)?
                    }
                }
            }
            block += 1;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        let of = |piece: &Piece| match piece {
            Piece::Same(_) => Vec::new(),
            Piece::Dealt { of, .. } => of.sources(),
        };
        self.pieces.iter().flat_map(of).collect()
    }

    fn run_at(&self, offset: u64) -> Option<ByteRange<'_>> {
        match self.find(offset)? {
            (Piece::Dealt { of, first, length }, block, within) => {
                let run = of.run_at(first + block * length + within)?;
                Some(ByteRange { length: run.length.min(length - within), ..run })
            }
            (Piece::Same(_), ..) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0usize..80, length in 0usize..80) {
            let of = VirtualFile::literal((0..100).collect::<Vec<u8>>());
            let pieces = vec![
                Piece::Same(b"<<".as_slice().into()),
                Piece::Dealt { of: of.clone(), first: 10, length: 7 },
                Piece::Same(Arc::from(*b"")),
                Piece::Dealt { of, first: 0, length: 3 },
            ];
            let file = VirtualFile::new([Repeated::extent(pieces, 5).unwrap()]).unwrap();
            let block = |i: u8| [b"<<".to_vec(), (10 + i * 7..17 + i * 7).collect(), (i * 3..i * 3 + 3).collect()];
            let expected: Vec<u8> = (0..5).flat_map(|i| block(i).concat()).collect();
            prop_assert_eq!(file.len(), expected.len() as u64);
            let mut buffer = vec![0xAA; length];
            let filled = file.read_at(offset as u64, &mut buffer).unwrap();
            let wanted = expected.iter().skip(offset).take(length).copied().collect::<Vec<_>>();
            prop_assert_eq!(&buffer[..filled], &wanted[..]);
        }
    }

    #[test]
    fn what_no_file_could_hold_is_refused() {
        let piece = |length| Piece::Dealt { of: VirtualFile::default(), first: 0, length };
        assert!(Repeated::extent(vec![piece(1 << 40)], 1 << 40).is_err());
        assert!(Repeated::extent(vec![piece(u64::MAX), piece(1)], 1).is_err());
        assert!(Repeated::extent(vec![piece(1)], 0).unwrap().is_empty());
    }
}
