//! A virtual file: a list of extents whose lengths are known without touching the data.
//!
//! The constructor checks and sums the lengths once. The reported size and the bytes that reads return
//! therefore cannot disagree.

mod fill;
mod part;
mod repeated;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::store::source::{ByteRange, Mapped, Source, Whence};
use crate::word::to_usize;

pub use fill::{Fill, Make, read_at};
pub use repeated::{Piece, Repeated};

/// Content that is computed when it is read.
pub trait Generate: Send + Sync {
    /// Writes the bytes to `out` in order, until it is full. `out` knows which byte range is wanted. A read
    /// fails if its range is not filled completely, even when this returns `Ok`.
    ///
    /// # Errors
    ///
    /// Errors from reading the sources, and [`Error::Invalid`] where the data is broken.
    fn fill(&self, out: &mut Fill<'_>) -> Result<()>;

    /// The source files that the content is computed from.
    fn sources(&self) -> Vec<Arc<Source>>;

    /// The run of source bytes that starts at `offset`, if the content there is an unmodified copy of one
    /// source. `None` where the bytes are computed.
    ///
    /// Implement this for content that puts its own bytes around those of a source, so that the latter can
    /// be passed to the kernel without a copy.
    fn run_at(&self, offset: u64) -> Option<ByteRange<'_>> {
        let _ = offset;
        None
    }
}

/// A range of bytes of a virtual file.
#[derive(Clone)]
pub enum Extent {
    /// Constant bytes.
    Literal(Arc<[u8]>),
    /// Bytes of a source, unmodified.
    Slice {
        /// The source.
        source: Arc<Source>,
        /// First byte in the source.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// This many zero bytes.
    Zeros(u64),
    /// Bytes computed when they are read.
    Generated {
        /// Computes them.
        content: Arc<dyn Generate>,
        /// Number of bytes.
        length: u64,
    },
}

impl Extent {
    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Literal(bytes) => bytes.len() as u64,
            Self::Slice { length, .. } | Self::Zeros(length) | Self::Generated { length, .. } => *length,
        }
    }

    /// Whether the extent has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match self {
            Self::Literal(bytes) => {
                let start = to_usize(offset);
                buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
                Ok(())
            }
            Self::Slice { source, offset: first, .. } => source.read_exact_at(buffer, first + offset),
            Self::Zeros(_) => {
                buffer.fill(0);
                Ok(())
            }
            Self::Generated { content, .. } => read_at(&**content, offset, buffer),
        }
    }

    fn run_at(&self, offset: u64) -> Option<ByteRange<'_>> {
        match self {
            Self::Slice { source, offset: first, length } => {
                Some(ByteRange { source, offset: first + offset, length: length - offset })
            }
            Self::Generated { content, .. } => content.run_at(offset),
            Self::Literal(_) | Self::Zeros(_) => None,
        }
    }

    /// Like [`Source::seek`]. Only sources have holes; all other extents count as data.
    fn seek(&self, offset: u64, whence: Whence) -> Result<u64> {
        match (self, whence) {
            (Self::Slice { source, offset: first, length }, _) => {
                let found = source.seek(first + offset, whence)?;
                Ok(found.saturating_sub(*first).min(*length))
            }
            (_, Whence::Data) => Ok(offset),
            (_, Whence::Hole) => Ok(self.len()),
        }
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        match self {
            Self::Literal(_) | Self::Zeros(_) => Vec::new(),
            Self::Slice { source, .. } => vec![Arc::clone(source)],
            Self::Generated { content, .. } => content.sources(),
        }
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Literal(_) => "Literal",
            Self::Slice { .. } => "Slice",
            Self::Zeros(_) => "Zeros",
            Self::Generated { .. } => "Generated",
        };
        write!(f, "{kind}({})", self.len())
    }
}

/// A file made of consecutive extents.
#[derive(Clone, Debug, Default)]
pub struct VirtualFile {
    extents: Vec<Extent>,
    /// The end offset of each extent in the file, for binary search.
    ends: Vec<u64>,
}

impl VirtualFile {
    /// A file of these extents in this order. Drops the empty ones.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the total length exceeds the largest size of a file (`i64::MAX`).
    pub fn new(extents: impl IntoIterator<Item = Extent>) -> Result<Self> {
        let mut file = Self::default();
        for extent in extents.into_iter().filter(|extent| !extent.is_empty()) {
            let end = file.len().checked_add(extent.len()).filter(|end| i64::try_from(*end).is_ok());
            file.ends.push(end.ok_or_else(|| Error::refused("", "more bytes than a file can have"))?);
            file.extents.push(extent);
        }
        Ok(file)
    }

    /// A file of constant bytes.
    pub fn literal(bytes: impl Into<Arc<[u8]>>) -> Self {
        let extent = Extent::Literal(bytes.into());
        let ends = vec![extent.len()];
        if extent.is_empty() { Self::default() } else { Self { extents: vec![extent], ends } }
    }

    /// Size in bytes.
    pub fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The extents, for a format that puts other extents around them.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The source that this file equals byte for byte, if there is one.
    pub fn whole_source(&self) -> Option<&Arc<Source>> {
        match self.extents.as_slice() {
            [Extent::Slice { source, offset: 0, length }] if *length == source.len() => Some(source),
            _ => None,
        }
    }

    /// Whether any of the `length` bytes from `offset` on has to be computed.
    pub fn is_generated(&self, offset: u64, length: usize) -> bool {
        let end = offset.saturating_add(length as u64);
        let first = self.ends.partition_point(|end| *end <= offset);
        let touched = self.extents.iter().zip(&self.ends).skip(first);
        let mut touched = touched.take_while(|(extent, last)| *last - extent.len() < end);
        touched.any(|(extent, _)| matches!(extent, Extent::Generated { .. }))
    }

