//! The buffer of a read, as computed content sees it.
//!
//! Content writes its bytes in order, in whole items. [`Fill`] keeps the part that was asked for and counts
//! it. So no read succeeds with bytes that were never written, such as old content of the buffer.

use super::{Generate, VirtualFile};
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::word::to_usize;

/// Writes whole items to a buffer, starting with the item of the given number. Returns how many it wrote;
/// this may be fewer than fit.
pub type Make<'m> = dyn FnMut(u64, &mut [u8]) -> Result<u64> + 'm;

/// The buffer of a read, to be filled from its start with one byte range of the content.
///
/// The content writes its bytes in order, starting anywhere at or before the wanted range. Bytes outside
/// the range are dropped. The `put_*` methods that take a source or a callback do not read or compute those
/// bytes.
pub struct Fill<'b> {
    of: &'b dyn Generate,
    buffer: &'b mut [u8],
    filled: usize,
    /// Offset in the content of the first byte of the buffer.
    offset: u64,
    /// Offset in the content of the byte that is written next.
    at: u64,
}

/// Fills `buffer` with the bytes of `content` from `offset` on.
///
/// # Errors
///
/// Errors from the content, and [`Error::Short`] when it writes too few bytes.
pub fn read_at(content: &dyn Generate, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let mut out = Fill { of: content, buffer, filled: 0, offset, at: 0 };
    content.fill(&mut out)?;
    // Do not trust `Ok`: a bug in a format, or a source that shrank, must not expose old bytes of the
    // buffer.
    if out.is_full() { Ok(()) } else { Err(out.short()) }
}

