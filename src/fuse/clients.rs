//! Detects requesters that no longer exist.
//!
//! The kernel reports a killed reader only with `FUSE_INTERRUPT`, which `fuser` does not support. It also
//! keeps most readers until they have their reply. Therefore this module polls the requesters of long work: a
//! thread that has ended, or that was killed and so will never return to its program, no longer waits for the
//! result.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::slow_pool::Job;

/// How often clients are polled.
const PERIOD: Duration = Duration::from_millis(100);
/// Shorter work is not watched, because it ends soon anyway.
const SHORT: Duration = Duration::from_millis(200);

/// The bit of SIGKILL in the mask of pending signals.
const KILLED: u64 = 1 << (libc::SIGKILL - 1);

/// The jobs whose clients are polled. A thread of its own does so while this value exists, because it needs
/// `/proc`, which the serving threads may not access (see `confine`).
pub(super) struct Clients {
    watched: Arc<Watched>,
}

#[derive(Default)]
struct Watched {
    state: Mutex<State>,
    is_more: Condvar,
}

#[derive(Default)]
struct State {
    jobs: Vec<Arc<Job>>,
    is_waiting: bool,
    is_closed: bool,
}

impl Clients {
    /// Starts polling. `is_gone` decides whether a client still exists.
    pub fn new(is_gone: impl Fn(u32) -> bool + Send + 'static) -> Arc<Self> {
        let watched = Arc::<Watched>::default();
        let own = Arc::clone(&watched);
        let thread = std::thread::Builder::new().name("clients".into()).spawn(move || own.work(&is_gone));
        if let Err(error) = thread {
            log::warn!("what a killed reader asked for is done to its end: {error}");
            watched.lock().is_closed = true;
        }
        Arc::new(Self { watched })
    }

    /// Abandons a job when its client is gone.
    pub fn watch(&self, job: Arc<Job>) {
        let mut state = self.watched.lock();
        if state.is_closed {
            return;
        }
        state.jobs.push(job);
        if state.is_waiting {
            self.watched.is_more.notify_one();
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let jobs = {
            let mut state = self.watched.lock();
            state.is_closed = true;
            std::mem::take(&mut state.jobs)
        };
        self.watched.is_more.notify_one();
        jobs.iter().for_each(|job| job.abandon());
    }
}

impl Watched {
    fn work(&self, is_gone: &dyn Fn(u32) -> bool) {
        while self.wait() {
            // A client of 0 has no thread ID here, because it is in another PID namespace. It counts as
            // present forever.
            let long = |job: &&Arc<Job>| job.client != 0 && job.since.elapsed() > SHORT;
            let jobs: Vec<_> = self.lock().jobs.iter().filter(long).cloned().collect();
            // Checks each client once, however many jobs it has.
            let mut gone = HashMap::new();
            for job in jobs {
                if *gone.entry(job.client).or_insert_with(|| is_gone(job.client)) {
                    job.abandon();
                }
            }
        }
    }

    /// Waits for the next round. Returns false when polling should end.
    fn wait(&self) -> bool {
        let mut state = self.lock();
        state.jobs.retain(|job| !job.is_done());
        if state.jobs.is_empty() && !state.is_closed {
            state.is_waiting = true;
            state = self.is_more.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_waiting = false;
        }
        if !state.is_closed {
            state = self.is_more.wait_timeout(state, PERIOD).unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.is_closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the thread with this ID has ended, or was killed while the kernel keeps it. If it cannot be
/// examined, it counts as present.
pub(super) fn has_gone(thread: u32) -> bool {
    let Ok(number) = i32::try_from(thread) else { return false };
    if kill(Pid::from_raw(number), None) == Err(Errno::ESRCH) {
        return true;
    }
    // `/proc` may belong to another PID namespace, where the ID means another process.
    static IS_OURS: LazyLock<bool> = LazyLock::new(|| {
        let own = std::process::id().to_string();
        std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == own.as_str())
    });
    let stat = IS_OURS.then(|| std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap_or_default());
    stat.is_some_and(|stat| is_killed(&stat))
}

/// Whether `/proc/PID/stat` describes a thread that has ended or was killed (`proc_pid_stat(5)`).
fn is_killed(stat: &str) -> bool {
    // The name in parentheses may contain anything, even parentheses. The field after it is number 3.
    let fields: Vec<_> = stat.rsplit_once(')').map_or("", |(_, after)| after).split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let signals: u64 = field(31).parse().unwrap_or(0);
    matches!(field(3), "Z" | "X" | "x") || signals & KILLED != 0
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn who_has_ended_has_gone() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert!(!has_gone(child.id()));
        child.kill().unwrap();
        while !has_gone(child.id()) {}
        child.wait().unwrap();
        assert!(has_gone(child.id()));
        assert!(!has_gone(std::process::id()));
        assert!(!has_gone(nix::unistd::gettid().as_raw().unsigned_abs()));
    }

    #[test]
    fn a_thread_is_known_by_its_state_and_its_signals() {
        let stat =
            |state: &str, signals: u64| format!("7 (a) Z (b) {state} {}{signals} 0 0 0", "0 ".repeat(31 - 4));
        assert!(!is_killed(&stat("D", 0)) && !is_killed(&stat("S", 1 << 1)) && !is_killed(""));
        assert!(is_killed(&stat("D", KILLED)) && is_killed(&stat("Z", 0)));
    }
}
