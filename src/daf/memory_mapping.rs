//! The functions that the documentation of the format defines, under their original names.
//!
//! `path` is always the path of the array without suffix: `x` stands for `x.yaml` and its data files.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::daf::arrays::{MappedArray, MappedCsr};
use crate::daf::metadata::{ARRAY, DATA, DenseMeta, INDICES, INDPTR, Kind, Metadata, SparseMeta, YAML};
use crate::daf::metadata::{COLUMN_NAMES, ROW_NAMES};
use crate::daf::staging::{Staging, Target};
use crate::dtype::{Dtype, Element, decode_integers, integer_text};
use crate::error::{Error, Result};
use crate::store::mmap::Mode;
use crate::store::with_suffix;

pub use crate::daf::arrays::bytes_as_ndarray;
pub use crate::daf::staging::{Existing, UNFINISHED};
pub use crate::store::mmap::{MMAP_CACHE, allow_maximal_open_files, mmap_file};

/// Whether all files of a dense array exist.
pub fn exists_memory_mapped_array(path: impl AsRef<Path>) -> bool {
    exists(path.as_ref(), Kind::Dense)
}

/// Removes the files of a dense array, which must exist, and its files with row and column names.
///
/// # Errors
///
/// [`Error::Io`] if a file is missing. Then nothing is removed.
pub fn remove_memory_mapped_array(path: impl AsRef<Path>) -> Result<()> {
    let target = Target::open(path.as_ref(), "remove")?;
    let _lock = target.lock()?;
    for suffix in [YAML, ARRAY] {
        if target.look(suffix)?.is_none() {
            return Err(Error::io(
                target.path_of(suffix),
                "remove",
                io::Error::from_raw_os_error(libc::ENOENT),
            ));
        }
    }
    target.remove(&[YAML, ROW_NAMES, COLUMN_NAMES, ARRAY])
}

/// Creates a dense array of zeros with one or two axes and a dtype of the format.
///
/// The data file is sparse: it takes no disk space until it is written. An existing array at `path` is
/// replaced without a warning, of either kind and with its row and column names. Concurrent readers see the
/// old array, no array, or the new one, because the `.yaml` appears last, by a rename.
///
/// # Errors
///
/// [`Error::Invalid`] for a shape that the format does not support, [`Error::Io`] from the system,
/// [`Error::Refused`] for a path that no array can have.
pub fn create_memory_mapped_array(path: impl AsRef<Path>, shape: &[u64], dtype: Dtype) -> Result<()> {
    create(path.as_ref(), shape, dtype, Existing::Replace)
}

/// Like [`create_memory_mapped_array`], but never replaces an array or a file of one.
///
/// # Errors
///
/// [`Error::Exists`] if there is one already; it does not change. Otherwise like
/// [`create_memory_mapped_array`].
pub fn create_new_memory_mapped_array(path: impl AsRef<Path>, shape: &[u64], dtype: Dtype) -> Result<()> {
    create(path.as_ref(), shape, dtype, Existing::Refuse)
}

fn create(path: &Path, shape: &[u64], dtype: Dtype, existing: Existing) -> Result<()> {
    let meta = Metadata::Dense(DenseMeta::new(dtype, shape).map_err(|flaw| flaw.at(path))?);
    let hole = |(_, size): (&str, u64)| {
        move |file: &mut File| file.set_len(size).map_err(|e| Error::io(path, "create", e))
    };
    replace(path, existing, &meta, meta.files().into_iter().map(hole), Vec::new())
}

/// Opens a dense array without a copy. In mode `r` the data is read-only. In mode `r+`, writes go to the
/// file. [`DenseArray::open`](crate::daf::arrays::DenseArray::open) is the safe alternative, with copies.
///
/// # Errors
///
/// See [`DenseArray::open`](crate::daf::arrays::DenseArray::open).
///
/// # Safety
///
/// Same as [`MappedArray::open`]: nobody truncates the file, and while a view lives, nobody writes the
/// bytes in it, nor reads them if the view is for writing, through another handle of this process or from
/// another process.
#[allow(unsafe_code)]
pub unsafe fn open_memory_mapped_array(path: impl AsRef<Path>, mode: Mode) -> Result<MappedArray> {
    // SAFETY: the caller makes the same promise.
    unsafe { MappedArray::open(path, mode) }
}

