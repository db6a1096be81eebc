//! The files of a format that is a directory. Each must be verified, and no others may exist.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::compare::expect;
use super::reader::FileReader;
use super::{Mismatch, Shown, Verified};
use crate::bytes::virtual_file::VirtualFile;
use crate::encode::Rendered;
use crate::encode::members::Members;

/// The files of a directory, and which of them were opened.
pub(crate) struct Files<'a> {
    members: &'a Members,
    seen: RefCell<BTreeSet<u64>>,
    progress: &'a dyn Fn(u64),
}

impl<'a> Files<'a> {
    pub(crate) fn of(shown: &'a Shown<'_>) -> Result<Self, Mismatch> {
        let Rendered::Directory(members) = &shown.content else {
            return Err(Mismatch("a file where there should be a folder".into()));
        };
        Ok(Self { members, seen: RefCell::default(), progress: shown.progress })
    }

    /// The number of a file. Walks from directory to directory, as programs do.
    fn find(&self, path: &str) -> Option<u64> {
        let walk = path.split('/').try_fold(None, |folder, name| self.members.child(folder, name).map(Some));
        walk.flatten()
    }

    /// Whether this file exists.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// The file, which is marked as verified.
    pub(crate) fn get(&self, path: &str) -> Result<VirtualFile, Mismatch> {
        let lost = || Mismatch(format!("there is no {path}"));
        let number = self.find(path).ok_or_else(lost)?;
        self.seen.borrow_mut().insert(number);
        let member = self.members.get(number).ok_or_else(lost)?;
        expect("path", &member.path[..], path)?;
        member.file.ok_or_else(|| Mismatch(format!("{path} is a folder")))
    }

    /// The file, open at its start.
    pub(crate) fn open(&self, path: &str) -> Result<FileReader<'a>, Mismatch> {
        Ok(FileReader::new(self.get(path)?, self.progress))
    }

    /// The content of a file, which must be small.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, Mismatch> {
        /// The most bytes of a metadata file.
        const MOST: u64 = 1 << 20;
        let file = self.get(path)?;
        expect(&format!("bytes of {path}, at most {MOST}"), &file.len().min(MOST), &file.len())?;
        let mut bytes = vec![0; usize::try_from(file.len())?];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Fails if there is a file that was not opened.
    pub(crate) fn expect_no_others(&self) -> Verified {
        let seen = self.seen.borrow();
        let others = (0..self.members.count()).filter(|number| !seen.contains(number));
        let mut others = others.filter_map(|number| self.members.get(number));
        match others.find(|member| member.file.is_some()) {
            None => Ok(()),
            Some(member) => Err(Mismatch(format!("{} should not be there", member.path))),
        }
    }
}
