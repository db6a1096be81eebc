//! The one error of the library: it names the file, what was expected and what was found.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What every function of the library returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on an array, a store or a virtual file failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", shown(path))]
    Io {
        /// The file that was acted upon.
        path: PathBuf,
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what the format says it is.
    #[error("{}: {what}: expected {expected}, found {found}", shown(path))]
    Invalid {
        /// The file at fault.
        path: PathBuf,
        /// The key, field or property at fault.
        what: &'static str,
        /// What the format asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A file changed after it was first looked at; the old answer no longer holds.
    #[error("{}: the file was changed or replaced under the reader", shown(path))]
    Stale {
        /// The file that changed.
        path: PathBuf,
    },
    /// A file became shorter than the array it holds.
    #[error("{}: truncated: expected {expected} bytes, found {found}", shown(path))]
    Truncated {
        /// The file that shrank.
        path: PathBuf,
        /// Bytes that were promised.
        expected: u64,
        /// Bytes that are left.
        found: u64,
    },
    /// What is computed of a file has not the bytes that its size said: the file was written after that was told.
    #[error(
        "{}: what is made of it is not as long as was told: expected {expected} bytes, found {found}",
        shown(path)
    )]
    Short {
        /// The file that the content comes of.
        path: PathBuf,
        /// Bytes that there were to be.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// A symbolic link that the store must not follow.
    #[error("{}: a symbolic link {why}", shown(path))]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        why: &'static str,
    },
    /// Nothing of that name in the store or in the tree.
    #[error("{}: no such file, array or selection", shown(path))]
    NotFound {
        /// The name that was asked for.
        path: PathBuf,
    },
    /// An array where there should be none.
    #[error("{} is there already ({found})", shown(path))]
    Exists {
        /// Path of the array, without a suffix.
        path: PathBuf,
        /// Its kind, type and shape, or the names of its files.
        found: String,
    },
    /// It was not done: whoever it is for waits no longer, or it takes longer than the thread may take.
    #[error("left unfinished")]
    Unfinished,
    /// The caller asked for something that this array cannot give.
    #[error("{}: {why}", shown(path))]
    Refused {
        /// The array or file in question.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl Error {
    /// Wraps what the system said about `path`.
    pub fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.into(), action, source }
    }

    /// A file whose content or kind is not what the format says.
    pub fn invalid(
        path: impl Into<PathBuf>,
        what: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Invalid { path: path.into(), what, expected: expected.into(), found: found.into() }
    }

    /// Nothing of that name.
    pub fn not_found(path: impl Into<PathBuf>) -> Self {
        Self::NotFound { path: path.into() }
    }

    /// A request that makes no sense for this file.
    pub fn refused(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Refused { path: path.into(), why: why.into() }
    }

    /// Whether the file or name simply is not there.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// A path on one line of text: control characters are escaped, bytes that are no UTF-8 read `\xNN`.
pub fn shown(path: impl AsRef<Path>) -> String {
    one_line(path.as_ref().as_os_str())
}

/// A file name on one line of text, as [`shown`].
pub fn one_line(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                // Line and paragraph separators break lines too, for some readers.
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
