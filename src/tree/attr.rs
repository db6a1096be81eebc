//! The attributes of a node of the tree, as `stat` reports them.

use crate::array::stored_array::StoredArray;
use crate::store::source::Source;
use crate::store::{Permissions, Stat, Time};

/// The inode number of a node in the tree.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the tree.
    pub const ROOT: Self = Self(1);
}

/// The type of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

/// How long a name or its attributes may be cached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ttl {
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
    pub kind: EntryKind,
    /// Exact size in bytes of a file or of a link's target.
    pub size: u64,
    /// Disk usage in blocks of 512 bytes.
    pub blocks: u64,
    /// Owner and mode, without permission to write.
    pub permissions: Permissions,
    /// Last access.
    pub accessed: Time,
    /// Last change of the content.
    pub modified: Time,
    /// Last change of content or permissions.
    pub changed: Time,
    /// How long the attributes may be cached.
    pub ttl: Ttl,
}

impl Ttl {
    /// The same, but at most a moment.
    pub fn at_most_a_moment(self) -> Self {
        if self == Self::No { self } else { Self::Moment }
    }
}

impl Attr {
    /// The attributes while the file is being written: modified just now, and not to be cached.
    pub fn of_now(self) -> Self {
        let now = Time::now();
        Self { modified: now, changed: now, ttl: Ttl::No, ..self }
    }

    /// A file of `size` bytes that is derived from a file with these attributes.
    pub fn file(ino: Ino, size: u64, stat: &Stat, ttl: Ttl) -> Self {
        let Stat { identity, permissions, accessed, .. } = stat;
        Self {
            ino,
            kind: EntryKind::File,
            size,
            blocks: u64::from(size > 0),
            permissions: permissions.read_only(),
            accessed: *accessed,
            modified: identity.modified,
            changed: identity.changed,
            ttl,
        }
    }

    /// A file of the store that is not part of an array.
    pub fn plain(ino: Ino, source: &Source) -> Self {
        let stat = source.stat();
        let attr = Self { blocks: stat.blocks, ..Self::file(ino, source.len(), stat, Ttl::Moment) };
        if source.is_settled() { attr } else { attr.of_now() }
    }

    /// The directory of an array.
    pub fn array(ino: Ino, array: &StoredArray) -> Self {
        let attr = Self { ttl: Ttl::Moment, ..Self::folder(ino, &array.stat()) };
        if array.is_settled() { attr } else { attr.of_now() }
    }

    /// A directory that represents one of the store, which has these attributes.
    pub fn directory(ino: Ino, stat: &Stat, ttl: Ttl) -> Self {
        Self { kind: EntryKind::Directory, ..Self::file(ino, 0, stat, ttl) }
    }

    /// A directory that shows files with these attributes. Users who may read them may enter it.
    pub fn folder(ino: Ino, stat: &Stat) -> Self {
        let directory = Self::directory(ino, stat, Ttl::Version);
        Self { permissions: directory.permissions.as_folder(), ..directory }
    }

    /// A link to a path of `length` bytes, in a directory that shows files with these attributes.
    pub fn link(ino: Ino, length: usize, stat: &Stat) -> Self {
        let permissions = Permissions { mode: 0o777, ..stat.permissions };
        Self {
            kind: EntryKind::Link,
            size: length as u64,
            blocks: 0,
            permissions,
            ..Self::directory(ino, stat, Ttl::Version)
        }
    }
}
