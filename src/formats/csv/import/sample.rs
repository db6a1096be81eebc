//! The first lines of a text, from which its dialect and its header are inferred.

use super::record::{Cell, Record, Records};
use crate::error::Result;
use crate::import::Delimiter;
use crate::import::lines::{Lines, copied};
use crate::import::number::{Numerals, Value};

/// Limits on the lines and bytes of the sample, and the number of lines it has at least, however long they
/// are.
const MOST_LINES: u64 = 1000;
const MOST_BYTES: usize = 1 << 20;
const LEAST_LINES: u64 = 3;
/// With more bytes than this, two lines are enough.
const MANY_BYTES: usize = 64 << 20;

/// The default comment marks: that of most programs, and that of GEO's series files.
const MARKS: [&str; 2] = ["#", "!"];

/// The comments before the table, and the first lines of the table.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// The table's first lines, each ended by a newline.
    text: Vec<u8>,
    /// Number of lines in the file before them.
    pub before: u64,
    /// The last comment before the table: its line and its text.
    pub comment: Option<(u64, Vec<u8>)>,
    /// Number of comments before the table, and the line of the first.
    pub comments: (u64, u64),
    /// Whether the file has more lines than the sample.
    is_cut: bool,
    /// The comment mark, if the user chose one.
    mark: Option<String>,
    /// Whether a line of the table begins with a comment mark.
    has_marks: bool,
}

impl Sample {
    /// Skips `skip` lines, then blank lines and comments, and takes the next lines.
    pub fn of(mut lines: Lines<'_>, mark: Option<&str>, skip: u64) -> Result<Self> {
        let mut sample = Self { mark: mark.map(str::to_owned), ..Self::default() };
        let mut line = Vec::new();
        while lines.next(&mut line)? {
            let is_before = sample.text.is_empty();
            if lines.number <= skip || is_before && line.iter().all(|byte| *byte == b' ') {
                sample.before = lines.number;
            } else if let Some(says) = comment(&line, mark).filter(|_| is_before) {
                let says = copied(says).map_err(|_| lines.no_memory())?;
                sample.comment = Some((lines.number, says));
                let (count, first) = sample.comments;
                sample.comments = (count + 1, if count == 0 { lines.number } else { first });
                sample.before = lines.number;
            } else {
                let taken = lines.number - sample.before;
                let bytes = sample.text.len() + line.len();
                sample.is_cut = taken > LEAST_LINES && (taken > MOST_LINES || bytes > MOST_BYTES)
                    || taken > 2 && bytes > MANY_BYTES;
                if sample.is_cut {
                    break;
                }
                sample.has_marks |= comment(&line, mark).is_some();
                sample.text.try_reserve(line.len() + 1).map_err(|_| lines.no_memory())?;
                sample.text.append(&mut line);
                sample.text.push(b'\n');
            }
            line.clear();
        }
        Ok(sample)
    }

    /// Whether this delimiter occurs in the sample.
    pub fn has(&self, delimiter: Delimiter) -> bool {
        delimiter.find(&self.text) < self.text.len()
    }

    /// Whether the file has only comments and empty lines.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether a record begins with a comment mark and is not a row of `width` cells.
    pub fn is_comment(&self, record: &Record, width: usize, rows: &MarkedRows<'_>) -> bool {
        let cells = || record.cells(rows.delimiter);
        comment(record.bytes(), self.mark.as_deref()).is_some()
            && (self.mark.is_some()
                || !rows.are_there
                || cells().count() != width
                || cells().skip(usize::from(width > 1)).any(|cell| rows.is_text(&cell)))
    }

    /// Whether rows may begin with a comment mark: if other lines begin with names, or if all lines have a
    /// mark.
    pub fn marked_rows<'o>(&self, delimiter: Delimiter, numerals: Numerals<'o>) -> MarkedRows<'o> {
        let mut rows = MarkedRows { delimiter, numerals, are_there: true };
        if !self.has_marks && !self.is_cut {
            return rows;
        }
        let (mut records, mut record) = (self.records(delimiter), Record::default());
        let begins = |record: &Record| record.cells(delimiter).next().map(|cell| numerals.value(&cell.text));
        let begins_above = records.next(&mut record).then(|| begins(&record)).flatten();
        let (mut has_names, mut has_others) = (false, false);
        while !has_names && records.next(&mut record) {
            if comment(record.bytes(), self.mark.as_deref()).is_none() {
                has_names = begins(&record) == Some(Value::Text);
                has_others = true;
            }
        }
        let is_name = |value| matches!(value, Some(Value::Text | Value::Missing));
        rows.are_there = has_names || !has_others && is_name(begins_above);
        rows
    }

    /// The records of the sample with this delimiter, without blank ones.
    pub fn records(&self, delimiter: Delimiter) -> SampleRecords<'_> {
        let lines = Lines::of(std::path::Path::new(""), &self.text, b'\n');
        SampleRecords { records: Records::new(lines, delimiter), delimiter, before: self.before }
    }
}

