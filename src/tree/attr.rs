//! What `stat` tells of a node of the tree.

use crate::array::catalog::StoredArray;
use crate::store::source::Source;
use crate::store::{Rights, Stat, Time};

/// The number of a node in the tree.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the tree.
    pub const ROOT: Self = Self(1);
}

/// What nodes the tree has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// A symbolic link.
    Link,
}

/// How long a name or its attributes may be taken for granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lasting {
    /// Not at all: it changes by itself.
    No,
    /// For a moment: the store may change.
    Moment,
    /// As long as the folder that it is in: it belongs to one version of an array.
    Version,
}

/// What `stat` tells of a node.
#[derive(Clone, Copy, Debug)]
pub struct Attr {
    /// The node.
    pub ino: Ino,
    /// File or folder.
    pub kind: NodeKind,
    /// Exact size of a file in bytes, or of a link's target.
    pub size: u64,
    /// Blocks of 512 bytes that it takes on the disk.
    pub blocks: u64,
    /// Owner and mode, without the right to write.
    pub rights: Rights,
    /// Last access.
    pub accessed: Time,
    /// Last change of the content.
    pub modified: Time,
    /// Last change of content or rights.
    pub changed: Time,
    /// How long this holds.
    pub lasting: Lasting,
}

impl Lasting {
    /// The same, but no longer than a moment.
    pub fn at_most_a_moment(self) -> Self {
        if self == Self::No { self } else { Self::Moment }
    }
}

impl Attr {
    /// The same of something that is being written: it changed just now, and nothing of it may be taken for granted.
    pub fn of_now(self) -> Self {
        let now = Time::now();
        Self { modified: now, changed: now, lasting: Lasting::No, ..self }
    }

    /// A file of `size` bytes that is made of something with these facts.
    pub fn file(ino: Ino, size: u64, stat: &Stat, lasting: Lasting) -> Self {
        let Stat { identity, rights, accessed, .. } = stat;
        Self {
            ino,
            kind: NodeKind::File,
            size,
            blocks: u64::from(size > 0),
            rights: rights.read_only(),
            accessed: *accessed,
            modified: identity.modified,
            changed: identity.changed,
            lasting,
        }
    }

    /// A file of the store that belongs to no array.
    pub fn plain(ino: Ino, source: &Source) -> Self {
        let stat = source.stat();
        let attr = Self { blocks: stat.blocks, ..Self::file(ino, source.len(), stat, Lasting::Moment) };
        if source.is_settled() { attr } else { attr.of_now() }
    }

    /// The folder of an array.
    pub fn array(ino: Ino, array: &StoredArray) -> Self {
        let attr = Self { lasting: Lasting::Moment, ..Self::folder(ino, &array.stat()) };
        if array.is_settled() { attr } else { attr.of_now() }
    }

    /// A folder that stands for a directory with these facts.
    pub fn directory(ino: Ino, stat: &Stat, lasting: Lasting) -> Self {
        Self { kind: NodeKind::Folder, ..Self::file(ino, 0, stat, lasting) }
    }

    /// A folder that shows files with these facts: who may read them may enter.
    pub fn folder(ino: Ino, stat: &Stat) -> Self {
        let directory = Self::directory(ino, stat, Lasting::Version);
        Self { rights: directory.rights.as_folder(), ..directory }
    }

    /// A link in a folder that shows files with these facts, to a path of `length` bytes.
    pub fn link(ino: Ino, length: usize, stat: &Stat) -> Self {
        let rights = Rights { mode: 0o777, ..stat.rights };
        Self {
            kind: NodeKind::Link,
            size: length as u64,
            blocks: 0,
            rights,
            ..Self::directory(ino, stat, Lasting::Version)
        }
    }
}
