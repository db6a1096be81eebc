//! A directory of the store in the tree: its names are remembered until it changes, and an array is
//! read again only when one of its files changed.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::catalog::{Directory, Entry, Names, Shown, StoredArray};
use crate::error::Result;
use crate::source::Source;
use crate::store::{Identity, Stat, Store};

/// How long after a change of a directory another one might not show in its times.
const UNSURE: Duration = Duration::from_millis(100);

/// A directory, and what is known of it.
#[derive(Debug)]
pub struct StoreDirectory {
    /// The directory.
    pub directory: Directory,
    names: Mutex<Option<(Identity, Arc<Names>)>>,
    arrays: Mutex<HashMap<OsString, Arc<StoredArray>>>,
}

/// What a name stands for at this moment.
pub enum Found {
    /// A sub-directory.
    Directory(Directory),
    /// A file that belongs to no array.
    Plain(Source),
    /// An array.
    Array(Arc<StoredArray>),
}

impl StoreDirectory {
    /// A directory of which nothing is known yet.
    pub fn new(directory: Directory) -> Self {
        Self { directory, names: Mutex::default(), arrays: Mutex::default() }
    }

    /// Facts of the directory itself.
    pub fn stat(&self, store: &Store) -> Result<Stat> {
        self.directory.stat(store)
    }

    /// What `name` stands for; none when there is no such name, or what it stands for is broken.
    pub fn find(&self, store: &Arc<Store>, name: &OsStr) -> Result<Option<Found>> {
        let names = self.names(store)?;
        Ok(names.find(name).find_map(|shown| self.look(store, &names, &shown)))
    }

    /// All that the directory shows, in order.
    pub fn list(&self, store: &Arc<Store>) -> Result<Vec<(OsString, Found)>> {
        let names = self.names(store)?;
        let look = |shown: Shown| Some((self.look(store, &names, &shown)?, shown.name));
        Ok(names.shown().filter_map(look).map(|(found, name)| (name, found)).collect())
    }

    /// Forgets the array of this name, unless the store still holds the version that is known.
    pub fn forget_outdated(&self, name: &OsStr) {
        let known = lock(&self.arrays).get(name).cloned();
        if known.is_some_and(|array| !array.is_current()) {
            lock(&self.arrays).remove(name);
        }
    }

    fn names(&self, store: &Store) -> Result<Arc<Names>> {
        let now = store.identity(&self.directory.real)?;
        if let Some((then, names)) = &*lock(&self.names)
            && *then == now
        {
            return Ok(Arc::clone(names));
        }
        let names = Arc::new(self.directory.names(store)?);
        let settled = is_settled(&now).then(|| (now, Arc::clone(&names)));
        *lock(&self.names) = settled;
        Ok(names)
    }

    fn look(&self, store: &Arc<Store>, names: &Names, shown: &Shown) -> Option<Found> {
        let known = lock(&self.arrays).get(&shown.name).cloned();
        if let Some(array) = known.filter(|array| array.is_current() && array.names.is_current()) {
            return Some(Found::Array(array));
        }
        match self.directory.entry(store, names, shown) {
            Ok(Some(Entry::Array(array))) => {
                let array = Arc::new(array);
                lock(&self.arrays).insert(shown.name.clone(), Arc::clone(&array));
                Some(Found::Array(array))
            }
            Ok(Some(Entry::Directory(directory))) => Some(Found::Directory(directory)),
            Ok(Some(Entry::Plain(file))) => Some(Found::Plain(file)),
            Ok(None) => None,
            Err(error) => {
                log::debug!("left out: {error}");
                lock(&self.arrays).remove(&shown.name);
                None
            }
        }
    }
}

/// Whether the last change was long enough ago that the next one will show.
fn is_settled(identity: &Identity) -> bool {
    let changed = u64::try_from(identity.changed.seconds).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH + Duration::new(changed, identity.changed.nanoseconds);
    changed.elapsed().is_ok_and(|age| age > UNSURE)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
