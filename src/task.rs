//! Cancellation and time limits of work: who waits for the work of a thread, and how long it may take.
//!
//! The thread that receives a kernel request must be free for the next one within a millisecond. So it
//! first tries the work in [`quick`] mode. Work that may take longer calls [`begin_long`] first. In quick
//! mode this fails with [`Error::Unfinished`], and a worker thread then repeats all of the work with
//! [`run`]. Long work calls [`check`] regularly, which fails with the same error once nobody waits any
//! more. A [`Flight`] computes a result once for all requests that need it at the same time.
//!
//! Threads that do not serve a kernel request (those of the command line) complete all work, and wait for
//! each other.
//!
//! Code on the way may swallow `Unfinished` and return a wrong result. Therefore the thread also remembers
//! that something was left undone ([`is_unfinished`]). Code that replies to a request or caches a result
//! must check this.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How often a waiting thread checks whether it should still wait.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a flight continues when nobody waits. If several programs look up one name, the kernel sends
/// only one request at a time. When the program behind that request is killed, the next one sends the same
/// request.
const GRACE: Duration = Duration::from_millis(300);

/// The state of the work on this thread.
#[derive(Clone, Copy, Default)]
struct Mode {
    /// Whether the work must not take long.
    is_quick: bool,
    /// Whether some of the work was left undone.
    is_unfinished: bool,
    /// Whether the work is to be repeated when another thread has finished its flight.
    is_parked: bool,
}

/// The request that waits for the work, and how to repeat it. Both are `None` on a thread that serves no
/// request.
#[derive(Clone, Default)]
struct Client {
    asker: Option<Arc<Asker>>,
    waker: Option<Waker>,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode { is_quick: false, is_unfinished: false, is_parked: false }) };
    static CLIENT: RefCell<Client> = const { RefCell::new(Client { asker: None, waker: None }) };
}

/// Restores the previous state of the thread on drop.
struct Before {
    mode: Mode,
    client: Option<Client>,
}

impl Drop for Before {
    fn drop(&mut self) {
        MODE.set(self.mode);
        if let Some(client) = self.client.take() {
            CLIENT.replace(client);
        }
    }
}

/// Someone who waits for a result: one kernel request, or all that wait for one flight.
#[derive(Debug)]
pub struct Asker {
    since: Instant,
    who: Who,
}

#[derive(Debug)]
enum Who {
    /// A single request, and whether it is gone.
    One(AtomicBool),
    Several(Mutex<Several>),
}

#[derive(Debug)]
struct Several {
    all: Vec<Arc<Asker>>,
    /// When any of them was last seen waiting.
    seen: Instant,
}

impl Asker {
    /// A new request, waiting from now on.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { since: Instant::now(), who: Who::One(AtomicBool::new(false)) })
    }

    fn several(first: &Arc<Self>) -> Arc<Self> {
        let several = Several { all: vec![Arc::clone(first)], seen: Instant::now() };
        Arc::new(Self { since: first.since, who: Who::Several(Mutex::new(several)) })
    }

    /// Stops waiting.
    pub fn leave(&self) {
        match &self.who {
            Who::One(is_gone) => is_gone.store(true, Ordering::Relaxed),
            Who::Several(several) => lock(several).all.clear(),
        }
    }

    /// Whether anyone waits. For a flight, also true for a grace period after the last one left.
    pub fn is_waiting(&self) -> bool {
        match &self.who {
            Who::One(is_gone) => !is_gone.load(Ordering::Relaxed),
            Who::Several(several) => {
                let mut several = lock(several);
                several.all.retain(|one| one.is_waiting());
                if !several.all.is_empty() {
                    several.seen = Instant::now();
                }
                several.seen.elapsed() < GRACE
            }
        }
    }

    fn join(&self, another: Arc<Self>) {
        if let Who::Several(several) = &self.who {
            lock(several).all.push(another);
        }
    }
}

/// Runs work that must not block. `None` if it was left undone, because it would take too long.
pub fn quick<T>(work: impl FnOnce() -> Result<T>) -> Option<Result<T>> {
    let mode = MODE.replace(Mode { is_quick: true, ..Mode::default() });
    let _before = Before { mode, client: None };
    let done = work();
    (!is_left(&done)).then_some(done)
}

/// Runs work for `asker`, however long it takes. Returns [`Poll::Pending`] if another thread is already
/// computing a part of it; `waker` is then called when the work is to be run again. A thread does not block
/// for this, because many requests waiting for one flight would occupy all worker threads.
pub fn run<T>(asker: &Arc<Asker>, waker: Waker, work: impl FnOnce() -> Result<T>) -> Poll<Result<T>> {
    let client = Client { asker: Some(Arc::clone(asker)), waker: Some(waker) };
    let _before = enter(client);
    let done = work();
    match is_left(&done) {
        false => Poll::Ready(done),
        true if MODE.get().is_parked && asker.is_waiting() => Poll::Pending,
        true => Poll::Ready(Err(Error::Unfinished)),
    }
}

