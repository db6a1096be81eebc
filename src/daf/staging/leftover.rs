//! Cleans up after dead writers. Trusts only what this user's own program left and no other user could
//! change.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::directory::Directory;
use super::is_unfinished;
use super::target::{ALL, Target};
use crate::daf::metadata::YAML;
use crate::error::shown;
use crate::store::{FileKind, Stat, stem, with_suffix};

/// The file in which a writer records the versions of files that it puts in place or removes. No array can
/// have a file with this name, and no other user can create one in a directory that is this user's own.
pub(super) const VERSIONS: &str = ".arrayfs-versions";

/// The most that is read of the record.
const MAX_BYTES: u64 = 64 << 10;

/// Removes what dead writers left in a locked directory, the first time that this process writes there.
pub(super) fn clear_once(target: &Target) {
    static CLEARED: Mutex<Option<HashSet<(PathBuf, u64, u64)>>> = Mutex::new(None);
    let Ok(stat) = target.directory.stat() else { return };
    let path = target.path().parent().unwrap_or(Path::new("")).to_owned();
    let mut cleared = CLEARED.lock().unwrap_or_else(PoisonError::into_inner);
    // Only once: a program that writes thousands of arrays must not list thousands of names each time. The
    // key includes the path, because a new directory may reuse the inode number of a removed one.
    if cleared.get_or_insert_default().insert((path.clone(), stat.identity.device, stat.identity.inode)) {
        clear(&target.directory, &path);
    }
}

fn clear(directory: &Directory, path: &Path) {
    let Ok(names) = directory.names() else { return };
    for name in names.filter(|name| is_unfinished(name)) {
        let path = shown(path.join(&name));
        let left = match directory.open_ours(&name) {
            Ok(left) => left,
            Err(error) => {
                log::info!("{path}: left alone: {error}");
                continue;
            }
        };
        // A living writer holds the lock.
        if !left.keep_locked() {
            continue;
        }
        match clear_one(directory, &name, &left) {
            Ok(()) => log::info!("{path}: removed, for its writer is gone"),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                log::info!("{path}: left alone: it has other files than a writer's");
            }
            Err(error) => log::warn!("{path}: left by a writer that is gone: {error}"),
        }
    }
}

/// Removes what one dead writer left: its staging directory `left`, and files it had put in place.
fn clear_one(directory: &Directory, name: &OsStr, left: &Directory) -> io::Result<()> {
    // Where others may rename files, they can give such a name to any directory of this user. So require a
    // record.
    if is_a_writers(left) || directory.is_ours()? {
        withdraw(directory, left);
        remove_files(left)?;
    }
    directory.remove_directory(name)
}

/// Whether the directory contains the record of a writer, or the beginning of one.
fn is_a_writers(left: &Directory) -> bool {
    let (Some(text), Ok(heading)) = (read_record(left), heading(left)) else { return false };
    text.starts_with(&heading) || heading.starts_with(&text)
}

/// Removes the files in a staging directory. The record goes last, because it identifies the directory.
pub(super) fn remove_files(left: &Directory) -> io::Result<()> {
    for name in left.names()?.filter(|name| name != VERSIONS) {
        if left.look(&name)?.is_some_and(|stat| is_own_file(&stat)) {
            left.remove(&name)?;
        }
    }
    left.remove(VERSIONS.as_ref())
}

fn is_own_file(stat: &Stat) -> bool {
    stat.kind == FileKind::File && stat.permissions.uid == nix::unistd::geteuid().as_raw()
}

/// Removes the files that the writer of `aside` put in place or was about to remove, unless a `.yaml` is in
/// place. Without one, they belong to no array.
pub(super) fn withdraw(directory: &Directory, aside: &Directory) {
    let Some((array, versions)) = record_in(aside) else { return };
    // If there is a `.yaml`, another writer put it there, and the files belong to its array.
    if matches!(directory.look(&with(&array, YAML)), Ok(None)) {
        remove_versions(directory, &array, &versions);
    }
}

/// Removes the files that the writer of `aside` put in place where no array existed before.
pub(super) fn withdraw_new(directory: &Directory, aside: &Directory) {
    if let Some((array, versions)) = record_in(aside) {
        remove_versions(directory, &array, &versions);
    }
}

/// The name of the array whose `.yaml` is in a staging directory, and the recorded versions of its files.
fn record_in(aside: &Directory) -> Option<(OsString, String)> {
    let array = aside.names().ok()?.find_map(|name| Some(stem(&name, YAML)?.to_owned()))?;
    let versions = read_record(aside)?;
    versions.starts_with(&heading(aside).ok()?).then_some((array, versions))
}

fn remove_versions(directory: &Directory, array: &OsStr, versions: &str) {
    for name in ALL.map(|suffix| with(array, suffix)) {
        let found = version(directory, &name).ok().flatten();
        if found.is_some_and(|version| versions.contains(&version)) {
            let _ = directory.remove(&name);
        }
    }
}

fn with(array: &OsStr, suffix: &str) -> OsString {
    with_suffix(Path::new(array), suffix).into_os_string()
}

/// The first line of the record. It identifies this directory, so the record in a copy of it is invalid.
pub(super) fn heading(aside: &Directory) -> io::Result<String> {
    Ok(format!("written by the owner of directory {}\n", aside.stat()?.identity.inode))
}

/// The record of a writer, if it belongs to this user.
fn read_record(aside: &Directory) -> Option<String> {
    let file = aside.open_file(VERSIONS.as_ref()).ok()?;
    if !is_own_file(&Stat::of(&file.metadata().ok()?)) {
        return None;
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A line that distinguishes a file from any other with the same name. `None` if there is no file.
pub(super) fn version(directory: &Directory, name: &OsStr) -> io::Result<Option<String>> {
    Ok(directory.look(name)?.map(|stat| {
        let (inode, size, modified) = (stat.identity.inode, stat.identity.size, stat.identity.modified);
        format!("inode {inode}, {size} bytes of {}.{:09}\n", modified.seconds, modified.nanoseconds)
    }))
}
