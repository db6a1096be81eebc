//! Names in cells of equal width: name `n` starts at `n` times the width.

use std::io::Write;
use std::sync::Arc;

use crate::array::names::AxisNames;
use crate::bytes::virtual_file::{Fill, Generate};
use crate::error::Result;
use crate::rows::Rows;
use crate::store::source::Source;

/// One zero-padded text for each of some rows.
pub(super) struct Cells {
    pub rows: Rows,
    /// Bytes of a cell. No text is longer.
    pub width: usize,
    pub text: Text,
}

/// The text of a row.
pub(super) enum Text {
    /// Its name in UTF-8. These are the names of all rows of the array.
    Names(Arc<AxisNames>),
    /// Its name in UTF-32.
    Wide(Arc<AxisNames>),
    /// Its number in the array, counted from 0.
    Numbers,
    /// The same word for all rows.
    Word(&'static str),
}

/// Digits of `u64::MAX`.
const DIGITS: usize = 20;

impl Generate for Cells {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let width = self.width as u64;
        let first = out.seek_item(width);
        for row in (first..self.rows.count()).map(|cell| self.rows.row(cell)) {
            if out.is_full() {
                break;
            }
            let mut digits = [0; DIGITS];
            let wide: Vec<u8>;
            let text = match &self.text {
                Text::Names(axis_names) => axis_names.get(row).as_bytes(),
                Text::Wide(axis_names) => {
                    wide = axis_names.get(row).chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
                    &wide
                }
                Text::Word(word) => word.as_bytes(),
                Text::Numbers => {
                    let mut rest = &mut digits[..];
                    write!(rest, "{row}").expect("the longest number fits");
                    let left = rest.len();
                    &digits[..DIGITS - left]
                }
            };
            out.put(text);
            out.put_zeros(width.saturating_sub(text.len() as u64));
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
    use crate::bytes::virtual_file::read_at;
    use proptest::prelude::*;

    #[test]
    fn cells_are_padded_with_zeros() {
        let cells = Cells { rows: Rows::parse(b"8:13:2", 20).unwrap(), width: 3, text: Text::Numbers };
        let mut bytes = [0xFF; 9];
        read_at(&cells, 0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"8\0\x0010\x0012\0");
    }

    #[test]
    fn names_are_those_of_the_rows() {
        let axis_names: AxisNames = ["one", "zwei", "", "漢字", "five"].into_iter().collect();
        assert_eq!((axis_names.longest(), axis_names.bytes()), (6, 17));
        let rows = Rows::parse(b"1:4", 5).unwrap();
        let cells = Cells { rows, width: 6, text: Text::Names(Arc::new(axis_names)) };
        let mut bytes = [0xFF; 18];
        read_at(&cells, 0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"zwei\0\0\0\0\0\0\0\0\xe6\xbc\xa2\xe5\xad\x97");
        let mut part = [0xFF; 4];
        read_at(&cells, 3, &mut part).unwrap();
        assert_eq!(&part, b"i\0\0\0");
    }

    #[test]
    fn wide_names_have_a_number_for_each_character() {
        let axis_names: AxisNames = ["é1", "漢"].into_iter().collect();
        let cells = Cells { rows: Rows::all(2), width: 8, text: Text::Wide(Arc::new(axis_names)) };
        let mut bytes = [0xFF; 16];
        read_at(&cells, 0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\xE9\0\0\x001\0\0\0\x22\x6F\0\0\0\0\0\0");
    }

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0u64..4000, length in 0usize..4000) {
            let cells = Cells { rows: Rows::parse(b"::3", 3000).unwrap(), width: 4, text: Text::Numbers };
            let mut whole = vec![0xFF; 4000];
            read_at(&cells, 0, &mut whole).unwrap();
            let mut part = vec![0xFF; length.min(4000 - offset as usize)];
            read_at(&cells, offset, &mut part).unwrap();
            prop_assert_eq!(&part[..], &whole[offset as usize..][..part.len()]);
        }
    }
}