/// Whether all files of a sparse matrix exist.
pub fn exists_memory_mapped_sparse(path: impl AsRef<Path>) -> bool {
    exists(path.as_ref(), Kind::Sparse)
}

/// Removes the files of a sparse matrix that exist, and its files with row and column names. Does not touch
/// a dense array with the same name.
///
/// # Errors
///
/// [`Error::Io`] if the system cannot remove an existing file.
pub fn remove_memory_mapped_sparse(path: impl AsRef<Path>) -> Result<()> {
    let target = match Target::open(path.as_ref(), "remove") {
        Err(error) if error.is_not_found() => return Ok(()),
        target => target?,
    };
    let _lock = target.lock()?;
    // Here, the `.yaml` belongs to the dense array.
    if target.has(Kind::Dense)? && !target.has(Kind::Sparse)? {
        return Ok(());
    }
    let mut files = target.files()?;
    files.retain(|suffix| *suffix != ARRAY);
    target.remove(&files)
}

/// The existing files of any array at `path`, complete or not, including its names. Empty if there is none.
///
/// # Errors
///
/// [`Error::Refused`] for a path that no array can have, [`Error::Io`] from the system.
pub fn files_of_array(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let target = Target::open(path.as_ref(), "look at")?;
    Ok(target.files()?.into_iter().map(|suffix| target.path_of(suffix)).collect())
}

/// Removes any array at `path`, complete or not, including its names.
///
/// # Errors
///
/// [`Error::NotFound`] if there is none; otherwise like [`files_of_array`].
pub fn remove_array(path: impl AsRef<Path>) -> Result<()> {
    let target = Target::open(path.as_ref(), "remove")?;
    let _lock = target.lock()?;
    match target.files()? {
        files if files.is_empty() => Err(Error::not_found(target.path())),
        files => target.remove(&files),
    }
}

/// A sparse matrix in memory, in CSR: stored elements row by row.
#[derive(Clone, Copy, Debug)]
pub struct SparseInRows<'a, D, I, P> {
    /// Rows and columns.
    pub shape: [u64; 2],
    /// The stored elements (nnz values).
    pub data: &'a [D],
    /// The column of each stored element.
    pub indices: &'a [I],
    /// Where each row starts in `data`, and where the last row ends (rows + 1 numbers).
    pub indptr: &'a [P],
}

/// Writes a sparse matrix. An existing array at `path` is replaced without a warning, of either kind and
/// with its row and column names. The `.yaml` appears last, by a rename.
///
/// # Errors
///
/// [`Error::Invalid`] if the components do not form a CSR matrix of this shape: their lengths do not match,
/// `indptr` does not increase from 0 to nnz, or an index is not a column.
pub fn write_memory_mapped_sparse<D: Element, I: Element, P: Element>(
    path: impl AsRef<Path>,
    sparse: &SparseInRows<'_, D, I, P>,
) -> Result<()> {
    let path = path.as_ref();
    let nnz = sparse.data.len() as u64;
    let meta = SparseMeta::new([D::DTYPE, I::DTYPE, P::DTYPE], sparse.shape, nnz);
    let meta = meta.map_err(|flaw| flaw.at(path))?;
    check_parts(path, sparse)?;
    let parts: [&[u8]; 3] = [
        bytemuck::cast_slice(sparse.data),
        bytemuck::cast_slice(sparse.indices),
        bytemuck::cast_slice(sparse.indptr),
    ];
    let fill = parts.into_iter().map(|part| filled(path, part));
    replace(path, Existing::Replace, &Metadata::Sparse(meta), fill, Vec::new())
}

/// Opens a sparse matrix without a copy. In mode `r` the data is read-only. In mode `r+`, writes go to the
/// file. (The original package also calls this mode `w`.)
/// [`CsrMatrix::open`](crate::daf::arrays::CsrMatrix::open) is the safe alternative, with copies.
///
/// # Errors
///
/// See [`CsrMatrix::open`](crate::daf::arrays::CsrMatrix::open).
///
/// # Safety
///
/// Same as [`MappedCsr::open`]; see also [`open_memory_mapped_array`].
#[allow(unsafe_code)]
pub unsafe fn open_memory_mapped_sparse(path: impl AsRef<Path>, mode: Mode) -> Result<MappedCsr> {
    // SAFETY: the caller makes the same promise.
    unsafe { MappedCsr::open(path, mode) }
}

