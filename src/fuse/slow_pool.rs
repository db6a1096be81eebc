//! Threads for long work, so that no other request waits behind it.
//!
//! The threads take turns between keys, so that no file or directory can occupy all of them. A job that has
//! to wait for another thread's result occupies none meanwhile. A job that nobody waits for any more ends.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use fuser::Errno;

use super::clients::Clients;
use crate::error::Result;
use crate::task::{self, Asker};

/// How long an idle thread waits for a job.
const A_WHILE: Duration = Duration::from_secs(5);

/// What a job is about. A limited number of threads work on one key at a time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key(u64);

impl Key {
    pub fn new(what: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The work for a request.
pub(super) trait Work: Send + Sync {
    /// Does the work and replies. With [`crate::Error::Unfinished`] it has done neither.
    fn run(&self) -> Result<()>;

    /// Replies with an error, unless a reply was sent.
    fn refuse(&self, errno: Errno);

    /// The operation, for the log.
    fn name(&self) -> &'static str;
}

/// A unit of work for one client.
pub(super) struct Job {
    key: Key,
    /// The ID of the requesting thread. It is 0 if the thread is in another PID namespace.
    pub client: u32,
    pub since: Instant,
    asker: Arc<Asker>,
    state: Mutex<State>,
    work: Box<dyn Work>,
    pool: Weak<Shared>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waiting,
    Running,
    /// Running, and to be repeated as soon as it returns.
    Woken,
    /// Waiting for the result of another thread.
    Parked,
    Done,
}

impl Job {
    /// The requester no longer waits: replies to it, and continues the work only as far as others need it.
    pub fn abandon(&self) {
        self.asker.leave();
        self.work.refuse(Errno::EINTR);
        let mut state = lock(&self.state);
        if matches!(*state, State::Waiting | State::Parked) {
            *state = State::Done;
        }
    }

    pub fn is_done(&self) -> bool {
        *lock(&self.state) == State::Done
    }

    /// Runs the job, unless it is done or not its turn. Returns true if it must be repeated.
    fn run(self: &Arc<Self>) -> bool {
        {
            let mut state = lock(&self.state);
            if *state != State::Waiting {
                return false;
            }
            *state = State::Running;
        }
        let waker = Waker::from(Arc::clone(self));
        let run = || task::run(&self.asker, waker, || self.work.run());
        let is_pending = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Poll::Pending) => true,
            Ok(Poll::Ready(Ok(()))) => false,
            Ok(Poll::Ready(Err(_))) => {
                self.work.refuse(Errno::EINTR);
                false
            }
            Err(panic) => {
                tell_panic(self.work.name(), &*panic);
                self.work.refuse(Errno::EIO);
                false
            }
        };
        let mut state = lock(&self.state);
        let is_woken = *state == State::Woken;
        *state = match is_pending {
            false => State::Done,
            true if is_woken => State::Waiting,
            true => State::Parked,
        };
        *state == State::Waiting
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        {
            let mut state = lock(&self.state);
            match *state {
                State::Running => *state = State::Woken,
                State::Parked => *state = State::Waiting,
                State::Waiting | State::Woken | State::Done => {}
            }
            if *state != State::Waiting {
                return;
            }
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.push(self);
        }
    }
}

/// A pool of threads with its queues.
pub(super) struct SlowPool {
    shared: Arc<Shared>,
    clients: Arc<Clients>,
}

struct Shared {
    queues: Mutex<Queues>,
    is_more: Condvar,
    /// Limit on the threads that work on one key.
    most_for_one: usize,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Queues {
    /// The waiting jobs of each key.
    waiting: HashMap<Key, VecDeque<Arc<Job>>>,
    /// The keys with waiting jobs, in the order of their turns.
    turns: VecDeque<Key>,
    /// The number of running jobs of each key.
    running: HashMap<Key, usize>,
    threads: usize,
    /// Number of threads that wait for a job.
    idle: usize,
    /// Number of threads that were spawned but do not run yet.
    starting: usize,
}

impl SlowPool {
    /// Limit on the number of threads.
    const MOST: usize = 256;

    /// A pool without threads. They start when there are jobs and end when idle. `clients` watches the
    /// requesters.
    pub fn new(clients: &Arc<Clients>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, Into::into);
        let shared = Shared {
            queues: Mutex::default(),
            is_more: Condvar::new(),
            most_for_one: cores,
            is_closed: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), clients: Arc::clone(clients) }
    }

    /// Whether the pool has all its threads and none is idle.
    pub fn is_full(&self) -> bool {
        let queues = self.shared.lock();
        queues.threads >= Self::MOST && queues.idle == 0
    }

    /// Queues work for a client.
    pub fn run(&self, key: Key, client: u32, work: Box<dyn Work>) {
        let job = Arc::new(Job {
            key,
            client,
            since: Instant::now(),
            asker: Asker::new(),
            state: Mutex::new(State::Waiting),
            work,
            pool: Arc::downgrade(&self.shared),
        });
        self.clients.watch(Arc::clone(&job));
        self.shared.push(job);
    }
}

