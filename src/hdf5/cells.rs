//! Names as cells of one width: the n-th stands at n times the width.

use std::io::Write;
use std::sync::Arc;

use crate::error::Result;
use crate::names::Labels;
use crate::select::Rows;
use crate::source::Source;
use crate::vfile::Generate;

/// A name for each of some rows, UTF-8, zeros after it.
pub(super) struct Cells {
    pub rows: Rows,
    /// Bytes of a cell: no name is longer.
    pub width: usize,
    pub text: Text,
}

/// What is in the cell of a row.
pub(super) enum Text {
    /// Its name; these are the names of all rows of the array.
    Names(Arc<Labels>),
    /// Its number in the array, counted from 0.
    Numbers,
    /// The same for all.
    Word(&'static str),
}

/// Digits of the largest number there is.
const DIGITS: usize = 20;

impl Cells {
    /// Fills one cell, or the part of it from `skip` on.
    fn fill(&self, row: u64, skip: usize, out: &mut [u8]) {
        let mut digits = [0; DIGITS];
        let name = match &self.text {
            Text::Names(labels) => labels.get(row).as_bytes(),
            Text::Word(word) => word.as_bytes(),
            Text::Numbers => {
                let mut rest = &mut digits[..];
                write!(rest, "{row}").expect("the longest number fits");
                let left = rest.len();
                &digits[..DIGITS - left]
            }
        };
        let name = name.get(skip..).unwrap_or_default();
        let (text, zeros) = out.split_at_mut(name.len().min(out.len()));
        text.copy_from_slice(&name[..text.len()]);
        zeros.fill(0);
    }
}

impl Generate for Cells {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let width = self.width as u64;
        let (mut cell, within) = (offset / width, offset % width);
        let mut skip = usize::try_from(within).unwrap_or(0);
        let mut rest = buffer;
        while !rest.is_empty() {
            let (out, after) = rest.split_at_mut(rest.len().min(self.width - skip));
            self.fill(self.rows.row(cell), skip, out);
            (cell, skip, rest) = (cell + 1, 0, after);
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        Vec::new()
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_are_padded_with_zeros() {
        let cells = Cells { rows: Rows::parse(b"8:13:2", 20).unwrap(), width: 3, text: Text::Numbers };
        let mut bytes = [0xFF; 9];
        cells.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"8\0\x0010\x0012\0");
    }

    #[test]
    fn names_are_those_of_the_rows() {
        let labels: Labels = ["one", "zwei", "", "漢字", "five"].into_iter().collect();
        assert_eq!((labels.longest(), labels.bytes()), (6, 17));
        let rows = Rows::parse(b"1:4", 5).unwrap();
        let cells = Cells { rows, width: 6, text: Text::Names(Arc::new(labels)) };
        let mut bytes = [0xFF; 18];
        cells.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"zwei\0\0\0\0\0\0\0\0\xe6\xbc\xa2\xe5\xad\x97");
        let mut part = [0xFF; 4];
        cells.read_at(3, &mut part).unwrap();
        assert_eq!(&part, b"i\0\0\0");
    }

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0u64..4000, length in 0usize..4000) {
            let cells = Cells { rows: Rows::parse(b"::3", 3000).unwrap(), width: 4, text: Text::Numbers };
            let mut whole = vec![0xFF; 4000];
            cells.read_at(0, &mut whole).unwrap();
            let mut part = vec![0xFF; length.min(4000 - offset as usize)];
            cells.read_at(offset, &mut part).unwrap();
            prop_assert_eq!(&part[..], &whole[offset as usize..][..part.len()]);
        }
    }
}
