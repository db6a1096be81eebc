//! A mount by a user who is not root, through `fusermount3`.
//!
//! Root sets up the conditions in a separate mount namespace, so that no other process sees them: a
//! `/dev/fuse` that all users may open, and an empty `/etc/fuse.conf`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::write_dense;
use tempfile::{TempDir, tempdir};

/// Runs lines of shell as root in such a namespace: `nobody` runs a command as one who is not, `$A` is the program,
/// `$S` a store and `$M` a directory to mount on.
fn shell(lines: &str) -> Option<(TempDir, Output)> {
    if !nix::unistd::geteuid().is_root() {
        crate::common::say_skipped("a namespace with a /dev/fuse for all needs root");
        return None;
    }
    let work = tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    open(work.path());
    // Where others can reach it.
    fs::copy(env!("CARGO_BIN_EXE_arrayfs"), work.path().join("arrayfs")).unwrap();
    fs::create_dir(work.path().join("store")).unwrap();
    open(&work.path().join("store"));
    write_dense(&work.path().join("store/x"), "int32", &[30, 10]);
    let prepared = format!(
        "set -e; cd /; W={}; A=$W/arrayfs S=$W/store M=$W/mount
        mkdir $M; chown 65534:65534 $M
        mknod -m 666 $W/fuse c 10 229; mount --bind $W/fuse /dev/fuse
        : > $W/fuse.conf; [ ! -e /etc/fuse.conf ] || mount --bind $W/fuse.conf /etc/fuse.conf
        nobody() {{ setpriv --reuid=65534 --regid=65534 --clear-groups -- \"$@\"; }}
        {lines}",
        work.path().display()
    );
    let mut command = Command::new("unshare");
    let output = command.args(["--mount", "sh", "-c", &prepared]).env_remove("RUST_LOG").output().unwrap();
    Some((work, output))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

// Promise: A user other than root mounts by `fusermount3`, without passthrough, and is told so once.
#[test]
fn who_is_not_root_mounts_without_passthrough() {
    let lines = "nobody $A mount $S $M
        nobody cat $M/.arrayfs/mount.yaml
        nobody sh -c \"cat $M/x/rows/*\" | cmp - $S/x.array
        nobody cat $M/x/array | cmp - $S/x.array
        nobody ls $M/x/rows | wc -l
        nobody $A unmount $M
        ! grep -q $M /proc/self/mountinfo
        nobody $A mount $S $M 2> /dev/null
        pkill -KILL -f \"background-child.*$M\"; sleep 0.2
        nobody $A mount $S $M
        nobody cmp $M/x/array $S/x.array
        nobody $A unmount $M";
    let Some((_work, output)) = shell(lines) else { return };
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.starts_with("passthrough: false\npassthrough_why: \"only root may use it\"\n"), "{said}");
    assert!(said.ends_with("\n30\n"), "{said}");
    let warned: Vec<_> = text(&output.stderr).lines().collect();
    let [first, cleared, again] = &warned[..] else { panic!("{warned:?}") };
    assert!(
        first.contains("no passthrough: only root may use it") && again.contains("no passthrough"),
        "{warned:?}"
    );
    assert!(cleared.contains("cleared a dead mount"), "{warned:?}");
}

#[test]
fn what_is_missing_is_told_in_a_line_with_what_to_do() {
    let cases = [
        ("nobody $A mount --allow-other $S $M", "user_allow_other"),
        ("chmod 600 $W/fuse; nobody $A mount $S $M", "/dev/fuse"),
    ];
    for (line, told) in cases {
        let Some((_work, output)) = shell(&format!("{line} && exit 9; exit 0")) else { return };
        assert!(output.status.success(), "{line}: {output:?}");
        let said = text(&output.stderr);
        let words: Vec<_> = said.lines().filter(|line| !line.contains("no passthrough")).collect();
        assert!(words.len() == 1 && words[0].contains(told), "{line}: {said}");
    }
}

// Promise: The user who mounts can read `.arrayfs` even when the store is closed to them, or gone.
#[test]
fn the_reports_are_readable_when_the_store_is_closed() {
    let lines = "mkdir $W/above; mv $S $W/above/store; S=$W/above/store; chown -R 65534:65534 $S
        nobody $A mount $S $M
        nobody cmp $M/x/array $S/x.array
        nobody cmp $M/x/rows/03.npy $M/x/rows/03.npy
        for closed in $W/above $S; do
            chmod 0 $closed; sleep 2
            ! nobody cat $M/x/array > /dev/null 2>&1
            ! nobody cat $M/x/rows/03.npy > /dev/null 2>&1
            ! nobody ls -A $M 2> /dev/null
            nobody cat $M/.arrayfs/mount.yaml > /dev/null
            nobody cat $M/.arrayfs/errors.yaml
            chmod 755 $closed; sleep 2
            nobody cat $M/x/array | cmp - $S/x.array
        done
        nobody $A unmount $M";
    let Some((_work, output)) = shell(lines) else { return };
    assert!(output.status.success(), "{output:?}");
    let said: Vec<_> = text(&output.stdout).lines().collect();
    let [above, own] = said[..] else { panic!("{said:?}") };
    assert_eq!(above, "{}", "the daemon itself is in the store, and sees it");
    assert!(own.contains("cannot list") && own.contains("Permission denied"), "{own}");
}

#[test]
fn who_mounts_by_the_right_of_a_group_reads() {
    let lines = "mkdir $W/group; mv $S $W/group/store; S=$W/group/store
        chown 0:65534 $W/group; chmod 2770 $W/group; chown -R 65534:65534 $S
        nobody $A mount $S $M
        nobody cmp $M/x/array $S/x.array
        nobody $A unmount $M";
    let Some((_work, output)) = shell(lines) else { return };
    assert!(output.status.success(), "{output:?}");
}
