//! Whether those who asked the kernel are still there.
//!
//! The kernel tells of a reader that was killed only to programs that understand `FUSE_INTERRUPT`, which `fuser`
//! refuses; and it lets most readers go no sooner than they are answered. So who asked for something that takes
//! long is looked at now and then: a thread that has ended, or that will not come back from the kernel because
//! it was killed, waits for nothing any more.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::slow_pool::Job;

/// How often clients are looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// What takes no longer ends by itself.
const SHORT: Duration = Duration::from_millis(200);

/// The bit of SIGKILL among the signals that wait for a thread.
const KILLED: u64 = 1 << (libc::SIGKILL - 1);

/// The jobs whose clients are looked at. A thread of its own does that, for as long as this is held: it may look
/// into `/proc`, which the threads that serve may not.
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
    /// Looks at clients by way of `is_gone`.
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

    /// Has a job abandoned when its client has gone.
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
            // Whoever has no number here, in another namespace of processes, is there for ever.
            let long = |job: &&Arc<Job>| job.client != 0 && job.since.elapsed() > SHORT;
            let jobs: Vec<_> = self.lock().jobs.iter().filter(long).cloned().collect();
            // Each client once, however much it has asked for.
            let mut gone = HashMap::new();
            for job in jobs {
                if *gone.entry(job.client).or_insert_with(|| is_gone(job.client)) {
                    job.abandon();
                }
            }
        }
    }

    /// Waits until clients are to be looked at; false when they are not any more.
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

/// Whether the thread of this number has ended, or was killed while the kernel keeps it. Who cannot be looked at
/// is taken to be there.
pub(super) fn has_gone(thread: u32) -> bool {
    let Ok(number) = i32::try_from(thread) else { return false };
    if kill(Pid::from_raw(number), None) == Err(Errno::ESRCH) {
        return true;
    }
    // It may be that of other processes, in another namespace.
    static IS_OURS: LazyLock<bool> = LazyLock::new(|| {
        let own = std::process::id().to_string();
        std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() == own.as_str())
    });
    let stat = IS_OURS.then(|| std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap_or_default());
    stat.is_some_and(|stat| is_killed(&stat))
}

/// Whether `/proc/PID/stat` tells of a thread that has ended or is to end (`proc_pid_stat(5)`).
fn is_killed(stat: &str) -> bool {
    // The name, in brackets, may hold anything; the field after it is the third.
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
