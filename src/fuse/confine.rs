//! Restricts the serving threads to what they need.
//!
//! They read the store and nothing else. On a kernel with Landlock, they can open no other file, cannot
//! write, create or remove any, and cannot use TCP, whatever bugs this program has. This limits the damage of
//! mistakes. It is no barrier against malicious code: the thread that mounted shares their memory and keeps
//! its permissions, because it has to unmount. Root also stays root, because passthrough needs it, and so
//! does a store that only root may read.

use std::os::fd::AsFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

use crate::store::Store;

/// The newest Landlock ABI that is used. On an older kernel, the features that it has are used.
const NEWEST: ABI = ABI::V5;

/// Restricts the calling thread, and all threads that it starts later, to reading the store and to the FUSE
/// device. Returns whether the kernel enforces this.
///
/// # Errors
///
/// Any error of the kernel if it supports Landlock.
pub(super) fn confine(store: &Store) -> Result<bool, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let answer = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .create()?
        // A rule for the open directory holds even if the directory moves.
        .add_rule(PathBeneath::new(store.as_fd().as_fd(), read))?;
    // Without the device there is no connection to serve, so no rule is needed.
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
