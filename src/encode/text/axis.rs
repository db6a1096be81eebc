//! The names of rows or columns as they appear in text formats.

use std::sync::Arc;

use super::short::Text;
use crate::array::names::AxisNames;
use crate::bytes::virtual_file::{Fill, Generate};
use crate::error::Result;
use crate::rows::{Rows, index_width};
use crate::store::source::Source;

/// The names of some rows, or of columns.
#[derive(Clone)]
pub struct Axis {
    names: Kind,
    /// The selected names.
    rows: Rows,
    /// For names with a step: the bytes before each name, and of all. Contiguous names need no sums, since
    /// the store knows where each starts.
    sums: Option<Arc<[u64]>>,
}

#[derive(Clone)]
enum Kind {
    /// Names from the store.
    Known(Arc<AxisNames>),
    /// A word and a number, zero-padded to this many digits.
    Numbered(&'static str, usize),
    /// A word and a number without padding.
    Counted(&'static str),
    /// A single name.
    Only(Arc<[u8]>),
}

impl Axis {
    /// The selected names from the store, quoted where necessary.
    pub fn known(axis_names: Arc<AxisNames>, rows: Rows) -> Self {
        let names = Kind::Known(axis_names);
        let sums = match &names {
            Kind::Known(axis_names) if !rows.is_contiguous() => Some(sums(axis_names, rows)),
            _ => None,
        };
        Self { names, rows, sums }
    }

    /// Names such as `row_017` for the selected rows of `count`.
    pub fn numbered(word: &'static str, count: u64, rows: Rows) -> Self {
        Self { names: Kind::Numbered(word, index_width(count)), rows, sums: None }
    }

    /// Names such as `c17` for `count` columns.
    pub fn counted(word: &'static str, count: u64) -> Self {
        Self { names: Kind::Counted(word), rows: Rows::all(count), sums: None }
    }

    /// One name, used as it is.
    pub fn only(name: impl Into<Arc<[u8]>>) -> Self {
        Self { names: Kind::Only(name.into()), rows: Rows::all(1), sums: None }
    }

    /// An axis with name `i` only.
    pub fn one(&self, i: u64) -> Self {
        let mut name = Vec::new();
        self.append(i, &mut name);
        Self::only(name)
    }

    /// The names of all columns except the last. `None` if there is only one.
    pub fn but_last(&self) -> Option<Self> {
        let count = self.count().checked_sub(1).filter(|count| *count > 0)?;
        Some(Self { names: self.names.clone(), rows: Rows::all(count), sums: None })
    }

    /// Number of names.
    pub fn count(&self) -> u64 {
        self.rows.count()
    }

    /// Bytes of all names before name `i`, which may be the number of names.
    pub fn before(&self, i: u64) -> u64 {
        match (&self.names, &self.sums) {
            (Kind::Numbered(word, digits), _) => i * (word.len() + digits) as u64,
            (Kind::Counted(word), _) => i * word.len() as u64 + digits_before(i),
            (Kind::Only(name), _) => i * name.len() as u64,
            (Kind::Known(_), Some(sums)) => {
                usize::try_from(i).ok().and_then(|i| sums.get(i)).copied().unwrap_or(0)
            }
            (Kind::Known(axis_names), None) => {
                let start = self.rows.start();
                axis_names.quoted_before(start + i) - axis_names.quoted_before(start)
            }
        }
    }

    /// Appends name `i` to `out`.
    pub fn write(&self, i: u64, out: &mut Text) {
        match &self.names {
            Kind::Only(name) => out.push(name),
            _ => {
                let mut name = Vec::new();
                self.append(i, &mut name);
                out.push(&name);
            }
        }
    }

    /// Like [`write`](Self::write), to a plain buffer.
    pub fn append(&self, i: u64, out: &mut Vec<u8>) {
        let row = self.rows.row(i);
        match &self.names {
            Kind::Known(axis_names) => axis_names.write_quoted(row, out),
            Kind::Counted(word) => out.extend_from_slice(format!("{word}{row}").as_bytes()),
            Kind::Only(name) => out.extend_from_slice(name),
            Kind::Numbered(word, digits) => out.extend_from_slice(format!("{word}{row:0digits$}").as_bytes()),
        }
    }

    /// The line that contains the byte at `offset`, if a line is a name and `more` other bytes.
    pub fn find(&self, offset: u64, more: u64) -> u64 {
        self.find_repeated(offset, 1, more)
    }

    /// Like [`find`](Self::find), if each line repeats its name `times` times.
    fn find_repeated(&self, offset: u64, times: u64, more: u64) -> u64 {
        let (mut low, mut high) = (0, self.count());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.before(middle) * times + middle * more <= offset {
                true => low = middle,
                false => high = middle,
            }
        }
        low
    }
}

/// Total digits of all numbers below `number`.
fn digits_before(number: u64) -> u64 {
    let longer = (1..20).map(|digits| number.saturating_sub(10u64.pow(digits)));
    number + longer.sum::<u64>()
}

fn sums(axis_names: &AxisNames, rows: Rows) -> Arc<[u64]> {
    let width = |i| axis_names.quoted_before(rows.row(i) + 1) - axis_names.quoted_before(rows.row(i));
    let mut sum = 0;
    let ends = (0..rows.count()).map(|i| {
        sum += width(i);
        sum
    });
    std::iter::once(0).chain(ends).collect()
}

/// A piece of each line of [`NameLines`].
#[derive(Clone, Copy)]
pub enum Piece {
    /// The name.
    Name,
    /// Constant text.
    Text(&'static str),
}

/// Lines built from the same pieces, each with another name.
pub struct NameLines {
    names: Axis,
    pieces: &'static [Piece],
}

impl NameLines {
    /// One line for each name.
    pub fn new(names: Axis, pieces: &'static [Piece]) -> Self {
        Self { names, pieces }
    }

