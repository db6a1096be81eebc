//! Arrays for programs that map them: metadata and mapped bytes, sizes checked, typed views without
//! a copy.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ndarray::{ArrayView1, ArrayViewD, ArrayViewMutD, IxDyn};

use crate::dtype::{Dtype, Element, decode_integers, integer_text};
use crate::error::{Error, Result};
use crate::format::{DenseMeta, Keys, Kind, MAX_YAML_BYTES, Metadata, Shape, SparseMeta, YAML};
use crate::mmap::{MmapBytes, Mode, mmap_file};
use crate::store::{FileKind, Stat, with_suffix};

/// Opens a regular file without waiting for a FIFO or stirring a device.
fn open_regular(path: &Path, mode: Mode) -> Result<File> {
    let fail = |e| Error::io(path, "open", e);
    let kind = Stat::of(&std::fs::metadata(path).map_err(fail)?).kind;
    if kind != FileKind::File {
        return Err(Error::invalid(path, "kind of file", FileKind::File.name(), kind.name()));
    }
    OpenOptions::new()
        .read(true)
        .write(mode == Mode::ReadWrite)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(fail)
}

/// How often an array is opened anew that is replaced at that very moment.
const ATTEMPTS: usize = 100;

/// Reads the metadata of the array `path`, which must be of this kind, and maps its data files.
///
/// Whoever replaces an array takes its `.yaml` away first and puts the new one in place last. So the
/// data files belong to the `.yaml` if that still stands there once they are open; if not, all is
/// opened again.
fn open_files(path: &Path, kind: Kind, mode: Mode) -> Result<(Metadata, Vec<MmapBytes>)> {
    let yaml = with_suffix(path, YAML);
    let identity = |meta: &std::fs::Metadata| Stat::of(meta).identity;
    for _ in 0..ATTEMPTS {
        // It stays open to the end, so that no other file is given its inode number.
        let file = open_regular(&yaml, Mode::Read)?;
        let before = identity(&file.metadata().map_err(|e| Error::io(&yaml, "look at", e))?);
        let opened = read_metadata(&yaml, &file, kind)
            .and_then(|metadata| map_files(path, &metadata, mode).map(|files| (metadata, files)));
        if std::fs::metadata(&yaml).is_ok_and(|now| identity(&now) == before) {
            return opened;
        }
    }
    Err(Error::Stale { path: yaml })
}

/// Reads the metadata in `file` (whose path is `yaml`) of an array of this kind.
fn read_metadata(yaml: &Path, file: &File, kind: Kind) -> Result<Metadata> {
    let mut text = Vec::new();
    file.take(MAX_YAML_BYTES + 1).read_to_end(&mut text).map_err(|e| Error::io(yaml, "read", e))?;
    let keys = Keys::parse(&text).map_err(|flaw| flaw.at(yaml))?;
    Metadata::from_keys(&keys, kind).map_err(|flaw| flaw.at(yaml))
}

/// Maps the data files of the array `path`, each of exactly the size that the metadata gives.
fn map_files(path: &Path, metadata: &Metadata, mode: Mode) -> Result<Vec<MmapBytes>> {
    let map = |(suffix, size): (&str, u64)| {
        let path = with_suffix(path, suffix);
        let file = open_regular(&path, mode)?;
        let found = file.metadata().map_err(|e| Error::io(&path, "look at", e))?.len();
        if found != size {
            return Err(Error::invalid(&path, "size", format!("{size} bytes"), format!("{found} bytes")));
        }
        let path = std::path::absolute(&path).map_err(|e| Error::io(&path, "find", e))?;
        let bytes = mmap_file(&path, mode, &file, 0, 0)?;
        // Truncated between the look at its size and the map.
        if bytes.len() as u64 != size {
            return Err(Error::Truncated { path, expected: size, found: bytes.len() as u64 });
        }
        Ok(bytes)
    };
    metadata.files().into_iter().map(map).collect()
}

/// A mapped dense vector or row-major matrix.
#[derive(Debug)]
pub struct DenseArray {
    path: PathBuf,
    meta: DenseMeta,
    bytes: MmapBytes,
}

