//! Where names come from: files of the store.
//!
//! ```text
//! NAME.rows.txt  NAME.cols.txt     beside the array NAME, one name a line
//! AXIS#.csv                        where the directory has __daf__.yaml, of an array AXIS#… or AXIS,AXIS#…
//! ```
//!
//! The first wins where both are there.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::text::{Style, most_bytes, parse};
use super::{Labels, Names};
use crate::error::{Error, Result};
use crate::format::Shape;
use crate::source::Source;
use crate::store::{FileKind, Identity, Store, with_suffix};

/// Says that a directory's axes have files of their own.
const DAF: &str = "__daf__.yaml";
/// The longest file that is read.
const MOST_BYTES: u64 = 1 << 30;
/// Files up to this size are read to know whether they fit, where others are trusted to.
const SMALL: u64 = 64 << 10;

/// The files that name an array's rows and columns, as they were when the array was found.
#[derive(Debug)]
pub struct NameFiles {
    store: Arc<Store>,
    /// Path of the array, links resolved.
    path: PathBuf,
    shape: Shape,
    rows: Option<Box<NameFile>>,
    columns: Option<Box<NameFile>>,
    /// What stands in the place of such a file and is none.
    flaws: Vec<Error>,
    loaded: OnceLock<Loaded>,
}

/// What was in the files.
#[derive(Debug)]
struct Loaded {
    names: Names,
    /// Why names are not used.
    flaws: Vec<Error>,
}

#[derive(Debug)]
struct NameFile {
    source: Source,
    style: Style,
    /// The names there must be.
    count: u64,
}

impl NameFiles {
    /// The files of the array of this shape at `path` (without a suffix); nothing is read.
    pub fn find(store: &Arc<Store>, path: &Path, shape: Shape) -> Self {
        let [row_axis, column_axis] = axes(store, path);
        let mut flaws = Vec::new();
        let mut file = |suffix, axis: Option<PathBuf>, count| {
            let found = locate(store, with_suffix(path, suffix), axis)?;
            let (source, style) = found.map_err(|error| flaws.push(error)).ok()?;
            Some(Box::new(NameFile { source, style, count }))
        };
        let rows = file(".rows.txt", row_axis, shape.rows());
        let columns = match shape {
            Shape::Vector(_) => None,
            Shape::Matrix(_, columns) => file(".cols.txt", column_axis, columns),
        };
        let (store, path) = (Arc::clone(store), path.to_owned());
        Self { store, path, shape, rows, columns, flaws, loaded: OnceLock::new() }
    }

    /// The files, those that turned out not to fit left out.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let uses = |names: fn(&Names) -> &Option<Arc<Labels>>| {
            self.loaded.get().is_none_or(|loaded| names(&loaded.names).is_some())
        };
        let rows = self.rows.iter().filter(move |_| uses(|names| &names.rows));
        let columns = self.columns.iter().filter(move |_| uses(|names| &names.columns));
        rows.chain(columns).map(|file| &file.source)
    }

    /// Which versions of which files they are.
    pub fn identities(&self) -> [Option<(&Path, Identity)>; 2] {
        [&self.rows, &self.columns].map(|file| {
            let source = &file.as_ref()?.source;
            Some((source.name(), source.stat().identity))
        })
    }

    /// Whether the store still has these versions, and no others that would win over them.
    pub fn is_current(&self) -> bool {
        Self::find(&self.store, &self.path, self.shape).identities() == self.identities()
    }

    /// The file that names the rows, if there is one; one that is small is known to fit.
    pub fn of_rows(&self) -> Option<&Path> {
        self.if_known(&self.rows, |names| names.rows.is_some())
    }

    /// The file that names the columns, as [`of_rows`](Self::of_rows).
    pub fn of_columns(&self) -> Option<&Path> {
        self.if_known(&self.columns, |names| names.columns.is_some())
    }

    fn if_known<'f>(&self, file: &'f Option<Box<NameFile>>, fits: fn(&Names) -> bool) -> Option<&'f Path> {
        let file = file.as_ref()?;
        // What cannot be read at the moment may fit.
        let is_known = !self.are_small() || self.names().map_or(true, |names| fits(&names));
        is_known.then(|| file.source.name())
    }

    /// Whether reading all of them takes hardly longer than looking at them.
    pub fn are_small(&self) -> bool {
        let files = [&self.rows, &self.columns].into_iter().flatten();
        files.fold(0, |sum: u64, file| sum.saturating_add(file.source.len())) <= SMALL
    }

    /// The names, read when first asked for.
    ///
    /// # Errors
    ///
    /// Whatever reading the files gives that may be different the next time. Names that do not fit or
    /// may not be read are no error, but [`flaws`](Self::flaws), and none.
    pub fn names(&self) -> Result<Names> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded.names.clone());
        }
        let mut flaws = Vec::new();
        let mut labels =
            |file: &Option<Box<NameFile>>| match file.as_deref().map(NameFile::labels).transpose() {
                Err(error) if is_flaw(&error) => {
                    flaws.push(error);
                    Ok(None)
                }
                labels => labels,
            };
        let names = Names { rows: labels(&self.rows)?, columns: labels(&self.columns)? };
        Ok(self.loaded.get_or_init(|| Loaded { names, flaws }).names.clone())
    }

    /// Why there are files, but their names are not used, as far as that has shown.
    pub fn flaws(&self) -> impl Iterator<Item = &Error> {
        self.flaws.iter().chain(self.loaded.get().into_iter().flat_map(|loaded| &loaded.flaws))
    }
}

