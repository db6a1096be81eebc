//! Listing: the children of a folder, in order and from any place on, without making them.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::directory::Found;
use super::folder::{Folder, Listed};
use super::leaf::Leaf;
use super::place::Key;
use super::status::Report;
use super::{Content, INNER, Ino, NodeKind, RESERVED, STATUS, Tree, key_of, slice_key};
use crate::error::{Error, Result};

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
    Folder {
        folder: Arc<Folder>,
        leaf: Leaf,
        listed: Listed,
        base: u64,
        first: u64,
        key: Key,
        is_linked: bool,
    },
}

impl Tree {
    /// The children of a folder as they are now.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when a directory of the store cannot be listed; for a format that is a folder whatever making
    /// it gives.
    pub fn list(&self, ino: Ino) -> Result<Listing> {
        let place = self.place(ino)?;
        match &place.what {
            Content::Directory(directory) => {
                let found = directory.list(self.store())?.into_iter();
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
            Content::Folder { folder, first, .. } => {
                let leaf = self.leaf(&place, folder, *first, ino)?;
                let listed = folder.listed(leaf).inspect_err(|error| self.note(folder, error))?;
                let (folder, base) = (Arc::clone(folder), place.base);
                let (first, key, is_linked) = (*first, place.key, self.is_linked);
                let children = Children::Folder { folder, leaf, listed, base, first, key, is_linked };
                Ok(Listing { is_lasting: true, children })
            }
            Content::Status if ino.0 == INNER => {
                Ok(Listing { is_lasting: false, children: Children::Known(Vec::new()) })
            }
            Content::Status => {
                let child =
                    |(number, report): (u64, &Report)| (report.name().into(), Ino(number), NodeKind::File);
                let children = (STATUS + 1..).zip(&Report::ALL).map(child).collect();
                Ok(Listing { is_lasting: false, children: Children::Known(children) })
            }
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
            Children::Folder { folder, leaf, listed, base, first: origin, key, is_linked } => {
                folder.list(*leaf, listed, first, &mut |i, name, kind, child| {
                    let name = OsStr::new(name);
                    let is_link =
                        *is_linked && child.is_some_and(|child| folder.path_of_parts(child).is_some());
                    let kind = if is_link { NodeKind::Link } else { kind };
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
    let count = selection.map_or(1, |selection| Folder::extent_of(&selection).count());
    slice_key(key, name).likely(count)
}
