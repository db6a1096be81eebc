//! `.arrayfs/` in the mount's root: what is wrong with the store, in words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::catalog::{Finding, StoredArray, walk};
use crate::error::{Error, Result, shown};
use crate::names::idle_words;
use crate::store::{Rights, Stat, Store, Time};

/// The files of the folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Report {
    /// What is broken and left out, or failed when it was read, and why: one line each.
    Errors,
    /// What is shown under another name.
    Warnings,
    /// How the tree is mounted.
    Mount,
}

impl Report {
    /// All files, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Errors, Self::Warnings, Self::Mount];

    /// Name in the folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors.yaml",
            Self::Warnings => "warnings.yaml",
            Self::Mount => "mount.yaml",
        }
    }
}

/// A survey that takes no longer is made at every `stat`.
const CHEAP: Duration = Duration::from_millis(20);

/// What showed only when data was read: the version of the array, and the reason.
type Faults = BTreeMap<PathBuf, (u64, String)>;

/// What is known to be wrong.
#[derive(Debug, Default)]
pub struct Status {
    faults: Mutex<Faults>,
    /// Names that were read and do not fit their arrays.
    names: Mutex<Faults>,
    /// What there is to say of each feature of the mount.
    mount: Mutex<BTreeMap<&'static str, String>>,
    known: Mutex<Option<Known>>,
}

/// The reports as they were last told.
#[derive(Clone, Debug)]
struct Known {
    surveyed: Instant,
    /// Of a small store a survey is made whenever it is asked for.
    good_for: Duration,
    /// Whether something was noted since.
    is_old: bool,
    texts: [Arc<str>; 3],
    changed: Time,
}

impl Status {
    /// The most faults that are kept.
    const MOST: usize = 10_000;

    /// Keeps how the tree is mounted: with a feature of the system, or why without.
    pub fn describe_mount(&self, feature: &'static str, why_not: Option<&str>) {
        let why = why_not.map(|why| format!("{feature}_why: {}\n", serde_json::Value::from(why)));
        let text = format!("{feature}: {}\n{}", why.is_none(), why.unwrap_or_default());
        lock(&self.mount).insert(feature, text);
        self.make_old();
    }

    /// Keeps why reading this version of the array or file at `path` failed.
    pub fn note(&self, path: &Path, version: u64, error: &Error) {
        log::info!("{error}");
        let mut faults = lock(&self.faults);
        if faults.len() < Self::MOST || faults.contains_key(path) {
            faults.insert(path.to_owned(), (version, error.to_string()));
        }
        self.make_old();
    }

    /// Keeps why names of this version of the array at `path` are not used.
    pub fn note_names(&self, path: &Path, version: u64, reasons: String) {
        let mut names = lock(&self.names);
        let is_known = names.get(path).is_some_and(|(other, known)| *other == version && *known == reasons);
        if !is_known && (names.len() < Self::MOST || names.contains_key(path)) {
            names.insert(path.to_owned(), (version, reasons));
            self.make_old();
        }
    }

    fn make_old(&self) {
        if let Some(known) = &mut *lock(&self.known) {
            known.is_old = true;
        }
    }

    /// Facts of the folder: the store's times, and who mounts owns it.
    pub fn stat(&self, store: &Store) -> Result<Stat> {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        // Others may pass it, on the way to what is mounted in it.
        Ok(Stat { rights: Rights { mode: 0o511, uid, gid }, ..store.stat_root()? })
    }

    /// A report as it is now, and facts of its file. Its times are those of its own last change, which
    /// tells the kernel to read it anew; only who mounts may read it, for the reports name what is in
    /// directories that are closed to others.
    pub fn fresh(&self, store: &Arc<Store>, report: Report) -> Result<(Arc<str>, Stat)> {
        let fresh = |known: &Known| !known.is_old && known.surveyed.elapsed() < known.good_for;
        let known = self.known().filter(fresh).unwrap_or_else(|| self.survey_anew(store));
        let mut stat = self.stat(store)?;
        stat.rights.mode = 0o400;
        stat.identity.modified = known.changed;
        stat.identity.changed = known.changed;
        Ok((Arc::clone(&known.texts[report as usize]), stat))
    }