impl Drop for SlowPool {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        // Taking the lock once makes sure that no thread is between its check of `is_closed` and its wait.
        drop(self.shared.lock());
        self.shared.is_more.notify_all();
    }
}

impl Shared {
    /// Queues a job, and wakes or starts a thread for it.
    fn push(self: &Arc<Self>, job: Arc<Job>) {
        let mut queues = self.lock();
        queues.push(job);
        let is_missing = queues.threads < SlowPool::MOST && queues.needs_more_threads(self.most_for_one);
        if is_missing {
            queues.threads += 1;
            queues.starting += 1;
        }
        drop(queues);
        if is_missing {
            self.hire();
        } else {
            self.is_more.notify_one();
        }
    }

    fn hire(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name("slow".into()).spawn(move || shared.work());
        if let Err(error) = thread {
            log::warn!("no thread for what takes long: {error}");
            let mut queues = self.lock();
            queues.threads -= 1;
            queues.starting -= 1;
            let is_alone = queues.threads == 0;
            drop(queues);
            if is_alone {
                // No other thread may ever come, so this one does the work, although it should be quick.
                while self.do_next() {}
            }
        }
    }

    /// The loop of a thread: runs jobs until it is idle for a while, or the pool is closed.
    fn work(self: &Arc<Self>) {
        self.lock().starting -= 1;
        loop {
            if self.is_closed.load(Ordering::Relaxed) || !(self.do_next() || self.wait_for_more()) {
                break;
            }
        }
        self.lock().threads -= 1;
    }

    /// Runs the next job, if there is one. A job may have to wait because its key is busy. The threads that
    /// work on this key look for the next job when they are done, so no job is left behind even without other
    /// threads.
    fn do_next(self: &Arc<Self>) -> bool {
        let Some(job) = self.lock().take(self.most_for_one) else { return false };
        let is_to_be_done_again = job.run();
        self.lock().done(job.key);
        if is_to_be_done_again {
            self.push(job);
        }
        true
    }

    /// Waits for a job, but not forever. Returns whether there may be one.
    fn wait_for_more(&self) -> bool {
        let mut queues = self.lock();
        if self.is_closed.load(Ordering::Relaxed) {
            return false;
        }
        if queues.has_more(self.most_for_one) {
            return true;
        }
        queues.idle += 1;
        let (mut queues, waited) =
            self.is_more.wait_timeout(queues, A_WHILE).unwrap_or_else(PoisonError::into_inner);
        queues.idle -= 1;
        !self.is_closed.load(Ordering::Relaxed) && (!waited.timed_out() || queues.has_more(self.most_for_one))
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        lock(&self.queues)
    }
}

impl Queues {
    fn push(&mut self, job: Arc<Job>) {
        let key = job.key;
        let jobs = self.waiting.entry(key).or_default();
        if jobs.is_empty() {
            self.turns.push_back(key);
        }
        jobs.push_back(job);
    }

    /// The index of the first key in turn that fewer than `most` threads work on.
    fn next(&self, most: usize) -> Option<usize> {
        self.turns.iter().position(|key| self.running.get(key).is_none_or(|count| *count < most))
    }

    fn has_more(&self, most: usize) -> bool {
        self.next(most).is_some()
    }

    /// Whether more jobs could run at once than threads are idle.
    fn needs_more_threads(&self, most: usize) -> bool {
        // Threads that are starting look for a job first, so they count as idle.
        let mut idle = self.idle + self.starting;
        self.turns.iter().any(|key| {
            let free = most.saturating_sub(self.running.get(key).copied().unwrap_or(0));
            let jobs = self.waiting.get(key).map_or(0, VecDeque::len).min(free);
            let is_beyond = jobs > idle;
            idle = idle.saturating_sub(jobs);
            is_beyond
        })
    }

    /// Takes the next job, and gives the turn to the next key.
    fn take(&mut self, most: usize) -> Option<Arc<Job>> {
        let turn = self.next(most)?;
        let key = self.turns.remove(turn)?;
        let jobs = self.waiting.get_mut(&key)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        *self.running.entry(key).or_default() += 1;
        job
    }

    fn done(&mut self, key: Key) {
        if let Some(count) = self.running.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(&key);
            }
        }
    }
}

