//! Permissions: the modes and owners of the store, taken over and never extended.

use nix::unistd::{Gid, getegid, geteuid, getgroups};

/// The header of a supported access control list.
const ACL_VERSION: [u8; 4] = 2u32.to_le_bytes();
/// Size of an entry in bytes: a tag and a mode of two bytes each, and the ID of the user or group.
const ACL_ENTRY: usize = 8;
const ACL_USER: u8 = 0x02;
const ACL_GROUP_OBJ: u8 = 0x04;
const ACL_GROUP: u8 = 0x08;
const ACL_MASK: u8 = 0x10;
const ACL_OTHER: u8 = 0x20;

/// Owner and mode of a file, as in `stat`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Permissions {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Permissions {
    /// The same permissions without write, set-ID and sticky bits.
    pub const fn read_only(self) -> Self {
        Self { mode: self.mode & 0o555, ..self }
    }

    /// The permissions of a directory that shows a file with these permissions. Users who may read the file
    /// may enter the directory.
    pub const fn as_folder(self) -> Self {
        let read = self.mode & 0o444;
        Self { mode: read | read >> 2, ..self }
    }

    /// The permissions for a reader who needs both this file and `other`.
    pub fn and(self, other: &Self) -> Self {
        Self { mode: self.mode & other.mode_for(&self), ..self }
    }

    /// Whether this program's user is the owner and not root.
    pub fn is_own(&self) -> bool {
        let user = geteuid();
        !user.is_root() && user.as_raw() == self.uid
    }

    /// Whether this program's user may search a directory with these permissions.
    pub fn let_us_in(&self) -> bool {
        let is_of_group = || {
            let group = Gid::from_raw(self.gid);
            getegid() == group || getgroups().is_ok_and(|groups| groups.contains(&group))
        };
        let class = match geteuid() {
            user if user.is_root() => return true,
            user if user.as_raw() == self.uid => 6,
            _ if is_of_group() => 3,
            _ => 0,
        };
        self.mode >> class & 1 == 1
    }

    /// These permissions behind a directory on the path. Without search permission on it, there are none.
    pub fn behind(self, directory: &Self) -> Self {
        let search = directory.mode_for(&self) & 0o111;
        Self { mode: self.mode & (search | search << 1 | search << 2), ..self }
    }

    /// These permissions restricted by an access control list in the form of `system.posix_acl_access`
    /// (`linux/posix_acl_xattr.h`). A mode cannot express the list, so it is restricted to what every entry
    /// grants. A user whom an entry denies must not gain access as a member of the group, or as one of the
    /// others.
    pub fn with_acl(self, acl: &[u8]) -> Self {
        let narrow = |mode| Self { mode: self.mode & mode, ..self };
        let entries = acl.strip_prefix(&ACL_VERSION).map(<[u8]>::as_chunks::<ACL_ENTRY>);
        // An unknown list may deny anyone, so only the owner keeps access.
        let Some((entries, [])) = entries else { return narrow(0o7700) };
        let entries = entries.iter().map(|[tag, _, mode, ..]| (*tag, u32::from(*mode & 7)));
        let all = |wanted: &[u8]| {
            entries.clone().filter(|(tag, _)| wanted.contains(tag)).fold(7, |modes, (_, mode)| modes & mode)
        };
        let group = all(&[ACL_USER, ACL_GROUP_OBJ, ACL_MASK]);
        let named = all(&[ACL_USER, ACL_GROUP]) & all(&[ACL_MASK]);
        let is_named = entries.clone().any(|(tag, _)| [ACL_USER, ACL_GROUP].contains(&tag));
        let other = all(&[ACL_OTHER]) & if is_named { named } else { 7 };
        narrow(0o7700 | group << 3 | other)
    }

    /// The permissions that the owner, the group and all others of `whose` are sure to have here.
    ///
    /// If the owners or groups differ, it is unknown in which class of this file a user is. Then only what
    /// each possible class grants is sure.
    fn mode_for(&self, whose: &Self) -> u32 {
        let (owner, group, other) = (self.mode >> 6 & 7, self.mode >> 3 & 7, self.mode & 7);
        let same_group = self.gid == whose.gid;
        let same_owner = self.uid == whose.uid;
        let for_group = if same_group { group } else { group & other };
        let for_owner = if same_owner { owner } else { group & other };
        // A member of this file's group may be among the others there.
        let for_other = if same_group { other } else { group & other };
        for_owner << 6 | for_group << 3 | for_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn permissions(mode: u32, uid: u32, gid: u32) -> Permissions {
        Permissions { mode, uid, gid }
    }

    #[test]
    fn writing_goes_and_reading_a_file_is_entering_its_folder() {
        assert_eq!(permissions(0o4764, 1, 1).read_only().mode, 0o544);
        assert_eq!(permissions(0o640, 1, 1).as_folder().mode, 0o550);
    }

    #[test]
    fn two_sources_give_what_both_give() {
        assert_eq!(permissions(0o644, 1, 1).and(&permissions(0o600, 1, 1)).mode, 0o600);
        assert_eq!(permissions(0o644, 1, 1).and(&permissions(0o600, 2, 1)).mode, 0);
        assert_eq!(permissions(0o444, 1, 1).and(&permissions(0o644, 2, 2)).mode, 0o444);
        assert_eq!(permissions(0o444, 1, 1).and(&permissions(0o604, 2, 2)).mode, 0);
    }

    #[test]
    fn a_list_narrows_the_mode_to_what_every_entry_gives() {
        let acl = |entries: &[(u8, u8)]| {
            let entries = entries.iter().flat_map(|(tag, mode)| [*tag, 0, *mode, 0, 1, 2, 3, 4]);
            ACL_VERSION.into_iter().chain(entries).collect::<Vec<u8>>()
        };
        let owner = 0x01;
        let mode = |acl: &[u8]| permissions(0o644, 1, 1).with_acl(acl).mode;
        assert_eq!(mode(&acl(&[(owner, 6), (ACL_GROUP_OBJ, 4), (ACL_OTHER, 4)])), 0o644);
        // A denied user may be a member of the group, or one of the others.
        let denied = [(owner, 6), (ACL_USER, 0), (ACL_GROUP_OBJ, 4), (ACL_MASK, 4), (ACL_OTHER, 4)];
        assert_eq!(mode(&acl(&denied)), 0o600);
        // Someone in a denied group may also be in the file's group, and may then read.
        let denied = [(owner, 6), (ACL_GROUP_OBJ, 4), (ACL_GROUP, 0), (ACL_MASK, 4), (ACL_OTHER, 4)];
        assert_eq!(mode(&acl(&denied)), 0o640);
        // The mode of such a file shows the mask. The group itself has no permission.
        let others = [(owner, 6), (ACL_USER, 4), (ACL_GROUP_OBJ, 0), (ACL_MASK, 4), (ACL_OTHER, 4)];
        assert_eq!(mode(&acl(&others)), 0o604);
        for broken in [&b""[..], b"\x02\0\0", b"\x02\0\0\0\x01", b"\x03\0\0\0", &[255; 12]] {
            assert_eq!(mode(broken), 0o600, "{broken:?}");
        }
    }

    #[test]
    fn a_closed_directory_closes_what_is_behind_it() {
        assert_eq!(permissions(0o755, 1, 1).behind(&permissions(0o700, 1, 1)).mode, 0o700);
        assert_eq!(permissions(0o755, 1, 1).behind(&permissions(0o711, 0, 0)).mode, 0o755);
        assert_eq!(permissions(0o755, 1, 1).behind(&permissions(0o700, 0, 0)).mode, 0);
    }
}
