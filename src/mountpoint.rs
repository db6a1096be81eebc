//! Where a tree may be mounted, what is mounted there already, and how to take it away.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, umount2};

use crate::error::{Error, Result};

/// What the mounts of this program are called in the system's table.
const TYPE: &str = "fuse.arrayfs";

/// A line of the system's table of mounts.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Mount {
    target: PathBuf,
    kind: String,
}

/// The mounts of this process's file tree, in the order they were made.
fn mounts() -> Result<Vec<Mount>> {
    let table = "/proc/self/mountinfo";
    let text = fs::read(table).map_err(|e| Error::io(table, "read", e))?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse_mount).collect())
}

/// `36 35 98:0 /root /target options … - type source options`, see proc(5).
fn parse_mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let target = unescape(fields.nth(4)?);
    fields.find(|field| *field == b"-")?;
    let kind = String::from_utf8_lossy(fields.next()?).into_owned();
    Some(Mount { target, kind })
}

/// Blanks, newlines and backslashes stand in the table as `\040` and the like.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[3..] } else { after };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// The absolute path of a mountpoint, the last name not followed into what is mounted there: a mount
/// whose server is gone answers nothing.
fn absolute(path: &Path) -> Result<PathBuf> {
    let fail = |e| Error::io(path, "find", e);
    let whole = std::path::absolute(path).map_err(fail)?;
    match (whole.parent(), whole.file_name()) {
        (Some(parent), Some(name)) => {
            let found = fs::canonicalize(parent).map_err(fail)?.join(name);
            // A link to the mountpoint is as good as the mountpoint.
            let is_link = fs::symlink_metadata(&found).is_ok_and(|meta| meta.is_symlink());
            if is_link { fs::canonicalize(&found).map_err(fail) } else { Ok(found) }
        }
        _ => fs::canonicalize(&whole).map_err(fail),
    }
}

/// What was found where a tree is to be mounted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ground {
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
pub fn prepare(path: &Path, store: &Path) -> Result<Ground> {
    let target = absolute(path)?;
    let refuse = |why: &str| Err(Error::refused(path, why));
    // Not `stat`, which the kernel may answer by itself.
    let dead = matches!(fs::read_dir(&target), Err(e) if e.raw_os_error() == Some(libc::ENOTCONN));
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
    if mounts()?.iter().any(|mount| mount.target == target) {
        return refuse("something is mounted there already; unmount it first, or choose another directory");
    }
    let mut entries = fs::read_dir(&target).map_err(|e| Error::io(path, "look into", e))?;
    if entries.next().is_some() {
        return refuse("not empty; a mount would hide what is there");
    }
    Ok(if dead { Ground::Cleared } else { Ground::Empty })
}

/// Takes away the tree that is mounted on `path`, alive or dead; programs that have files of it
/// open go on with them.
///
/// # Errors
///
/// [`Error::Refused`] when no tree of this program is mounted there.
pub fn unmount(path: &Path) -> Result<()> {
    let target = absolute(path)?;
    match mounts()?.iter().rfind(|mount| mount.target == target) {
        Some(mount) if mount.kind == TYPE => detach(&target),
        Some(mount) => {
            Err(Error::refused(path, format!("a mount of another kind ({}), not of arrayfs", mount.kind)))
        }
        None => Err(Error::refused(path, "no arrayfs is mounted there")),
    }
}

/// Detaches what is mounted on `target` at once; what is in use goes on until it is done with.
fn detach(target: &Path) -> Result<()> {
    match umount2(target, MntFlags::MNT_DETACH) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_mounts_is_read() {
        let line = b"36 35 98:0 / /mnt/a\\040b\\134 rw,noatime master:1 - fuse.arrayfs /data/x rw,user_id=0";
        let mount = parse_mount(line).unwrap();
        assert_eq!(mount, Mount { target: "/mnt/a b\\".into(), kind: TYPE.into() });
        assert_eq!(parse_mount(b""), None);
        assert_eq!(unescape(b"a\\0"), Path::new("a\\0"));
        assert!(mounts().unwrap().iter().any(|mount| mount.target == Path::new("/proc")));
    }
}
