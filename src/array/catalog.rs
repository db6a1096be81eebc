//! What a directory of a store holds: arrays, plain files, sub-directories, and what is broken and why.
//!
//! Finding out reads names, sizes and metadata, never data.

mod listed;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::array::names::NameFiles;
use crate::bytes::crc_cache::Memo;
use crate::bytes::text_index::KnownOffsets;
use crate::daf::metadata::{ARRAY, DATA, INDICES, INDPTR, Keys, Kind, MAX_YAML_BYTES, Metadata, YAML};
use crate::daf::staging::is_unfinished;
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::store::{FileKind, Stat, Store, stem, with_suffix};
use crate::task;
use listed::Listed;

/// What the mount adds to the root of the tree; a file of the store of that name steps aside.
pub const RESERVED: &str = ".arrayfs";

/// Appended to the name of an array's folder as long as something else has the name.
const CLASH: &str = "@array";

/// How often an array is looked at anew that is replaced at that very moment.
const ATTEMPTS: usize = 100;

/// Suffixes of the data files of both kinds.
const DATA_SUFFIXES: [&str; 4] = [ARRAY, DATA, INDICES, INDPTR];

/// One version of an array in a store: metadata and files, sizes checked, nothing opened.
#[derive(Debug)]
pub struct StoredArray {
    /// Path in the store, without a suffix.
    pub path: PathBuf,
    /// Kind, types and shape.
    pub metadata: Metadata,
    /// The `.yaml`.
    pub yaml: Arc<Source>,
    /// The data files, in the order of [`Kind::suffixes`].
    pub files: Vec<Arc<Source>>,
    /// What was computed of the data and is worth remembering.
    pub memo: Memo,
    /// Where its numbers are in text.
    pub offsets: KnownOffsets,
    /// Where the names of its rows and columns are, if they have any.
    pub names: NameFiles,
}

