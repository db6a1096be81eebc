//! The location of an array: an open directory, and the name of the array in it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::directory::{Directory, Lock};
use super::is_unfinished;
use crate::daf::metadata::{ARRAY, DATA, INDICES, INDPTR, Kind, MAX_YAML_BYTES, Metadata, YAML};
use crate::daf::metadata::{COLUMN_NAMES, ROW_NAMES};
use crate::error::{Error, Result};
use crate::store::{Stat, with_suffix};

/// The files of an array of either kind, without its names.
const PARTS: [&str; 5] = [YAML, ARRAY, DATA, INDICES, INDPTR];

/// All files of an array, in the order in which they are removed. The `.yaml` goes first, so that nobody
/// sees an incomplete array. The names go before the data: as long as old names exist, so does something of
/// the old array.
pub(super) const ALL: [&str; 7] = [YAML, ROW_NAMES, COLUMN_NAMES, ARRAY, DATA, INDICES, INDPTR];

/// What to do if an array exists already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Existing {
    /// Replace it.
    #[default]
    Replace,
    /// Keep it, and fail with [`Error::Exists`].
    Refuse,
}

#[derive(Debug)]
pub(crate) struct Target {
    /// Path of the array without suffix, as given by the caller.
    path: PathBuf,
    pub(super) directory: Directory,
    pub(super) name: OsString,
}

impl Target {
    /// Opens the directory of the array `path` (without suffix). `action` is used in errors.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for a path that no array can have, [`Error::Io`] if the directory cannot be
    /// opened.
    pub fn open(path: &Path, action: &'static str) -> Result<Self> {
        let (directory, name) = split(path)?;
        let directory = Directory::open(directory).map_err(|e| Error::io(path, action, e))?;
        Ok(Self { path: path.to_owned(), directory, name: name.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Excludes all other writers, if the file system has locks.
    pub fn lock(&self) -> Result<Lock<'_>> {
        self.directory.lock(&self.path)
    }

    /// The path of one of the files, for messages.
    pub fn path_of(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.path, suffix)
    }

    /// The name of one of the files.
    pub fn name_of(&self, suffix: &str) -> OsString {
        with_suffix(Path::new(&self.name), suffix).into_os_string()
    }

    pub fn look(&self, suffix: &str) -> Result<Option<Stat>> {
        let found = self.directory.look(&self.name_of(suffix));
        found.map_err(|e| Error::io(self.path_of(suffix), "look at", e))
    }

    /// Whether all files of this kind exist.
    pub fn has(&self, kind: Kind) -> Result<bool> {
        let files = [YAML].into_iter().chain(kind.suffixes().iter().copied());
        Ok(self.there(files)?.len() == 1 + kind.suffixes().len())
    }

    /// The existing files of an array, in the order of removal. Includes its names only if there is another
    /// file too.
    pub fn files(&self) -> Result<Vec<&'static str>> {
        match self.there(PARTS)?.is_empty() {
            true => Ok(Vec::new()),
            false => self.there(ALL),
        }
    }

    fn there<'s>(&self, suffixes: impl IntoIterator<Item = &'s str>) -> Result<Vec<&'s str>> {
        let found = suffixes.into_iter().map(|suffix| Ok((suffix, self.look(suffix)?.is_some())));
        let found: Vec<_> = found.collect::<Result<_>>()?;
        Ok(found.into_iter().filter_map(|(suffix, is_there)| is_there.then_some(suffix)).collect())
    }

    /// Removes these files, if they exist.
    pub fn remove(&self, suffixes: &[&str]) -> Result<()> {
        suffixes.iter().try_for_each(|suffix| {
            let removed = self.directory.remove(&self.name_of(suffix));
            removed.map_err(|e| Error::io(self.path_of(suffix), "remove", e))
        })
    }

    /// # Errors
    ///
    /// [`Error::Exists`] if there is an array that may not be replaced.
    pub fn check(&self, existing: Existing) -> Result<()> {
        if existing == Existing::Replace || self.files()?.is_empty() {
            return Ok(());
        }
        Err(self.exists())
    }

    /// The error that describes the existing array.
    pub fn exists(&self) -> Error {
        let files = || {
            let files = self.there(ALL).unwrap_or_default();
            let names = files.iter().map(|suffix| self.name_of(suffix).to_string_lossy().into_owned());
            names.collect::<Vec<_>>().join(", ")
        };
        let found = self.metadata().map_or_else(files, |metadata| metadata.to_string());
        Error::Exists { path: self.path.clone(), found }
    }

    fn metadata(&self) -> Option<Metadata> {
        let mut text = Vec::new();
        let file = self.directory.open_file(&self.name_of(YAML)).ok()?;
        file.take(MAX_YAML_BYTES + 1).read_to_end(&mut text).ok()?;
        Metadata::parse(&text).ok()
    }

    /// Converts a system error from moving a file into place.
    pub fn not_created(&self, suffix: &str, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::AlreadyExists => self.exists(),
            _ => Error::io(self.path_of(suffix), "create", error),
        }
    }
}

/// Splits a path into the directory and the name of an array. The commands and the mount show only such
/// names.
fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let start = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let [directory, name] = [&bytes[..start], &bytes[start..]].map(OsStr::from_bytes);
    let why = match name.as_bytes() {
        b"" | b"." | b".." => "the path of an array is wanted, with the array's name at its end",
        _ if is_unfinished(name) => "an array cannot have a name of what is not finished yet",
        _ => return Ok((Path::new(if start == 0 { OsStr::new(".") } else { directory }), name)),
    };
    Err(Error::refused(path, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_the_name_of_an_array() {
        for (path, directory, name) in [
            ("x", ".", "x"),
            ("/x", "/", "x"),
            ("s/x.y", "s/", "x.y"),
            ("../s//x", "../s//", "x"),
            ("s/.hidden", "s/", ".hidden"),
            ("s/...", "s/", "..."),
        ] {
            assert_eq!(split(Path::new(path)).unwrap(), (Path::new(directory), OsStr::new(name)), "{path}");
        }
        for path in ["", "/", "s/", "s//", ".", "..", "s/.", "s/..", "s/.arrayfs-unfinished-1"] {
            assert!(matches!(split(Path::new(path)), Err(Error::Refused { .. })), "{path}");
        }
    }
}
