//! A byte range of a file as a file of its own, such as a chunk.

use super::{Extent, Piece, Repeated, VirtualFile};
use crate::error::Result;
use crate::word::to_usize;

impl VirtualFile {
    /// The `length` bytes from `offset` on, padded with zeros beyond the end of the file.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Refused`] when `length` exceeds the largest size of a file.
    pub fn part(&self, offset: u64, length: u64) -> Result<Self> {
        let end = offset.saturating_add(length).min(self.len());
        let first = self.ends.partition_point(|end| *end <= offset);
        let mut extents = Vec::new();
        let mut at = offset;
        for (extent, last) in self.extents.iter().zip(&self.ends).skip(first) {
            if at >= end {
                break;
            }
            let stop = end.min(*last);
            extents.push(extent.part(at + extent.len() - last, stop - at)?);
            at = stop;
        }
        extents.push(Extent::Zeros(length - (at - offset)));
        Self::new(extents)
    }
}

impl Extent {
    /// The `length` bytes from `start` on, which must lie within the extent.
    fn part(&self, start: u64, length: u64) -> Result<Self> {
        Ok(match self {
            _ if start == 0 && length == self.len() => self.clone(),
            Self::Literal(bytes) => {
                let [start, end] = [start, start + length].map(to_usize);
                Self::Literal(bytes[start..end].into())
            }
            Self::Slice { source, offset, .. } => {
                Self::Slice { source: source.clone(), offset: offset + start, length }
            }
            Self::Zeros(_) => Self::Zeros(length),
            Self::Generated { .. } => {
                // Computed content always starts at its offset 0. `Piece::Dealt` shifts it.
                let of = VirtualFile::new([self.clone()])?;
                Repeated::extent(vec![Piece::Dealt { of, first: start, length }], 1)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_part_has_the_bytes_of_the_whole(offset in 0usize..60, length in 0usize..60) {
            let pieces = vec![Piece::Same(b"<>".as_slice().into())];
            let extents = [
                Extent::Literal(b"0123456789".as_slice().into()),
                Repeated::extent(pieces, 6).unwrap(),
                Extent::Zeros(5),
                Extent::Literal(b"abc".as_slice().into()),
            ];
            let part = VirtualFile::new(extents).unwrap().part(offset as u64, length as u64).unwrap();
            prop_assert_eq!(part.len(), length as u64);
            let whole = b"0123456789<><><><><><>\0\0\0\0\0abc".iter().chain(std::iter::repeat(&0));
            let expected: Vec<u8> = whole.skip(offset).take(length).copied().collect();
            let mut found = vec![0xAA; length];
            prop_assert_eq!(part.read_at(0, &mut found).unwrap(), length);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_beyond_any_file_is_refused() {
        let file = VirtualFile::literal([1u8, 2]);
        assert!(file.part(1, u64::MAX).is_err());
        assert_eq!(file.part(u64::MAX, 3).unwrap().len(), 3);
    }
}