fn enter(client: Client) -> Before {
    let mode = MODE.replace(Mode::default());
    Before { mode, client: Some(CLIENT.replace(client)) }
}

fn is_left<T>(done: &Result<T>) -> bool {
    is_unfinished() || matches!(done, Err(Error::Unfinished))
}

/// Call this before work that may take longer than a millisecond.
///
/// # Errors
///
/// [`Error::Unfinished`] in quick mode; otherwise like [`check`].
pub fn begin_long() -> Result<()> {
    if MODE.get().is_quick { Err(leave_undone()) } else { check() }
}

/// Call this regularly in long work: every few MiB, or every few thousand names.
///
/// # Errors
///
/// [`Error::Unfinished`] when nobody waits for the result any more.
pub fn check() -> Result<()> {
    let is_wanted = CLIENT.with_borrow(|client| client.asker.as_ref().is_none_or(|asker| asker.is_waiting()));
    if is_wanted { Ok(()) } else { Err(leave_undone()) }
}

/// Whether any work on this thread was left undone so far. Its result must then not be used or cached.
pub fn is_unfinished() -> bool {
    MODE.get().is_unfinished
}

/// Like [`is_unfinished`], as a `Result`.
///
/// # Errors
///
/// [`Error::Unfinished`] when some work was left undone.
pub fn finished() -> Result<()> {
    if is_unfinished() { Err(Error::Unfinished) } else { Ok(()) }
}

/// When the current request started to wait. Now, on a thread that serves no request.
pub fn asked() -> Instant {
    CLIENT.with_borrow(|client| client.asker.as_ref().map_or_else(Instant::now, |asker| asker.since))
}

fn leave_undone() -> Error {
    MODE.set(Mode { is_unfinished: true, ..MODE.get() });
    Error::Unfinished
}

/// The context that threads need to help the thread that called [`inherit`].
#[derive(Clone, Debug)]
pub struct Inherited(Option<Arc<Asker>>);

/// The context of this thread, for threads that help it.
pub fn inherit() -> Inherited {
    Inherited(CLIENT.with_borrow(|client| client.asker.clone()))
}

impl Inherited {
    /// Runs `work` on a helper thread. It is canceled when the original request is. It has no waker, so it
    /// waits for flights of other threads instead of being parked.
    pub fn help<T>(&self, work: impl FnOnce() -> T) -> T {
        let _before = enter(Client { asker: self.0.clone(), waker: None });
        work()
    }
}

/// A computation that runs once for all who need its result at the same time. It continues as long as any
/// of them waits.
#[derive(Debug, Default)]
pub struct Flight {
    state: Mutex<State>,
    has_landed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The requests that wait for the running computation, if one is running.
    passengers: Option<Arc<Asker>>,
    /// Requests to run again when the computation has ended.
    parked: Vec<Waker>,
}

/// Ends a flight on drop, also after an error or a panic.
struct Landing<'f>(&'f Flight);

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.passengers = None;
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        self.0.has_landed.notify_all();
        parked.into_iter().for_each(Waker::wake);
    }
}

impl Flight {
    /// Returns the result of `known`, or else that of `compute`, which must store its result so that
    /// `known` finds it. If several threads call this at the same time, only one of them computes.
    ///
    /// # Errors
    ///
    /// Errors of `compute`. [`Error::Unfinished`] if another thread is computing and this one must not
    /// wait: it is in quick mode, or its request is parked.
    pub fn run<T>(&self, known: impl Fn() -> Option<T>, compute: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut state = lock(&self.state);
        loop {
            if let Some(known) = known() {
                return Ok(known);
            }
            let Some(passengers) = &state.passengers else { break };
            if MODE.get().is_quick {
                return Err(leave_undone());
            }
            let client = CLIENT.with_borrow(Client::clone);
            passengers.join(client.asker.unwrap_or_else(Asker::new));
            if let Some(waker) = client.waker {
                state.parked.push(waker);
                MODE.set(Mode { is_parked: true, ..MODE.get() });
                return Err(leave_undone());
            }
            state = self.wait_for_landing(state)?;
        }
        // The computation runs for all passengers: it must not end only because the request that started it
        // is gone.
        let own = CLIENT.with_borrow(|client| client.asker.clone());
        let passengers = Asker::several(&own.unwrap_or_else(Asker::new));
        state.passengers = Some(Arc::clone(&passengers));
        drop(state);
        let _landing = Landing(self);
        let before = CLIENT.with_borrow_mut(|client| client.asker.replace(passengers));
        let _before = Passenger(before);
        compute()
    }

    /// Waits until the running flight has ended.
    fn wait_for_landing<'s>(&'s self, mut state: MutexGuard<'s, State>) -> Result<MutexGuard<'s, State>> {
        while state.passengers.is_some() {
            let waited = self.has_landed.wait_timeout(state, PATIENCE);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            check()?;
        }
        Ok(state)
    }
}

/// Restores the previous asker of the thread on drop.
struct Passenger(Option<Arc<Asker>>);

