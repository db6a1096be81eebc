//! The width of a machine word: this program is for 64-bit machines.

const _: () = assert!(usize::BITS == 64, "sizes of arrays are counted in 64 bits");

/// A count or an offset as an index of memory, which has as many bits.
#[allow(clippy::cast_possible_truncation)] // asserted above
pub const fn to_usize(number: u64) -> usize {
    number as usize
}
