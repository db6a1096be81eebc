//! The length of text lines of equal width.

/// Length in bytes of `count` lines. `None` at or above 2^62, which leaves room for other content in the
/// file.
pub fn length_of(count: u64, width: usize) -> Option<u64> {
    count.checked_mul(width as u64).filter(|length| *length < 1 << 62)
}
