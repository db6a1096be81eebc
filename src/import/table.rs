//! `.csv` and `.tsv`, their cells found by `csv`: a dense array of numbers, with names or without.
//!
//! The first line has names where it begins with an empty cell, or has a cell that is no number. The first cells of
//! the others are names where the first line begins with an empty cell or is shorter by one (as R writes it), or
//! where that of the second line is no number. A table of one column is a vector.

use std::fs::File;
use std::io::{BufWriter, Write};

use csv::{ByteRecord, ReaderBuilder};

use super::input::Input;
use super::number::{parse, parse_word};
use super::{Fill, Found, Options, dense};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::names::{COLUMN_NAMES, ROW_NAMES};

pub(super) fn find_csv<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    find(input, options, b',')
}

pub(super) fn find_tsv<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    find(input, options, b'\t')
}

fn find<'f>(input: &'f Input<'f>, options: &'f Options, separator: u8) -> Result<Found<'f>> {
    if options.member.is_some() {
        return Err(input.refused("text has one table: there is nothing to choose"));
    }
    let mut survey = Survey::default();
    let layout = read(input, separator, &mut |line| survey.see(line, options.dtype.is_some()))?;
    let dtype = options
        .dtype
        .or(survey.dtype())
        .ok_or_else(|| input.refused("no type fits all of its numbers: choose one by --dtype"))?;
    let columns = layout.columns as u64;
    let shape = if columns == 1 { vec![survey.rows] } else { vec![survey.rows, columns] };
    let metadata = dense(input.path, dtype, &shape)?;
    let mut beside = Vec::new();
    if layout.has_row_names {
        beside.push((ROW_NAMES, lines(input, &survey.names)?));
    }
    if let Some(names) = layout.column_names.as_ref().filter(|_| columns > 1) {
        beside.push((COLUMN_NAMES, lines(input, names)?));
    }
    let fill: Fill<'f> = Box::new(move |to| write(input, separator, dtype, to));
    Ok(Found { metadata, fill: vec![fill], beside })
}

fn write(input: &Input<'_>, separator: u8, dtype: Dtype, to: &mut File) -> Result<()> {
    let failed = |e| Error::io(input.path, "write what was read from it", e);
    let width = usize::try_from(dtype.itemsize()).unwrap_or(8);
    let mut out = BufWriter::with_capacity(1 << 20, to);
    read(input, separator, &mut |line| {
        for (j, cell) in line.cells().enumerate() {
            let number = parse(dtype, cell).ok_or_else(|| line.fault(j, dtype.name()))?;
            out.write_all(&number[..width]).map_err(failed)?;
        }
        Ok(())
    })?;
    out.flush().map_err(failed)
}

/// The table's names, and how many columns of numbers it has.
struct Layout {
    column_names: Option<Vec<Vec<u8>>>,
    has_row_names: bool,
    columns: usize,
}

impl Layout {
    /// From the first two lines.
    fn of(first: &ByteRecord, second: &ByteRecord) -> Self {
        let is_number =
            |cell: &[u8]| parse(Dtype::Float64, cell).or_else(|| parse(Dtype::Bool, cell)).is_some();
        let is_shorter = second.len() == first.len() + 1;
        let begins_empty = first.len() > 1 && first.get(0).is_some_and(|cell| cell.trim_ascii().is_empty());
        let has_header = is_shorter || begins_empty || !first.iter().skip(1).all(is_number) || {
            // A name in the first line alone may be that of a row.
            !first.iter().all(is_number) && (second.is_empty() || second.iter().all(is_number))
        };
        let begins_with_name = |line: &ByteRecord| line.len() > 1 && !line.get(0).is_some_and(is_number);
        let has_row_names = match has_header {
            true => is_shorter || begins_empty || begins_with_name(second),
            false => begins_with_name(first),
        };
        let skip = usize::from(has_row_names);
        let column_names = has_header.then(|| {
            first.iter().skip(if is_shorter { 0 } else { skip }).map(<[u8]>::to_vec).collect::<Vec<_>>()
        });
        let columns = column_names.as_ref().map_or(first.len() - skip, Vec::len);
        Self { column_names, has_row_names, columns }
    }
}

