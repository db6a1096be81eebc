//! The functions of the format's own documentation, under their own names.
//!
//! `path` is always the path without a suffix: `x` stands for `x.yaml` and the data files beside it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::array::names::{COLUMN_NAMES, ROW_NAMES};
use crate::daf::arrays::{MappedArray, MappedCsr};
use crate::daf::metadata::{ARRAY, DATA, DenseMeta, INDICES, INDPTR, Kind, Metadata, SparseMeta, YAML};
use crate::daf::staging::{Staging, Target};
use crate::dtype::{Dtype, Element, decode_integers, integer_text};
use crate::error::{Error, Result};
use crate::store::mmap::Mode;
use crate::store::with_suffix;

pub use crate::daf::arrays::bytes_as_ndarray;
pub use crate::daf::staging::{Existing, UNFINISHED};
pub use crate::store::mmap::{MMAP_CACHE, allow_maximal_open_files, mmap_file};

/// Whether the files of a dense array exist.
pub fn exists_memory_mapped_array(path: impl AsRef<Path>) -> bool {
    exists(path.as_ref(), Kind::Dense)
}

/// Removes the files (which must exist) of a dense array, and its names of rows and columns.
///
/// # Errors
///
/// [`Error::Io`] when one is missing; then nothing is removed.
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

/// Creates the files of a dense array of zeros: one or two axes, one of the format's types.
///
/// The data file is a hole, which takes no room on the disk until it is written. Existing files are
/// silently overwritten; those of a sparse matrix of the same name, and names of the rows and columns of
/// what was there, are removed. Whoever reads meanwhile sees the old array, none, or the new one: the
/// `.yaml` appears last, by rename.
///
/// # Errors
///
/// [`Error::Invalid`] for a shape that the format does not know, [`Error::Io`] from the system,
/// [`Error::Refused`] for a path that no array can have.
pub fn create_memory_mapped_array(path: impl AsRef<Path>, shape: &[u64], dtype: Dtype) -> Result<()> {
    create(path.as_ref(), shape, dtype, Existing::Replace)
}

/// As [`create_memory_mapped_array`], where there is no array, nor a file of one.
///
/// # Errors
///
/// [`Error::Exists`] where there is; it stays as it is. Others as [`create_memory_mapped_array`].
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

/// Opens a dense array to be viewed without a copy; in mode `r` its data is frozen, in mode `r+` writing it writes the
/// file. [`DenseArray::open`](crate::daf::arrays::DenseArray::open) is the safe way, by copies.
///
/// # Errors
///
/// See [`DenseArray::open`](crate::daf::arrays::DenseArray::open).
///
/// # Safety
///
/// That of [`MappedArray::open`]: nobody truncates the file, nobody writes what is viewed, and nobody reads what is
/// viewed to be written, by another handle of this process or in another process.
#[allow(unsafe_code)]
pub unsafe fn open_memory_mapped_array(path: impl AsRef<Path>, mode: Mode) -> Result<MappedArray> {
    // SAFETY: the caller promises the same.
    unsafe { MappedArray::open(path, mode) }
}

/// Whether the files of a sparse matrix exist.
pub fn exists_memory_mapped_sparse(path: impl AsRef<Path>) -> bool {
    exists(path.as_ref(), Kind::Sparse)
}

/// Removes the files of a sparse matrix, if they exist, and its names of rows and columns. A dense array of that
/// name stays.
///
/// # Errors
///
/// [`Error::Io`] when the system does not remove a file that is there.
pub fn remove_memory_mapped_sparse(path: impl AsRef<Path>) -> Result<()> {
    let target = match Target::open(path.as_ref(), "remove") {
        Err(error) if error.is_not_found() => return Ok(()),
        target => target?,
    };
    let _lock = target.lock()?;
    // The `.yaml` is then the dense array's.
    if target.has(Kind::Dense)? && !target.has(Kind::Sparse)? {
        return Ok(());
    }
    let mut files = target.files()?;
    files.retain(|suffix| *suffix != ARRAY);
    target.remove(&files)
}

