//! Conversions from the types of the tree to those of FUSE: inode numbers, attributes, errors.

use std::time::{Duration, SystemTime};

use fuser::{Errno, FileAttr, FileType, INodeNo};

use crate::error::Error;
use crate::store::Time;
use crate::tree::{Attr, EntryKind, Ino, Ttl};

/// Time to live of a name in a directory of the store, and of its attributes.
pub const MOMENT: Duration = Duration::from_secs(1);
/// Time to live of files that belong to one version of an array. It can be long because the kernel looks up
/// the array's directory every moment, which reveals a new version.
const FOR_LONG: Duration = Duration::from_secs(24 * 3600);

/// The errno for an error.
pub(super) fn errno(error: &Error) -> Errno {
    match error {
        Error::NotFound { .. } => Errno::ENOENT,
        Error::Stale { .. } => Errno::ESTALE,
        // Nobody sees this, because nobody waits for the reply.
        Error::Unfinished => Errno::EINTR,
        Error::Io { source, .. } => match source.raw_os_error() {
            Some(code @ (libc::ENOENT | libc::EACCES | libc::EPERM | libc::ENOMEM | libc::ENAMETOOLONG)) => {
                Errno::from_i32(code)
            }
            _ => Errno::EIO,
        },
        Error::Invalid { .. }
        | Error::Truncated { .. }
        | Error::Short { .. }
        | Error::Link { .. }
        | Error::Exists { .. }
        | Error::Refused { .. } => Errno::EIO,
    }
}

fn system_time(time: Time) -> SystemTime {
    let after = |seconds: u64| Duration::new(seconds, time.nanoseconds);
    match u64::try_from(time.seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + after(seconds),
        Err(_) => {
            SystemTime::UNIX_EPOCH - Duration::from_secs(time.seconds.unsigned_abs())
                + Duration::from_nanos(time.nanoseconds.into())
        }
    }
}

pub(super) fn file_type(kind: EntryKind) -> FileType {
    match kind {
        EntryKind::File => FileType::RegularFile,
        EntryKind::Directory => FileType::Directory,
        EntryKind::Link => FileType::Symlink,
    }
}

pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: system_time(attr.accessed),
        mtime: system_time(attr.modified),
        ctime: system_time(attr.changed),
        crtime: SystemTime::UNIX_EPOCH,
        kind: file_type(attr.kind),
        perm: u16::try_from(attr.permissions.mode & 0o7777).unwrap_or(0),
        // For a directory, 1 means that the number of subdirectories is unknown. 2 would mean none, and tools
        // like `find` would then skip them.
        nlink: 1,
        uid: attr.permissions.uid,
        gid: attr.permissions.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

pub(super) fn time_to_live(ttl: Ttl) -> Duration {
    match ttl {
        Ttl::No => Duration::ZERO,
        Ttl::Moment => MOMENT,
        Ttl::Version => FOR_LONG,
    }
}

pub(super) fn ino(number: INodeNo) -> Ino {
    Ino(number.0)
}

/// Attributes with only inode and type, for an entry that is listed without a lookup.
pub(super) fn bare_attr(number: Ino, kind: EntryKind) -> FileAttr {
    FileAttr {
        ino: INodeNo(number.0),
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: file_type(kind),
        perm: 0,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
