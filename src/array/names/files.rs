//! Where names come from: files of the store.
//!
//! ```text
//! NAME.rows.txt  NAME.cols.txt     beside the array NAME, one name a line
//! AXIS#.csv                        where the directory has __daf__.yaml, of an array AXIS#… or AXIS,AXIS#…
//! ```
//!
//! The first wins where both are there.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::daf::{axes, axis_name, idle_axes_of};
use super::text::{Style, most_bytes, parse};
use super::{Labels, Names};
use crate::daf::metadata::Shape;
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::store::{Identity, Rights, Store, with_suffix};
use crate::task::{self, Flight};

/// What follows an array's name in the file of its rows' names.
pub const ROW_NAMES: &str = ".rows.txt";
/// The same for columns.
pub const COLUMN_NAMES: &str = ".cols.txt";

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
    /// What the axis of the rows is called, where the directory has axes.
    row_axis: Option<Box<str>>,
    /// What stands in the place of such a file and is none.
    flaws: Vec<Error>,
    verdict: OnceLock<Verdict>,
}

/// What reading the files has shown.
#[derive(Debug)]
struct Verdict {
    rows_fit: bool,
    columns_fit: bool,
    /// Why names are not used.
    flaws: Vec<Error>,
    /// What is odd about those that are.
    notes: Vec<String>,
}

#[derive(Debug)]
struct NameFile {
    source: Source,
    style: Style,
    /// The names there must be.
    count: u64,
    /// The names, as long as someone holds them.
    labels: Mutex<Weak<Labels>>,
    /// In which they are read; once for all arrays that share them.
    flight: OnceLock<Arc<Flight>>,
}

impl NameFiles {
    /// The files of the array of this shape at `path` (without a suffix); nothing is read.
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
                labels: Mutex::default(),
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

    /// The files, those that turned out not to fit left out.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let rows = self.rows.iter().filter(|_| self.verdict.get().is_none_or(|verdict| verdict.rows_fit));
        let columns =
            self.columns.iter().filter(|_| self.verdict.get().is_none_or(|verdict| verdict.columns_fit));
        rows.chain(columns).map(|file| &file.source)
    }

    /// What the axis of the rows is called, where the directory has axes: of `cell,gene#UMIs` it is `cell`.
    pub fn row_axis(&self) -> Option<&str> {
        self.row_axis.as_deref()
    }

    /// What the elements are called, where the directory has axes: of `cell#age` it is `age`.
    pub fn property(&self) -> Option<&str> {
        self.row_axis()?;
        let name = self.path.file_name()?.to_str()?;
        name.split_once('#').map(|(_, property)| property)
    }

    /// Which versions of which files they are.
    pub fn versions(&self) -> [Option<(&Path, (Identity, Rights))>; 2] {
        [&self.rows, &self.columns].map(|file| {
            let source = &file.as_ref()?.source;
            Some((source.name(), source.version()))
        })
    }

    /// Whether the store still has these versions, and no others that would win over them.
    pub fn is_current(&self) -> bool {
        Self::find(&self.store, &self.path, self.shape).versions() == self.versions()
    }

    /// The file that names the rows, if there is one; one that is small is known to fit.
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
            // Always the same answer, whether they were read meanwhile or not.
            return Some(file.source.name());
        }
        if self.verdict.get().is_none() {
            // What cannot be read at the moment may fit; what was left undone is told by the thread.
            let _ = self.names();
        }
        self.verdict.get().is_none_or(fits).then(|| file.source.name())
    }

    /// Whether reading all of them takes hardly longer than looking at them.
    pub fn are_small(&self) -> bool {
        let files = [&self.rows, &self.columns].into_iter().flatten();
        files.fold(0, |sum: u64, file| sum.saturating_add(file.source.len())) <= SMALL
    }

    /// The names, read when they are asked for; for a while they are kept.
    ///
    /// # Errors
    ///
    /// Whatever reading the files gives that may be different the next time. Names that do not fit or
    /// may not be read are no error, but [`flaws`](Self::flaws), and none.
    pub fn names(&self) -> Result<Names> {
        if let Some(verdict) = self.verdict.get() {
            let labels = |file: &Option<Box<NameFile>>, fits: bool| {
                file.as_deref().filter(|_| fits).map(NameFile::labels).transpose()
            };
            let (rows, columns) = (&self.rows, &self.columns);
            let columns = labels(columns, verdict.columns_fit)?;
            return Ok(Names { rows: labels(rows, verdict.rows_fit)?, columns });
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
        let (rows_fit, columns_fit) = (names.rows.is_some(), names.columns.is_some());
        let notes = [("rows", &names.rows), ("columns", &names.columns)].map(|(of, labels)| {
            let oddities =
                labels.as_ref().map(|labels| labels.oddities()).filter(|oddities| !oddities.is_empty());
            Some(format!("names of {of}: {}", oddities?.join(", ")))
        });
        let notes = notes.into_iter().flatten().collect();
        self.verdict.get_or_init(|| Verdict { rows_fit, columns_fit, flaws, notes });
        Ok(names)
    }

    /// Why there are files, but their names are not used, as far as that has shown.
    pub fn flaws(&self) -> impl Iterator<Item = &Error> {
        self.flaws.iter().chain(self.verdict.get().into_iter().flat_map(|verdict| &verdict.flaws))
    }
}