impl StoredArray {
    /// The array `path` (without a suffix) of the store.
    ///
    /// # Errors
    ///
    /// Whatever shows without reading data: a file that is missing, no regular file, or of another
    /// size than the metadata says; metadata that is no array's. [`Error::Stale`] when the array is
    /// replaced at every attempt.
    pub fn load(store: &Arc<Store>, path: &Path) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let yaml = Arc::new(Source::find(store, &with_suffix(path, YAML))?);
            let loaded = Self::load_beside(store, path, &yaml);
            // Whoever replaces an array takes its `.yaml` away first: else the files may be another's.
            if yaml.is_current() {
                return loaded;
            }
        }
        Err(Error::Stale { path: with_suffix(path, YAML) })
    }

    /// The array with this metadata.
    fn load_beside(store: &Arc<Store>, path: &Path, yaml: &Arc<Source>) -> Result<Self> {
        let keys = Keys::parse(&yaml.read_all(MAX_YAML_BYTES)?).map_err(|flaw| flaw.at(yaml.name()))?;
        let kind = keys.kind().unwrap_or_else(|| kind_of_files(store, path));
        let metadata = Metadata::from_keys(&keys, kind).map_err(|flaw| flaw.at(yaml.name()))?;
        let files = metadata.files().into_iter().map(|(suffix, size)| {
            let path = with_suffix(path, suffix);
            sized(Source::find(store, &path), &path, size)
        });
        let files = files.collect::<Result<_>>()?;
        let names = NameFiles::find(store, path, metadata.shape());
        let (path, memo, offsets) = (path.to_owned(), Memo::default(), KnownOffsets::default());
        Ok(Self { path, metadata, yaml: Arc::clone(yaml), files, memo, offsets, names })
    }

    /// All files, the `.yaml` first.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        std::iter::once(&self.yaml).chain(&self.files)
    }

    /// Whether the store still holds this version; the names aside, which most do not show.
    pub fn is_current(&self) -> bool {
        self.sources().all(|source| source.is_current())
    }

    /// As [`generation`](Self::generation), when the array was found.
    pub fn found_generation(&self) -> u64 {
        self.files.iter().fold(0, |sum: u64, file| sum.wrapping_add(file.stat().identity.generation))
    }

    /// Whether the files may be opened now as those of this version: each is current, or was written in place since.
    pub fn can_be_opened(&self) -> bool {
        self.sources().all(|source| source.can_be_opened())
    }

    /// Whether nobody was seen who writes in the data files since the array was found; nothing is looked at.
    pub fn is_settled(&self) -> bool {
        self.files.iter().all(|file| file.is_settled())
    }

    /// A number that differs once somebody was seen who began or ended writing in one of the data files.
    pub fn generation(&self) -> u64 {
        self.files.iter().fold(0, |sum: u64, file| sum.wrapping_add(file.generation()))
    }

    /// Opens the data files, so that this version stays readable, whatever becomes of their names.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when one was replaced before it was first opened.
    pub fn open(&self) -> Result<()> {
        self.files.iter().try_for_each(|file| file.open())
    }

    /// Whether some data file was ever opened.
    pub fn was_opened(&self) -> bool {
        self.files.iter().any(|file| file.was_opened())
    }

    /// Whether something of some data file was ever read.
    pub fn was_read(&self) -> bool {
        self.files.iter().any(|file| file.was_read())
    }

    /// Whether some file is a link to one elsewhere.
    pub fn has_links(&self) -> bool {
        self.all_sources().any(|source| source.link_target().is_some())
    }

    /// All files, with those that hold the names of rows and columns.
    pub fn all_sources(&self) -> impl Iterator<Item = &Source> {
        self.sources().map(|source| &**source).chain(self.names.sources())
    }

    /// A number that differs between versions of the array and of its names.
    pub fn version(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.sources().for_each(|source| source.version().hash(&mut hasher));
        self.names.versions().hash(&mut hasher);
        hasher.finish()
    }

    /// As [`version`](Self::version), but that it stays the same when the data files are written in place.
    pub fn lasting(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.yaml.version().hash(&mut hasher);
        self.files.iter().for_each(|source| source.lasting().hash(&mut hasher));
        self.names.versions().hash(&mut hasher);
        hasher.finish()
    }

    /// Facts of something that comes of all files: the latest times, the rights that all give.
    pub fn stat(&self) -> Stat {
        self.files.iter().fold(*self.yaml.stat(), |stat, source| stat.and(source.stat()))
    }

    /// Facts of something that shows the names of rows or columns too.
    pub fn stat_with_names(&self) -> Stat {
        self.names.sources().fold(self.stat(), |stat, source| stat.and(source.stat()))
    }
}

/// The kind that the data files speak of, where the metadata does not tell.
fn kind_of_files(store: &Store, path: &Path) -> Kind {
    let exists = |suffix: &str| store.stat(&with_suffix(path, suffix)).is_ok();
    let sparse = Kind::Sparse.suffixes().iter().any(|suffix| exists(suffix));
    if sparse && !exists(ARRAY) { Kind::Sparse } else { Kind::Dense }
}

fn sized(source: Result<Source>, path: &Path, size: u64) -> Result<Arc<Source>> {
    let invalid = |found: String| Error::invalid(path, "size", format!("{size} bytes"), found);
    match source {
        Ok(source) if source.len() == size => Ok(Arc::new(source)),
        Ok(source) => Err(invalid(format!("{} bytes", source.len()))),
        Err(error) if error.is_not_found() => Err(invalid("no such file".into())),
        Err(error) => Err(error),
    }
}

/// A directory of the store, and the way that led there.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Path in the mount.
    pub path: PathBuf,
    /// Where it is in the store, links resolved.
    pub real: PathBuf,
    /// The directories passed on the way, itself the last.
    passed: Vec<PathBuf>,
    /// Those that a link to it led past.
    pub behind: Vec<PathBuf>,
}

