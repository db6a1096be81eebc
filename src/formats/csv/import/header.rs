//! Decides which lines and cells of a table are names. This is a pure function from the first lines to a
//! layout.
//!
//! The first line, after comments and skipped lines, holds names if
//!
//! 1. it has one cell fewer than the others (R's `write.table`): its cells name the columns after the
//!    first, which names the rows;
//! 2. its first cell is empty (pandas, R's `write.csv`): the first column names the rows;
//! 3. one of its cells is not a number but the cells below it are;
//! 4. all its cells are quoted, and numbers below are not;
//! 5. it has numbers above numbers, and text above text: unless this text occurs again below, or two of its
//!    numbers are equal, or its first cell has the pattern of the cells below it, as `cell_1` above `cell_2`.
//!
//! Otherwise it holds numbers. The comment before it then names the columns if it has the right number of
//! cells. The first column names the rows in cases 1 and 2, if its header is `row` (which arrayfs writes) or
//! `ID_REF` (GEO), and if its cells are not numbers. If only some are not, names must be the majority and not
//! all the same word. A repeated word is more likely a mark for a missing number, and a single one a typing
//! error. Column names `c0,c1,…` are ignored, because they carry no information. A note reports each
//! ambiguous decision.
//!
//! A line that begins with `#` or `!` is a row only if it has the right number of cells, and either lines
//! without such a mark have names in their first column too, or all lines begin with a mark.

use super::dialect::Dialect;
use super::record::{Cell, Record};
use super::sample::{MarkedRows, Sample};
use crate::array::names::LONGEST_NAME;
use crate::import::Choice;
use crate::import::lines::{beginning, copied};
use crate::import::number::{Numerals, Value};

/// Where the names of the columns are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Header {
    /// There are none: the first line holds numbers.
    None,
    /// In the first line.
    First,
    /// In the comment before the first line.
    Comment,
}

/// The roles of the cells of a table.
#[derive(Debug)]
pub(super) struct Layout {
    pub header: Header,
    pub has_row_names: bool,
    /// Number of cells in a line.
    pub width: usize,
    /// Whether every line ends with a delimiter. The empty last cell is then not a column.
    pub has_trailing: bool,
    /// Whether a row may begin with a comment mark.
    pub has_marked_rows: bool,
    /// The record with the names.
    pub names: Option<Record>,
    /// Notes for the user about ambiguous decisions.
    pub notes: Vec<String>,
}

impl Layout {
    /// Number of cells per line that may hold numbers.
    pub fn columns(&self) -> usize {
        self.width - usize::from(self.has_row_names) - usize::from(self.has_trailing)
    }

    /// The names of the columns, unless they are `c0,c1,…`.
    pub fn column_names<'l>(&'l self, dialect: &Dialect<'_>) -> Option<impl Iterator<Item = Cell<'l>>> {
        let record = self.names.as_ref()?;
        let across = record.cells(dialect.delimiter).count().min(self.width - usize::from(self.has_trailing));
        let skip = across.saturating_sub(self.columns());
        let names = || record.cells(dialect.delimiter).skip(skip).take(self.columns());
        let are_numbers = names().zip(0u64..).all(|(cell, i)| *cell.text == *format!("c{i}").as_bytes());
        (!are_numbers).then(names)
    }
}

/// Limit on the numbers of the first line that are compared with each other.
const MOST_COMPARED: usize = 1 << 20;

const NO_MEMORY: &str = "there is no memory for its columns";

const TEXT: u8 = 1;
const NUMBER: u8 = 2;
const QUOTED: u8 = 4;