impl Fill<'_> {
    /// Whether the buffer needs no more bytes.
    pub fn is_full(&self) -> bool {
        self.filled == self.buffer.len()
    }

    /// Offset in the content of the next byte that the buffer needs.
    pub fn wanted(&self) -> u64 {
        self.offset + self.filled as u64
    }

    /// Offset in the content where the wanted range ends.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.buffer.len() as u64)
    }

    /// Sets the offset in the content of the byte that is written next. It must not be after
    /// [`wanted`](Self::wanted).
    ///
    /// # Errors
    ///
    /// [`Error::Short`] when it is, because the bytes in between would be missing.
    pub fn seek(&mut self, at: u64) -> Result<()> {
        if at > self.wanted() && !self.is_full() {
            return Err(self.short());
        }
        self.at = at;
        Ok(())
    }

    /// For content made of items of `item` bytes: moves to the item that contains the wanted byte, and
    /// returns its number. That item must be written next.
    pub fn seek_item(&mut self, item: u64) -> u64 {
        let number = self.wanted() / item;
        self.at = number * item;
        number
    }

    /// The number of items of `item` bytes still needed to fill the buffer.
    pub fn missing(&self, item: u64) -> u64 {
        if self.is_full() { 0 } else { self.end().saturating_sub(self.at).div_ceil(item) }
    }

    /// Whether any of the next `length` bytes is wanted. If not, skips them.
    pub fn wants(&mut self, length: u64) -> bool {
        let is_wanted = !self.is_full() && self.at.saturating_add(length) > self.wanted();
        if !is_wanted {
            self.at = self.at.saturating_add(length);
        }
        is_wanted
    }

    /// Writes these bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        let give = |skip: u64, room: &mut [u8]| {
            let skip = to_usize(skip);
            room.copy_from_slice(&bytes[skip..skip + room.len()]);
            Ok(())
        };
        // The closure never fails.
        let _: Result<()> = self.give(bytes.len() as u64, give);
    }

    /// Like [`put`](Self::put), for content that loops until the buffer is full.
    ///
    /// # Errors
    ///
    /// [`Error::Short`] when none of the bytes is wanted, because the loop would then never end.
    pub fn put_some(&mut self, bytes: &[u8]) -> Result<()> {
        let before = self.filled;
        self.put(bytes);
        if self.filled == before { Err(self.short()) } else { Ok(()) }
    }

    /// Writes `count` zero bytes.
    pub fn put_zeros(&mut self, count: u64) {
        let give = |_, room: &mut [u8]| {
            room.fill(0);
            Ok(())
        };
        let _: Result<()> = self.give(count, give);
    }

    /// Writes `length` bytes of a source, from `offset` on.
    ///
    /// # Errors
    ///
    /// Like [`Source::read_exact_at`].
    pub fn put_source(&mut self, source: &Source, offset: u64, length: u64) -> Result<()> {
        self.give(length, |skip, room| source.read_exact_at(room, offset + skip))
    }

    /// Writes `length` bytes of a virtual file, from `offset` on.
    ///
    /// # Errors
    ///
    /// Like [`VirtualFile::read_exact_at`].
    pub fn put_file(&mut self, file: &VirtualFile, offset: u64, length: u64) -> Result<()> {
        self.give(length, |skip, room| file.read_exact_at(offset + skip, room))
    }

    /// Writes `count` items of `item` bytes. `make` writes them directly to the buffer, except for an item
    /// of which only a part is wanted. It may be called any number of times.
    ///
    /// # Errors
    ///
    /// Errors from `make`, and [`Error::Short`] when it makes no items.
    pub fn put_items(&mut self, item: u64, count: u64, make: &mut Make<'_>) -> Result<()> {
        let start = self.at;
        let mut next = (self.wanted().saturating_sub(start) / item).min(count);
        self.at = start + next * item;
        while next < count && !self.is_full() {
            let width = size(item);
            let fit = ((self.buffer.len() - self.filled) as u64 / item).min(count - next);
            // `min(fit)`: a wrong count from `make` must not make bytes count as filled that it had no room
            // for.
            let made = if self.at == self.wanted() && fit > 0 {
                let room = self.filled..self.filled + size(fit * item);
                let made = make(next, &mut self.buffer[room])?.min(fit);
                self.filled += size(made * item);
                self.at += made * item;
                made
            } else {
                // Only a part of this item is wanted: make it whole elsewhere, and copy that part.
                let mut whole = vec![0; width];
                let made = make(next, &mut whole)?.min(1);
                if made > 0 {
                    self.put(&whole);
                }
                made
            };
            if made == 0 {
                return Err(self.short());
            }
            next += made;
        }
        self.at = start.saturating_add(count.saturating_mul(item)).max(self.at);
        Ok(())
    }

    /// Like [`put_items`](Self::put_items), for a `make` that is expensive to call: calls it only once, for
    /// all wanted items.
    ///
    /// # Errors
    ///
    /// Errors from `make`, and [`Error::Short`] when it makes fewer items.
    pub fn put_items_at_once(&mut self, item: u64, count: u64, make: &mut Make<'_>) -> Result<()> {
        let start = self.at;
        let first = (self.wanted().saturating_sub(start) / item).min(count);
        let last = self.end().saturating_sub(start).div_ceil(item).min(count);
        if self.is_full() || first >= last {
            self.at = start.saturating_add(count.saturating_mul(item));
            return Ok(());
        }
        // The range consists of whole items, so there is no need for a second buffer.
        if start + first * item == self.wanted() && start + last * item == self.end() {
            return self.put_items(item, count, make);
        }
        let mut whole = vec![0; size((last - first) * item)];
        if make(first, &mut whole)? < last - first {
            return Err(self.short());
        }
        self.at = start + first * item;
        self.put(&whole);
        self.at = start.saturating_add(count.saturating_mul(item));
        Ok(())
    }

    /// Calls `give` to fill the wanted part of the next `length` bytes. Its first argument is the number of
    /// bytes before that part.
    fn give(&mut self, length: u64, give: impl FnOnce(u64, &mut [u8]) -> Result<()>) -> Result<()> {
        if !self.wants(length) {
            return Ok(());
        }
        let skip = self.wanted() - self.at;
        let take = size(length - skip).min(self.buffer.len() - self.filled);
        give(skip, &mut self.buffer[self.filled..self.filled + take])?;
        self.filled += take;
        self.at += length;
        Ok(())
    }

    /// The error for content that ends before the wanted range does.
    pub fn short(&self) -> Error {
        let sources = self.of.sources();
        let path = sources.first().map(|source| source.name().to_owned()).unwrap_or_default();
        Error::Short { path, expected: self.end(), found: self.wanted() }
    }
}