impl Drop for Passenger {
    fn drop(&mut self) {
        let before = self.0.take();
        CLIENT.with_borrow_mut(|client| client.asker = before);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::{OnceLock, mpsc};
    use std::task::Wake;
    use std::thread;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell::default());
        (Arc::clone(&bell), Waker::from(bell))
    }

    /// A value that is computed once, and the number of attempts.
    #[derive(Default)]
    struct Number {
        flight: Flight,
        known: OnceLock<u32>,
        tries: AtomicUsize,
    }

    impl Number {
        fn get(&self, compute: impl FnOnce() -> Result<u32>) -> Result<u32> {
            self.flight.run(
                || self.known.get().copied(),
                || {
                    self.tries.fetch_add(1, Ordering::Relaxed);
                    compute().map(|number| *self.known.get_or_init(|| number))
                },
            )
        }
    }

    #[test]
    fn what_takes_long_is_left_even_where_the_error_is_swallowed() {
        assert!(matches!(quick(|| Ok(7)), Some(Ok(7))));
        assert!(quick(|| begin_long().map(|()| 7)).is_none());
        let swallowed = quick(|| {
            let _ = begin_long();
            assert!(is_unfinished() && finished().is_err());
            Ok(7)
        });
        assert!(swallowed.is_none());
        assert!(!is_unfinished());
        assert!(begin_long().is_ok() && check().is_ok(), "a thread on its own does everything");
        // A nested attempt does not affect the state of the outer one.
        let outer = quick(|| {
            assert!(quick(begin_long).is_none());
            Ok(8)
        });
        assert!(matches!(outer, Some(Ok(8))));
    }

    #[test]
    fn what_nobody_waits_for_is_left() {
        let asker = Asker::new();
        let (_, waker) = waker();
        let work = || {
            check()?;
            asker.leave();
            check()
        };
        assert!(matches!(run(&asker, waker, work), Poll::Ready(Err(Error::Unfinished))));
        assert!(check().is_ok());
    }

    #[test]
    fn helpers_stop_with_whom_they_help() {
        let asker = Asker::new();
        let (_, waker) = waker();
        let work = || {
            let inherited = inherit();
            thread::scope(|scope| {
                let helper = scope.spawn(move || inherited.help(|| while check().is_ok() {}));
                asker.leave();
                helper.join().unwrap();
            });
            Ok(())
        };
        assert!(run(&asker, waker, work).is_ready());
    }

    #[test]
    fn who_comes_later_is_woken_and_need_not_wait() {
        let number = Arc::new(Number::default());
        let (go, gone) = mpsc::channel::<()>();
        let (say, said) = mpsc::channel();
        let first = Arc::clone(&number);
        let leader = thread::spawn(move || {
            first.get(|| {
                say.send(()).unwrap();
                gone.recv().unwrap();
                Ok(7)
            })
        });
        said.recv().unwrap();
        let (bell, waker) = waker();
        let asker = Asker::new();
        let again = || run(&asker, waker.clone(), || number.get(|| unreachable!("it is under way")));
        assert!(again().is_pending());
        assert!(quick(|| number.get(|| Ok(8))).is_none(), "nor does it wait");
        assert_eq!(bell.0.load(Ordering::Relaxed), 0);
        go.send(()).unwrap();
        assert_eq!(leader.join().unwrap().unwrap(), 7);
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        assert!(matches!(again(), Poll::Ready(Ok(7))));
        assert!(matches!(quick(|| number.get(|| Ok(8))), Some(Ok(7))));
        assert_eq!(number.tries.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn it_goes_on_for_the_last_who_waits() {
        let number = Arc::new(Number::default());
        let (leader, other) = (Asker::new(), Asker::new());
        let (say, said) = mpsc::channel();
        let (first, asker) = (Arc::clone(&number), Arc::clone(&leader));
        let thread = thread::spawn(move || {
            let compute = || {
                say.send(()).unwrap();
                loop {
                    check()?;
                    thread::yield_now();
                }
            };
            run(&asker, waker().1, || first.get(compute)).map(|done| done.is_err())
        });
        said.recv().unwrap();
        assert!(run(&other, waker().1, || number.get(|| Ok(1))).is_pending());
        leader.leave();
        thread::sleep(Duration::from_millis(50));
        assert!(!thread.is_finished(), "the other waits");
        other.leave();
        assert_eq!(thread.join().unwrap(), Poll::Ready(true));
        // The next request starts a new computation.
        assert!(matches!(run(&Asker::new(), waker().1, || number.get(|| Ok(9))), Poll::Ready(Ok(9))));
    }

    #[test]
    fn threads_on_their_own_wait_for_each_other_and_a_panic_ends_a_flight() {
        let number = Number::default();
        let panics = || number.get(|| panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        let compute = || {
            thread::sleep(Duration::from_millis(20));
            Ok(7)
        };
        thread::scope(|scope| {
            let ask = || assert_eq!(number.get(compute).unwrap(), 7);
            (0..8).for_each(|_| drop(scope.spawn(ask)));
        });
        assert_eq!(number.tries.load(Ordering::Relaxed), 2);
    }
}
