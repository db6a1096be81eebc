//! Writes the files of an array so that they appear all together: first to a separate directory, from which
//! they are moved into place under a lock.
//!
//! ```text
//! .arrayfs-unfinished-XXXXXXXXXXXXXXXX/    belongs to one writer; locked (flock) while the writer lives
//!     .arrayfs-versions      which versions of the array's files are to be put in place, and which removed
//!     x.array                the data files, under their final names
//!     x.yaml                 moved last
//! ```
//!
//! Why not simply rename each file? An array has several files, and a writer may die between two renames.
//! The directory keeps enough to undo its work.
//!
//! Files are moved under a lock of the target directory, so writers take turns. A staging directory whose
//! lock is free belongs to a dead writer. The next writer removes it, and also its data files in the target
//! directory if no `.yaml` is in place.
//!
//! Other users may be able to write to the target directory too. So every directory is opened only once,
//! and its path is not resolved again. Content is trusted only if no other user can have created or changed
//! it.
//!
//! On a file system without locks, writers do not wait for each other, and nothing is cleaned up.

mod directory;
mod leftover;
mod target;
mod writers;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::daf::metadata::YAML;
use crate::daf::metadata::{COLUMN_NAMES, ROW_NAMES};
use crate::error::{Error, Result};
use directory::Directory;
use target::ALL;
pub use target::Existing;
pub(crate) use target::Target;
pub use writers::abandon;
use writers::writers;

/// Prefix of the names of staging directories.
pub const UNFINISHED: &str = ".arrayfs-unfinished-";

/// Whether this is the name of a staging directory.
pub fn is_unfinished(name: &OsStr) -> bool {
    name.as_bytes().starts_with(UNFINISHED.as_bytes())
}

/// An array that is being written.
#[derive(Debug)]
pub(crate) struct Staging {
    target: Target,
    existing: Existing,
    /// Suffixes of its files, in the order in which they are moved into place.
    suffixes: Vec<String>,
    /// The staging directory. It stays locked while it is open; without the lock, others may remove it.
    aside: Directory,
    /// The name of `aside`.
    name: OsString,
}

impl Staging {
    /// Starts to write the array `path` (without suffix). Also removes what dead writers left in its
    /// directory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] from the system. [`Error::Refused`] for a path that no array can have, or if others do
    /// not release the lock of the directory or interfere with the staging directory. [`Error::Exists`] if
    /// `existing` says so.
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

    /// Writes the file with this suffix to the staging directory.
    ///
    /// # Errors
    ///
    /// Errors from the system and from `fill`.
    pub fn write(&mut self, suffix: &str, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let fail = |e| Error::io(self.target.path(), "create", e);
        let step = writers();
        let mut file = self.aside.create(&self.target.name_of(suffix)).map_err(fail)?;
        // Creating the file needs the guard, but `fill` may take long.
        drop(step);
        fill(&mut file)?;
        // Some file systems report a full disk only on close.
        nix::unistd::close(file).map_err(|errno| fail(errno.into()))?;
        self.suffixes.push(suffix.to_owned());
        Ok(())
    }

    /// Moves the files into place, in the order in which they were written. Before that, removes the
    /// remaining files of the old array: first its `.yaml`, then its names.
    ///
    /// # Errors
    ///
    /// Like [`new`](Self::new). Then none of the files is in place.
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

    /// Moves all files into place, or none of them.
    fn put(&self) -> Result<()> {
        let (directory, aside) = (&self.target.directory, &self.aside);
        match self.existing {
            Existing::Replace => self.remove_old().and_then(|()| self.place_all()).inspect_err(|_| {
                leftover::withdraw(directory, aside);
            }),
            // There was no array when we checked. Anything that appeared since then is not ours to remove.
            Existing::Refuse => self.place_all().inspect_err(|_| leftover::withdraw_new(directory, aside)),
        }
    }

    /// Removes the old files that are not replaced by a rename. The `.yaml` and the names go in any case:
    /// they must never be next to data of the new array.
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

    /// Records the versions of all files, old and new, that belong to no array unless a `.yaml` is in
    /// place.
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

    /// An array in staging that replaces nothing.
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