/// Determines the layout of a table.
///
/// # Errors
///
/// The reason why it has none, for the user.
pub(super) fn layout(
    sample: &Sample,
    dialect: &Dialect<'_>,
    header: Choice,
    row_names: Choice,
) -> Result<Layout, String> {
    let table = Table::of(sample, dialect)?;
    let mut notes = Vec::new();
    let header = match header {
        Choice::No => Header::None,
        Choice::Yes if table.comment.is_some() && table.is_all_numbers() => Header::Comment,
        Choice::Yes => Header::First,
        Choice::Auto => table.header(&mut notes)?,
    };
    let names = match header {
        Header::None => None,
        Header::First => Some(table.first.copied().map_err(|_| NO_MEMORY)?),
        Header::Comment => table.comment.as_ref().map(Record::copied).transpose().map_err(|_| NO_MEMORY)?,
    };
    let has_row_names = match row_names {
        Choice::Yes => true,
        Choice::No => false,
        Choice::Auto => table.has_row_names(header, names.as_ref())?,
    };
    let has_trailing = table.has_trailing;
    if has_trailing {
        notes.push("all lines end with an empty cell, of which no column is made".into());
    }
    if header == Header::None && table.is_shorter {
        let (found, width, line) = (table.width - 1, table.width, table.first.line);
        return Err(format!("line {line}: expected {width} cells, as in the lines below, found {found}"));
    }
    let (width, has_marked_rows) = (table.width, table.marked.are_there);
    let layout = Layout { header, has_row_names, width, has_trailing, has_marked_rows, names, notes };
    if table.width < 2 + usize::from(has_trailing) && has_row_names {
        return Err("names of rows and no column behind them".into());
    }
    if header == Header::First && table.is_shorter && !has_row_names {
        let (first, width) = (table.width - 1, table.width);
        return Err(format!("line {} has {first} cells, the others {width}", table.first.line));
    }
    Ok(layout)
}

/// The first lines of a table, and what is known about its columns.
struct Table<'s> {
    sample: &'s Sample,
    dialect: &'s Dialect<'s>,
    marked: MarkedRows<'s>,
    first: Record,
    /// The last comment before it, if it has the right number of cells.
    comment: Option<Record>,
    width: usize,
    has_trailing: bool,
    /// Whether the first line has one cell fewer than the others.
    is_shorter: bool,
    /// The kinds of cells in each column, below the first line.
    columns: Vec<u8>,
    has_more: bool,
}

impl<'s> Table<'s> {
    fn of(sample: &'s Sample, dialect: &'s Dialect<'s>) -> Result<Self, String> {
        let delimiter = dialect.delimiter;
        let (mut first, mut record) = (Record::default(), Record::default());
        let mut records = sample.records(delimiter);
        if !records.next(&mut first) {
            return Err(format!("line {}: a quote that does not end", sample.before + 1));
        }
        let across = first.cells(delimiter).count();
        let (mut width, mut columns, mut has_more, mut is_last_empty) = (across, Vec::new(), false, true);
        let mut second = first.line;
        let marked = sample.marked_rows(delimiter, dialect.numerals);
        while records.next(&mut record) {
            // `width` is that of the first line until the second line sets it.
            if sample.is_comment(&record, width, &marked) {
                continue;
            }
            if !has_more {
                (width, has_more, second) = (record.cells(delimiter).count(), true, record.line);
                columns.try_reserve_exact(width).map_err(|_| NO_MEMORY)?;
                columns.resize(width, 0);
            }
            let mut last = None;
            for (column, cell) in columns.iter_mut().zip(record.cells(delimiter)) {
                *column |= kind(dialect, &cell);
                last = Some(cell);
            }
            is_last_empty &= last.is_some_and(|cell| !cell.is_quoted && cell.text.is_empty());
        }
        columns.try_reserve_exact(width.saturating_sub(columns.len())).map_err(|_| NO_MEMORY)?;
        columns.resize(width, 0);
        let ends_empty =
            first.cells(delimiter).last().is_some_and(|cell| !cell.is_quoted && cell.text.is_empty());
        let is_text_first = columns[0] & TEXT != 0;
        let fits_first = across == width && ends_empty || across + 1 == width && !is_text_first;
        let has_trailing = has_more && width > 1 && is_last_empty && fits_first;
        let is_shorter = has_more && across + 1 == width && !has_trailing;
        if across != width && !has_trailing && !is_shorter {
            return Err(format!(
                "line {second}: expected {across} cells, as in line {}, found {width}",
                first.line
            ));
        }
        let comment = None;
        let mut table = Self {
            sample,
            dialect,
            marked,
            first,
            comment,
            width,
            has_trailing,
            is_shorter,
            columns,
            has_more,
        };
        if let Some((line, says)) = &sample.comment {
            table.comment = table.names_in(*line, says)?;
        }
        Ok(table)
    }

