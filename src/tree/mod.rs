//! The directory tree of a store, by inode number and name. It is independent of FUSE.

mod array_directory;
mod attr;
mod by_name;
mod changes;
mod content;
mod directory;
mod file;
mod inode_numbers;
mod inode_table;
mod known_nodes;
mod listing;
mod node;
mod packed;
mod path;
mod read;
mod status;
mod told_sizes;
mod trim;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use array_directory::{ArrayDirectory, Child};
pub use attr::{Attr, EntryKind, Ino, Ttl};
use content::{Content, Recipe, slice_key};
use directory::{RecentArrays, StoreDirectory};
pub use file::File;
use file::RenderCache;
use inode_numbers::Key;
use inode_table::{InodeRange, InodeTable};
pub use listing::Listing;
use node::{NodeId, NodeKind};
pub use read::Answer;
use status::{Report, Status, Text};
use told_sizes::ToldSizes;

use crate::array::catalog::{Directory, RESERVED};
use crate::array::format_id::Formats;
use crate::array::selection::Region;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::task;

/// Where the numbers start that are given by hand: that of the root is the next.
const BY_HAND: u64 = 0;
/// The number of `.arrayfs/`; its files follow.
const STATUS: u64 = 16;
/// The number of the directory in `.arrayfs/` that a [linked](Tree::linked) tree points into.
const INNER: u64 = STATUS + 1 + Report::ALL.len() as u64;
/// Its name. No listing shows it, or else a walk would find everything twice.
const INNER_NAME: &str = "tree";
/// The most links that the way to one node may lead over.
const MOST_LINKS: u32 = 40;

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
    places: InodeTable<Content>,
    status: Status,
    recent: Arc<RecentArrays>,
    told: ToldSizes,
    /// Whether the kernel is notified of changes as they happen, so that it may cache for a long time.
    are_changes_told: AtomicBool,
}

impl Tree {
    /// The tree of the store in the directory `path`. Only the directory itself is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Invalid`] when it is no directory that can be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let store = Arc::new(Store::open(path)?);
        let recent = Arc::default();
        let root = Recipe::Directory(Arc::new(StoreDirectory::new(Directory::root(), &recent)));
        let places = InodeTable::new([
            (BY_HAND, Key::new("root"), root),
            (STATUS, Key::new("status"), Recipe::Status),
        ]);
        let (status, told, are_changes_told) = Default::default();
        let shared = Arc::new(Shared { store, places, status, recent, told, are_changes_told });
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
    /// sparse matrix's rows gives; [`Error::Unfinished`] on a thread that has not the time, or for nobody.
    pub fn lookup(&self, parent: Ino, name: &OsStr) -> Result<Attr> {
        self.find(parent, name, false)
    }

    fn find(&self, parent: Ino, name: &OsStr, is_listed: bool) -> Result<Attr> {
        let attr = self.find_child(parent, name, is_listed)?;
        // If some work was left undone, the result may be wrong.
        task::finished().inspect_err(|_| self.forget(attr.ino, 1))?;
        Ok(attr)
    }

