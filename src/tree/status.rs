//! `.arrayfs/` in the mount's root: what is wrong with the store, in words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::catalog::{Finding, walk};
use crate::error::{Error, Result, shown};
use crate::store::{Rights, Stat, Store};

/// The files of the folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Report {
    /// What is broken and left out, or failed when it was read, and why: one line each.
    Errors,
    /// What is shown under another name.
    Warnings,
}

impl Report {
    /// All files, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Errors, Self::Warnings];

    /// Name in the folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors.yaml",
            Self::Warnings => "warnings.yaml",
        }
    }
}

/// How long a report is good enough for `stat`.
const FRESH: Duration = Duration::from_secs(1);

/// What showed only when data was read: the version of the array, and the reason.
type Faults = BTreeMap<PathBuf, (u64, String)>;

/// What is known to be wrong.
#[derive(Debug, Default)]
pub struct Status {
    faults: Mutex<Faults>,
    texts: Mutex<Option<(Instant, [Arc<str>; 2])>>,
}

impl Status {
    /// The most faults that are kept.
    const MOST: usize = 10_000;

    /// Keeps why reading this version of the array or file at `path` failed.
    pub fn note(&self, path: &Path, version: u64, error: &Error) {
        log::info!("{error}");
        let mut faults = lock(&self.faults);
        if faults.len() < Self::MOST || faults.contains_key(path) {
            faults.insert(path.to_owned(), (version, error.to_string()));
        }
        *lock(&self.texts) = None;
    }

    /// Facts of the folder and its files: the store's times; but only who mounts may read, for the
    /// reports name what is in directories that are closed to others.
    pub fn stat(&self, store: &Store) -> Result<Stat> {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Ok(Stat { rights: Rights { mode: 0o400, uid, gid }, ..store.stat_root()? })
    }

    /// A report as it is now; with `recent` one of a second ago will do.
    pub fn text(&self, store: &Arc<Store>, report: Report, recent: bool) -> Arc<str> {
        let known = lock(&self.texts).clone();
        let texts = match known {
            Some((when, texts)) if recent && when.elapsed() < FRESH => texts,
            _ => {
                let texts = self.survey(store);
                *lock(&self.texts) = Some((Instant::now(), texts.clone()));
                texts
            }
        };
        Arc::clone(&texts[report as usize])
    }

    fn survey(&self, store: &Arc<Store>) -> [Arc<str>; 2] {
        let mut faults = lock(&self.faults).clone();
        let (mut broken, mut warnings) = (BTreeMap::new(), BTreeMap::new());
        walk(store, &mut |finding| match finding {
            Finding::Broken(path, error) => {
                broken.insert(path, error.to_string());
            }
            Finding::Array(array) => {
                if faults.get(&array.path).is_some_and(|(version, _)| *version != array.version()) {
                    faults.remove(&array.path);
                }
            }
            Finding::Clash(array, folder) => {
                let warning =
                    format!("something else has that name; the array's folder is {}", shown(folder));
                warnings.insert(array, warning);
            }
        });
        for (path, (_, reason)) in faults {
            broken.entry(path).or_insert(reason);
        }
        [lines(&broken), lines(&warnings)]
    }
}

/// A YAML mapping, one line an entry. JSON's strings are YAML's, on one line whatever is in them.
fn lines(entries: &BTreeMap<PathBuf, String>) -> Arc<str> {
    if entries.is_empty() {
        return "{}\n".into();
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let line = |(path, why): (&PathBuf, &String)| format!("{}: {}\n", quoted(&shown(path)), quoted(why));
    entries.iter().map(line).collect::<String>().into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
