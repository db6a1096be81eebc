//! `.npy`, by the words of `numpy/lib/format.py`, versions 1 to 3: elements of any of the format's types, in either
//! byte order, in rows or in columns.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;

use super::input::Input;
use super::{Fill, Found, Options, dense};
use crate::dtype::{Dtype, FIXED_DTYPES};
use crate::error::{Error, Result};

/// The longest header that is read, in bytes.
const LONGEST: u32 = 1 << 20;
/// Bytes of columns that are turned into rows at once.
const BLOCK: u64 = 256 << 20;

pub(super) fn find<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    if options.dtype.is_some() || options.member.is_some() {
        return Err(input.refused("a .npy has one array, of one type: neither can be chosen"));
    }
    let header = Header::read(input, &mut BufReader::new(input.open()?))?;
    let metadata = dense(input.path, header.dtype, &header.shape)?;
    let fill: Fill<'f> = Box::new(move |to| {
        let mut from = BufReader::with_capacity(1 << 20, input.open()?);
        let header = Header::read(input, &mut from)?;
        header.copy(input, &mut from, to)
    });
    Ok(Found { metadata, fill: vec![fill], beside: Vec::new() })
}

/// What comes before the elements.
#[derive(Clone)]
pub(super) struct Header {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    /// Whether the bytes of an element stand the other way round.
    is_swapped: bool,
    /// Whether the elements of a column follow one another.
    is_in_columns: bool,
}

impl Header {
    pub fn read(input: &Input<'_>, from: &mut dyn Read) -> Result<Self> {
        let text = header_text(input, from)?;
        let facts = Facts::parse(&text)
            .ok_or_else(|| input.refused(format!("a header that is none: {}", text.trim())))?;
        let (is_swapped, kind) = match facts.descr.split_at_checked(1) {
            Some((">", kind)) => (true, kind),
            Some(("<" | "|" | "=", kind)) => (false, kind),
            _ => (false, facts.descr),
        };
        let dtype = FIXED_DTYPES.into_iter().find(|dtype| &dtype.descr()[1..] == kind).ok_or_else(|| {
            input.refused(format!(
                "its elements are of the type {}, the format has {}",
                facts.descr,
                Dtype::names()
            ))
        })?;
        let is_in_columns = facts.is_fortran && facts.shape.len() > 1;
        Ok(Self { dtype, shape: facts.shape, is_swapped, is_in_columns })
    }

    /// Elements in columns, in our own byte order.
    pub fn in_columns(dtype: Dtype, shape: [u64; 2]) -> Self {
        Self { dtype, shape: shape.to_vec(), is_swapped: false, is_in_columns: true }
    }

    /// Number of elements.
    pub fn count(&self, input: &Input<'_>) -> Result<u64> {
        let bytes = self.shape.iter().try_fold(self.dtype.itemsize(), |bytes, axis| bytes.checked_mul(*axis));
        let bytes = bytes.ok_or_else(|| input.refused(format!("an array of shape {:?}", self.shape)))?;
        Ok(bytes / self.dtype.itemsize())
    }

    /// Writes the elements in rows.
    pub fn copy(&self, input: &Input<'_>, from: &mut dyn Read, to: &mut File) -> Result<()> {
        match self.shape[..] {
            [rows, columns] if self.is_in_columns => self.transpose(input, from, to, rows, columns),
            _ => self.copy_checked(input, from, to, |_| Ok(())),
        }
    }

    /// Writes the elements, which are in rows, and shows them to `check`, whole ones in each piece.
    pub fn copy_checked(
        &self,
        input: &Input<'_>,
        from: &mut dyn Read,
        to: &mut dyn std::io::Write,
        check: impl Fn(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let bytes = self.count(input)? * self.dtype.itemsize();
        input.copy(from, bytes, to, |piece| {
            self.swap(piece);
            check(piece)
        })
    }

    fn swap(&self, bytes: &mut [u8]) {
        if self.is_swapped {
            bytes.chunks_exact_mut(self.width()).for_each(<[u8]>::reverse);
        }
    }

    fn width(&self) -> usize {
        usize::try_from(self.dtype.itemsize()).unwrap_or(8)
    }

    /// Reads columns, as many as fit into a block, and writes of each row what is in them.
    fn transpose(
        &self,
        input: &Input<'_>,
        from: &mut dyn Read,
        to: &File,
        rows: u64,
        columns: u64,
    ) -> Result<()> {
        let (item, width) = (self.dtype.itemsize(), self.width());
        let high = rows.min(BLOCK / item).max(1);
        let wide = if high == rows { (BLOCK / (rows * item)).clamp(1, columns) } else { 1 };
        for column in (0..columns).step_by(usize::try_from(wide).unwrap_or(usize::MAX)) {
            let across = wide.min(columns - column);
            for row in (0..rows).step_by(usize::try_from(high).unwrap_or(usize::MAX)) {
                let down = high.min(rows - row);
                let mut block = vec![0; usize::try_from(down * across).unwrap_or(usize::MAX) * width];
                from.read_exact(&mut block).map_err(input.failed())?;
                self.swap(&mut block);
                let column_bytes = usize::try_from(down).unwrap_or(usize::MAX) * width;
                for (i, start) in (row..row + down).zip((0..column_bytes).step_by(width)) {
                    let items = block[start..].chunks(column_bytes).flat_map(|rest| &rest[..width]);
                    let line: Vec<u8> = items.copied().collect();
                    to.write_all_at(&line, (i * columns + column) * item)
                        .map_err(|e| Error::io(input.path, "write what was read from it", e))?;
                }
            }
        }
        Ok(())
    }
}

/// The text of the header, which is read, and no more.
pub(super) fn header_text(input: &Input<'_>, from: &mut dyn Read) -> Result<String> {
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
    let mut text = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    from.read_exact(&mut text).map_err(input.failed())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What a header says: the literal of a Python dictionary of three keys.
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
        // Python 2 marks large integers.
        let axis = |axis: &str| axis.strip_suffix('L').unwrap_or(axis).parse().ok();
        Some(Self {
            descr: descr(value(text, "descr")?)?,
            is_fortran: value(text, "fortran_order")?.starts_with("True"),
            shape: axes.map(axis).collect::<Option<_>>()?,
        })
    }
}

/// What follows a key of the dictionary and its colon.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let after =
        ['\'', '"'].iter().find_map(|quote| Some(text.split_once(&format!("{quote}{key}{quote}"))?.1))?;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

/// The text of a string, or all of a list of fields.
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
