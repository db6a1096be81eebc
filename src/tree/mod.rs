//! What is where: the folder tree of a store, by inode number and name. It knows nothing of FUSE.

mod attr;
mod by_name;
mod directory;
mod folder;
mod leaf;
mod listing;
mod place;
mod read;
mod status;
mod told;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub use attr::{Attr, Ino, Lasting, NodeKind};
use directory::{Found, StoreDirectory};
use folder::{Child, Folder};
use leaf::{Leaf, Node};
pub use listing::Listing;
use place::{Key, Place, Places};
use read::Made;
pub use read::{Answer, File};
use status::{Report, Status};
use told::Told;

use crate::catalog::{Directory, RESERVED};
use crate::error::{Error, Result};
use crate::part::{Formats, Scope, Selection};
use crate::source::Source;
use crate::store::Store;

/// The number of `.arrayfs/`; its files follow.
const STATUS: u64 = 2;
/// The number of the directory in `.arrayfs/` that a [linked](Tree::linked) tree points into.
const INNER: u64 = STATUS + 1 + Report::ALL.len() as u64;
/// Its name. No listing shows it, or else a walk would find everything twice.
const INNER_NAME: &str = "tree";
/// The most links that the way to one node may lead over.
const MOST_LINKS: u32 = 40;

/// What a place's numbers belong to.
#[derive(Debug)]
enum Content {
    Directory(StoreDirectory),
    Plain {
        source: Arc<Source>,
        file: Arc<File>,
        path: PathBuf,
    },
    /// The nodes of a folder from its number `first` on.
    Folder {
        folder: Arc<Folder>,
        first: u64,
        made: Made,
    },
    Status,
}

/// The tree of one store. A clone shows the same nodes under the same numbers.
#[derive(Clone, Debug)]
pub struct Tree {
    shared: Arc<Shared>,
    formats: Formats,
    is_linked: bool,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    places: Places<Content>,
    status: Status,
    told: Told,
}