    /// The comment as a record, if it can name every column.
    fn names_in(&self, line: u64, says: &[u8]) -> Result<Option<Record>, String> {
        let record = Record::new(copied(says).map_err(|_| NO_MEMORY)?, line);
        let wanted = self.width - usize::from(self.has_trailing);
        let found = record.cells(self.dialect.delimiter).count();
        let fits = found == wanted || found + 1 == wanted && self.is_text(0);
        let is_name = |cell: Cell<'_>| kind(self.dialect, &cell) & TEXT != 0;
        let has_names = fits && wanted > 1 && record.cells(self.dialect.delimiter).any(is_name);
        Ok(has_names.then_some(record))
    }

    fn cells(&self) -> impl Iterator<Item = (Cell<'_>, u8)> {
        let below = self.columns.iter().copied().chain(std::iter::repeat(0));
        self.first.cells(self.dialect.delimiter).zip(below)
    }

    fn is_text(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|kinds| kinds & TEXT != 0)
    }

    fn is_all_numbers(&self) -> bool {
        self.cells().all(|(cell, _)| kind(self.dialect, &cell) & TEXT == 0)
    }

    fn header(&self, notes: &mut Vec<String>) -> Result<Header, String> {
        let line = self.first.line;
        let kind = |cell: &Cell<'_>| kind(self.dialect, cell);
        let has_numbers = self.cells().any(|(cell, below)| kind(&cell) & NUMBER != 0 && below & TEXT == 0);
        let as_names = format!("line {line} is taken as names (--header no if it is numbers)");
        let as_numbers = format!("line {line} is taken as numbers (--header yes if it is names)");
        let is_first = if self.is_shorter {
            return self.shorter().map(|is_header| if is_header { Header::First } else { Header::None });
        } else if self.begins_empty() {
            !self.repeats_number()
        } else if !self.has_more {
            !has_numbers
        } else if self.cells().any(|(cell, below)| kind(&cell) & TEXT != 0 && below & TEXT == 0) {
            true
        } else if self.is_quoted_above_plain() {
            return Ok(Header::First);
        } else if self.is_all_numbers() || self.comment.is_some() {
            false
        } else {
            !has_numbers || !self.repeats_number() && !self.is_like_below()
        };
        if is_first {
            notes.extend(has_numbers.then_some(as_names));
            return Ok(Header::First);
        }
        if let Some(comment) = &self.comment {
            let line = comment.line;
            notes.push(format!("line {line}, a comment, is taken as names (--header no if it is none)"));
            return Ok(Header::Comment);
        }
        notes.push(as_numbers);
        Ok(Header::None)
    }

    /// Whether a first line with one cell fewer holds names. Otherwise it lacks a number.
    fn shorter(&self) -> Result<bool, String> {
        let is_name = |(cell, _): (Cell<'_>, u8)| cell.is_quoted || kind(self.dialect, &cell) & TEXT != 0;
        let is_named = self.columns[0] & (TEXT | QUOTED) != 0 || self.counts_rows();
        if self.width == 2 && !is_named && self.cells().any(is_name) {
            let line = self.first.line;
            return Err(format!(
                "line {line} has one cell, the others two: --row-names yes if the first column names the rows, \
                 --skip-lines {line} if the line is no part of the table"
            ));
        }
        Ok(is_named || self.cells().any(is_name))
    }

    /// Whether the first cells count 1, 2, 3 and so on, as R numbers rows.
    fn counts_rows(&self) -> bool {
        let mut number = 0u64;
        self.each_below(|record| {
            number += 1;
            let cell = record.cells(self.dialect.delimiter).next();
            cell.is_some_and(|cell| *cell.text == *number.to_string().as_bytes())
        })
    }

    /// Whether a condition is true of all lines below the first.
    fn each_below(&self, mut is_so: impl FnMut(&Record) -> bool) -> bool {
        let (mut records, mut record) = (self.sample.records(self.dialect.delimiter), Record::default());
        let mut all = records.next(&mut record);
        while all && records.next(&mut record) {
            all = is_so(&record);
        }
        all
    }

    fn begins_empty(&self) -> bool {
        self.width > 1 + usize::from(self.has_trailing)
            && self.cells().next().is_some_and(|(cell, _)| cell.text.is_empty())
    }

    fn repeats_number(&self) -> bool {
        let numbers = self.cells().filter(|(cell, _)| kind(self.dialect, cell) & NUMBER != 0);
        let mut texts: Vec<_> = numbers.map(|(cell, _)| cell.text).take(MOST_COMPARED).collect();
        texts.sort_unstable();
        texts.windows(2).any(|pair| pair[0] == pair[1])
    }

    fn is_quoted_above_plain(&self) -> bool {
        self.cells().all(|(cell, _)| cell.is_quoted)
            && self.columns.iter().any(|kinds| kinds & NUMBER != 0 && kinds & QUOTED == 0)
    }

    /// Whether the texts of the first line resemble those below them, so that the line is probably a row.
    fn is_like_below(&self) -> bool {
        let texts = self.cells().enumerate().filter(|(_, (cell, _))| kind(self.dialect, cell) & TEXT != 0);
        let texts: Vec<_> = texts.map(|(column, (cell, _))| (column, cell.text)).take(64).collect();
        let is_again = !self.each_below(|record| {
            let mut cells = record.cells(self.dialect.delimiter).enumerate();
            texts.iter().all(|(column, text)| {
                cells.find(|(at, _)| at == column).is_none_or(|(_, cell)| cell.text != *text)
            })
        });
        is_again || texts.first().is_some_and(|(column, text)| *column == 0 && self.is_made_like_below(text))
    }

    fn is_made_like_below(&self, text: &[u8]) -> bool {
        // A longer text is no name. Skipping it also bounds the cost of the comparison.
        if text.len() as u64 > LONGEST_NAME {
            return false;
        }
        let made = make(text);
        let is_telling = text.len() >= 8 || text.iter().any(u8::is_ascii_digit);
        is_telling
            && self.each_below(|record| {
                record
                    .cells(self.dialect.delimiter)
                    .next()
                    .is_some_and(|cell| cell.text.len() as u64 <= LONGEST_NAME && make(&cell.text) == made)
            })
    }

    fn has_row_names(&self, header: Header, names: Option<&Record>) -> Result<bool, String> {
        let wide = 1 + usize::from(self.has_trailing);
        if self.width <= wide {
            return Ok(false);
        }
        let axis_names: Vec<_> =
            names.iter().flat_map(|names| names.cells(self.dialect.delimiter)).take(4).collect();
        let label = axis_names.first().map(|cell| &*cell.text);
        let is_index = header == Header::First
            && (self.is_shorter || self.begins_empty() || label == Some(b"ID_REF"))
            || label == Some(b"row") && !is_coordinates(&axis_names);
        Ok(is_index || self.begins_with_names(header)?)
    }

    /// Whether the first column holds names.
    ///
    /// # Errors
    ///
    /// A cell that is not a number while most others are, or cells that are all numbers with a decimal comma.
    fn begins_with_names(&self, header: Header) -> Result<bool, String> {
        let comma = Numerals { decimal: b',', ..self.dialect.numerals };
        let mut first: Option<(u64, String)> = None;
        let (mut texts, mut numbers, mut have_commas, mut are_same) = (0u64, 0u64, true, true);
        self.each_row(header, |record| {
            let Some(cell) = record.cells(self.dialect.delimiter).next() else { return };
            match kind(self.dialect, &cell) {
                NUMBER => numbers += 1,
                kind if kind & TEXT != 0 => {
                    texts += 1;
                    have_commas &= comma.value(&cell.text) != Value::Text;
                    let text = beginning(&cell.text, 40);
                    are_same &= first.as_ref().is_none_or(|(_, first)| *first == text);
                    first.get_or_insert((record.line, text));
                }
                _ => {}
            }
        });
        let Some((line, text)) = first else { return Ok(false) };
        let are_names = numbers == 0 || texts > numbers && !are_same;
        let what = match (have_commas, are_names) {
            (true, _) => "--decimal , if it has a fraction".into(),
            (false, false) => format!("--na {text:?} if it is missing"),
            (false, true) => return Ok(true),
        };
        Err(format!(
            "line {line}, column 1: expected a number, found {text:?} ({what}, --row-names yes if the first column \
             names the rows)"
        ))
    }

    /// Calls `see` with each row of the sample.
    fn each_row(&self, header: Header, mut see: impl FnMut(&Record)) {
        if header != Header::First {
            see(&self.first);
        }
        self.each_below(|record| {
            if !self.sample.is_comment(record, self.width, &self.marked) {
                see(record);
            }
            true
        });
    }
}

