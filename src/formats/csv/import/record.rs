//! Splits lines into cells: quotes follow RFC 4180 (section 2), with any delimiter, or any number of blanks.

use std::borrow::Cow;
use std::collections::TryReserveError;

use crate::error;
use crate::import::Delimiter;
use crate::import::lines::{LONGEST, Lines, copied};
use crate::import::options::is_blank;

/// One row of the text. It spans several lines if line breaks are quoted.
#[derive(Debug, Default)]
pub(super) struct Record {
    bytes: Vec<u8>,
    /// Number of its first line.
    pub line: u64,
}

/// A cell of a record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell<'r> {
    /// The content, without quotes or surrounding blanks.
    pub text: Cow<'r, [u8]>,
    pub is_quoted: bool,
    /// Whether text follows the closing quote.
    pub is_open: bool,
}

impl Record {
    /// The text of a comment, to be read like a row.
    pub fn new(bytes: Vec<u8>, line: u64) -> Self {
        Self { bytes, line }
    }

    /// A copy. Running out of memory is an error, because the file determines the length.
    pub fn copied(&self) -> Result<Self, TryReserveError> {
        Ok(Self { bytes: copied(&self.bytes)?, line: self.line })
    }

    /// The bytes as they are in the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it contains only blanks.
    pub fn is_blank(&self, delimiter: Delimiter) -> bool {
        self.bytes
            .iter()
            .all(|byte| delimiter == Delimiter::Blanks && is_blank(*byte) || delimiter.is_padding(*byte))
    }

    /// Its cells. An empty record has one empty cell.
    pub fn cells(&self, delimiter: Delimiter) -> Cells<'_> {
        Cells { rest: Some(&self.bytes), delimiter }
    }
}

/// An iterator over the cells of a record.
pub(super) struct Cells<'r> {
    rest: Option<&'r [u8]>,
    delimiter: Delimiter,
}

impl<'r> Iterator for Cells<'r> {
    type Item = Cell<'r>;

    fn next(&mut self) -> Option<Cell<'r>> {
        let delimiter = self.delimiter;
        let mut rest = self.rest?;
        while let [first, after @ ..] = rest
            && (delimiter.is_padding(*first) || delimiter == Delimiter::Blanks && is_blank(*first))
        {
            rest = after;
        }
        let (cell, length) = match rest {
            [b'"', quoted @ ..] => quoted_cell(quoted, delimiter),
            _ => {
                let length = delimiter.find(rest);
                let text = trimmed(&rest[..length], delimiter).into();
                (Cell { text, is_quoted: false, is_open: false }, length)
            }
        };
        self.rest = rest.get(length + 1..);
        // Trailing blanks do not separate a further cell.
        if delimiter == Delimiter::Blanks
            && self.rest.is_some_and(|rest| rest.iter().all(|byte| is_blank(*byte)))
        {
            self.rest = None;
        }
        Some(cell)
    }
}

fn trimmed(mut cell: &[u8], delimiter: Delimiter) -> &[u8] {
    while let [before @ .., last] = cell
        && delimiter.is_padding(*last)
    {
        cell = before;
    }
    cell
}

/// Reads a cell after its opening quote. Returns the cell, and its length with both quotes. Text after the
/// closing quote belongs to the cell, as in other readers.
fn quoted_cell(quoted: &[u8], delimiter: Delimiter) -> (Cell<'_>, usize) {
    let mut text = Cow::Borrowed(&quoted[..0]);
    let mut at = 0;
    loop {
        let length = memchr::memchr(b'"', &quoted[at..]).unwrap_or(quoted.len() - at);
        append(&mut text, &quoted[at..at + length]);
        at += length + 1;
        match quoted.get(at) {
            Some(b'"') => {
                append(&mut text, b"\"");
                at += 1;
            }
            _ => break,
        }
    }
    let after = quoted.get(at..).unwrap_or_default();
    let length = delimiter.find(after);
    let behind = trimmed(&after[..length], delimiter);
    append(&mut text, behind);
    (Cell { text, is_quoted: true, is_open: !behind.is_empty() }, (at + length + 1).min(quoted.len() + 1))
}

/// Appends a piece to a cell. Most cells have only one piece, which is borrowed. If several are longer
/// together than any name or number, only the first bytes are kept, followed by a quote so that the cell
/// cannot pass as a number.
fn append<'t>(text: &mut Cow<'t, [u8]>, piece: &'t [u8]) {
    if text.is_empty() {
        *text = piece.into();
    } else if piece.is_empty() || text.len() > LONGEST_JOINED && text.ends_with(b"\"") {
        // The cell was cut already, or there is nothing to append.
    } else if text.len() + piece.len() <= LONGEST_JOINED {
        text.to_mut().extend_from_slice(piece);
    } else {
        let kept = text.len().min(LONGEST_JOINED);
        *text = [&text[..kept], &vec![b'"'; LONGEST_JOINED + 1 - kept]].concat().into();
    }
}

/// Limit on the bytes of a cell of several pieces.
const LONGEST_JOINED: usize = 64 << 10;

/// A reader of the records of a text.
pub(super) struct Records<'f> {
    lines: Lines<'f>,
    delimiter: Delimiter,
}