/// What a name in the mount stands for.
#[derive(Debug)]
pub enum Entry {
    /// A sub-directory.
    Directory(Directory),
    /// A file that belongs to no array.
    Plain(Source),
    /// An array, shown as a folder.
    Array(Box<StoredArray>),
}

/// The names in a directory of the store, before anything was looked at.
#[derive(Debug)]
pub struct Names {
    kinds: Kinds,
    reserved: bool,
}

/// What kinds of files the names in a directory stand for.
#[derive(Debug)]
enum Kinds {
    /// Of all there are.
    Listed(Listed),
    /// Of those that are asked for: of a directory with many names a look at a few takes less than a listing.
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

    /// The name at this place of a listing.
    fn name(&self, place: usize) -> Option<&OsStr> {
        if let Self::Listed(kinds) = self { kinds.name(place) } else { None }
    }
}

/// A name in the mount, and what in the store it stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// The name in the mount.
    pub name: OsString,
    what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    /// The array of this name without a suffix.
    Array(OsString),
    /// A metadata file without data: an array that lacks it, or just some YAML.
    LoneYaml(OsString),
    /// The file or directory of this name.
    Other(OsString),
}

impl Directory {
    /// The root of a store.
    pub fn root() -> Self {
        Self { path: PathBuf::new(), real: PathBuf::new(), passed: vec![PathBuf::new()], behind: Vec::new() }
    }

    /// Facts of the directory itself.
    pub fn stat(&self, store: &Store) -> Result<Stat> {
        if self.real.as_os_str().is_empty() && self.path.as_os_str().is_empty() {
            return store.stat_root();
        }
        let mut stat = store.stat(&self.real)?;
        for directory in &self.behind {
            stat.rights = stat.rights.behind(&store.stat(directory)?.rights);
        }
        Ok(stat)
    }

    /// The names in the directory.
    pub fn names(&self, store: &Store) -> Result<Names> {
        let names = store.list(&self.real)?.into_iter();
        let finished = names.filter(|name| !is_unfinished(&name.name));
        let kinds = Kinds::Listed(Listed::new(finished));
        Ok(Names { kinds, reserved: self.path.as_os_str().is_empty() })
    }

    /// As [`names`](Self::names), but each is looked at when it is asked for; [`Names::shown`] has none of them.
    pub fn names_as_asked(&self, store: &Arc<Store>) -> Names {
        let (store, directory, known) = (Arc::clone(store), self.real.clone(), Mutex::default());
        let kinds = Kinds::Asked { store, directory, known };
        Names { kinds, reserved: self.path.as_os_str().is_empty() }
    }

