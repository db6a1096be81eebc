//! A lane for what takes its time, so that nothing else waits behind it.
//!
//! The workers of the lane take turns between the files that are read: no file has all of them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::tree::Ino;

/// Something to be done.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Workers and what they have to do.
pub(super) struct Lane {
    shared: Arc<Shared>,
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
    is_closed: bool,
}

impl Lane {
    /// A lane with workers of its own.
    pub fn new() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, Into::into);
        let shared = Arc::new(Shared::default());
        for _ in 0..(4 * cores).clamp(8, 32) {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("slow".into()).spawn(move || shared.work(cores))?;
        }
        Ok(Self { shared })
    }

    /// Has a job done that reads this file.
    pub fn run(&self, file: Ino, job: Job) {
        let mut queues = self.shared.lock();
        match queues.waiting.iter_mut().find(|(other, _)| *other == file) {
            Some((_, jobs)) => jobs.push_back(job),
            None => queues.waiting.push_back((file, [job].into())),
        }
        drop(queues);
        self.shared.is_more.notify_one();
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.is_more.notify_all();
    }
}

impl Shared {
    /// Does jobs until the lane is closed, of one file no more than `most` at a time.
    fn work(&self, most: usize) {
        let mut queues = self.lock();
        while !queues.is_closed {
            let Some((file, job)) = queues.take(most) else {
                queues = self.is_more.wait(queues).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(queues);
            job();
            queues = self.lock();
            queues.done(file);
            // Its file may have had to wait for this one.
            self.is_more.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
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
    use std::time::Duration;

    #[test]
    fn one_file_never_has_all_workers() {
        let lane = Lane::new().unwrap();
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
}
