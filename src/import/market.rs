//! `.mtx`, by the words of "The Matrix Market Exchange Formats": coordinates make a sparse matrix, `array` a dense
//! one.

use std::io::{self, BufRead, Read};

use super::input::Input;
use super::npy::Header;
use super::number::{Number, parse};
use super::sparse::Elements;
use super::{Fill, Found, Options, dense};
use crate::dtype::Dtype;
use crate::error::Result;

/// The longest line that is read, in bytes.
const LONGEST: u64 = 1 << 16;

pub(super) fn find<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    if options.member.is_some() {
        return Err(input.refused("a .mtx has one matrix: there is nothing to choose"));
    }
    let mut lines = Lines::open(input)?;
    let header = lines.header()?;
    let dtype = options.dtype.unwrap_or(header.dtype);
    let sizes = lines.sizes()?;
    match (header.is_coordinate, &sizes[..]) {
        (true, &[rows, columns, count]) => {
            let elements = lines.elements(&header, dtype, [rows, columns], count)?;
            Elements { dtype, shape: [rows, columns], elements }.into_csr(input)
        }
        (false, &[rows, columns]) if header.symmetry == Symmetry::General => {
            let metadata = dense(input.path, dtype, &[rows, columns])?;
            let fill: Fill<'f> = Box::new(move |to| {
                let mut lines = Lines::open(input)?;
                lines.header()?;
                lines.sizes()?;
                Header::in_columns(dtype, [rows, columns]).copy(
                    input,
                    &mut Values { lines, dtype, ahead: Vec::new() },
                    to,
                )
            });
            Ok(Found { metadata, fill: vec![fill], beside: Vec::new() })
        }
        (false, [_, _]) => {
            Err(input.refused("an array of which only a half is there; give it as coordinates"))
        }
        _ => Err(lines.fault("the sizes of the matrix")),
    }
}

/// The first line.
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

/// The lines of the file, but for comments and empty ones.
struct Lines<'f> {
    input: &'f Input<'f>,
    file: Box<dyn BufRead + 'f>,
    line: Vec<u8>,
    number: u64,
}

impl<'f> Lines<'f> {
    fn open(input: &'f Input<'f>) -> Result<Self> {
        Ok(Self { input, file: input.text()?, line: Vec::new(), number: 0 })
    }

    fn header(&mut self) -> Result<Banner> {
        self.read()?;
        let line = String::from_utf8_lossy(&self.line).to_ascii_lowercase();
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
        let symmetry = match symmetry {
            "general" => Symmetry::General,
            "symmetric" => Symmetry::Symmetric,
            "skew-symmetric" => Symmetry::Skew,
            _ => return Err(self.fault("general, symmetric or skew-symmetric")),
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
        let sizes: Option<Vec<u64>> = words(&self.line).map(integer).collect();
        sizes.ok_or_else(|| self.fault("the sizes of the matrix"))
    }

    fn elements(
        &mut self,
        banner: &Banner,
        dtype: Dtype,
        [rows, columns]: [u64; 2],
        count: u64,
    ) -> Result<Vec<(u64, u64, Number)>> {
        let mut elements = Vec::new();
        for _ in 0..count {
            if !self.next()? {
                return Err(self.fault("as many elements as the sizes say"));
            }
            let (row, column, text) = self.element(banner)?;
            let value = parse(dtype, &text).ok_or_else(|| self.fault(dtype.name()))?;
            let is_within = (1..=rows).contains(&row) && (1..=columns).contains(&column);
            if !is_within {
                return Err(self.fault("a row and a column of the matrix, counted from 1"));
            }
            elements.push((row - 1, column - 1, value));
            if banner.symmetry != Symmetry::General && row != column {
                let value =
                    if banner.symmetry == Symmetry::Skew { self.negative(dtype, &text)? } else { value };
                elements.push((column - 1, row - 1, value));
            }
        }
        match self.next()? {
            false => Ok(elements),
            true => Err(self.fault("no more lines than elements")),
        }
    }

    /// Row, column, and the text of the value.
    fn element(&self, banner: &Banner) -> Result<(u64, u64, Vec<u8>)> {
        let mut words = words(&self.line);
        let place = [words.next().and_then(integer), words.next().and_then(integer)];
        let value = if banner.is_pattern { Some(&b"1"[..]) } else { words.next() };
        match (place, value, words.next()) {
            ([Some(row), Some(column)], Some(value), None) => Ok((row, column, value.to_vec())),
            _ => Err(self.fault("a row, a column and a value")),
        }
    }

    fn negative(&self, dtype: Dtype, text: &[u8]) -> Result<Number> {
        let text = match text.strip_prefix(b"-") {
            Some(positive) => positive.to_vec(),
            None => [b"-", text.strip_prefix(b"+").unwrap_or(text)].concat(),
        };
        parse(dtype, &text).ok_or_else(|| self.fault(dtype.name()))
    }

    /// The next line that is neither empty nor a comment; false at the end.
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
        self.number += 1;
        let mut piece = (&mut self.file).take(LONGEST);
        let read = piece.read_until(b'\n', &mut self.line).map_err(self.input.failed())?;
        Ok(read > 0)
    }

    fn fault(&self, expected: &str) -> crate::Error {
        let found = String::from_utf8_lossy(self.line.trim_ascii_end());
        let found: String = found.chars().take(80).collect();
        self.input.refused(format!("line {}: expected {expected}, found {found:?}", self.number))
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn integer(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The values of an array, one line each, as bytes.
struct Values<'f> {
    lines: Lines<'f>,
    dtype: Dtype,
    ahead: Vec<u8>,
}

impl Read for Values<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            if !self.lines.next().map_err(io::Error::other)? {
                return Ok(0);
            }
            let value = parse(self.dtype, &self.lines.line);
            let value = value.ok_or_else(|| io::Error::other(self.lines.fault(self.dtype.name())))?;
            self.ahead = value[..usize::try_from(self.dtype.itemsize()).unwrap_or(8)].to_vec();
        }
        let count = buffer.len().min(self.ahead.len());
        buffer[..count].copy_from_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        Ok(count)
    }
}
