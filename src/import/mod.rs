//! Imports files of other programs into a store: `.npy`, `.npz`, `.mtx`, and tables of text.
//!
//! An import inspects the file first, to know the metadata. It then reads the file while it writes the
//! array's files under temporary names, so that the array appears only when it is complete. A file that does
//! not fit the store's format is refused. No number changes unless the user asks for it, and no row or column
//! is skipped without a note.
//!
//! Dense arrays need little memory, whatever their size. A matrix that is not stored by rows (CSC, COO,
//! `.mtx`) or not in order is sorted in memory, see `sparse`. Sizes that a file declares are not trusted
//! beyond the number of its bytes, so a small forged file cannot cause a huge allocation.

pub(crate) mod input;
pub(crate) mod lines;
pub(crate) mod number;
pub(crate) mod options;
pub(crate) mod sparse;
pub(crate) mod unpack;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::daf::memory_mapping::{check, replace};
use crate::daf::metadata::{DenseMeta, Metadata};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
pub use input::STANDARD_INPUT;
use input::{Input, free_bytes};
pub use options::{Choice, Delimiter, Options};

/// A callback with the number of bytes read since the last call. An error from it ends the import.
pub type Progress<'a> = &'a dyn Fn(u64) -> io::Result<()>;

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// Layout, data types and shape.
    pub metadata: Metadata,
    /// What was guessed where several readings were possible, and what was left out, for the user.
    pub notes: Vec<String>,
}

/// The array found in a file, and the functions that write it.
pub(crate) struct Found<'f> {
    pub metadata: Metadata,
    /// Writes each of the data files, in the order of their suffixes.
    pub fill: Vec<Fill<'f>>,
    /// Further files of the array: their suffixes and contents.
    pub beside: Vec<(&'static str, Vec<u8>)>,
    pub notes: Vec<String>,
}

pub(crate) type Fill<'f> = Box<dyn FnOnce(&mut File) -> Result<()> + 'f>;

/// Inspects a file and returns the array in it.
pub(crate) type Find = for<'f> fn(&'f Input<'f>, &'f Options) -> Result<Found<'f>>;

/// A file type that can be imported.
pub struct Importer {
    /// The file name extension, without the first dot.
    pub end: &'static str,
    /// How often an import reads the file. The progress bar needs it.
    pub times: u64,
    /// Whether it is read at random offsets. A compressed file is then unpacked first.
    pub is_archive: bool,
    pub(crate) find: Find,
}

/// File name extensions of compressed files.
const PACKED: [&str; 4] = ["gz", "bz2", "xz", "zst"];

/// The file types that can be imported.
pub struct Importers(pub &'static [Importer]);

impl Importers {
    /// Their file name extensions.
    pub fn formats(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|importer| importer.end)
    }

    /// Imports a file as the array `path` (without a suffix). It replaces an existing array if the options
    /// allow it. Names of rows and columns, if there are any, go to `path.rows.txt` and `path.cols.txt`. The
    /// file [`STANDARD_INPUT`] is standard input.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] and [`Error::Invalid`] for a file that holds no array of the store's format,
    /// [`Error::Io`] from the system. The old array is then unchanged.
    pub fn import(
        &self,
        file: &Path,
        path: &Path,
        options: &Options,
        progress: Progress<'_>,
    ) -> Result<Imported> {
        check(path, options.existing)?;
        let importer = self.find(file, options)?;
        let mut input = Input::open(file, directory(path), progress)?;
        if importer.is_archive && input.is_packed()? {
            input.unpack(directory(path))?;
        }
        let Found { metadata, fill, beside, notes } = (importer.find)(&input, options)?;
        check_room(path, &metadata)?;
        replace(path, options.existing, &metadata, fill.into_iter(), beside)?;
        Ok(Imported { metadata, notes })
    }

    /// About how many bytes [`import`](Self::import) will read of the file. It is 0 if the source is not a
    /// regular file, because its length is unknown.
    ///
    /// # Errors
    ///
    /// As [`import`](Self::import).
    pub fn bytes_to_read(&self, file: &Path, options: &Options) -> Result<u64> {
        let times = self.find(file, options)?.times;
        if file == Path::new(STANDARD_INPUT) {
            return Ok(0);
        }
        let meta = std::fs::metadata(file).map_err(|e| Error::io(file, "look at", e))?;
        Ok(if meta.is_file() { meta.len().saturating_mul(times) } else { 0 })
    }

    fn find(&self, file: &Path, options: &Options) -> Result<&'static Importer> {
        let name = match (&options.format, file.file_name()) {
            (Some(format), _) => format!(".{format}"),
            (None, name) => name.map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default(),
        };
        let unpacked =
            PACKED.iter().find_map(|end| name.strip_suffix(end)?.strip_suffix('.')).unwrap_or(&name);
        let is_of = |importer: &&Importer| {
            unpacked.strip_suffix(importer.end).is_some_and(|name| name.ends_with('.'))
        };
        let known = || self.formats().map(|end| format!(".{end}")).collect::<Vec<_>>().join(", ");
        self.0.iter().find(is_of).ok_or_else(|| {
            let why = match file == Path::new(STANDARD_INPUT) {
                true => format!("--format must say what it is: one of {}", known()),
                false => format!("its name must end with one of {}, and .gz, .bz2, .xz or .zst if it is packed; or --format must say what it is", known()),
            };
            Error::refused(if file == Path::new(STANDARD_INPUT) { Path::new("standard input") } else { file }, why)
        })
    }
}

/// The path of the array that [`Importers::import`] creates: `path`, or the stem of the file's name in it if
/// `path` is a directory.
///
/// # Errors
///
/// [`Error::Refused`] if that gives no name.
pub fn path_of(file: &Path, path: &Path) -> Result<PathBuf> {
    let is_inside = path.as_os_str().as_bytes().ends_with(b"/");
    if !is_inside && !path.is_dir() {
        return match path.file_name() {
            Some(_) => Ok(path.to_owned()),
            None => Err(Error::refused(path, "it is no name of an array")),
        };
    }
    if !path.is_dir() {
        return Err(Error::refused(path, "there is no such directory"));
    }
    match stem(file) {
        Some(stem) => Ok(path.join(stem)),
        None => Err(Error::refused(path, "it is a directory: name the array in it")),
    }
}

/// The name of a file without the extensions of its compression and its type.
fn stem(file: &Path) -> Option<OsString> {
    if file == Path::new(STANDARD_INPUT) {
        return None;
    }
    let name = Path::new(file.file_name()?);
    let is = |end: &OsStr, known: &str| end.eq_ignore_ascii_case(known);
    let name = match name.extension() {
        Some(end) if PACKED.iter().any(|known| is(end, known)) => Path::new(name.file_stem()?),
        _ => name,
    };
    let stem = name.file_stem()?;
    (!stem.as_bytes().starts_with(b".")).then(|| stem.to_owned())
}

/// Refuses an array that is larger than the free space, before the disk is full.
fn check_room(path: &Path, metadata: &Metadata) -> Result<()> {
    let needed = metadata.files().iter().fold(0u64, |sum, (_, size)| sum.saturating_add(*size));
    match free_bytes(directory(path)) {
        Some(free) if needed > free => {
            let why = format!("No space left on device for {needed} bytes: {free} are free");
            Err(Error::refused(path, why))
        }
        _ => Ok(()),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The metadata of a dense array, with errors that name the file.
pub(crate) fn dense(file: &Path, dtype: Dtype, shape: &[u64]) -> Result<Metadata> {
    Ok(Metadata::Dense(DenseMeta::new(dtype, shape).map_err(|flaw| flaw.at(file))?))
}
