//! Matrices that are not stored in rows: sorted, and their elements that stand twice added up.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::rc::Rc;

use super::input::Input;
use super::number::Number;
use super::{Fill, Found};
use crate::dtype::{Dtype, add, encode_integer};
use crate::error::{Error, Result};
use crate::format::{Metadata, SparseMeta};

/// Row, column and value of each element, in any order.
pub(super) struct Elements {
    pub dtype: Dtype,
    pub shape: [u64; 2],
    pub elements: Vec<(u64, u64, Number)>,
}

impl Elements {
    /// The matrix in rows, in the types that SciPy gives it.
    pub fn into_csr<'f>(mut self, input: &'f Input<'f>) -> Result<Found<'f>> {
        self.sort();
        let nnz = self.elements.len() as u64;
        let index = |most: u64| if i32::try_from(most).is_ok() { Dtype::Int32 } else { Dtype::Int64 };
        let types = [self.dtype, index(self.shape[0].max(self.shape[1])), index(nnz)];
        let meta = SparseMeta::new(types, self.shape, nnz).map_err(|flaw| flaw.at(input.path))?;
        let (shared, width) = (Rc::new(self), usize::try_from(types[0].itemsize()).unwrap_or(8));
        let [data, indices, indptr] = [(); 3].map(|()| Rc::clone(&shared));
        let fill: Vec<Fill<'f>> = vec![
            Box::new(move |to| {
                write(input, to, data.elements.iter(), |(.., value), out| {
                    out.extend_from_slice(&value[..width])
                })
            }),
            Box::new(move |to| {
                write(input, to, indices.elements.iter(), |(_, column, _), out| {
                    encode_integer(types[1], *column, out)
                })
            }),
            Box::new(move |to| {
                write(input, to, indptr.bounds(), |bound, out| encode_integer(types[2], bound, out))
            }),
        ];
        Ok(Found { metadata: Metadata::Sparse(meta), fill, beside: Vec::new() })
    }

    fn sort(&mut self) {
        self.elements.sort_by_key(|(row, column, _)| (*row, *column));
        let (dtype, width) = (self.dtype, usize::try_from(self.dtype.itemsize()).unwrap_or(8));
        self.elements.dedup_by(|next, first| {
            let is_same = (next.0, next.1) == (first.0, first.1);
            if is_same {
                add(dtype, &mut first.2[..width], &next.2[..width]);
            }
            is_same
        });
    }

    /// Where each row starts, and where the last one ends.
    fn bounds(&self) -> impl Iterator<Item = u64> {
        let mut at = 0;
        (0..=self.shape[0]).map(move |row| {
            while self.elements.get(at).is_some_and(|(other, ..)| *other < row) {
                at += 1;
            }
            at as u64
        })
    }
}

fn write<T>(
    input: &Input<'_>,
    to: &mut File,
    items: impl Iterator<Item = T>,
    encode: impl Fn(T, &mut Vec<u8>),
) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, to);
    let mut bytes = Vec::new();
    for item in items {
        bytes.clear();
        encode(item, &mut bytes);
        out.write_all(&bytes).map_err(|e| Error::io(input.path, "write what was read from it", e))?;
    }
    out.flush().map_err(|e| Error::io(input.path, "write what was read from it", e))
}
