//! Directory listings: the children in order, from any position, without creating their nodes.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use super::array_directory::{ArrayDirectory, Listed};
use super::content::{Content, key_of, slice_key};
use super::directory::{Found, StoreDirectory};
use super::inode_numbers::Key;
use super::node::NodeId;
use super::status::Report;
use super::{EntryKind, INNER, Ino, RESERVED, STATUS, Tree, report_key, shut, trim};
use crate::array::catalog::DirListing;
use crate::error::{Error, Result};
use crate::task;
use crate::word::to_usize;

/// The inode number in a listing for a child that has none.
const UNKNOWN: Ino = Ino(0xFFFF_FFFF);

/// From this many names on, memory is returned to the system.
const MANY: usize = 10_000;

/// The children of a directory at the moment it was opened.
#[derive(Debug)]
pub struct Listing {
    /// Whether the listing is valid as long as the directory has its inode number.
    pub is_lasting: bool,
    children: Children,
}

#[derive(Debug)]
enum Children {
    Known(Vec<(OsString, Ino, EntryKind)>),
    /// Each child is examined when the listing reaches it.
    Directory {
        tree: Tree,
        directory: Arc<StoreDirectory>,
        names: ListedNames,
    },
    Folder {
        tree: Tree,
        folder: Arc<ArrayDirectory>,
        node_id: NodeId,
        listed: Listed,
        base: u64,
        first: u64,
        key: Key,
    },
}

/// The names in a directory. Many of them take much memory, so it is returned to the system when they are
/// dropped.
#[derive(Debug)]
struct ListedNames(Option<Arc<DirListing>>);

impl Drop for ListedNames {
    fn drop(&mut self) {
        if self.0.take().is_some_and(|names| names.len() >= MANY) {
            trim::give_back();
        }
    }
}

impl Tree {
    /// Lists the current children of a directory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a directory of the store cannot be listed. For a format that is a directory, any
    /// error from rendering it.
    pub fn list(&self, ino: Ino) -> Result<Listing> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Directory(_) if ino == Ino::ROOT && self.store().is_shut() => Err(shut("list")),
            Content::Directory(directory) => {
                // Listing makes system calls.
                task::begin_long()?;
                let names = ListedNames(Some(directory.list(self.store())?));
                let (tree, directory) = (self.clone(), Arc::clone(directory));
                let children = Children::Directory { tree, directory, names };
                Ok(Listing { is_lasting: false, children })
            }
            Content::Plain { path, .. } => Err(Error::not_found(path)),
            Content::Report(_) => Err(Error::not_found(RESERVED)),
            Content::Folder { folder, first, .. } => {
                let node_id = self.node_id(&place, folder, *first, ino)?;
                let listed = folder.listed(node_id).inspect_err(|error| self.note(folder, error))?;
                // The listing may be incomplete if a part of the work was left undone.
                task::finished()?;
                let (folder, base) = (Arc::clone(folder), place.base);
                let (tree, first, key) = (self.clone(), *first, place.key);
                let children = Children::Folder { tree, folder, node_id, listed, base, first, key };
                Ok(Listing { is_lasting: true, children })
            }
            Content::Status if ino.0 == INNER => {
                Ok(Listing { is_lasting: false, children: Children::Known(Vec::new()) })
            }
            Content::Status => {
                let child = |(number, report): (u64, &Report)| {
                    // The number of its last version. Before its first lookup it has a number of its own.
                    let last = self.shared.status.last(*report);
                    let known = |text| self.shared.places.number(report_key(*report, &text), 1);
                    let number = last.and_then(known).unwrap_or(Ino(number));
                    (report.name().into(), number, EntryKind::File)
                };
                let children = (STATUS + 1..).zip(&Report::ALL).map(child).collect();
                Ok(Listing { is_lasting: false, children: Children::Known(children) })
            }
        }
    }

    /// The inode number that an entry of a store's directory has or will have, and its type.
    fn listed(&self, path: &Path, found: &Found) -> (Ino, EntryKind) {
        let (key, count) = key_of(path, found);
        let kind = if matches!(found, Found::Plain(_)) { EntryKind::File } else { EntryKind::Directory };
        (self.shared.places.number(key, count).unwrap_or(UNKNOWN), kind)
    }

    /// The inode number that the directory of a slice has or will have.
    fn slice_ino(&self, folder: &ArrayDirectory, key: Key, name: &OsStr) -> Option<Ino> {
        let selection = folder.selection.slice(name.as_encoded_bytes())?;
        self.shared.places.number(slice_key(key, name), ArrayDirectory::extent_of(&selection).count())
    }
}

impl Listing {
    /// Calls `visit` with the children in order, starting at position `first`, until it returns false. The
    /// arguments are the position in the listing, the name, the inode number and the type.
    pub fn visit(&self, first: u64, visit: &mut dyn FnMut(u64, &OsStr, Ino, EntryKind) -> bool) {
        match &self.children {
            Children::Known(children) => {
                let skip = to_usize(first);
                for (i, (name, ino, kind)) in (0..).zip(children).skip(skip) {
                    if !visit(i, name, *ino, *kind) {
                        return;
                    }
                }
            }
            Children::Directory { tree, directory, names: ListedNames(names) } => {
                let Some(names) = names else { return };
                for (place, shown) in names.shown_from(first) {
                    let Some(found) = directory.look(tree.store(), names, &shown) else { continue };
                    let (ino, kind) = tree.listed(&directory.directory.join(&shown.name), &found);
                    if !visit(place, &shown.name, ino, kind) {
                        return;
                    }
                }
            }
            Children::Folder { tree, folder, node_id, listed, base, first: origin, key } => {
                folder.list(*node_id, listed, first, &mut |i, name, kind, child| {
                    let name = OsStr::new(name);
                    let is_link =
                        tree.is_linked && child.is_some_and(|child| folder.path_of_parts(child).is_some());
                    let kind = if is_link { EntryKind::Link } else { kind };
                    let ino = match child {
                        Some(child) => folder.extent.encode(child).map(|number| Ino(base + number - origin)),
                        None => tree.slice_ino(folder, *key, name),
                    };
                    visit(i, name, ino.unwrap_or(UNKNOWN), kind)
                });
            }
        }
    }
}
