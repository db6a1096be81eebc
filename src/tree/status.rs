//! `.arrayfs/` in the root of the mount: reports of problems in the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::array::catalog::{Finding, walk};
use crate::array::names::idle_words;
use crate::array::stored_array::StoredArray;
use crate::error::{Error, Result, shown};
use crate::store::{Permissions, Stat, Store, Time};
use crate::task::{self, Flight};

/// The files of the directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Report {
    /// Entries that are invalid and not shown, or that could not be read, with the reason, one per line.
    Errors,
    /// Entries with a different name than expected, and names that are not used.
    Warnings,
    /// How the tree is mounted.
    Mount,
}

impl Report {
    /// All reports, in the order of their inode numbers.
    pub const ALL: [Self; 3] = [Self::Errors, Self::Warnings, Self::Mount];

    /// The file name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors.yaml",
            Self::Warnings => "warnings.yaml",
            Self::Mount => "mount.yaml",
        }
    }
}

/// A survey that takes less than this is repeated on every request.
const CHEAP: Duration = Duration::from_millis(20);

/// Problems that only reading the data revealed: the version of the array, and the reason.
type Faults = BTreeMap<PathBuf, (u64, String)>;

/// The message for each path.
type Entries = BTreeMap<PathBuf, String>;

/// The known problems.
#[derive(Debug, Default)]
pub struct Status {
    faults: Mutex<Faults>,
    /// Names that were read and do not fit their arrays.
    names: Mutex<Faults>,
    /// The text for each feature of the mount.
    mount: Mutex<BTreeMap<&'static str, String>>,
    survey: Mutex<Option<Arc<Survey>>>,
    surveying: Flight,
    told: Mutex<[Option<Text>; Report::ALL.len()]>,
}

/// The result of a walk over the store.
#[derive(Debug)]
struct Survey {
    began: Instant,
    /// How long it is valid. For a small store that is zero.
    good_for: Duration,
    broken: Entries,
    warnings: Entries,
}

/// The content of a report, and the time of its last change.
#[derive(Clone, Debug)]
pub struct Text {
    /// The content.
    pub text: Arc<str>,
    since: Time,
}

impl Status {
    /// Limit on the number of problems that are kept.
    const MOST: usize = 10_000;
    /// Number of lines that can be composed in almost no time.
    const FEW: usize = 500;

    /// Records how the tree is mounted: with a feature of the system, or the reason why not.
    pub fn describe_mount(&self, feature: &'static str, why_not: Option<&str>) {
        let why = why_not.map(|why| format!("{feature}_why: {}\n", serde_json::Value::from(why)));
        let text = format!("{feature}: {}\n{}", why.is_none(), why.unwrap_or_default());
        lock(&self.mount).insert(feature, text);
    }

    /// Records why reading this version of the array or file at `path` failed.
    pub fn note(&self, path: &Path, version: u64, error: &Error) {
        log::debug!("{error}");
        let mut faults = lock(&self.faults);
        if faults.len() < Self::MOST || faults.contains_key(path) {
            faults.insert(path.to_owned(), (version, error.to_string()));
        }
    }

    /// Records why names of this version of the array at `path` are not used.
    pub fn note_names(&self, path: &Path, version: u64, reasons: String) {
        let mut names = lock(&self.names);
        if names.len() < Self::MOST || names.contains_key(path) {
            names.insert(path.to_owned(), (version, reasons));
        }
    }

    /// Attributes of the directory: the last known times of the store. The user who mounts owns it.
    pub fn stat(&self, store: &Store) -> Stat {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        // Others may pass through it, because the inner mount is inside.
        Stat { permissions: Permissions { mode: 0o511, uid, gid }, ..store.last_known_root() }
    }

    /// Attributes of a report. Its times are those of its own last change. Only the user who mounts may read
    /// it, because reports contain names from directories that are closed to others.
    pub fn stat_of(&self, store: &Store, report: &Text) -> Stat {
        let mut stat = self.stat(store);
        stat.permissions.mode = 0o400;
        stat.identity.modified = report.since;
        stat.identity.changed = report.since;
        stat
    }

    /// The current content of a report. Problems in the store are found by a walk, of which only one runs at
    /// a time. The report about the mount needs none.
    ///
    /// # Errors
    ///
    /// [`Error::Unfinished`] if nobody waits for it any more, or another thread is working on it.
    pub fn report(&self, store: &Arc<Store>, report: Report) -> Result<Text> {
        let text = match report {
            Report::Mount => self.mount(),
            Report::Errors => {
                let survey = self.survey(store)?;
                self.check_short(survey.broken.len())?;
                let mut broken = survey.broken.clone();
                for (path, (_, reason)) in &*lock(&self.faults) {
                    broken.entry(path.clone()).or_insert_with(|| reason.clone());
                }
                lines(&broken)
            }
            Report::Warnings => {
                let survey = self.survey(store)?;
                self.check_short(survey.warnings.len())?;
                let mut warnings = survey.warnings.clone();
                for (path, (_, reasons)) in &*lock(&self.names) {
                    if !warnings.get(path).is_some_and(|known| known.contains(reasons)) {
                        add(&mut warnings, path.clone(), reasons);
                    }
                }
                lines(&warnings)
            }
        };
        Ok(self.tell(report, text))
    }

