//! Files that appear together: written aside, then put in place under a lock.
//!
//! ```text
//! .arrayfs-unfinished-XXXXXX/    one writer's; locked (flock) for as long as the writer lives
//!     x.array                    the data files, under their names, until they are put in place
//!     x.yaml                     last
//!     versions                   which versions of the array's files are put in place, and which go
//! ```
//!
//! Putting files in place happens under a lock of the directory itself, so that of several writers one comes
//! after the other, and nothing lies about when they are done. Whoever finds such a directory whose lock is
//! free removes what a dead writer left: the directory, and data files that were in place already, or still,
//! while no `.yaml` was.
//!
//! Where the file system knows no locks, writers do not wait for each other, and nothing is cleaned up.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::format::{ARRAY, DATA, INDICES, INDPTR, YAML};
use crate::store::{stem, with_suffix};

/// How the names begin of what is not finished yet.
pub const UNFINISHED: &str = ".arrayfs-unfinished-";

/// How long a writer waits for others, which take moments.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a writer says which files it puts in place and which go. None of an array has a name without a suffix.
const VERSIONS: &str = "versions";

/// The data files that an array can have.
const SUFFIXES: [&str; 4] = [ARRAY, DATA, INDICES, INDPTR];

/// What writers of this process have aside. Whoever makes, places or removes any of it holds this.
static ASIDE: Mutex<Aside> = Mutex::new(Aside { paths: Vec::new(), is_placed: false });

struct Aside {
    paths: Vec<PathBuf>,
    /// Whether something was put in place.
    is_placed: bool,
}

/// Removes what this process has written aside, before it ends. What is being put in place is first put in place;
/// all else never will be, for whoever wants to write, place or remove more waits for ever. False, and nothing of
/// this, if all is in place already.
pub fn abandon() -> bool {
    let aside = lock_aside();
    if aside.paths.is_empty() && aside.is_placed {
        return false;
    }
    for path in &aside.paths {
        let _ = fs::remove_dir_all(path);
    }
    std::mem::forget(aside);
    true
}

fn lock_aside() -> MutexGuard<'static, Aside> {
    ASIDE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock of a directory, which keeps all other writers of arrays out of it, if there are locks.
#[derive(Debug)]
pub struct DirectoryLock {
    lock: Option<Flock<File>>,
}

impl DirectoryLock {
    /// Waits for the lock of the directory of this file.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when others do not give it back.
    pub fn of(file: &Path) -> Result<Self> {
        let start = Instant::now();
        loop {
            match try_lock(directory(file)) {
                Err(nix::Error::EWOULDBLOCK) if start.elapsed() < PATIENCE => sleep(Duration::from_millis(1)),
                Err(nix::Error::EWOULDBLOCK) => {
                    let seconds = PATIENCE.as_secs();
                    let why =
                        format!("another program keeps its directory locked, for {seconds} seconds now");
                    return Err(Error::refused(file, why));
                }
                lock => return Ok(Self { lock: lock.ok() }),
            }
        }
    }
}

/// Locks a directory, unless somebody has.
fn try_lock(path: &Path) -> nix::Result<Flock<File>> {
    let mut options = File::options();
    let file = options.read(true).custom_flags(libc::O_DIRECTORY).open(path);
    let file = file.map_err(|e| e.raw_os_error().map_or(nix::Error::UnknownErrno, nix::Error::from_raw))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
}

