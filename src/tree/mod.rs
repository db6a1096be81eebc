//! The file tree of a store, addressed by inode number and name. It is independent of FUSE, so that it can be
//! tested and used without a mount.

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

/// First of the fixed inode numbers. The root has the number after it, because FUSE reserves 1 for the root.
const BY_HAND: u64 = 0;
/// Inode number of `.arrayfs/`. Its files have the numbers after it.
const STATUS: u64 = 16;
/// Inode number of the directory in `.arrayfs/` that the links of a [linked](Tree::linked) tree point into.
const INNER: u64 = STATUS + 1 + Report::ALL.len() as u64;
/// Name of that directory. No listing shows it, because otherwise a walk of the tree would find everything
/// twice.
const INNER_NAME: &str = "tree";
/// Maximum number of links that resolving one path may follow, so that a loop of links ends.
const MOST_LINKS: u32 = 40;

/// The file tree of one store. A clone shows the same nodes under the same inode numbers.
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
    /// Whether the kernel is notified of changes as they happen. Only then may it cache attributes for long.
    are_changes_told: AtomicBool,
}

impl Tree {
    /// Opens the tree of the store in the directory `path`. Reads nothing below that directory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Invalid`] if `path` is not a readable directory.
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

    /// Restricts the tree to these array formats. Must be called before the first lookup.
    pub fn in_formats(self, formats: Formats) -> Self {
        Self { formats, ..self }
    }

    /// The same tree, except that `rows`, `cols` and `slices` of an array are links to their counterparts in
    /// another tree, which has to be mounted at [`inner`](Self::inner).
    pub fn linked(&self) -> Self {
        Self { is_linked: true, ..self.clone() }
    }

    /// Path in this tree where the other tree has to be mounted if this one is [linked](Self::linked).
    pub fn inner() -> PathBuf {
        Path::new(RESERVED).join(INNER_NAME)
    }

    /// The store that this tree shows.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// Records for `.arrayfs/mount.yaml` whether the mount uses a `feature` of the system. `why_not` is the
    /// reason if it does not.
    pub fn describe_mount(&self, feature: &'static str, why_not: Option<&str>) {
        self.shared.status.describe_mount(feature, why_not);
    }

    /// Looks up a child of a directory by name. The inode number stays known until it is
    /// [forgotten](Self::forget).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such child or it is broken. Any error from reading the bounds of a
    /// sparse matrix's rows. [`Error::Unfinished`] if the work takes too long for this thread, or if nobody
    /// waits for the result any more.
    pub fn lookup(&self, parent: Ino, name: &OsStr) -> Result<Attr> {
        self.find(parent, name, false)
    }

    fn find(&self, parent: Ino, name: &OsStr, is_listed: bool) -> Result<Attr> {
        let attr = self.find_child(parent, name, is_listed)?;
        // If the task was cut short, the result may be incomplete or wrong, so it must not be remembered.
        task::finished().inspect_err(|_| self.forget(attr.ino, 1))?;
        Ok(attr)
    }

    fn find_child(&self, parent: Ino, name: &OsStr, is_listed: bool) -> Result<Attr> {
        let place = self.place(parent)?;
        match &place.what {
            Content::Directory(_) if parent == Ino::ROOT && name == RESERVED => self.attr(Ino(STATUS)),
            Content::Directory(_) if parent == Ino::ROOT && self.store().is_shut() => Err(shut("look up")),
            Content::Directory(directory) => {
                // This makes system calls: one listing, and one lookup for each file of an array.
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
                    // The kernel may read it without opening it first. Open the files now, so that this
                    // version stays readable even if the files are replaced.
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
                // A slice of a slice refers directly to the whole array, so that rebuilding it needs no
                // intermediate slices.
                let whole = if folder.is_slice() { place.within } else { place.base };
                let array = selection.array();
                let recipe = || Recipe::Slice(selection.rows());
                let base = self.enter_place(&array.path, whole, key, count, recipe)?;
                Ok(Attr::folder(Ino(base), &array.stat()))
            }
        }
    }

