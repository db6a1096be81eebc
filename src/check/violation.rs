//! How often a rule was violated, and where first.

/// The violations of one rule in some part of a file. Only the first is kept, because there may be billions.
#[derive(Debug, Default)]
pub(super) struct Violation {
    count: u64,
    first: Option<Case>,
}

/// One violation: the index of a number in its file, the number, and the one before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub place: u64,
    pub number: u64,
    pub before: u64,
}

impl Violation {
    pub fn add(&mut self, place: u64, number: u64, before: u64) {
        self.merge(Self { count: 1, first: Some(Case { place, number, before }) });
    }

    /// Adds the violations found in another part.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.into_iter().chain(other.first).min_by_key(|case| case.place);
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The violations as text. `describe` describes the first.
    pub fn found(&self, describe: impl FnOnce(Case) -> String) -> Option<String> {
        let first = describe(self.first?);
        Some(match self.count {
            1 => first,
            count => format!("{first} (and {} more)", count - 1),
        })
    }
}
