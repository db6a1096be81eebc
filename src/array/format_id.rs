//! The numbers of formats, and sets of them.

/// The number of a format. Inode numbers of files contain it, so it must never change.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FormatId(u8);

impl FormatId {
    /// One more than the largest number.
    pub const COUNT: u64 = 32;

    /// The raw bytes.
    pub const RAW: Self = Self(0);

    /// The format with this number.
    ///
    /// # Panics
    ///
    /// If the number is not below [`COUNT`](Self::COUNT). Callers pass constants.
    pub const fn new(number: u8) -> Self {
        assert!((number as u64) < Self::COUNT);
        Self(number)
    }

    /// The format with this number, if the number is in range.
    pub fn from_number(number: u64) -> Option<Self> {
        u8::try_from(number).ok().filter(|_| number < Self::COUNT).map(Self)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0 as u64
    }
}

/// A set of formats.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Formats(u32);

impl Formats {
    /// All formats.
    pub const ALL: Self = Self(u32::MAX);

    /// The set of these formats.
    pub fn of(formats: impl IntoIterator<Item = FormatId>) -> Self {
        Self(formats.into_iter().fold(0, |all, format| all | 1 << format.0))
    }

    /// Whether the format is in the set.
    pub const fn has(self, format: FormatId) -> bool {
        self.0 >> format.0 & 1 == 1
    }
}
