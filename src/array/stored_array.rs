//! One version of an array in a store: its metadata, its files, and what is remembered of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::array::names::NameFiles;
use crate::bytes::crc_cache::CrcCache;
use crate::bytes::text_index::KnownOffsets;
use crate::daf::metadata::{ARRAY, Keys, Kind, MAX_YAML_BYTES, Metadata, YAML};
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::store::{Stat, Store, with_suffix};

/// How often loading an array is retried if it is replaced at the same time.
const ATTEMPTS: usize = 100;

/// One version of an array in a store: its metadata and files. The sizes are checked, but nothing is open.
#[derive(Debug)]
pub struct StoredArray {
    /// Path in the store, without a suffix.
    pub path: PathBuf,
    /// Layout, data types and shape.
    pub metadata: Metadata,
    /// The `.yaml`.
    pub yaml: Arc<Source>,
    /// The data files, in the order of [`Kind::suffixes`].
    files: Vec<Arc<Source>>,
    /// Results computed from the data that are worth keeping.
    pub memo: CrcCache,
    /// Known offsets of numbers in the text formats.
    pub offsets: KnownOffsets,
    /// The files with the names of its rows and columns, if there are any.
    pub names: NameFiles,
}

impl StoredArray {
    /// Loads the array `path` (without a suffix) of the store.
    ///
    /// # Errors
    ///
    /// Every problem that is visible without reading data: a file that is missing, not a regular file, or of
    /// a size that does not match the metadata, and metadata that describes no array. [`Error::Stale`] if the
    /// array is replaced on every attempt.
    pub fn load(store: &Arc<Store>, path: &Path) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let yaml = Arc::new(Source::find(store, &with_suffix(path, YAML))?);
            let loaded = Self::load_beside(store, path, &yaml);
            // A program that replaces an array removes its `.yaml` first. If the `.yaml` is still the same,
            // the data files belong to it. Otherwise they may belong to another version, so the result is
            // discarded, even an error.
            if yaml.is_current() {
                return loaded;
            }
        }
        Err(Error::Stale { path: with_suffix(path, YAML) })
    }

    /// The data files, in the order of [`Kind::suffixes`].
    pub fn files(&self) -> &[Arc<Source>] {
        &self.files
    }

    /// The elements of a dense array.
    pub fn elements(&self) -> &Arc<Source> {
        &self.files[0]
    }

    /// The stored elements of a sparse matrix.
    pub fn data(&self) -> &Arc<Source> {
        &self.files[0]
    }

    /// The columns of the stored elements of a sparse matrix.
    pub fn indices(&self) -> &Arc<Source> {
        &self.files[1]
    }

    /// The start offsets of the rows of a sparse matrix, and the end of the last one.
    pub fn indptr(&self) -> &Arc<Source> {
        &self.files[2]
    }

    /// Loads the array with this metadata.
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
        let (path, memo, offsets) = (path.to_owned(), CrcCache::default(), KnownOffsets::default());
        Ok(Self { path, metadata, yaml: Arc::clone(yaml), files, memo, offsets, names })
    }

    /// All files, the `.yaml` first.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        std::iter::once(&self.yaml).chain(&self.files)
    }

    /// Whether the store still holds this version. The names are not considered, because most files do not
    /// show them.
    pub fn is_current(&self) -> bool {
        self.sources().all(|source| source.is_current())
    }

    /// The value of [`generation`](Self::generation) when the array was found.
    pub fn found_generation(&self) -> u64 {
        self.files.iter().fold(0, |sum: u64, file| sum.wrapping_add(file.stat().identity.generation))
    }

    /// Whether the files can be opened now as those of this version: each is current, or was written in place
    /// since.
    pub fn can_be_opened(&self) -> bool {
        self.sources().all(|source| source.can_be_opened())
    }

    /// Whether no writer of the data files was noticed since the array was found. It does not access the
    /// store.
    pub fn is_settled(&self) -> bool {
        self.files.iter().all(|file| file.is_settled())
    }

    /// A number that changes when a writer of a data file is seen to start or to finish.
    pub fn generation(&self) -> u64 {
        self.files.iter().fold(0, |sum: u64, file| sum.wrapping_add(file.generation()))
    }

    /// Opens the data files, so that this version stays readable even after its names are removed or
    /// replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if a file was replaced before it was first opened.
    pub fn open(&self) -> Result<()> {
        self.files.iter().try_for_each(|file| file.open())
    }

    /// Whether any data file was ever opened.
    pub fn was_opened(&self) -> bool {
        self.files.iter().any(|file| file.was_opened())
    }

    /// Whether any byte of a data file was ever read.
    pub fn was_read(&self) -> bool {
        self.files.iter().any(|file| file.was_read())
    }

    /// Whether any file is a symbolic link.
    pub fn has_links(&self) -> bool {
        self.all_sources().any(|source| source.link_target().is_some())
    }

    /// All files, including those with the names of rows and columns.
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

    /// Like [`version`](Self::version), but unchanged when the data files are written in place.
    pub fn ttl(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.yaml.version().hash(&mut hasher);
        self.files.iter().for_each(|source| source.ttl().hash(&mut hasher));
        self.names.versions().hash(&mut hasher);
        hasher.finish()
    }

    /// Attributes of a file that is derived from all files: the latest times, and the permissions that all
    /// grant.
    pub fn stat(&self) -> Stat {
        self.files.iter().fold(*self.yaml.stat(), |stat, source| stat.and(source.stat()))
    }

    /// Attributes of a file that also shows the names of rows or columns.
    pub fn stat_with_names(&self) -> Stat {
        self.names.sources().fold(self.stat(), |stat, source| stat.and(source.stat()))
    }
}

/// The layout that the data files suggest, if the metadata does not state it.
pub(super) fn kind_of_files(store: &Store, path: &Path) -> Kind {
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
