//! Which mount a path names, found out without asking anybody who serves one.
//!
//! A server may be stopped, or wait for a disk that does not answer, and whoever looks at what it serves
//! waits with it. So the path is walked by hand, and nothing that this program has mounted is looked into.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::table::Table;
use crate::error::{Error, Result};

/// The most links that the way to one place may lead over, as for the kernel.
const MOST_LINKS: u32 = 40;

/// The absolute path, free of links, of what `path` names.
pub(super) fn locate(path: &Path, table: &Table) -> Result<PathBuf> {
    walk(path, table, false)
}

/// As [`locate`], of something that may have to be made: its last name need not be there.
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
        // What is mounted there is not asked whether it is a link, nor what is in it.
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

/// The parts of a path that are walked one after the other, the first one last.
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