impl Tree {
    /// The tree of the store in the directory `path`. Only the directory itself is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Invalid`] when it is no directory that can be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let store = Arc::new(Store::open(path)?);
        let root = Content::Directory(StoreDirectory::new(Directory::root()));
        let places = Places::new([
            (Ino::ROOT.0, 1, Key::new("root"), root),
            (STATUS, INNER + 1 - STATUS, Key::new("status"), Content::Status),
        ]);
        let shared = Arc::new(Shared { store, places, status: Status::default(), told: Told::default() });
        Ok(Self { shared, formats: Formats::ALL, is_linked: false })
    }

    /// The same tree with arrays in these formats only; to be said before anything is looked up.
    pub fn in_formats(self, formats: Formats) -> Self {
        Self { formats, ..self }
    }

    /// The same tree, but in the folder of an array `rows`, `cols` and `slices` are links to where they
    /// are in another tree, which is to be mounted at [`inner`](Self::inner).
    pub fn linked(&self) -> Self {
        Self { is_linked: true, ..self.clone() }
    }

    /// Where in this tree another is to be mounted if this one is [linked](Self::linked).
    pub fn inner() -> PathBuf {
        Path::new(RESERVED).join(INNER_NAME)
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// Keeps what `.arrayfs/mount.yaml` says: how the tree is mounted.
    ///
    /// A `feature` of the system is in use, or why it is not.
    pub fn describe_mount(&self, feature: &'static str, why_not: Option<&str>) {
        self.shared.status.describe_mount(feature, why_not);
    }

    /// The child of a folder of this name. The number counts as known until it is
    /// [forgotten](Self::forget).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none or it is broken, and whatever reading the bounds of a
    /// sparse matrix's rows gives.
    pub fn lookup(&self, parent: Ino, name: &OsStr) -> Result<Attr> {
        let place = self.place(parent)?;
        match &place.what {
            Content::Directory(_) if parent == Ino::ROOT && name == RESERVED => self.attr(Ino(STATUS)),
            Content::Directory(directory) => match directory.find(self.store(), name)? {
                Some(found) => self.enter(&directory.directory.join(name), found),
                None => Err(Error::not_found(directory.directory.join(name))),
            },
            Content::Status if parent.0 == STATUS && self.is_linked && name == INNER_NAME => {
                self.attr(Ino(INNER))
            }
            Content::Status => {
                let report = Report::ALL.iter().position(|report| *report.name() == *name);
                let report = report.filter(|_| parent.0 == STATUS).ok_or_else(|| Error::not_found(name))?;
                self.attr(Ino(STATUS + 1 + report as u64))
            }
            Content::Folder { folder, first, .. } => {
                let found = self.lookup_in(&place, folder, *first, parent, name);
                self.note_names(folder);
                found.inspect_err(|error| self.note(folder, error))
            }
            Content::Plain { path, .. } => Err(Error::not_found(path.join(name))),
        }
    }

    fn lookup_in(
        &self,
        place: &Place<Content>,
        folder: &Arc<Folder>,
        first: u64,
        parent: Ino,
        name: &OsStr,
    ) -> Result<Attr> {
        let not_found = || Error::not_found(folder.selection.array().path.join(name));
        let leaf = folder.extent.decode(parent.0 - place.base + first).ok_or_else(not_found)?;
        match folder.child(leaf, name)?.ok_or_else(not_found)? {
            Child::Leaf(child) => {
                if matches!(child.node, Node::File(..) | Node::Member(..)) {
                    // It may be read without being opened: from here on this version can be.
                    folder.selection.array().open()?;
                }
                let ino = Ino(place.base + folder.extent.encode(child) - first);
                let attr = self.attr_in(folder, child, ino)?;
                place.remember();
                Ok(attr)
            }
            Child::Row(row) => {
                let (first, count) = folder.extent.scope(Scope::Row(row));
                let key = place.key.within((first, name));
                let content = || Content::Folder { folder: Arc::clone(folder), first, made: Made::default() };
                let ino = Ino(self.shared.places.enter(key, count, content).base);
                folder.attr(Leaf { of: Scope::Row(row), node: Node::Folder }, ino)
            }
            Child::Slice(selection) => {
                let slice = Arc::new(folder.slice(selection, name));
                let (count, shown) = (slice.extent.count(), Arc::clone(&slice));
                let content = || Content::Folder { folder: slice, first: 0, made: Made::default() };
                let ino = Ino(self.shared.places.enter(slice_key(place.key, name), count, content).base);
                shown.attr(Leaf { of: Scope::All, node: Node::Folder }, ino)
            }
        }
    }

    /// The place of something in a directory of the store.
    fn enter(&self, path: &Path, found: Found) -> Result<Attr> {
        let (key, count) = key_of(path, &found);
        let enter = |content: &mut dyn FnMut() -> Content| self.shared.places.enter(key, count, content).base;
        match found {
            Found::Directory(directory) => {
                let stat = directory.stat(self.store())?;
                let ino = Ino(enter(&mut || Content::Directory(StoreDirectory::new(directory.clone()))));
                Ok(Attr::directory(ino, &stat, Lasting::Moment))
            }
            Found::Plain(source) => {
                let source = Arc::new(source);
                let file = Arc::new(File::plain(&source, path)?);
                let ino = Ino(enter(&mut || Content::Plain {
                    source: Arc::clone(&source),
                    file: Arc::clone(&file),
                    path: path.to_owned(),
                }));
                Ok(Attr::file(ino, source.len(), source.stat(), Lasting::Moment))
            }
            Found::Array(array) => {
                let stat = array.stat();
                let folder = || Arc::new(Folder::whole(Arc::clone(&array), self.formats, path));
                let ino =
                    Ino(enter(&mut || Content::Folder { folder: folder(), first: 0, made: Made::default() }));
                Ok(Attr { lasting: Lasting::Moment, ..Attr::folder(ino, &stat) })
            }
        }
    }

    /// What `stat` tells of a node.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] for a number that is not known (any more).
    pub fn attr(&self, ino: Ino) -> Result<Attr> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Directory(directory) => {
                Ok(Attr::directory(ino, &directory.stat(self.store())?, Lasting::Moment))
            }
            Content::Plain { source, .. } => {
                Ok(Attr::file(ino, source.len(), source.stat(), Lasting::Moment))
            }
            Content::Folder { folder, first, .. } => {
                self.attr_in(folder, self.leaf(&place, folder, *first, ino)?, ino)
            }
            Content::Status => match report(ino) {
                None => Ok(Attr::directory(ino, &self.shared.status.stat(self.store())?, Lasting::Version)),
                Some(report) => {
                    let (text, stat) = self.shared.status.fresh(self.store(), report)?;
                    Ok(Attr::file(ino, text.len() as u64, &stat, Lasting::No))
                }
            },
        }
    }

    /// What `stat` tells of a node in the folder of an array.
    fn attr_in(&self, folder: &Folder, leaf: Leaf, ino: Ino) -> Result<Attr> {
        match self.target(folder, leaf) {
            Some(target) => Ok(Attr::link(ino, target.as_os_str().len(), &folder.selection.array().stat())),
            None => {
                let attr = folder.attr(leaf, ino)?;
                if attr.kind == NodeKind::File && folder.run(leaf).is_none() {
                    self.shared.told.keep(ino, attr.size);
                }
                Ok(attr)
            }
        }
    }

    /// Where a link leads, relative to the folder that it is in.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for a node that is no link.
    pub fn read_link(&self, ino: Ino) -> Result<PathBuf> {
        let place = self.place(ino)?;
        let Content::Folder { folder, first, .. } = &place.what else { return Err(Error::not_found("")) };
        let leaf = self.leaf(&place, folder, *first, ino)?;
        self.target(folder, leaf).ok_or_else(|| Error::not_found(&folder.path))
    }

    /// Where a node leads that is a link.
    fn target(&self, folder: &Folder, leaf: Leaf) -> Option<PathBuf> {
        if let Some(target) = folder.link_target(leaf) {
            return Some(target);
        }
        if !self.is_linked {
            return None;
        }
        let path = folder.path_of_parts(leaf)?;
        let up = folder.path.components().map(|_| "..").collect::<PathBuf>();
        Some(up.join(Self::inner()).join(path))
    }

    /// As [`lookup`](Self::lookup) of a child that is listed; none where that would take long, and for
    /// what is not there any more.
    pub fn lookup_listed(&self, parent: Ino, name: &OsStr) -> Option<Attr> {
        let place = self.place(parent).ok()?;
        if let Content::Folder { folder, first, .. } = &place.what {
            let leaf = self.leaf(&place, folder, *first, parent).ok()?;
            // Of a row or column all files are alike.
            let is_single = matches!(leaf.node, Node::Rows | Node::Columns | Node::Slices);
            if !is_single
                && let Some(Child::Leaf(child)) = folder.child(leaf, name).ok()?
                && folder.is_dear(child)
            {
                return None;
            }
        }
        self.lookup(parent, name).ok()
    }

    /// The directory of the store that a folder shows, opened; none for other nodes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it cannot be opened (any more).
    pub fn open_directory(&self, ino: Ino) -> Result<Option<std::fs::File>> {
        match &self.place(ino)?.what {
            Content::Directory(found) => self.store().open_directory(&found.directory.real).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the store shows another version by now of what the node is of, or none.
    pub fn is_outdated(&self, ino: Ino) -> bool {
        let Ok(place) = self.place(ino) else { return false };
        match &place.what {
            Content::Folder { folder, .. } => !folder.selection.array().is_current(),
            Content::Plain { source, .. } => !source.is_current(),
            Content::Directory(_) | Content::Status => false,
        }
    }

    /// Forgets what was known of a name in a directory of the store that has changed.
    pub fn forget_outdated(&self, directory: Ino, name: &OsStr) {
        if let Ok(place) = self.place(directory)
            && let Content::Directory(directory) = &place.what
        {
            directory.forget_outdated(name);
        }
    }

    /// The first number of what a node is of: all nodes of it have the same.
    pub fn origin(&self, ino: Ino) -> Ino {
        self.place(ino).map_or(ino, |place| Ino(place.base))
    }

    /// The kernel forgot that it looked up a node so many times.
    pub fn forget(&self, ino: Ino, lookups: u64) {
        self.shared.places.forget(ino, lookups);
    }

    /// The node of a path in the tree, links inside the tree followed, and what `stat` tells of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none.
    pub fn resolve(&self, path: &Path) -> Result<Attr> {
        let not_found = || Error::not_found(path);
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(not_found());
        }
        // The folders on the way, of which the last is where we are.
        let mut way = vec![self.attr(Ino::ROOT)?];
        let mut ahead: VecDeque<_> = path.components().map(|part| part.as_os_str().to_owned()).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            let here = *way.last().ok_or_else(not_found)?;
            match name.as_encoded_bytes() {
                b"." | b"/" => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ if here.kind != NodeKind::Folder => return Err(not_found()),
                _ => {}
            }
            let attr = self.lookup(here.ino, &name).map_err(|error| match error {
                Error::NotFound { .. } => not_found(),
                error => error,
            })?;
            if attr.kind == NodeKind::Link {
                links += 1;
                if links > MOST_LINKS {
                    return Err(not_found());
                }
                let target = self.read_link(attr.ino)?;
                target.components().rev().for_each(|part| ahead.push_front(part.as_os_str().to_owned()));
            } else {
                way.push(attr);
            }
        }
        way.pop().ok_or_else(not_found)
    }

    /// Keeps why names of an array are not used, as far as that has shown.
    fn note_names(&self, folder: &Folder) {
        let array = folder.selection.array();
        if let Some(reasons) = status::unused_names(array) {
            self.shared.status.note_names(&array.path, array.version(), reasons);
        }
    }

    fn place(&self, ino: Ino) -> Result<Arc<Place<Content>>> {
        self.shared.places.find(ino).ok_or_else(|| Error::Stale { path: format!("inode {}", ino.0).into() })
    }

    fn leaf(&self, place: &Place<Content>, folder: &Folder, first: u64, ino: Ino) -> Result<Leaf> {
        let leaf = folder.extent.decode(ino.0 - place.base + first);
        leaf.ok_or_else(|| Error::Stale { path: folder.selection.array().path.clone() })
    }

    /// Keeps why something could not be read; that it is not there, or not any more, is no fault.
    fn note(&self, folder: &Folder, error: &Error) {
        let array = folder.selection.array();
        self.note_at(&array.path, array.version(), error);
    }

    fn note_at(&self, path: &Path, version: u64, error: &Error) {
        if !matches!(error, Error::NotFound { .. } | Error::Stale { .. }) {
            self.shared.status.note(path, version, error);
        }
    }
}

fn slice_key(folder: Key, name: &OsStr) -> Key {
    folder.within(("slice", name))
}

/// The key of something in a directory of the store, and how many numbers it takes.
fn key_of(path: &Path, found: &Found) -> (Key, u64) {
    match found {
        Found::Directory(directory) => {
            (Key::new(("directory", path.as_os_str(), directory.real.as_os_str())), 1)
        }
        Found::Plain(file) => (Key::new(("file", path.as_os_str(), file.stat().identity)), 1),
        Found::Array(array) => {
            let count = Folder::extent_of(&Selection::whole(Arc::clone(array))).count();
            (Key::new(("array", path.as_os_str(), array.version())), count)
        }
    }
}

/// The report of a number, if it is not that of the folder.
fn report(ino: Ino) -> Option<Report> {
    Report::ALL.get(usize::try_from(ino.0.checked_sub(STATUS + 1)?).ok()?).copied()
}
