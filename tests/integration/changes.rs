//! Changes of directories: links, moves and replacements, and more changes at once than inotify reports.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{Mount, wait_until, write_dense};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::tempdir;

/// An array of 8 rows whose bytes are all this one.
fn write(path: &Path, byte: u8) {
    write_dense(path, "uint8", &[8, 16]);
    let aside = path.with_extension("aside");
    fs::write(&aside, [byte; 128]).unwrap();
    fs::rename(aside, path.with_extension("array")).unwrap();
}

fn shows(mount: &Mount, row: &str, byte: u8) -> bool {
    fs::read(mount.join(row)).is_ok_and(|bytes| bytes == [byte; 16])
}

/// How soon a change shows, as the median of some.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

// Promise: A directory that is linked, moved, or re-created under its name is watched like any other.
#[test]
fn directories_are_watched_whatever_their_names() {
    let store = tempdir().unwrap();
    let at = |path: &str| store.path().join(path);
    fs::create_dir_all(at("real/deep")).unwrap();
    write(&at("real/deep/x"), 1);
    symlink("real/deep", at("link")).unwrap();
    let mount = Mount::new(store.path());
    let ways = ["real/deep/x/rows/3", "link/x/rows/3"];
    assert!(ways.iter().all(|way| shows(&mount, way, 1)));
    let change = |from: u8, way: &str| {
        let times = (from..from + 5).map(|byte| {
            write(&at("real/deep/x"), byte);
            let start = Instant::now();
            wait_until("the change shows", || shows(&mount, way, byte));
            start.elapsed()
        });
        median(times.collect())
    };
    for (i, way) in (1u8..).zip(ways) {
        let time = change(i * 10, way);
        // Without a watch it takes as long as names are taken for granted.
        assert!(time < Duration::from_millis(500), "{way}: {time:?}");
    }
    // Another directory of the same name.
    fs::rename(at("real/deep"), at("real/away")).unwrap();
    fs::create_dir(at("real/deep")).unwrap();
    write(&at("real/deep/x"), 40);
    wait_until("the new directory shows", || shows(&mount, ways[0], 40));
    wait_until("and where it went", || shows(&mount, "real/away/x/rows/3", 20 + 4));
    let time = change(50, ways[0]);
    assert!(time < Duration::from_millis(500), "made anew: {time:?}");
}

// Promise: A replaced or deleted version is released once no program reads it, where the system reports changes: its disk space is free within seconds.
#[test]
fn what_was_moved_with_its_directory_and_replaced_is_let_go_of() {
    for options in [&[][..], &["--no-passthrough"]] {
        let store = tempdir().unwrap();
        let at = |path: &str| store.path().join(path);
        for (directory, name) in [("a", "x"), ("c", "y")] {
            fs::create_dir(at(directory)).unwrap();
            write(&at(directory).join(name), 1);
        }
        let mount = Mount::with(store.path(), options);
        assert!(shows(&mount, "a/x/rows/3", 1) && shows(&mount, "c/y/rows/3", 1));
        let [one, other] = ["a", "c"].map(at);
        let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
        let here = nix::fcntl::AT_FDCWD;
        nix::fcntl::renameat2(here, &one, here, &other, flags).unwrap();
        wait_until("they are exchanged", || shows(&mount, "a/y/rows/3", 1) && shows(&mount, "c/x/rows/3", 1));
        // Nobody looks where they were.
        write(&at("a/y"), 2);
        write(&at("c/x"), 2);
        let start = Instant::now();
        wait_until("what was replaced is let go of", || deleted_but_open(mount.server()) == 0);
        assert!(start.elapsed() < Duration::from_secs(4), "{options:?}: {:?}", start.elapsed());
    }
}

/// Number of files that the server has open whose names are gone.
fn deleted_but_open(server: u32) -> usize {
    let files = fs::read_dir(format!("/proc/{server}/fd")).unwrap();
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().ends_with(" (deleted)")).count()
}

// Promise: If more changes at once than the system can report, all changes show within seconds, and deleted files are released.
#[test]
fn changes_that_were_lost_show_all_the_same() {
    let store = tempdir().unwrap();
    let at = |path: &str| store.path().join(path);
    for name in ["x", "y"] {
        write(&at(name), 1);
    }
    let mount = Mount::new(store.path());
    assert!(shows(&mount, "x/rows/3", 1) && shows(&mount, "y/rows/3", 1));
    let server = mount.server();
    let signal = |signal| kill(Pid::from_raw(i32::try_from(server).unwrap()), signal).unwrap();
    signal(Signal::SIGSTOP);
    let most: usize =
        fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for i in 0..most {
        fs::write(at("noise"), [0]).unwrap();
        fs::rename(at("noise"), at(&format!("noise{}", i % 7))).unwrap();
    }
    write(&at("x"), 2);
    ["y.yaml", "y.array"].iter().for_each(|name| fs::remove_file(at(name)).unwrap());
    signal(Signal::SIGCONT);
    wait_until("the new array shows", || shows(&mount, "x/rows/3", 2));
    wait_until("the other is gone", || !mount.join("y").exists());
    wait_until("what is deleted is let go of", || deleted_but_open(server) == 0);
}

// Promise: The time to open a file does not depend on how many files its directory has, or how many come and go there.
#[test]
fn a_lookup_costs_a_lookup() {
    let store = tempdir().unwrap();
    let at = |path: &str| store.path().join(path);
    for i in 0..3000 {
        fs::write(at(&format!("a{i}.yaml")), "{version: [1, 0], dtype: uint8, shape: [1]}").unwrap();
        fs::write(at(&format!("a{i}.array")), [7]).unwrap();
    }
    for i in 0..20_000 {
        File::create(at(&format!("plain{i}"))).unwrap();
    }
    let mount = Mount::new(store.path());
    let look = |i: usize| {
        let start = Instant::now();
        assert_eq!(fs::read(mount.join(format!("a{i}/array"))).unwrap(), [7]);
        start.elapsed()
    };
    let quiet = median((0..100).map(look).collect());
    let churned = (100..200).map(|i| {
        fs::write(at(&format!("new{i}")), []).unwrap();
        look(i)
    });
    let churned = median(churned.collect());
    println!("a lookup takes {quiet:?}, beside changes {churned:?}");
    // To list the directory takes some tens of milliseconds.
    assert!(churned < 5 * quiet + Duration::from_millis(5), "{quiet:?} and {churned:?}");
}
