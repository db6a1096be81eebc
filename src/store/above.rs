//! The directories above a store. A reader that uses its path needs search permission for all of them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, openat, statx};

use super::directory::{FileKind, Stat, descriptor_path, narrowed};
use super::permissions::Permissions;

/// The identity of a directory: the mount, the device, the inode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Position {
    mount: u64,
    device: (u32, u32),
    inode: u64,
}

impl Position {
    /// The position of an open directory. It is read from the cache, without a request to the file system's
    /// server.
    fn of(directory: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let facts = statx(directory, "", flags, StatxFlags::MNT_ID)?;
        let device = (facts.stx_dev_major, facts.stx_dev_minor);
        Ok(Self { mount: facts.stx_mnt_id, device, inode: facts.stx_ino })
    }
}

/// The mounts that contain the directories above a store. A later mount over one of them hides it, but is not
/// part of the path. It may be the tree of this store, and a request to it would wait for this process.
#[derive(Debug)]
pub(super) struct Above {
    mounts: Vec<u64>,
    /// When the permissions of this program's user were last checked, and the result.
    is_shut: Mutex<Option<(Instant, bool)>>,
}

/// How long that result is valid. It is needed on each lookup.
const AN_INSTANT: Duration = Duration::from_millis(20);

impl Above {
    /// The directories above `root` at this moment.
    pub fn new(root: BorrowedFd<'_>) -> io::Result<Self> {
        let mut mounts = Vec::new();
        climb(root, |_, position| {
            mounts.push(position.mount);
            Ok(true)
        })?;
        Ok(Self { mounts, is_shut: Mutex::default() })
    }

    /// Whether this program's user has no permission to pass all of them, as `look` determines.
    pub fn is_shut(&self, look: impl FnOnce() -> bool) -> bool {
        let mut known = self.is_shut.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((when, is_shut)) if when.elapsed() < AN_INSTANT => is_shut,
            _ => known.insert((Instant::now(), look())).1,
        }
    }

    /// The current permissions of the directories above `root`, the nearest first.
    ///
    /// # Errors
    ///
    /// If this program itself has no permission to pass.
    pub fn permissions(&self, root: BorrowedFd<'_>) -> io::Result<Vec<Permissions>> {
        let mut permissions = Vec::new();
        climb(root, |directory, position| {
            let is_known = self.mounts.contains(&position.mount);
            if is_known {
                let stat = Stat::of(&directory.metadata()?);
                permissions.push(narrowed(
                    stat.permissions,
                    FileKind::Directory,
                    &descriptor_path(directory),
                ));
            }
            Ok(is_known)
        })?;
        Ok(permissions)
    }
}

/// Calls `visit` with each directory above this one, the nearest first, until it returns false.
fn climb(from: BorrowedFd<'_>, mut visit: impl FnMut(&File, Position) -> io::Result<bool>) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = from.try_clone_to_owned()?;
    let mut position = Position::of(from)?;
    loop {
        let above = File::from(openat(&here, "..", flags, Mode::empty())?);
        let next = Position::of(above.as_fd())?;
        // The parent of the root directory is itself.
        if next == position || !visit(&above, next)? {
            return Ok(());
        }
        (here, position) = (above.into(), next);
    }
}
