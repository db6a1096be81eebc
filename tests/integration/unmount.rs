//! Unmounting: it works at once, whatever the server does, and leaves nothing behind that hinders a later
//! mount.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Mount, arrayfs, run, wait_until, within, write_dense};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::{TempDir, tempdir};

const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];

fn is_mounted(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == path.to_str())
}

/// Whether a process runs; one that is dead and waits for its parent does not.
fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A server that does not answer for as long as this is there.
struct Stopped(u32);

impl Stopped {
    fn new(mount: &Mount) -> Self {
        let server = mount.server();
        kill(Pid::from_raw(server as i32), Signal::SIGSTOP).unwrap();
        Self(server)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0 as i32), Signal::SIGCONT);
    }
}

fn store() -> TempDir {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("x"), "int16", &[20, 30]);
    store
}

/// Starts a program that is waited for later.
fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a program, and fails when it hangs.
fn run_within(what: &str, command: &mut Command) -> Output {
    let child = start(command);
    within(60, what, move || child.wait_with_output().unwrap())
}

/// Where someone is who unmounts.
#[derive(Clone, Copy, Debug)]
enum Place {
    Outside,
    Root,
    Array,
}

impl Place {
    fn place(self, mount: &Path, outside: &Path) -> PathBuf {
        match self {
            Self::Outside => outside.to_owned(),
            Self::Root => mount.to_owned(),
            Self::Array => mount.join("x"),
        }
    }
}

/// From where a mount is unmounted, and how.
const WAYS: [(Place, &str); 6] = [
    (Place::Outside, "unmount MOUNT"),
    (Place::Outside, "umount MOUNT/./"),
    (Place::Outside, "unmount link"),
    (Place::Root, "unmount ."),
    (Place::Root, "unmount MOUNT/x/.."),
    (Place::Array, "unmount .."),
];

// Promise: `arrayfs unmount` works at once, whatever the daemon does, even if it is stopped or its store does not answer.
#[test]
fn a_stopped_server_is_unmounted_at_once() {
    let store = store();
    for options in MODES {
        for way in WAYS {
            let mount = Mount::with(store.path(), options);
            assert_eq!(mount.read("x/array").len(), 1200);
            let link = tempdir().unwrap();
            symlink(mount.path(), link.path().join("link")).unwrap();
            // It goes where it is to be before nobody can.
            let mut waiting = Command::new("sh")
                .args(["-c", "cd $2; read go; exec \"$1\" $3", "sh"])
                .args([Path::new(env!("CARGO_BIN_EXE_arrayfs")), &way.0.place(mount.path(), link.path())])
                .arg(way.1.replace("MOUNT", mount.path().to_str().unwrap()))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            wait_until("it is there", || {
                let cwd = fs::read_link(format!("/proc/{}/cwd", waiting.id())).unwrap();
                cwd == way.0.place(mount.path(), link.path())
            });
            let stopped = Stopped::new(&mount);
            let start = Instant::now();
            waiting.stdin.take().unwrap().write_all(b"go\n").unwrap();
            let output = within(60, "unmounting", move || waiting.wait_with_output().unwrap());
            assert!(output.status.success(), "{way:?}, {options:?}: {output:?}");
            assert!(start.elapsed() < Duration::from_secs(20), "{way:?}, {options:?}: {:?}", start.elapsed());
            assert!(!is_mounted(mount.path()), "{way:?}, {options:?}");
            let server = stopped.0;
            drop(stopped);
            wait_until("the server has ended", || !is_running(server));
        }
    }
}

