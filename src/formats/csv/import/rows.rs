//! A reader of the rows of a table.

use super::dialect::Dialect;
use super::header::{Header, Layout};
use super::record::{Cell, Record, Records};
use super::sample::comment;
use crate::error::{Error, Result};
use crate::import::input::Input;
use crate::import::lines::{Lines, beginning};
use crate::import::number::Value;

/// How to find the rows of a table in a text.
pub(super) struct Rows<'t> {
    pub input: &'t Input<'t>,
    pub dialect: &'t Dialect<'t>,
    pub layout: &'t Layout,
    /// The comment mark, if the user chose one.
    pub mark: Option<&'t str>,
    /// The byte that ends a line.
    pub end: u8,
    /// Lines before the table.
    pub before: u64,
    /// Number of comments among those lines that are left out, and the line of the first.
    pub comments: (u64, u64),
}

/// Counts of the lines that are not rows, and the line of the first of each kind.
#[derive(Clone, Copy, Default)]
pub(super) struct LeftOut {
    pub comments: u64,
    pub first_comment: u64,
    pub blanks: u64,
    pub first_blank: u64,
}

impl Rows<'_> {
    /// Calls `see` with every row.
    pub fn each(&self, see: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<LeftOut> {
        let mut lines = Lines::open(self.input, self.end)?;
        let mut record = Vec::new();
        while lines.number < self.before {
            record.clear();
            lines.next(&mut record)?;
        }
        let mut records = Records::new(lines, self.dialect.delimiter);
        let (comments, first_comment) = self.comments;
        let mut left_out = LeftOut { comments, first_comment, ..LeftOut::default() };
        let mut record = Record::default();
        let mut is_header = self.layout.header == Header::First;
        while records.next(&mut record)? {
            let is_blank = record.is_blank(self.dialect.delimiter);
            if is_header {
                // Blank lines before the header are skipped, so the header is still to come.
                is_header = is_blank;
            } else if is_blank && !self.takes_blanks() {
                left_out.first_blank = if left_out.blanks == 0 { record.line } else { left_out.first_blank };
                left_out.blanks += 1;
            } else if self.is_comment(&record) {
                left_out.first_comment =
                    if left_out.comments == 0 { record.line } else { left_out.first_comment };
                left_out.comments += 1;
            } else {
                see(&Row { rows: self, record: &record })?;
            }
        }
        Ok(left_out)
    }

    /// Whether an empty line is a row. In a table of one column it is a missing number.
    fn takes_blanks(&self) -> bool {
        self.layout.width == 1
    }

    /// Whether a line is a comment: it begins with the mark the user chose, or with a usual one and is not a
    /// row.
    fn is_comment(&self, record: &Record) -> bool {
        if comment(record.bytes(), self.mark).is_none() {
            return false;
        }
        let cells = || record.cells(self.dialect.delimiter);
        let is_number = |cell: Cell<'_>| self.dialect.numerals.value(&cell.text) != Value::Text;
        let skip = usize::from(self.layout.has_row_names);
        self.mark.is_some()
            || !self.layout.has_marked_rows
            || cells().count() != self.layout.width
            || !cells().skip(skip).all(is_number)
    }
}

/// A row of numbers.
pub(super) struct Row<'r> {
    rows: &'r Rows<'r>,
    record: &'r Record,
}

impl Row<'_> {
    /// Its line number in the file.
    pub fn line(&self) -> u64 {
        self.record.line
    }

    /// Its name, if rows have names.
    pub fn name(&self) -> Option<Cell<'_>> {
        let cell =
            self.rows.layout.has_row_names.then(|| self.record.cells(self.rows.dialect.delimiter).next());
        cell.flatten()
    }

    /// Calls `see` with each cell that belongs to a column, and the index of the column.
    pub fn each(&self, mut see: impl FnMut(usize, &Cell<'_>) -> Result<()>) -> Result<()> {
        let layout = self.rows.layout;
        let skip = usize::from(layout.has_row_names);
        let mut count = 0;
        for cell in self.record.cells(self.rows.dialect.delimiter) {
            let column = count;
            count += 1;
            if column < skip || column >= layout.width {
                continue;
            }
            if column - skip < layout.columns() {
                // A wrong number of cells explains any error in one of them, so it is reported instead.
                see(column - skip, &cell).map_err(|error| self.ragged().unwrap_or(error))?;
            } else if !cell.text.is_empty() {
                return Err(self.fault(
                    column - skip,
                    "an end of the line, as in the lines before it",
                    &cell.text,
                ));
            }
        }
        if count == layout.width { Ok(()) } else { self.ragged().map_or(Ok(()), Err) }
    }

    fn ragged(&self) -> Option<Error> {
        let (found, expected) =
            (self.record.cells(self.rows.dialect.delimiter).count(), self.rows.layout.width);
        let cells = if expected == 1 { "cell" } else { "cells" };
        let why = format!("line {}: expected {expected} {cells}, found {found}", self.record.line);
        (found != expected).then(|| self.rows.input.refused(why))
    }

    /// The error for a cell of this column.
    pub fn refused(&self, column: usize, why: impl std::fmt::Display) -> Error {
        let number = column + 1 + usize::from(self.rows.layout.has_row_names);
        self.rows.input.refused(format!("line {}, column {number}: {why}", self.record.line))
    }

    fn fault(&self, column: usize, expected: &str, found: &[u8]) -> Error {
        let found = beginning(found, 80);
        self.refused(column, format!("expected {expected}, found {found:?}"))
    }
}
