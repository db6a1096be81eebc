//! The second pass over a table: the number of rows, the data type, and the names.

use std::collections::BTreeMap;

use super::dialect::Dialect;
use super::name_list::NameList;
use super::record::Record;
use super::rows::{LeftOut, Row, Rows};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::import::input::no_memory;
use crate::import::lines::beginning;
use crate::import::number::Value;

/// The kinds of values in a column, as bits.
mod kinds {
    pub const MISSING: u8 = 1;
    pub const WORD: u8 = 2;
    pub const INTEGER: u8 = 4;
    pub const NEGATIVE: u8 = 8;
    /// Beyond int64.
    pub const LARGE: u8 = 16;
    pub const DECIMAL: u8 = 32;
    pub const TEXT: u8 = 64;
    pub const NUMBER: u8 = INTEGER | DECIMAL;
}

/// The result of the pass.
pub(super) struct Survey {
    pub rows: u64,
    pub names: NameList,
    /// The kinds of values in each column.
    columns: Vec<u8>,
    /// Number of missing numbers, and the line and column of the first, counted from 1.
    pub missing: u64,
    pub first_missing: (u64, usize),
    /// The first text in each of the first columns of text: its line and its content.
    pub texts: BTreeMap<usize, (u64, String)>,
    pub left_out: LeftOut,
}

impl Survey {
    /// Reads all rows. Columns of text are left out if `skips_text`, otherwise they are an error.
    pub fn of(rows: &Rows<'_>, skips_text: bool) -> Result<Self> {
        let mut columns = Vec::new();
        columns.try_reserve_exact(rows.layout.columns()).map_err(|_| no_memory(&rows.input.path))?;
        columns.resize(rows.layout.columns(), 0);
        let mut survey = Self {
            rows: 0,
            names: NameList::default(),
            columns,
            missing: 0,
            first_missing: (0, 0),
            texts: BTreeMap::new(),
            left_out: LeftOut::default(),
        };
        survey.left_out = rows.each(&mut |row| survey.see(rows, row, skips_text))?;
        Ok(survey)
    }

    fn see(&mut self, rows: &Rows<'_>, row: &Row<'_>, skips_text: bool) -> Result<()> {
        self.rows += 1;
        if let Some(name) = row.name() {
            self.names
                .push(&name.text)
                .map_err(|why| rows.input.refused(format!("line {}: {why}", row.line())))?;
        }
        row.each(|column, cell| {
            let value = rows.dialect.numerals.value(&cell.text);
            let (before, kind) = (self.columns[column], kind(value));
            let now = before | kind;
            self.columns[column] = now;
            if value == Value::Missing {
                self.miss(row, column);
            }
            let is_text = |kinds: u8| {
                kinds & kinds::TEXT != 0 || kinds & kinds::WORD != 0 && kinds & kinds::NUMBER != 0
            };
            if !is_text(now) || is_text(before) {
                return Ok(());
            }
            let text = beginning(&cell.text, 40);
            if !skips_text {
                return Err(row.refused(column, self.not_a_number(rows, column, kind, &text)));
            }
            if self.texts.len() < MOST_TEXTS {
                self.texts.insert(column, (row.line(), text));
            }
            Ok(())
        })
    }

    fn miss(&mut self, row: &Row<'_>, column: usize) {
        if self.missing == 0 {
            self.first_missing = (row.line(), column + 1 + usize::from(row.name().is_some()));
        }
        self.missing += 1;
    }

    fn not_a_number(&self, rows: &Rows<'_>, column: usize, kind: u8, text: &str) -> String {
        if kind & kinds::WORD != 0 {
            return format!("expected a number, as in the lines before it, found {text:?}");
        }
        if kind & kinds::NUMBER != 0 {
            return format!("expected true or false, as in the lines before it, found {text:?}");
        }
        let is_first = column == 0 && !rows.layout.has_row_names && rows.layout.width > 1;
        let names = if is_first { "--row-names yes if the first column names the rows, " } else { "" };
        let comma = rows.dialect.numerals.decimal == b'.' && text.contains(',');
        let comma = if comma { "--decimal , if it has a fraction, " } else { "" };
        format!(
            "expected a number, found {text:?} ({comma}{names}--na {text:?} if it is missing, --skip-text to leave \
             out columns of text)"
        )
    }

