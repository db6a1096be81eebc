//! Requests that failed, for the log: what was to be done with what, and why it could not be.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, shown};
use crate::tree::Ino;

/// How long what was said once is not said again, at the most.
const A_WHILE: Duration = Duration::from_secs(60);
/// The most that is said in that time.
const MOST: usize = 1000;

/// What was said lately: a reader that tries again and again, or reads a million broken rows, does not flood the
/// log.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    what: HashSet<u64>,
    /// When the first of it was said.
    since: Option<Instant>,
}

impl Failures {
    /// Says that something could not be done with a node, which is at `path`, unless it was said lately.
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

    /// How much was said lately with this, up to [`MOST`]; none where this was said, or too much.
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
