//! The writers of this process, so that it can be ended at any moment and leave nothing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::directory::Directory;

/// The writers that are at work. Whoever makes, places or removes a file holds this.
static WRITERS: Mutex<Writers> = Mutex::new(Writers { at_work: Vec::new(), has_placed: false });

/// What the writers of this process have aside.
pub(super) struct Writers {
    at_work: Vec<Aside>,
    /// Whether one has put its files in place.
    has_placed: bool,
}

/// A directory in which a writer has its files.
#[derive(Debug)]
struct Aside {
    parent: Directory,
    name: OsString,
    directory: Directory,
    files: Vec<OsString>,
}

/// The writers, for as long as it takes to make or move files.
pub(super) fn writers() -> MutexGuard<'static, Writers> {
    WRITERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writers {
    /// One more is at work, and may have these files in the directory `name` of `parent`.
    pub fn add(
        &mut self,
        parent: &Directory,
        name: &OsStr,
        directory: &Directory,
        files: Vec<OsString>,
    ) -> io::Result<()> {
        let [parent, directory] = [parent.again()?, directory.again()?];
        self.at_work.push(Aside { parent, name: name.to_owned(), directory, files });
        Ok(())
    }

    /// One has put its files in place.
    pub fn has_placed(&mut self) {
        self.has_placed = true;
    }

    /// Removes what one has left in its directory. What cannot be removed is left to the next writer.
    pub fn remove(&mut self, name: &OsStr) {
        if let Some(at) = self.at_work.iter().position(|aside| aside.name == name) {
            self.at_work.swap_remove(at).clear();
        }
    }
}

impl Aside {
    fn clear(&self) {
        for file in &self.files {
            let _ = self.directory.remove(file);
        }
        let _ = self.parent.remove_directory(&self.name);
    }
}

/// Removes what this process has written aside, before it ends. What is being put in place is first put in place;
/// all else never will be, for whoever wants to make, place or remove more waits for ever. False, and nothing of
/// this, if all is in place already.
pub fn abandon() -> bool {
    let writers = writers();
    if writers.at_work.is_empty() && writers.has_placed {
        return false;
    }
    writers.at_work.iter().for_each(Aside::clear);
    std::mem::forget(writers);
    true
}
