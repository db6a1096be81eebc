//! The files of a format that is a folder: each is looked at, and there are no others.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::npy::expect;
use super::reader::FileReader;
use super::{Content, Fault, Shown, Verified};
use crate::vfile::VirtualFile;

/// The files of a folder, and which of them were looked at.
pub(super) struct Files<'a> {
    files: Vec<(&'a str, &'a VirtualFile)>,
    seen: RefCell<BTreeSet<String>>,
    progress: &'a dyn Fn(u64),
}

impl<'a> Files<'a> {
    pub fn of(shown: &'a Shown<'_>) -> Result<Self, Fault> {
        let Content::Folder(members) = &shown.content else {
            return Err(Fault("a file where there should be a folder".into()));
        };
        let nodes = (0..crate::view::Members::MOST).filter_map(|i| members.get(i));
        let files = nodes.filter_map(|(path, file)| Some((path, file?))).collect();
        Ok(Self { files, seen: RefCell::default(), progress: shown.progress })
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|(other, _)| *other == path)
    }

    /// A file.
    pub fn get(&self, path: &str) -> Result<&'a VirtualFile, Fault> {
        self.seen.borrow_mut().insert(path.to_owned());
        let found = self.files.iter().find(|(other, _)| *other == path);
        found.map(|(_, file)| *file).ok_or_else(|| Fault(format!("there is no {path}")))
    }

    /// A file to be read from its start.
    pub fn open(&self, path: &str) -> Result<FileReader<'a>, Fault> {
        Ok(FileReader::new(self.get(path)?, self.progress))
    }

    /// All of a file, which is to be small.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Fault> {
        /// The most bytes of a file of metadata.
        const MOST: u64 = 1 << 20;
        let file = self.get(path)?;
        expect(&format!("bytes of {path}, at most {MOST}"), &file.len().min(MOST), &file.len())?;
        let mut bytes = vec![0; usize::try_from(file.len())?];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// That all files were looked at.
    pub fn expect_no_others(&self) -> Verified {
        let seen = self.seen.borrow();
        match self.files.iter().find(|(path, _)| !seen.contains(*path)) {
            None => Ok(()),
            Some((path, _)) => Err(Fault(format!("{path} should not be there"))),
        }
    }
}