/// Whether this is the header of a sparse matrix as a table of its elements. Its `row` column holds numbers.
fn is_coordinates(axis_names: &[Cell<'_>]) -> bool {
    axis_names.iter().map(|cell| &*cell.text).eq([&b"row"[..], b"column", b"value"])
}

fn kind(dialect: &Dialect<'_>, cell: &Cell<'_>) -> u8 {
    let kind = match dialect.numerals.value(&cell.text) {
        Value::Text => TEXT,
        Value::Missing => 0,
        _ => NUMBER,
    };
    kind | if cell.is_quoted { QUOTED } else { 0 }
}

/// The pattern of a text: its letters as `A` or `a`, and each run of digits as one `0`.
fn make(text: &[u8]) -> Vec<u8> {
    let mut made: Vec<u8> = text
        .iter()
        .map(|byte| match byte {
            b'A'..=b'Z' => b'A',
            b'a'..=b'z' => b'a',
            b'0'..=b'9' => b'0',
            other => *other,
        })
        .collect();
    made.dedup_by(|next, before| *next == b'0' && *before == b'0');
    made
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::Delimiter;
    use crate::import::lines::Lines;
    use crate::import::number::Numerals;

    const PLAIN: Numerals<'static> = Numerals { decimal: b'.', missing: &[], is_lossy: false };

    /// The decision as text: `names` for a header, `comment` for one before it, `-` for none; `r` for names
    /// of rows, `t` for an empty last cell; the names of the columns; and whether there is a note.
    fn told(text: &str, delimiter: Delimiter, header: Choice, row_names: Choice) -> String {
        let sample = Sample::of(Lines::of(Path::new("t"), text.as_bytes(), b'\n'), None, 0).unwrap();
        let dialect = Dialect { delimiter, numerals: PLAIN };
        let layout = match layout(&sample, &dialect, header, row_names) {
            Ok(layout) => layout,
            Err(error) => return format!("refused: {error}"),
        };
        let mut told = String::from(match layout.header {
            Header::None => "-",
            Header::First => "names",
            Header::Comment => "comment",
        });
        told.push_str(if layout.has_row_names { " r" } else { "" });
        told.push_str(if layout.has_trailing { " t" } else { "" });
        let names = layout.column_names(&dialect).into_iter().flatten();
        let names: Vec<_> = names.map(|cell| String::from_utf8(cell.text.into_owned()).unwrap()).collect();
        let names = if names.is_empty() { String::new() } else { format!(" {}", names.join("|")) };
        format!("{told}{names}{}", if layout.notes.is_empty() { "" } else { " said" })
    }

    #[test]
    fn the_first_line_is_names_or_numbers() {
        let cases = [
            // From pandas and R's write.csv, with and without names.
            (",g1,g2\nc1,1,2\nc2,3,4\n", "names r g1|g2"),
            (",0,1\n0,1,2\n1,3,4\n", "names r 0|1 said"),
            ("\"\",\"a\",\"b\"\n\"1\",1,2\n\"2\",3,4\n", "names r a|b"),
            ("a,b\n1,2\n", "names a|b"),
            ("a,b\n1.5,True\n2,False\n", "names a|b"),
            ("a,b\n,2\n1,\n", "names a|b"),
            ("1,2\n3,4\n", "- said"),
            ("0,1,2\n1.5,2.5,3.5\n4.5,5.5,6.5\n", "- said"),
            ("1.5\n-2\n\n1e300\n", "- said"),
            ("x\n1\n\n3\n", "names x"),
            ("nan,1\n2,3\n", "- said"),
            // Headers that are numbers.
            (",2010,2011\nA,1,2\nB,3,4\n", "names r 2010|2011 said"),
            ("gene,2010,2011\nA,1,2\nB,3,4\n", "names r 2010|2011 said"),
            ("Country,1960,1961\nAfghanistan,1.5,2\nAlbania,3,4\n", "names r 1960|1961 said"),
            ("\"2010\",\"2011\"\n1,2\n3,4\n", "names 2010|2011"),
            ("\"2010\",\"2011\"\n\"1\",\"2\"\n", "- said"),
            ("id,2010,2011\n17,1,2\n18,3,4\n", "names id|2010|2011 said"),
            // Names of rows without a header.
            ("cell_1,0.5,1\ncell_2,3,4\ncell_3,3,4\n", "- r said"),
            ("AAACATTG,5,1\nGGCATTAC,3,4\n", "- r said"),
            ("A,0,3,0\nB,1,0,2\n", "- r said"),
            ("A,1,2\nA,3,4\n", "- r said"),
            ("A,1,2\n", "- r said"),
            ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "- said"),
            (",0,0\n1,2,3\n", "- said"),
            // A typing error, or a word for a missing number.
            (
                "a,b\n1,2\n?,3\n4,5\n",
                "refused: line 3, column 1: expected a number, found \"?\" (--na \"?\" if",
            ),
            ("a,b\n1,2\n1O,3\n4,5\n", "refused: line 3, column 1: expected a number, found \"1O\""),
            ("a,b\n?,2\n?,3\n?,4\n1,5\n", "refused: line 2, column 1"),
            ("1,2\nx,3\n4,5\n", "refused: line 2, column 1"),
            (",b\n1,2\n?,3\n4,5\n", "names r b"),
            ("ID_REF,b\n1,2\n?,3\n4,5\n", "names r b"),
            ("b\n1,2\n?,3\n4,5\n", "names r b"),
            ("a,b\n\"1\",2\n\"x\",3\n\"4\",5\n", "names r b"),
            ("id,b\n3e10,2\n4a2b,3\n77ff,5\n", "names r b"),
            // From arrayfs.
            ("c0,c1\n1,2\n", "names"),
            ("row,c0,c1\n10,1,2\n20,3,4\n", "names r"),
            ("row,FOXA1,TP53\n10,1,2\n20,3,4\n", "names r FOXA1|TP53"),
            ("cell,c0,c1\nA,1,2\nB,3,4\n", "names r"),
            ("cell,age\nA,1\nB,2\n", "names r age"),
            ("value\n1\n2\n", "names value"),
            ("row,column,value\n0,0,1.5\n0,2,3\n", "names row|column|value"),
            ("c0,c2\n1,2\n", "names c0|c2"),
            // A comment.
            ("# made by savetxt\n1.0,2.0\n3.0,4.0\n", "- said"),
            ("# x,y\n1,2\n3,4\n", "comment x|y said"),
            ("## version\n#gene,a,b\nx,1,2\ny,3,4\n", "comment r a|b said"),
            ("# s1,s2\nx,1,2\ny,3,4\n", "comment r s1|s2 said"),
            ("# x,y\na,b\n1,2\n", "names a|b"),
            ("# 1,2\n3,4\n", "- said"),
            // One cell fewer.
            ("a,b\nx,1,2\ny,3,4\n", "names r a|b"),
            ("\"2010\",\"2011\"\n\"x\",1,2\n", "names r 2010|2011"),
            ("a,b\n1,5,6\n2,7,8\n", "names r a|b"),
            ("1,2\n3,4,5\n", "refused: line 1: expected 3 cells, as in the lines below, found 2"),
            ("a\nx,1\ny,2\n", "names r a"),
            ("made by hand\n1.0,2.0\n3.0,4.0\n", "refused: line 1 has one cell, the others two"),
            ("1,2\n3\n", "refused: line 2: expected 2 cells, as in line 1, found 1"),
            // A delimiter at the end of each line.
            ("a,b,\n1,2,\n3,4,\n", "names t a|b said"),
            ("a,b\n1,2,\n3,4,\n", "names t a|b said"),
            ("1,2,\n3,4,\n", "- t said"),
            (",a,b,\nx,1,2,\ny,3,4,\n", "names r t a|b said"),
            ("1,2,\n", "- said"),
        ];
        for (text, wanted) in cases {
            let found = told(text, Delimiter::Byte(b','), Choice::Auto, Choice::Auto);
            assert!(
                found == wanted || wanted.starts_with("refused") && found.starts_with(wanted),
                "{text:?}: {found}"
            );
        }
        let geo = "!Series_title\t\"x\"\n!series_matrix_table_begin\n\"ID_REF\"\t\"GSM1\"\t\"GSM2\"\n7892501\t1.5\t2\n";
        assert_eq!(told(geo, Delimiter::Byte(b'\t'), Choice::Auto, Choice::Auto), "names r GSM1|GSM2");
        let words = "# made by savetxt\n1 2 3\n";
        assert_eq!(
            told(words, Delimiter::Blanks, Choice::Auto, Choice::Auto),
            "comment made|by|savetxt said"
        );
    }

    #[test]
    fn what_is_chosen_is_done() {
        use Choice::{Auto, No, Yes};
        let cases = [
            ("0,1,2\n1.5,2.5,3.5\n", Yes, Auto, "names 0|1|2"),
            ("a,b\n1,2\n", No, Auto, "refused: line 1, column 1: expected a number, found \"a\""),
            ("gene,2010\nA,1\n", No, Auto, "- r"),
            ("gene,2010\nA,1\n", Yes, No, "names gene|2010"),
            ("# x,y\n1,2\n", Yes, Auto, "comment x|y"),
            ("# x,y\n1,2\n", No, Auto, "-"),
            ("1,2\n3,4\n", Auto, Yes, "- r said"),
            ("a,b\n1,2\n", Auto, Yes, "names r b"),
            ("made by hand\n1.0,2.0\n", Yes, Auto, "names r made by hand"),
            ("a\nx,1\n", Auto, No, "refused: line 1 has 1 cells, the others 2"),
            ("1\n2\n", Auto, Yes, "refused: names of rows and no column"),
        ];
        for (text, header, row_names, wanted) in cases {
            let found = told(text, Delimiter::Byte(b','), header, row_names);
            assert!(
                found == wanted || wanted.starts_with("refused") && found.starts_with(wanted),
                "{text:?}: {found}"
            );
        }
    }
}