// Promise: `arrayfs unmount` works at once, whatever the daemon does, even if it is stopped or its store does not answer.
#[test]
fn a_mount_of_a_store_that_does_not_answer_is_unmounted_at_once() {
    let bottom = tempdir().unwrap();
    fs::create_dir(bottom.path().join("inside")).unwrap();
    fs::write(bottom.path().join("inside/plain"), vec![7; 1 << 20]).unwrap();
    for options in MODES {
        let below = Mount::with(bottom.path(), options);
        let mount = Mount::with(&below.join("inside"), options);
        assert_eq!(mount.read("plain").len(), 1 << 20);
        let server = mount.server();
        let stopped = Stopped::new(&below);
        // Of all these some are with the server, who waits.
        let readers: Vec<_> = (0..20)
            .map(|number| {
                let path = mount.join(if number % 2 == 0 { "plain" } else { "none" });
                std::thread::sleep(Duration::from_millis(20));
                start(Command::new("cat").arg(path))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(1500));
        let start = Instant::now();
        let output = run_within("unmounting", arrayfs().arg("unmount").arg(mount.path()));
        assert!(output.status.success(), "{output:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert!(!is_mounted(mount.path()));
        drop(stopped);
        for reader in readers {
            within(60, "a reader of what was taken away", move || reader.wait_with_output().unwrap());
        }
        wait_until("the server has ended", || !is_running(server));
    }
}

// Promise: When `arrayfs unmount` returns the store's file system can be unmounted, unless somebody reads on; a daemon of the same user that is stopped is ended for that.
#[test]
fn the_file_system_of_the_store_is_free_when_it_is_unmounted() {
    if !nix::unistd::geteuid().is_root() {
        crate::common::say_skipped("a file system of one's own needs root");
        return;
    }
    let dir = tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let system = |program: &str, args: &[&str]| {
        Command::new(program).args(args).arg(&disk).output().unwrap().status.success()
    };
    for (round, options) in (0..10).flat_map(|round| MODES.map(|mode| (round, mode))) {
        assert!(system("mount", &["-t", "tmpfs", "tmpfs"]));
        write_dense(&disk.join("x"), "int16", &[20, 30]);
        let mount = Mount::with(&disk, options);
        for file in ["x/array.npy", "x/rows/01", "x/array"] {
            mount.read(file);
        }
        let output = run_within("unmounting", arrayfs().arg("unmount").arg(mount.path()));
        assert!(output.status.success(), "{output:?}");
        let is_free = system("umount", &[]);
        if !is_free {
            wait_until("the disk is free", || system("umount", &[]));
        }
        assert!(is_free, "{options:?}: it is busy in round {round}");
    }
    // Who reads on is not waited for.
    assert!(system("mount", &["-t", "tmpfs", "tmpfs"]));
    let bytes = write_dense(&disk.join("x"), "int16", &[20, 30]);
    let mount = Mount::new(&disk);
    let mut file = File::open(mount.join("x/array")).unwrap();
    let output = run_within("unmounting", arrayfs().arg("unmount").arg(mount.path()));
    assert!(output.status.success() && !is_mounted(mount.path()), "{output:?}");
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes);
    drop(file);
    wait_until("the disk is free", || system("umount", &[]));
}

// Promise: When `arrayfs unmount` returns the store's file system can be unmounted, unless somebody reads on; a daemon of the same user that is stopped is ended for that.
#[test]
fn a_stopped_server_keeps_no_file_system_busy() {
    if !nix::unistd::geteuid().is_root() {
        crate::common::say_skipped("a file system of one's own needs root");
        return;
    }
    let dir = tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let system = |program: &str, args: &[&str]| {
        Command::new(program).args(args).arg(&disk).output().unwrap().status.success()
    };
    for (options, is_read_on) in MODES.into_iter().flat_map(|mode| [(mode, false), (mode, true)]) {
        assert!(system("mount", &["-t", "tmpfs", "tmpfs"]));
        let bytes = write_dense(&disk.join("x"), "int16", &[20, 30]);
        let mount = Mount::with(&disk, options);
        assert_eq!(mount.read("x/array.npy").len(), 1200 + 128);
        let reader = is_read_on.then(|| File::open(mount.join("x/array")).unwrap());
        let stopped = Stopped::new(&mount);
        let output = run_within("unmounting", arrayfs().arg("unmount").arg(mount.path()));
        assert!(output.status.success() && !is_mounted(mount.path()), "{output:?}");
        match reader {
            None => assert!(system("umount", &[]), "{options:?}: it is busy"),
            Some(mut reader) => {
                assert!(is_running(stopped.0), "{options:?}: somebody reads on");
                drop(stopped);
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                assert_eq!(read, bytes);
                drop(reader);
                wait_until("the disk is free", || system("umount", &[]));
            }
        }
    }
}

#[test]
fn several_are_unmounted_by_one_command() {
    let store = store();
    let [one, two] = [Mount::new(store.path()), Mount::with(store.path(), &["--no-passthrough"])];
    let none = tempdir().unwrap();
    let output = run(["umount".as_ref(), one.path(), none.path(), Path::new("/proc"), two.path()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("arrayfs: ")), "{said}");
    assert!(lines[0].contains(none.path().to_str().unwrap()) && lines[1].contains("another kind"), "{said}");
    assert!(!is_mounted(one.path()) && !is_mounted(two.path()));
    assert_eq!(run(["unmount"]).status.code(), Some(2));
}

#[test]
fn a_mount_where_one_does_not_answer_is_refused() {
    let store = store();
    let mount = Mount::new(store.path());
    let _stopped = Stopped::new(&mount);
    let output = run_within(
        "mounting",
        arrayfs().arg("mount").args([store.path(), mount.path()]).env_remove("RUST_LOG"),
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("does not answer") && said.lines().count() == 1, "{said}");
}
