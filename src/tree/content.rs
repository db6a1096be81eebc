//! The content of an inode range, and the recipe to recreate it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Tree;
use super::array_directory::ArrayDirectory;
use super::attr::{Attr, Ino, Ttl};
use super::directory::{Found as FoundName, StoreDirectory};
use super::file::{File, RenderCache};
use super::inode_numbers::Key;
use super::inode_table::{Found, InodeRange, Kept, Renewable};
use super::known_nodes::KnownNodes;
use super::packed::{Packable, pack_number, unpack_number};
use super::status::Text;
use crate::array::selection::{Region, Selection};
use crate::error::{Error, Result};
use crate::rows::Rows;
use crate::store::source::Source;

/// The content of an inode range.
#[derive(Debug)]
pub(super) enum Content {
    Directory(Arc<StoreDirectory>),
    Plain {
        source: Arc<Source>,
        file: Arc<File>,
        path: PathBuf,
        told: KnownNodes,
    },
    /// The nodes of an array directory, from its node number `first` on.
    Folder {
        folder: Arc<ArrayDirectory>,
        first: u64,
        made: RenderCache,
        told: KnownNodes,
    },
    Status,
    /// A file of `.arrayfs/`, as it was when it was looked up.
    Report(Text),
}

/// The recipe to recreate a [`Content`].
#[derive(Clone, Debug)]
pub(super) enum Recipe {
    Directory(Arc<StoreDirectory>),
    /// The file or array of this name in the directory that the place is within.
    Named(Box<OsStr>),
    /// These rows of the array that the place is within, however many slices led there.
    Slice(Rows),
    /// This row of the folder that the place is within, under another name.
    Row(u64),
    Status,
    Report(Text),
}

impl Renewable for Content {
    type Recipe = Recipe;

    /// A file that was opened and then replaced cannot be recreated, so it stays for its readers.
    fn can_be_made_anew(&self) -> bool {
        match self {
            Self::Directory(_) | Self::Status | Self::Report(_) => true,
            Self::Plain { source, .. } => !source.was_opened() || source.is_current(),
            Self::Folder { folder, .. } => {
                let array = folder.selection.array();
                !array.was_opened() || array.is_current() && array.names.is_current()
            }
        }
    }

    fn read_nodes(&self) -> Option<Vec<u64>> {
        match self {
            Self::Plain { source, told, .. } if source.was_read() => told.few(),
            Self::Folder { folder, told, .. } if folder.selection.array().was_read() => told.few(),
            _ => Some(Vec::new()),
        }
    }
}

impl Packable for Recipe {
    fn pack(&self, bytes: &mut Vec<u8>) -> bool {
        match self {
            Self::Named(name) => {
                bytes.push(0);
                bytes.extend_from_slice(name.as_bytes());
            }
            Self::Slice(rows) => {
                bytes.push(1);
                for number in [rows.start(), rows.step(), rows.count()] {
                    pack_number(number, bytes);
                }
            }
            Self::Row(row) => {
                bytes.push(2);
                pack_number(*row, bytes);
            }
            Self::Directory(_) | Self::Status | Self::Report(_) => return false,
        }
        true
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        let mut number = || unpack_number(&mut rest);
        Some(match kind {
            0 => Self::Named(OsStr::from_bytes(rest).into()),
            1 => Self::Slice(Rows::of_parts(number()?, number()?, number()?)),
            2 => Self::Row(number()?),
            _ => return None,
        })
    }
}

impl Content {
    /// The nodes of an array directory, from its node number `first` on.
    fn folder(folder: Arc<ArrayDirectory>, first: u64) -> Self {
        let told = KnownNodes::new(folder.selection.array().found_generation());
        Self::Folder { folder, first, made: RenderCache::default(), told }
    }

    fn plain(source: Source, path: &Path) -> Result<Self> {
        let source = Arc::new(source);
        let file = Arc::new(File::plain(&source, path)?);
        let told = KnownNodes::of_one(source.stat().identity.generation);
        Ok(Self::Plain { source, file, path: path.to_owned(), told })
    }
}

impl Tree {
    /// The inode range that a number belongs to. It is recreated if it is not in use.
    pub(super) fn place(&self, ino: Ino) -> Result<Arc<InodeRange<Content>>> {
        let stale = || Error::Stale { path: format!("inode {}", ino.0).into() };
        match self.shared.places.find(ino).ok_or_else(stale)? {
            Found::InUse(place) => Ok(place),
            Found::Kept(kept) => {
                let content = self.make_anew(&kept)?;
                self.use_place(kept.base, kept.key, content).ok_or_else(stale)
            }
        }
    }

    /// Puts an inode range to use, and notifies the kernel of the nodes that were dropped to make room.
    fn use_place(&self, base: u64, key: Key, content: Content) -> Option<Arc<InodeRange<Content>>> {
        let place = self.shared.places.put_to_use(base, key, content);
        self.tell_of_dropped();
        place
    }

    /// Wakes the thread that makes the kernel drop the content of dropped nodes.
    fn tell_of_dropped(&self) {
        let places = &self.shared.places;
        if places.has_dropped() && !self.store().generations().wake_listener() {
            // No thread sends notifications, so the list would only grow.
            places.take_dropped();
        }
    }