/// Logs a panic, which is a bug in this program and fails one request.
pub(super) fn tell_panic(what: &str, panic: &(dyn Any + Send)) {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    log::error!("{what}: a fault of this program: {}", words.unwrap_or("a panic without words"));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::task::Flight;

    /// Work that reports how it was answered: with `None`, or an errno.
    struct Said<F> {
        work: F,
        say: Mutex<Option<mpsc::Sender<Option<Errno>>>>,
    }

    impl<F: Fn() -> Result<()> + Send + Sync> Work for Said<F> {
        fn run(&self) -> Result<()> {
            (self.work)()?;
            if let Some(say) = lock(&self.say).take() {
                let _ = say.send(None);
            }
            Ok(())
        }

        fn refuse(&self, errno: Errno) {
            if let Some(say) = lock(&self.say).take() {
                let _ = say.send(Some(errno));
            }
        }

        fn name(&self) -> &'static str {
            "test"
        }
    }

    const SOON: Duration = Duration::from_secs(20);
    /// A client that is gone.
    const GONE: u32 = 404;

    fn pool() -> SlowPool {
        SlowPool::new(&Clients::new(|client| client == GONE))
    }

    fn run(
        pool: &SlowPool,
        key: u64,
        client: u32,
        work: impl Fn() -> Result<()> + Send + Sync + 'static,
    ) -> mpsc::Receiver<Option<Errno>> {
        let (say, said) = mpsc::channel();
        pool.run(Key(key), client, Box::new(Said { work, say: Mutex::new(Some(say)) }));
        said
    }

    #[test]
    fn one_thing_never_has_all_threads() {
        let pool = pool();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let slow = || {
            let held = Arc::clone(&held);
            move || {
                assert!(lock(&held).recv().is_err());
                Ok(())
            }
        };
        let many: Vec<_> = (0..1000).map(|_| run(&pool, 1, 0, slow())).collect();
        assert_eq!(run(&pool, 2, 0, || Ok(())).recv_timeout(SOON).unwrap(), None);
        assert!(pool.shared.lock().threads <= pool.shared.most_for_one + 1);
        drop(release);
        assert!(many.iter().all(|one| one.recv_timeout(SOON).unwrap().is_none()));
    }

    #[test]
    fn those_who_wait_for_another_take_no_thread() {
        let pool = pool();
        let flight = Arc::new(Flight::default());
        let (go, gone) = mpsc::channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
        let is_there = Arc::new(AtomicBool::new(false));
        // More jobs than threads, each with a key of its own.
        let all: Vec<_> = (0..2 * SlowPool::MOST as u64)
            .map(|key| {
                let (flight, gone, is_there) =
                    (Arc::clone(&flight), Arc::clone(&gone), Arc::clone(&is_there));
                let known = move || is_there.load(Ordering::Relaxed).then_some(());
                let compute = move || {
                    let _ = lock(&gone).recv();
                    Ok(())
                };
                run(&pool, key, 0, move || flight.run(&known, &compute))
            })
            .collect();
        assert_eq!(run(&pool, u64::MAX, 0, || Ok(())).recv_timeout(SOON).unwrap(), None);
        is_there.store(true, Ordering::Relaxed);
        drop(go);
        assert!(all.iter().all(|one| one.recv_timeout(SOON).unwrap().is_none()));
    }

    #[test]
    fn what_was_asked_by_who_has_gone_ends() {
        let pool = pool();
        let endless = || loop {
            task::check()?;
            std::thread::yield_now();
        };
        assert_eq!(run(&pool, 1, GONE, endless).recv_timeout(SOON).unwrap(), Some(Errno::EINTR));
        // Work that never checks cannot be stopped, but its client gets a reply.
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let stuck = move || {
            let _ = lock(&held).recv();
            Ok(())
        };
        assert_eq!(run(&pool, 2, GONE, stuck).recv_timeout(SOON).unwrap(), Some(Errno::EINTR));
        drop(release);
    }

    #[test]
    fn a_panic_is_an_error_and_costs_no_thread() {
        let pool = pool();
        for _ in 0..10 {
            let said = run(&pool, 1, 0, || panic!("on purpose"));
            assert_eq!(said.recv_timeout(SOON).unwrap(), Some(Errno::EIO));
            assert_eq!(run(&pool, 1, 0, || Ok(())).recv_timeout(SOON).unwrap(), None);
        }
        let queues = pool.shared.lock();
        assert!(queues.threads >= 1 && queues.threads <= pool.shared.most_for_one + 1);
        assert!(queues.waiting.is_empty() && queues.turns.is_empty());
    }

    #[test]
    fn without_other_threads_whoever_has_a_turn_does_what_had_to_wait_for_it() {
        let pool = pool();
        // No further thread may start.
        pool.shared.lock().threads = SlowPool::MOST;
        let (say, done) = mpsc::channel();
        let say = Mutex::new(say);
        let (later, say_later) = (Arc::downgrade(&pool.shared), lock(&say).clone());
        let second = Mutex::new(say_later);
        let first = move || {
            // Another job with the same key arrives meanwhile. It must wait for this one.
            while later.upgrade().is_some_and(|shared| shared.lock().waiting.is_empty()) {}
            let _ = lock(&say).send("first");
            Ok(())
        };
        drop(run(&pool, 1, 0, first));
        let shared = Arc::clone(&pool.shared);
        let worker = std::thread::spawn(move || while shared.do_next() {});
        std::thread::sleep(Duration::from_millis(10));
        drop(run(&pool, 1, 0, move || {
            let _ = lock(&second).send("second");
            Ok(())
        }));
        worker.join().unwrap();
        assert_eq!(done.try_iter().collect::<Vec<_>>(), ["first", "second"]);
    }
}
