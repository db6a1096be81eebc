//! The files of the store that hold names.
//!
//! ```text
//! NAME.rows.txt  NAME.cols.txt     next to the array NAME, one name per line
//! AXIS#.csv                        for an array AXIS#… or AXIS,AXIS#…, if the directory has __daf__.yaml
//! ```
//!
//! The former takes precedence, because it belongs to one array only.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::daf::{axes, axis_name, idle_axes_of};
use super::text::{Style, most_bytes, parse};
use super::{AxisNames, Names};
use crate::daf::metadata::{COLUMN_NAMES, ROW_NAMES, Shape};
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::store::{Identity, Permissions, Store, with_suffix};
use crate::task::{self, Flight};

/// Limit on the size of a file, in bytes.
const MOST_BYTES: u64 = 1 << 30;
/// Files up to this size are read at once to see whether they fit. Larger ones are assumed to fit.
const SMALL: u64 = 64 << 10;

/// The files that name an array's rows and columns, as they were when the array was found.
#[derive(Debug)]
pub struct NameFiles {
    store: Arc<Store>,
    /// Path of the array, with links resolved.
    path: PathBuf,
    shape: Shape,
    rows: Option<Box<NameFile>>,
    columns: Option<Box<NameFile>>,
    /// The name of the row axis, if the directory has axes.
    row_axis: Option<Box<str>>,
    /// The errors of files that have the right name but are not regular files.
    flaws: Vec<Error>,
    verdict: OnceLock<Verdict>,
}

/// The result of reading the files.
#[derive(Debug)]
struct Verdict {
    rows_fit: bool,
    columns_fit: bool,
    /// Why names are not used.
    flaws: Vec<Error>,
    /// Anything unusual about the names that are used.
    notes: Vec<String>,
}

#[derive(Debug)]
struct NameFile {
    source: Source,
    style: Style,
    /// The number of names that the file must have.
    count: u64,
    /// The names, while someone uses them.
    axis_names: Mutex<Weak<AxisNames>>,
    /// Makes concurrent readers wait for one read. It is shared by all arrays with the same file.
    flight: OnceLock<Arc<Flight>>,
}

impl NameFiles {
    /// Finds the files for the array of this shape at `path` (without a suffix). Nothing is read.
    pub fn find(store: &Arc<Store>, path: &Path, shape: Shape) -> Self {
        let [row_axis, column_axis] = axes(store, path);
        let axis = row_axis.as_deref().and_then(axis_name);
        let mut flaws = Vec::new();
        let mut file = |suffix, axis: Option<PathBuf>, count| {
            let found = locate(store, with_suffix(path, suffix), axis)?;
            let (source, style) = found.map_err(|error| flaws.push(error)).ok()?;
            Some(Box::new(NameFile {
                source,
                style,
                count,
                axis_names: Mutex::default(),
                flight: OnceLock::new(),
            }))
        };
        let rows = file(ROW_NAMES, row_axis, shape.rows());
        let columns = match shape {
            Shape::Vector(_) => None,
            Shape::Matrix(_, columns) => file(COLUMN_NAMES, column_axis, columns),
        };
        let (store, path) = (Arc::clone(store), path.to_owned());
        Self { store, path, shape, rows, columns, row_axis: axis, flaws, verdict: OnceLock::new() }
    }

