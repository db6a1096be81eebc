//! Files that appear together: written aside, then put in place under a lock.
//!
//! ```text
//! .arrayfs-unfinished-XXXXXXXXXXXXXXXX/    one writer's; locked (flock) for as long as the writer lives
//!     .arrayfs-versions      which versions of the array's files are put in place, and which go
//!     x.array                the data files, under their names, until they are put in place
//!     x.yaml                 last
//! ```
//!
//! Putting files in place happens under a lock of the directory itself, so that of several writers one comes
//! after the other, and nothing lies about when they are done. Whoever finds such a directory whose lock is
//! free removes what a dead writer left: the directory, and data files that were in place already, or still,
//! while no `.yaml` was.
//!
//! The directory may be one where other users write too. So each is opened once, nothing is found by its path
//! again, and of what is there only that is believed which nobody else can have made or changed.
//!
//! Where the file system knows no locks, writers do not wait for each other, and nothing is cleaned up.

mod directory;
mod leftover;
mod target;
mod writers;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::array::names::{COLUMN_NAMES, ROW_NAMES};
use crate::daf::metadata::YAML;
use crate::error::{Error, Result};
use directory::Directory;
use target::ALL;
pub use target::Existing;
pub(crate) use target::Target;
pub use writers::abandon;
use writers::writers;

/// How the names begin of what is not finished yet.
pub const UNFINISHED: &str = ".arrayfs-unfinished-";

/// Whether this is the name of something that is not finished yet.
pub fn is_unfinished(name: &OsStr) -> bool {
    name.as_bytes().starts_with(UNFINISHED.as_bytes())
}

/// The files of an array that is being written.
#[derive(Debug)]
pub(crate) struct Staging {
    target: Target,
    existing: Existing,
    /// Suffixes of its files, in the order in which they are put in place.
    suffixes: Vec<String>,
    /// Locked until it is closed: what is not may be removed by anyone.
    aside: Directory,
    /// The name of `aside`.
    name: OsString,
}

impl Staging {
    /// A place for the files of the array `path` (without a suffix); what dead writers left there goes.
    ///
    /// # Errors
    ///
    /// Whatever the system says, [`Error::Refused`] for a path that no array can have, when others do not give
    /// the lock of its directory back or change there what is made, [`Error::Exists`].
    pub fn new(path: &Path, existing: Existing) -> Result<Self> {
        let fail = |e| Error::io(path, "create", e);
        let target = Target::open(path, "create")?;
        let lock = target.lock()?;
        if lock.is_held() {
            leftover::clear_once(&target);
        }
        target.check(existing)?;
        let mut writers = writers();
        let (name, aside) = target.directory.make_private(UNFINISHED).map_err(fail)?;
        let files =
            ALL.iter().map(|suffix| target.name_of(suffix)).chain([leftover::VERSIONS.into()]).collect();
        if let Err(error) = writers.add(&target.directory, &name, &aside, files) {
            let _ = target.directory.remove_directory(&name);
            return Err(fail(error));
        }
        aside.keep_locked();
        drop(lock);
        let staging = Self { target, existing, suffixes: Vec::new(), aside, name };
        let started = staging.start_record();
        drop(writers);
        started.map_err(fail)?;
        Ok(staging)
    }

    /// Writes one of the files, that with this suffix.
    ///
    /// # Errors
    ///
    /// Whatever the system or `fill` says.
    pub fn write(&mut self, suffix: &str, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let fail = |e| Error::io(self.target.path(), "create", e);
        let step = writers();
        let mut file = self.aside.create(&self.target.name_of(suffix)).map_err(fail)?;
        drop(step);
        fill(&mut file)?;
        // Some file systems tell of a full disk no sooner.
        nix::unistd::close(file).map_err(|errno| fail(errno.into()))?;
        self.suffixes.push(suffix.to_owned());
        Ok(())
    }

