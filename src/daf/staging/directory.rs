//! A directory to write to. It is opened only once, so renaming it or putting a link in its place has no
//! effect. Names in it are never followed if they are symbolic links, and mounts on them are never entered:
//! they may belong to another user, and their file system may never answer.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, flock, mkdirat, open, openat2,
    renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::store::{FileKind, Stat};

/// How long to wait for other writers, which normally take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many random names (of 2^64) to try for a new directory.
const ATTEMPTS: usize = 100;

#[derive(Debug)]
pub(crate) struct Directory(OwnedFd);

/// The lock of a directory, which excludes all other writers of arrays. Empty if the file system has no
/// locks.
#[derive(Debug)]
pub(crate) struct Lock<'d>(Option<&'d Directory>);

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if let Some(directory) = self.0 {
            let _ = flock(&directory.0, FlockOperation::Unlock);
        }
    }
}

impl Lock<'_> {
    /// Whether the lock is really held.
    pub fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

impl Directory {
    /// Opens the directory at `path`. Follows links in `path`, because the caller chose it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open(path, flags | OFlags::RDONLY, Mode::empty()) {
            // Writing without permission to list is possible. It then works without the lock and without
            // cleaning up.
            Err(Errno::ACCESS) => Ok(Self(open(path, flags | OFlags::PATH, Mode::empty())?)),
            fd => Ok(Self(fd?)),
        }
    }

    /// Waits for the lock of the directory. `file` is what the caller wants to write, for errors.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if others do not release the lock in time.
    pub fn lock(&self, file: &Path) -> Result<Lock<'_>> {
        let start = Instant::now();
        loop {
            match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(Some(self))),
                Err(Errno::INTR) => {}
                // Polling, because a blocking `flock` has no timeout.
                Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => sleep(Duration::from_millis(1)),
                Err(Errno::WOULDBLOCK) => {
                    let seconds = PATIENCE.as_secs();
                    let why =
                        format!("another program keeps its directory locked, for {seconds} seconds now");
                    return Err(Error::refused(file, why));
                }
                Err(_) => return Ok(Lock(None)),
            }
        }
    }

    /// Locks the directory until it is closed. Returns `false` if another process holds the lock.
    pub fn keep_locked(&self) -> bool {
        flock(&self.0, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// A second handle of the directory that shares the lock.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Attributes of the directory itself.
    pub fn stat(&self) -> io::Result<Stat> {
        stat(self.0.try_clone()?)
    }

    /// Whether only this user (and root) may change its content.
    pub fn is_ours(&self) -> io::Result<bool> {
        Ok(self.stat()?.is_ours())
    }

    /// The names in the directory.
    pub fn names(&self) -> io::Result<impl Iterator<Item = OsString> + use<>> {
        let entries = Dir::read_from(&self.0)?.filter_map(std::result::Result::ok);
        let names = entries.map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
        Ok(names.filter(|name| name != "." && name != ".."))
    }

    /// Attributes of the file with this name, or `None` if there is none.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match self.open_at(name, OFlags::PATH) {
            // A name that is too long cannot exist.
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
            fd => Ok(Some(stat(fd?)?)),
        }
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        // `NONBLOCK` and `NOCTTY`: opening a FIFO or a terminal must not block or have side effects.
        let file = File::from(self.open_at(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
        match Stat::of(&file.metadata()?).kind {
            FileKind::File => Ok(file),
            other => Err(io::Error::other(other.name())),
        }
    }

    /// Creates a file. Fails if the name exists.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        Ok(self.open_with(name, flags, Mode::from_raw_mode(0o666))?.into())
    }

    /// Appends to a file.
    pub fn append(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        File::from(self.open_at(name, OFlags::WRONLY | OFlags::APPEND)?).write_all(bytes)
    }

    /// Creates a directory that only this user may enter, with a random name that starts with `prefix`.
    ///
    /// # Errors
    ///
    /// Errors from the system, and if another user replaced the new directory.
    pub fn make_private(&self, prefix: &str) -> io::Result<(OsString, Self)> {
        for _ in 0..ATTEMPTS {
            let name = OsString::from(format!("{prefix}{:016x}", RandomState::new().hash_one(())));
            match mkdirat(&self.0, &name, Mode::RWXU) {
                Err(Errno::EXIST) => {}
                made => {
                    made?;
                    return Ok((name.clone(), self.open_made(&name)?));
                }
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Opens the directory that was just created. Accepts another one if it is empty and this user's own.
    fn open_made(&self, name: &OsStr) -> io::Result<Self> {
        let is_swapped = |error: &io::Error| {
            let errno = error.raw_os_error().unwrap_or(libc::ELOOP);
            [libc::ELOOP, libc::ENOENT, libc::ENOTDIR, libc::EXDEV].contains(&errno)
        };
        let swapped = || io::Error::other("another user changes the directory meanwhile");
        let made = match self.open_ours(name) {
            Err(error) if is_swapped(&error) => return Err(swapped()),
            Err(error) => {
                let _ = self.remove_directory(name);
                return Err(error);
            }
            made => made?,
        };
        if made.names()?.next().is_some() { Err(swapped()) } else { Ok(made) }
    }

    /// Opens a subdirectory whose content only this user may change.
    ///
    /// # Errors
    ///
    /// Errors from the system, and if others may change the directory; the message names its owner.
    pub fn open_ours(&self, name: &OsStr) -> io::Result<Self> {
        let directory = Self(self.open_at(name, OFlags::RDONLY | OFlags::DIRECTORY)?);
        let stat = directory.stat()?;
        match stat.is_ours() {
            true => Ok(directory),
            false => {
                let (uid, mode) = (stat.permissions.uid, stat.permissions.mode);
                let why = format!("a directory of user {uid} with mode {mode:03o} may be changed by others");
                Err(io::Error::other(why))
            }
        }
    }

    /// Moves a file to another directory under the same name. `replace` tells whether it may replace an
    /// existing file.
    pub fn rename(&self, name: &OsStr, to: &Self, replace: bool) -> io::Result<()> {
        let renamed = match replace {
            true => renameat(&self.0, name, &to.0, name),
            false => match renameat_with(&self.0, name, &to.0, name, RenameFlags::NOREPLACE) {
                // The file system does not support `NOREPLACE`. A check before the rename is the best that
                // is left.
                Err(Errno::INVAL | Errno::NOSYS) if to.look(name)?.is_none() => {
                    renameat(&self.0, name, &to.0, name)
                }
                Err(Errno::INVAL | Errno::NOSYS) => Err(Errno::EXIST),
                renamed => renamed,
            },
        };
        Ok(renamed?)
    }

    /// Removes a file or a symbolic link. It is not an error if there is none.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    fn open_at(&self, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        self.open_with(name, flags, Mode::empty())
    }

    fn open_with(&self, name: &OsStr, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            match openat2(self.0.as_fd(), name, flags, mode, resolve) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                opened => return opened,
            }
        }
    }
}

fn stat(fd: OwnedFd) -> io::Result<Stat> {
    Ok(Stat::of(&File::from(fd).metadata()?))
}

impl Stat {
    /// Whether only this user and root may write it.
    pub(super) fn is_ours(&self) -> bool {
        self.permissions.uid == nix::unistd::geteuid().as_raw() && self.permissions.mode & 0o022 == 0
    }
}
