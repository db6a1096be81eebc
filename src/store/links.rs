//! Resolves symbolic links without the kernel.
//!
//! The kernel never gets a path with a link in it. It would follow links anywhere, even into the mount of
//! this very store. Such a lookup waits for this process, which would then wait for itself. Therefore each
//! name is looked up separately, beneath the root and on its file system, and the target of a link replaces
//! it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::directory::{FileKind, Store};
use crate::error::{Error, Result};

/// Limit on the links on the way to one file, the same as that of the kernel.
const MOST_LINKS: u32 = 40;

/// The way to a file or directory after following links.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Way {
    /// Its end: a path in the store without links.
    pub end: PathBuf,
    /// The directories that links passed through, without links. A reader needs search permission for all of
    /// them, and for those above the start.
    pub passed: Vec<PathBuf>,
}

impl Store {
    /// Resolves the link at `path`. Its directory must have a path without links.
    ///
    /// A link that is absolute, or climbs above the store, can lead back into it only by the store's own
    /// path. Other paths are not examined, because that would mean leaving the store.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] if it is dangling, circular, or leads out of the store.
    pub fn resolve(&self, path: &Path) -> Result<Way> {
        let mut walk = Walk {
            store: self,
            link: path,
            at: At::Store(PathBuf::new()),
            ahead: parts(path),
            links: 0,
            passed: Vec::new(),
        };
        while let Some(part) = walk.ahead.pop() {
            walk.step(&part)?;
        }
        match walk.at {
            At::Store(end) => Ok(Way { end, passed: walk.passed }),
            At::Above(_) => Err(walk.error("that leads out of the store")),
        }
    }
}

/// The current position of a walk.
enum At {
    /// A path in the store, without links.
    Store(PathBuf),
    /// A directory above the store, on the store's own path.
    Above(PathBuf),
}

struct Walk<'s> {
    store: &'s Store,
    /// The link where it began.
    link: &'s Path,
    at: At,
    /// The remaining components of the path, the next one last.
    ahead: Vec<OsString>,
    links: u32,
    passed: Vec<PathBuf>,
}

impl Walk<'_> {
    fn step(&mut self, part: &OsStr) -> Result<()> {
        let is_up = part == "..";
        match &mut self.at {
            At::Store(here) if is_up && here.as_os_str().is_empty() => {
                self.at = At::Above(self.store.path().parent().unwrap_or(self.store.path()).to_owned());
                self.come_down()
            }
            At::Store(here) => {
                let here = here.clone();
                self.pass(&here);
                if is_up {
                    self.at = At::Store(here.parent().unwrap_or(Path::new("")).to_owned());
                    return Ok(());
                }
                self.enter(here.join(part))
            }
            At::Above(above) => {
                if is_up {
                    above.pop();
                } else {
                    above.push(part);
                }
                self.come_down()
            }
        }
    }

    /// Returns into the store if its whole path has been walked.
    fn come_down(&mut self) -> Result<()> {
        let At::Above(above) = &self.at else { return Ok(()) };
        if !self.store.path().starts_with(above) {
            return Err(self.error("that leads out of the store"));
        }
        if *above == self.store.path() {
            self.at = At::Store(PathBuf::new());
        }
        Ok(())
    }

    fn enter(&mut self, next: PathBuf) -> Result<()> {
        let (found, stat) = self.store.look_at(&next).map_err(|error| self.explain(error))?;
        match stat.kind {
            FileKind::Link => self.follow(&found),
            FileKind::Directory => {
                self.at = At::Store(next);
                Ok(())
            }
            _ if !self.ahead.is_empty() => Err(self.error("that leads nowhere")),
            _ => {
                self.at = At::Store(next);
                Ok(())
            }
        }
    }

    /// Puts the target of a link in front of the remaining components.
    fn follow(&mut self, link: &File) -> Result<()> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(self.error("in a circle"));
        }
        let text = rustix::fs::readlinkat(link, "", Vec::new())
            .map_err(|error| Error::io(self.link, "follow the link", error.into()))?;
        let text = PathBuf::from(OsString::from_vec(text.into_bytes()));
        if let Ok(inside) = text.strip_prefix(&self.store.given) {
            self.at = At::Store(PathBuf::new());
            self.ahead.extend(parts(inside));
            return Ok(());
        }
        self.ahead.extend(parts(&text));
        if text.is_absolute() {
            self.at = At::Above(PathBuf::from("/"));
            return self.come_down();
        }
        Ok(())
    }

    /// Records a directory that is searched, unless the path to the link already passes it.
    fn pass(&mut self, directory: &Path) {
        if !self.link.starts_with(directory) && !self.passed.iter().any(|passed| passed == directory) {
            self.passed.push(directory.to_owned());
        }
    }

    fn error(&self, why: &'static str) -> Error {
        Error::Link { path: self.link.to_owned(), why }
    }

    fn explain(&self, error: Error) -> Error {
        match error {
            Error::Io { source, .. } if is_absent(&source) => self.error("that leads nowhere"),
            Error::Io { source, .. } => Error::io(self.link, "follow the link", source),
            Error::Refused { .. } => self.error("that leads to another file system"),
            other => other,
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The components of a path, in reverse order.
fn parts(path: &Path) -> Vec<OsString> {
    use std::path::Component;
    let is_walked = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_walked).map(|part| part.as_os_str().to_owned()).rev().collect()
}
