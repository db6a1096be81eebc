//! Pieces of text of one width, one after the other.

use crate::error::Result;

/// The most bytes that a line can have: two numbers, an element, what separates them.
const MOST: usize = 80;

/// Lines, or cells with what separates them, all of the same width; for one request, in rising order.
pub trait Lines {
    /// Bytes of each, at most [`MOST`].
    fn width(&self) -> usize;

    /// Fills `out`, which holds some of them whole, with those from number `first` on.
    ///
    /// # Errors
    ///
    /// Whatever reading the numbers gives.
    fn write(&mut self, first: u64, out: &mut [u8]) -> Result<()>;

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let width = self.width() as u64;
        let skip = usize::try_from(offset % width).unwrap_or(0);
        let mut first = offset / width;
        let mut rest = buffer;
        if skip > 0 {
            let (start, after) = rest.split_at_mut((self.width() - skip).min(rest.len()));
            self.write_part(first, skip, start)?;
            (first, rest) = (first + 1, after);
        }
        let whole = rest.len() / self.width();
        let (whole_lines, end) = rest.split_at_mut(whole * self.width());
        if !whole_lines.is_empty() {
            self.write(first, whole_lines)?;
        }
        if end.is_empty() { Ok(()) } else { self.write_part(first + whole as u64, 0, end) }
    }

    /// Fills `part` with the bytes of one line, without its first `skip`.
    fn write_part(&mut self, line: u64, skip: usize, part: &mut [u8]) -> Result<()> {
        let mut bytes = [0; MOST];
        debug_assert!(self.width() <= MOST, "a line is wider than can be");
        let bytes = &mut bytes[..self.width()];
        self.write(line, bytes)?;
        part.copy_from_slice(&bytes[skip..skip + part.len()]);
        Ok(())
    }
}

/// Bytes of so many lines of this width; none beyond what a file can have, with room for what is around.
pub fn length_of(count: u64, width: usize) -> Option<u64> {
    count.checked_mul(width as u64).filter(|length| *length < 1 << 62)
}
