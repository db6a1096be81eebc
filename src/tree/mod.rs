//! What is where: the folder tree of a store, by inode number and name. It knows nothing of FUSE.

mod attr;
mod directory;
mod folder;
mod leaf;
mod place;
mod status;

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub use attr::{Attr, Ino, Lasting, NodeKind};
use directory::{Found, StoreDirectory};
use folder::{Child, Folder};
use leaf::{Leaf, Node};
use place::{Key, Place, Places};
use status::{Report, Status};

use crate::catalog::{Directory, RESERVED, StoredArray};
use crate::error::{Error, Result};
use crate::part::Scope;
use crate::source::Source;
use crate::store::Store;
use crate::vfile::VirtualFile;

/// The number of `.arrayfs/`; its files follow.
const STATUS: u64 = 2;

/// What a place's numbers belong to.
#[derive(Debug)]
enum Content {
    Directory(StoreDirectory),
    Plain {
        file: Arc<Source>,
        path: PathBuf,
    },
    /// The nodes of a folder from its number `first` on.
    Folder {
        folder: Arc<Folder>,
        first: u64,
    },
    Status,
}

/// The tree of one store.
#[derive(Debug)]
pub struct Tree {
    store: Arc<Store>,
    places: Places<Content>,
    status: Status,
}

/// A file that is open: its content is that of the moment of opening, whatever becomes of its name.
#[derive(Debug)]
pub struct OpenFile {
    content: VirtualFile,
    /// What to name when reading fails.
    subject: PathBuf,
    version: u64,
    /// Whether the size that `stat` told may differ from that of the content.
    pub is_live: bool,
}

impl OpenFile {
    /// Size in bytes.
    pub fn len(&self) -> u64 {
        self.content.len()
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Whether reading `length` bytes from `offset` on may take far longer than their number tells.
    pub fn is_slow(&self, offset: u64, length: usize) -> bool {
        self.content.is_slow(offset, length)
    }

    /// How many of `length` bytes from `offset` on the file has.
    pub fn available(&self, offset: u64, length: usize) -> usize {
        self.content.available(offset, length)
    }
}

/// The children of a folder, at the moment it was opened.
#[derive(Debug)]
pub struct Listing {
    /// Whether the listing stays true for as long as the folder has its number.
    pub is_lasting: bool,
    children: Children,
}

#[derive(Debug)]
enum Children {
    Known(Vec<(OsString, Ino, NodeKind)>),
    Folder { folder: Arc<Folder>, leaf: Leaf, base: u64, first: u64, key: Key },
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
        let status_count = 1 + Report::ALL.len() as u64;
        let places = Places::new([
            (Ino::ROOT.0, 1, Key::new("root"), root),
            (STATUS, status_count, Key::new("status"), Content::Status),
        ]);
        Ok(Self { store, places, status: Status::default() })
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
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
            Content::Directory(directory) => match directory.find(&self.store, name)? {
                Some(found) => self.enter(&directory.directory.join(name), found),
                None => Err(Error::not_found(directory.directory.join(name))),
            },
            Content::Status => {
                let report = Report::ALL.iter().position(|report| *report.name() == *name);
                let report = report.filter(|_| parent.0 == STATUS).ok_or_else(|| Error::not_found(name))?;
                self.attr(Ino(STATUS + 1 + report as u64))
            }
            Content::Folder { folder, first } => {
                let found = self.lookup_in(&place, folder, *first, parent, name);
                found.inspect_err(|error| self.note(&folder.selection.array().path, version(folder), error))
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
        match folder.child(leaf, name).ok_or_else(not_found)? {
            Child::Leaf(child) => {
                let ino = Ino(place.base + folder.extent.encode(child) - first);
                let attr = folder.attr(child, ino)?;
                self.places.remember(ino);
                Ok(attr)
            }
            Child::Row(row) => {
                let (first, count) = folder.extent.scope(Scope::Row(row));
                let key = place.key.within((first, name));
                let content = || Content::Folder { folder: Arc::clone(folder), first };
                let ino = Ino(self.places.enter(key, count, content).base);
                folder.attr(Leaf { of: Scope::Row(row), node: Node::Folder }, ino)
            }
            Child::Slice(selection) => {
                let slice = Arc::new(Folder::slice(selection));
                let (count, shown) = (slice.extent.count(), Arc::clone(&slice));
                let content = || Content::Folder { folder: slice, first: 0 };
                let ino = Ino(self.places.enter(slice_key(place.key, name), count, content).base);
                shown.attr(Leaf { of: Scope::All, node: Node::Folder }, ino)
            }
        }
    }

