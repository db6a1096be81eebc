//! The threads that serve give up the rights that they do not need.
//!
//! They read the store, and nothing else of the file system. Where the kernel has Landlock it holds them to
//! that, whatever a fault of this program may lead them to: they can open no other file, write, make or
//! remove none, and reach nobody by TCP. It is a net beneath mistakes, not a wall against foreign code: the
//! thread that mounted keeps its rights, for it has to unmount, and shares their memory. The rights of root
//! remain as well, for passthrough needs them, and so does a store that only root may read.

use std::os::fd::AsFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

use crate::store::Store;

/// The kernel's interface that is used where it is there; of older ones, what they have.
const NEWEST: ABI = ABI::V5;

/// Confines the calling thread, and those that it starts from here on, to reading what is in the store, and to the device by which the kernel is answered. Tells whether the kernel holds it to that.
///
/// # Errors
///
/// What the kernel says, where it has Landlock and refuses.
pub(super) fn confine(store: &Store) -> Result<bool, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let answer = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .create()?
        // The directory that is open, wherever its path leads by now.
        .add_rule(PathBeneath::new(store.as_fd().as_fd(), read))?;
    // What cannot be opened cannot be answered by either: there is nothing to allow.
    if let Ok(device) = PathFd::new("/dev/fuse") {
        rules = rules.add_rule(PathBeneath::new(device, answer))?;
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind::PermissionDenied;

    use super::*;

    #[test]
    fn a_confined_thread_reads_the_store_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (store, outside) = (dir.path().join("store"), dir.path().join("outside"));
        fs::create_dir_all(store.join("sub")).unwrap();
        fs::write(store.join("sub/x"), "inside").unwrap();
        fs::write(&outside, "outside").unwrap();
        let confined = move || {
            let is_confined = confine(&Store::open(&store).unwrap()).unwrap();
            let denied =
                |result: std::io::Result<()>| result.is_err_and(|error| error.kind() == PermissionDenied);
            assert_eq!(fs::read(store.join("sub/x")).unwrap(), b"inside");
            assert_eq!(fs::read_dir(&store).unwrap().count(), 1);
            let refused = [
                denied(fs::write(store.join("sub/x"), "written")),
                denied(fs::write(store.join("new"), "written")),
                denied(fs::remove_file(store.join("sub/x"))),
                denied(fs::rename(store.join("sub/x"), store.join("sub/y"))),
                denied(File::open(&outside).map(drop)),
                denied(fs::read_dir("/etc").map(drop)),
                denied(std::thread::spawn(move || fs::read(outside).map(drop)).join().unwrap()),
            ];
            assert_eq!(refused, [is_confined; 7], "Landlock is {is_confined}");
        };
        std::thread::spawn(confined).join().unwrap();
        assert_eq!(fs::read(dir.path().join("outside")).unwrap(), b"outside", "other threads go on");
    }
}
