//! The log of a mount. If its target is full, gone, or read by nobody, the mount works on.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::{arrayfs, run, wait_until, within, write_dense, write_files};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::{TempDir, tempdir};

/// A mount that stays in the foreground, and says all that it can.
struct Foreground {
    child: Child,
    dir: TempDir,
}

impl Foreground {
    fn new(store: &Path, command: &mut Command) -> Self {
        let dir = tempfile::Builder::new().prefix("arrayfs-test-mount-").tempdir().unwrap();
        let child =
            command.arg("-vv").args(["mount", "--foreground"]).arg(store).arg(dir.path()).spawn().unwrap();
        let mount = Self { child, dir };
        wait_until("it is mounted", || mount.dir.path().join("x/array").exists());
        mount
    }

    /// Reads and fails to read, each a word for the log, and ends the mount.
    fn serves_and_ends(mut self, what: &'static str, bytes: &[u8]) {
        let (path, bytes) = (self.dir.path().to_owned(), bytes.to_owned());
        within(60, what, move || {
            for round in 0..3000 {
                assert_eq!(fs::read(path.join("x/array")).unwrap(), bytes);
                assert!(fs::read(path.join(format!("x/none{round}"))).is_err());
                assert_eq!(
                    fs::read(path.join("broken/rows/0/dense")).unwrap_err().raw_os_error(),
                    Some(libc::EIO)
                );
            }
        });
        assert!(self.child.try_wait().unwrap().is_none(), "{what}: it has ended");
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "{what}");
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 0, "{what}: still mounted");
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = Command::new("umount").args(["-l", "-A"]).arg(self.dir.path()).output();
    }
}

/// A store with something to say about.
fn store() -> (TempDir, Vec<u8>) {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("x"), "int16", &[20, 30]);
    let yaml =
        "{version: [1, 0], data_dtype: int8, indices_dtype: int8, indptr_dtype: int8, shape: [2, 3], nnz: 2}";
    let files: [(&str, &[u8]); 3] = [("data", &[1, 2]), ("indices", &[9, 9]), ("indptr", &[0, 1, 2])];
    write_files(&store.path().join("broken"), yaml, &files);
    (store, bytes)
}

// Promise: A log that is full, closed or unread stops nothing.
#[test]
fn a_log_that_is_full_or_gone_stops_nothing() {
    let (store, bytes) = store();
    let full = File::options().write(true).open("/dev/full").unwrap();
    Foreground::new(store.path(), arrayfs().stderr(full)).serves_and_ends("a full device", &bytes);

    let (pipe, other_end) = UnixStream::pair().unwrap();
    drop(other_end);
    let gone = OwnedFd::from(pipe);
    Foreground::new(store.path(), arrayfs().stderr(gone)).serves_and_ends("a broken pipe", &bytes);

    let mut closed = Command::new("sh");
    closed.args(["-c", "exec \"$0\" \"$@\" 2>&-", env!("CARGO_BIN_EXE_arrayfs")]);
    Foreground::new(store.path(), &mut closed).serves_and_ends("no standard error", &bytes);
}

// Promise: A log that is full, closed or unread stops nothing.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (store, bytes) = store();
    let (reader, writer) = std::io::pipe().unwrap();
    fill(&writer);
    let mount = Foreground::new(store.path(), arrayfs().stderr(writer));
    mount.serves_and_ends("a full pipe", &bytes);
    drop(reader);
}

/// Fills a pipe to the last byte.
fn fill(pipe: &std::io::PipeWriter) {
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(pipe));
    let mut options = File::options();
    let options = std::os::unix::fs::OpenOptionsExt::custom_flags(options.write(true), libc::O_NONBLOCK);
    let mut own = options.open(path).unwrap();
    while own.write(&[b'\n'; 4096]).is_ok() {}
}

#[test]
fn a_mount_in_the_background_needs_nobody_to_hear_it() {
    let (store, bytes) = store();
    let dir = tempdir().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let started = arrayfs()
        .args(["-vv", "mount"])
        .arg(store.path())
        .arg(dir.path())
        .stderr(full)
        .stdout(Stdio::null())
        .status();
    assert!(started.unwrap().success());
    assert_eq!(fs::read(dir.path().join("x/array")).unwrap(), bytes);
    assert!(run(["unmount".as_ref(), dir.path().as_os_str()]).status.success());
}

