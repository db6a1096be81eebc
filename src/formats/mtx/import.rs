//! Imports `.mtx`, following "The Matrix Market Exchange Formats": `coordinate` gives a sparse matrix,
//! `array` a dense one. The file stores the lower triangle of a symmetric matrix, and of a skew-symmetric one
//! only the part below the diagonal.

mod array;

use std::cell::Cell;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::import::input::Input;
use crate::import::lines::{Lines, beginning};
use crate::import::number::{Numerals, Unfit, is_beyond_int64};
use crate::import::sparse::{Elements, See, check_rows, into_csr};
use crate::import::{Found, Options};

pub(crate) fn find<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    if options.member.is_some() {
        return Err(input.refused("a .mtx has one matrix: there is nothing to choose"));
    }
    let mut text = Text::open(input)?;
    let banner = text.banner()?;
    let dtype = options.dtype.unwrap_or(banner.dtype);
    let sizes = text.sizes()?;
    if let ([rows, columns, ..], true) = (&sizes[..], banner.symmetry != Symmetry::General)
        && rows != columns
    {
        return Err(
            text.fault(&format!("as many rows as columns, as of a {} matrix", banner.symmetry.name()))
        );
    }
    let numerals = Numerals { decimal: b'.', missing: &[], is_lossy: options.is_lossy };
    match (banner.is_coordinate, &sizes[..]) {
        (true, &[rows, columns, count]) => {
            check_rows(input, rows)?;
            let shape = [rows, columns];
            let ends_beyond = options.dtype.is_none() && dtype == Dtype::Int64;
            let coordinates =
                Coordinates { input, dtype, shape, count, numerals, ends_beyond, has_beyond: false.into() };
            coordinates.found(options.is_lossy)
        }
        (false, &[rows, columns]) => {
            let is_chosen = options.dtype.is_some() || dtype != Dtype::Int64;
            let dtype = if is_chosen { dtype } else { array::integers(input)? };
            array::found(input, dtype, [rows, columns], banner.symmetry, numerals)
        }
        _ => Err(text.fault("the sizes of the matrix")),
    }
}

/// Limit on the characters of the first line that are parsed.
const LONGEST_BANNER: usize = 1024;

/// The first line: the declared properties of the matrix.
struct Banner {
    is_coordinate: bool,
    dtype: Dtype,
    is_pattern: bool,
    symmetry: Symmetry,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Symmetry {
    General,
    Symmetric,
    Skew,
}

impl Symmetry {
    fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Symmetric => "symmetric",
            Self::Skew => "skew-symmetric",
        }
    }
}

/// The lines of the file, without comments and empty lines.
struct Text<'f> {
    lines: Lines<'f>,
    line: Vec<u8>,
}

impl<'f> Text<'f> {
    fn open(input: &'f Input<'f>) -> Result<Self> {
        Ok(Self { lines: Lines::open(input, b'\n')?, line: Vec::new() })
    }

    /// Opens the file and moves behind the line with the sizes.
    fn of_elements(input: &'f Input<'f>) -> Result<(Self, Banner)> {
        let mut text = Self::open(input)?;
        let banner = text.banner()?;
        text.sizes()?;
        Ok((text, banner))
    }

    fn banner(&mut self) -> Result<Banner> {
        self.read()?;
        let line = beginning(&self.line, LONGEST_BANNER).to_ascii_lowercase();
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let &["%%matrixmarket", "matrix", layout, field, symmetry] = &words[..] else {
            return Err(self.fault("%%MatrixMarket matrix, and three words"));
        };
        let dtype = match field {
            "real" | "double" => Dtype::Float64,
            "integer" => Dtype::Int64,
            "unsigned-integer" => Dtype::Uint64,
            "pattern" => Dtype::Bool,
            _ => return Err(self.fault("real, integer or pattern")),
        };
        let all = [Symmetry::General, Symmetry::Symmetric, Symmetry::Skew];
        let Some(symmetry) = all.into_iter().find(|known| known.name() == symmetry) else {
            return Err(self.fault("general, symmetric or skew-symmetric"));
        };
        let is_coordinate = match layout {
            "coordinate" => true,
            "array" if field != "pattern" => false,
            _ => return Err(self.fault("coordinate or array")),
        };
        Ok(Banner { is_coordinate, dtype, is_pattern: field == "pattern", symmetry })
    }

    fn sizes(&mut self) -> Result<Vec<u64>> {
        if !self.next()? {
            return Err(self.fault("the sizes of the matrix"));
        }
        // Four are enough to see that there are too many.
        let sizes: Option<Vec<u64>> = words(&self.line).take(4).map(integer).collect();
        sizes.ok_or_else(|| self.fault("the sizes of the matrix"))
    }

