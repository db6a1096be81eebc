//! Symbolic links in a store. The server resolves them itself, so that none leads into the store's own mount,
//! which would make it wait for itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Mount, write_dense};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::tempdir;

const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];

/// Programs that look at files of a mount all at once, each of which ends by itself.
struct Lookers<'m> {
    mount: &'m Mount,
    running: Vec<Child>,
}

impl<'m> Lookers<'m> {
    fn start(mount: &'m Mount, paths: &[PathBuf]) -> Self {
        let look = |path: &PathBuf| {
            let mut command = Command::new("cat");
            command.arg(mount.join(path)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        };
        Self { mount, running: paths.iter().map(look).collect() }
    }

    /// How many of them could read their file.
    fn successes(mut self) -> usize {
        let start = Instant::now();
        let mut successes = 0;
        while !self.running.is_empty() {
            self.running.retain_mut(|child| match child.try_wait().unwrap() {
                Some(status) => {
                    successes += usize::from(status.success());
                    false
                }
                None => true,
            });
            if start.elapsed() > Duration::from_secs(30) {
                // Nothing else frees who waits in the kernel.
                kill(Pid::from_raw(self.mount.server() as i32), Signal::SIGKILL).unwrap();
                panic!("{} readers hang", self.running.len());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        successes
    }
}

// Promise: A link into the mount of its own store is broken like any link that leads out of the store, and blocks nobody.
#[test]
fn links_into_their_own_mount_are_broken_and_hold_up_nobody() {
    for options in MODES {
        let store = tempdir().unwrap();
        let bytes = write_dense(&store.path().join("x"), "int16", &[64, 3]);
        let mount = Mount::with(store.path(), options);
        let to_mount =
            |name: &str, target: &str| symlink(mount.join(target), store.path().join(name)).unwrap();
        to_mount("straight", "straight");
        to_mount("circle-a", "circle-b");
        to_mount("circle-b", "circle-a");
        to_mount("root", "");
        to_mount("reports", ".arrayfs/errors.yaml");
        to_mount("inner", ".arrayfs/tree/x/rows/00");
        symlink("root/x/array", store.path().join("by-way-of-another")).unwrap();
        let up = PathBuf::from("../../../../../../../..");
        let relative = up.join(mount.path().strip_prefix("/").unwrap());
        symlink(relative.join("x"), store.path().join("climbs")).unwrap();
        symlink(mount.join("x.array"), store.path().join("y.array")).unwrap();
        fs::copy(store.path().join("x.yaml"), store.path().join("y.yaml")).unwrap();
        for row in 0..64 {
            to_mount(&format!("row{row}"), &format!("x/rows/{row}.csv"));
        }
        let broken: Vec<PathBuf> =
            fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
        let broken: Vec<PathBuf> =
            broken.into_iter().filter(|name| !name.to_string_lossy().contains('.')).collect();
        assert_eq!(broken.len(), 8 + 64);
        for _ in 0..2 {
            assert_eq!(Lookers::start(&mount, &broken).successes(), 0, "{options:?}");
        }
        let others: Vec<PathBuf> =
            ["x/array", "x/rows/01", "x/array.csv", ".arrayfs/errors.yaml"].map(PathBuf::from).into();
        assert_eq!(Lookers::start(&mount, &others).successes(), others.len(), "{options:?}");
        assert_eq!(mount.read("x/array"), bytes);
        let faults = mount.faults();
        for name in broken.iter().chain([&PathBuf::from("y")]) {
            let why = &faults[name.to_str().unwrap()];
            assert!(why.contains("leads out of the store"), "{}: {why}", name.display());
        }
        assert_eq!(mount.list(""), ["x"]);
    }
}

// Promise: A symbolic link is followed inside the store, and never leads out of it.
#[test]
fn links_are_followed_by_the_paths_that_the_store_has() {
    let dir = tempdir().unwrap();
    let store = dir.path().join("store");
    fs::create_dir_all(store.join("sub/below")).unwrap();
    symlink("store", dir.path().join("alias")).unwrap();
    fs::write(store.join("plain"), "plain").unwrap();
    let link = |name: &str, target: &Path| symlink(target, store.join(name)).unwrap();
    let real = store.canonicalize().unwrap();
    // The store is mounted by its alias, so both of its paths are known.
    let followed = [
        ("by-path", real.join("plain")),
        ("by-alias", dir.path().join("alias/plain")),
        ("by-alias-and-up", dir.path().join("alias/sub/below/../../plain")),
        ("out-and-back", Path::new("../store/plain").to_owned()),
        (
            "far-out-and-back",
            Path::new("../../../../../../..").join(real.join("plain").strip_prefix("/").unwrap()),
        ),
        ("crooked", Path::new("sub/./below//../../plain").to_owned()),
    ];
    let broken = [
        ("by-another-name", dir.path().join("sub-alias/plain"), "leads out of the store"),
        ("to-the-store-and-out", real.join("../store2/plain"), "leads out of the store"),
        ("above", dir.path().to_owned(), "leads out of the store"),
        ("through-a-file", Path::new("plain/../plain").to_owned(), "leads nowhere"),
        ("through-nothing", Path::new("none/../plain").to_owned(), "leads nowhere"),
    ];
    symlink("alias", dir.path().join("sub-alias")).unwrap();
    for (name, target) in &followed {
        link(name, target);
    }
    for (name, target, _) in &broken {
        link(name, target);
    }
    // As many as the kernel follows, and one more.
    for number in 1..=40 {
        let target = if number == 1 { "plain".to_owned() } else { format!("chain{}", number - 1) };
        link(&format!("chain{number}"), Path::new(&target));
    }
    link("chain41", Path::new("chain40"));
    let mount = Mount::new(&dir.path().join("alias"));
    for name in followed.iter().map(|(name, _)| *name).chain(["chain1", "chain40"]) {
        assert_eq!(mount.read(name), b"plain", "{name}");
        assert_eq!(fs::read(store.join(name)).unwrap(), b"plain", "{name}: the store itself");
    }
    let faults = mount.faults();
    for (name, why) in broken.iter().map(|(name, _, why)| (*name, *why)).chain([("chain41", "in a circle")]) {
        assert_eq!(mount.read_error(name), libc::ENOENT, "{name}");
        assert!(faults[name].contains(why), "{name}: {}", faults[name]);
    }
    assert_eq!(faults.len(), broken.len() + 1, "{faults:#?}");
}