    fn find_child(&self, parent: Ino, name: &OsStr, is_listed: bool) -> Result<Attr> {
        let place = self.place(parent)?;
        match &place.what {
            Content::Directory(_) if parent == Ino::ROOT && name == RESERVED => self.attr(Ino(STATUS)),
            Content::Directory(_) if parent == Ino::ROOT && self.store().is_shut() => Err(shut("look up")),
            Content::Directory(directory) => {
                // The system is asked for the names, and for each file of an array.
                task::begin_long()?;
                match directory.find(self.store(), name)? {
                    Some(found) => {
                        self.enter(&place, name, &directory.directory.join(name), found, is_listed)
                    }
                    None => Err(Error::not_found(directory.directory.join(name))),
                }
            }
            Content::Status if parent.0 == STATUS && self.is_linked && name == INNER_NAME => {
                self.attr(Ino(INNER))
            }
            Content::Status => {
                let report = Report::ALL.into_iter().find(|report| *report.name() == *name);
                let report = report.filter(|_| parent.0 == STATUS).ok_or_else(|| Error::not_found(name))?;
                self.enter_report(report)
            }
            Content::Report(_) => Err(Error::not_found(name)),
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
        place: &InodeRange<Content>,
        folder: &Arc<ArrayDirectory>,
        first: u64,
        parent: Ino,
        name: &OsStr,
    ) -> Result<Attr> {
        let not_found = || Error::not_found(folder.selection.array().path.join(name));
        let node_id = folder.extent.decode(parent.0 - place.base + first).ok_or_else(not_found)?;
        match folder.child(node_id, name)?.ok_or_else(not_found)? {
            Child::NodeId(child) => {
                if matches!(child.node, NodeKind::File(..) | NodeKind::Member(..)) {
                    // It may be read without being opened: from here on this version can be.
                    folder.selection.array().open()?;
                }
                let number = folder.extent.encode(child).ok_or_else(not_found)?;
                let attr = self.lookup_leaf(place, folder, child, number - first)?;
                self.shared.places.remember(attr.ino);
                Ok(attr)
            }
            Child::Row(row) => {
                let (first, count) = folder.extent.scope(Region::Row(row));
                let key = place.key.within((first, name));
                let node_id = NodeId { of: Region::Row(row), node: NodeKind::Directory };
                let number = folder.extent.encode(node_id).ok_or_else(not_found)?;
                let path = &folder.selection.array().path;
                let base = self.enter_place(path, place.base, key, count, || Recipe::Row(row))?;
                folder.attr(node_id, Ino(base + number - first))
            }
            Child::Slice(selection) => {
                let (key, count) =
                    (slice_key(place.key, name), ArrayDirectory::extent_of(&selection).count());
                let whole = if folder.is_slice() { place.within } else { place.base };
                let array = selection.array();
                let recipe = || Recipe::Slice(selection.rows());
                let base = self.enter_place(&array.path, whole, key, count, recipe)?;
                Ok(Attr::folder(Ino(base), &array.stat()))
            }
        }
    }

    /// A file of `.arrayfs/`: what it says now has a number of its own, so that who reads what it said before
    /// reads on.
    fn enter_report(&self, report: Report) -> Result<Attr> {
        let text = self.shared.status.report(self.store(), report)?;
        let recipe = || Recipe::Report(text.clone());
        let base = self.enter_place(Path::new(RESERVED), STATUS, report_key(report, &text), 1, recipe)?;
        self.attr(Ino(base))
    }

    /// The attributes of a node.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] for a number that is not known (any more); [`Error::Unfinished`] on a thread that has
    /// not the time, or for nobody.
    pub fn attr(&self, ino: Ino) -> Result<Attr> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Directory(_) if ino == Ino::ROOT => Ok(self.root_attr()),
            Content::Directory(directory) => {
                Ok(Attr::directory(ino, &directory.stat(self.store())?, Ttl::Moment))
            }
            Content::Plain { source, .. } => Ok(Attr::plain(ino, source)),
            Content::Folder { folder, first, made, .. } => {
                let node_id = self.node_id(&place, folder, *first, ino)?;
                self.will_tell(&place, ino);
                match self.attr_in(folder, made, node_id, ino) {
                    Err(Error::Stale { path }) => self.attr_as_told(folder, ino).ok_or(Error::Stale { path }),
                    attr => attr,
                }
            }
            Content::Status => Ok(Attr::directory(ino, &self.shared.status.stat(self.store()), Ttl::Version)),
            Content::Report(report) => {
                let stat = self.shared.status.stat_of(self.store(), report);
                Ok(Attr::file(ino, report.text.len() as u64, &stat, Ttl::No))
            }
        }
    }

    /// The attributes that the kernel last got for a file that cannot be rendered any more, because the array
    /// was written in place. Programs that have it open can still call `stat`, but reads fail.
    fn attr_as_told(&self, folder: &ArrayDirectory, ino: Ino) -> Option<Attr> {
        let size = self.shared.told.get(ino)?;
        let array = folder.selection.array();
        (!array.is_settled()).then(|| Attr::file(ino, size, &array.stat(), Ttl::No).of_now())
    }

    /// The attributes of the root. If the store is gone, or closed to the user of this process, then only
    /// that user may enter the root, to read about it in `.arrayfs`.
    fn root_attr(&self) -> Attr {
        let stat = match self.store().stat_root() {
            Ok(stat) if stat.permissions.let_us_in() => stat,
            _ => {
                let mut stat = self.shared.status.stat(self.store());
                stat.permissions.mode = 0o500;
                stat
            }
        };
        Attr::directory(Ino::ROOT, &stat, Ttl::Moment)
    }

    /// The attributes of a node in an array directory, for a lookup.
    fn lookup_leaf(
        &self,
        place: &InodeRange<Content>,
        folder: &ArrayDirectory,
        node_id: NodeId,
        number: u64,
    ) -> Result<Attr> {
        let Content::Folder { made, told, .. } = &place.what else {
            return Err(Error::not_found(&folder.selection.array().path));
        };
        // Record the node before reading its attributes, so that the kernel is notified of any later change.
        let is_kept = told.add(number);
        if !folder.selection.array().is_settled() {
            made.forget(node_id);
        }
        let attr = self.attr_in(folder, made, node_id, Ino(place.base + number))?;
        Ok(if is_kept { attr } else { Attr { ttl: attr.ttl.at_most_a_moment(), ..attr } })
    }

    /// The attributes of a node in an array directory.
    fn attr_in(
        &self,
        folder: &ArrayDirectory,
        made: &RenderCache,
        node_id: NodeId,
        ino: Ino,
    ) -> Result<Attr> {
        let array = folder.selection.array();
        let are_changes_told = self.shared.are_changes_told.load(Ordering::Relaxed);
        let is_settled = array.is_settled() && (are_changes_told || array.is_current());
        let attr = match self.target(folder, node_id) {
            Some(target) => Attr::link(ino, target.as_os_str().len(), &array.stat()),
            None if is_settled => folder.attr(node_id, ino)?,
            None => {
                let attr = folder.anew().attr(node_id, ino)?;
                let size = match attr.kind {
                    // As it will be read, until it is looked up again.
                    EntryKind::File => self.made(folder, made, node_id)?.len(),
                    EntryKind::Directory | EntryKind::Link => attr.size,
                };
                Attr { size, ..attr }
            }
        };
        Ok(match (is_settled, are_changes_told) {
            (true, true) => attr,
            (true, false) => Attr { ttl: attr.ttl.at_most_a_moment(), ..attr },
            (false, _) => attr.of_now(),
        })
        .inspect(|attr| {
            if attr.kind == EntryKind::File && folder.byte_range(node_id).is_none() {
                self.shared.told.keep(ino, attr.size);
            }
        })
    }

    /// Where a link leads, relative to the folder that it is in.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for a node that is no link.
    pub fn read_link(&self, ino: Ino) -> Result<PathBuf> {
        let place = self.place(ino)?;
        let Content::Folder { folder, first, .. } = &place.what else { return Err(Error::not_found("")) };
        let node_id = self.node_id(&place, folder, *first, ino)?;
        self.target(folder, node_id).ok_or_else(|| Error::not_found(&folder.selection.array().path))
    }

    /// Where a node leads that is a link.
    fn target(&self, folder: &ArrayDirectory, node_id: NodeId) -> Option<PathBuf> {
        if let Some(target) = folder.link_target(node_id) {
            return Some(target);
        }
        if !self.is_linked {
            return None;
        }
        let path = folder.path_of_parts(node_id)?;
        let up = path.parent()?.components().map(|_| "..").collect::<PathBuf>();
        Some(up.join(Self::inner()).join(path))
    }

    /// As [`lookup`](Self::lookup) of a child that is listed; none where that would take long, and for
    /// what is not there any more.
    pub fn lookup_listed(&self, parent: Ino, name: &OsStr) -> Option<Attr> {
        match self.is_directory(parent) {
            // All that is there has to be looked at: that is how long a listing of it takes.
            true => self.find(parent, name, true).ok(),
            false => task::quick(|| self.find(parent, name, true))?.ok(),
        }
    }

    /// Whether the node is a directory of the store: all that is asked of it is asked of the system.
    pub fn is_directory(&self, ino: Ino) -> bool {
        self.place(ino).is_ok_and(|place| matches!(place.what, Content::Directory(_)))
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
        // The folders on the way, of which the last is where we are.
        let mut way = vec![self.attr(Ino::ROOT)?];
        let mut ahead: VecDeque<_> = path.components().map(|part| part.as_os_str().to_owned()).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            let here = *way.last().ok_or_else(not_found)?;
            match name.as_encoded_bytes() {
                b"." | b"/" => continue,
                _ if here.kind != EntryKind::Directory => return Err(not_found()),
                b".." if way.len() == 1 => {
                    return Err(Error::refused(path, "a path in the tree cannot lead out of it"));
                }
                b".." => {
                    way.pop();
                    continue;
                }
                _ => {}
            }
            let attr = self.lookup(here.ino, &name).map_err(|error| match error {
                Error::NotFound { .. } => not_found(),
                error => error,
            })?;
            if attr.kind == EntryKind::Link {
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
    fn note_names(&self, folder: &ArrayDirectory) {
        let array = folder.selection.array();
        if let Some(reasons) = status::unused_names(array) {
            self.shared.status.note_names(&array.path, array.version(), reasons);
        }
    }

    fn node_id(
        &self,
        place: &InodeRange<Content>,
        folder: &ArrayDirectory,
        first: u64,
        ino: Ino,
    ) -> Result<NodeId> {
        let node_id = folder.extent.decode(ino.0 - place.base + first);
        node_id.ok_or_else(|| Error::Stale { path: folder.selection.array().path.clone() })
    }

    /// Records why an array could not be read. It is not an error if it does not exist, or no longer exists.
    fn note(&self, folder: &ArrayDirectory, error: &Error) {
        let array = folder.selection.array();
        self.note_at(&array.path, array.version(), error);
    }

    fn note_at(&self, path: &Path, version: u64, error: &Error) {
        if !matches!(error, Error::NotFound { .. } | Error::Stale { .. } | Error::Unfinished) {
            self.shared.status.note(path, version, error);
        }
    }
}

/// The store is closed to who mounts.
fn shut(action: &'static str) -> Error {
    Error::io(".", action, std::io::Error::from_raw_os_error(libc::EACCES))
}

fn report_key(report: Report, text: &Text) -> Key {
    Key::new(("report", report.name(), &*text.text))
}
