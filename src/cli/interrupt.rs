//! Signals that end a command.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};

/// Signals by which users and programs end a command.
const ENDING: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE];

/// Blocks the signals that end a command in this thread and in all threads that it starts, so that one
/// thread can wait for them. A SIGHUP that is already ignored, as under `nohup`, stays ignored.
///
/// # Errors
///
/// Errors from the system.
pub fn block() -> nix::Result<SigSet> {
    let signals: SigSet = ENDING.into_iter().filter(|signal| !is_ignored(*signal)).collect();
    signals.thread_block()?;
    Ok(signals)
}

fn is_ignored(signal: Signal) -> bool {
    // Only for SIGHUP. Shells make background jobs ignore SIGINT, and the Rust runtime ignores SIGPIPE, but
    // both must still end a command that cleans up after itself.
    let is_hangup = signal == Signal::SIGHUP;
    is_hangup && ignored().is_some_and(|mask| mask >> (signal as u32 - 1) & 1 == 1)
}

/// The ignored signals, as a bit mask.
fn ignored() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Whether standard error accepts output. A stopped terminal does not, and a write would block.
pub fn is_heard() -> bool {
    let error = std::io::stderr();
    let mut wait = [PollFd::new(error.as_fd(), PollFlags::POLLOUT)];
    poll(&mut wait, PollTimeout::from(100u8)).is_ok_and(|ready| ready > 0)
}
