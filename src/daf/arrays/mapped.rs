//! Arrays as typed views of mapped files, without a copy.
//!
//! # Safety
//!
//! The caller of `open` promises, for as long as the array lives:
//!
//! - Nobody truncates its files. Access to truncated bytes kills the process with SIGBUS.
//! - While a view for reading lives, nobody writes the bytes in it: neither through another handle of this
//!   process (whatever path it was opened by), nor by writing to the file, nor from another process.
//! - While a view for writing lives, nobody else reads or writes the bytes in it, by any of these ways.
//!
//! Replacing a file (by `create` or a rename) or removing it is safe: open arrays keep the old file.
#![allow(unsafe_code)] // declares functions with the contract above, which is that of the mappings

use std::path::{Path, PathBuf};

use ndarray::{ArrayView1, ArrayViewD, ArrayViewMutD};

use super::{array_shape, bytes_as_ndarray, cast, check_dtype, open_files, row_range};
use crate::daf::metadata::{DenseMeta, Kind, Metadata, Shape, SparseMeta};
use crate::dtype::{Dtype, Element};
use crate::error::{Error, Result};
use crate::store::mmap::{MmapBytes, Mode};
use crate::word::to_usize;

/// A mapped dense vector or row-major matrix.
#[derive(Debug)]
pub struct MappedArray {
    path: PathBuf,
    meta: DenseMeta,
    bytes: MmapBytes,
}

impl MappedArray {
    /// Opens `path.yaml` and `path.array`.
    ///
    /// # Errors
    ///
    /// Like [`DenseArray::open`](super::DenseArray::open).
    ///
    /// # Safety
    ///
    /// For as long as the result lives, nobody truncates its file. While a view lives, nobody else writes
    /// the bytes in it; while a view for writing lives, nobody else reads them. This covers other handles
    /// of this process, and other processes.
    pub unsafe fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let path = path.as_ref();
        let (metadata, files) = open_files(path, Kind::Dense, mode)?;
        match (metadata, files.into_iter().next()) {
            (Metadata::Dense(meta), Some(file)) => {
                Ok(Self { path: path.to_owned(), meta, bytes: file.map()? })
            }
            _ => unreachable!("dense metadata was asked for, and it has one file"),
        }
    }

    /// Path without suffix.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.meta.dtype
    }

    /// One or two axes.
    pub fn shape(&self) -> Shape {
        self.meta.shape
    }

    /// Whether the data is read-only.
    pub fn is_frozen(&self) -> bool {
        self.bytes.mode() == Mode::Read
    }

    /// The bytes of the elements, row-major and little-endian.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the caller of `open` promised this.
        unsafe { self.bytes.bytes() }
    }

    /// The elements, without a copy. `T` must match the dtype.
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        bytes_as_ndarray(self.bytes(), &self.path.to_string_lossy(), &self.meta.shape.axes())
    }

    /// The elements for writing. The array must have been opened in mode `r+`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `T` does not match the dtype, [`Error::Refused`] if the array is read-only, or
    /// while another handle of the same file is writing.
    pub fn view_mut<T: Element>(&mut self) -> Result<ArrayViewMutD<'_, T>> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        let shape = array_shape(&self.meta.shape.axes());
        // SAFETY: the caller of `open` promised this.
        let items = cast_mut(unsafe { self.bytes.bytes_mut(&self.path) }?);
        let view = items.and_then(|items| ArrayViewMutD::from_shape(shape, items).map_err(|e| e.to_string()));
        view.map_err(|why| Error::refused(&self.path, why))
    }

    /// Row `i` of a matrix, or element `i` of a vector, without a copy.
    pub fn row<T: Element>(&self, i: u64) -> Result<ArrayView1<'_, T>> {
        let items: &[T] = items(&self.path, self.bytes(), self.meta.dtype)?;
        let columns = self.meta.shape.columns();
        if i >= self.meta.shape.rows() {
            return Err(Error::not_found(self.path.join(i.to_string())));
        }
        Ok(ArrayView1::from(&items[in_memory(&(i * columns..(i + 1) * columns))]))
    }
}

/// A mapped sparse matrix in CSR.
#[derive(Debug)]
pub struct MappedCsr {
    path: PathBuf,
    meta: SparseMeta,
    data: MmapBytes,
    indices: MmapBytes,
    indptr: MmapBytes,
}

/// The stored elements of one row of a [`MappedCsr`].
#[derive(Clone, Copy, Debug)]
pub struct CsrRow<'a, D, I> {
    /// Values in stored order.
    pub data: &'a [D],
    /// The column of each value, not checked against the shape.
    pub indices: &'a [I],
}

