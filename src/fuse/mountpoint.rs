//! Checks of a mountpoint, and unmounting.

mod place;
mod server;
mod table;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, Result};
use place::{locate, locate_new};
use server::Server;
pub use server::Sign;
pub use table::Device;
use table::{Mount, Table};

/// How long to wait for the server of an existing mount to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The absolute path of a directory to mount on. It does not look into the directory itself: if a dead mount
/// is there, every access fails.
fn absolute(path: &Path) -> Result<PathBuf> {
    let fail = |e| Error::io(path, "find", e);
    let whole = std::path::absolute(path).map_err(fail)?;
    match (whole.parent(), whole.file_name()) {
        (Some(parent), Some(name)) => {
            let found = fs::canonicalize(parent).map_err(fail)?.join(name);
            // A symbolic link to the mountpoint is allowed.
            let is_link = fs::read_link(&found).is_ok();
            if is_link { fs::canonicalize(&found).map_err(fail) } else { Ok(found) }
        }
        _ => fs::canonicalize(&whole).map_err(fail),
    }
}

/// What [`prepare`] found on the mountpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MountpointState {
    /// An empty directory.
    Empty,
    /// A mount of this program whose server was gone. It was unmounted.
    Cleared,
}

/// Checks that a tree of `store` can be mounted on `path`: it must be an empty directory outside the store on
/// which nothing is mounted. A dead mount of this program is unmounted first.
///
/// # Errors
///
/// [`Error::Refused`] with the reason, and what the user can do.
pub fn prepare(path: &Path, store: &Path) -> Result<MountpointState> {
    let target = absolute(path)?;
    let refuse = |why: &str| Err(Error::refused(path, why));
    let dead = Table::read()?.is_ours(&target) && is_dead(&target)?;
    if dead {
        detach(&target)?;
    }
    let meta = fs::metadata(&target).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            Error::refused(path, "there is no such directory to mount on; make it first")
        }
        _ => Error::io(path, "mount on", e),
    })?;
    if !meta.is_dir() {
        return refuse("not a directory; a mountpoint is an empty directory");
    }
    if target.starts_with(store) {
        return refuse("inside the store that is to be mounted; mount it somewhere else");
    }
    if Table::read()?.on(&target).is_some() {
        return refuse("something is mounted there already; unmount it first, or choose another directory");
    }
    let mut entries = fs::read_dir(&target).map_err(|e| Error::io(path, "look into", e))?;
    if entries.next().is_some() {
        return refuse("not empty; a mount would hide what is there");
    }
    Ok(if dead { MountpointState::Cleared } else { MountpointState::Empty })
}

/// Whether a mount would hide this file, because it is, or will be created, inside the mountpoint. This does
/// not access any mount, because its server might not answer.
pub fn would_hide(mountpoint: &Path, file: &Path) -> bool {
    let inside =
        || Some(locate_new(file, &Table::read().ok()?).ok()?.starts_with(absolute(mountpoint).ok()?));
    inside().unwrap_or(false)
}

/// Whether the server of the mount is gone.
///
/// # Errors
///
/// [`Error::Refused`] if the server exists but does not answer.
fn is_dead(target: &Path) -> Result<bool> {
    let (say, answer) = mpsc::channel();
    let asked = target.to_owned();
    // `stat` would prove nothing, because the kernel may answer it from its cache. The request runs on
    // another thread, because it cannot be cancelled.
    let ask = move || say.send(fs::read_dir(asked).map(drop));
    std::thread::Builder::new()
        .name("ask".into())
        .spawn(ask)
        .map_err(|e| Error::io(target, "look into", e))?;
    match answer.recv_timeout(PATIENCE) {
        Ok(answer) => Ok(answer.is_err_and(|e| e.raw_os_error() == Some(libc::ENOTCONN))),
        Err(_) => Err(Error::refused(
            target,
            "an arrayfs is mounted there already, and does not answer; `arrayfs unmount` takes it away",
        )),
    }
}

/// Unmounts the tree on `path`, whether its server is alive or dead. Programs can go on reading the files
/// that they have open. This does not access the mount, so it cannot hang on its server.
///
/// # Errors
///
/// [`Error::Refused`] if no tree of this program is mounted there.
pub fn unmount(path: &Path) -> Result<()> {
    take_away(path).map(drop)
}

/// Like [`unmount`], but also waits until the server no longer uses the store's file system. It does not wait
/// if that could take long, because programs have files open, or the server is stopped or waits for a disk.
///
/// The server itself must not call this: it would wait for its own end.
///
/// # Errors
///
/// Like [`unmount`].
pub fn unmount_and_wait(path: &Path) -> Result<()> {
    let (servers, mounts) = take_away(path)?;
    servers.into_iter().for_each(|server| server.wait(&mounts));
    Ok(())
}

/// Unmounts a tree. Returns its servers and its mounts, which must be determined before.
fn take_away(path: &Path) -> Result<(Vec<Server>, Vec<Mount>)> {
    let table = Table::read()?;
    let target = locate(path, &table)?;
    match table.on(&target) {
        Some(mount) if mount.is_ours() => {
            let mounts: Vec<_> = table.ours_below(&target).cloned().collect();
            let servers = Server::of(&mounts);
            detach(&target)?;
            Ok((servers, mounts))
        }
        Some(mount) => {
            Err(Error::refused(path, format!("a mount of another kind ({}), not of arrayfs", mount.kind)))
        }
        None => Err(Error::refused(path, "no arrayfs is mounted there")),
    }
}

/// Waits for changes of the table of mounts.
#[derive(Debug)]
pub struct Changes(File);

impl Changes {
    /// Covers the changes from now on.
    ///
    /// # Errors
    ///
    /// If the table of mounts cannot be read.
    pub fn new() -> io::Result<Self> {
        File::open(table::PATH).map(Self)
    }

    /// Waits for the next change.
    ///
    /// # Errors
    ///
    /// If the table of mounts cannot be watched.
    pub fn wait(&self) -> io::Result<()> {
        let mut wanted = [PollFd::new(self.0.as_fd(), PollFlags::POLLPRI)];
        loop {
            match poll(&mut wanted, PollTimeout::NONE) {
                Err(nix::Error::EINTR) => {}
                done => return done.map(drop).map_err(io::Error::from),
            }
        }
    }
}

/// Detaches the mount on `target` at once. Its open files stay usable until they are closed.
fn detach(target: &Path) -> Result<()> {
    match umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(nix::Error::EPERM) => detach_as_user(target),
        Err(errno) => Err(Error::io(target, "unmount", errno.into())),
    }
}

/// Unmounts with the set-user-ID helper, because the system call is reserved for root.
fn detach_as_user(target: &Path) -> Result<()> {
    let helper = ["fusermount3", "fusermount"]
        .into_iter()
        .find_map(|helper| Command::new(helper).args(["-u", "-z", "--"]).arg(target).output().ok());
    match helper {
        Some(output) if output.status.success() => Ok(()),
        Some(output) => Err(Error::refused(target, String::from_utf8_lossy(&output.stderr).trim())),
        None => Err(Error::refused(target, "unmounting needs fusermount3: install the package fuse3")),
    }
}