    /// Path in the mount of `name` in this directory.
    pub fn join(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// What `shown`, one of this directory's names, stands for; none where it turns out to be part of
    /// an array, or not to be there any more.
    ///
    /// # Errors
    ///
    /// Why it is broken, and left out of the mount.
    pub fn entry(&self, store: &Arc<Store>, names: &Names, shown: &Shown) -> Result<Option<Entry>> {
        match self.entry_as_listed(store, names, shown) {
            // It was there when the directory was listed.
            Err(error) if error.is_not_found() => Ok(None),
            entry => entry,
        }
    }

    fn entry_as_listed(&self, store: &Arc<Store>, names: &Names, shown: &Shown) -> Result<Option<Entry>> {
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

    /// The sub-directory `name`, which is at `real`, where a link led past the directories `behind`.
    fn step(&self, store: &Store, name: &OsStr, real: PathBuf, behind: Vec<PathBuf>) -> Result<Entry> {
        if self.passed.contains(&real) {
            return Err(Error::Link { path: self.join(name), why: "in a circle" });
        }
        store.stat(&real)?;
        let passed = self.passed.iter().chain([&real]).cloned().collect();
        Ok(Entry::Directory(Self { path: self.join(name), real, passed, behind }))
    }

    /// Whether the file `name` is one of the files of an array, sound or broken, and so not shown.
    fn is_part_of_an_array(&self, store: &Arc<Store>, names: &Names, name: &OsStr) -> bool {
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
        // A left-over of the other kind belongs to nobody, and is a file like any other.
        let path = self.real.join(stem);
        let keys = read_keys(store, &with_suffix(&path, YAML));
        let kind = keys.and_then(|keys| keys.kind()).unwrap_or_else(|| kind_of_files(store, &path));
        kind.suffixes().contains(&suffix)
    }
}

/// The name of the array that a file of this name is a data file of, and the suffix.
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

impl Names {
    /// Number of names that were listed.
    pub fn len(&self) -> usize {
        if let Kinds::Listed(kinds) = &self.kinds { kinds.len() } else { 0 }
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All names that the mount may show, in order: some may turn out to be part of an array.
    pub fn shown(&self) -> impl Iterator<Item = Shown> {
        self.shown_from(0).map(|(_, shown)| shown)
    }

    /// As [`shown`](Self::shown), from this place on, each with its place. There are places where nothing is shown.
    pub fn shown_from(&self, place: u64) -> impl Iterator<Item = (u64, Shown)> {
        // Each name may be shown as it is, and as metadata stand for an array.
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

    /// What may stand behind `name` in the mount, the likeliest first.
    pub fn find(&self, name: &OsStr) -> impl Iterator<Item = Shown> {
        let mut stems = vec![name];
        while let Some(shorter) = stems.last().and_then(|last| stem(last, CLASH)) {
            stems.push(shorter);
        }
        let arrays = stems.into_iter().filter(|stem| self.has_file(stem, YAML)).map(|stem| self.array(stem));
        let plain = [name.to_owned()].into_iter().chain(stem(name, "@store").map(OsStr::to_owned));
        let plain = plain.filter(|name| self.kinds.get(name).is_some()).map(|name| self.plain(&name));
        let found: Vec<Shown> = plain.chain(arrays).filter(|shown| shown.name == name).collect();
        found.into_iter()
    }

    /// Arrays whose folder could not have their name: (the array's name, the folder's).
    pub fn clashes(&self) -> impl Iterator<Item = (OsString, OsString)> {
        self.shown().filter_map(|shown| match shown.what {
            What::Array(stem) if stem != shown.name => Some((stem, shown.name)),
            _ => None,
        })
    }

    fn plain(&self, name: &OsStr) -> Shown {
        let mut shown = name.to_owned();
        if self.reserved && name == RESERVED {
            shown.push("@store");
        }
        Shown { name: shown, what: What::Other(name.to_owned()) }
    }

    fn array(&self, stem: &OsStr) -> Shown {
        let mut name = stem.to_owned();
        while self.is_taken(&name, stem) {
            name.push(CLASH);
        }
        let stem = stem.to_owned();
        Shown { name, what: if self.has_data(&stem) { What::Array(stem) } else { What::LoneYaml(stem) } }
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

    /// Whether the names alone tell that a file is part of an array: metadata beside data, or data of one
    /// kind beside metadata.
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

    /// Whether some data file, or what stands in its place, is beside the metadata.
    fn has_data(&self, stem: &OsStr) -> bool {
        DATA_SUFFIXES
            .iter()
            .any(|suffix| self.kinds.get(with_suffix(Path::new(stem), suffix).as_os_str()).is_some())
    }
}

impl Shown {
    /// The name that messages should use: an array's without a suffix, another file's own.
    pub fn subject(&self) -> &OsStr {
        match &self.what {
            What::Array(name) | What::LoneYaml(name) | What::Other(name) => name,
        }
    }
}

/// Something that a walk over a store comes upon.
#[derive(Debug)]
pub enum Finding {
    /// A sound array.
    Array(Box<StoredArray>),
    /// What is left out of the mount: its path there, and why.
    Broken(PathBuf, Error),
    /// An array whose folder has another name: the array's path, and the folder's.
    Clash(PathBuf, PathBuf),
}

/// Walks the whole store, in order, and reports the arrays and what is broken; not to the end where nobody waits
/// for it any more.
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