    /// Opens all sources, so that the versions found now stay readable even if another process replaces the
    /// files.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when a source was replaced before it was first opened.
    pub fn open(&self) -> Result<()> {
        self.sources().iter().try_for_each(|source| source.open())
    }

    /// The sources of all extents. A source may occur more than once.
    pub fn sources(&self) -> Vec<Arc<Source>> {
        self.extents.iter().flat_map(Extent::sources).collect()
    }

    /// The `length` bytes from `offset` on as mapped memory, for passing them to the kernel without
    /// touching them. `None` unless they all lie in one mapped source.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the source has become shorter.
    pub fn mapped(&self, offset: u64, length: usize) -> Result<Option<Mapped>> {
        match self.run_at(offset) {
            Some(run) if length as u64 <= run.length => run.source.mapped(run.offset, length),
            _ => Ok(None),
        }
    }

    /// The longest run of bytes from `offset` on that is stored contiguously in one source.
    pub fn run_at(&self, offset: u64) -> Option<ByteRange<'_>> {
        let (extent, start) = self.find(offset)?;
        extent.run_at(offset - start)
    }

    /// Blocks of 512 bytes on the disk, as `stat` reports them: those of the source, or one block for any
    /// computed file. Computed bytes take no disk space, but some tools treat a file with no blocks as all
    /// holes.
    pub fn blocks(&self) -> u64 {
        match self.run_at(0) {
            Some(run) if run.length == self.len() => run.blocks(),
            _ => u64::from(!self.is_empty()),
        }
    }

    /// The first offset at or after `offset` with data, or in a hole, as `lseek` finds it. `None` where
    /// there is none. The holes are those of the sources, and the end of the file.
    ///
    /// # Errors
    ///
    /// Like [`Source::seek`].
    pub fn seek(&self, offset: u64, whence: Whence) -> Result<Option<u64>> {
        let mut at = offset;
        while let Some((extent, start)) = self.find(at) {
            let found = start + extent.seek(at - start, whence)?;
            let end = start + extent.len();
            if found < end {
                return Ok(Some(found));
            }
            at = end;
        }
        Ok((whence == Whence::Hole && offset < self.len()).then_some(self.len()))
    }

    /// Fills `buffer` with the bytes from `offset` on, up to the end of the file. Returns their number,
    /// which is always [`available`](Self::available): there are no short reads before the end.
    ///
    /// # Errors
    ///
    /// Errors from reading the extents. The content of `buffer` is then unspecified.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let wanted = self.available(offset, buffer.len());
        self.read_exact_at(offset, &mut buffer[..wanted])?;
        Ok(wanted)
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// Like [`read_at`](Self::read_at), and [`Error::Short`] when the file ends before the buffer is full.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset.saturating_add(filled as u64);
            let (extent, start) =
                self.find(at).ok_or_else(|| self.short(offset.saturating_add(buffer.len() as u64)))?;
            let left = start + extent.len() - at;
            let take = to_usize(left).min(buffer.len() - filled);
            extent.read_at(at - start, &mut buffer[filled..filled + take])?;
            filled += take;
        }
        Ok(())
    }

    fn short(&self, expected: u64) -> Error {
        let sources = self.sources();
        let path = sources.first().map(|source| source.name().to_owned()).unwrap_or_default();
        Error::Short { path, expected, found: self.len() }
    }

    /// The number of bytes that a read of `length` bytes at `offset` returns.
    pub fn available(&self, offset: u64, length: usize) -> usize {
        let left = self.len().saturating_sub(offset);
        to_usize(left).min(length)
    }

    /// The extent that contains the byte at `offset`, and the offset where it starts.
    fn find(&self, offset: u64) -> Option<(&Extent, u64)> {
        let i = self.ends.partition_point(|end| *end <= offset);
        let extent = self.extents.get(i)?;
        Some((extent, self.ends[i] - extent.len()))
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Counting;

    impl Generate for Counting {
        fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
            out.put_items(1, 300, &mut |first, bytes| {
                for (i, byte) in (first..).zip(&mut *bytes) {
                    *byte = i as u8;
                }
                Ok(bytes.len() as u64)
            })
        }

        fn sources(&self) -> Vec<Arc<Source>> {
            Vec::new()
        }
    }

    fn mixed() -> (VirtualFile, Vec<u8>) {
        let literal: Vec<u8> = b"header".to_vec();
        let counting = Extent::Generated { content: Arc::new(Counting), length: 300 };
        let extents = [
            Extent::Zeros(0),
            Extent::Literal(literal.clone().into()),
            Extent::Zeros(7),
            counting,
            Extent::Literal(b"end".to_vec().into()),
        ];
        let bytes = [literal, vec![0; 7], (0..300).map(|i| i as u8).collect(), b"end".to_vec()].concat();
        (VirtualFile::new(extents).unwrap(), bytes)
    }

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0u64..340, length in 0usize..340) {
            let (file, bytes) = mixed();
            prop_assert_eq!(file.len(), bytes.len() as u64);
            let mut buffer = vec![0xAA; length];
            let filled = file.read_at(offset, &mut buffer).unwrap();
            let expected = bytes.iter().skip(offset as usize).take(length).copied().collect::<Vec<_>>();
            prop_assert_eq!(&buffer[..filled], &expected[..]);
        }
    }

    #[test]
    fn a_file_that_no_offset_could_reach_is_refused() {
        let half = i64::MAX as u64 / 2 + 1;
        assert!(VirtualFile::new([Extent::Zeros(half), Extent::Zeros(half)]).is_err());
        assert!(VirtualFile::new([Extent::Zeros(u64::MAX)]).is_err());
        assert!(VirtualFile::new([]).unwrap().is_empty());
    }
}