    /// Looks up a file of `.arrayfs/`. Each text has its own inode number, so that a process that is still
    /// reading the previous text is not disturbed.
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
    /// [`Error::Stale`] if the number is unknown or no longer known. [`Error::Unfinished`] if the work takes
    /// too long for this thread, or if nobody waits for the result any more.
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

    /// The last reported attributes of a file that was written in place since. Its content can no longer be
    /// rendered, but a process that has it open may still ask for attributes. Reading the file fails.
    fn attr_as_told(&self, folder: &ArrayDirectory, ino: Ino) -> Option<Attr> {
        let size = self.shared.told.get(ino)?;
        let array = folder.selection.array();
        (!array.is_settled()).then(|| Attr::file(ino, size, &array.stat(), Ttl::No).of_now())
    }

    /// The attributes of the root. If the store is inaccessible to the mounting user, or gone, that user
    /// alone may still enter the root, in order to read in `.arrayfs` why.
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

    /// The attributes of a node in an array's directory for a lookup.
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
        // Register the node before its attributes are computed, so that a change in between is not missed.
        let is_kept = told.add(number);
        if !folder.selection.array().is_settled() {
            made.forget(node_id);
        }
        let attr = self.attr_in(folder, made, node_id, Ino(place.base + number))?;
        Ok(if is_kept { attr } else { Attr { ttl: attr.ttl.at_most_a_moment(), ..attr } })
    }

    /// The attributes of a node in an array's directory.
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
                    // Report the size of the rendering that reads will use until the next lookup. A fresh
                    // rendering could have another size, because the data are changing.
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
            // Only a rendering can differ in size later. The length of a byte range is fixed.
            if attr.kind == EntryKind::File && folder.byte_range(node_id).is_none() {
                self.shared.told.keep(ino, attr.size);
            }
        })
    }

    /// The target of a link, relative to the directory that contains it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the node is not a link.
    pub fn read_link(&self, ino: Ino) -> Result<PathBuf> {
        let place = self.place(ino)?;
        let Content::Folder { folder, first, .. } = &place.what else { return Err(Error::not_found("")) };
        let node_id = self.node_id(&place, folder, *first, ino)?;
        self.target(folder, node_id).ok_or_else(|| Error::not_found(&folder.selection.array().path))
    }

    /// The target of a node, or none if it is not a link.
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

    /// Like [`lookup`](Self::lookup), for a child in a listing. None if the lookup would take long, or if the
    /// child is gone.
    pub fn lookup_listed(&self, parent: Ino, name: &OsStr) -> Option<Attr> {
        match self.is_directory(parent) {
            // Each entry of a store directory has to be checked anyway. Listing such a directory takes that
            // long.
            true => self.find(parent, name, true).ok(),
            false => task::quick(|| self.find(parent, name, true))?.ok(),
        }
    }

    /// Whether the node is a directory of the store. Every request for one needs system calls.
    pub fn is_directory(&self, ino: Ino) -> bool {
        self.place(ino).is_ok_and(|place| matches!(place.what, Content::Directory(_)))
    }

    /// Drops `lookups` lookups of a node, as the kernel has forgotten them.
    pub fn forget(&self, ino: Ino, lookups: u64) {
        self.shared.places.forget(ino, lookups);
    }

    /// Resolves a path in the tree, following links inside the tree.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if nothing exists at this path. [`Error::Refused`] if the path leads out of the
    /// tree.
    pub fn resolve(&self, path: &Path) -> Result<Attr> {
        let not_found = || Error::not_found(path);
        // The directories from the root to the current one.
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

    /// Records the reasons, as far as known, why names of an array are not used.
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

    /// Records why reading an array failed. An array that does not exist, or was replaced, is not broken.
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

/// The error for a store that is inaccessible to the mounting user.
fn shut(action: &'static str) -> Error {
    Error::io(".", action, std::io::Error::from_raw_os_error(libc::EACCES))
}

fn report_key(report: Report, text: &Text) -> Key {
    Key::new(("report", report.name(), &*text.text))
}
