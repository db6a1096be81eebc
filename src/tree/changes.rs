//! Detection of changes since the kernel last saw a node.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Tree;
use super::attr::Ino;
use super::content::{Content, Recipe};
use super::directory::StoreDirectory;
use super::inode_numbers::block_of;
use super::inode_table::{Found, InodeRange, Kept};
use crate::error::Result;
use crate::store::generation::FileId;
use crate::store::source::Source;

impl Tree {
    /// Opens the directory of the store that a node shows. None for other nodes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if it cannot be opened, or no longer exists.
    pub fn open_directory(&self, ino: Ino) -> Result<Option<std::fs::File>> {
        let found = self.directory(ino);
        found.map(|found| self.store().open_directory(&found.directory.real)).transpose()
    }

    /// Sets whether the kernel is notified of changes in the store as they happen. Until then, the attributes
    /// of arrays are cached only for a moment. Returns the previous setting.
    pub fn set_changes_told(&self, are_told: bool) -> bool {
        self.shared.are_changes_told.swap(are_told, Ordering::Relaxed)
    }

    /// Whether no writer of the files that a node shows was seen since they were found.
    pub fn is_settled(&self, ino: Ino) -> bool {
        match self.shared.places.find(ino) {
            Some(Found::InUse(place)) => match &place.what {
                Content::Folder { folder, .. } => folder.selection.array().is_settled(),
                Content::Plain { source, .. } => source.is_settled(),
                Content::Directory(_) | Content::Status | Content::Report(_) => true,
            },
            Some(Found::Kept(Kept { recipe: Recipe::Slice(_) | Recipe::Row(_), within, .. })) => {
                self.is_settled(Ino(within))
            }
            // None of its files was ever opened, so nothing is known of writers.
            Some(Found::Kept(_)) => true,
            None => false,
        }
    }

    /// The first numbers of the ranges whose generation has changed since the last call.
    pub fn take_moved(&self) -> Vec<Ino> {
        let has_moved = |place: &&Arc<InodeRange<Content>>| match &place.what {
            Content::Folder { folder, told, .. } => told.moves_to(folder.selection.array().generation()),
            Content::Plain { source, told, .. } => told.moves_to(source.generation()),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        };
        self.shared.places.all_in_use().iter().filter(has_moved).map(|place| Ino(place.base)).collect()
    }

    /// Takes the nodes to invalidate that were listed since the last call. Their content is no longer in use,
    /// so nobody would notice a writer.
    pub fn take_dropped(&self) -> Vec<Ino> {
        self.shared.places.take_dropped()
    }

    /// The nodes of the range at `origin` that the kernel may know, and possibly others.
    pub fn known_nodes(&self, origin: Ino) -> Vec<Ino> {
        let place = self.shared.places.in_use(origin);
        let numbers = place.as_ref().map(|place| match &place.what {
            Content::Folder { told, .. } | Content::Plain { told, .. } => told.numbers(),
            Content::Directory(_) | Content::Status | Content::Report(_) => Vec::new(),
        });
        numbers.unwrap_or_default().into_iter().map(|number| Ino(origin.0 + number)).collect()
    }

    /// The targets of those files of an array that are links: the open directory of each target, and its name
    /// there. Watching only the link itself would miss changes of the target.
    pub fn links_of(&self, array: Ino) -> Vec<(std::fs::File, OsString)> {
        // An array with links is put to use as soon as it is found.
        let Some(place) = self.shared.places.in_use(array) else { return Vec::new() };
        let Content::Folder { folder, .. } = &place.what else { return Vec::new() };
        let open = |target: &Path| {
            let directory = self.store().open_directory(target.parent()?).ok()?;
            Some((directory, target.file_name()?.to_owned()))
        };
        folder.selection.array().all_sources().filter_map(Source::link_target).filter_map(open).collect()
    }

    /// Reopens a file of the store that was closed to save descriptors, if it is in use. An open descriptor
    /// is needed to ask the system about writers.
    pub fn open_again(&self, id: FileId) {
        let is_opened =
            |source: &Arc<Source>| source.id() == id && source.was_opened() && source.open().is_ok();
        let _ = self.shared.places.all_in_use().iter().any(|place| match &place.what {
            Content::Folder { folder, .. } => folder.selection.array().files().iter().any(is_opened),
            Content::Plain { source, .. } => is_opened(source),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        });
    }

    /// Whether the content in use for a node is outdated: the store has another version by now, or none.
    pub fn is_outdated(&self, ino: Ino) -> bool {
        let Some(place) = self.shared.places.in_use(ino) else { return false };
        match &place.what {
            Content::Folder { folder, .. } => !folder.selection.array().is_current(),
            Content::Plain { source, .. } => !source.is_current(),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        }
    }

    /// Forgets the array of this name in a directory of the store, if it has changed.
    pub fn forget_outdated(&self, directory: Ino, name: &OsStr) {
        if let Some(directory) = self.directory(directory) {
            directory.forget_outdated(name);
        }
    }

    /// Forgets the recently found arrays that no longer exist or have changed.
    pub fn forget_outdated_arrays(&self) {
        self.shared.recent.forget_outdated();
    }

    /// Like [`forget_outdated`](Self::forget_outdated), for all names in all directories.
    pub fn forget_all_outdated(&self) {
        let directory = |recipe: &Recipe| match recipe {
            Recipe::Directory(directory) => Some(Arc::clone(directory)),
            _ => None,
        };
        let directories = self.shared.places.choose(directory);
        directories.iter().for_each(|directory| directory.forget_all_outdated());
    }

    /// Further names that a change of the file `name` in a directory of the store may affect. The caller
    /// already handles `name` itself and the names that it begins with.
    pub fn named_by(&self, directory: Ino, name: &OsStr) -> Vec<OsString> {
        self.directory(directory).map(|directory| directory.named_by(name)).unwrap_or_default()
    }

    /// The first number of the range that a node belongs to. It is the same for all nodes of the range.
    pub fn origin(&self, ino: Ino) -> Ino {
        block_of(ino).map_or(ino, Ino)
    }

    /// The directory of the store that a node shows. Never rebuilds content.
    fn directory(&self, ino: Ino) -> Option<Arc<StoreDirectory>> {
        match self.shared.places.find(ino)? {
            Found::InUse(place) => match &place.what {
                Content::Directory(directory) => Some(Arc::clone(directory)),
                _ => None,
            },
            Found::Kept(Kept { recipe: Recipe::Directory(directory), .. }) => Some(directory),
            Found::Kept(_) => None,
        }
    }
}