/// The files of whatever array is at `path`, whole or not, and of its names; none where there is none.
///
/// # Errors
///
/// [`Error::Refused`] for a path that no array can have, [`Error::Io`] from the system.
pub fn files_of_array(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let target = Target::open(path.as_ref(), "look at")?;
    Ok(target.files()?.into_iter().map(|suffix| target.path_of(suffix)).collect())
}

/// Removes whatever array is at `path`, whole or not, and its names.
///
/// # Errors
///
/// [`Error::NotFound`] where there is none, others as [`files_of_array`].
pub fn remove_array(path: impl AsRef<Path>) -> Result<()> {
    let target = Target::open(path.as_ref(), "remove")?;
    let _lock = target.lock()?;
    match target.files()? {
        files if files.is_empty() => Err(Error::not_found(target.path())),
        files => target.remove(&files),
    }
}

/// A sparse matrix in memory, in CSR: the stored elements row after row.
#[derive(Clone, Copy, Debug)]
pub struct SparseInRows<'a, D, I, P> {
    /// Rows and columns.
    pub shape: [u64; 2],
    /// The stored elements (nnz of them).
    pub data: &'a [D],
    /// The column of each.
    pub indices: &'a [I],
    /// Where each row starts in `data`, and where the last one ends (rows + 1 numbers).
    pub indptr: &'a [P],
}

/// Writes the files of a sparse matrix; existing files are silently overwritten; those of a dense array of the
/// same name, and names of the rows and columns of what was there, are removed. The `.yaml` appears last, by
/// rename.
///
/// # Errors
///
/// [`Error::Invalid`] when the parts are no CSR matrix of that shape: lengths that do not agree,
/// `indptr` that does not rise from 0 to nnz, an index that is no column.
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

/// Opens a sparse matrix to be viewed without a copy; in mode `r` its data is frozen, in mode `r+` (the seed also says
/// `w`) writing it writes the file. [`CsrMatrix::open`](crate::daf::arrays::CsrMatrix::open) is the safe way, by copies.
///
/// # Errors
///
/// See [`CsrMatrix::open`](crate::daf::arrays::CsrMatrix::open).
///
/// # Safety
///
/// That of [`MappedCsr::open`], as for [`open_memory_mapped_array`].
#[allow(unsafe_code)]
pub unsafe fn open_memory_mapped_sparse(path: impl AsRef<Path>, mode: Mode) -> Result<MappedCsr> {
    // SAFETY: the caller promises the same.
    unsafe { MappedCsr::open(path, mode) }
}

fn exists(path: &Path, kind: Kind) -> bool {
    [YAML].iter().chain(kind.suffixes()).all(|suffix| with_suffix(path, suffix).is_file())
}

/// Fills a file with these bytes.
fn filled<'b>(path: &'b Path, bytes: &'b [u8]) -> impl FnOnce(&mut File) -> Result<()> + 'b {
    move |file| file.write_all(bytes).map_err(|e| Error::io(path, "create", e))
}

/// Whether [`replace`] may put an array there, as things stand now.
#[cfg(feature = "import")]
pub(crate) fn check(path: &Path, existing: Existing) -> Result<()> {
    Target::open(path, "create")?.check(existing)
}

/// Puts a new array at `path`, in the place of whatever array is there if `existing` says so: `fill` fills its
/// data files in the order of their suffixes; `beside` are suffixes of more files of it, and what is in them.
///
/// All is written beside the old files first. Then the old `.yaml` goes, the data files take their
/// places, and the new `.yaml` comes: at no moment does one describe the data of another, and of
/// several writers one comes after the other.
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

/// Refuses parts that are no CSR matrix of their shape.
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

/// What is wrong with the numbers of an indptr: where they fall, or else their count and ends.
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
