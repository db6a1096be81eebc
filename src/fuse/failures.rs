//! Logs failed requests: the operation, the file, and the reason.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, shown};
use crate::tree::Ino;

/// How long a repeated message is suppressed, at most.
const A_WHILE: Duration = Duration::from_secs(60);
/// Limit on the messages in this period.
const MOST: usize = 1000;

/// The recent messages. A reader that retries forever, or reads a million broken rows, must not flood the
/// log.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    what: HashSet<u64>,
    /// When the first of them was logged.
    since: Option<Instant>,
}

impl Failures {
    /// Logs that an operation on a node, which is at `path`, failed. A recent message is not repeated.
    pub fn say(&self, operation: &str, node: Ino, path: impl FnOnce() -> PathBuf, error: &Error) {
        let words = error.to_string();
        let mut hasher = DefaultHasher::new();
        (operation, node, &words).hash(&mut hasher);
        match self.note(hasher.finish()) {
            Some(MOST) => log::warn!("more requests fail than are told of within a minute"),
            Some(_) => log::warn!("cannot {operation} {}: {words}", shown(path())),
            None => {}
        }
    }

    /// The number of recent messages including this one, up to [`MOST`]. None if this one is a repetition, or
    /// if there are too many.
    fn note(&self, what: u64) -> Option<usize> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.since.is_none_or(|since| since.elapsed() >= A_WHILE) {
            *said = Said { since: Some(Instant::now()), ..Said::default() };
        }
        (said.what.len() < MOST && said.what.insert(what)).then(|| said.what.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_and_much_is_not_said() {
        let failures = Failures::default();
        assert_eq!((failures.note(1), failures.note(1), failures.note(2)), (Some(1), None, Some(2)));
        let said = (10..1_000_000).filter(|what| failures.note(*what).is_some()).count();
        assert_eq!(said, MOST - 2);
        if let Some(old) = Instant::now().checked_sub(A_WHILE) {
            failures.0.lock().unwrap().since = Some(old);
            assert_eq!(failures.note(1), Some(1));
        }
    }
}