    /// A report as it was last told, so that its size is that of the `stat` before.
    pub fn text(&self, store: &Arc<Store>, report: Report) -> Arc<str> {
        let known = self.known().unwrap_or_else(|| self.survey_anew(store));
        Arc::clone(&known.texts[report as usize])
    }

    fn known(&self) -> Option<Known> {
        lock(&self.known).clone()
    }

    fn survey_anew(&self, store: &Arc<Store>) -> Known {
        // Before the survey: what is noted meanwhile makes it old.
        let surveyed = Instant::now();
        if let Some(known) = &mut *lock(&self.known) {
            known.is_old = false;
        }
        let texts = self.survey(store);
        let mut known = lock(&self.known);
        let before = known.as_ref().filter(|before| before.texts == texts).map(|before| before.changed);
        let is_old = known.as_ref().is_some_and(|before| before.is_old);
        let good_for = 2 * surveyed.elapsed().saturating_sub(CHEAP);
        let changed = before.unwrap_or_else(Time::now);
        let now = Known { surveyed, good_for, is_old, texts, changed };
        *known = Some(now.clone());
        now
    }

    fn survey(&self, store: &Arc<Store>) -> [Arc<str>; 3] {
        let (mut faults, mut names) = (lock(&self.faults).clone(), lock(&self.names).clone());
        let (mut broken, mut warnings) = (BTreeMap::new(), BTreeMap::new());
        walk(store, &mut |finding| match finding {
            Finding::Broken(path, error) => {
                broken.insert(path, error.to_string());
            }
            Finding::Array(array) => {
                for noted in [&mut faults, &mut names] {
                    if noted.get(&array.path).is_some_and(|(version, _)| *version != array.version()) {
                        noted.remove(&array.path);
                    }
                }
                // Many names are read only when someone asks for them.
                if array.names.are_small() {
                    let _ = array.names.names();
                }
                if let Some(reasons) = unused_names(&array) {
                    add(&mut warnings, array.path, reasons);
                }
            }
            Finding::Clash(array, folder) => {
                let warning =
                    format!("something else has that name; the array's folder is {}", shown(folder));
                add(&mut warnings, array, warning);
            }
        });
        for (path, (_, reasons)) in names {
            if !warnings.get(&path).is_some_and(|known| known.contains(&reasons)) {
                add(&mut warnings, path, reasons);
            }
        }
        for (path, (_, reason)) in faults {
            broken.entry(path).or_insert(reason);
        }
        let mut mount = lock(&self.mount).values().map(String::as_str).collect::<String>();
        if mount.is_empty() {
            mount.push_str("{}\n");
        }
        [lines(&broken), lines(&warnings), mount.into()]
    }
}

/// Adds to what there is to say of something.
fn add(entries: &mut BTreeMap<PathBuf, String>, path: PathBuf, text: String) {
    let entry = entries.entry(path).or_default();
    entry.push_str(if entry.is_empty() { "" } else { "; " });
    entry.push_str(&text);
}

/// Why names of an array are not used, and what is odd about those that are, as far as that has shown.
pub fn unused_names(array: &StoredArray) -> Option<String> {
    let flaws: Vec<_> = array.names.flaws().map(ToString::to_string).collect();
    let flaws = (!flaws.is_empty()).then(|| format!("names are not used: {}", flaws.join("; ")));
    let idle = array.names.idle().map(|file| idle_words(&file));
    let said: Vec<_> = flaws.into_iter().chain(idle).chain(array.names.notes().map(str::to_owned)).collect();
    (!said.is_empty()).then(|| said.join("; "))
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
