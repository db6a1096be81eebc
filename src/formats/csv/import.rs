//! Tables of text: a dense array of numbers, with or without names.
//!
//! The first pass infers the dialect and the layout from the first lines. The second pass determines the data
//! type from all lines, and the third one writes. Three passes over the file need less memory than one that
//! keeps the numbers. A table of one column is a vector.

mod dialect;
mod header;
mod name_list;
mod record;
mod rows;
mod sample;
mod survey;

use std::fs::File;
use std::io::{BufRead, BufWriter, Write};

use crate::import::Delimiter;

use crate::daf::metadata::{COLUMN_NAMES, ROW_NAMES};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::import::input::Input;
use crate::import::lines::Lines;
use crate::import::number::Numerals;
use crate::import::{Found, Options, dense};
use dialect::{Dialect, Usual};
use header::{Header, Layout, layout};
use name_list::NameList;
use rows::Rows;
use sample::Sample;
use survey::Survey;

const COMMA: Delimiter = Delimiter::Byte(b',');
const TAB: Delimiter = Delimiter::Byte(b'\t');

pub(crate) fn find_csv<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    find(input, options, Usual { first: COMMA, otherwise: COMMA })
}

pub(crate) fn find_tsv<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    find(input, options, Usual { first: TAB, otherwise: TAB })
}

pub(crate) fn find_txt<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    find(input, options, Usual { first: TAB, otherwise: Delimiter::Blanks })
}

/// The decisions from the first pass: how to read the rows of the table.
struct Plan<'f> {
    dialect: Dialect<'f>,
    layout: Layout,
    mark: Option<&'f str>,
    end: u8,
    before: u64,
    comments: (u64, u64),
}

impl<'f> Plan<'f> {
    fn of(input: &'f Input<'f>, options: &'f Options, usual: Usual) -> Result<Self> {
        let end = line_end(input)?;
        let mark = options.comment.as_deref();
        let sample = Sample::of(Lines::open(input, end)?, mark, options.skip_lines)?;
        if sample.is_empty() {
            let why = match sample.comment {
                Some(_) => "all of its lines begin like comments (--comment none if they are not)",
                None => "it is empty",
            };
            return Err(input.refused(why));
        }
        let numerals = Numerals { decimal: b'.', missing: &options.missing, is_lossy: options.is_lossy };
        let dialect = dialect::choose(&sample, usual, options.delimiter, options.decimal, numerals);
        let dialect = dialect.map_err(|why| input.refused(why))?;
        let layout = layout(&sample, &dialect, options.header, options.row_names);
        let mut layout = layout.map_err(|why| input.refused(why))?;
        if options.decimal.is_none() && dialect.delimiter == COMMA && dialect.numerals.decimal == b',' {
            layout.notes.push("commas in quotes stand before fractions (--decimal . if they do not)".into());
        }
        let (mut count, mut first) = sample.comments;
        // The last comment may be the header. It is then not left out.
        if layout.header == Header::Comment {
            count -= 1;
            first = if count == 0 { 0 } else { first };
        }
        Ok(Self { dialect, layout, mark, end, before: sample.before, comments: (count, first) })
    }

    fn rows<'t>(&'t self, input: &'t Input<'t>) -> Rows<'t> {
        let Self { dialect, layout, mark, end, before, comments } = self;
        Rows { input, dialect, layout, mark: *mark, end: *end, before: *before, comments: *comments }
    }
}

fn find<'f>(input: &'f Input<'f>, options: &'f Options, usual: Usual) -> Result<Found<'f>> {
    if options.member.is_some() {
        return Err(input.refused("text has one table: there is nothing to choose"));
    }
    let plan = Plan::of(input, options, usual)?;
    let mut survey = Survey::of(&plan.rows(input), options.skips_text)?;
    let columns = survey.columns();
    if columns == 0 {
        return Err(input.refused("it has no column of numbers"));
    }
    if survey.rows == 0 {
        return Err(input.refused("it has names and no numbers (--header no if its first line is numbers)"));
    }
    let dtype = options.dtype.unwrap_or_else(|| survey.dtype());
    let shape = if columns == 1 { vec![survey.rows] } else { vec![survey.rows, columns] };
    let metadata = dense(&input.path, dtype, &shape)?;
    let row_names = plan.layout.has_row_names.then(|| std::mem::take(&mut survey.names));
    let column_names = column_names(input, &plan, &survey)?.filter(|_| columns > 1);
    let notes = notes(&plan, &survey, dtype, [&row_names, &column_names]);
    let row_names = row_names.map(|names| (ROW_NAMES, names.lines));
    let beside = row_names.into_iter().chain(column_names.map(|names| (COLUMN_NAMES, names.lines))).collect();
    let fill = Box::new(move |to: &mut File| write(input, &plan, &survey, dtype, to));
    Ok(Found { metadata, fill: vec![fill], beside, notes })
}

/// The third pass: writes the numbers.
fn write(input: &Input<'_>, plan: &Plan<'_>, survey: &Survey, dtype: Dtype, to: &mut File) -> Result<()> {
    let width = usize::try_from(dtype.itemsize()).unwrap_or(8);
    let mut out = BufWriter::with_capacity(1 << 20, to);
    let mut rows = 0;
    plan.rows(input).each(&mut |row| {
        rows += 1;
        row.each(|column, cell| {
            if survey.is_skipped(column) {
                return Ok(());
            }
            let number = plan.dialect.numerals.element(dtype, &cell.text);
            let number = number.map_err(|why| row.refused(column, why.words(dtype, &cell.text)))?;
            out.write_all(&number[..width]).map_err(input.not_written())
        })
    })?;
    if rows != survey.rows {
        return Err(input.refused("it was changed while it was read"));
    }
    out.flush().map_err(input.not_written())
}

/// The names of the columns that are imported.
fn column_names(input: &Input<'_>, plan: &Plan<'_>, survey: &Survey) -> Result<Option<NameList>> {
    let Some(cells) = plan.layout.column_names(&plan.dialect) else { return Ok(None) };
    let line = plan.layout.names.as_ref().map_or(0, |names| names.line);
    let mut names = NameList::default();
    for (_, cell) in cells.enumerate().filter(|(column, _)| !survey.is_skipped(*column)) {
        names.push(&cell.text).map_err(|why| input.refused(format!("line {line}: {why}")))?;
    }
    Ok(Some(names))
}

/// Notes about ambiguous decisions, for the user.
fn notes(plan: &Plan<'_>, survey: &Survey, dtype: Dtype, names: [&Option<NameList>; 2]) -> Vec<String> {
    let mut notes = plan.layout.notes.clone();
    notes.extend(survey.notes(dtype, plan.layout.names.as_ref(), &plan.dialect));
    for (names, of) in names.into_iter().zip(["rows", "columns"]) {
        notes.extend(names.as_ref().into_iter().flat_map(|names| names.notes(of)));
    }
    notes
}

/// The byte that ends a line: a newline, or a carriage return in a file without newlines.
fn line_end(input: &Input<'_>) -> Result<u8> {
    let mut text = input.bytes()?;
    let text = text.fill_buf().map_err(input.failed())?;
    if let [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] = text {
        return Err(input.refused("it is UTF-16 (iconv -f UTF-16 -t UTF-8 makes it a text that is taken)"));
    }
    let has_newline = memchr::memchr(b'\n', text).is_some();
    Ok(if !has_newline && memchr::memchr(b'\r', text).is_some() { b'\r' } else { b'\n' })
}
