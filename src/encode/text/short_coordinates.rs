//! The elements of a matrix as lines of three numbers, written as short as possible.

use std::sync::Arc;

use super::blocks;
use super::coordinates::Coordinates;
use super::short::Text;
use crate::array::selection::{Component, Selection};
use crate::bytes::text_index::{Key, Offsets};
use crate::bytes::virtual_file::{Fill, Generate};
use crate::error::Result;
use crate::store::source::Source;

/// [`Coordinates`] as short text.
pub struct ShortCoordinates {
    of: Coordinates,
    separator: u8,
    offsets: Arc<Offsets>,
}

impl ShortCoordinates {
    /// The elements of the selected rows of a sparse matrix, with rows and columns counted from 0.
    ///
    /// # Errors
    ///
    /// Errors from reading the elements. This reads all of them, unless their offsets are cached.
    pub fn new(selection: &Selection, of: Coordinates, separator: u8) -> Result<Self> {
        let measure = |first, last, size, out: &mut Vec<u64>| measure(&of, first..last, size, out);
        let all = || Offsets::measure(of.count(), &measure);
        let array = selection.array();
        // Do not cache offsets of an array that is still being written: they may be outdated at once.
        let offsets = match array.is_settled() {
            false => Arc::new(all()?),
            true => {
                let key = Key { what: Component::Matrix.name(), rows: selection.rows(), column: None };
                array.offsets.get_or_measure(key, || {
                    let offsets = all()?;
                    // Otherwise the offsets might mix two versions.
                    of.sources().iter().try_for_each(|source| source.check_unchanged())?;
                    Ok(offsets)
                })?
            }
        };
        Ok(Self { of, separator, offsets })
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.offsets.before(self.offsets.blocks())
    }
}

/// Appends the text length of each `size` lines.
fn measure(of: &Coordinates, lines: std::ops::Range<u64>, size: u64, lengths: &mut Vec<u64>) -> Result<()> {
    let (mut reader, mut text, mut at) = (of.reader(lines.end), Text::default(), lines.start);
    while at < lines.end {
        let end = lines.end.min(at + size);
        text.clear();
        reader.append(at, end - at, b',', &mut text)?;
        lengths.push(text.bytes().len() as u64);
        at = end;
    }
    Ok(())
}

impl Generate for ShortCoordinates {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let (offsets, start) = (&*self.offsets, |block| self.offsets.before(block));
        let last = blocks::find(offsets.blocks(), &start, out.end().saturating_sub(1));
        let mut reader = self.of.reader(offsets.cell(last + 1));
        blocks::put(self, out, offsets.blocks(), &start, &mut |block, text| {
            let (first, end) = (offsets.cell(block), offsets.cell(block + 1));
            reader.append(first, end - first, self.separator, text)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.of.sources()
    }
}
