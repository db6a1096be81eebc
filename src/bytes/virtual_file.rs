//! A virtual file: a list of extents whose lengths are known without touching the data.
//!
//! Extents are checked and summed once, where the file is made, so that its size and its bytes
//! cannot disagree.

mod fill;
mod part;
mod repeated;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::store::source::{Mapped, Run, Source, Whence};

pub use fill::{Fill, Make, read_at};
pub use repeated::{Piece, Repeated};

/// Content that is computed as it is read.
pub trait Generate: Send + Sync {
    /// Gives the bytes to `out`, which tells where in the content those are that are wanted, until it is full.
    /// What does not give them all fails, whatever it returns.
    ///
    /// # Errors
    ///
    /// Whatever reading the sources gives, or what the data turned out to be.
    fn fill(&self, out: &mut Fill<'_>) -> Result<()>;

    /// The files that are read.
    fn sources(&self) -> Vec<Arc<Source>>;

    /// The bytes from `offset` on, as far as they stand unchanged in one file; none where they are made.
    /// What puts the store's bytes between its own tells it here, so that these need not be copied.
    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        let _ = offset;
        None
    }
}

/// A run of bytes of a virtual file.
#[derive(Clone)]
pub enum Extent {
    /// These very bytes.
    Literal(Arc<[u8]>),
    /// Bytes of a file, untouched.
    Slice {
        /// The file.
        source: Arc<Source>,
        /// First byte in it.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// So many zeros.
    Zeros(u64),
    /// Bytes made as they are read.
    Generated {
        /// What makes them.
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

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match self {
            Self::Literal(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
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

    fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        match self {
            Self::Slice { source, offset: first, length } => {
                Some(Run { source, offset: first + offset, length: length - offset })
            }
            Self::Generated { content, .. } => content.run_at(offset),
            Self::Literal(_) | Self::Zeros(_) => None,
        }
    }

    /// As [`Source::seek`]: what is not the store's is data.
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

/// A file made of extents, one after the other.
#[derive(Clone, Debug, Default)]
pub struct VirtualFile {
    extents: Vec<Extent>,
    /// Where each extent ends.
    ends: Vec<u64>,
}

impl VirtualFile {
    /// The extents in this order; empty ones are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the sum of the lengths is beyond what a file can have.
    pub fn new(extents: impl IntoIterator<Item = Extent>) -> Result<Self> {
        let mut file = Self::default();
        for extent in extents.into_iter().filter(|extent| !extent.is_empty()) {
            let end = file.len().checked_add(extent.len()).filter(|end| i64::try_from(*end).is_ok());
            file.ends.push(end.ok_or_else(|| Error::refused("", "more bytes than a file can have"))?);
            file.extents.push(extent);
        }
        Ok(file)
    }

    /// A file of these very bytes.
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

    /// The extents, for a view that puts others around them.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The file of a store that this one is, byte for byte, if it is one.
    pub fn whole_source(&self) -> Option<&Arc<Source>> {
        match self.extents.as_slice() {
            [Extent::Slice { source, offset: 0, length }] if *length == source.len() => Some(source),
            _ => None,
        }
    }

    /// Whether some of the `length` bytes from `offset` on have to be computed.
    pub fn is_generated(&self, offset: u64, length: usize) -> bool {
        let end = offset.saturating_add(length as u64);
        let first = self.ends.partition_point(|end| *end <= offset);
        let touched = self.extents.iter().zip(&self.ends).skip(first);
        let mut touched = touched.take_while(|(extent, last)| *last - extent.len() < end);
        touched.any(|(extent, _)| matches!(extent, Extent::Generated { .. }))
    }

    /// Opens every file that will be read, so that the version which was found stays readable.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when one was replaced before it was first opened.
    pub fn open(&self) -> Result<()> {
        self.sources().iter().try_for_each(|source| source.open())
    }

    /// The files that are read; one may come more than once.
    pub fn sources(&self) -> Vec<Arc<Source>> {
        self.extents.iter().flat_map(Extent::sources).collect()
    }

    /// The bytes of the mapped file that are `length` bytes from `offset` on, to be passed to the
    /// kernel and not touched; none where they do not lie in one mapped slice.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file behind has shrunk.
    pub fn mapped(&self, offset: u64, length: usize) -> Result<Option<Mapped>> {
        match self.run_at(offset) {
            Some(run) if length as u64 <= run.length => run.source.mapped(run.offset, length),
            _ => Ok(None),
        }
    }

    /// The bytes from `offset` on, as far as they stand in one file.
    pub fn run_at(&self, offset: u64) -> Option<Run<'_>> {
        let (extent, start) = self.find(offset)?;
        extent.run_at(offset - start)
    }

    /// Blocks of 512 bytes that it takes on the disk: those of the store's bytes, or one for all that is made.
    pub fn blocks(&self) -> u64 {
        match self.run_at(0) {
            Some(run) if run.length == self.len() => run.blocks(),
            _ => u64::from(!self.is_empty()),
        }
    }

    /// Where data begin, or a hole, at `offset` or after it; none where there is no such place. Holes
    /// are those of the store's files, and what comes after the end.
    ///
    /// # Errors
    ///
    /// As [`Source::seek`].
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

    /// Fills `buffer` with the bytes from `offset` on, and returns how many there were: all that are
    /// [`available`](Self::available).
    ///
    /// # Errors
    ///
    /// Whatever reading the extents gives; then nothing of `buffer` is meant to be used.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let wanted = self.available(offset, buffer.len());
        self.read_exact_at(offset, &mut buffer[..wanted])?;
        Ok(wanted)
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at), and [`Error::Short`] where the file has not that many.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset.saturating_add(filled as u64);
            let (extent, start) =
                self.find(at).ok_or_else(|| self.short(offset.saturating_add(buffer.len() as u64)))?;
            let left = start + extent.len() - at;
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len() - filled);
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

    /// How many of `length` bytes from `offset` on the file has.
    pub fn available(&self, offset: u64, length: usize) -> usize {
        let left = self.len().saturating_sub(offset);
        usize::try_from(left).unwrap_or(usize::MAX).min(length)
    }

    /// The extent that holds the byte at `offset`, and where it starts.
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
