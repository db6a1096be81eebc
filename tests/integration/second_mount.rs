//! A mount by root contains an inner mount, the target of links. These tests unmount only one of the two.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Mount, wait_until, write_dense};
use tempfile::{TempDir, tempdir};

/// A mount that has another inside.
fn pair(store: &Path) -> Option<Mount> {
    let mount = Mount::new(store);
    let is_pair = says_passthrough(&mount);
    if !is_pair {
        crate::common::say_skipped("only root has a mount inside the mount");
    }
    is_pair.then_some(mount)
}

fn says_passthrough(mount: &Mount) -> bool {
    mount.read(".arrayfs/mount.yaml").starts_with(b"passthrough: true\n")
}

fn system(program: &str, args: &[&str], path: &Path) -> bool {
    Command::new(program).args(args).arg(path).output().unwrap().status.success()
}

fn device(path: &Path) -> u64 {
    nix::sys::stat::minor(fs::metadata(path).unwrap().dev())
}

/// Where connections can be ended from outside.
struct Connections(TempDir);

impl Connections {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        assert!(system("mount", &["-t", "fusectl", "fusectl"], dir.path()));
        Self(dir)
    }

    fn end(&self, device: u64) {
        fs::write(self.0.path().join(format!("{device}/abort")), "1").unwrap();
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        system("umount", &[], self.0.path());
    }
}

// Promise: If root's inner mount is unmounted, `.arrayfs/mount.yaml` says so, and it is mounted again within seconds.
#[test]
fn the_inner_mount_is_made_anew() {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("x"), "uint8", &[10, 100]);
    let Some(mount) = pair(store.path()) else { return };
    let (connections, inner) = (Connections::new(), mount.join(".arrayfs/tree"));
    type Take<'t> = &'t dyn Fn();
    let ways: [(&str, Take<'_>); 4] = [
        ("unmounted", &|| assert!(system("umount", &[], &inner))),
        ("detached", &|| assert!(system("umount", &["-l"], &inner))),
        ("ended", &|| connections.end(device(&inner.join("x")))),
        ("detached again", &|| assert!(system("umount", &["-l"], &inner))),
    ];
    for (what, take) in ways {
        let row = File::open(mount.join("x/rows/3")).unwrap();
        let is_read = |row: &File| {
            let mut read = [0; 100];
            row.read_exact_at(&mut read, 0).is_ok() && read[..] == bytes[300..400]
        };
        assert!(is_read(&row));
        // Only who detaches can leave readers behind.
        let row = what.starts_with("detached").then_some(row);
        take();
        wait_until(&format!("{what}: it is told"), || !says_passthrough(&mount));
        let said = String::from_utf8(mount.read(".arrayfs/mount.yaml")).unwrap();
        assert!(said.contains("passthrough_why: \"the mount in .arrayfs/tree was taken away"), "{said}");
        assert_eq!(mount.read("x/array"), bytes, "{what}: the outer one serves on");
        wait_until(&format!("{what}: it is made anew"), || says_passthrough(&mount));
        assert_eq!(mount.read("x/rows/3"), bytes[300..400], "{what}");
        assert_eq!(mount.list("x/rows/").len(), 10, "{what}");
        if let Some(row) = row {
            assert!(is_read(&row), "{what}: who has a file open reads on");
        }
    }
    // The new one is told of changes too.
    fs::write(store.path().join("new"), [7; 1000]).unwrap();
    fs::rename(store.path().join("new"), store.path().join("x.array")).unwrap();
    wait_until("the row is new", || mount.read("x/rows/3") == [7; 100]);
}