/// A line of numbers.
struct Line<'l> {
    input: &'l Input<'l>,
    number: u64,
    record: &'l ByteRecord,
    name: Option<&'l [u8]>,
}

impl Line<'_> {
    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        self.record.iter().skip(usize::from(self.name.is_some()))
    }

    fn fault(&self, column: usize, expected: &str) -> Error {
        let cell = self.cells().nth(column).map(String::from_utf8_lossy).unwrap_or_default();
        let cell: String = cell.chars().take(80).collect();
        let (line, column) = (self.number, column + 1);
        self.input.refused(format!("line {line}, number {column}: expected {expected}, found {cell:?}"))
    }
}

/// Shows all lines of numbers, which are of one length, to `see`.
fn read(input: &Input<'_>, separator: u8, see: &mut dyn FnMut(&Line<'_>) -> Result<()>) -> Result<Layout> {
    let mut table = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .buffer_capacity(1 << 20)
        .from_reader(input.text()?);
    let mut next =
        |record: &mut ByteRecord| table.read_byte_record(record).map_err(|e| input.refused(e.to_string()));
    let (mut record, mut ahead) = (ByteRecord::new(), ByteRecord::new());
    if !next(&mut record)? {
        return Err(input.refused("it is empty"));
    }
    let mut has_more = next(&mut ahead)?;
    let layout = Layout::of(&record, &ahead);
    let mut is_numbers = layout.column_names.is_none();
    loop {
        if is_numbers {
            let number = record.position().map_or(0, csv::Position::line);
            let name = if layout.has_row_names { record.get(0) } else { None };
            let line = Line { input, number, record: &record, name };
            let found = line.cells().count();
            if found != layout.columns {
                let expected = layout.columns;
                return Err(
                    input.refused(format!("line {number}: expected {expected} numbers, found {found}"))
                );
            }
            see(&line)?;
        }
        is_numbers = true;
        if !has_more {
            return Ok(layout);
        }
        std::mem::swap(&mut record, &mut ahead);
        has_more = next(&mut ahead)?;
    }
}

/// What all numbers are.
struct Survey {
    rows: u64,
    names: Vec<Vec<u8>>,
    are_words: bool,
    are_signed: bool,
    are_unsigned: bool,
    are_floats: bool,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            rows: 0,
            names: Vec::new(),
            are_words: true,
            are_signed: true,
            are_unsigned: true,
            are_floats: true,
        }
    }
}

impl Survey {
    fn see(&mut self, line: &Line<'_>, is_type_known: bool) -> Result<()> {
        self.rows += 1;
        self.names.extend(line.name.map(<[u8]>::to_vec));
        if is_type_known {
            return Ok(());
        }
        for (j, cell) in line.cells().enumerate() {
            let is = |dtype| parse(dtype, cell).is_some();
            self.are_words = self.are_words
                && std::str::from_utf8(cell).is_ok_and(|cell| parse_word(cell.trim()).is_some());
            self.are_signed = self.are_signed && is(Dtype::Int64);
            self.are_unsigned = self.are_unsigned && is(Dtype::Uint64);
            self.are_floats = self.are_floats && (self.are_signed || is(Dtype::Float64));
            if !self.are_words && !self.are_floats {
                return Err(line.fault(j, "a number"));
            }
        }
        Ok(())
    }

    /// The narrowest type that has all of them: bool, int64, uint64, or float64.
    fn dtype(&self) -> Option<Dtype> {
        let fits = [
            (self.are_words, Dtype::Bool),
            (self.are_signed, Dtype::Int64),
            (self.are_unsigned, Dtype::Uint64),
            (self.are_floats, Dtype::Float64),
        ];
        fits.into_iter().find(|(fits, _)| *fits).map(|(_, dtype)| dtype)
    }
}

/// Names, one a line.
fn lines(input: &Input<'_>, names: &[Vec<u8>]) -> Result<Vec<u8>> {
    if let Some(name) = names.iter().find(|name| name.contains(&b'\n') || name.contains(&b'\r')) {
        let name = String::from_utf8_lossy(name);
        return Err(
            input.refused(format!("the name {name:?} has more than one line: names are kept one a line"))
        );
    }
    Ok(names.iter().flat_map(|name| [&name[..], b"\n"].concat()).collect())
}