    /// The files, without those that are known not to fit.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let rows = self.rows.iter().filter(|_| self.verdict.get().is_none_or(|verdict| verdict.rows_fit));
        let columns =
            self.columns.iter().filter(|_| self.verdict.get().is_none_or(|verdict| verdict.columns_fit));
        rows.chain(columns).map(|file| &file.source)
    }

    /// The name of the row axis, if the directory has axes: for `cell,gene#UMIs` it is `cell`.
    pub fn row_axis(&self) -> Option<&str> {
        self.row_axis.as_deref()
    }

    /// The name of the elements, if the directory has axes: for `cell#age` it is `age`.
    pub fn property(&self) -> Option<&str> {
        self.row_axis()?;
        let name = self.path.file_name()?.to_str()?;
        name.split_once('#').map(|(_, property)| property)
    }

    /// The paths and versions of the files.
    pub fn versions(&self) -> [Option<(&Path, (Identity, Permissions))>; 2] {
        [&self.rows, &self.columns].map(|file| {
            let source = &file.as_ref()?.source;
            Some((source.name(), source.version()))
        })
    }

    /// Whether the store still has these versions, and no other files that take precedence.
    pub fn is_current(&self) -> bool {
        Self::find(&self.store, &self.path, self.shape).versions() == self.versions()
    }

    /// The file that names the rows, if there is one. A small file is known to fit.
    pub fn of_rows(&self) -> Option<&Path> {
        self.if_known(&self.rows, |verdict| verdict.rows_fit)
    }

    /// The file that names the columns, as [`of_rows`](Self::of_rows).
    pub fn of_columns(&self) -> Option<&Path> {
        self.if_known(&self.columns, |verdict| verdict.columns_fit)
    }

    fn if_known<'f>(&self, file: &'f Option<Box<NameFile>>, fits: fn(&Verdict) -> bool) -> Option<&'f Path> {
        let file = file.as_ref()?;
        if !self.are_small() {
            // The answer must not depend on whether someone has read them meanwhile.
            return Some(file.source.name());
        }
        if self.verdict.get().is_none() {
            // A temporary error leaves the verdict open. If the work was cut short, the thread remembers it,
            // see `task`.
            let _ = self.names();
        }
        self.verdict.get().is_none_or(fits).then(|| file.source.name())
    }

    /// Whether reading all of them is hardly slower than a look at their attributes.
    pub fn are_small(&self) -> bool {
        let files = [&self.rows, &self.columns].into_iter().flatten();
        files.fold(0, |sum: u64, file| sum.saturating_add(file.source.len())) <= SMALL
    }

    /// The names. They are read on first use, and cached for some time.
    ///
    /// # Errors
    ///
    /// Any read error that may not occur again. Names that do not fit or are not permitted to be read are not
    /// an error: they are reported by [`flaws`](Self::flaws) and left out.
    pub fn names(&self) -> Result<Names> {
        if let Some(verdict) = self.verdict.get() {
            let axis_names = |file: &Option<Box<NameFile>>, fits: bool| {
                file.as_deref().filter(|_| fits).map(NameFile::axis_names).transpose()
            };
            let (rows, columns) = (&self.rows, &self.columns);
            let columns = axis_names(columns, verdict.columns_fit)?;
            return Ok(Names { rows: axis_names(rows, verdict.rows_fit)?, columns });
        }
        let mut flaws = Vec::new();
        let mut axis_names =
            |file: &Option<Box<NameFile>>| match file.as_deref().map(NameFile::axis_names).transpose() {
                Err(error) if is_flaw(&error) => {
                    flaws.push(error);
                    Ok(None)
                }
                axis_names => axis_names,
            };
        let names = Names { rows: axis_names(&self.rows)?, columns: axis_names(&self.columns)? };
        let (rows_fit, columns_fit) = (names.rows.is_some(), names.columns.is_some());
        let notes = [("rows", &names.rows), ("columns", &names.columns)].map(|(of, axis_names)| {
            let oddities = axis_names
                .as_ref()
                .map(|axis_names| axis_names.oddities())
                .filter(|oddities| !oddities.is_empty());
            Some(format!("names of {of}: {}", oddities?.join(", ")))
        });
        let notes = notes.into_iter().flatten().collect();
        self.verdict.get_or_init(|| Verdict { rows_fit, columns_fit, flaws, notes });
        Ok(names)
    }

    /// Why files exist but their names are not used, as far as it is known.
    pub fn flaws(&self) -> impl Iterator<Item = &Error> {
        self.flaws.iter().chain(self.verdict.get().into_iter().flat_map(|verdict| &verdict.flaws))
    }
}

impl NameFiles {
    /// Descriptions of anything unusual about the names that are used, as far as it is known.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.verdict.get().into_iter().flat_map(|verdict| verdict.notes.iter().map(String::as_str))
    }

    /// The axis files that are ignored, because `__daf__.yaml` is missing.
    pub fn idle(&self) -> Vec<PathBuf> {
        idle_axes_of(&self.store, &self.path)
    }
}

