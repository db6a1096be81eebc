//! A gate: delays replies until something is ready.

use std::sync::{Mutex, OnceLock, PoisonError};

/// Work for when the gate is open.
type Job = Box<dyn FnOnce() + Send>;

/// The gate is closed at first. Once open, it stays open.
#[derive(Default)]
pub(super) struct ReadyLatch {
    is_open: OnceLock<()>,
    waiting: Mutex<Vec<Job>>,
}

impl ReadyLatch {
    /// Runs the job, now if the gate is open, otherwise when it opens.
    pub fn pass(&self, job: impl FnOnce() + Send + 'static) {
        if self.is_open.get().is_some() {
            return job();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // The gate may have been opened since the first check. Then nobody would run a job that is queued
        // now.
        match self.is_open.get() {
            Some(()) => {
                drop(waiting);
                job();
            }
            None => waiting.push(Box::new(job)),
        }
    }

    /// Opens the gate.
    pub fn open(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = self.is_open.set(());
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(|job| job());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_comes_early_waits() {
        let (ready_latch, (say, said)) = (ReadyLatch::default(), mpsc::channel());
        let job = |number| {
            let say = say.clone();
            move || say.send(number).unwrap()
        };
        ready_latch.pass(job(1));
        ready_latch.pass(job(2));
        assert!(said.try_recv().is_err());
        ready_latch.open();
        ready_latch.pass(job(3));
        assert_eq!(said.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
