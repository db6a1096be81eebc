//! A directory of the store, with a cache of its arrays. A cached array is reused until one of its files
//! changes. A lookup examines only its own name, however many others there are.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use crate::array::catalog::{DirListing, Directory, Entry, ListedName};
use crate::array::stored_array::StoredArray;
use crate::error::Result;
use crate::store::source::Source;
use crate::store::{Identity, Stat, Store};

/// Directory times are this coarse at most: two changes within this time may leave the same timestamp.
const UNSURE: Duration = Duration::from_millis(100);

/// The most recently found arrays of all directories. They stay cached even if the kernel forgets them,
/// because otherwise each new access would have to read their metadata again.
#[derive(Debug, Default)]
pub struct RecentArrays(Mutex<VecDeque<Arc<StoredArray>>>);

impl RecentArrays {
    /// Maximum number of arrays.
    const MOST: usize = 512;

    fn keep(&self, array: &Arc<StoredArray>) {
        let mut arrays = lock(&self.0);
        let oldest = if arrays.len() < Self::MOST { None } else { arrays.pop_front() };
        arrays.push_back(Arc::clone(array));
        drop(arrays);
        // Dropped without the lock, because this may close files, which takes time.
        drop(oldest);
    }

    fn forget(&self, array: &Arc<StoredArray>) {
        lock(&self.0).retain(|kept| !Arc::ptr_eq(kept, array));
    }

    /// Forgets the arrays that are no longer where they were found. This is needed when a parent directory is
    /// moved, because then no event names the arrays themselves.
    pub fn forget_outdated(&self) {
        // Without the lock, because this accesses the store and closes files.
        let arrays: Vec<_> = lock(&self.0).iter().cloned().collect();
        let is_current = |array: &&Arc<StoredArray>| array.is_current() && array.names.is_current();
        arrays.iter().filter(|array| !is_current(array)).for_each(|array| self.forget(array));
    }
}

/// A directory of the store and its cache.
#[derive(Debug)]
pub struct StoreDirectory {
    /// The directory.
    pub directory: Directory,
    /// The names at the last listing. A weak reference, so that they live only as long as somebody uses that
    /// listing.
    names: Mutex<Option<(Identity, Weak<DirListing>)>>,
    arrays: Mutex<HashMap<OsString, Weak<StoredArray>>>,
    recent: Arc<RecentArrays>,
}

/// The current meaning of a name.
pub enum Found {
    /// A subdirectory.
    Directory(Directory),
    /// A file that belongs to no array.
    Plain(Source),
    /// An array.
    Array(Arc<StoredArray>),
}

impl StoreDirectory {
    /// A directory with an empty cache.
    pub fn new(directory: Directory, recent: &Arc<RecentArrays>) -> Self {
        Self { directory, names: Mutex::default(), arrays: Mutex::default(), recent: Arc::clone(recent) }
    }

    /// The attributes of the directory itself.
    pub fn stat(&self, store: &Store) -> Result<Stat> {
        self.directory.stat(store)
    }

    /// Looks up `name`. None if it does not exist or is broken.
    pub fn find(&self, store: &Arc<Store>, name: &OsStr) -> Result<Option<Found>> {
        let names = match self.listed(store)? {
            Some(names) => names,
            None => Arc::new(self.directory.names_as_asked(store)),
        };
        Ok(names.find(name).into_iter().find_map(|shown| self.look(store, &names, &shown)))
    }

    /// Lists the names that the directory may show. Lookups reuse the result for as long as the caller holds
    /// it.
    pub fn list(&self, store: &Arc<Store>) -> Result<Arc<DirListing>> {
        let now = store.identity(&self.directory.real)?;
        let names = Arc::new(self.directory.names(store)?);
        // Cache the names only if any later change is certain to change the directory's timestamp.
        *lock(&self.names) = is_settled(&now).then(|| (now, Arc::downgrade(&names)));
        Ok(names)
    }

    /// Forgets the array with this name, unless the store still has the cached version.
    pub fn forget_outdated(&self, name: &OsStr) {
        let known = self.known(name);
        if let Some(array) = known.filter(|array| !array.is_current()) {
            self.forget(name, &array);
        }
    }

