//! The attributes of a node of the tree, as `stat` reports them.

use crate::array::catalog::StoredArray;
use crate::store::source::Source;
use crate::store::{Rights, Stat, Time};

/// The inode number of a node in the tree.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the tree.
    pub const ROOT: Self = Self(1);
}

/// The type of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// A symbolic link.
    Link,
}

/// How long a name or its attributes may be cached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lasting {
    /// Not at all: it changes without notice.
    No,
    /// For a moment: the store may change.
    Moment,
    /// As long as its parent directory: it belongs to one version of an array.
    Version,
}

/// The attributes of a node.
#[derive(Clone, Copy, Debug)]
pub struct Attr {
    /// The node.
    pub ino: Ino,
    /// The type of the node.
    pub kind: NodeKind,
    /// Exact size in bytes of a file or of a link's target.
    pub size: u64,
    /// Disk usage in blocks of 512 bytes.
    pub blocks: u64,
    /// Owner and mode, without permission to write.
    pub rights: Rights,
    /// Last access.
    pub accessed: Time,
    /// Last change of the content.
    pub modified: Time,
    /// Last change of content or permissions.
    pub changed: Time,
    /// How long the attributes may be cached.
    pub lasting: Lasting,
}

impl Lasting {
    /// The same, but at most a moment.
    pub fn at_most_a_moment(self) -> Self {
        if self == Self::No { self } else { Self::Moment }
    }
}

impl Attr {
    /// The attributes while the file is being written: modified just now, and not to be cached.
    pub fn of_now(self) -> Self {
        let now = Time::now();
        Self { modified: now, changed: now, lasting: Lasting::No, ..self }
    }

    /// A file of `size` bytes that is derived from a file with these attributes.
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

    /// A file of the store that is not part of an array.
    pub fn plain(ino: Ino, source: &Source) -> Self {
        let stat = source.stat();
        let attr = Self { blocks: stat.blocks, ..Self::file(ino, source.len(), stat, Lasting::Moment) };
        if source.is_settled() { attr } else { attr.of_now() }
    }

    /// The directory of an array.
    pub fn array(ino: Ino, array: &StoredArray) -> Self {
        let attr = Self { lasting: Lasting::Moment, ..Self::folder(ino, &array.stat()) };
        if array.is_settled() { attr } else { attr.of_now() }
    }

    /// A directory that represents one of the store, which has these attributes.
    pub fn directory(ino: Ino, stat: &Stat, lasting: Lasting) -> Self {
        Self { kind: NodeKind::Folder, ..Self::file(ino, 0, stat, lasting) }
    }

    /// A directory that shows files with these attributes. Whoever may read them may enter it.
    pub fn folder(ino: Ino, stat: &Stat) -> Self {
        let directory = Self::directory(ino, stat, Lasting::Version);
        Self { rights: directory.rights.as_folder(), ..directory }
    }

    /// A link to a path of `length` bytes, in a directory that shows files with these attributes.
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
