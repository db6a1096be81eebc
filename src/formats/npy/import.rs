//! Imports `.npy`, following `numpy/lib/format.py`, versions 1 to 3. It accepts the data types of the store,
//! in either byte order, row-major or column-major.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use crate::dtype::{Dtype, FIXED_DTYPES};
use crate::error::Result;
use crate::import::input::{Input, no_memory};
use crate::import::{Fill, Found, Options, dense};
use crate::word::to_usize;

/// Limit on the length of the header, in bytes.
const LONGEST: u32 = 1 << 20;
/// Bytes of columns that are transposed at once.
pub(crate) const BLOCK: u64 = 128 << 20;

pub(crate) fn find<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    if options.dtype.is_some() || options.member.is_some() {
        return Err(input.refused("a .npy has one array, of one type: neither can be chosen"));
    }
    let header = Header::read(input, &mut input.bytes()?)?;
    let metadata = dense(&input.path, header.dtype, &header.shape)?;
    let (whole, found) = (header.start + header.bytes(input)?, input.length);
    let mut notes = Vec::new();
    // The length of a compressed array is known only at the end.
    if !input.is_packed()? && found < whole {
        return Err(input.refused(format!("it ends after {found} of {whole} bytes: was it cut?")));
    } else if !input.is_packed()? && found > whole {
        notes.push(format!("{} bytes follow the array, and are left out", found - whole));
    }
    let fill: Fill<'f> = Box::new(move |to| {
        let mut from = input.bytes()?;
        let header = Header::read(input, &mut from)?;
        header.copy(input, &mut |buffer| from.read_exact(buffer).map_err(input.failed()), to)
    });
    Ok(Found { metadata, fill: vec![fill], beside: Vec::new(), notes })
}

/// The parsed header.
#[derive(Clone)]
pub(crate) struct Header {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    /// Bytes before the elements.
    start: u64,
    /// Whether the elements are big-endian.
    is_swapped: bool,
    /// Whether a matrix is column-major.
    is_in_columns: bool,
}

impl Header {
    pub fn read(input: &Input<'_>, from: &mut dyn Read) -> Result<Self> {
        let (text, start) = header_text(input, from)?;
        let facts = Facts::parse(&text)
            .ok_or_else(|| input.refused(format!("a header that is none: {}", one_line(&text))))?;
        let (is_swapped, kind) = match facts.descr.split_at_checked(1) {
            Some((">", kind)) => (true, kind),
            Some(("<" | "|" | "=", kind)) => (false, kind),
            _ => (false, facts.descr),
        };
        let dtype = FIXED_DTYPES.into_iter().find(|dtype| &dtype.descr()[1..] == kind).ok_or_else(|| {
            input.refused(format!(
                "its elements are of the type {}, the format has {}",
                one_line(facts.descr),
                Dtype::names()
            ))
        })?;
        let is_in_columns = facts.is_fortran && facts.shape.len() > 1;
        Ok(Self { dtype, shape: facts.shape, start, is_swapped, is_in_columns })
    }

    /// A header for little-endian column-major elements that come from elsewhere.
    pub fn in_columns(dtype: Dtype, shape: [u64; 2]) -> Self {
        Self { dtype, shape: shape.to_vec(), start: 0, is_swapped: false, is_in_columns: true }
    }

    /// Size of all elements in bytes.
    pub fn bytes(&self, input: &Input<'_>) -> Result<u64> {
        let bytes = self.shape.iter().try_fold(self.dtype.itemsize(), |bytes, axis| bytes.checked_mul(*axis));
        bytes
            .filter(|bytes| i64::try_from(*bytes).is_ok())
            .ok_or_else(|| input.refused(format!("an array of shape {:?}", self.shape)))
    }

    /// Number of elements.
    pub fn count(&self, input: &Input<'_>) -> Result<u64> {
        Ok(self.bytes(input)? / self.dtype.itemsize())
    }

    /// Writes the elements in row-major order. `fill` fills a buffer with the next ones.
    pub fn copy(
        &self,
        input: &Input<'_>,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<()>,
        to: &mut File,
    ) -> Result<()> {
        match self.shape[..] {
            [rows, columns] if self.is_in_columns => self.transpose(input, fill, to, [rows, columns]),
            _ => input.copy(fill, self.bytes(input)?, to, |piece| self.swap(piece)),
        }
    }

    /// Converts elements to little-endian.
    pub fn swap(&self, bytes: &mut [u8]) {
        if self.is_swapped {
            bytes.chunks_exact_mut(self.width()).for_each(<[u8]>::reverse);
        }
    }

    /// Size of an element in bytes.
    pub fn width(&self) -> usize {
        usize::try_from(self.dtype.itemsize()).unwrap_or(8)
    }

