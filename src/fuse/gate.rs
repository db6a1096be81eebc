//! A gate: what may not be told before something is ready is told then.

use std::sync::{Mutex, OnceLock, PoisonError};

/// Something to be done once the gate is open.
type Job = Box<dyn FnOnce() + Send>;

/// Closed at first, and open for ever after.
#[derive(Default)]
pub(super) struct Gate {
    is_open: OnceLock<()>,
    waiting: Mutex<Vec<Job>>,
}

impl Gate {
    /// Has this done now, if the gate is open, or when it is.
    pub fn pass(&self, job: impl FnOnce() + Send + 'static) {
        if self.is_open.get().is_some() {
            return job();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been opened meanwhile, and nobody looks again.
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
        let (gate, (say, said)) = (Gate::default(), mpsc::channel());
        let job = |number| {
            let say = say.clone();
            move || say.send(number).unwrap()
        };
        gate.pass(job(1));
        gate.pass(job(2));
        assert!(said.try_recv().is_err());
        gate.open();
        gate.pass(job(3));
        assert_eq!(said.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