/// Looks at what is broken, each time a word for the log.
fn read_what_is_broken(mountpoint: &Path) {
    let error = fs::read(mountpoint.join("broken/rows/0/dense")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
}

// Promise: A mount in the background logs to the file given by `--log-file`, or to the system's log.
#[test]
fn a_mount_in_the_background_logs_to_a_file() {
    let (store, _) = store();
    let work = tempdir().unwrap();
    // How much is said, and what is said of it.
    for (options, is_told) in [(&[][..], [true, false]), (&["-v"], [true, false]), (&["-vv"], [true, true])] {
        let (mountpoint, file) = (tempdir().unwrap(), work.path().join(format!("log{}", options.len())));
        fs::write(&file, "before\n").unwrap();
        let started = arrayfs()
            .args(options)
            .args(["mount", "--no-passthrough", "--log-file"])
            // A file of the directory that it is started in.
            .arg(file.file_name().unwrap())
            .args([store.path(), mountpoint.path()])
            .current_dir(work.path())
            .output()
            .unwrap();
        assert!(started.status.success(), "{started:?}");
        read_what_is_broken(mountpoint.path());
        assert!(fs::read(mountpoint.path().join("nothing")).is_err());
        assert!(run(["unmount".as_ref(), mountpoint.path().as_os_str()]).status.success());
        let log = fs::read_to_string(&file).unwrap();
        assert!(log.starts_with("before\n"), "it is added to: {log}");
        let lines: Vec<_> = log.lines().skip(1).collect();
        let has = |words: &str| lines.iter().any(|line| line.contains(words));
        assert_eq!([has("broken.indices"), has("DEBUG")], is_told, "{options:?}: {log}");
        let is_verbose = !options.is_empty();
        assert_eq!(has("is mounted on") && has("the mount has ended"), is_verbose, "{options:?}: {log}");
        let is_dated = |line: &&&str| line.starts_with("[20") && line.contains("Z ") && line.contains("] ");
        assert_eq!(lines.iter().filter(is_dated).count(), lines.len(), "{log}");
        fs::remove_file(file).unwrap();
    }
    let mountpoint = tempdir().unwrap();
    let refused = arrayfs()
        .args(["mount", "--log-file", "/nowhere/log"])
        .args([store.path(), mountpoint.path()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("/nowhere/log"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

// Promise: A log that is full, closed or unread stops nothing.
#[test]
fn a_log_file_that_is_full_or_read_by_nobody_stops_nothing() {
    let (store, bytes) = store();
    let work = tempdir().unwrap();
    let pipe = work.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let keep_open = File::options().read(true).write(true).open(&pipe).unwrap();
    for file in [Path::new("/dev/full"), &pipe] {
        let mountpoint = tempdir().unwrap();
        let mut command = arrayfs();
        command.args(["-vv", "mount", "--log-file"]).arg(file).args([store.path(), mountpoint.path()]);
        let started = within(60, "mounting", move || command.stderr(Stdio::null()).status().unwrap());
        assert!(started.success(), "{}", file.display());
        let (path, bytes) = (mountpoint.path().to_owned(), bytes.clone());
        within(60, "reading", move || {
            for round in 0..1000 {
                assert_eq!(fs::read(path.join("x/array")).unwrap(), bytes);
                assert!(fs::read(path.join(format!("x/none{round}"))).is_err());
                read_what_is_broken(&path);
            }
        });
        assert!(run(["unmount".as_ref(), mountpoint.path().as_os_str()]).status.success());
    }
    drop(keep_open);
}

// Promise: A mount in the background logs to the file given by `--log-file`, or to the system's log.
#[test]
fn a_mount_in_the_background_logs_to_the_systems_log() {
    if !nix::unistd::geteuid().is_root() {
        crate::common::say_skipped("a log of the system's that others do not see needs root");
        return;
    }
    let (store, _) = store();
    let (work, mountpoint) = (tempdir().unwrap(), tempdir().unwrap());
    let log = UnixDatagram::bind(work.path().join("log")).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // In a namespace of its own, in which this is the system's log.
    let lines = "set -e; cd \"$1\"; mkdir dev; mount -t tmpfs dev dev
        for file in null zero full random urandom tty fuse; do : > dev/$file; mount --bind /dev/$file dev/$file; done
        ln -s \"$1/log\" dev/log; mount --rbind dev /dev
        \"$0\" mount -v --no-passthrough \"$2\" \"$3\"
        ! cat \"$3/broken/rows/0/dense\" 2> /dev/null
        \"$0\" unmount \"$3\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", lines, env!("CARGO_BIN_EXE_arrayfs")])
        .args([work.path(), store.path(), mountpoint.path()])
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line.contains("the mount has ended")) {
        let mut message = [0; 4096];
        let length = log.recv(&mut message).expect("the last word is said");
        told.push(String::from_utf8(message[..length].to_vec()).unwrap());
    }
    // Of a daemon, by severity: information, and a warning of what failed.
    let severity = |line: &String| if line.contains("broken") { "<28>arrayfs[" } else { "<30>arrayfs[" };
    assert!(told.iter().all(|line| line.starts_with(severity(line))), "{told:#?}");
    let fault = told.iter().find(|line| line.contains("broken.indices")).expect("the fault is told");
    assert!(!fault.contains('\n'), "{fault}");
}

#[test]
fn a_failure_that_cannot_be_told_is_one_all_the_same() {
    for command in [&["check", "/nowhere"][..], &["ls", "/nowhere"], &["mount", "/nowhere", "/tmp"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(arrayfs().args(command).stderr(full).status().unwrap().code(), Some(1), "{command:?}");
    }
}

#[test]
fn what_failed_is_told_once_with_its_path_and_its_cause() {
    let (store, bytes) = store();
    let dir = tempdir().unwrap();
    let log = dir.path().join("log");
    let mut command = arrayfs();
    // In no more words than usual.
    command.env("RUST_LOG", "warn,fuser=off").stderr(File::create(&log).unwrap());
    let mount = Foreground::new(store.path(), &mut command);
    mount.serves_and_ends("a file", &bytes);
    let text = fs::read_to_string(&log).unwrap();
    let told: Vec<_> = text.lines().filter(|line| line.contains("broken/rows/0/dense")).collect();
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains("cannot read broken/rows/0/dense: broken.indices: column: expected"), "{text}");
}

// Promise: A log file inside the mountpoint is refused before it is created.
#[test]
fn a_log_inside_the_mountpoint_is_refused() {
    let (store, _) = store();
    let (dir, around) = (tempdir().unwrap(), tempdir().unwrap());
    std::os::unix::fs::symlink(dir.path(), around.path().join("link")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("a.log"), around.path().join("dangling")).unwrap();
    for log in [dir.path().join("a.log"), around.path().join("link/./a.log"), around.path().join("dangling")]
    {
        for way in [&["--foreground"][..], &[]] {
            let mut mount = arrayfs();
            mount.arg("mount").args(way).arg("--log-file").arg(&log).args([store.path(), dir.path()]);
            let output = mount.env_remove("RUST_LOG").output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("inside the mountpoint") && said.lines().count() == 1, "{said}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is made");
        }
    }
}