/// The first of the files that exists, or its error.
fn locate(store: &Arc<Store>, beside: PathBuf, axis: Option<PathBuf>) -> Option<Result<(Source, Style)>> {
    let files = [(Some(beside), Style::Lines), (axis, Style::Csv)];
    files.into_iter().find_map(|(path, style)| match Source::find(store, &path?) {
        Err(error) if is_absent(&error) => None,
        found => Some(found.map(|source| (source, style))),
    })
}

/// Whether the file does not exist. If its name would be too long, it cannot exist.
fn is_absent(error: &Error) -> bool {
    let is_too_long =
        matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::InvalidFilename);
    is_too_long || error.is_not_found()
}

/// Whether the error is permanent: another attempt would give the same.
fn is_flaw(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } => source.kind() == ErrorKind::PermissionDenied,
        Error::Stale { .. } | Error::Truncated { .. } | Error::Unfinished => false,
        _ => true,
    }
}

/// The identity of a list of names.
type Key = (PathBuf, Identity, u64, Style);

/// The cache of names. Arrays that share an axis share its names.
#[derive(Default)]
struct Known {
    lists: HashMap<Key, List>,
    /// Names to keep for the next user, the most recent first.
    recent: VecDeque<Arc<AxisNames>>,
}

/// The names of one file while someone uses them, and the flight that reads them.
#[derive(Default)]
struct List {
    axis_names: Weak<AxisNames>,
    flight: Weak<Flight>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

impl Known {
    /// The cache keeps this many lists whatever their size, which are the rows and columns of one array. It
    /// keeps more only within this many bytes.
    const MOST: (usize, usize) = (2, 64 << 20);

    fn get(&self, key: &Key) -> Option<Arc<AxisNames>> {
        self.lists.get(key).and_then(|list| list.axis_names.upgrade())
    }

    /// The flight that reads these names.
    fn flight(&mut self, key: Key) -> Arc<Flight> {
        // Drops unused entries before the map would grow, which keeps the cost per call constant on average.
        if self.lists.len() == self.lists.capacity() {
            self.lists.retain(|_, list| list.axis_names.strong_count() > 0 || list.flight.strong_count() > 0);
        }
        let list = self.lists.entry(key).or_default();
        list.flight.upgrade().unwrap_or_else(|| {
            let flight = Arc::new(Flight::default());
            list.flight = Arc::downgrade(&flight);
            flight
        })
    }

    /// Adds names to the cache. Returns those that it drops, so that the caller can free them after it
    /// releases the lock: freeing a gigabyte takes time.
    fn keep(&mut self, key: Key, axis_names: &Arc<AxisNames>) -> Vec<Arc<AxisNames>> {
        self.recent.push_front(Arc::clone(axis_names));
        let mut bytes: usize = self.recent.iter().map(|axis_names| axis_names.memory()).sum();
        let mut gone = Vec::new();
        while self.recent.len() > Self::MOST.0 && bytes > Self::MOST.1 {
            let Some(last) = self.recent.pop_back() else { break };
            bytes -= last.memory();
            gone.push(last);
        }
        self.lists.entry(key).or_default().axis_names = Arc::downgrade(axis_names);
        gone
    }
}

impl NameFile {
    fn axis_names(&self) -> Result<Arc<AxisNames>> {
        if let Some(axis_names) = lock(&self.axis_names).upgrade() {
            return Ok(axis_names);
        }
        let flight = self.flight.get_or_init(|| lock(&KNOWN).get_or_insert_default().flight(self.key()));
        let known = || lock(&KNOWN).get_or_insert_default().get(&self.key());
        let axis_names = flight.run(known, || self.read())?;
        *lock(&self.axis_names) = Arc::downgrade(&axis_names);
        Ok(axis_names)
    }

    fn key(&self) -> Key {
        (self.source.name().to_owned(), self.source.stat().identity, self.count, self.style)
    }

    /// Reads the names and adds them to the cache.
    fn read(&self) -> Result<Arc<AxisNames>> {
        if self.source.len() > SMALL {
            task::begin_long()?;
        }
        let bytes = self.source.read_all(MOST_BYTES.min(most_bytes(self.count)))?;
        let axis_names = Arc::new(parse(self.source.name(), bytes, self.count, self.style)?);
        let gone = lock(&KNOWN).get_or_insert_default().keep(self.key(), &axis_names);
        drop(gone);
        Ok(axis_names)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
