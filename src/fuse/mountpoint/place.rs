//! Resolves a path to a mountpoint without accessing any mount of this program.
//!
//! A server may be stopped, or wait for a disk that does not answer. Then every access to its mount hangs,
//! including `canonicalize`. So this module resolves the path itself, and takes the rest of it literally once
//! it reaches a mount of this program.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::table::Table;
use crate::error::{Error, Result};

/// Limit on the symbolic links in one path, the same as in the kernel.
const MOST_LINKS: u32 = 40;

/// The absolute path without symbolic links. The file must exist.
pub(super) fn locate(path: &Path, table: &Table) -> Result<PathBuf> {
    walk(path, table, false)
}

/// Like [`locate`], but the last name need not exist.
pub(super) fn locate_new(path: &Path, table: &Table) -> Result<PathBuf> {
    walk(path, table, true)
}

fn walk(path: &Path, table: &Table, is_new: bool) -> Result<PathBuf> {
    let fail = |error| Error::io(path, "find", error);
    let whole = std::path::absolute(path).map_err(fail)?;
    if table.is_ours(&whole) {
        return Ok(whole);
    }
    let mut here = PathBuf::from("/");
    let mut ahead = parts(&whole);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(part);
        // `read_link` would ask the server of the mount.
        if here.ancestors().any(|above| table.is_ours(above)) || table.is_ours(&next) {
            here = next;
            continue;
        }
        match fs::read_link(&next) {
            Ok(_) if links == MOST_LINKS => return Err(fail(io::Error::from_raw_os_error(libc::ELOOP))),
            Ok(text) => {
                links += 1;
                ahead.extend(parts(&text));
                if text.is_absolute() {
                    here = PathBuf::from("/");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => here = next,
            Err(error) if is_new && ahead.is_empty() && error.kind() == io::ErrorKind::NotFound => {
                here = next
            }
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(here)
}

/// The parts of a path in reverse order, so that the next one can be popped.
fn parts(path: &Path) -> Vec<OsString> {
    let is_walked = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_walked).map(|part| part.as_os_str().to_owned()).rev().collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_found_as_the_system_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        symlink("a/b", path("link")).unwrap();
        symlink(path("link"), path("absolute")).unwrap();
        symlink("circle", path("circle")).unwrap();
        let table = Table::read().unwrap();
        for name in ["a", "a/b/", "link", "absolute", "a/./b/../../link", "link/..", "absolute/../b", ""] {
            let found = locate(&path(name), &table).unwrap();
            assert_eq!(found, fs::canonicalize(path(name)).unwrap(), "{name}");
        }
        for name in ["circle", "none/x", "circle/x"] {
            assert!(locate(&path(name), &table).is_err(), "{name}");
            assert!(locate_new(&path(name), &table).is_err(), "{name}");
        }
        symlink("a/none", path("dangling")).unwrap();
        for (name, expected) in [("none", "none"), ("link/none", "a/b/none"), ("dangling", "a/none")] {
            assert!(locate(&path(name), &table).is_err(), "{name}");
            let whole = fs::canonicalize(dir.path()).unwrap().join(expected);
            assert_eq!(locate_new(&path(name), &table).unwrap(), whole, "{name}");
        }
    }
}