impl<'f> Records<'f> {
    pub fn new(lines: Lines<'f>, delimiter: Delimiter) -> Self {
        Self { lines, delimiter }
    }

    /// Reads the next record into `record`. Returns false at the end.
    pub fn next(&mut self, record: &mut Record) -> error::Result<bool> {
        record.bytes.clear();
        if !self.lines.next(&mut record.bytes)? {
            return Ok(false);
        }
        record.line = self.lines.number;
        let mut state = State::Start;
        let mut seen = 0;
        loop {
            state = state.after(&record.bytes[seen..], self.delimiter);
            if state != State::Quoted {
                return Ok(true);
            }
            seen = record.bytes.len();
            record.bytes.try_reserve(1).map_err(|_| self.lines.no_memory())?;
            record.bytes.push(b'\n');
            let first = record.line;
            if record.bytes.len() >= LONGEST || !self.lines.next(&mut record.bytes)? {
                self.lines.number = first;
                return Err(self.lines.refused("a quote that does not end"));
            }
        }
    }
}

/// The state of the parser, to know whether a quote is open at the end of a line.
#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Start,
    Plain,
    Quoted,
    /// After a quote inside quotes. It closes them, unless another one follows.
    Quote,
}

impl State {
    fn after(self, bytes: &[u8], delimiter: Delimiter) -> Self {
        if self != Self::Quoted && memchr::memchr(b'"', bytes).is_none() {
            return Self::Plain;
        }
        bytes.iter().fold(self, |state, byte| match (state, byte) {
            (Self::Start, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::Quote, b'"') => Self::Quoted,
            (_, byte) if delimiter.is(*byte) => Self::Start,
            (Self::Start, byte) if is_blank(*byte) => Self::Start,
            _ => Self::Plain,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn records(text: &str, delimiter: Delimiter) -> Vec<(u64, Vec<String>)> {
        let mut records = Records::new(Lines::of(Path::new("t"), text.as_bytes(), b'\n'), delimiter);
        let (mut found, mut record) = (Vec::new(), Record::default());
        while records.next(&mut record).unwrap() {
            let cells = record.cells(delimiter).map(|cell| {
                let text = String::from_utf8(cell.text.into_owned()).unwrap();
                if cell.is_quoted { format!("<{text}>") } else { text }
            });
            found.push((record.line, cells.collect()));
        }
        found
    }

    #[test]
    fn lines_are_cut_into_cells() {
        const COMMA: Delimiter = Delimiter::Byte(b',');
        const TAB: Delimiter = Delimiter::Byte(b'\t');
        let cases: [(&str, Delimiter, &[&[&str]]); 16] = [
            ("a,b\nc", COMMA, &[&["a", "b"], &["c"]]),
            ("a,b\r\n\r\n,\n", COMMA, &[&["a", "b"], &[""], &["", ""]]),
            (" a , b\t,c ", COMMA, &[&["a", "b", "c"]]),
            ("\"a,b\", \" c \" ,d\n", COMMA, &[&["<a,b>", "< c >", "d"]]),
            ("\"say \"\"hi\"\"\",\"\"\n", COMMA, &[&["<say \"hi\">", "<>"]]),
            ("\"\"\"\",5\"\n", COMMA, &[&["<\">", "5\""]]),
            ("\"two\nlines\",1\n2,3", COMMA, &[&["<two\nlines>", "1"], &["2", "3"]]),
            ("\"two\n\"\"lines\"\"\n\",1\n2,3", COMMA, &[&["<two\n\"lines\"\n>", "1"], &["2", "3"]]),
            ("\"a\"b,c\n", COMMA, &[&["<ab>", "c"]]),
            ("5\" pipe,1\n6\" pipe,2\n", COMMA, &[&["5\" pipe", "1"], &["6\" pipe", "2"]]),
            ("\t1\t\n\t\t", TAB, &[&["", "1", ""], &["", "", ""]]),
            ("a b\t 1 \n", TAB, &[&["a b", "1"]]),
            ("  1  2\t3 \n4 5 6\n", Delimiter::Blanks, &[&["1", "2", "3"], &["4", "5", "6"]]),
            ("\"a b\" \"c\"\n", Delimiter::Blanks, &[&["<a b>", "<c>"]]),
            ("\n  \n", Delimiter::Blanks, &[&[""], &[""]]),
            ("", COMMA, &[]),
        ];
        for (text, delimiter, wanted) in cases {
            let found: Vec<_> = records(text, delimiter).into_iter().map(|(_, cells)| cells).collect();
            assert_eq!(found, wanted, "{text:?}");
        }
        let numbers: Vec<_> = records("a\n\"b\n\n\"\nc\n", COMMA).into_iter().map(|(line, _)| line).collect();
        assert_eq!(numbers, [1, 2, 5]);
    }

    #[test]
    fn a_quote_without_end_is_told_by_the_line_where_it_begins() {
        let text = b"a,b\n\"c,d\ne,f\n";
        let mut records = Records::new(Lines::of(Path::new("t"), text, b'\n'), Delimiter::Byte(b','));
        let mut record = Record::default();
        assert!(records.next(&mut record).unwrap());
        let error = records.next(&mut record).unwrap_err().to_string();
        assert_eq!(error, "t: line 2: a quote that does not end");
    }
}
