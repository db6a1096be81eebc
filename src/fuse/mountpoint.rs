//! Where a tree may be mounted, what is mounted there already, and how to take it away.

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

/// How long what is mounted is waited for to answer, before it is called dead.
const PATIENCE: Duration = Duration::from_secs(5);

/// The absolute path of a directory to mount on, the last name not followed into what is mounted there: a mount
/// whose server is gone answers nothing.
fn absolute(path: &Path) -> Result<PathBuf> {
    let fail = |e| Error::io(path, "find", e);
    let whole = std::path::absolute(path).map_err(fail)?;
    match (whole.parent(), whole.file_name()) {
        (Some(parent), Some(name)) => {
            let found = fs::canonicalize(parent).map_err(fail)?.join(name);
            // A link to the mountpoint is as good as the mountpoint.
            let is_link = fs::read_link(&found).is_ok();
            if is_link { fs::canonicalize(&found).map_err(fail) } else { Ok(found) }
        }
        _ => fs::canonicalize(&whole).map_err(fail),
    }
}

/// What was found where a tree is to be mounted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MountpointState {
    /// An empty directory.
    Empty,
    /// A mount of this program whose server was gone; it was taken away.
    Cleared,
}

/// Makes sure that a tree of `store` can be mounted on `path`: an empty directory outside the store on
/// which nothing is mounted. A dead mount of this program is taken away.
///
/// # Errors
///
/// [`Error::Refused`] says why not, and what to do.
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

/// Whether a file that is there, or is to be made, is inside the directory that a tree is to be mounted on: the mount
/// would hide it. Nobody who serves a mount is asked.
pub fn would_hide(mountpoint: &Path, file: &Path) -> bool {
    let inside =
        || Some(locate_new(file, &Table::read().ok()?).ok()?.starts_with(absolute(mountpoint).ok()?));
    inside().unwrap_or(false)
}

/// Whether nobody serves any more what is mounted there.
///
/// # Errors
///
/// [`Error::Refused`] when whoever serves it does not answer.
fn is_dead(target: &Path) -> Result<bool> {
    let (say, answer) = mpsc::channel();
    let asked = target.to_owned();
    // Not `stat`, which the kernel may answer by itself.
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

/// Takes away the tree that is mounted on `path`, alive or dead; programs that have files of it
/// open go on with them. Nobody who serves it is asked, so none can hold this up.
///
/// # Errors
///
/// [`Error::Refused`] when no tree of this program is mounted there.
pub fn unmount(path: &Path) -> Result<()> {
    take_away(path).map(drop)
}

/// As [`unmount`], and waits until the store's file system is free, unless that may take long: for programs
/// that have files open, or for a server that is stopped or waits for a disk.
///
/// Not for whoever serves the tree itself.
///
/// # Errors
///
/// As [`unmount`].
pub fn unmount_and_wait(path: &Path) -> Result<()> {
    let (servers, mounts) = take_away(path)?;
    servers.into_iter().for_each(|server| server.wait(&mounts));
    Ok(())
}

/// Takes a tree away, and returns who served it by which mounts.
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

/// Tells of each time that something was mounted or unmounted, anywhere.
#[derive(Debug)]
pub struct Changes(File);

impl Changes {
    /// From here on.
    ///
    /// # Errors
    ///
    /// When the table of mounts cannot be read.
    pub fn new() -> io::Result<Self> {
        File::open(table::PATH).map(Self)
    }

    /// Waits for the next.
    ///
    /// # Errors
    ///
    /// When the table of mounts cannot be watched.
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

/// Detaches what is mounted on `target` at once; what is in use goes on until it is done with.
fn detach(target: &Path) -> Result<()> {
    match umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(nix::Error::EPERM) => detach_as_user(target),
        Err(errno) => Err(Error::io(target, "unmount", errno.into())),
    }
}

/// Only root may unmount; everyone else asks the system's helper.
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
