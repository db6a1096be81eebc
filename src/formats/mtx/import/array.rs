//! Imports `.mtx` of a dense matrix: its values in column-major order, one per line.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{Symmetry, Text, negative};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::formats::npy::import::{BLOCK, Header};
use crate::import::input::{Input, no_memory};
use crate::import::number::{Number, Numerals, is_beyond_int64};
use crate::import::{Fill, Found, dense};
use crate::word::to_usize;

/// The array in the file.
pub(super) fn found<'f>(
    input: &'f Input<'f>,
    dtype: Dtype,
    shape: [u64; 2],
    symmetry: Symmetry,
    numerals: Numerals<'static>,
) -> Result<Found<'f>> {
    let metadata = dense(&input.path, dtype, &shape)?;
    let fill: Fill<'f> = Box::new(move |to| {
        let (text, _) = Text::of_elements(input)?;
        let mut values = Values { input, text, count: 0, dtype, numerals };
        match symmetry {
            Symmetry::General => {
                let header = Header::in_columns(dtype, shape);
                header.copy(input, &mut |buffer| values.fill(buffer), to)?;
            }
            _ => triangle(input, &mut values, shape[0], symmetry, to)?,
        }
        values.text.end()
    });
    Ok(Found { metadata, fill: vec![fill], beside: Vec::new(), notes: Vec::new() })
}

/// The integer type: uint64 if some integers exceed int64 and none is negative, otherwise int64.
pub(super) fn integers(input: &Input<'_>) -> Result<Dtype> {
    let (mut text, _) = Text::of_elements(input)?;
    let (mut has_beyond, mut has_negative) = (false, false);
    while !has_negative && text.next()? {
        has_beyond |= is_beyond_int64(&text.line);
        has_negative |= text.line.trim_ascii_start().starts_with(b"-");
    }
    Ok(if has_beyond && !has_negative { Dtype::Uint64 } else { Dtype::Int64 })
}

/// A reader of the values in the file.
struct Values<'f> {
    input: &'f Input<'f>,
    text: Text<'f>,
    /// Number of values read.
    count: u64,
    dtype: Dtype,
    numerals: Numerals<'static>,
}

impl Values<'_> {
    fn width(&self) -> usize {
        usize::try_from(self.dtype.itemsize()).unwrap_or(8)
    }

    /// Moves to the next value.
    fn step(&mut self) -> Result<()> {
        if !self.text.next()? {
            let why = format!("it ends after {} values, before the last: was it cut?", self.count);
            return Err(self.input.refused(why));
        }
        self.count += 1;
        Ok(())
    }

    /// The text as an element.
    fn element(&self, text: &[u8]) -> Result<Number> {
        self.numerals.element(self.dtype, text).map_err(|why| self.text.unfit(why, self.dtype, text))
    }

    /// Fills a buffer with the next elements.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let width = self.width();
        for item in buffer.chunks_exact_mut(width) {
            self.step()?;
            item.copy_from_slice(&self.element(&self.text.line)?[..width]);
        }
        Ok(())
    }
}

/// Writes the matrix from its lower triangle, which the file stores by columns. The part of a column below
/// the diagonal is also the part of a row to the right of it.
///
/// The file is read once, in blocks of columns that fit in memory. Each block is written in both positions.
fn triangle(
    input: &Input<'_>,
    values: &mut Values<'_>,
    side: u64,
    symmetry: Symmetry,
    to: &File,
) -> Result<()> {
    let width = values.width();
    let item = values.dtype.itemsize();
    let mut start = 0;
    while start < side {
        let block = Block::read(input, values, side, symmetry, start)?;
        for column in start..block.end {
            let right: Vec<u8> =
                block.column(column).iter().flat_map(|[_, right]| &right[..width]).copied().collect();
            let first = column + block.skip;
            if first < side {
                to.write_all_at(&right, (column * side + first) * item).map_err(input.not_written())?;
            }
        }
        for row in start + 1..side {
            let columns = start..block.end.min(row);
            let below = columns.flat_map(|column| &block.get(row, column)[..width]);
            let below: Vec<u8> = below.copied().collect();
            to.write_all_at(&below, (row * side + start) * item).map_err(input.not_written())?;
        }
        start = block.end;
    }
    // A skew-symmetric matrix has zeros on the diagonal, which nothing above writes. The hole reads as zeros.
    to.set_len(side * side * item).map_err(input.not_written())
}

/// Some columns of the triangle: each value, and its counterpart across the diagonal.
struct Block {
    start: u64,
    end: u64,
    /// How far below the diagonal a column begins: 1 if the matrix is skew-symmetric, otherwise 0.
    skip: u64,
    /// The index in `values` at which each column begins.
    starts: Vec<usize>,
    values: Vec<[Number; 2]>,
}

impl Block {
    fn read(
        input: &Input<'_>,
        values: &mut Values<'_>,
        side: u64,
        symmetry: Symmetry,
        start: u64,
    ) -> Result<Self> {
        let skip = u64::from(symmetry == Symmetry::Skew);
        let mut block = Self { start, end: start, skip, starts: Vec::new(), values: Vec::new() };
        let most = to_usize(BLOCK) / size_of::<[Number; 2]>();
        while block.end < side && block.values.len() < most {
            block.starts.push(block.values.len());
            for _ in block.end + skip..side {
                values.step()?;
                let text = &values.text.line;
                let value = values.element(text)?;
                let other = if skip == 0 { value } else { values.element(&negative(text.trim_ascii()))? };
                block.values.try_reserve(1).map_err(|_| no_memory(&input.path))?;
                block.values.push([value, other]);
            }
            block.end += 1;
        }
        block.starts.push(block.values.len());
        Ok(block)
    }

    fn column(&self, column: u64) -> &[[Number; 2]] {
        let i = to_usize(column - self.start);
        &self.values[self.starts[i]..self.starts[i + 1]]
    }

    /// The value at this position, which is below the diagonal.
    fn get(&self, row: u64, column: u64) -> &Number {
        let at = to_usize(row - column - self.skip);
        &self.column(column)[at][0]
    }
}
