//! A compact, sorted list of the names in a directory, which may hold millions of files.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::store::{FileKind, Name};

/// Names with their file types.
#[derive(Debug)]
pub(super) struct Listed {
    /// All names, concatenated. One buffer needs much less memory than a string per name.
    text: Vec<u8>,
    /// For each name, its end in `text` and its file type.
    ends: Vec<(usize, FileKind)>,
}

impl Listed {
    pub fn new(names: impl Iterator<Item = Name>) -> Self {
        let mut names: Vec<_> = names.map(|Name { name, kind }| (name.into_vec(), kind)).collect();
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut text = Vec::with_capacity(names.iter().map(|(name, _)| name.len()).sum());
        let ends = names.into_iter().map(|(name, kind)| {
            text.extend(name);
            (text.len(), kind)
        });
        let ends = ends.collect();
        Self { text, ends }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name at this position.
    pub fn name(&self, place: usize) -> Option<&OsStr> {
        let (end, _) = self.ends.get(place)?;
        let start =
            place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(start, _)| *start);
        self.text.get(start..*end).map(OsStr::from_bytes)
    }

    pub fn kind(&self, name: &OsStr) -> Option<FileKind> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let found = self.name(middle)?;
            match found.cmp(name) {
                std::cmp::Ordering::Equal => return self.ends.get(middle).map(|(_, kind)| *kind),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn names_are_in_order_and_found() {
        let names = ["b", "", "a.yaml", "b.array", "\u{e9}", "a"];
        let name = |name: &&str| Name { name: OsString::from(name), kind: FileKind::File };
        let listed = Listed::new(names.iter().map(name));
        let found: Vec<_> = (0..listed.len()).filter_map(|place| listed.name(place)).collect();
        assert_eq!(found, ["", "a", "a.yaml", "b", "b.array", "\u{e9}"]);
        assert!(names.iter().all(|name| listed.kind(OsStr::new(name)) == Some(FileKind::File)));
        for other in ["aa", "b.", "c", "\u{ea}"] {
            assert_eq!(listed.kind(OsStr::new(other)), None, "{other}");
        }
        assert_eq!(listed.name(listed.len()), None);
        assert_eq!(Listed::new(std::iter::empty()).kind(OsStr::new("a")), None);
    }
}
