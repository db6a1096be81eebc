//! Where links lead, found out by hand.
//!
//! The system is given no path with a link in it. It would walk wherever links lead, and one may lead into
//! the mount of this very store: whoever walks there waits for this program, and this program would wait for
//! itself. So each name is looked at by itself, beneath the root and on its file system, and the text of a link
//! is put in its place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::directory::{FileKind, Store};
use crate::error::{Error, Result};

/// The most links that the way to one file may lead over, as for the kernel.
const MOST_LINKS: u32 = 40;

/// The way to a file or directory, links followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Way {
    /// Where it ends: a path in the store that is free of links.
    pub end: PathBuf,
    /// The directories that links led past, free of links: whoever goes this way has to be let through
    /// by all of them, and by those above the place where the way begins.
    pub passed: Vec<PathBuf>,
}

impl Store {
    /// The way from the link at `path`, in a directory that is free of links, to where it leads.
    ///
    /// A link that is absolute, or climbs above the store, leads back into it only by the path that the store
    /// has: no other is walked to find out.
    ///
    /// # Errors
    ///
    /// [`Error::Link`] when it leads nowhere, in a circle, or out of the store.
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

/// Where a walk has got to.
enum At {
    /// Something in the store, free of links.
    Store(PathBuf),
    /// A directory above the store, on the store's own path.
    Above(PathBuf),
}

struct Walk<'s> {
    store: &'s Store,
    /// Where it began.
    link: &'s Path,
    at: At,
    /// What is still to be walked, the next part last.
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

    /// Goes on in the store where its path was walked to the end.
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

    /// Puts what a link says in front of what is ahead.
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

    /// Keeps a directory that is searched, unless whoever came to the link has passed it.
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

/// The parts of a path that are walked one after the other, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    use std::path::Component;
    let is_walked = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_walked).map(|part| part.as_os_str().to_owned()).rev().collect()
}
