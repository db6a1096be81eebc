//! The parts of the tree that have changed since the kernel learned of them.

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
    /// The directory of the store that a folder shows, opened; none for other nodes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when it cannot be opened (any more).
    pub fn open_directory(&self, ino: Ino) -> Result<Option<std::fs::File>> {
        let found = self.directory(ino);
        found.map(|found| self.store().open_directory(&found.directory.real)).transpose()
    }

    /// Sets whether the kernel is notified of changes in the store as they happen. If not, it may cache
    /// everything of an array only for a moment. Returns the previous setting.
    pub fn set_changes_told(&self, are_told: bool) -> bool {
        self.shared.are_changes_told.swap(are_told, Ordering::Relaxed)
    }

    /// Whether nobody was seen who writes in what a node shows since that was found.
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
            // Nothing of it was ever opened.
            Some(Found::Kept(_)) => true,
            None => false,
        }
    }

    /// The first inode number of each array or file whose generation advanced since the last call.
    pub fn take_moved(&self) -> Vec<Ino> {
        let has_moved = |place: &&Arc<InodeRange<Content>>| match &place.what {
            Content::Folder { folder, told, .. } => told.moves_to(folder.selection.array().generation()),
            Content::Plain { source, told, .. } => told.moves_to(source.generation()),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        };
        self.shared.places.all_in_use().iter().filter(has_moved).map(|place| Ino(place.base)).collect()
    }

    /// The nodes, since the last call, whose content the kernel must drop. Their array or file is not in use
    /// any more, and then its writers are not noticed.
    pub fn take_dropped(&self) -> Vec<Ino> {
        self.shared.places.take_dropped()
    }

    /// The nodes that the kernel may know of the array or file with this first number. There may be too many
    /// among them, but none is missing.
    pub fn known_nodes(&self, origin: Ino) -> Vec<Ino> {
        let place = self.shared.places.in_use(origin);
        let numbers = place.as_ref().map(|place| match &place.what {
            Content::Folder { told, .. } | Content::Plain { told, .. } => told.numbers(),
            Content::Directory(_) | Content::Status | Content::Report(_) => Vec::new(),
        });
        numbers.unwrap_or_default().into_iter().map(|number| Ino(origin.0 + number)).collect()
    }

    /// The targets of the links among an array's files: the directory of each, opened, and the name in it.
    pub fn links_of(&self, array: Ino) -> Vec<(std::fs::File, OsString)> {
        // An array with links is in use from the first on.
        let Some(place) = self.shared.places.in_use(array) else { return Vec::new() };
        let Content::Folder { folder, .. } = &place.what else { return Vec::new() };
        let open = |target: &Path| {
            let directory = self.store().open_directory(target.parent()?).ok()?;
            Some((directory, target.file_name()?.to_owned()))
        };
        folder.selection.array().all_sources().filter_map(Source::link_target).filter_map(open).collect()
    }

    /// Opens a file of the store again if it is in use, but was closed to save descriptors. The check for
    /// writers needs an open file.
    pub fn open_again(&self, id: FileId) {
        let is_opened =
            |source: &Arc<Source>| source.id() == id && source.was_opened() && source.open().is_ok();
        let _ = self.shared.places.all_in_use().iter().any(|place| match &place.what {
            Content::Folder { folder, .. } => folder.selection.array().files().iter().any(is_opened),
            Content::Plain { source, .. } => is_opened(source),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        });
    }

    /// Whether a node is in use although the store has another version of it now, or none.
    pub fn is_outdated(&self, ino: Ino) -> bool {
        let Some(place) = self.shared.places.in_use(ino) else { return false };
        match &place.what {
            Content::Folder { folder, .. } => !folder.selection.array().is_current(),
            Content::Plain { source, .. } => !source.is_current(),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        }
    }

    /// Removes a changed name from the cache of a directory of the store.
    pub fn forget_outdated(&self, directory: Ino, name: &OsStr) {
        if let Some(directory) = self.directory(directory) {
            directory.forget_outdated(name);
        }
    }

    /// Removes arrays that are cached without being in use, if the store does not have that version any more.
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

    /// Further names that a change of the file `name` in a directory of the store may affect, apart from its
    /// own and its parts before a dot.
    pub fn named_by(&self, directory: Ino, name: &OsStr) -> Vec<OsString> {
        self.directory(directory).map(|directory| directory.named_by(name)).unwrap_or_default()
    }

    /// The first number of the array or file of a node. All of its nodes have the same.
    pub fn origin(&self, ino: Ino) -> Ino {
        block_of(ino).map_or(ino, Ino)
    }

    /// The store directory of this node. It is not recreated for this.
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