impl MappedCsr {
    /// Opens `path.yaml`, `path.data`, `path.indices` and `path.indptr`.
    ///
    /// # Errors
    ///
    /// Like [`CsrMatrix::open`](super::CsrMatrix::open).
    ///
    /// # Safety
    ///
    /// Like [`MappedArray::open`], for each of the files.
    pub unsafe fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let path = path.as_ref();
        let (metadata, files) = open_files(path, Kind::Sparse, mode)?;
        let files = files.iter().map(super::DataFile::map).collect::<Result<Vec<_>>>()?;
        match (metadata, <[MmapBytes; 3]>::try_from(files)) {
            (Metadata::Sparse(meta), Ok([data, indices, indptr])) => {
                Ok(Self { path: path.to_owned(), meta, data, indices, indptr })
            }
            _ => unreachable!("sparse metadata was asked for, and it has three files"),
        }
    }

    /// Path without suffix.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Dtypes, shape and number of stored elements.
    pub fn meta(&self) -> &SparseMeta {
        &self.meta
    }

    /// Whether the data is read-only.
    pub fn is_frozen(&self) -> bool {
        self.data.mode() == Mode::Read
    }

    /// The stored elements (`nnz` of them), without a copy.
    pub fn data<T: Element>(&self) -> Result<&[T]> {
        // SAFETY: the caller of `open` promised this.
        items(&self.path, unsafe { self.data.bytes() }, self.meta.data_dtype)
    }

    /// The column of each stored element, without a copy.
    pub fn indices<T: Element>(&self) -> Result<&[T]> {
        // SAFETY: the caller of `open` promised this.
        items(&self.path, unsafe { self.indices.bytes() }, self.meta.indices_dtype)
    }

    /// Where each row starts in `data` and `indices`, and where the last row ends (rows + 1 numbers).
    pub fn indptr<T: Element>(&self) -> Result<&[T]> {
        items(&self.path, self.indptr_bytes(), self.meta.indptr_dtype)
    }

    fn indptr_bytes(&self) -> &[u8] {
        // SAFETY: the caller of `open` promised this.
        unsafe { self.indptr.bytes() }
    }

    /// The stored elements for writing in place. The matrix must have been opened in mode `r+`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `T` does not match the dtype, [`Error::Refused`] if the matrix is read-only,
    /// or while another handle of the same file is writing.
    pub fn data_mut<T: Element>(&mut self) -> Result<&mut [T]> {
        check_dtype::<T>(&self.path, self.meta.data_dtype)?;
        // SAFETY: the caller of `open` promised this.
        let bytes = unsafe { self.data.bytes_mut(&self.path) }?;
        cast_mut(bytes).map_err(|why| Error::refused(&self.path, why))
    }

    /// All rows in order, without a copy. A row whose range is invalid yields an error; iteration continues
    /// with the next row.
    pub fn rows<D: Element, I: Element>(&self) -> Result<impl Iterator<Item = Result<CsrRow<'_, D, I>>>> {
        let (data, indices) = (self.data()?, self.indices()?);
        Ok((0..self.meta.shape[0]).map(move |row| {
            let range = in_memory(&self.range(row)?);
            Ok(CsrRow { data: &data[range.clone()], indices: &indices[range] })
        }))
    }

    /// The range of the elements of `row` (below the number of rows) in `data` and `indices`.
    fn range(&self, row: u64) -> Result<std::ops::Range<u64>> {
        let item = self.meta.indptr_dtype.itemsize();
        let pair = in_memory(&(row.saturating_mul(item)..row.saturating_add(2).saturating_mul(item)));
        row_range(&self.path, &self.meta, row, self.indptr_bytes().get(pair).unwrap_or_default())
    }
}

/// Converts a range of mapped bytes or elements, which always fits `usize`.
fn in_memory(range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
    let [start, end] = [range.start, range.end].map(to_usize);
    start..end
}

/// The elements in `bytes`, which have the given dtype, as `T`.
fn items<'b, T: Element>(path: &Path, bytes: &'b [u8], dtype: Dtype) -> Result<&'b [T]> {
    check_dtype::<T>(path, dtype)?;
    cast(bytes).map_err(|why| Error::refused(path, why))
}

fn cast_mut<T: Element>(bytes: &mut [u8]) -> std::result::Result<&mut [T], String> {
    if bytes.is_empty() {
        return Ok(&mut []);
    }
    bytemuck::try_cast_slice_mut(bytes).map_err(|e| format!("no view of {}: {e}", T::DTYPE))
}