fn exists(path: &Path, kind: Kind) -> bool {
    [YAML].iter().chain(kind.suffixes()).all(|suffix| with_suffix(path, suffix).is_file())
}

/// Writes these bytes to a file.
fn filled<'b>(path: &'b Path, bytes: &'b [u8]) -> impl FnOnce(&mut File) -> Result<()> + 'b {
    move |file| file.write_all(bytes).map_err(|e| Error::io(path, "create", e))
}

/// Whether [`replace`] would currently be allowed to put an array there.
#[cfg(feature = "import")]
pub(crate) fn check(path: &Path, existing: Existing) -> Result<()> {
    Target::open(path, "create")?.check(existing)
}

/// Writes a new array to `path`. If `existing` allows it, this replaces any array there. `fill` writes the
/// data files in the order of their suffixes. `beside` has the suffixes and contents of additional files.
///
/// Everything is first written to a separate directory. Then the old `.yaml` is removed, the data files are
/// moved into place, and the new `.yaml` comes last. So no `.yaml` ever describes the data of another
/// array. Concurrent writers take turns.
pub(crate) fn replace<F>(
    path: &Path,
    existing: Existing,
    metadata: &Metadata,
    fill: impl Iterator<Item = F>,
    beside: Vec<(&str, Vec<u8>)>,
) -> Result<()>
where
    F: FnOnce(&mut File) -> Result<()>,
{
    let mut staging = Staging::new(path, existing)?;
    for (suffix, fill) in metadata.kind().suffixes().iter().zip(fill) {
        staging.write(suffix, fill)?;
    }
    for (suffix, bytes) in beside {
        staging.write(suffix, filled(path, &bytes))?;
    }
    staging.write(YAML, filled(path, metadata.to_yaml().as_bytes()))?;
    staging.place()
}

/// Fails if the components do not form a CSR matrix of their shape.
fn check_parts<D: Element, I: Element, P: Element>(
    path: &Path,
    sparse: &SparseInRows<'_, D, I, P>,
) -> Result<()> {
    let invalid = |suffix, what, expected: String, found: String| {
        Err(Error::invalid(with_suffix(path, suffix), what, expected, found))
    };
    let (rows, columns) = (sparse.shape[0], sparse.shape[1]);
    let nnz = sparse.data.len() as u64;
    if sparse.indices.len() as u64 != nnz {
        return invalid(INDICES, "length", format!("{nnz} as {DATA}"), sparse.indices.len().to_string());
    }
    let mut numbers = Vec::new();
    decode_integers(P::DTYPE, bytemuck::cast_slice(sparse.indptr), &mut numbers);
    let rises = numbers.is_sorted() && numbers.first() == Some(&0) && numbers.last() == Some(&nnz);
    if numbers.len() as u64 != rows + 1 || !rises {
        let expected = format!("{} numbers rising from 0 to {nnz}", rows + 1);
        return invalid(INDPTR, "ranges", expected, ranges_found(P::DTYPE, &numbers));
    }
    numbers.clear();
    decode_integers(I::DTYPE, bytemuck::cast_slice(sparse.indices), &mut numbers);
    match numbers.iter().find(|index| **index >= columns) {
        Some(index) => {
            invalid(INDICES, "column", format!("0 to {}", columns - 1), integer_text(I::DTYPE, *index))
        }
        None => Ok(()),
    }
}

/// Describes an invalid `indptr`: the first place where it decreases, or else its length and ends.
fn ranges_found(dtype: Dtype, numbers: &[u64]) -> String {
    let falls = numbers.windows(2).find(|pair| pair[0] > pair[1]);
    match (falls, numbers) {
        (Some(pair), _) => format!("{} after {}", integer_text(dtype, pair[1]), integer_text(dtype, pair[0])),
        (None, [first, .., last]) => {
            let (first, last) = (integer_text(dtype, *first), integer_text(dtype, *last));
            format!("{} numbers from {first} to {last}", numbers.len())
        }
        (None, _) => format!("{} numbers", numbers.len()),
    }
}