    /// Length of all lines in bytes.
    pub fn length(&self) -> u64 {
        self.start(self.names.count())
    }

    /// The number of names in a line, and the number of its other bytes.
    fn parts(&self) -> (u64, u64) {
        self.pieces.iter().fold((0, 0), |(times, more), piece| match piece {
            Piece::Name => (times + 1, more),
            Piece::Text(text) => (times, more + text.len() as u64),
        })
    }

    fn start(&self, i: u64) -> u64 {
        let (times, more) = self.parts();
        self.names.before(i) * times + i * more
    }
}

impl Generate for NameLines {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let (times, more) = self.parts();
        let first = self.names.find_repeated(out.wanted(), times, more);
        out.seek(self.start(first))?;
        let mut line = Vec::new();
        for i in first..self.names.count() {
            if out.is_full() {
                break;
            }
            line.clear();
            for piece in self.pieces {
                match piece {
                    Piece::Name => self.names.append(i, &mut line),
                    Piece::Text(text) => line.extend_from_slice(text.as_bytes()),
                }
            }
            out.put(&line);
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::text;
    use super::*;
    use crate::bytes::virtual_file::{Extent, VirtualFile};

    fn lines(names: Axis) -> String {
        let lines = NameLines::new(names, &[Piece::Name, Piece::Text("\t"), Piece::Name, Piece::Text("\n")]);
        let length = lines.length();
        text(&VirtualFile::new([Extent::Generated { content: Arc::new(lines), length }]).unwrap())
    }

    #[test]
    fn lines_have_the_names_of_the_selected() {
        let axis_names = Arc::new(AxisNames::of(&["a", "b\tc", "", "long", "e"]));
        let known = |rows: &[u8]| lines(Axis::known(Arc::clone(&axis_names), Rows::parse(rows, 5).unwrap()));
        assert_eq!(known(b":"), "a\ta\n\"b\tc\"\t\"b\tc\"\n\"\"\t\"\"\nlong\tlong\ne\te\n");
        assert_eq!(known(b"1::3"), "\"b\tc\"\t\"b\tc\"\ne\te\n");
        assert_eq!(known(b"3:"), "long\tlong\ne\te\n");
        let counted = lines(Axis::counted("c", 1200));
        assert!(counted.starts_with("c0\tc0\n") && counted.contains("\nc10\tc10\nc11\t"), "{counted}");
        assert!(counted.ends_with("\nc999\tc999\n".replace("999", "1199").as_str()));
        assert_eq!(lines(Axis::known(Arc::clone(&axis_names), Rows::all(5)).one(1)), "\"b\tc\"\t\"b\tc\"\n");
        let numbered = Axis::numbered("row_", 11, Rows::parse(b"8:", 11).unwrap());
        assert_eq!(lines(numbered), "row_08\trow_08\nrow_09\trow_09\nrow_10\trow_10\n");
    }
}