impl DenseArray {
    /// Opens `path.yaml` and `path.array`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a missing file, [`Error::Invalid`] for metadata or a size that is wrong,
    /// [`Error::Stale`] when the array is replaced at every attempt to open it.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let path = path.as_ref();
        let (metadata, files) = open_files(path, Kind::Dense, mode)?;
        match (metadata, files.into_iter().next()) {
            (Metadata::Dense(meta), Some(bytes)) => Ok(Self { path: path.to_owned(), meta, bytes }),
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
        &self.bytes
    }

    /// The elements, without a copy; `T` must be the array's own type.
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        bytes_as_ndarray(&self.bytes, &self.path.to_string_lossy(), &self.meta.shape.axes())
    }

    /// The elements of an array that was opened in mode `r+`, to be written.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the array is frozen, or while another holder of the same file writes.
    pub fn view_mut<T: Element>(&mut self) -> Result<ArrayViewMutD<'_, T>> {
        check_dtype::<T>(&self.path, self.meta.dtype)?;
        let shape = array_shape(&self.meta.shape.axes());
        let items = cast_mut(self.bytes.bytes_mut(&self.path)?);
        let view = items.and_then(|items| ArrayViewMutD::from_shape(shape, items).map_err(|e| e.to_string()));
        view.map_err(|why| Error::refused(&self.path, why))
    }

    /// Row `i` of a matrix, or element `i` of a vector, without a copy.
    pub fn row<T: Element>(&self, i: u64) -> Result<ArrayView1<'_, T>> {
        let items: &[T] = items(&self.path, &self.bytes, self.meta.dtype)?;
        let columns = self.meta.shape.columns();
        if i >= self.meta.shape.rows() {
            return Err(Error::not_found(self.path.join(i.to_string())));
        }
        let range = i * columns..(i + 1) * columns;
        let range = range.start.try_into().unwrap_or(usize::MAX)..range.end.try_into().unwrap_or(usize::MAX);
        Ok(ArrayView1::from(&items[range]))
    }
}

/// A mapped sparse matrix in CSR.
#[derive(Debug)]
pub struct CsrMatrix {
    path: PathBuf,
    meta: SparseMeta,
    data: MmapBytes,
    indices: MmapBytes,
    indptr: MmapBytes,
}

/// The stored elements of one row of a [`CsrMatrix`].
#[derive(Clone, Copy, Debug)]
pub struct CsrRow<'a, D, I> {
    /// Values, in the order they are stored.
    pub data: &'a [D],
    /// The column of each, not checked against the shape.
    pub indices: &'a [I],
}