    /// Whether a column is left out.
    pub fn is_skipped(&self, column: usize) -> bool {
        let kinds = self.columns[column];
        kinds & kinds::TEXT != 0 || kinds & kinds::WORD != 0 && kinds & kinds::NUMBER != 0
    }

    /// Number of columns that are imported.
    pub fn columns(&self) -> u64 {
        (0..self.columns.len()).filter(|column| !self.is_skipped(*column)).count() as u64
    }

    /// The narrowest of bool, int64, uint64 and float64 that represents all numbers.
    pub fn dtype(&self) -> Dtype {
        let used = (0..self.columns.len()).filter(|column| !self.is_skipped(*column));
        let all = used.fold(0, |all, column| all | self.columns[column]);
        let has = |kinds: u8| all & kinds != 0;
        if has(kinds::DECIMAL | kinds::MISSING) || has(kinds::LARGE) && has(kinds::NEGATIVE) {
            Dtype::Float64
        } else if has(kinds::LARGE) {
            Dtype::Uint64
        } else if has(kinds::INTEGER) {
            Dtype::Int64
        } else {
            Dtype::Bool
        }
    }
}

impl Survey {
    /// Notes about cells and lines that are not numbers.
    pub fn notes(&self, dtype: Dtype, header: Option<&Record>, dialect: &Dialect<'_>) -> Vec<String> {
        let mut notes = Vec::new();
        let (line, column) = self.first_missing;
        if self.missing > 0 {
            let count = counted(self.missing, "number is", "numbers are");
            notes.push(format!("{count} missing, and NaN now (the first: line {line}, column {column})"));
        }
        let used = (0..self.columns.len()).filter(|column| !self.is_skipped(*column));
        if dtype != Dtype::Bool && used.into_iter().any(|column| self.columns[column] & kinds::WORD != 0) {
            notes.push("true and false are 1 and 0 now".into());
        }
        notes.extend(self.skipped(header, dialect));
        let LeftOut { comments, first_comment, blanks, first_blank } = self.left_out;
        if comments > 0 {
            let count = counted(comments, "line is a comment and", "lines are comments and");
            notes.push(format!("{count} left out (the first: line {first_comment})"));
        }
        if blanks > 0 {
            let count = counted(blanks, "line is empty and", "lines are empty and");
            notes.push(format!("{count} left out (the first: line {first_blank})"));
        }
        notes
    }

    /// A note about the columns that are left out.
    fn skipped(&self, header: Option<&Record>, dialect: &Dialect<'_>) -> Option<String> {
        let skipped = (0..self.columns.len()).filter(|column| self.is_skipped(*column)).count();
        let width = self.columns.len();
        let name = |column: usize| {
            let header = header?;
            // The header may begin with a cell for the names of rows, which are not a column of the survey.
            let skip = header.cells(dialect.delimiter).count().saturating_sub(width);
            let cell = header.cells(dialect.delimiter).nth(column + skip)?;
            Some(format!("{:?} ", beginning(&cell.text, 40)))
        };
        let said = self.texts.iter().map(|(column, (line, text))| {
            format!("{}(line {line}: {text:?})", name(*column).unwrap_or_default())
        });
        let said: Vec<_> = said.collect();
        let more = if said.len() < skipped { ", …" } else { "" };
        let count = counted(skipped as u64, "column of text is", "columns of text are");
        (skipped > 0).then(|| format!("{count} left out: {}{more}", said.join(", ")))
    }
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Limit on the columns of text that the note names.
const MOST_TEXTS: usize = 4;

fn kind(value: Value) -> u8 {
    match value {
        Value::Missing => kinds::MISSING,
        Value::Word(_) => kinds::WORD,
        Value::Integer(is_negative, sum) => {
            let negative = if is_negative && sum > 0 { kinds::NEGATIVE } else { 0 };
            let most = i64::MAX.unsigned_abs() + u64::from(is_negative);
            kinds::INTEGER | negative | if sum > most { kinds::LARGE } else { 0 }
        }
        Value::Decimal(_) => kinds::DECIMAL,
        Value::Text => kinds::TEXT,
    }
}
