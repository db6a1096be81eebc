//! The content of a store's directory: arrays, plain files, subdirectories, and what is invalid, with the
//! reason.
//!
//! The catalog reads names, sizes and metadata, never data, so that it is fast for arrays of any size.

mod listed;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::stored_array::{StoredArray, kind_of_files};
use crate::daf::metadata::{ARRAY, DATA, INDICES, INDPTR, Keys, Kind, MAX_YAML_BYTES, YAML};
use crate::daf::staging::is_unfinished;
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::store::{FileKind, Stat, Store, stem, with_suffix};
use crate::task;
use listed::Listed;

/// The directory that the mount adds to the root. A file of the store with this name gets a suffix.
pub const RESERVED: &str = ".arrayfs";

/// Appended to the name of an array's directory until no other entry has that name.
const CLASH: &str = "@array";

/// Suffixes of the data files of dense arrays and sparse matrices.
const DATA_SUFFIXES: [&str; 4] = [ARRAY, DATA, INDICES, INDPTR];

/// A directory of the store, and how the walk reached it.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Path in the mount.
    pub path: PathBuf,
    /// Path in the store, with links resolved.
    pub real: PathBuf,
    /// The directories on the way, up to and including this one. They reveal links that form a circle.
    passed: Vec<PathBuf>,
    /// The directories that a link to it passed through. Their permissions apply too.
    pub behind: Vec<PathBuf>,
}

/// The target of a name in the mount.
#[derive(Debug)]
pub enum Entry {
    /// A sub-directory.
    Directory(Directory),
    /// A file that is not part of an array.
    Plain(Source),
    /// An array, which the mount shows as a directory.
    Array(Box<StoredArray>),
}

/// The names in a directory of the store. Nothing is known yet about their files.
#[derive(Debug)]
pub struct DirListing {
    kinds: Kinds,
    reserved: bool,
}

/// The file types of the names in a directory.
#[derive(Debug)]
enum Kinds {
    /// All names, from a listing.
    Listed(Listed),
    /// Only names that were looked up. With many names, a few lookups are faster than a listing.
    Asked { store: Arc<Store>, directory: PathBuf, known: Mutex<HashMap<OsString, Option<FileKind>>> },
}

impl Kinds {
    fn get(&self, name: &OsStr) -> Option<FileKind> {
        match self {
            Self::Listed(kinds) => kinds.kind(name),
            Self::Asked { store, directory, known } => {
                let before = known.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
                let kind = before.unwrap_or_else(|| match is_unfinished(name) {
                    true => None,
                    false => store.kind(&directory.join(name)),
                });
                known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), kind);
                kind
            }
        }
    }

    /// The name at this position of the listing.
    fn name(&self, place: usize) -> Option<&OsStr> {
        if let Self::Listed(kinds) = self { kinds.name(place) } else { None }
    }
}

/// A name in the mount, and what it stands for in the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListedName {
    /// The name in the mount.
    pub name: OsString,
    what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    /// The array with this name, without a suffix.
    Array(OsString),
    /// A metadata file without data files: an array that lacks them, or an unrelated YAML file.
    LoneYaml(OsString),
    /// The file or directory with this name.
    Other(OsString),
}

impl Directory {
    /// The root of a store.
    pub fn root() -> Self {
        Self { path: PathBuf::new(), real: PathBuf::new(), passed: vec![PathBuf::new()], behind: Vec::new() }
    }

    /// Attributes of the directory itself.
    pub fn stat(&self, store: &Store) -> Result<Stat> {
        if self.real.as_os_str().is_empty() && self.path.as_os_str().is_empty() {
            return store.stat_root();
        }
        let mut stat = store.stat(&self.real)?;
        for directory in &self.behind {
            stat.permissions = stat.permissions.behind(&store.stat(directory)?.permissions);
        }
        Ok(stat)
    }

