//! The directories above a store: whoever reads it by its path has to be let through by all of them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, openat, statx};

use super::directory::{FileKind, Stat, descriptor_path, narrowed};
use super::permissions::Rights;

/// Where a directory is: the mount, the device, the inode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Position {
    mount: u64,
    device: (u32, u32),
    inode: u64,
}

impl Position {
    /// The position of what is open, without asking whoever serves it.
    fn of(directory: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let facts = statx(directory, "", flags, StatxFlags::MNT_ID)?;
        let device = (facts.stx_dev_major, facts.stx_dev_minor);
        Ok(Self { mount: facts.stx_mnt_id, device, inode: facts.stx_ino })
    }
}

/// The mounts that the directories above a store are on. What is mounted over one of them later hides it, and is
/// no part of the way: it may be the store's own tree, and must not be asked.
#[derive(Debug)]
pub(super) struct Above {
    mounts: Vec<u64>,
    /// When this program's user was last looked for among those who are let through, and what was found.
    is_shut: Mutex<Option<(Instant, bool)>>,
}

/// How long that is taken for granted: it is asked at each lookup.
const AN_INSTANT: Duration = Duration::from_millis(20);

impl Above {
    /// What is above `root` at this moment.
    pub fn new(root: BorrowedFd<'_>) -> io::Result<Self> {
        let mut mounts = Vec::new();
        climb(root, |_, position| {
            mounts.push(position.mount);
            Ok(true)
        })?;
        Ok(Self { mounts, is_shut: Mutex::default() })
    }

    /// Whether all this is closed to this program's user, as `look` finds out.
    pub fn is_shut(&self, look: impl FnOnce() -> bool) -> bool {
        let mut known = self.is_shut.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((when, is_shut)) if when.elapsed() < AN_INSTANT => is_shut,
            _ => known.insert((Instant::now(), look())).1,
        }
    }

    /// The rights of the directories above `root` as they are now, from the nearest up.
    ///
    /// # Errors
    ///
    /// Where this program itself is not let through.
    pub fn rights(&self, root: BorrowedFd<'_>) -> io::Result<Vec<Rights>> {
        let mut rights = Vec::new();
        climb(root, |directory, position| {
            let is_known = self.mounts.contains(&position.mount);
            if is_known {
                let stat = Stat::of(&directory.metadata()?);
                rights.push(narrowed(stat.rights, FileKind::Directory, &descriptor_path(directory)));
            }
            Ok(is_known)
        })?;
        Ok(rights)
    }
}

/// Calls `visit` with each directory above this one, the nearest first, until it says no.
fn climb(from: BorrowedFd<'_>, mut visit: impl FnMut(&File, Position) -> io::Result<bool>) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = from.try_clone_to_owned()?;
    let mut position = Position::of(from)?;
    loop {
        let above = File::from(openat(&here, "..", flags, Mode::empty())?);
        let next = Position::of(above.as_fd())?;
        // Above the topmost there is only itself.
        if next == position || !visit(&above, next)? {
            return Ok(());
        }
        (here, position) = (above.into(), next);
    }
}
