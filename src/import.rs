//! Other programs' files as arrays of a store: `.npy`, `.npz`, `.mtx`, `.csv` and `.tsv`.
//!
//! A file is looked at first, so that the metadata is known, and read while the array's files are written aside:
//! the array appears when it is whole. What fits no array of the format is refused, and numbers never change on
//! the way. Dense arrays need little memory, whatever their size; a matrix that is not stored in rows (CSC, COO,
//! `.mtx`) is sorted in memory, 24 bytes for each of its elements.

mod input;
mod market;
mod npy;
mod npz;
mod number;
mod sparse;
mod table;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::{DenseMeta, Metadata};
use crate::memory_mapping::{Existing, check, replace};
use input::Input;

/// What the file itself does not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Type of the elements, of text.
    pub dtype: Option<Dtype>,
    /// Which array, of a `.npz` that has several.
    pub member: Option<String>,
    /// What to do where an array is already.
    pub existing: Existing,
}

/// Is told how many bytes were read since the call before; an error of it ends the import.
pub type Progress<'a> = &'a dyn Fn(u64) -> io::Result<()>;

/// What a file holds, and how to write it.
struct Found<'f> {
    metadata: Metadata,
    /// Writes each of the data files, in the order of their suffixes.
    fill: Vec<Fill<'f>>,
    /// More files of an array: their suffixes and what is in them.
    beside: Vec<(&'static str, Vec<u8>)>,
}

type Fill<'f> = Box<dyn FnOnce(&mut File) -> Result<()> + 'f>;

/// Looks at a file, and says what it holds.
type Find = for<'f> fn(&'f Input<'f>, &'f Options) -> Result<Found<'f>>;

/// The kinds of files by the ends of their names, how often they are read, and how.
static KINDS: &[(&str, u64, Find)] = &[
    ("npy", 1, npy::find),
    ("npz", 1, npz::find),
    ("mtx", 1, market::find),
    ("mtx.gz", 1, market::find),
    ("csv", 2, table::find_csv),
    ("csv.gz", 2, table::find_csv),
    ("tsv", 2, table::find_tsv),
    ("tsv.gz", 2, table::find_tsv),
];

/// Makes the array `path` (without a suffix) of a file, in the place of whatever array is there; its names of rows
/// and columns, if it has any, go to `path.rows.txt` and `path.cols.txt`.
///
/// # Errors
///
/// [`Error::Refused`] and [`Error::Invalid`] for what is no array of the format, [`Error::Io`] from the system;
/// then the old array is as it was.
pub fn import(file: &Path, path: &Path, options: &Options, progress: Progress<'_>) -> Result<Metadata> {
    check(path, options.existing)?;
    let (_, _, find) = kind(file)?;
    let input = Input { path: file, progress };
    let Found { metadata, fill, beside } = find(&input, options)?;
    replace(path, options.existing, &metadata, fill.into_iter(), beside)?;
    Ok(metadata)
}

/// Bytes that [`import`] will read of the file, about.
///
/// # Errors
///
/// As [`import`].
pub fn bytes_to_read(file: &Path) -> Result<u64> {
    let length = std::fs::metadata(file).map_err(|e| Error::io(file, "look at", e))?.len();
    Ok(length.saturating_mul(kind(file)?.1))
}

/// Where the array of a file is to be: `path`, or if that is a directory or ends with a slash, in it under the
/// file's own name without its end.
pub fn path_of(file: &Path, path: &Path) -> PathBuf {
    let is_inside = path.as_os_str().as_bytes().ends_with(b"/") || path.is_dir();
    let (Some(name), true, Ok((end, ..))) = (file.file_name(), is_inside, kind(file)) else {
        return path.to_owned();
    };
    let stem = name.as_bytes().len().saturating_sub(end.len() + 1);
    path.join(OsStr::from_bytes(&name.as_bytes()[..stem]))
}

fn kind(file: &Path) -> Result<(&'static str, u64, Find)> {
    let name = file.file_name().unwrap_or_default().as_bytes().to_ascii_lowercase();
    let is_of = |(end, ..): &&(&str, u64, Find)| {
        name.strip_suffix(end.as_bytes()).is_some_and(|name| name.ends_with(b"."))
    };
    KINDS.iter().find(is_of).copied().ok_or_else(|| {
        let known: Vec<_> = KINDS.iter().map(|(end, ..)| format!(".{end}")).collect();
        Error::refused(file, format!("its name must end with one of {}", known.join(", ")))
    })
}

/// A dense array of the file.
fn dense(file: &Path, dtype: Dtype, shape: &[u64]) -> Result<Metadata> {
    Ok(Metadata::Dense(DenseMeta::new(dtype, shape).map_err(|flaw| flaw.at(file))?))
}