// Promise: Unmounting by any means ends the daemon.
#[test]
fn both_mounts_go_and_stay_gone_when_both_are_unmounted() {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("x"), "uint8", &[10, 100]);
    let is_gone = |server: u32| {
        let status = fs::read_to_string(format!("/proc/{server}/stat")).unwrap_or_default();
        status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
    };
    let is_mounted = |mount: &Mount| {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.contains(mount.path().to_str().unwrap())
    };
    for args in [&["-R"][..], &["-l", "-R"], &["-l"]] {
        let Some(mount) = pair(store.path()) else { return };
        mount.read("x/rows/3");
        let server = mount.server();
        assert!(system("umount", args, mount.path()), "{args:?}");
        assert!(!is_mounted(&mount), "{args:?}");
        wait_until("the server has ended", || is_gone(server));
        assert!(!is_mounted(&mount), "{args:?}");
    }
    // An outer one that nobody serves is taken away, and the inner with it.
    let Some(mount) = pair(store.path()) else { return };
    let (server, connections) = (mount.server(), Connections::new());
    connections.end(device(&mount.join("x")));
    wait_until("the server has ended", || is_gone(server));
    wait_until("nothing is mounted", || !is_mounted(&mount));
}

/// Directories to mount on.
fn places<const N: usize>(names: [&str; N]) -> (TempDir, [PathBuf; N]) {
    let dir = tempdir().unwrap();
    let paths = names.map(|name| dir.path().join(name));
    paths.iter().for_each(|path| fs::create_dir(path).unwrap());
    (dir, paths)
}

/// What is mounted for a test by the system's own program.
struct Mounted<'p>(&'p Path);

impl<'p> Mounted<'p> {
    fn new(args: &[&str], path: &'p Path) -> Self {
        let output = Command::new("mount").args(args).arg(path).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        Self(path)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        system("umount", &["-l"], self.0);
    }
}

/// Mounts an overlay of `lower` on `path`, with what it needs in the empty `upper`.
fn overlay<'p>(lower: &Path, upper: &Path, path: &'p Path) -> Mounted<'p> {
    let [upper, work] = ["upper", "work"].map(|name| upper.join(name));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    Mounted::new(&["-t", "overlay", "-o", &options, "overlay"], path)
}

// Promise: Another file system such as overlayfs can be mounted on top, and the store may lie on one.
#[test]
fn overlays_above_and_below() {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("x"), "uint8", &[10, 100]);
    let Some(mount) = pair(store.path()) else { return };
    let (_dir, [disk, disk2, above, below]) = places(["disk", "disk2", "above", "below"]);
    let _tmpfs = [&disk, &disk2].map(|disk| Mounted::new(&["-t", "tmpfs", "tmpfs"], disk));
    let above = overlay(mount.path(), &disk, &above);
    assert_eq!(fs::read(above.0.join("x/array")).unwrap(), bytes);
    assert!(fs::read(above.0.join("x/array.npy")).unwrap().ends_with(&bytes));
    fs::write(above.0.join("x/note"), "writable").unwrap();
    assert_eq!(fs::read(above.0.join("x/note")).unwrap(), b"writable");

    let below = overlay(store.path(), &disk2, &below);
    let mount = Mount::new(below.0);
    assert!(says_passthrough(&mount));
    let mut file = File::open(mount.join("x/array")).unwrap();
    assert_eq!(mount.read("x/array"), bytes);
    // What the kernel reads by itself ends early; all else would be an error.
    File::options().write(true).open(below.0.join("x.array")).unwrap().set_len(500).unwrap();
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes[..500], "the kernel takes files of an overlay");
}

#[test]
fn a_bind_mount_takes_the_second_along_if_it_is_told_to() {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("x"), "uint8", &[10, 100]);
    let Some(mount) = pair(store.path()) else { return };
    let single = Mount::with(store.path(), &["--no-passthrough"]);
    let (_dir, [plain, recursive, of_single]) = places(["plain", "recursive", "single"]);
    let bind = |how: &'static str, from: &Mount, to| Mounted::new(&[how, from.path().to_str().unwrap()], to);
    let plain = bind("--bind", &mount, &plain);
    assert_eq!(fs::read(plain.0.join("x/array")).unwrap(), bytes);
    assert!(!plain.0.join("x/rows/3").exists(), "as the README says");
    for bound in [bind("--rbind", &mount, &recursive), bind("--bind", &single, &of_single)] {
        assert_eq!(fs::read(bound.0.join("x/array")).unwrap(), bytes);
        assert_eq!(fs::read(bound.0.join("x/rows/3")).unwrap(), bytes[300..400]);
    }
}
