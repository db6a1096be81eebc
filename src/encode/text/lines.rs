//! Pieces of text of one width, one after the other.

/// Bytes of so many lines of this width; none beyond what a file can have, with room for what is around.
pub fn length_of(count: u64, width: usize) -> Option<u64> {
    count.checked_mul(width as u64).filter(|length| *length < 1 << 62)
}
