//! The process that serves a mount, found by whoever takes the mount away.
//!
//! It binds a socket in the abstract namespace that nobody connects to: the name alone, in the system's
//! table of sockets, tells which process serves which mount, and goes with the process.

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

/// What the names of the sockets begin with.
const NAME: &str = "arrayfs-serves-";
/// Between two looks at a process that ends.
const A_MOMENT: Duration = Duration::from_millis(5);
/// How long a process is waited for that is at work, ends slowly, or does not end for a reason that does not show.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long something may look as if it would not end.
const DOUBT: Duration = Duration::from_millis(200);

/// Says that a process serves a mount, for as long as this is there.
#[derive(Debug)]
pub struct Sign(#[expect(dead_code, reason = "its name is all that it is for")] UnixDatagram);

impl Sign {
    /// Says that this process serves the mount whose files are on this device.
    ///
    /// # Errors
    ///
    /// What the system says; whoever unmounts then cannot wait for this process.
    pub fn put_up(device: &Device) -> io::Result<Self> {
        let name = format!("{NAME}{device}-{}", std::process::id());
        UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?).map(Self)
    }
}

/// A process that serves a mount.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Server {
    process: u32,
    /// The inode number of the socket whose name said so.
    socket: u64,
}

/// What a process is doing.
enum State {
    Gone,
    /// By a signal.
    Stopped,
    /// By a debugger, who has plans for it.
    Traced,
    /// Waiting for a disk, as far as that shows.
    Hanging,
    Running,
}

impl Server {
    /// The processes that say that they serve one of these mounts.
    pub fn of(mounts: &[Mount]) -> Vec<Self> {
        // Elsewhere it may be that nobody can be found: then nobody is waited for.
        let table = fs::read("/proc/net/unix").unwrap_or_default();
        let table = String::from_utf8_lossy(&table);
        let servers = table.lines().filter_map(|line| {
            let (facts, name) = line.rsplit_once('@')?;
            let (device, process) = name.strip_prefix(NAME)?.rsplit_once('-')?;
            mounts.iter().find(|mount| mount.device.to_string() == device)?;
            let socket = facts.split_whitespace().last()?.parse().ok()?;
            Some(Self { process: process.parse().ok()?, socket })
        });
        // Of two mounts, one inside the other, it is the same.
        servers.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Waits until the process has ended and has closed all that it had open, unless it looks as if it would not
    /// end: because somebody still reads from these mounts, which are in no tree any more. One that is stopped is ended
    /// if nobody does: it would keep the store's file system busy, and nobody can hear of it any more.
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

    /// Whether it is who the sign says, and this user's: anybody can put up a sign that names another process.
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

    /// Ends it, though it is stopped.
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
        // What is dead and not yet buried has nothing open.
        match &states[..] {
            states if states.iter().all(|state| matches!(state, 'Z' | 'X')) => State::Gone,
            states if states.contains(&'t') => State::Traced,
            states if states.contains(&'T') => State::Stopped,
            states if states.contains(&'D') => State::Hanging,
            _ => State::Running,
        }
    }
}

/// `17 (any (name)) S 1 …`, see proc(5).
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
        // Not waited for: it is dead and not buried.
        server.wait(&[]);
        child.wait().unwrap();
        server.wait(&[]);
        assert!(start.elapsed() < PATIENCE);
    }
}