impl NameFiles {
    /// What is odd about the names that are used, as far as that has shown, in words.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.verdict.get().into_iter().flat_map(|verdict| verdict.notes.iter().map(String::as_str))
    }

    /// The files of axes that name nothing, for their directory has no `__daf__.yaml`.
    pub fn idle(&self) -> Vec<PathBuf> {
        idle_axes_of(&self.store, &self.path)
    }
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
        Error::Stale { .. } | Error::Truncated { .. } | Error::Unfinished => false,
        _ => true,
    }
}

/// What tells one list of names from another.
type Key = (PathBuf, Identity, u64, Style);

/// Names that are in memory: arrays that share an axis share its names.
#[derive(Default)]
struct Known {
    lists: HashMap<Key, List>,
    /// Kept for who asks next, the latest first.
    recent: VecDeque<Arc<Labels>>,
}

/// The names of one file, as long as anybody holds them, and the flight in which they are read.
#[derive(Default)]
struct List {
    labels: Weak<Labels>,
    flight: Weak<Flight>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

impl Known {
    /// Lists that are kept however long they are: the rows' and the columns' of one array. And bytes that may be
    /// kept in all.
    const MOST: (usize, usize) = (2, 64 << 20);

    fn get(&self, key: &Key) -> Option<Arc<Labels>> {
        self.lists.get(key).and_then(|list| list.labels.upgrade())
    }

    /// The flight in which these names are read.
    fn flight(&mut self, key: Key) -> Arc<Flight> {
        // Before the map grows, what nobody holds any more goes.
        if self.lists.len() == self.lists.capacity() {
            self.lists.retain(|_, list| list.labels.strong_count() > 0 || list.flight.strong_count() > 0);
        }
        let list = self.lists.entry(key).or_default();
        list.flight.upgrade().unwrap_or_else(|| {
            let flight = Arc::new(Flight::default());
            list.flight = Arc::downgrade(&flight);
            flight
        })
    }

    /// Keeps names, and returns those that are kept no longer: to let go of a gigabyte takes its time.
    fn keep(&mut self, key: Key, labels: &Arc<Labels>) -> Vec<Arc<Labels>> {
        self.recent.push_front(Arc::clone(labels));
        let mut bytes: usize = self.recent.iter().map(|labels| labels.memory()).sum();
        let mut gone = Vec::new();
        while self.recent.len() > Self::MOST.0 && bytes > Self::MOST.1 {
            let Some(last) = self.recent.pop_back() else { break };
            bytes -= last.memory();
            gone.push(last);
        }
        self.lists.entry(key).or_default().labels = Arc::downgrade(labels);
        gone
    }
}

impl NameFile {
    fn labels(&self) -> Result<Arc<Labels>> {
        if let Some(labels) = lock(&self.labels).upgrade() {
            return Ok(labels);
        }
        let flight = self.flight.get_or_init(|| lock(&KNOWN).get_or_insert_default().flight(self.key()));
        let known = || lock(&KNOWN).get_or_insert_default().get(&self.key());
        let labels = flight.run(known, || self.read())?;
        *lock(&self.labels) = Arc::downgrade(&labels);
        Ok(labels)
    }

    fn key(&self) -> Key {
        (self.source.name().to_owned(), self.source.stat().identity, self.count, self.style)
    }

    /// Reads the names, and keeps them.
    fn read(&self) -> Result<Arc<Labels>> {
        if self.source.len() > SMALL {
            task::begin_long()?;
        }
        let bytes = self.source.read_all(MOST_BYTES.min(most_bytes(self.count)))?;
        let labels = Arc::new(parse(self.source.name(), bytes, self.count, self.style)?);
        let gone = lock(&KNOWN).get_or_insert_default().keep(self.key(), &labels);
        drop(gone);
        Ok(labels)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