/// How to distinguish rows that begin with a comment mark from comments.
#[derive(Clone, Copy)]
pub(super) struct MarkedRows<'o> {
    delimiter: Delimiter,
    numerals: Numerals<'o>,
    /// Whether such rows are possible at all.
    pub are_there: bool,
}

impl MarkedRows<'_> {
    fn is_text(&self, cell: &Cell<'_>) -> bool {
        self.numerals.value(&cell.text) == Value::Text
    }
}

/// A reader of the records of a sample.
pub(super) struct SampleRecords<'s> {
    records: Records<'s>,
    delimiter: Delimiter,
    before: u64,
}

impl SampleRecords<'_> {
    /// Reads the next record into `record`. Returns false at the end, also if the sample ends inside a
    /// record.
    pub fn next(&mut self, record: &mut Record) -> bool {
        while self.records.next(record).unwrap_or(false) {
            record.line += self.before;
            if !record.is_blank(self.delimiter) {
                return true;
            }
        }
        false
    }
}

/// The text after the comment mark, if the line is a comment.
pub(super) fn comment<'l>(line: &'l [u8], mark: Option<&str>) -> Option<&'l [u8]> {
    let line = line.trim_ascii_start();
    let says = match mark {
        Some("") => None,
        Some(mark) => line.strip_prefix(mark.as_bytes()),
        None => MARKS.iter().find_map(|mark| line.strip_prefix(mark.as_bytes())),
    };
    let mut says = says?;
    // Repeated marks, as in `##`, belong to the mark.
    while let Some(rest) = says.strip_prefix(b"#") {
        says = rest;
    }
    Some(says)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_stands_before_the_table_is_no_part_of_it() {
        type Case = (&'static str, Option<&'static str>, u64, u64, Option<&'static str>, &'static str);
        let cases: [Case; 8] = [
            ("a,b\n1,2\n", None, 0, 0, None, "a,b\n1,2\n"),
            ("# x,y\n1,2\n# z\n", None, 0, 1, Some(" x,y"), "1,2\n# z\n"),
            ("\n\n## a\n#b\tc\n\n1\t2\n", None, 0, 5, Some("b\tc"), "1\t2\n"),
            (
                "!Series_title\t\"x\"\n\"ID_REF\"\t\"a\"\n",
                None,
                0,
                1,
                Some("Series_title\t\"x\""),
                "\"ID_REF\"\t\"a\"\n",
            ),
            ("% a\n1\n", None, 0, 0, None, "% a\n1\n"),
            ("% a\n# b\n1\n", Some("%"), 0, 1, Some(" a"), "# b\n1\n"),
            ("# a\n1\n", Some(""), 0, 0, None, "# a\n1\n"),
            ("title\n\nx\n1\n", None, 1, 2, None, "x\n1\n"),
        ];
        for (text, mark, skip, before, comment, table) in cases {
            let sample = Sample::of(Lines::of(Path::new("t"), text.as_bytes(), b'\n'), mark, skip).unwrap();
            let says = sample.comment.map(|(_, says)| String::from_utf8(says).unwrap());
            assert_eq!((sample.before, says.as_deref()), (before, comment), "{text:?}");
            assert_eq!(String::from_utf8(sample.text).unwrap(), table, "{text:?}");
        }
    }

    #[test]
    fn a_long_table_is_not_read_to_its_end() {
        let text = "1,2\n".repeat(5000);
        let sample = Sample::of(Lines::of(Path::new("t"), text.as_bytes(), b'\n'), None, 0).unwrap();
        assert!(sample.is_cut && sample.text.len() == 4000);
        let text = format!("{}\n", "1,".repeat(1 << 20)).repeat(5);
        let sample = Sample::of(Lines::of(Path::new("t"), text.as_bytes(), b'\n'), None, 0).unwrap();
        assert!(sample.is_cut && sample.text.len() == (2 << 20) * 3 + 3);
    }
}
