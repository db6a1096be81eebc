//! Arrays that are read and written by copies: safe, whatever other processes do to the files.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, ArrayView, Dimension};

use super::{DataFile, array_shape, check_dtype, open_files, row_range};
use crate::daf::metadata::{DenseMeta, Kind, Metadata, Shape, SparseMeta};
use crate::dtype::{Dtype, Element};
use crate::error::{Error, Result};
use crate::store::mmap::Mode;

/// A dense vector or row-major matrix.
///
/// Reads return copies, and writes go to the file immediately. Two handles of one array, in one process or
/// in two, see each other's writes and share nothing else. Slices of the file's own bytes are available
/// only through the unsafe [`MappedArray`](super::MappedArray). So this does not compile:
///
/// ```compile_fail,E0133
/// use arrayfs::{daf::memory_mapping::open_memory_mapped_array, store::mmap::Mode};
///
/// fn read_what_is_written(path: &str) -> arrayfs::Result<f32> {
///     let mut writer = open_memory_mapped_array(path, Mode::ReadWrite)?;
///     let reader = open_memory_mapped_array(path, Mode::Read)?;
///     let (mut written, read) = (writer.view_mut::<f32>()?, reader.view::<f32>()?);
///     written[[0]] = 1.0;
///     Ok(read[[0]])
/// }
/// ```
///
/// It is rejected only because `unsafe` is missing:
///
/// ```
/// use arrayfs::{daf::memory_mapping::open_memory_mapped_array, store::mmap::Mode};
///
/// fn read_what_is_written(path: &str) -> arrayfs::Result<f32> {
///     let mut writer = unsafe { open_memory_mapped_array(path, Mode::ReadWrite)? };
///     let reader = unsafe { open_memory_mapped_array(path, Mode::Read)? };
///     let (mut written, read) = (writer.view_mut::<f32>()?, reader.view::<f32>()?);
///     written[[0]] = 1.0; // violates what `unsafe` promised
///     Ok(read[[0]])
/// }
/// ```
///
/// Mapped bytes do not give safe access either:
///
/// ```compile_fail,E0133
/// fn first(bytes: &arrayfs::store::mmap::MmapBytes) -> u8 {
///     bytes.bytes()[0]
/// }
/// ```
///
/// ```compile_fail,E0614
/// fn first(bytes: &arrayfs::store::mmap::MmapBytes) -> &[u8] {
///     &**bytes
/// }
/// ```
#[derive(Debug)]
pub struct DenseArray {
    path: PathBuf,
    meta: DenseMeta,
    file: DataFile,
}

impl DenseArray {
    /// Opens `path.yaml` and `path.array`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a missing file, [`Error::Invalid`] for invalid metadata or a wrong size,
    /// [`Error::Stale`] if the array is replaced during every attempt to open it.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let path = path.as_ref();
        let (metadata, files) = open_files(path, Kind::Dense, mode)?;
        match (metadata, files.into_iter().next()) {
            (Metadata::Dense(meta), Some(file)) => Ok(Self { path: path.to_owned(), meta, file }),
            _ => unreachable!("dense metadata was asked for, and it has one file"),
        }
    }

    /// Path without suffix.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Dtype of the elements.
    pub fn dtype(&self) -> Dtype {
        self.meta.dtype
    }

    /// One or two axes.
    pub fn shape(&self) -> Shape {
        self.meta.shape
    }

    /// Whether the data is read-only.
    pub fn is_frozen(&self) -> bool {
        self.file.is_frozen()
    }

    /// A copy of all elements. `T` must match the dtype.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `T` does not match, [`Error::Truncated`] if the file has become shorter,
    /// [`Error::Refused`] if the elements do not fit into memory.
    pub fn to_array<T: Element>(&self) -> Result<ArrayD<T>> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        let items = self.file.read(0, self.meta.shape.elements())?;
        let array = ArrayD::from_shape_vec(array_shape(&self.meta.shape.axes()), items);
        array.map_err(|e| Error::refused(&self.path, e.to_string()))
    }

    /// A copy of row `i` of a matrix, or of element `i` of a vector.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such row; otherwise like [`to_array`](Self::to_array).
    pub fn row<T: Element>(&self, i: u64) -> Result<Vec<T>> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        let first = self.first_of(i)?;
        self.file.read(first, self.meta.shape.columns())
    }

    /// Writes all elements. The array must have been opened in mode `r+`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a wrong type or shape, [`Error::Refused`] if the array is read-only,
    /// [`Error::Truncated`] if the file has become shorter, [`Error::Io`] from the system.
    pub fn assign<T: Element, D: Dimension>(&self, items: ArrayView<'_, T, D>) -> Result<()> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        let (expected, found) = (array_shape(&self.meta.shape.axes()), items.raw_dim().into_dyn());
        if found != expected {
            let [expected, found] =
                [expected, found].map(|shape| format!("{:?}", ndarray::Dimension::slice(&shape)));
            return Err(Error::invalid(&self.path, "shape", expected, found));
        }
        let in_rows = items.as_standard_layout();
        self.file.write(0, in_rows.as_slice().unwrap_or_default())
    }

    /// Writes row `i` of a matrix, or element `i` of a vector. The array must have been opened in mode
    /// `r+`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such row; otherwise like [`assign`](Self::assign).
    pub fn write_row<T: Element>(&self, i: u64, items: &[T]) -> Result<()> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        let first = self.first_of(i)?;
        check_length(&self.path, self.meta.shape.columns(), items)?;
        self.file.write(first, items)
    }

    /// The index of the first element of a row.
    fn first_of(&self, row: u64) -> Result<u64> {
        match row < self.meta.shape.rows() {
            true => Ok(row * self.meta.shape.columns()),
            false => Err(Error::not_found(self.path.join(row.to_string()))),
        }
    }
}