    /// The place of something in a directory of the store.
    fn enter(&self, path: &Path, found: Found) -> Result<Attr> {
        let (key, count) = key_of(path, &found);
        match found {
            Found::Directory(directory) => {
                let stat = directory.stat(&self.store)?;
                let content = || Content::Directory(StoreDirectory::new(directory));
                let ino = Ino(self.places.enter(key, count, content).base);
                Ok(Attr::directory(ino, &stat, Lasting::Moment))
            }
            Found::Plain(file) => {
                let file = Arc::new(file);
                let content = || Content::Plain { file: Arc::clone(&file), path: path.to_owned() };
                let ino = Ino(self.places.enter(key, count, content).base);
                Ok(Attr::file(ino, file.len(), file.stat(), Lasting::Moment))
            }
            Found::Array(array) => {
                let stat = array.stat();
                let content = || Content::Folder { folder: Arc::new(Folder::whole(array)), first: 0 };
                let ino = Ino(self.places.enter(key, count, content).base);
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
                Ok(Attr::directory(ino, &directory.stat(&self.store)?, Lasting::Moment))
            }
            Content::Plain { file, .. } => Ok(Attr::file(ino, file.len(), file.stat(), Lasting::Moment)),
            Content::Folder { folder, first } => folder.attr(self.leaf(&place, folder, *first, ino)?, ino),
            Content::Status => {
                let stat = self.status.stat(&self.store)?;
                match report(ino) {
                    None => Ok(Attr { lasting: Lasting::No, ..Attr::folder(ino, &stat) }),
                    Some(report) => {
                        let size = self.status.text(&self.store, report, true).len() as u64;
                        Ok(Attr::file(ino, size, &stat, Lasting::No))
                    }
                }
            }
        }
    }

    /// The kernel forgot that it looked up a node so many times.
    pub fn forget(&self, ino: Ino, lookups: u64) {
        self.places.forget(ino, lookups);
    }

    /// Opens a file: from here on its bytes are those of the version that was looked up.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] when the store holds another version by now: look it up again.
    pub fn open_file(&self, ino: Ino) -> Result<OpenFile> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Directory(directory) => Err(Error::not_found(&directory.directory.path)),
            Content::Plain { file, path } => {
                if !file.is_current() {
                    return Err(Error::Stale { path: path.clone() });
                }
                let slice =
                    crate::vfile::Extent::Slice { source: Arc::clone(file), offset: 0, length: file.len() };
                let content = VirtualFile::new([slice])?;
                content.open()?;
                Ok(OpenFile { content, subject: path.clone(), version: 0, is_live: false })
            }
            Content::Folder { folder, first } => {
                let leaf = self.leaf(&place, folder, *first, ino)?;
                let array = folder.selection.array();
                let opened = open_leaf(folder, leaf);
                let content = opened.inspect_err(|error| self.note(&array.path, version(folder), error))?;
                Ok(OpenFile {
                    content,
                    subject: array.path.clone(),
                    version: version(folder),
                    is_live: false,
                })
            }
            Content::Status => {
                let report = report(ino).ok_or_else(|| Error::not_found(RESERVED))?;
                let text = self.status.text(&self.store, report, false);
                let content = VirtualFile::literal(text.as_bytes());
                Ok(OpenFile { content, subject: RESERVED.into(), version: 0, is_live: true })
            }
        }
    }

    /// The bytes of a map that are the file's `length` bytes from `offset` on, to be passed to the
    /// kernel and not touched; none where they are not one run of a mapped file.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file behind has shrunk.
    pub fn mapped<'f>(&self, file: &'f OpenFile, offset: u64, length: usize) -> Result<Option<&'f [u8]>> {
        let mapped = file.content.mapped(offset, length);
        mapped.inspect_err(|error| self.note(&file.subject, file.version, error))
    }

    /// Fills `buffer` with the file's bytes from `offset` on, and returns how many there were: fewer
    /// than asked for only at its end.
    ///
    /// # Errors
    ///
    /// Whatever reading the store's files gives, and data that breaks the format's rules.
    pub fn read_at(&self, file: &OpenFile, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let read = file.content.read_at(offset, buffer);
        read.inspect_err(|error| self.note(&file.subject, file.version, error))
    }

    /// The children of a folder as they are now.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when a directory of the store cannot be listed.
    pub fn list(&self, ino: Ino) -> Result<Listing> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Directory(directory) => {
                let found = directory.list(&self.store)?.into_iter();
                let child = |(name, found): (OsString, Found)| {
                    let (key, count) = key_of(&directory.directory.join(&name), &found);
                    let kind =
                        if matches!(found, Found::Plain(_)) { NodeKind::File } else { NodeKind::Folder };
                    (name, key.likely(count), kind)
                };
                let mut children: Vec<_> = found.map(child).collect();
                if ino == Ino::ROOT {
                    children.insert(0, (RESERVED.into(), Ino(STATUS), NodeKind::Folder));
                }
                Ok(Listing { is_lasting: false, children: Children::Known(children) })
            }
            Content::Plain { path, .. } => Err(Error::not_found(path)),
            Content::Folder { folder, first } => {
                let leaf = self.leaf(&place, folder, *first, ino)?;
                let (folder, base) = (Arc::clone(folder), place.base);
                let children = Children::Folder { folder, leaf, base, first: *first, key: place.key };
                Ok(Listing { is_lasting: true, children })
            }
            Content::Status => {
                let child =
                    |(number, report): (u64, &Report)| (report.name().into(), Ino(number), NodeKind::File);
                let children = (STATUS + 1..).zip(&Report::ALL).map(child).collect();
                Ok(Listing { is_lasting: false, children: Children::Known(children) })
            }
        }
    }

    /// The node of a path in the tree, and what `stat` tells of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none.
    pub fn resolve(&self, path: &Path) -> Result<Attr> {
        let mut attr = self.attr(Ino::ROOT)?;
        for component in path.components() {
            match component {
                Component::Normal(name) if attr.kind == NodeKind::Folder => {
                    attr = self.lookup(attr.ino, name).map_err(|error| match error {
                        Error::NotFound { .. } => Error::not_found(path),
                        error => error,
                    })?;
                }
                Component::CurDir | Component::RootDir => {}
                _ => return Err(Error::not_found(path)),
            }
        }
        Ok(attr)
    }

    fn place(&self, ino: Ino) -> Result<Arc<Place<Content>>> {
        self.places.find(ino).ok_or_else(|| Error::Stale { path: format!("inode {}", ino.0).into() })
    }

    fn leaf(&self, place: &Place<Content>, folder: &Folder, first: u64, ino: Ino) -> Result<Leaf> {
        let leaf = folder.extent.decode(ino.0 - place.base + first);
        leaf.ok_or_else(|| Error::Stale { path: folder.selection.array().path.clone() })
    }

    /// Keeps why something could not be read; that it is not there, or not any more, is no fault.
    fn note(&self, path: &Path, version: u64, error: &Error) {
        if !matches!(error, Error::NotFound { .. } | Error::Stale { .. }) {
            self.status.note(path, version, error);
        }
    }
}

