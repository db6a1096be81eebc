//! Reading: a file's content is found by its number alone, whether it was opened or not.

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

/// How a read is to be answered.
pub enum Answer<'a> {
    /// With these bytes of a map, to be passed to the kernel and not touched.
    Mapped(Untouched<'a>),
    /// With so many bytes that have to be put together: see [`Tree::read_at`].
    Made {
        /// The file they are of.
        file: Arc<File>,
        /// How many there are.
        length: usize,
        /// Whether they have to be computed, which may take its time.
        is_slow: bool,
    },
}

impl Tree {
    /// Opens a file: from here on its bytes are those of the version that was looked up.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when the store holds another version by now: look it up again.
    pub fn open_file(&self, ino: Ino) -> Result<Arc<File>> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Plain { source, path, .. } if !source.can_be_opened() => {
                return Err(Error::Stale { path: path.clone() });
            }
            // A mix of two versions must not be: all files are looked at, not only those that will be read.
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

    /// The file of this number, of the version that was looked up.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] for a number that is not known (any more), [`Error::NotFound`] for a folder.
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

    /// A file of a folder, as it was made before, or made now.
    pub(super) fn made(
        &self,
        folder: &ArrayDirectory,
        made: &RenderCache,
        node_id: NodeId,
    ) -> Result<Arc<File>> {
        if let Some(file) = made.get(node_id) {
            return Ok(file);
        }
        // While the array is written in place, cached intermediate results may be of overwritten data.
        let is_settled = folder.selection.array().is_settled();
        let file = if is_settled { self.make(folder, node_id) } else { self.make(&folder.anew(), node_id) };
        let file = Arc::new(file?);
        // It may have been made without what was left undone.
        task::finished()?;
        if node_id.of == Region::Whole || !is_settled || folder.size_needs_data(node_id) {
            made.keep(node_id, &file);
        }
        Ok(file)
    }

    /// Refuses content that is not as long as was told of it. Where that is not known any more and follows from data,
    /// files are refused that were written since they were found.
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

    /// Finds `length` bytes of a file from `offset` on, or as many as there are, and passes them to
    /// `reply`: those of a map without touching, copying or allocating anything.
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

    /// Where data begin in a file, or a hole, at `offset` or after it; none where there is no such place.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file), and what looking at the store's files gives.
    pub fn seek(&self, ino: Ino, offset: u64, whence: Whence) -> Result<Option<u64>> {
        let file = self.file(ino)?;
        let found = file.content.seek(offset, whence);
        found.inspect_err(|error| self.note_at(&file.subject, file.version, error))
    }

    /// Fills `buffer` with the file's bytes from `offset` on, and returns how many there were: fewer
    /// than asked for only at its end.
    ///
    /// # Errors
    ///
    /// Whatever reading the store's files gives, and data that breaks the format's rules.
    pub fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let read = file.content.read_at(offset, buffer);
        read.inspect_err(|error| self.note_at(&file.subject, file.version, error))
    }
}