/// A sparse matrix in CSR. Reads and writes work as for [`DenseArray`].
#[derive(Debug)]
pub struct CsrMatrix {
    path: PathBuf,
    meta: SparseMeta,
    data: DataFile,
    indices: DataFile,
    indptr: DataFile,
}

/// A copy of the stored elements of one row of a [`CsrMatrix`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredRow<D, I> {
    /// Values in stored order.
    pub data: Vec<D>,
    /// The column of each value, not checked against the shape.
    pub indices: Vec<I>,
}

impl CsrMatrix {
    /// Opens `path.yaml`, `path.data`, `path.indices` and `path.indptr`.
    ///
    /// # Errors
    ///
    /// Like [`DenseArray::open`].
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let path = path.as_ref();
        let (metadata, files) = open_files(path, Kind::Sparse, mode)?;
        match (metadata, <[DataFile; 3]>::try_from(files)) {
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
        self.data.is_frozen()
    }

    /// A copy of the stored elements (`nnz` of them).
    ///
    /// # Errors
    ///
    /// Like [`DenseArray::to_array`].
    pub fn data<T: Element>(&self) -> Result<Vec<T>> {
        check_dtype::<T>(&self.path, self.meta.data_dtype)?;
        self.data.read(0, self.meta.nnz)
    }

    /// A copy of the column of each stored element.
    ///
    /// # Errors
    ///
    /// Like [`DenseArray::to_array`].
    pub fn indices<T: Element>(&self) -> Result<Vec<T>> {
        check_dtype::<T>(&self.path, self.meta.indices_dtype)?;
        self.indices.read(0, self.meta.nnz)
    }

    /// A copy of `indptr`: where each row starts in `data` and `indices`, and where the last row ends (rows
    /// + 1 numbers).
    ///
    /// # Errors
    ///
    /// Like [`DenseArray::to_array`].
    pub fn indptr<T: Element>(&self) -> Result<Vec<T>> {
        check_dtype::<T>(&self.path, self.meta.indptr_dtype)?;
        self.indptr.read(0, self.meta.shape[0].saturating_add(1))
    }

    /// A copy of the stored elements of row `i`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such row, [`Error::Invalid`] if its range is invalid; otherwise
    /// like [`DenseArray::to_array`].
    pub fn row<D: Element, I: Element>(&self, i: u64) -> Result<StoredRow<D, I>> {
        check_dtype::<D>(&self.path, self.meta.data_dtype)?;
        check_dtype::<I>(&self.path, self.meta.indices_dtype)?;
        let range = self.range(i)?;
        let count = range.end - range.start;
        Ok(StoredRow {
            data: self.data.read(range.start, count)?,
            indices: self.indices.read(range.start, count)?,
        })
    }

    /// Writes the values of all stored elements. Their columns do not change. The matrix must have been
    /// opened in mode `r+`.
    ///
    /// # Errors
    ///
    /// Like [`DenseArray::assign`].
    pub fn write_data<T: Element>(&self, items: &[T]) -> Result<()> {
        check_dtype::<T>(&self.path, self.meta.data_dtype)?;
        check_length(&self.path, self.meta.nnz, items)?;
        self.data.write(0, items)
    }

    /// Writes the values of the stored elements of row `i`. Their columns do not change. The matrix must
    /// have been opened in mode `r+`.
    ///
    /// # Errors
    ///
    /// Like [`row`](Self::row) and [`DenseArray::assign`].
    pub fn write_row<T: Element>(&self, i: u64, items: &[T]) -> Result<()> {
        check_dtype::<T>(&self.path, self.meta.data_dtype)?;
        let range = self.range(i)?;
        check_length(&self.path, range.end - range.start, items)?;
        self.data.write(range.start, items)
    }

    /// The range of the elements of a row in `data` and `indices`.
    fn range(&self, row: u64) -> Result<std::ops::Range<u64>> {
        if row >= self.meta.shape[0] {
            return Err(Error::not_found(self.path.join(row.to_string())));
        }
        let item = self.meta.indptr_dtype.itemsize();
        let mut pair = [0; 16];
        let pair = &mut pair[..usize::try_from(2 * item).unwrap_or(16)];
        self.indptr.read_at(pair, row.saturating_mul(item))?;
        row_range(&self.path, &self.meta, row, pair)
    }
}

fn check_length<T>(path: &Path, expected: u64, items: &[T]) -> Result<()> {
    match items.len() as u64 {
        found if found == expected => Ok(()),
        found => {
            Err(Error::invalid(path, "length", format!("{expected} elements"), format!("{found} elements")))
        }
    }
}
