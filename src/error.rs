//! The error type of the library. Messages name the file, what was expected, and what was found.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The result type of the library.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on an array, a store or a virtual file failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{}: cannot {action}: {source}", shown(path))]
    Io {
        /// The file that was accessed.
        path: PathBuf,
        /// The attempted action, as a verb phrase.
        action: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// A file violates the format.
    #[error("{}: {what}: expected {expected}, found {found}", shown(path))]
    Invalid {
        /// The broken file.
        path: PathBuf,
        /// The broken key, field or property.
        what: &'static str,
        /// What the format requires.
        expected: String,
        /// What the file contains.
        found: String,
    },
    /// A file changed after it was first examined, so results based on it are invalid.
    #[error("{}: the file was changed or replaced under the reader", shown(path))]
    Stale {
        /// The file that changed.
        path: PathBuf,
    },
    /// A file became shorter than the array in it.
    #[error("{}: truncated: expected {expected} bytes, found {found}", shown(path))]
    Truncated {
        /// The file that became shorter.
        path: PathBuf,
        /// Expected size in bytes.
        expected: u64,
        /// Actual size in bytes.
        found: u64,
    },
    /// Computed content is shorter than its reported size, because a file was written after the size was
    /// reported.
    #[error(
        "{}: what is made of it is not as long as was told: expected {expected} bytes, found {found}",
        shown(path)
    )]
    Short {
        /// The file that the content is computed from.
        path: PathBuf,
        /// End of the bytes that should exist.
        expected: u64,
        /// End of the bytes that do exist.
        found: u64,
    },
    /// A symbolic link that must not be followed.
    #[error("{}: a symbolic link {why}", shown(path))]
    Link {
        /// The link.
        path: PathBuf,
        /// The reason, such as where it leads.
        why: &'static str,
    },
    /// No such file, array or selection in the store or in the tree.
    #[error("{}: no such file, array or selection", shown(path))]
    NotFound {
        /// The requested name.
        path: PathBuf,
    },
    /// An array exists where a new one was to be created.
    #[error("{} is there already ({found})", shown(path))]
    Exists {
        /// Path of the array without suffix.
        path: PathBuf,
        /// Its kind, dtype and shape, or the names of its files.
        found: String,
    },
    /// The work was not completed: nobody waits for it any more, or it would take longer than this thread
    /// may. Internal to the library; see the module `task`.
    #[error("left unfinished")]
    Unfinished,
    /// The request is invalid for this array.
    #[error("{}: {why}", shown(path))]
    Refused {
        /// The array or file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

impl Error {
    /// Wraps a system error for `path`.
    pub fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.into(), action, source }
    }

    /// A file that violates the format.
    pub fn invalid(
        path: impl Into<PathBuf>,
        what: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Invalid { path: path.into(), what, expected: expected.into(), found: found.into() }
    }

    /// No file, array or selection with this name.
    pub fn not_found(path: impl Into<PathBuf>) -> Self {
        Self::NotFound { path: path.into() }
    }

    /// An invalid request for this file.
    pub fn refused(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Refused { path: path.into(), why: why.into() }
    }

    /// Whether the error means that a file or name does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// A path as one line of text. Control characters are escaped, and bytes that are not UTF-8 appear as
/// `\xNN`. File names may contain anything, and must not forge lines of a log.
pub fn shown(path: impl AsRef<Path>) -> String {
    one_line(path.as_ref().as_os_str())
}

/// A file name as one line of text; see [`shown`].
pub fn one_line(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                // Some readers also break lines at U+2028 and U+2029.
                c if c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c) => {
                    text.extend(c.escape_default())
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_on_one_line() {
        assert_eq!(one_line(OsStr::from_bytes(b"a\nb\xFFc \xC3\xA9")), "a\\nb\\xFFc é");
    }
}
