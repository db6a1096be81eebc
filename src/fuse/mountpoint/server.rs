//! The process that serves a mount, found by whoever takes the mount away.
//!
//! It binds a socket in the abstract namespace that nobody connects to: the name alone, in the system's
//! table of sockets, tells which process serves which mount, and goes with the process.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

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
pub(super) struct Server(u32);

/// What a process is doing.
enum State {
    Gone,
    Stopped,
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
        let signs = table.lines().filter_map(|line| line.rsplit_once('@')?.1.strip_prefix(NAME));
        let servers = signs.filter_map(|sign| {
            let (device, process) = sign.rsplit_once('-')?;
            mounts.iter().find(|mount| mount.device.to_string() == device)?;
            process.parse().ok().map(Self)
        });
        // Of two mounts, one inside the other, it is the same.
        servers.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Waits until the process has ended and has closed all that it had open, unless it looks as if it would not
    /// end: because somebody still reads from these mounts, which are in no tree any more, or because it is stopped.
    pub fn wait(self, mounts: &[Mount]) {
        let start = Instant::now();
        let mut since = start;
        while start.elapsed() < PATIENCE {
            match self.state() {
                State::Gone | State::Stopped => return,
                State::Hanging => {}
                State::Running if mounts.iter().any(|mount| mount.device.is_in_use()) => {}
                State::Running => since = Instant::now(),
            }
            if since.elapsed() > DOUBT {
                return;
            }
            std::thread::sleep(A_MOMENT);
        }
    }

    fn state(self) -> State {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.0)) else { return State::Gone };
        let states: Vec<_> = threads
            .filter_map(|thread| state(&fs::read_to_string(thread.ok()?.path().join("stat")).ok()?))
            .collect();
        // What is dead and not yet buried has nothing open.
        match &states[..] {
            states if states.iter().all(|state| matches!(state, 'Z' | 'X')) => State::Gone,
            states if states.iter().any(|state| matches!(state, 'T' | 't')) => State::Stopped,
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
        assert_eq!(Server::of(&wanted), [Server(std::process::id())]);
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
        let server = Server(child.id());
        // Not waited for: it is dead and not buried.
        server.wait(&[]);
        child.wait().unwrap();
        server.wait(&[]);
        assert!(start.elapsed() < PATIENCE);
    }
}