    /// Reads the next line that is neither empty nor a comment. Returns false at the end.
    fn next(&mut self) -> Result<bool> {
        while self.read()? {
            if !matches!(self.line.trim_ascii(), [] | [b'%', ..]) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&mut self) -> Result<bool> {
        self.line.clear();
        self.lines.next(&mut self.line)
    }

    /// Fails if the file has more lines.
    fn end(&mut self) -> Result<()> {
        if self.next()? { Err(self.fault("no more lines than elements")) } else { Ok(()) }
    }

    fn fault(&self, expected: &str) -> Error {
        let found = beginning(self.line.trim_ascii_end(), 80);
        self.lines.refused(format!("expected {expected}, found {found:?}"))
    }

    /// The error for a text that is not an element of this type.
    fn unfit(&self, why: Unfit, dtype: Dtype, text: &[u8]) -> Error {
        self.lines.refused(why.words(dtype, text))
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn integer(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The text of the negated value, for the other half of a skew-symmetric matrix. Negating the text and not
/// the number keeps the checks of range and exactness in one place.
fn negative(text: &[u8]) -> Vec<u8> {
    match text.strip_prefix(b"-") {
        Some(positive) => positive.to_vec(),
        None => [b"-", text.strip_prefix(b"+").unwrap_or(text)].concat(),
    }
}

/// The elements of a sparse matrix.
struct Coordinates<'f> {
    input: &'f Input<'f>,
    dtype: Dtype,
    shape: [u64; 2],
    count: u64,
    numerals: Numerals<'static>,
    /// Whether an integer beyond int64 stops the pass. The import then starts again with uint64.
    ends_beyond: bool,
    /// Whether that happened.
    has_beyond: Cell<bool>,
}

/// A callback with a line: the text and the first line's properties, for messages, and the position and
/// value.
type SeeLine<'s> = dyn FnMut(&Text<'_>, &Banner, [u64; 2], &[u8]) -> Result<()> + 's;

impl<'f> Coordinates<'f> {
    /// The matrix. Its type is uint64 if some integers exceed int64 and none is negative.
    fn found(&self, is_lossy: bool) -> Result<Found<'f>> {
        let found =
            |coordinates: &Self| into_csr(self.input, coordinates.dtype, self.shape, coordinates, is_lossy);
        let first = found(self);
        if !self.has_beyond.get() {
            return first;
        }
        let of = |dtype| Self { dtype, ends_beyond: false, has_beyond: false.into(), ..*self };
        // If uint64 fails because of a negative value, the pass with int64 gives the better error.
        found(&of(Dtype::Uint64)).or_else(|_| found(&of(self.dtype)))
    }

    /// Calls `see` with the position and the value of each line.
    fn lines(&self, see: &mut SeeLine<'_>) -> Result<()> {
        let (mut text, banner) = Text::of_elements(self.input)?;
        for before in 0..self.count {
            if !text.next()? {
                let why = format!("it ends after {before} of {} elements: was it cut?", self.count);
                return Err(self.input.refused(why));
            }
            let mut words = words(&text.line);
            let place = [words.next().and_then(integer), words.next().and_then(integer)];
            let value = if banner.is_pattern { Some(&b"1"[..]) } else { words.next() };
            let ([Some(row), Some(column)], Some(value), None) = (place, value, words.next()) else {
                return Err(text.fault("a row, a column and a value"));
            };
            if !(1..=self.shape[0]).contains(&row) || !(1..=self.shape[1]).contains(&column) {
                return Err(text.fault("a row and a column of the matrix, counted from 1"));
            }
            see(&text, &banner, [row - 1, column - 1], value)?;
        }
        text.end()
    }
}

impl Elements for Coordinates<'_> {
    fn rows(&self, see: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        self.lines(&mut |_, banner, [row, column], _| {
            see(row)?;
            if banner.symmetry != Symmetry::General && row != column { see(column) } else { Ok(()) }
        })
    }

    fn each(&self, see: See<'_>) -> Result<()> {
        let element = |text: &Text<'_>, value: &[u8]| {
            if self.ends_beyond && is_beyond_int64(value) {
                self.has_beyond.set(true);
                return Err(text.unfit(Unfit::Range, self.dtype, value));
            }
            let number = self.numerals.element(self.dtype, value);
            number.map_err(|why| text.unfit(why, self.dtype, value))
        };
        self.lines(&mut |text, banner, [row, column], value| {
            let number = element(text, value)?;
            see(row, column, &number)?;
            match banner.symmetry {
                Symmetry::Symmetric if row != column => see(column, row, &number),
                Symmetry::Skew if row != column => see(column, row, &element(text, &negative(value))?),
                _ => Ok(()),
            }
        })
    }
}
