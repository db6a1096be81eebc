//! Reading of files. The inode number alone determines the content, whether the file was opened or not.

use std::sync::Arc;

use super::array_directory::ArrayDirectory;
use super::content::Content;
use super::file::{File, RenderCache};
use super::node::NodeId;
use super::{Ino, RESERVED, Tree};
use crate::array::selection::Region;
use crate::bytes::virtual_file::VirtualFile;
use crate::error::{Error, Result};
use crate::store::mmap::Untouched;
use crate::store::source::Whence;
use crate::task;

/// The answer to a read.
pub enum Answer<'a> {
    /// These bytes of a memory map. Pass them to the kernel without touching them, as the file may have been
    /// truncated.
    Mapped(Untouched<'a>),
    /// Bytes that have to be assembled: see [`Tree::read_at`].
    Made {
        /// The file that contains them.
        file: Arc<File>,
        /// Number of bytes.
        length: usize,
        /// Whether they have to be computed, which may take long.
        is_slow: bool,
    },
}

impl Tree {
    /// Opens a file. From then on, its bytes are those of the version that was looked up.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the store has another version by now. The caller should look it up again.
    pub fn open_file(&self, ino: Ino) -> Result<Arc<File>> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Plain { source, path, .. } if !source.can_be_opened() => {
                return Err(Error::Stale { path: path.clone() });
            }
            // Check all files of the array, not only those that this file needs. Otherwise a reader could mix
            // files of two versions.
            Content::Folder { folder, .. } if !folder.selection.array().can_be_opened() => {
                return Err(Error::Stale { path: folder.selection.array().path.clone() });
            }
            Content::Folder { folder, first, .. }
                if folder.shows_names(self.node_id(&place, folder, *first, ino)?)
                    && !folder.selection.array().names.is_current() =>
            {
                return Err(Error::Stale { path: folder.selection.array().path.clone() });
            }
            _ => {}
        }
        let file = self.file(ino)?;
        file.content.open().inspect_err(|error| self.note_at(&file.subject, file.version, error))?;
        Ok(file)
    }

    /// The file with this number, of the version that was looked up.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the number is unknown or no longer known. [`Error::NotFound`] for a directory.
    pub fn file(&self, ino: Ino) -> Result<Arc<File>> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Directory(directory) => Err(Error::not_found(&directory.directory.path)),
            Content::Plain { file, .. } => Ok(Arc::clone(file)),
            Content::Folder { folder, first, made, .. } => {
                let node_id = self.node_id(&place, folder, *first, ino)?;
                let file = self.made(folder, made, node_id)?;
                let checked = self.check_told(folder, node_id, ino, file.len());
                checked.inspect_err(|error| self.note(folder, error))?;
                Ok(file)
            }
            Content::Status => Err(Error::not_found(RESERVED)),
            Content::Report(report) => {
                let content = VirtualFile::literal(report.text.as_bytes());
                Ok(Arc::new(File { content, subject: RESERVED.into(), version: 0 }))
            }
        }
    }

    /// A file in an array's directory, from the cache or rendered now.
    pub(super) fn made(
        &self,
        folder: &ArrayDirectory,
        made: &RenderCache,
        node_id: NodeId,
    ) -> Result<Arc<File>> {
        if let Some(file) = made.get(node_id) {
            return Ok(file);
        }
        // Anything computed before the data were overwritten is useless.
        let is_settled = folder.selection.array().is_settled();
        let file = if is_settled { self.make(folder, node_id) } else { self.make(&folder.anew(), node_id) };
        let file = Arc::new(file?);
        // If the task was cut short, the rendering may be incomplete. Do not cache it.
        task::finished()?;
        // Files of single rows and columns are fast to render. Caching them would only evict larger files.
        // While somebody writes, a rendering is cached nevertheless, so that its size does not change between
        // `stat` and read.
        if node_id.of == Region::Whole || !is_settled || folder.size_needs_data(node_id) {
            made.keep(node_id, &file);
        }
        Ok(file)
    }

    /// Rejects content whose size differs from the reported one. If the reported size is no longer known and
    /// depends on data, rejects files that were written since they were found.
    fn check_told(&self, folder: &ArrayDirectory, node_id: NodeId, ino: Ino, found: u64) -> Result<()> {
        let array = folder.selection.array();
        match self.shared.told.get(ino) {
            Some(expected) if expected != found => {
                Err(Error::Short { path: array.path.clone(), expected, found })
            }
            None if folder.is_sized_by_data(node_id) => {
                array.files().iter().try_for_each(|source| source.check_unchanged())
            }
            _ => Ok(()),
        }
    }

    fn make(&self, folder: &ArrayDirectory, node_id: NodeId) -> Result<File> {
        let content = folder.content(node_id).inspect_err(|error| self.note(folder, error))?;
        let array = folder.selection.array();
        let content = content.ok_or_else(|| Error::not_found(&array.path))?;
        Ok(File { content, subject: array.path.clone(), version: array.version() })
    }

    /// Finds `length` bytes of a file from `offset`, or fewer at its end, and passes them to `reply`. Bytes
    /// of a map are passed on without being touched or copied, and without allocation.
    pub fn read<T>(
        &self,
        ino: Ino,
        offset: u64,
        length: usize,
        reply: impl FnOnce(Result<Answer<'_>>) -> T,
    ) -> T {
        let place = match self.place(ino) {
            Ok(place) => place,
            Err(error) => return reply(Err(error)),
        };
        // Before reading, so that a change in between is not missed.
        self.will_tell(&place, ino);
        if let Content::Folder { folder, first, .. } = &place.what
            && let Ok(node_id) = self.node_id(&place, folder, *first, ino)
            && let Some(run) = folder.byte_range(node_id)
        {
            match run.mapped(offset, length) {
                Ok(Some(bytes)) => return reply(Ok(Answer::Mapped(bytes.untouched()))),
                Ok(None) => {}
                Err(error) => {
                    self.note(folder, &error);
                    return reply(Err(error));
                }
            }
        }
        let file = match self.file(ino) {
            Ok(file) => file,
            Err(error) => return reply(Err(error)),
        };
        let length = file.content.available(offset, length);
        match file.content.mapped(offset, length) {
            Ok(Some(bytes)) => reply(Ok(Answer::Mapped(bytes.untouched()))),
            Ok(None) => {
                let is_slow = file.content.is_generated(offset, length);
                reply(Ok(Answer::Made { file: Arc::clone(&file), length, is_slow }))
            }
            Err(error) => {
                self.note_at(&file.subject, file.version, &error);
                reply(Err(error))
            }
        }
    }

    /// The next offset at or after `offset` where data or a hole begins. None if there is no such offset.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file), and any error from accessing the files of the store.
    pub fn seek(&self, ino: Ino, offset: u64, whence: Whence) -> Result<Option<u64>> {
        let file = self.file(ino)?;
        let found = file.content.seek(offset, whence);
        found.inspect_err(|error| self.note_at(&file.subject, file.version, error))
    }

    /// Fills `buffer` with the file's bytes from `offset`, and returns their number. It is less than the
    /// length of `buffer` only at the end of the file.
    ///
    /// # Errors
    ///
    /// Any error from reading the files of the store, and from data that violate the rules of the format.
    pub fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let read = file.content.read_at(offset, buffer);
        read.inspect_err(|error| self.note_at(&file.subject, file.version, error))
    }
}
