//! How often a rule was broken, and where first.

/// A rule's breaches in some part of a file.
#[derive(Debug, Default)]
pub(super) struct Breach {
    count: u64,
    first: Option<Case>,
}

/// One breach: a number, the one before it, and which number of the file it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub place: u64,
    pub number: u64,
    pub before: u64,
}

impl Breach {
    pub fn add(&mut self, place: u64, number: u64, before: u64) {
        self.merge(Self { count: 1, first: Some(Case { place, number, before }) });
    }

    /// Adds what was found in another part.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.into_iter().chain(other.first).min_by_key(|case| case.place);
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The breaches in words, the first described by `describe`.
    pub fn found(&self, describe: impl FnOnce(Case) -> String) -> Option<String> {
        let first = describe(self.first?);
        Some(match self.count {
            1 => first,
            count => format!("{first} (and {} more)", count - 1),
        })
    }
}
