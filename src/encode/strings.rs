//! Names as variable-length strings, each behind a header of fixed width. Several formats store arrays of
//! strings this way.
//!
//! ```text
//! header of name 0 | name 0 | header of name 1 | name 1 | …
//! ```
//!
//! The start of a name is the sum of the lengths before it. A binary search over these sums finds the name
//! at any offset, and no names are copied.

use std::fmt;
use std::sync::Arc;

use crate::array::names::AxisNames;
use crate::bytes::virtual_file::{Extent, Fill, Generate};
use crate::error::Result;
use crate::rows::Rows;
use crate::store::source::Source;

/// For rows with a step, one sum is kept for this many names, to limit memory.
const EVERY: u64 = 1024;

/// The names of the selected rows or columns, or their numbers if the store has no names.
#[derive(Clone)]
pub struct Strings {
    rows: Rows,
    axis_names: Option<Arc<AxisNames>>,
    /// For rows with a step: bytes of all names before every [`EVERY`]th. Contiguous rows need no sums,
    /// since the store knows where each name starts.
    sums: Arc<[u64]>,
}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Strings({:?})", self.rows)
    }
}

impl Strings {
    /// The names of `rows`, or the row numbers in decimal if `axis_names` is `None`.
    pub fn new(axis_names: Option<Arc<AxisNames>>, rows: Rows) -> Self {
        let mut strings = Self { rows, axis_names, sums: Arc::new([]) };
        if let (Some(axis_names), false) = (&strings.axis_names, rows.is_contiguous()) {
            let mut sum = 0;
            let mut sums = Vec::new();
            for i in 0..rows.count() {
                if i % EVERY == 0 {
                    sums.push(sum);
                }
                sum += axis_names.get(rows.row(i)).len() as u64;
            }
            strings.sums = sums.into();
        }
        strings
    }

    /// Number of names.
    pub fn count(&self) -> u64 {
        self.rows.count()
    }

    /// Bytes of the names before name `i`. `i` may be the number of names.
    fn before(&self, i: u64) -> u64 {
        match &self.axis_names {
            None => digits(self.rows, i),
            Some(axis_names) if self.rows.is_contiguous() => {
                axis_names.start(self.rows.row(i)) - axis_names.start(self.rows.start())
            }
            Some(axis_names) => {
                let near = (i / EVERY).min((self.sums.len() as u64).saturating_sub(1));
                let sum = usize::try_from(near).ok().and_then(|near| self.sums.get(near));
                let names = (near * EVERY..i).map(|i| axis_names.get(self.rows.row(i)).len() as u64);
                sum.copied().unwrap_or(0) + names.sum::<u64>()
            }
        }
    }

    fn push(&self, i: u64, out: &mut Vec<u8>) {
        let row = self.rows.row(i);
        match &self.axis_names {
            Some(axis_names) => out.extend_from_slice(axis_names.get(row).as_bytes()),
            None => out.extend_from_slice(row.to_string().as_bytes()),
        }
    }

    /// The names, each behind the output of `header` for its length. `header` must always write `width`
    /// bytes.
    pub fn extent(&self, width: u64, header: fn(u32, &mut Vec<u8>)) -> Extent {
        let length = self.before(self.count()) + self.count() * width;
        Extent::Generated { content: Arc::new(Run { strings: self.clone(), width, header }), length }
    }
}

/// Total number of decimal digits of the first `i` row numbers.
fn digits(rows: Rows, i: u64) -> u64 {
    let (start, step) = (rows.start(), rows.step());
    let mut sum = i;
    let mut power = 10u64;
    loop {
        // Numbers below the power have no digit at this place.
        let below = power.saturating_sub(start).div_ceil(step);
        if below >= i {
            return sum;
        }
        sum += i - below;
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return sum,
        }
    }
}

struct Run {
    strings: Strings,
    width: u64,
    header: fn(u32, &mut Vec<u8>),
}

impl Run {
    fn start(&self, i: u64) -> u64 {
        self.strings.before(i) + i * self.width
    }

    /// The last name that starts at or before `offset`.
    fn find(&self, offset: u64) -> u64 {
        let (mut low, mut high) = (0, self.strings.count());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.start(middle) <= offset {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl Generate for Run {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let first = self.find(out.wanted());
        out.seek(self.start(first))?;
        let (mut name, mut header) = (Vec::new(), Vec::new());
        for i in first..self.strings.count() {
            if out.is_full() {
                break;
            }
            name.clear();
            header.clear();
            self.strings.push(i, &mut name);
            (self.header)(u32::try_from(name.len()).unwrap_or(u32::MAX), &mut header);
            out.put(&header);
            out.put(&name);
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::virtual_file::VirtualFile;
    use proptest::prelude::*;

    fn header(length: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&length.to_le_bytes());
    }

    fn whole(names: impl IntoIterator<Item = String>) -> Vec<u8> {
        let item =
            |name: String| [&u32::try_from(name.len()).unwrap().to_le_bytes(), name.as_bytes()].concat();
        names.into_iter().flat_map(item).collect()
    }

    fn check(axis_names: Option<Arc<AxisNames>>, rows: Rows, offset: u64, length: usize, names: Vec<String>) {
        let file = VirtualFile::new([Strings::new(axis_names, rows).extent(4, header)]).unwrap();
        let expected = whole(names);
        assert_eq!(file.len(), expected.len() as u64);
        let mut buffer = vec![0xAA; length];
        let filled = file.read_at(offset, &mut buffer).unwrap();
        let start = usize::try_from(offset).unwrap().min(expected.len());
        assert_eq!(&buffer[..filled], &expected[start..expected.len().min(start + length)]);
    }

    proptest! {
        #[test]
        fn numbers_are_the_rows(start in 0u64..2000, step in 1u64..50, offset in 0u64..9000, length in 0usize..900) {
            let rows = Rows::parse(format!("{start}:{}:{step}", start + 1500).as_bytes(), 4000).unwrap();
            let names = (0..rows.count()).map(|i| rows.row(i).to_string()).collect();
            check(None, rows, offset, length, names);
        }

        #[test]
        fn names_are_the_labels(start in 0u64..20, step in 1u64..4, offset in 0u64..40_000, length in 0usize..900) {
            let names: Vec<String> = (0..4000).map(|i| "é".repeat(i % 7)).collect();
            let axis_names = Arc::new(names.iter().map(String::as_str).collect::<AxisNames>());
            let rows = Rows::parse(format!("{start}::{step}").as_bytes(), 4000).unwrap();
            let chosen = (0..rows.count()).map(|i| names[usize::try_from(rows.row(i)).unwrap()].clone());
            check(Some(axis_names), rows, offset, length, chosen.collect());
        }
    }

    #[test]
    fn the_largest_numbers_have_all_their_digits() {
        assert_eq!(digits(Rows::parse(b"9223372036854775806:", i64::MAX as u64).unwrap(), 1), 19);
        assert_eq!(digits(Rows::all(1_000_000_000_000), 11), 12);
        assert_eq!(digits(Rows::all(1000), 1000), 10 + 180 + 2700);
    }
}
