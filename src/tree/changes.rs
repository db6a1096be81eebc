//! What in the tree is not as it was when the kernel was told of it.

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

    /// Says whether the kernel is told of changes in the store as they happen. As long as it is not, nothing of an
    /// array is taken for granted for longer than a moment. Returns what was said before.
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

    /// The first numbers of what has moved on to another generation since this was asked before.
    pub fn take_moved(&self) -> Vec<Ino> {
        let has_moved = |place: &&Arc<InodeRange<Content>>| match &place.what {
            Content::Folder { folder, told, .. } => told.moves_to(folder.selection.array().generation()),
            Content::Plain { source, told, .. } => told.moves_to(source.generation()),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        };
        self.shared.places.all_in_use().iter().filter(has_moved).map(|place| Ino(place.base)).collect()
    }

    /// The nodes of which the kernel is to keep no content, since this was asked before: what they are of is not in use
    /// any more, so that it is not heard of who writes in it.
    pub fn take_dropped(&self) -> Vec<Ino> {
        self.shared.places.take_dropped()
    }

    /// The nodes that the kernel may know of what has this first number, and perhaps others.
    pub fn known_nodes(&self, origin: Ino) -> Vec<Ino> {
        let place = self.shared.places.in_use(origin);
        let numbers = place.as_ref().map(|place| match &place.what {
            Content::Folder { told, .. } | Content::Plain { told, .. } => told.numbers(),
            Content::Directory(_) | Content::Status | Content::Report(_) => Vec::new(),
        });
        numbers.unwrap_or_default().into_iter().map(|number| Ino(origin.0 + number)).collect()
    }

    /// Where the files of an array are that are links: the directories that they are in, opened, and their names there.
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

    /// Opens a file of the store again that was closed for want of room, if it is in use: so that the system can be asked
    /// whether anybody is writing in it.
    pub fn open_again(&self, id: FileId) {
        let is_opened =
            |source: &Arc<Source>| source.id() == id && source.was_opened() && source.open().is_ok();
        let _ = self.shared.places.all_in_use().iter().any(|place| match &place.what {
            Content::Folder { folder, .. } => folder.selection.array().files().iter().any(is_opened),
            Content::Plain { source, .. } => is_opened(source),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        });
    }

    /// Whether something is held for a node of which the store shows another version by now, or none.
    pub fn is_outdated(&self, ino: Ino) -> bool {
        let Some(place) = self.shared.places.in_use(ino) else { return false };
        match &place.what {
            Content::Folder { folder, .. } => !folder.selection.array().is_current(),
            Content::Plain { source, .. } => !source.is_current(),
            Content::Directory(_) | Content::Status | Content::Report(_) => false,
        }
    }

    /// Forgets what was known of a name in a directory of the store that has changed.
    pub fn forget_outdated(&self, directory: Ino, name: &OsStr) {
        if let Some(directory) = self.directory(directory) {
            directory.forget_outdated(name);
        }
    }

    /// Forgets the arrays that are known on without being in use, as far as they are not there any more.
    pub fn forget_outdated_arrays(&self) {
        self.shared.recent.forget_outdated();
    }

    /// As [`forget_outdated`](Self::forget_outdated), of all names in all directories.
    pub fn forget_all_outdated(&self) {
        let directory = |recipe: &Recipe| match recipe {
            Recipe::Directory(directory) => Some(Arc::clone(directory)),
            _ => None,
        };
        let directories = self.shared.places.choose(directory);
        directories.iter().for_each(|directory| directory.forget_all_outdated());
    }

    /// The names that a change of the file `name` in a directory of the store may be about, besides its own and those of
    /// which it is the beginning.
    pub fn named_by(&self, directory: Ino, name: &OsStr) -> Vec<OsString> {
        self.directory(directory).map(|directory| directory.named_by(name)).unwrap_or_default()
    }

    /// The first number of what a node is of: all nodes of it have the same.
    pub fn origin(&self, ino: Ino) -> Ino {
        block_of(ino).map_or(ino, Ino)
    }

    /// The directory of the store that a folder shows; nothing is made anew for it.
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
