//! The rule for `indptr`: the start of each row and the end of the last one, increasing from 0 to nnz.

use std::path::Path;

use crate::dtype::{Dtype, integer_text};
use crate::error::{Error, Result};

/// The rule for the `indptr` of a matrix with this many rows and stored elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IndptrRule {
    /// Number of rows. `indptr` has one number more.
    pub rows: u64,
    /// Number of stored elements.
    pub nnz: u64,
}

/// How a number breaks the rule. A number that does not has all fields `false`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Broken {
    /// The number is the first and not 0, or the last and not nnz.
    pub is_end: bool,
    /// The number is larger than nnz, or negative.
    pub is_beyond: bool,
    /// The number is smaller than the one before. Only if both are in range, so that each mistake is
    /// reported once.
    pub is_fall: bool,
}

impl IndptrRule {
    /// How number `at` breaks the rule. `before` is the number before it, or 0 for the first.
    pub fn broken(self, at: u64, before: u64, bound: u64) -> Broken {
        let is_beyond = bound > self.nnz;
        Broken {
            is_end: at == 0 && bound != 0 || at == self.rows && bound != self.nnz,
            is_beyond,
            is_fall: !is_beyond && bound < before && before <= self.nnz,
        }
    }

    /// Whether consecutive numbers, starting with number `first`, follow the rule.
    pub fn holds(self, first: u64, bounds: &[u64]) -> bool {
        let [start, .., end] = bounds else {
            return bounds.iter().all(|bound| self.broken(first, 0, *bound) == Broken::default());
        };
        let last = first + bounds.len() as u64 - 1;
        let are_ends = [(first, start), (last, end)].map(|(at, bound)| self.broken(at, 0, *bound));
        // Count violations instead of stopping at the first. Without branches, the compiler can vectorize
        // this loop.
        let pairs = bounds.iter().zip(&bounds[1..]);
        let falls: usize =
            pairs.map(|(before, bound)| usize::from(bound < before || *bound > self.nnz)).sum();
        are_ends == [Broken::default(); 2] && falls == 0
    }

    /// Checks consecutive numbers of the file `path`, starting with number `first`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the first number that breaks the rule.
    pub fn check(self, path: &Path, dtype: Dtype, first: u64, bounds: &[u64]) -> Result<()> {
        if self.holds(first, bounds) {
            return Ok(());
        }
        // Slow path, only to find the number for the message.
        let mut before = 0;
        for (at, bound) in (first..).zip(bounds) {
            if self.broken(at, before, *bound) != Broken::default() {
                return Err(self.fault(path, dtype, at, *bound));
            }
            before = *bound;
        }
        Ok(())
    }

    /// The error for a number that breaks the rule.
    pub fn fault(self, path: &Path, dtype: Dtype, at: u64, bound: u64) -> Error {
        let expected = match at {
            0 => "0 first".into(),
            at if at == self.rows => format!("{} last", self.nnz),
            _ => format!("numbers that rise from 0 to {}", self.nnz),
        };
        let found = format!("{} at {at}", integer_text(dtype, bound));
        Error::invalid(path, "ranges of rows", expected, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: IndptrRule = IndptrRule { rows: 4, nnz: 9 };

    fn check(first: u64, bounds: &[u64]) -> Option<String> {
        let checked = RULE.check(Path::new("x"), Dtype::Int64, first, bounds);
        assert_eq!(checked.is_ok(), RULE.holds(first, bounds), "{first} {bounds:?}");
        let Error::Invalid { expected, found, .. } = checked.err()? else { return Some(String::new()) };
        Some(format!("{expected}: {found}"))
    }

    #[test]
    fn numbers_that_rise_keep_to_it() {
        for bounds in [[0, 0, 0, 0, 9], [0, 2, 3, 5, 9], [0, 9, 9, 9, 9]] {
            for from in 0..=bounds.len() {
                for to in from..=bounds.len() {
                    assert_eq!(check(from as u64, &bounds[from..to]), None);
                }
            }
        }
    }

    #[test]
    fn the_first_that_breaks_it_is_named() {
        let rising = "numbers that rise from 0 to 9";
        let cases: [(u64, &[u64], &str); 9] = [
            (0, &[1], "0 first: 1 at 0"),
            (0, &[1, 3, 5, 7, 9], "0 first: 1 at 0"),
            (0, &[0, 3, 2, 1, 9], &format!("{rising}: 2 at 2")),
            (1, &[4, 3], &format!("{rising}: 3 at 2")),
            (2, &[10], &format!("{rising}: 10 at 2")),
            (2, &[u64::MAX, 9], &format!("{rising}: -1 at 2")),
            (3, &[8, 8], "9 last: 8 at 4"),
            (4, &[10], "9 last: 10 at 4"),
            (4, &[0], "9 last: 0 at 4"),
        ];
        for (first, bounds, expected) in cases {
            assert_eq!(check(first, bounds).as_deref(), Some(expected), "{first} {bounds:?}");
        }
    }

    #[test]
    fn a_number_can_break_it_in_more_ways_than_one() {
        let broken = |is_end, is_beyond, is_fall| Broken { is_end, is_beyond, is_fall };
        assert_eq!(RULE.broken(0, 0, 10), broken(true, true, false));
        assert_eq!(RULE.broken(4, 5, 4), broken(true, false, true));
        assert_eq!(RULE.broken(2, 10, 4), broken(false, false, false), "that before it is at fault");
        assert_eq!(RULE.broken(2, 5, 4), broken(false, false, true));
    }
}