impl Listing {
    /// Calls `visit` with the children from the `first` on, in order, until it says no: their place in
    /// the listing, name, number and kind.
    pub fn visit(&self, first: u64, visit: &mut dyn FnMut(u64, &OsStr, Ino, NodeKind) -> bool) {
        match &self.children {
            Children::Known(children) => {
                let skip = usize::try_from(first).unwrap_or(usize::MAX);
                for (i, (name, ino, kind)) in (0..).zip(children).skip(skip) {
                    if !visit(i, name, *ino, *kind) {
                        return;
                    }
                }
            }
            Children::Folder { folder, leaf, base, first: origin, key } => {
                folder.list(*leaf, first, &mut |i, name, kind, child| {
                    let name = OsStr::new(name);
                    let ino = match child {
                        Some(child) => Ino(base + folder.extent.encode(child) - origin),
                        None => slice_ino(folder, *key, name),
                    };
                    visit(i, name, ino, kind)
                });
            }
        }
    }
}

/// The number that the folder of a slice will have.
fn slice_ino(folder: &Folder, key: Key, name: &OsStr) -> Ino {
    let selection = folder.selection.slice(name.as_encoded_bytes());
    let count = selection.map_or(1, |selection| Folder::slice(selection).extent.count());
    slice_key(key, name).likely(count)
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
            let folder = Folder::whole(Arc::clone(array));
            (Key::new(("array", path.as_os_str(), array.version())), folder.extent.count())
        }
    }
}

/// The report of a number, if it is not that of the folder.
fn report(ino: Ino) -> Option<Report> {
    Report::ALL.get(usize::try_from(ino.0.checked_sub(STATUS + 1)?).ok()?).copied()
}

fn open_leaf(folder: &Folder, leaf: Leaf) -> Result<VirtualFile> {
    let array = folder.selection.array();
    // A mix of two versions must not be: all files are looked at, not only those that will be read.
    if !array.is_current() {
        return Err(Error::Stale { path: array.path.clone() });
    }
    let content = folder.content(leaf)?.ok_or_else(|| Error::not_found(&array.path))?;
    content.open()?;
    Ok(content)
}

fn version(folder: &Folder) -> u64 {
    let array: &StoredArray = folder.selection.array();
    array.version()
}
