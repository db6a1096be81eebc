//! `.npy`, its header read by `npyz`: elements of any of the format's types, in either byte order, in rows or in
//! columns.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};

use super::input::Input;
use super::{Fill, Found, Options, dense};
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// The longest header that is read, in bytes.
const LONGEST: u64 = 1 << 20;
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
        let header = NpyHeader::from_reader(from.take(LONGEST)).map_err(input.failed())?;
        let DType::Plain(kind) = header.dtype() else {
            return Err(input
                .refused(format!("its elements are of the type {}, not numbers", header.dtype().descr())));
        };
        let dtype = match (kind.type_char(), kind.size_field()) {
            (TypeChar::Bool, 1) => Some(Dtype::Bool),
            (TypeChar::Int, 1) => Some(Dtype::Int8),
            (TypeChar::Int, 2) => Some(Dtype::Int16),
            (TypeChar::Int, 4) => Some(Dtype::Int32),
            (TypeChar::Int, 8) => Some(Dtype::Int64),
            (TypeChar::Uint, 1) => Some(Dtype::Uint8),
            (TypeChar::Uint, 2) => Some(Dtype::Uint16),
            (TypeChar::Uint, 4) => Some(Dtype::Uint32),
            (TypeChar::Uint, 8) => Some(Dtype::Uint64),
            (TypeChar::Float, 2) => Some(Dtype::Float16),
            (TypeChar::Float, 4) => Some(Dtype::Float32),
            (TypeChar::Float, 8) => Some(Dtype::Float64),
            _ => None,
        };
        let dtype = dtype.ok_or_else(|| {
            input.refused(format!("its elements are of the type {kind}, the format has {}", Dtype::names()))
        })?;
        Ok(Self {
            dtype,
            shape: header.shape().to_vec(),
            is_swapped: kind.endianness() == Endianness::Big,
            is_in_columns: header.order() == Order::Fortran && header.shape().len() > 1,
        })
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
