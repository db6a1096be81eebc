//! Reads text in blocks of different lengths.
//!
//! A block is found by binary search and always generated as a whole. If its length is not the one measured
//! before, the data has changed. The read then fails, instead of returning text that is shifted.

use super::short::Text;
use crate::bytes::virtual_file::{Fill, Generate};
use crate::error::{Error, Result};

/// The block that contains the byte at `offset`. `start` gives the offset of each of the `blocks`.
pub(super) fn find(blocks: u64, start: &dyn Fn(u64) -> u64, offset: u64) -> u64 {
    let (mut low, mut high) = (0, blocks);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if start(middle) <= offset { low = middle } else { high = middle }
    }
    low
}

/// Writes the wanted blocks to `out`. `make` appends the text of one block.
///
/// # Errors
///
/// Errors of `make`, and [`Error::Stale`] when a block does not have its measured length.
pub(super) fn put(
    of: &dyn Generate,
    out: &mut Fill<'_>,
    blocks: u64,
    start: &dyn Fn(u64) -> u64,
    make: &mut dyn FnMut(u64, &mut Text) -> Result<()>,
) -> Result<()> {
    let first = find(blocks, start, out.wanted());
    out.seek(start(first))?;
    let mut text = Text::default();
    for block in first..blocks {
        if out.is_full() {
            break;
        }
        text.clear();
        make(block, &mut text)?;
        if text.bytes().len() as u64 != start(block + 1) - start(block) {
            let source = of.sources().first().map(|source| source.name().to_owned());
            return Err(Error::Stale { path: source.unwrap_or_default() });
        }
        out.put(text.bytes());
    }
    Ok(())
}
