//! What dead writers left. It is believed if this user's own program left it, and nobody else could change it.

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

/// Where a writer says which versions of which files it puts in place, and which go. No array can have a file of
/// that name, and nobody else can put one into a directory that is this user's own.
pub(super) const VERSIONS: &str = ".arrayfs-versions";

/// The longest that is read.
const MAX_BYTES: u64 = 64 << 10;

/// Removes what dead writers left in a locked directory, the first time that this process comes there.
pub(super) fn clear_once(target: &Target) {
    static CLEARED: Mutex<Option<HashSet<(PathBuf, u64, u64)>>> = Mutex::new(None);
    let Ok(stat) = target.directory.stat() else { return };
    let path = target.path().parent().unwrap_or(Path::new("")).to_owned();
    let mut cleared = CLEARED.lock().unwrap_or_else(PoisonError::into_inner);
    // A writer of thousands of arrays does not look through thousands of names each time.
    // Another directory may come to have the number of one that is gone.
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
        // Whoever is alive has the lock.
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

/// Removes what one dead writer left in its directory `left`.
fn clear_one(directory: &Directory, name: &OsStr, left: &Directory) -> io::Result<()> {
    // Where others may rename things, any directory of this user's can be given such a name.
    if is_a_writers(left) || directory.is_ours()? {
        withdraw(directory, left);
        remove_files(left)?;
    }
    directory.remove_directory(name)
}

/// Whether it has the record of a writer, or the beginning of one.
fn is_a_writers(left: &Directory) -> bool {
    let (Some(text), Ok(heading)) = (read_record(left), heading(left)) else { return false };
    text.starts_with(&heading) || heading.starts_with(&text)
}

/// Removes the files in a writer's directory; that which tells it from others last.
pub(super) fn remove_files(left: &Directory) -> io::Result<()> {
    for name in left.names()?.filter(|name| name != VERSIONS) {
        if left.look(&name)?.is_some_and(|stat| is_own_file(&stat)) {
            left.remove(&name)?;
        }
    }
    left.remove(VERSIONS.as_ref())
}

fn is_own_file(stat: &Stat) -> bool {
    stat.kind == FileKind::File && stat.rights.uid == nix::unistd::geteuid().as_raw()
}

/// Removes the files that the writer of `aside` has put in place in `directory` or was to remove, if its `.yaml`,
/// which comes last, was not put in place.
pub(super) fn withdraw(directory: &Directory, aside: &Directory) {
    let Some((array, versions)) = record_in(aside) else { return };
    // If somebody else has put one there, the files are those of an array.
    if matches!(directory.look(&with(&array, YAML)), Ok(None)) {
        remove_versions(directory, &array, &versions);
    }
}

/// Removes the files that the writer of `aside` has put in place where there was nothing.
pub(super) fn withdraw_new(directory: &Directory, aside: &Directory) {
    if let Some((array, versions)) = record_in(aside) {
        remove_versions(directory, &array, &versions);
    }
}

/// The array whose `.yaml` is in a writer's directory, and the versions of its files.
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

/// What is written first into the file of versions: it is of this directory, and of no copy of it.
pub(super) fn heading(aside: &Directory) -> io::Result<String> {
    Ok(format!("written by the owner of directory {}\n", aside.stat()?.identity.inode))
}

/// The record of a writer, if this user wrote one.
fn read_record(aside: &Directory) -> Option<String> {
    let file = aside.open_file(VERSIONS.as_ref()).ok()?;
    if !is_own_file(&Stat::of(&file.metadata().ok()?)) {
        return None;
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A line that tells a file from any other that takes its place; none where there is nothing.
pub(super) fn version(directory: &Directory, name: &OsStr) -> io::Result<Option<String>> {
    Ok(directory.look(name)?.map(|stat| {
        let (inode, size, modified) = (stat.identity.inode, stat.identity.size, stat.identity.modified);
        format!("inode {inode}, {size} bytes of {}.{:09}\n", modified.seconds, modified.nanoseconds)
    }))
}
