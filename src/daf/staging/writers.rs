//! All writers of this process, so that it can exit at any moment and leave nothing behind.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::directory::Directory;

/// The active writers. Must be locked while creating, moving or removing files.
static WRITERS: Mutex<Writers> = Mutex::new(Writers { at_work: Vec::new(), has_placed: false });

/// The staging directories of this process.
pub(super) struct Writers {
    at_work: Vec<Aside>,
    /// Whether any writer has moved its files into place.
    has_placed: bool,
}

/// The staging directory of one writer.
#[derive(Debug)]
struct Aside {
    parent: Directory,
    name: OsString,
    directory: Directory,
    files: Vec<OsString>,
}

/// Locks the list of writers. Hold this only while creating or moving files.
pub(super) fn writers() -> MutexGuard<'static, Writers> {
    WRITERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writers {
    /// Registers a writer whose staging directory `name` in `parent` may contain these files.
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

    /// Records that a writer has moved its files into place.
    pub fn has_placed(&mut self) {
        self.has_placed = true;
    }

    /// Removes the staging directory of a writer. Anything that cannot be removed is left to the next
    /// writer.
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

/// Removes the staging directories of this process; call this right before it exits. Waits for a writer
/// that is moving files into place. All other writers are stopped: they block forever when they next
/// create, move or remove files. Returns `false`, and does nothing, if all files are already in place.
pub fn abandon() -> bool {
    let writers = writers();
    if writers.at_work.is_empty() && writers.has_placed {
        return false;
    }
    writers.at_work.iter().for_each(Aside::clear);
    // Never unlock, so that no writer can continue.
    std::mem::forget(writers);
    true
}
