//! The number that stands for a format, and sets of such numbers.

/// The number of a format. The inode numbers of its files are made of it, so it stays the format's for good.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FormatId(u8);

impl FormatId {
    /// One more than the largest number.
    pub const COUNT: u64 = 32;

    /// The bytes as they are.
    pub const RAW: Self = Self(0);

    /// The format of this number.
    ///
    /// # Panics
    ///
    /// For a number that is not below [`COUNT`](Self::COUNT); numbers are constants.
    pub const fn new(number: u8) -> Self {
        assert!((number as u64) < Self::COUNT);
        Self(number)
    }

    /// The format of this number, if there can be one.
    pub fn from_number(number: u64) -> Option<Self> {
        u8::try_from(number).ok().filter(|_| number < Self::COUNT).map(Self)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0 as u64
    }
}

/// Some formats.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Formats(u32);

impl Formats {
    /// All that there are.
    pub const ALL: Self = Self(u32::MAX);

    /// These formats.
    pub fn of(formats: impl IntoIterator<Item = FormatId>) -> Self {
        Self(formats.into_iter().fold(0, |all, format| all | 1 << format.0))
    }

    /// Whether the format is one of them.
    pub const fn has(self, format: FormatId) -> bool {
        self.0 >> format.0 & 1 == 1
    }
}