/// The files of the axes that the name of the array tells of, where axes have files.
fn axes(store: &Store, path: &Path) -> [Option<PathBuf>; 2] {
    const NONE: [Option<PathBuf>; 2] = [None, None];
    let directory = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let Some(mark) = name.iter().position(|byte| *byte == b'#') else { return NONE };
    let is_daf = || store.stat(&directory.join(DAF)).is_ok_and(|stat| stat.kind != FileKind::Directory);
    let axes: Vec<_> = name[..mark].split(|byte| *byte == b',').collect();
    if axes.len() > 2 || axes.iter().any(|axis| axis.is_empty()) || mark + 1 == name.len() || !is_daf() {
        return NONE;
    }
    let file = |axis: &&[u8]| directory.join(with_suffix(Path::new(OsStr::from_bytes(axis)), "#.csv"));
    [axes.first().map(file), axes.get(1).map(file)]
}

/// The first of the files that is there, or what is wrong with it.
fn locate(store: &Arc<Store>, beside: PathBuf, axis: Option<PathBuf>) -> Option<Result<(Source, Style)>> {
    let files = [(Some(beside), Style::Lines), (axis, Style::Csv)];
    files.into_iter().find_map(|(path, style)| match Source::find(store, &path?) {
        Err(error) if is_absent(&error) => None,
        found => Some(found.map(|source| (source, style))),
    })
}

/// Whether there is no such file; of the longest names there can be none.
fn is_absent(error: &Error) -> bool {
    let is_too_long =
        matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::InvalidFilename);
    is_too_long || error.is_not_found()
}

/// Whether the next try will give the same.
fn is_flaw(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } => source.kind() == ErrorKind::PermissionDenied,
        Error::Stale { .. } | Error::Truncated { .. } => false,
        _ => true,
    }
}

/// What tells one list of names from another.
type Key = (PathBuf, Identity, u64, Style);

/// All names that someone holds: arrays that share an axis share its names.
static KNOWN: Mutex<Option<HashMap<Key, Weak<Labels>>>> = Mutex::new(None);

impl NameFile {
    fn labels(&self) -> Result<Arc<Labels>> {
        let key = (self.source.name().to_owned(), self.source.stat().identity, self.count, self.style);
        if let Some(known) = share(&key, None) {
            return Ok(known);
        }
        let bytes = self.source.read_all(MOST_BYTES.min(most_bytes(self.count)))?;
        let labels = Arc::new(parse(self.source.name(), bytes, self.count, self.style)?);
        Ok(share(&key, Some(&labels)).unwrap_or(labels))
    }
}

/// The names of this key that someone holds; if nobody does, these from now on.
fn share(key: &Key, new: Option<&Arc<Labels>>) -> Option<Arc<Labels>> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(labels) = known.get(key).and_then(Weak::upgrade) {
        return Some(labels);
    }
    let new = new?;
    // Before the map grows, what nobody holds any more goes.
    if known.len() == known.capacity() {
        known.retain(|_, labels| labels.strong_count() > 0);
    }
    known.insert(key.clone(), Arc::downgrade(new));
    Some(Arc::clone(new))
}