    /// Puts the files in place, in the order they were written, after the other files of the old array have gone:
    /// its `.yaml` first, then its names.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); then none of the files is in place.
    pub fn place(self) -> Result<()> {
        let _lock = self.target.lock()?;
        let mut writers = writers();
        self.target.check(self.existing)?;
        self.record().map_err(|e| Error::io(self.target.path(), "create", e))?;
        self.put()?;
        writers.has_placed();
        writers.remove(&self.name);
        Ok(())
    }

    /// Puts the files there, or leaves none of them.
    fn put(&self) -> Result<()> {
        let (directory, aside) = (&self.target.directory, &self.aside);
        match self.existing {
            Existing::Replace => self.remove_old().and_then(|()| self.place_all()).inspect_err(|_| {
                leftover::withdraw(directory, aside);
            }),
            // There was nothing a moment ago; whatever has come since is not ours to remove.
            Existing::Refuse => self.place_all().inspect_err(|_| leftover::withdraw_new(directory, aside)),
        }
    }

    /// Removes what is not replaced: of the names too the new data must not stand beside the old ones.
    fn remove_old(&self) -> Result<()> {
        let goes_first = [YAML, ROW_NAMES, COLUMN_NAMES];
        let mut old = self.target.files()?;
        old.retain(|suffix| goes_first.contains(suffix) || !self.suffixes.iter().any(|new| new == suffix));
        self.target.remove(&old)
    }

    fn place_all(&self) -> Result<()> {
        let replace = self.existing == Existing::Replace;
        self.suffixes.iter().try_for_each(|suffix| {
            let renamed = self.aside.rename(&self.target.name_of(suffix), &self.target.directory, replace);
            renamed.map_err(|e| self.target.not_created(suffix, e))
        })
    }

    fn start_record(&self) -> io::Result<()> {
        let mut file = self.aside.create(leftover::VERSIONS.as_ref())?;
        file.write_all(leftover::heading(&self.aside)?.as_bytes())
    }

    /// Says which files belong to no array unless a `.yaml` is in place: the old ones and the new ones.
    fn record(&self) -> io::Result<()> {
        let old = self.target.files().map_err(io::Error::other)?;
        let old = old.into_iter().map(|suffix| (&self.target.directory, suffix));
        let new = self.suffixes.iter().map(|suffix| (&self.aside, suffix.as_str()));
        let version = |(directory, suffix)| leftover::version(directory, &self.target.name_of(suffix));
        let versions: Vec<_> = old.chain(new).map(version).collect::<io::Result<_>>()?;
        let text: String = versions.into_iter().flatten().collect();
        self.aside.append(leftover::VERSIONS.as_ref(), text.as_bytes())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        writers().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// An array that is written aside and was found to be in nobody's way.
    fn staged(path: &Path) -> Staging {
        let mut staging = Staging::new(path, Existing::Refuse).unwrap();
        for suffix in [".array", ".rows.txt", YAML] {
            let fill = |file: &mut File| file.write_all(b"new").map_err(|e| Error::io(suffix, "create", e));
            staging.write(suffix, fill).unwrap();
        }
        staging.target.check(Existing::Refuse).unwrap();
        staging.record().unwrap();
        staging
    }

    #[test]
    fn what_others_put_there_after_the_last_look_stays() {
        for suffix in [".array", ".rows.txt", YAML] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x");
            let staging = staged(&path);
            let others = dir.path().join(format!("x{suffix}"));
            fs::write(&others, "others'").unwrap();
            assert!(matches!(staging.put(), Err(Error::Exists { .. })), "{suffix}");
            drop(staging);
            let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert_eq!(names, std::slice::from_ref(&others), "{suffix}");
            assert_eq!(fs::read(others).unwrap(), b"others'", "{suffix}");
        }
    }

    #[test]
    fn where_nothing_is_in_the_way_all_is_put_there() {
        let dir = tempfile::tempdir().unwrap();
        let staging = staged(&dir.path().join("x"));
        staging.put().unwrap();
        drop(staging);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 3);
    }
}
