//! Arrays as they lie in their files: typed views of mapped bytes, without a copy.
//!
//! # Safety
//!
//! Whoever opens one promises for as long as it lives:
//!
//! - Nobody truncates its files. Touching what is gone ends the process by SIGBUS.
//! - While a view to read lives, nobody writes what it shows: by another handle of this process, to whichever path that
//!   leads to the same file, by writing the file, or in another process.
//! - While a view to write lives, nobody else reads or writes what it shows, in any of these ways.
//!
//! Files that are replaced (by `create`, by rename) or removed are no danger: the old ones live on for who has them.
#![allow(unsafe_code)] // declares functions whose contract is the one above, which is that of the maps

use std::path::{Path, PathBuf};

use ndarray::{ArrayView1, ArrayViewD, ArrayViewMutD};

use super::{array_shape, bytes_as_ndarray, cast, check_dtype, open_files, row_range};
use crate::daf::metadata::{DenseMeta, Kind, Metadata, Shape, SparseMeta};
use crate::dtype::{Dtype, Element};
use crate::error::{Error, Result};
use crate::store::mmap::{MmapBytes, Mode};

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
    /// As [`DenseArray::open`](super::DenseArray::open).
    ///
    /// # Safety
    ///
    /// As long as what this returns lives, nobody truncates its file; while a view lives, nobody else writes what
    /// it shows, and while one to write lives, nobody else reads it: by no other handle of this process, and in
    /// no other process.
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

    /// Path without a suffix.
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

    /// Whether the data may only be read.
    pub fn is_frozen(&self) -> bool {
        self.bytes.mode() == Mode::Read
    }

    /// The elements' bytes, row after row, little-endian.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: whoever opened the array has promised it.
        unsafe { self.bytes.bytes() }
    }

    /// The elements, without a copy; `T` must be the array's own type.
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        bytes_as_ndarray(self.bytes(), &self.path.to_string_lossy(), &self.meta.shape.axes())
    }

    /// The elements of an array that was opened in mode `r+`, to be written.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the array is frozen, or while another holder of the same file writes.
    pub fn view_mut<T: Element>(&mut self) -> Result<ArrayViewMutD<'_, T>> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        let shape = array_shape(&self.meta.shape.axes());
        // SAFETY: whoever opened the array has promised it.
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
    /// Values, in the order they are stored.
    pub data: &'a [D],
    /// The column of each, not checked against the shape.
    pub indices: &'a [I],
}

impl MappedCsr {
    /// Opens `path.yaml`, `path.data`, `path.indices` and `path.indptr`.
    ///
    /// # Errors
    ///
    /// As [`CsrMatrix::open`](super::CsrMatrix::open).
    ///
    /// # Safety
    ///
    /// As that of [`MappedArray::open`], for each of the files.
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

    /// Path without a suffix.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Types, shape and number of stored elements.
    pub fn meta(&self) -> &SparseMeta {
        &self.meta
    }

    /// Whether the data may only be read.
    pub fn is_frozen(&self) -> bool {
        self.data.mode() == Mode::Read
    }

    /// The stored elements (`nnz` of them), without a copy.
    pub fn data<T: Element>(&self) -> Result<&[T]> {
        // SAFETY: whoever opened the matrix has promised it.
        items(&self.path, unsafe { self.data.bytes() }, self.meta.data_dtype)
    }

    /// The column of each stored element, without a copy.
    pub fn indices<T: Element>(&self) -> Result<&[T]> {
        // SAFETY: whoever opened the matrix has promised it.
        items(&self.path, unsafe { self.indices.bytes() }, self.meta.indices_dtype)
    }

    /// Where each row starts in `data` and `indices`, and where the last one ends (rows + 1 numbers).
    pub fn indptr<T: Element>(&self) -> Result<&[T]> {
        items(&self.path, self.indptr_bytes(), self.meta.indptr_dtype)
    }

    fn indptr_bytes(&self) -> &[u8] {
        // SAFETY: whoever opened the matrix has promised it.
        unsafe { self.indptr.bytes() }
    }

    /// The stored elements of a matrix that was opened in mode `r+`, to be written in place.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the matrix is frozen, or while another holder of the same file writes.
    pub fn data_mut<T: Element>(&mut self) -> Result<&mut [T]> {
        check_dtype::<T>(&self.path, self.meta.data_dtype)?;
        // SAFETY: whoever opened the matrix has promised it.
        let bytes = unsafe { self.data.bytes_mut(&self.path) }?;
        cast_mut(bytes).map_err(|why| Error::refused(&self.path, why))
    }

    /// The rows in order, without a copy. A row whose range leaves the data is an error, and the
    /// rows after it go on.
    pub fn rows<D: Element, I: Element>(&self) -> Result<impl Iterator<Item = Result<CsrRow<'_, D, I>>>> {
        let (data, indices) = (self.data()?, self.indices()?);
        Ok((0..self.meta.shape[0]).map(move |row| {
            let range = in_memory(&self.range(row)?);
            Ok(CsrRow { data: &data[range.clone()], indices: &indices[range] })
        }))
    }

    /// Where the elements of `row` (below the number of rows) stand in `data` and `indices`.
    fn range(&self, row: u64) -> Result<std::ops::Range<u64>> {
        let item = self.meta.indptr_dtype.itemsize();
        let pair = in_memory(&(row.saturating_mul(item)..row.saturating_add(2).saturating_mul(item)));
        row_range(&self.path, &self.meta, row, self.indptr_bytes().get(pair).unwrap_or_default())
    }
}

/// A range of what is in memory, and therefore fits a `usize`.
fn in_memory(range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
    let [start, end] = [range.start, range.end].map(|end| usize::try_from(end).unwrap_or(usize::MAX));
    start..end
}

/// The elements in `bytes`, which hold `dtype` and are viewed as `T`.
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