    /// Records that the kernel knows this node, so that it is notified when the node changes.
    pub(super) fn will_tell(&self, place: &InodeRange<Content>, ino: Ino) {
        if let Content::Folder { told, .. } = &place.what
            && !told.add(ino.0 - place.base)
        {
            // There is no room to record it, so the kernel must not cache its content.
            self.shared.places.drop_content([ino]);
            self.tell_of_dropped();
        }
    }

    fn make_anew(&self, kept: &Kept<Recipe>) -> Result<Content> {
        match &kept.recipe {
            Recipe::Status => Ok(Content::Status),
            Recipe::Report(text) => Ok(Content::Report(text.clone())),
            Recipe::Directory(directory) => Ok(Content::Directory(Arc::clone(directory))),
            Recipe::Named(name) => self.make_named(kept, name),
            Recipe::Slice(rows) => {
                let array = self.folder(kept.within)?;
                let slice = ArrayDirectory::slice(array.selection.of_rows(*rows));
                Ok(Content::folder(Arc::new(slice), 0))
            }
            Recipe::Row(row) => {
                let folder = self.folder(kept.within)?;
                let (first, _) = folder.extent.scope(Region::Row(*row));
                Ok(Content::folder(folder, first))
            }
        }
    }

    /// What stands in the directory under this name, if it is what it was, or was written in place since.
    fn make_named(&self, kept: &Kept<Recipe>, name: &OsStr) -> Result<Content> {
        let outer = self.place(Ino(kept.within))?;
        let Content::Directory(directory) = &outer.what else { return Err(Error::not_found(name)) };
        let path = directory.directory.join(name);
        match directory.find(self.store(), name)? {
            Some(found) if key_of(&path, &found).0.is_of_files_of(kept.key) => match found {
                FoundName::Plain(source) => Content::plain(source, &path),
                FoundName::Array(array) => {
                    let folder = Arc::new(ArrayDirectory::whole(array, self.formats, &path));
                    Ok(Content::folder(folder, 0))
                }
                FoundName::Directory(_) => Err(Error::Stale { path }),
            },
            _ => Err(Error::Stale { path }),
        }
    }

    /// The whole folder that a place is of.
    fn folder(&self, base: u64) -> Result<Arc<ArrayDirectory>> {
        match &self.place(Ino(base))?.what {
            Content::Folder { folder, .. } => Ok(Arc::clone(folder)),
            _ => Err(Error::Stale { path: format!("inode {base}").into() }),
        }
    }

    /// Counts a lookup of what was found in a directory of the store.
    pub(super) fn enter(
        &self,
        directory: &InodeRange<Content>,
        name: &OsStr,
        path: &Path,
        found: FoundName,
        is_listed: bool,
    ) -> Result<Attr> {
        let (key, count) = key_of(path, &found);
        let named = || Recipe::Named(name.into());
        match found {
            FoundName::Directory(found) => {
                let stat = found.stat(self.store())?;
                let recipe = || Recipe::Directory(Arc::new(StoreDirectory::new(found, &self.shared.recent)));
                let base = self.enter_place(path, directory.base, key, count, recipe)?;
                Ok(Attr::directory(Ino(base), &stat, Ttl::Moment))
            }
            FoundName::Plain(source) => {
                let base = self.enter_place(path, directory.base, key, count, named)?;
                let attr = Attr::plain(Ino(base), &source);
                if !is_listed {
                    self.put_to_use(base, key, || Content::plain(source, path));
                }
                Ok(attr)
            }
            FoundName::Array(array) => {
                let base = self.enter_place(path, directory.base, key, count, named)?;
                let attr = Attr::array(Ino(base), &array);
                if !is_listed || array.has_links() {
                    let folder = || Arc::new(ArrayDirectory::whole(array, self.formats, path));
                    self.put_to_use(base, key, || Ok(Content::folder(folder(), 0)));
                }
                Ok(attr)
            }
        }
    }

    /// The first number of a place, which counts as looked up once more.
    pub(super) fn enter_place(
        &self,
        path: &Path,
        within: u64,
        key: Key,
        count: u64,
        recipe: impl FnOnce() -> Recipe,
    ) -> Result<u64> {
        let base = self.shared.places.enter(within, key, count, recipe);
        base.ok_or_else(|| Error::refused(path, "no inode numbers are left for it"))
    }

    /// Puts a place to use for which all is at hand: when it is replaced before it is first used, it is the
    /// version that was looked up all the same.
    fn put_to_use(&self, base: u64, key: Key, content: impl FnOnce() -> Result<Content>) {
        if self.shared.places.in_use(Ino(base)).is_none()
            && let Ok(content) = content()
        {
            self.use_place(base, key, content);
        }
    }
}

/// The key of something in a directory of the store, and how many numbers it takes.
pub(super) fn key_of(path: &Path, found: &FoundName) -> (Key, u64) {
    match found {
        FoundName::Directory(directory) => {
            (Key::new(("directory", path.as_os_str(), directory.real.as_os_str(), &directory.behind)), 1)
        }
        FoundName::Plain(file) => {
            let facts = ("file", path.as_os_str());
            (Key::of_version((facts, file.version()), (facts, file.ttl())), 1)
        }
        FoundName::Array(array) => {
            let count = ArrayDirectory::extent_of(&Selection::whole(Arc::clone(array))).count();
            let facts = ("array", path.as_os_str());
            (Key::of_version((facts, array.version()), (facts, array.ttl())), count)
        }
    }
}

/// The key of a slice of a folder, by its name there.
pub(super) fn slice_key(folder: Key, name: &OsStr) -> Key {
    folder.within(("slice", name))
}