fn directory(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The files of an array that is being written.
#[derive(Debug)]
pub struct Staging {
    /// Path of the array, without a suffix.
    path: PathBuf,
    /// Where each file is to be, in this order.
    targets: Vec<PathBuf>,
    aside: TempDir,
    /// Gone last, for what is not locked may be removed by anyone.
    _alive: Option<Flock<File>>,
}

impl Staging {
    /// A place for the files of the array `path` (without a suffix); what dead writers left there goes.
    ///
    /// # Errors
    ///
    /// Whatever the system says, and as [`DirectoryLock::of`].
    pub fn new(path: &Path) -> Result<Self> {
        let fail = |e| Error::io(path, "create", e);
        let lock = DirectoryLock::of(path)?;
        if let Some(lock) = &lock.lock {
            clear_once(directory(path), lock);
        }
        let mut known = lock_aside();
        let aside = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(directory(path)).map_err(fail)?;
        known.paths.push(aside.path().to_owned());
        drop(known);
        let alive = try_lock(aside.path()).ok();
        Ok(Self { path: path.to_owned(), targets: Vec::new(), aside, _alive: alive })
    }

    /// Writes one of the files, which is to be at `target`.
    ///
    /// # Errors
    ///
    /// Whatever the system or `fill` says.
    pub fn write(&mut self, target: PathBuf, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let known = lock_aside();
        let file = File::options().write(true).create_new(true).open(self.aside_of(&target));
        drop(known);
        fill(&mut file.map_err(|e| Error::io(&self.path, "create", e))?)?;
        self.targets.push(target);
        Ok(())
    }

    /// Puts the files in place, in the order they were written, after `obsolete` have gone, in their order.
    ///
    /// # Errors
    ///
    /// Whatever the system says, and as [`DirectoryLock::of`]; then none of the files is in place.
    pub fn place(self, obsolete: &[PathBuf]) -> Result<()> {
        let _lock = DirectoryLock::of(&self.path)?;
        let mut known = lock_aside();
        self.record().map_err(|e| Error::io(&self.path, "create", e))?;
        let gone = obsolete.iter().try_for_each(|path| remove_file(path));
        let placed = gone.and_then(|()| self.targets.iter().try_for_each(|target| self.place_one(target)));
        if placed.is_err() {
            withdraw(directory(&self.path), self.aside.path());
        } else {
            known.paths.retain(|path| path != self.aside.path());
            known.is_placed = true;
        }
        placed
    }

    fn place_one(&self, target: &Path) -> Result<()> {
        fs::rename(self.aside_of(target), target).map_err(|e| Error::io(target, "create", e))
    }

    /// Says which files belong to no array unless a `.yaml` is in place: the old ones and the new ones.
    fn record(&self) -> io::Result<()> {
        let old = SUFFIXES.map(|suffix| with_suffix(&self.path, suffix));
        let new = self.targets.iter().map(|target| self.aside_of(target));
        let versions = old.into_iter().chain(new).filter_map(|path| version(&path));
        fs::write(self.aside.path().join(VERSIONS), versions.collect::<String>())
    }

    fn aside_of(&self, target: &Path) -> PathBuf {
        self.aside.path().join(target.file_name().unwrap_or_default())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        lock_aside().paths.retain(|path| path != self.aside.path());
    }
}

/// Removes what dead writers left in a locked directory, the first time that this process comes there.
fn clear_once(directory: &Path, lock: &Flock<File>) {
    static CLEARED: Mutex<Option<HashSet<(PathBuf, u64, u64)>>> = Mutex::new(None);
    let Ok(meta) = lock.metadata() else { return };
    let mut cleared = CLEARED.lock().unwrap_or_else(PoisonError::into_inner);
    // A writer of thousands of arrays does not look through thousands of names each time.
    // Another directory may come to have the number of one that is gone.
    if cleared.get_or_insert_default().insert((directory.to_owned(), meta.dev(), meta.ino())) {
        clear(directory);
    }
}

fn clear(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let left_over = entries.filter_map(io::Result::ok).filter(|entry| is_unfinished(&entry.file_name()));
    for entry in left_over {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = entry.path();
        // Whoever is alive has the lock.
        let Some(_lock) = is_directory.then(|| try_lock(&path).ok()).flatten() else { continue };
        withdraw(directory, &path);
        match fs::remove_dir_all(&path) {
            Ok(()) => log::info!("{}: removed, for its writer is gone", path.display()),
            Err(error) => log::warn!("{}: left by a writer that is gone: {error}", path.display()),
        }
    }
}

/// Whether this is the name of something that is not finished yet.
pub fn is_unfinished(name: &OsStr) -> bool {
    name.as_bytes().starts_with(UNFINISHED.as_bytes())
}

/// Removes a file, if it is there.
///
/// # Errors
///
/// Whatever the system says.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, "remove", e)),
        _ => Ok(()),
    }
}

/// Removes the data files that the writer of `aside` has put in place or was to remove, if its `.yaml`, which
/// comes last, was not put in place.
fn withdraw(directory: &Path, aside: &Path) {
    let mut names =
        fs::read_dir(aside).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    let stem = names.find_map(|name| Some(directory.join(stem(&name, YAML)?)));
    let (Some(stem), Ok(versions)) = (stem, fs::read_to_string(aside.join(VERSIONS))) else { return };
    // If somebody else has put one there, the files are those of an array.
    if fs::symlink_metadata(with_suffix(&stem, YAML)).is_ok() {
        return;
    }
    for path in SUFFIXES.map(|suffix| with_suffix(&stem, suffix)) {
        if version(&path).is_some_and(|version| versions.contains(&version)) {
            let _ = fs::remove_file(path);
        }
    }
}

/// A line that tells a file from any other that takes its place.
fn version(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok()?;
    let (inode, size, seconds, nanoseconds) = (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    Some(format!("inode {inode}, {size} bytes of {seconds}.{nanoseconds:09}\n"))
}