/// A size in memory. Saturates, so that an impossible size fails in the allocator or in slice indexing.
fn size(bytes: u64) -> usize {
    to_usize(bytes)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::bytes::virtual_file::Extent;

    /// What the buffer held before; no read may return it.
    const OLD: u8 = 0xEE;
    const LENGTH: u64 = 240;

    fn byte(i: u64) -> u8 {
        (i % 199) as u8
    }

    fn bytes(from: u64, to: u64) -> Vec<u8> {
        (from..to).map(byte).collect()
    }

    /// Content that claims to have [`LENGTH`] bytes, but writes only the first `has`, in one of several
    /// ways.
    struct Giver<G>(G);

    impl<G: Fn(&mut Fill<'_>) -> Result<()> + Send + Sync> Generate for Giver<G> {
        fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
            (self.0)(out)
        }

        fn sources(&self) -> Vec<Arc<Source>> {
            Vec::new()
        }
    }

    type Way = Box<dyn Fn(&mut Fill<'_>) -> Result<()> + Send + Sync>;

    fn make(item: u64, has: u64, most: u64) -> impl FnMut(u64, &mut [u8]) -> Result<u64> {
        move |first, room: &mut [u8]| {
            let count = (room.len() as u64 / item).min(most).min((has / item).saturating_sub(first));
            for (i, byte) in (first * item..).zip(&mut room[..(count * item) as usize]) {
                *byte = self::byte(i);
            }
            Ok(count)
        }
    }

    fn ways(has: u64) -> Vec<(&'static str, Way)> {
        let part = VirtualFile::literal(bytes(0, has));
        vec![
            (
                "one put",
                Box::new(move |out| {
                    out.put(&bytes(0, has));
                    Ok(())
                }),
            ),
            (
                "many puts",
                Box::new(move |out| {
                    (0..has).step_by(7).for_each(|i| out.put(&bytes(i, has.min(i + 7))));
                    Ok(())
                }),
            ),
            (
                "from the wanted item on",
                Box::new(move |out| {
                    while !out.is_full() {
                        let first = out.seek_item(6) * 6;
                        out.put_some(&bytes(first.min(has), has.min(first + 12)))?;
                    }
                    Ok(())
                }),
            ),
            (
                "from a place",
                Box::new(move |out| {
                    let first = out.wanted() / 10 * 10;
                    out.seek(first)?;
                    out.put(&bytes(first.min(has), has));
                    Ok(())
                }),
            ),
            ("items", Box::new(move |out| out.put_items(8, LENGTH / 8, &mut make(8, has, 3)))),
            (
                "items at once",
                Box::new(move |out| out.put_items_at_once(8, LENGTH / 8, &mut make(8, has, 100))),
            ),
            ("a file", Box::new(move |out| out.put_file(&part, 0, LENGTH))),
            (
                "pieces",
                Box::new(move |out| {
                    out.put(&bytes(0, 8));
                    out.put_items(8, 12, &mut |first, room| make(8, has, 2)(first + 1, room))?;
                    out.put_items_at_once(8, 3, &mut |first, room| make(8, has, 100)(first + 13, room))?;
                    if out.wants(8) {
                        out.put(&bytes(128.min(has), 136.min(has)));
                    }
                    out.put(&bytes(136.min(has), has));
                    Ok(())
                }),
            ),
        ]
    }

    fn file(way: Way) -> VirtualFile {
        VirtualFile::new([Extent::Generated { content: Arc::new(Giver(way)), length: LENGTH }]).unwrap()
    }

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0..LENGTH, length in 0..LENGTH) {
            for (name, way) in ways(LENGTH) {
                let mut buffer = vec![OLD; length as usize];
                let filled = file(way).read_at(offset, &mut buffer).unwrap();
                prop_assert_eq!(&buffer[..filled], &bytes(offset, LENGTH.min(offset + length))[..], "{}", name);
                prop_assert_eq!(filled as u64, length.min(LENGTH - offset));
            }
        }

        #[test]
        fn what_is_too_short_is_an_error_and_never_old_bytes(
            offset in 0..LENGTH, length in 0..LENGTH, has in (0..LENGTH / 8).prop_map(|items| items * 8),
        ) {
            for (name, way) in ways(has) {
                let mut buffer = vec![OLD; length as usize];
                let end = LENGTH.min(offset + length);
                match file(way).read_at(offset, &mut buffer) {
                    Ok(filled) => {
                        prop_assert_eq!(&buffer[..filled], &bytes(offset, end)[..], "{}", name);
                        prop_assert!(end <= has || filled == 0, "{} of {}: {}..{}", name, has, offset, end);
                    }
                    Err(Error::Short { expected, found, .. }) => {
                        prop_assert!(end > has && found < expected, "{} of {}: {}..{}", name, has, offset, end);
                    }
                    Err(other) => prop_assert!(false, "{other}"),
                }
            }
        }
    }

    #[test]
    fn what_leaves_a_gap_or_gives_nothing_is_an_error() {
        let ways: [(&str, Way); 4] = [
            ("nothing", Box::new(|_| Ok(()))),
            (
                "a gap",
                Box::new(|out| {
                    out.seek(out.wanted() + 1)?;
                    out.put(&[0; 300]);
                    Ok(())
                }),
            ),
            ("no items", Box::new(|out| out.put_items(4, u64::MAX, &mut |_, _| Ok(0)))),
            (
                "no end",
                Box::new(|out| {
                    loop {
                        out.put_some(&[])?;
                    }
                }),
            ),
        ];
        for (name, way) in ways {
            let mut buffer = [OLD; 20];
            let read = file(way).read_at(3, &mut buffer);
            assert!(matches!(read, Err(Error::Short { expected: 23, found: 3, .. })), "{name}: {read:?}");
        }
    }

    #[test]
    fn a_count_beyond_the_room_is_not_believed() {
        let way: Way = Box::new(|out| {
            out.put_items(4, 5, &mut |_, room| {
                room.fill(1);
                Ok(u64::MAX)
            })
        });
        let mut buffer = [OLD; 20];
        file(way).read_exact_at(0, &mut buffer).unwrap();
        assert_eq!(buffer, [1; 20]);
        let way: Way = Box::new(|out| {
            out.put_items(4, 4, &mut |_, room| {
                room.fill(1);
                Ok(u64::MAX)
            })
        });
        assert!(matches!(file(way).read_at(0, &mut buffer), Err(Error::Short { .. })));
    }

    #[test]
    fn of_what_is_not_wanted_nothing_is_made() {
        let way: Way = Box::new(|out| {
            out.put_items(4, 10, &mut |_, _| panic!("before"))?;
            out.put_file(&VirtualFile::default(), 0, 10)?;
            out.put(&[7; 4]);
            out.put_items_at_once(4, 10, &mut |_, _| panic!("after"))
        });
        let mut buffer = [OLD; 4];
        file(way).read_exact_at(50, &mut buffer).unwrap();
        assert_eq!(buffer, [7; 4]);
    }

    #[test]
    fn a_file_has_what_it_has() {
        let file = VirtualFile::literal([1, 2, 3]);
        assert_eq!(file.read_at(2, &mut [OLD; 9]).unwrap(), 1);
        assert_eq!(file.read_at(u64::MAX, &mut [OLD; 9]).unwrap(), 0);
        let short = file.read_exact_at(2, &mut [OLD; 2]);
        assert!(matches!(short, Err(Error::Short { expected: 4, found: 3, .. })), "{short:?}");
    }
}
