//! Signals that end a command.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};

/// Signals by which people and programs end a command.
const ENDING: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE];

/// Keeps the signals that end a command from all threads to come, so that one of them can wait for them. One that
/// is ignored already, as `nohup` makes it, stays so.
///
/// # Errors
///
/// Whatever the system says.
pub fn block() -> nix::Result<SigSet> {
    let signals: SigSet = ENDING.into_iter().filter(|signal| !is_ignored(*signal)).collect();
    signals.thread_block()?;
    Ok(signals)
}

fn is_ignored(signal: Signal) -> bool {
    // A shell's background jobs ignore SIGINT; the runtime of this very program ignores SIGPIPE.
    let is_hangup = signal == Signal::SIGHUP;
    is_hangup && ignored().is_some_and(|mask| mask >> (signal as u32 - 1) & 1 == 1)
}

/// The signals that are ignored, a bit each.
fn ignored() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Whether somebody takes what is said on standard error: a terminal that is stopped does not.
pub fn is_heard() -> bool {
    let error = std::io::stderr();
    let mut wait = [PollFd::new(error.as_fd(), PollFlags::POLLOUT)];
    poll(&mut wait, PollTimeout::from(100u8)).is_ok_and(|ready| ready > 0)
}
