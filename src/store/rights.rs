//! Who may read what: the modes and owners of the store, carried over and never widened.

/// Owner and mode of a file, as `stat` gives them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rights {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Rights {
    /// The same rights without the right to write, and without set-id and sticky bits.
    pub const fn read_only(self) -> Self {
        Self { mode: self.mode & 0o555, ..self }
    }

    /// The rights to a folder that shows a file with these rights: who may read may enter.
    pub const fn as_folder(self) -> Self {
        let read = self.mode & 0o444;
        Self { mode: read | read >> 2, ..self }
    }

    /// The rights of someone who needs both this file and `other`.
    pub fn and(self, other: &Self) -> Self {
        Self { mode: self.mode & other.mode_for(&self), ..self }
    }

    /// These rights, behind a directory that has to be passed first: who may not search it gets
    /// nothing.
    pub fn behind(self, directory: &Self) -> Self {
        let search = directory.mode_for(&self) & 0o111;
        Self { mode: self.mode & (search | search << 1 | search << 2), ..self }
    }

    /// What the owner, the group and all others of `whose` surely have here.
    ///
    /// Where the owners or the groups differ, nobody knows which class of this file someone falls
    /// into: then only what each class that it could be has is sure.
    fn mode_for(&self, whose: &Self) -> u32 {
        let (owner, group, other) = (self.mode >> 6 & 7, self.mode >> 3 & 7, self.mode & 7);
        let same_group = self.gid == whose.gid;
        let same_owner = self.uid == whose.uid;
        let for_group = if same_group { group } else { group & other };
        let for_owner = if same_owner { owner } else { group & other };
        // A member of this file's group may be one of the others there.
        let for_other = if same_group { other } else { group & other };
        for_owner << 6 | for_group << 3 | for_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rights(mode: u32, uid: u32, gid: u32) -> Rights {
        Rights { mode, uid, gid }
    }

    #[test]
    fn writing_goes_and_reading_a_file_is_entering_its_folder() {
        assert_eq!(rights(0o4764, 1, 1).read_only().mode, 0o544);
        assert_eq!(rights(0o640, 1, 1).as_folder().mode, 0o550);
    }

    #[test]
    fn two_sources_give_what_both_give() {
        assert_eq!(rights(0o644, 1, 1).and(&rights(0o600, 1, 1)).mode, 0o600);
        assert_eq!(rights(0o644, 1, 1).and(&rights(0o600, 2, 1)).mode, 0);
        assert_eq!(rights(0o444, 1, 1).and(&rights(0o644, 2, 2)).mode, 0o444);
        assert_eq!(rights(0o444, 1, 1).and(&rights(0o604, 2, 2)).mode, 0);
    }

    #[test]
    fn a_closed_directory_closes_what_is_behind_it() {
        assert_eq!(rights(0o755, 1, 1).behind(&rights(0o700, 1, 1)).mode, 0o700);
        assert_eq!(rights(0o755, 1, 1).behind(&rights(0o711, 0, 0)).mode, 0o755);
        assert_eq!(rights(0o755, 1, 1).behind(&rights(0o700, 0, 0)).mode, 0);
    }
}