impl CsrMatrix {
    /// Opens `path.yaml`, `path.data`, `path.indices` and `path.indptr`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a missing file, [`Error::Invalid`] for metadata or a size that is wrong,
    /// [`Error::Stale`] when the array is replaced at every attempt to open it.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let path = path.as_ref();
        let (metadata, files) = open_files(path, Kind::Sparse, mode)?;
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
        items(&self.path, &self.data, self.meta.data_dtype)
    }

    /// The column of each stored element, without a copy.
    pub fn indices<T: Element>(&self) -> Result<&[T]> {
        items(&self.path, &self.indices, self.meta.indices_dtype)
    }

    /// Where each row starts in `data` and `indices`, and where the last one ends (rows + 1 numbers).
    pub fn indptr<T: Element>(&self) -> Result<&[T]> {
        items(&self.path, &self.indptr, self.meta.indptr_dtype)
    }

    /// The stored elements of a matrix that was opened in mode `r+`, to be written in place.
    pub fn data_mut<T: Element>(&mut self) -> Result<&mut [T]> {
        check_dtype::<T>(&self.path, self.meta.data_dtype)?;
        cast_mut(self.data.bytes_mut(&self.path)?).map_err(|why| Error::refused(&self.path, why))
    }

    /// The rows in order, without a copy. A row whose range leaves the data is an error, and the
    /// rows after it go on.
    pub fn rows<D: Element, I: Element>(&self) -> Result<impl Iterator<Item = Result<CsrRow<'_, D, I>>>> {
        let (data, indices) = (self.data()?, self.indices()?);
        Ok((0..self.meta.shape[0]).map(move |row| {
            let range = self.range(row)?;
            Ok(CsrRow { data: &data[range.clone()], indices: &indices[range] })
        }))
    }

    /// Where the elements of `row` (below the number of rows) stand in `data` and `indices`.
    fn range(&self, row: u64) -> Result<std::ops::Range<usize>> {
        let item = usize::try_from(self.meta.indptr_dtype.itemsize()).unwrap_or(8);
        let at = usize::try_from(row).unwrap_or(usize::MAX).saturating_mul(item);
        let mut bounds = Vec::with_capacity(2);
        let pair = self.indptr.get(at..at.saturating_add(2 * item)).unwrap_or_default();
        decode_integers(self.meta.indptr_dtype, pair, &mut bounds);
        match bounds[..] {
            [start, end] if self.meta.indptr_rule().holds(row, &bounds) => {
                Ok(start.try_into().unwrap_or(usize::MAX)..end.try_into().unwrap_or(usize::MAX))
            }
            _ => {
                let text = |bound: &u64| integer_text(self.meta.indptr_dtype, *bound);
                let bounds: Vec<_> = bounds.iter().map(text).collect();
                Err(Error::invalid(
                    with_suffix(&self.path, crate::format::INDPTR),
                    "range of a row",
                    format!("rising numbers up to {}", self.meta.nnz),
                    format!("{} for row {row}", bounds.join(" to ")),
                ))
            }
        }
    }
}

/// The elements in `bytes`, which hold `dtype` and are viewed as `T`.
fn items<'b, T: Element>(path: &Path, bytes: &'b [u8], dtype: Dtype) -> Result<&'b [T]> {
    check_dtype::<T>(path, dtype)?;
    cast(bytes).map_err(|why| Error::refused(path, why))
}

fn check_dtype<T: Element>(path: &Path, dtype: Dtype) -> Result<()> {
    if T::DTYPE == dtype {
        return Ok(());
    }
    Err(Error::invalid(path, "dtype of the view", dtype.name(), T::DTYPE.name()))
}

fn cast<T: Element>(bytes: &[u8]) -> std::result::Result<&[T], String> {
    // An empty part may start anywhere; there is nothing in it to be aligned.
    if bytes.is_empty() {
        return Ok(&[]);
    }
    bytemuck::try_cast_slice(bytes).map_err(|e| format!("no view of {}: {e}", T::DTYPE))
}

fn cast_mut<T: Element>(bytes: &mut [u8]) -> std::result::Result<&mut [T], String> {
    if bytes.is_empty() {
        return Ok(&mut []);
    }
    bytemuck::try_cast_slice_mut(bytes).map_err(|e| format!("no view of {}: {e}", T::DTYPE))
}

fn array_shape(axes: &[u64]) -> IxDyn {
    IxDyn(&axes.iter().map(|axis| usize::try_from(*axis).unwrap_or(usize::MAX)).collect::<Vec<_>>())
}

/// Views `memory` as an array of `T` with this shape (one or two axes), without a copy.
///
/// # Errors
///
/// [`Error::Invalid`] under `name` when `memory` has not exactly the bytes of that many elements,
/// [`Error::Refused`] when it is not aligned to `T`, as a part of a file may be.
pub fn bytes_as_ndarray<'m, T: Element>(
    memory: &'m [u8],
    name: &str,
    shape: &[u64],
) -> Result<ArrayViewD<'m, T>> {
    let expected = Shape::new(shape).map_err(|flaw| flaw.at(name))?.bytes(T::DTYPE);
    if expected != Some(memory.len() as u64) {
        let expected = expected.map_or("fewer than 2^63 bytes".into(), |bytes| format!("{bytes} bytes"));
        return Err(Error::invalid(name, "size", expected, format!("{} bytes", memory.len())));
    }
    let items = cast(memory).map_err(|why| Error::refused(name, why))?;
    ArrayViewD::from_shape(array_shape(shape), items).map_err(|e| Error::refused(name, e.to_string()))
}