    /// The names in the directory.
    pub fn names(&self, store: &Store) -> Result<DirListing> {
        let names = store.list(&self.real)?.into_iter();
        let finished = names.filter(|name| !is_unfinished(&name.name));
        let kinds = Kinds::Listed(Listed::new(finished));
        Ok(DirListing { kinds, reserved: self.path.as_os_str().is_empty() })
    }

    /// As [`names`](Self::names), but each name is looked up on request. [`DirListing::shown`] then yields
    /// nothing.
    pub fn names_as_asked(&self, store: &Arc<Store>) -> DirListing {
        let (store, directory, known) = (Arc::clone(store), self.real.clone(), Mutex::default());
        let kinds = Kinds::Asked { store, directory, known };
        DirListing { kinds, reserved: self.path.as_os_str().is_empty() }
    }

    /// Path in the mount of `name` in this directory.
    pub fn join(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// The entry for `shown`, one of this directory's names. It is `None` for a part of an array, or if it no
    /// longer exists.
    ///
    /// # Errors
    ///
    /// The reason why it is invalid and not shown in the mount.
    pub fn entry(&self, store: &Arc<Store>, names: &DirListing, shown: &ListedName) -> Result<Option<Entry>> {
        match self.entry_as_listed(store, names, shown) {
            // It was removed after the listing.
            Err(error) if error.is_not_found() => Ok(None),
            entry => entry,
        }
    }

    fn entry_as_listed(
        &self,
        store: &Arc<Store>,
        names: &DirListing,
        shown: &ListedName,
    ) -> Result<Option<Entry>> {
        match &shown.what {
            What::LoneYaml(stem) if !claims_an_array(store, &with_suffix(&self.real.join(stem), YAML)) => {
                Ok(None)
            }
            What::Array(stem) | What::LoneYaml(stem) => {
                let mut array = StoredArray::load(store, &self.real.join(stem))?;
                array.path = self.join(stem);
                Ok(Some(Entry::Array(Box::new(array))))
            }
            What::Other(name) => match self.is_part_of_an_array(store, names, name) {
                true => Ok(None),
                false => self.other(store, name, names.kinds.get(name)),
            },
        }
    }

    fn other(&self, store: &Arc<Store>, name: &OsStr, kind: Option<FileKind>) -> Result<Option<Entry>> {
        let path = self.real.join(name);
        match kind {
            Some(FileKind::Directory) => self.step(store, name, path, Vec::new()).map(Some),
            Some(FileKind::Link) => {
                let way = store.resolve(&path)?;
                match store.stat(&way.end)?.kind {
                    FileKind::Directory => self.step(store, name, way.end, way.passed).map(Some),
                    _ => Source::find(store, &path).map(|file| Some(Entry::Plain(file))),
                }
            }
            _ => Source::find(store, &path).map(|file| Some(Entry::Plain(file))),
        }
    }

    /// The subdirectory `name`, which is at `real`. A link to it passed through the directories `behind`.
    fn step(&self, store: &Store, name: &OsStr, real: PathBuf, behind: Vec<PathBuf>) -> Result<Entry> {
        if self.passed.contains(&real) {
            return Err(Error::Link { path: self.join(name), why: "in a circle" });
        }
        store.stat(&real)?;
        let passed = self.passed.iter().chain([&real]).cloned().collect();
        Ok(Entry::Directory(Self { path: self.join(name), real, passed, behind }))
    }

    /// Whether the file `name` is one of the files of an array, valid or not, and therefore not shown.
    fn is_part_of_an_array(&self, store: &Arc<Store>, names: &DirListing, name: &OsStr) -> bool {
        if names.kinds.get(name) == Some(FileKind::Directory) {
            return false;
        }
        if names.is_surely_part(name) {
            return true;
        }
        if let Some(stem) = stem(name, YAML) {
            return claims_an_array(store, &with_suffix(&self.real.join(stem), YAML));
        }
        let Some((stem, suffix)) = data_file(name).filter(|(stem, _)| names.has_file(stem, YAML)) else {
            return false;
        };
        // A left-over data file of the other layout is not part of the array, and is shown like any other
        // file.
        let path = self.real.join(stem);
        let keys = read_keys(store, &with_suffix(&path, YAML));
        let kind = keys.and_then(|keys| keys.kind()).unwrap_or_else(|| kind_of_files(store, &path));
        kind.suffixes().contains(&suffix)
    }
}

/// If the name is that of a data file: the name of its array, and the suffix.
fn data_file(name: &OsStr) -> Option<(&OsStr, &'static str)> {
    DATA_SUFFIXES.iter().find_map(|suffix| Some((stem(name, suffix)?, *suffix)))
}

fn read_keys(store: &Arc<Store>, yaml: &Path) -> Option<Keys> {
    let text = Source::find(store, yaml).ok()?.read_all(MAX_YAML_BYTES).ok()?;
    Keys::parse(&text).ok()
}

fn claims_an_array(store: &Arc<Store>, yaml: &Path) -> bool {
    read_keys(store, yaml).is_some_and(|keys| keys.claim_an_array())
}

impl DirListing {
    /// Number of listed names.
    pub fn len(&self) -> usize {
        if let Kinds::Listed(kinds) = &self.kinds { kinds.len() } else { 0 }
    }