    /// Composing very many lines is long work, too.
    fn check_short(&self, lines: usize) -> Result<()> {
        let noted = lock(&self.faults).len() + lock(&self.names).len();
        if lines + noted > Self::FEW { task::begin_long() } else { Ok(()) }
    }

    /// The last content of a report, if it was ever read.
    pub fn last(&self, report: Report) -> Option<Text> {
        lock(&self.told)[report as usize].clone()
    }

    fn tell(&self, report: Report, text: Arc<str>) -> Text {
        let told = &mut lock(&self.told)[report as usize];
        match told {
            Some(told) if told.text == text => told.clone(),
            _ => told.insert(Text { text, since: Time::now() }).clone(),
        }
    }

    fn mount(&self) -> Arc<str> {
        let text = lock(&self.mount).values().map(String::as_str).collect::<String>();
        if text.is_empty() { "{}\n".into() } else { text.into() }
    }

    /// A survey that is still valid, or that began after the request.
    fn survey(&self, store: &Arc<Store>) -> Result<Arc<Survey>> {
        let asked = task::asked();
        let holds = |survey: &Arc<Survey>| survey.began >= asked || survey.began.elapsed() < survey.good_for;
        let known = || lock(&self.survey).clone().filter(holds);
        self.surveying.run(known, || {
            task::begin_long()?;
            let survey = Arc::new(self.walk(store)?);
            *lock(&self.survey) = Some(Arc::clone(&survey));
            Ok(survey)
        })
    }

    fn walk(&self, store: &Arc<Store>) -> Result<Survey> {
        let began = Instant::now();
        let noted = [&self.faults, &self.names].map(|noted| lock(noted).clone());
        let (mut broken, mut warnings) = (Entries::new(), Entries::new());
        let mut outdated = [Vec::new(), Vec::new()];
        // If another thread is reading names, the walk waits for it instead of starting over.
        let task = task::inherit();
        walk(store, &mut |finding| match finding {
            Finding::Broken(path, error) => {
                broken.insert(path, error.to_string());
            }
            Finding::Array(array) => {
                // Many names are read only on request.
                if array.names.are_small() {
                    let _ = task.help(|| array.names.names());
                }
                if let Some(reasons) = unused_names(&array) {
                    add(&mut warnings, array.path.clone(), &reasons);
                }
                for (noted, outdated) in noted.iter().zip(&mut outdated) {
                    if is_of_another(noted, &array) {
                        outdated.push(array.path.clone());
                    }
                }
            }
            Finding::Clash(array, folder) => {
                let warning =
                    format!("something else has that name; the array's folder is {}", shown(folder));
                add(&mut warnings, array, &warning);
            }
        });
        task::finished()?;
        self.forget(&outdated, &noted);
        let good_for = 2 * began.elapsed().saturating_sub(CHEAP);
        Ok(Survey { began, good_for, broken, warnings })
    }

    /// Forgets problems of versions that no longer exist, if they were recorded before the walk.
    fn forget(&self, outdated: &[Vec<PathBuf>; 2], before: &[Faults; 2]) {
        for ((noted, outdated), before) in [&self.faults, &self.names].into_iter().zip(outdated).zip(before) {
            let mut noted = lock(noted);
            for path in outdated {
                if noted.get(path).is_some_and(|now| before.get(path) == Some(now)) {
                    noted.remove(path);
                }
            }
        }
    }
}

fn is_of_another(noted: &Faults, array: &StoredArray) -> bool {
    noted.get(&array.path).is_some_and(|(version, _)| *version != array.version())
}

/// Adds to the message for a path.
fn add(entries: &mut Entries, path: PathBuf, text: &str) {
    let entry = entries.entry(path).or_default();
    entry.push_str(if entry.is_empty() { "" } else { "; " });
    entry.push_str(text);
}

/// Why names of an array are not used, and anything unusual about those that are, as far as it is known.
pub fn unused_names(array: &StoredArray) -> Option<String> {
    let flaws: Vec<_> = array.names.flaws().map(ToString::to_string).collect();
    let flaws = (!flaws.is_empty()).then(|| format!("names are not used: {}", flaws.join("; ")));
    let idle = array.names.idle().into_iter().map(|file| idle_words(&file));
    let said: Vec<_> = flaws.into_iter().chain(idle).chain(array.names.notes().map(str::to_owned)).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// A YAML mapping, one line per entry. JSON strings are valid YAML, and stay on one line whatever they
/// contain.
fn lines(entries: &Entries) -> Arc<str> {
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
