//! Finds the process that serves a mount, so that a program that unmounts can wait for its end.
//!
//! The server binds a socket in the abstract namespace. Nobody connects to it: its name, in the system's
//! table of sockets, contains the process and the mount. Unlike a file, it disappears with the process.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::table::{Device, Mount};

/// The prefix of the names of the sockets.
const NAME: &str = "arrayfs-serves-";
/// Interval between checks of a process.
const A_MOMENT: Duration = Duration::from_millis(5);
/// Limit on the wait for a process, if it shows no reason why it does not end.
const PATIENCE: Duration = Duration::from_secs(3);
/// Limit on the wait for a process that seems unable to end.
const DOUBT: Duration = Duration::from_millis(200);

/// Announces that this process serves a mount, until it is dropped.
#[derive(Debug)]
pub struct Sign(#[expect(dead_code, reason = "its name is all that it is for")] UnixDatagram);

impl Sign {
    /// Announces that this process serves the mount with this device.
    ///
    /// # Errors
    ///
    /// Any error of the system. A program that unmounts then cannot wait for this process.
    pub fn put_up(device: &Device) -> io::Result<Self> {
        let name = format!("{NAME}{device}-{}", std::process::id());
        UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?).map(Self)
    }
}

/// A process that serves a mount.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Server {
    process: u32,
    /// The inode number of its socket.
    socket: u64,
}

/// What a process is doing.
enum State {
    Gone,
    /// By a signal.
    Stopped,
    /// By a debugger. Somebody is looking at it, so it must not be killed.
    Traced,
    /// In uninterruptible sleep, so probably waiting for a disk.
    Hanging,
    Running,
}

impl Server {
    /// The processes that announce that they serve one of these mounts.
    pub fn of(mounts: &[Mount]) -> Vec<Self> {
        // If the table is not available, no server is found, and the caller does not wait.
        let table = fs::read("/proc/net/unix").unwrap_or_default();
        let table = String::from_utf8_lossy(&table);
        let servers = table.lines().filter_map(|line| {
            let (facts, name) = line.rsplit_once('@')?;
            let (device, process) = name.strip_prefix(NAME)?.rsplit_once('-')?;
            mounts.iter().find(|mount| mount.device.to_string() == device)?;
            let socket = facts.split_whitespace().last()?.parse().ok()?;
            Some(Self { process: process.parse().ok()?, socket })
        });
        // The outer and the inner mount of a tree have the same server.
        servers.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Waits until the process has ended and its files are closed. It gives up early if the process seems
    /// unable to end, for example because programs still read from the detached mounts. A stopped process
    /// without readers is killed: otherwise it would keep the store's file system busy, and nobody could find
    /// it by its mount any more.
    pub fn wait(self, mounts: &[Mount]) {
        let start = Instant::now();
        let mut since = start;
        while start.elapsed() < PATIENCE {
            match self.state() {
                State::Gone | State::Traced => return,
                State::Hanging => {}
                State::Running | State::Stopped if mounts.iter().any(|mount| mount.device.is_in_use()) => {}
                State::Stopped if self.is_ours() => {
                    self.end();
                    since = Instant::now();
                }
                State::Stopped => return,
                State::Running => since = Instant::now(),
            }
            if since.elapsed() > DOUBT {
                return;
            }
            std::thread::sleep(A_MOMENT);
        }
    }

    /// Whether the process owns the socket and belongs to this user. Anybody can bind a socket whose name
    /// contains another process, and must not get it killed.
    fn is_ours(self) -> bool {
        let process = format!("/proc/{}", self.process);
        let is_of_us = fs::metadata(&process).is_ok_and(|meta| meta.uid() == geteuid().as_raw());
        let wanted = format!("socket:[{}]", self.socket);
        let is_sign = |entry: io::Result<fs::DirEntry>| {
            entry.and_then(|entry| fs::read_link(entry.path())).is_ok_and(|open| open == Path::new(&wanted))
        };
        let Ok(mut open) = fs::read_dir(format!("{process}/fd")) else { return false };
        is_of_us && open.any(is_sign)
    }

    /// Kills the process. SIGTERM is not enough, because a stopped process does not handle it.
    fn end(self) {
        if let Ok(process) = i32::try_from(self.process)
            && let Err(error) = kill(Pid::from_raw(process), Signal::SIGKILL)
        {
            log::debug!("the server cannot be ended: {error}");
        }
    }

    fn state(self) -> State {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.process)) else { return State::Gone };
        let states: Vec<_> = threads
            .filter_map(|thread| state(&fs::read_to_string(thread.ok()?.path().join("stat")).ok()?))
            .collect();
        // A zombie has no open files, so it counts as gone.
        match &states[..] {
            states if states.iter().all(|state| matches!(state, 'Z' | 'X')) => State::Gone,
            states if states.contains(&'t') => State::Traced,
            states if states.contains(&'T') => State::Stopped,
            states if states.contains(&'D') => State::Hanging,
            _ => State::Running,
        }
    }
}

/// The state in a line such as `17 (any (name)) S 1 …`, see proc(5).
fn state(line: &str) -> Option<char> {
    line.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_by_its_sign_while_it_is_up() {
        let device = |text: &str| Device::parse(text.as_bytes()).unwrap();
        let mount = |text: &str| [Mount { target: "/".into(), kind: String::new(), device: device(text) }];
        let (wanted, other) = (mount("98765:4321"), mount("98765:432"));
        assert_eq!(Server::of(&wanted), []);
        let sign = Sign::put_up(&device("98765:4321")).unwrap();
        let [server] = Server::of(&wanted)[..] else { panic!("there is one sign") };
        assert!(server.process == std::process::id() && server.is_ours());
        let another = Server { process: std::os::unix::process::parent_id(), ..server };
        assert!(!another.is_ours(), "it has not that socket");
        assert_eq!(Server::of(&other), []);
        drop(sign);
        assert_eq!(Server::of(&wanted), []);
    }

    #[test]
    fn the_state_of_a_thread_is_read() {
        assert_eq!(state("17 (a) b) T 1 2 3"), Some('T'));
        assert_eq!(state(""), None);
    }

    #[test]
    fn who_is_gone_is_not_waited_for() {
        let start = Instant::now();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let server = Server { process: child.id(), socket: 0 };
        // The child is a zombie until this process waits for it.
        server.wait(&[]);
        child.wait().unwrap();
        server.wait(&[]);
        assert!(start.elapsed() < PATIENCE);
    }
}