    /// Whether the listing is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All names that the mount may show, in order. Some may turn out to be part of an array.
    pub fn shown(&self) -> impl Iterator<Item = ListedName> {
        self.shown_from(0).map(|(_, shown)| shown)
    }

    /// As [`shown`](Self::shown), starting at a position. Yields each name with its position. Some positions
    /// have none.
    pub fn shown_from(&self, place: u64) -> impl Iterator<Item = (u64, ListedName)> {
        // Each name has two positions: one for itself, and one for the array if it is a metadata file.
        let places = place..;
        let names =
            places.map_while(|place| Some((place, self.kinds.name(usize::try_from(place / 2).ok()?)?)));
        names.filter_map(|(place, name)| match place % 2 {
            0 => Some((place, self.plain(name))),
            _ => {
                let stem = stem(name, YAML)?;
                (self.kinds.get(name) != Some(FileKind::Directory)).then(|| (place, self.array(stem)))
            }
        })
    }

    /// The candidates for `name` in the mount, the most likely first.
    pub fn find(&self, name: &OsStr) -> impl Iterator<Item = ListedName> {
        let mut stems = vec![name];
        while let Some(shorter) = stems.last().and_then(|last| stem(last, CLASH)) {
            stems.push(shorter);
        }
        let arrays = stems.into_iter().filter(|stem| self.has_file(stem, YAML)).map(|stem| self.array(stem));
        let plain = [name.to_owned()].into_iter().chain(stem(name, "@store").map(OsStr::to_owned));
        let plain = plain.filter(|name| self.kinds.get(name).is_some()).map(|name| self.plain(&name));
        let found: Vec<ListedName> = plain.chain(arrays).filter(|shown| shown.name == name).collect();
        found.into_iter()
    }

    /// Arrays whose directory has a different name, because theirs is taken: (name of the array, of the
    /// directory).
    pub fn clashes(&self) -> impl Iterator<Item = (OsString, OsString)> {
        self.shown().filter_map(|shown| match shown.what {
            What::Array(stem) if stem != shown.name => Some((stem, shown.name)),
            _ => None,
        })
    }

    fn plain(&self, name: &OsStr) -> ListedName {
        let mut shown = name.to_owned();
        if self.reserved && name == RESERVED {
            shown.push("@store");
        }
        ListedName { name: shown, what: What::Other(name.to_owned()) }
    }

