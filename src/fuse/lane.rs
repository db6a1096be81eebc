//! A lane for what takes its time, so that nothing else waits behind it.
//!
//! The workers of the lane take turns between the files that are read: no file has all of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::tree::Ino;

/// How long a worker waits for more to do.
const A_WHILE: Duration = Duration::from_secs(5);

/// Something to be done.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Workers and what they have to do.
pub(super) struct Lane {
    shared: Arc<Shared>,
    cores: usize,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    is_more: Condvar,
}

#[derive(Default)]
struct Queues {
    /// The jobs of each file, the files in the order of their turns.
    waiting: VecDeque<(Ino, VecDeque<Job>)>,
    /// How many jobs of each file are being done.
    running: HashMap<Ino, usize>,
    workers: usize,
    /// Workers that wait for something to do.
    idle: usize,
    is_closed: bool,
}

impl Lane {
    /// The most workers there can be.
    const MOST: usize = 256;

    /// A lane without workers: they come when there is something to do, and go when there is not.
    pub fn new() -> Self {
        Self { shared: Arc::default(), cores: std::thread::available_parallelism().map_or(2, Into::into) }
    }

    /// Has a job done that reads this file.
    pub fn run(&self, file: Ino, job: Job) {
        let mut queues = self.shared.lock();
        queues.push(file, job);
        let is_missing = queues.idle == 0 && queues.workers < Self::MOST;
        if is_missing {
            queues.workers += 1;
        }
        drop(queues);
        if is_missing {
            self.hire();
        } else {
            self.shared.is_more.notify_one();
        }
    }

    fn hire(&self) {
        let (shared, cores) = (Arc::clone(&self.shared), self.cores);
        let worker = std::thread::Builder::new().name("slow".into()).spawn(move || shared.work(cores));
        if let Err(error) = worker {
            log::warn!("no thread for slow reads: {error}");
            self.shared.lock().workers -= 1;
            // Better late than never: nobody else may come to do it.
            self.shared.do_all(self.cores);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.is_more.notify_all();
    }
}

impl Shared {
    /// Does jobs until there are none for a while, or the lane is closed; of one file no more than `most`
    /// at a time.
    fn work(&self, most: usize) {
        while self.do_next(most) || self.wait_for_more() {}
        self.lock().workers -= 1;
    }

    /// Does all that can be done. What waits for its file's turn is done by those who have the turn now,
    /// when they are through: so no job is left behind where there are no workers.
    fn do_all(&self, most: usize) {
        while self.do_next(most) {}
    }

    /// Does a job, if there is one to do.
    fn do_next(&self, most: usize) -> bool {
        let Some((file, job)) = self.lock().take(most) else { return false };
        job();
        self.lock().done(file);
        // Its file may have had to wait for this one.
        self.is_more.notify_one();
        true
    }

    /// Whether there is more to do, after a while at most.
    fn wait_for_more(&self) -> bool {
        let mut queues = self.lock();
        if queues.is_closed {
            return false;
        }
        queues.idle += 1;
        let (mut queues, waited) =
            self.is_more.wait_timeout(queues, A_WHILE).unwrap_or_else(PoisonError::into_inner);
        queues.idle -= 1;
        !queues.is_closed && !waited.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn push(&mut self, file: Ino, job: Job) {
        match self.waiting.iter_mut().find(|(other, _)| *other == file) {
            Some((_, jobs)) => jobs.push_back(job),
            None => self.waiting.push_back((file, [job].into())),
        }
    }

    /// The next job, of the first file in turn that has not `most` of them running.
    fn take(&mut self, most: usize) -> Option<(Ino, Job)> {
        let is_free = |(file, _): &(Ino, VecDeque<Job>)| self.running.get(file).is_none_or(|n| *n < most);
        let turn = self.waiting.iter().position(is_free)?;
        let (file, mut jobs) = self.waiting.remove(turn)?;
        let job = jobs.pop_front()?;
        if !jobs.is_empty() {
            self.waiting.push_back((file, jobs));
        }
        *self.running.entry(file).or_default() += 1;
        Some((file, job))
    }

    fn done(&mut self, file: Ino) {
        if let Some(count) = self.running.get_mut(&file) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(&file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn one_file_never_has_all_workers() {
        let lane = Lane::new();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..100 {
            let held = Arc::clone(&held);
            lane.run(Ino(1), Box::new(move || assert!(held.lock().unwrap().recv().is_err())));
        }
        let (say, done) = mpsc::channel();
        lane.run(Ino(2), Box::new(move || say.send(()).unwrap()));
        done.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(release);
    }

    #[test]
    fn without_workers_whoever_has_a_turn_does_what_had_to_wait_for_it() {
        let shared = Arc::new(Shared::default());
        let (say, done) = mpsc::channel();
        let (later, say_later) = (Arc::clone(&shared), say.clone());
        let first = move || {
            // Another asks for the same file meanwhile, and has to leave it.
            later.lock().push(Ino(1), Box::new(move || say_later.send("second").unwrap()));
            later.do_all(1);
            say.send("first").unwrap();
        };
        shared.lock().push(Ino(1), Box::new(first));
        shared.do_all(1);
        assert_eq!(done.try_iter().collect::<Vec<_>>(), ["first", "second"]);
    }
}