    /// Transposes a column-major matrix. Reads as many columns as fit into a block, and writes their part of
    /// each row.
    ///
    /// The source may be compressed, so it is read in order, and the writes go to different offsets.
    fn transpose(
        &self,
        input: &Input<'_>,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<()>,
        to: &File,
        [rows, columns]: [u64; 2],
    ) -> Result<()> {
        let item = self.dtype.itemsize();
        // A column longer than a block is read in pieces, one column at a time.
        let high = rows.min(BLOCK / item).max(1);
        let wide = if high == rows { (BLOCK / (rows * item)).clamp(1, columns) } else { 1 };
        let mut block = Vec::new();
        let mut column = 0;
        while column < columns {
            let across = wide.min(columns - column);
            let mut row = 0;
            while row < rows {
                let down = high.min(rows - row);
                let bytes = to_usize(down * across * item);
                block.clear();
                block.try_reserve_exact(bytes).map_err(|_| no_memory(&input.path))?;
                block.resize(bytes, 0);
                fill(&mut block)?;
                self.swap(&mut block);
                let place = |i: u64| ((row + i) * columns + column) * item;
                self.write_rows(input, &block, [down, across], columns, to, &place)?;
                row += down;
            }
            column += across;
        }
        Ok(())
    }

    /// Writes the rows of a block of columns. Whole rows are contiguous in the file and are written together.
    fn write_rows(
        &self,
        input: &Input<'_>,
        block: &[u8],
        [down, across]: [u64; 2],
        columns: u64,
        to: &File,
        place: &dyn Fn(u64) -> u64,
    ) -> Result<()> {
        let width = self.width();
        let column_bytes = to_usize(down).saturating_mul(width);
        let together = if across == columns { (PIECE / (across * self.dtype.itemsize())).max(1) } else { 1 };
        let mut lines = Vec::new();
        let mut first = 0;
        for (i, start) in (0..down).zip((0..column_bytes).step_by(width)) {
            let items = block[start..].chunks(column_bytes).flat_map(|rest| &rest[..width]);
            lines.extend(items.copied());
            if i + 1 - first == together || i + 1 == down {
                to.write_all_at(&lines, place(first)).map_err(input.not_written())?;
                lines.clear();
                first = i + 1;
            }
        }
        Ok(())
    }
}

/// Bytes of rows per write.
const PIECE: u64 = 1 << 20;

/// An excerpt of the file for messages, with control characters escaped.
fn one_line(text: &str) -> String {
    text.trim().chars().take(80).flat_map(char::escape_debug).collect()
}

/// Reads the header and nothing more. Returns its text, and the offset of the elements.
pub(crate) fn header_text(input: &Input<'_>, from: &mut dyn Read) -> Result<(String, u64)> {
    let mut start = [0; 8];
    from.read_exact(&mut start).map_err(input.failed())?;
    let size = match &start {
        b"\x93NUMPY\x01\x00" => 2,
        b"\x93NUMPY\x02\x00" | b"\x93NUMPY\x03\x00" => 4,
        _ => return Err(input.refused("it does not begin as a .npy of version 1, 2 or 3 does")),
    };
    let mut length = [0; 4];
    from.read_exact(&mut length[..size]).map_err(input.failed())?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST {
        return Err(input.refused(format!("a header of {length} bytes")));
    }
    let mut text = vec![0; to_usize(length.into())];
    from.read_exact(&mut text).map_err(input.failed())?;
    Ok((String::from_utf8_lossy(&text).into_owned(), 8 + size as u64 + u64::from(length)))
}

/// The content of the header, a Python dictionary literal with three keys.
struct Facts<'t> {
    descr: &'t str,
    is_fortran: bool,
    shape: Vec<u64>,
}

impl<'t> Facts<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let text = text.trim().strip_prefix('{')?.strip_suffix('}')?;
        let shape = value(text, "shape")?.strip_prefix('(')?.split_once(')')?.0;
        let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
        // Python 2 writes long integers with an L.
        let axis = |axis: &str| axis.strip_suffix('L').unwrap_or(axis).parse().ok();
        Some(Self {
            descr: descr(value(text, "descr")?)?,
            is_fortran: value(text, "fortran_order")?.starts_with("True"),
            shape: axes.map(axis).collect::<Option<_>>()?,
        })
    }
}

/// The text after a key of the dictionary and its colon.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let after =
        ['\'', '"'].iter().find_map(|quote| Some(text.split_once(&format!("{quote}{key}{quote}"))?.1))?;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

/// The content of a string, or the text of a list of fields (a structured type), for the error message.
fn descr(value: &str) -> Option<&str> {
    match value.chars().next()? {
        quote @ ('\'' | '"') => Some(value[1..].split_once(quote)?.0),
        _ => Some(value.split_once(']').map_or(value, |(fields, _)| fields)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_they_say_in_any_style() {
        let facts = |text| Facts::parse(text).map(|facts| (facts.descr, facts.is_fortran, facts.shape));
        assert_eq!(
            facts("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }   \n"),
            Some(("<f4", false, vec![3, 5]))
        );
        assert_eq!(
            facts("{\"shape\":(3L,),\"fortran_order\":True,\"descr\":\"|b1\"}"),
            Some(("|b1", true, vec![3]))
        );
        assert_eq!(
            facts("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}").unwrap().0,
            "[('a', '<f4')"
        );
        for wrong in [
            "",
            "{}",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'shape'",
        ] {
            assert!(facts(wrong).is_none(), "{wrong}");
        }
    }
}