    fn array(&self, stem: &OsStr) -> ListedName {
        let mut name = stem.to_owned();
        while self.is_taken(&name, stem) {
            name.push(CLASH);
        }
        let stem = stem.to_owned();
        ListedName { name, what: if self.has_data(&stem) { What::Array(stem) } else { What::LoneYaml(stem) } }
    }

    fn is_taken(&self, name: &OsStr, stem: &OsStr) -> bool {
        let another_array = name != stem && self.has_file(name, YAML) && self.has_data(name);
        let is_shown = match self.kinds.get(name) {
            Some(FileKind::Directory) => true,
            Some(_) => !self.is_surely_part(name),
            None => false,
        };
        is_shown || another_array || (self.reserved && name == RESERVED)
    }

    /// Whether the names alone show that a file is part of an array: a metadata file with a data file, or a
    /// data file with a metadata file and no data file of the other layout. This avoids reading the metadata.
    fn is_surely_part(&self, name: &OsStr) -> bool {
        let is_metadata = stem(name, YAML).is_some_and(|stem| self.has_data(stem));
        let is_data = data_file(name).is_some_and(|(stem, _)| {
            let [dense, sparse] = [Kind::Dense, Kind::Sparse].map(|kind| self.has_any(stem, kind.suffixes()));
            self.has_file(stem, YAML) && !(dense && sparse)
        });
        is_metadata || is_data
    }

    fn has_file(&self, stem: &OsStr, suffix: &str) -> bool {
        let name = with_suffix(Path::new(stem), suffix);
        self.kinds.get(name.as_os_str()).is_some_and(|kind| kind != FileKind::Directory)
    }

    fn has_any(&self, stem: &OsStr, suffixes: &[&str]) -> bool {
        suffixes
            .iter()
            .any(|suffix| self.kinds.get(with_suffix(Path::new(stem), suffix).as_os_str()).is_some())
    }

    /// Whether any data file, or an entry with the name of one, is next to the metadata.
    fn has_data(&self, stem: &OsStr) -> bool {
        DATA_SUFFIXES
            .iter()
            .any(|suffix| self.kinds.get(with_suffix(Path::new(stem), suffix).as_os_str()).is_some())
    }
}

impl ListedName {
    /// The name to use in messages: that of an array without a suffix, or the name of another file.
    pub fn subject(&self) -> &OsStr {
        match &self.what {
            What::Array(name) | What::LoneYaml(name) | What::Other(name) => name,
        }
    }
}

/// A result of a walk over a store.
#[derive(Debug)]
pub enum Finding {
    /// A valid array.
    Array(Box<StoredArray>),
    /// An entry that is not shown: its path in the mount, and the reason.
    Broken(PathBuf, Error),
    /// An array whose directory has a different name: the paths of the array and of the directory.
    Clash(PathBuf, PathBuf),
}

/// Walks the whole store in order, and reports arrays and invalid entries. It stops early if nobody
/// waits for the result any more.
pub fn walk(store: &Arc<Store>, report: &mut dyn FnMut(Finding)) {
    let mut ahead = vec![Directory::root()];
    while let Some(directory) = ahead.pop() {
        let names = match directory.names(store) {
            Ok(names) => names,
            Err(error) => {
                let is_root = directory.path.as_os_str().is_empty();
                report(Finding::Broken(if is_root { ".".into() } else { directory.path }, error));
                continue;
            }
        };
        for (array, folder) in names.clashes() {
            report(Finding::Clash(directory.join(&array), directory.join(&folder)));
        }
        let mut below = Vec::new();
        for shown in names.shown() {
            if task::check().is_err() {
                return;
            }
            match directory.entry(store, &names, &shown) {
                Ok(Some(Entry::Array(array))) => report(Finding::Array(array)),
                Ok(Some(Entry::Directory(directory))) => below.push(directory),
                Ok(Some(Entry::Plain(_)) | None) => {}
                Err(error) => report(Finding::Broken(directory.join(shown.subject()), error)),
            }
        }
        ahead.extend(below.into_iter().rev());
    }
}
