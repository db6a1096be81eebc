//! The axes of daf: in a directory with `__daf__.yaml`, the file `AXIS#.csv` names the rows of arrays
//! `AXIS#…` and `AXIS,…#…`, and the columns of arrays `…,AXIS#…`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::daf::metadata::YAML;
use crate::error::{Result, shown};
use crate::store::{FileKind, Store, stem, with_suffix};

/// The file whose presence means that axes have files.
const DAF: &str = "__daf__.yaml";

/// The suffix of an axis file.
const AXIS_FILE: &str = "#.csv";

/// The axis files that belong to the array by its name, if the directory has axes.
pub(super) fn axes(store: &Store, path: &Path) -> [Option<PathBuf>; 2] {
    let axes = axes_by_name(path);
    if axes.iter().any(Option::is_some) && is_daf(store, directory(path)) { axes } else { [None, None] }
}

/// The axis files that belong to the array by its name but are ignored, because `__daf__.yaml` is missing.
pub(super) fn idle_axes_of(store: &Store, path: &Path) -> Vec<PathBuf> {
    let axes = axes_by_name(path);
    if axes.iter().all(Option::is_none) || is_daf(store, directory(path)) {
        return Vec::new();
    }
    let mut idle: Vec<_> =
        axes.into_iter().flatten().filter(|file| store.kind(file) == Some(FileKind::File)).collect();
    // Both axes of a matrix may be the same.
    idle.dedup();
    idle
}

/// The files in a directory that would name rows or columns of its arrays if it had a `__daf__.yaml`.
///
/// # Errors
///
/// Any error from listing the directory.
pub fn idle_axes(store: &Store, directory: &Path) -> Result<Vec<PathBuf>> {
    if is_daf(store, directory) {
        return Ok(Vec::new());
    }
    let names: HashSet<OsString> = store.list(directory)?.into_iter().map(|entry| entry.name).collect();
    let arrays = names.iter().filter_map(|name| stem(name, YAML));
    let axes = arrays.flat_map(|array| axes_by_name(&directory.join(array))).flatten();
    let mut idle: Vec<_> =
        axes.filter(|file| file.file_name().is_some_and(|name| names.contains(name))).collect();
    idle.sort_unstable();
    idle.dedup();
    Ok(idle)
}

/// The message for an axis file that is ignored.
pub fn idle_words(file: &Path) -> String {
    format!("{} names nothing, for there is no {DAF} beside it", shown(file))
}

fn is_daf(store: &Store, directory: &Path) -> bool {
    store.stat(&directory.join(DAF)).is_ok_and(|stat| stat.kind != FileKind::Directory)
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The axis files that an array with this name would have.
fn axes_by_name(path: &Path) -> [Option<PathBuf>; 2] {
    const NONE: [Option<PathBuf>; 2] = [None, None];
    let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let Some(mark) = name.iter().position(|byte| *byte == b'#') else { return NONE };
    let axes: Vec<_> = name[..mark].split(|byte| *byte == b',').collect();
    if axes.len() > 2 || axes.iter().any(|axis| axis.is_empty()) || mark + 1 == name.len() {
        return NONE;
    }
    let file =
        |axis: &&[u8]| directory(path).join(with_suffix(Path::new(OsStr::from_bytes(axis)), AXIS_FILE));
    [axes.first().map(file), axes.get(1).map(file)]
}

/// The name of the axis with this file. None if it is not valid UTF-8.
pub(super) fn axis_name(file: &Path) -> Option<Box<str>> {
    file.file_name()?.to_str()?.strip_suffix(AXIS_FILE).map(Into::into)
}
