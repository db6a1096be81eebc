//! Blocks of cells whose text has different lengths: found by bisection, and made whole, so that a text that has
//! no longer the length it had is an error and never a shifted one.

use super::short::Text;
use crate::bytes::virtual_file::{Fill, Generate};
use crate::error::{Error, Result};

/// The block with the byte at `offset`, of so many of which each starts somewhere.
pub(super) fn find(blocks: u64, start: &dyn Fn(u64) -> u64, offset: u64) -> u64 {
    let (mut low, mut high) = (0, blocks);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if start(middle) <= offset { low = middle } else { high = middle }
    }
    low
}

/// Gives the blocks that are wanted; `make` appends the text of one.
///
/// # Errors
///
/// Those of `make`, and [`Error::Stale`] where a block has not the length that its start and end tell.
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
