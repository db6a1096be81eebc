//! Arrays for programs: metadata and data files, with their sizes checked.
//!
//! [`DenseArray`] and [`CsrMatrix`] copy what they read and write. Whatever other processes do to the
//! files, the worst result is an error. [`MappedArray`] and [`MappedCsr`] give access to the mapped bytes
//! of the files without a copy. Opening them is unsafe, because other processes may write these bytes.

mod copied;
mod data_file;
mod mapped;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ndarray::{ArrayViewD, IxDyn};

use crate::daf::metadata::{INDPTR, Keys, Kind, MAX_YAML_BYTES, Metadata, Shape, SparseMeta, YAML};
use crate::dtype::{Dtype, Element, decode_integers, integer_text};
use crate::error::{Error, Result};
use crate::store::mmap::Mode;
use crate::store::{FileKind, Stat, with_suffix};
use crate::word::to_usize;
pub use copied::{CsrMatrix, DenseArray, StoredRow};
use data_file::DataFile;
pub use mapped::{CsrRow, MappedArray, MappedCsr};

/// Opens a regular file. Never waits for the writer of a FIFO, and has no side effects on devices.
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

/// How often to retry when the array is being replaced while it is opened.
const ATTEMPTS: usize = 100;

/// Reads the metadata of the array `path`, which must be of this kind, and opens its data files.
///
/// To replace an array, a writer removes its `.yaml` first and puts the new one in place last. So the data
/// files belong to the `.yaml` if it is still the same file after they were opened. Otherwise, open
/// everything again.
fn open_files(path: &Path, kind: Kind, mode: Mode) -> Result<(Metadata, Vec<DataFile>)> {
    let yaml = with_suffix(path, YAML);
    let identity = |meta: &std::fs::Metadata| Stat::of(meta).identity;
    for _ in 0..ATTEMPTS {
        // Keep the file open, so that its inode number cannot be reused by another file meanwhile.
        let file = open_regular(&yaml, Mode::Read)?;
        let before = identity(&file.metadata().map_err(|e| Error::io(&yaml, "look at", e))?);
        let open = |(suffix, size): (&str, u64)| DataFile::open(&with_suffix(path, suffix), size, mode);
        let opened = read_metadata(&yaml, &file, kind).and_then(|metadata| {
            let files = metadata.files().into_iter().map(open).collect::<Result<_>>()?;
            Ok((metadata, files))
        });
        if std::fs::metadata(&yaml).is_ok_and(|now| identity(&now) == before) {
            return opened;
        }
    }
    Err(Error::Stale { path: yaml })
}

/// Reads the metadata of an array of this kind from `file`. `yaml` is its path, for errors.
fn read_metadata(yaml: &Path, file: &File, kind: Kind) -> Result<Metadata> {
    let mut text = Vec::new();
    file.take(MAX_YAML_BYTES + 1).read_to_end(&mut text).map_err(|e| Error::io(yaml, "read", e))?;
    let keys = Keys::parse(&text).map_err(|flaw| flaw.at(yaml))?;
    Metadata::from_keys(&keys, kind).map_err(|flaw| flaw.at(yaml))
}

/// The range of the stored elements of `row`, from the two numbers of `indptr` in `pair`.
fn row_range(path: &Path, meta: &SparseMeta, row: u64, pair: &[u8]) -> Result<std::ops::Range<u64>> {
    let mut bounds = Vec::with_capacity(2);
    decode_integers(meta.indptr_dtype, pair, &mut bounds);
    match bounds[..] {
        [start, end] if meta.indptr_rule().holds(row, &bounds) => Ok(start..end),
        _ => {
            let text = |bound: &u64| integer_text(meta.indptr_dtype, *bound);
            let bounds: Vec<_> = bounds.iter().map(text).collect();
            Err(Error::invalid(
                with_suffix(path, INDPTR),
                "range of a row",
                format!("rising numbers up to {}", meta.nnz),
                format!("{} for row {row}", bounds.join(" to ")),
            ))
        }
    }
}

fn check_dtype<T: Element>(path: &Path, dtype: Dtype) -> Result<()> {
    if T::DTYPE == dtype {
        return Ok(());
    }
    Err(Error::invalid(path, "dtype of the view", dtype.name(), T::DTYPE.name()))
}

fn cast<T: Element>(bytes: &[u8]) -> std::result::Result<&[T], String> {
    // An empty slice may start at any address, but bytemuck would check its alignment.
    if bytes.is_empty() {
        return Ok(&[]);
    }
    bytemuck::try_cast_slice(bytes).map_err(|e| format!("no view of {}: {e}", T::DTYPE))
}

fn array_shape(axes: &[u64]) -> IxDyn {
    IxDyn(&axes.iter().map(|axis| to_usize(*axis)).collect::<Vec<_>>())
}

/// Views `memory` as an ndarray of `T` with this shape (one or two axes), without a copy.
///
/// # Errors
///
/// [`Error::Invalid`] for `name` if the size of `memory` does not match the shape, and [`Error::Refused`]
/// if `memory` is not aligned for `T`, which can happen for a part of a file.
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