    /// Like [`forget_outdated`](Self::forget_outdated), for all names.
    pub fn forget_all_outdated(&self) {
        let names: Vec<_> = lock(&self.arrays).keys().cloned().collect();
        names.iter().for_each(|name| self.forget_outdated(name));
    }

    /// The arrays that a change of the file `name` may affect although their names do not show it: those
    /// whose rows or columns get their names from it.
    pub fn named_by(&self, name: &OsStr) -> Vec<OsString> {
        if !name.as_bytes().ends_with(b".csv") {
            return Vec::new();
        }
        let path = self.directory.real.join(name);
        let known: Vec<_> =
            lock(&self.arrays).iter().map(|(name, array)| (name.clone(), array.clone())).collect();
        let is_named = |array: &Weak<StoredArray>| {
            array.upgrade().is_some_and(|array| array.names.sources().any(|source| source.name() == path))
        };
        known.into_iter().filter(|(_, array)| is_named(array)).map(|(name, _)| name).collect()
    }

    /// The names of a listing in progress, if the directory has not changed since.
    fn listed(&self, store: &Store) -> Result<Option<Arc<DirListing>>> {
        let known = lock(&self.names).as_ref().and_then(|(then, names)| Some((*then, names.upgrade()?)));
        let Some((then, names)) = known else { return Ok(None) };
        Ok((store.identity(&self.directory.real)? == then).then_some(names))
    }

    /// The meaning of a listed name. None if it no longer exists or is broken.
    pub fn look(&self, store: &Arc<Store>, names: &DirListing, shown: &ListedName) -> Option<Found> {
        let known = self.known(&shown.name);
        if let Some(array) = &known
            && array.is_current()
            && array.names.is_current()
        {
            return known.map(Found::Array);
        }
        if let Some(outdated) = known {
            self.forget(&shown.name, &outdated);
        }
        match self.directory.entry(store, names, shown) {
            Ok(Some(Entry::Array(array))) => {
                let array = Arc::from(array);
                self.keep(&shown.name, &array);
                Some(Found::Array(array))
            }
            Ok(Some(Entry::Directory(directory))) => Some(Found::Directory(directory)),
            Ok(Some(Entry::Plain(file))) => Some(Found::Plain(file)),
            Ok(None) => None,
            Err(error) => {
                log::debug!("left out: {error}");
                None
            }
        }
    }

    fn known(&self, name: &OsStr) -> Option<Arc<StoredArray>> {
        lock(&self.arrays).get(name).and_then(Weak::upgrade)
    }

    fn keep(&self, name: &OsStr, array: &Arc<StoredArray>) {
        self.recent.keep(array);
        let mut arrays = lock(&self.arrays);
        // Before the map grows, remove the entries whose arrays are gone. This keeps the amortized cost
        // constant and the map proportional to the arrays in use.
        if arrays.len() == arrays.capacity() {
            arrays.retain(|_, array| array.strong_count() > 0);
            let room = 2 * arrays.len() + 16;
            arrays.shrink_to(room);
            arrays.reserve(16);
        }
        arrays.insert(name.to_owned(), Arc::downgrade(array));
    }

    fn forget(&self, name: &OsStr, array: &Arc<StoredArray>) {
        lock(&self.arrays).remove(name);
        self.recent.forget(array);
    }
}

impl Drop for StoreDirectory {
    /// Nobody watches the directory after this. Cached arrays would keep deleted files open.
    fn drop(&mut self) {
        let arrays = std::mem::take(&mut *lock(&self.arrays));
        arrays.values().filter_map(Weak::upgrade).for_each(|array| self.recent.forget(&array));
    }
}

/// Whether the last change is old enough that another change is certain to have a different timestamp.
fn is_settled(identity: &Identity) -> bool {
    let changed = u64::try_from(identity.changed.seconds).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH + Duration::new(changed, identity.changed.nanoseconds);
    changed.elapsed().is_ok_and(|age| age > UNSURE)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
