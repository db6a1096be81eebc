//! The names of an array's rows and columns, if the store has them.
//!
//! They are in text files, one name per line ([`NameFiles`] finds them), and are read on first use. Names
//! that do not fit the array are reported and ignored. Duplicates, which are common among genes, and empty
//! names are reported but used.

mod daf;
mod files;
mod index;
mod quoted;
mod text;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::error::{Result, one_line};
use crate::word::to_usize;
pub use daf::{idle_axes, idle_words};
pub use files::NameFiles;
use index::Index;
use quoted::Gain;
pub use quoted::write_quoted;
pub use text::LONGEST_NAME;

/// Number of names between two checks whether anyone still waits for the result.
const MANY: u64 = 1 << 16;

/// The names along one axis of an array, in order.
#[derive(Debug, Default)]
pub struct AxisNames {
    /// The file of the store that they come from.
    pub source: PathBuf,
    /// All names, concatenated.
    text: String,
    /// The end of each name in `text`. With `u32`, a list is limited to 4 GiB and takes half the memory.
    ends: Vec<u32>,
    index: Index,
    /// Number of names that were not valid UTF-8.
    mended: u64,
    /// The bytes that quotes add to the names. Computed when text is first made of them.
    gains: OnceLock<Vec<Gain>>,
}

impl AxisNames {
    /// The names that end at `ends` in `text`. `mended` of them were not valid UTF-8.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unfinished`] if nobody waits for the result any more.
    fn new(source: PathBuf, text: String, ends: Vec<u32>, mended: u64) -> Result<Self> {
        let mut axis_names = Self { source, text, ends, mended, ..Self::default() };
        axis_names.index = Index::new(&axis_names)?;
        Ok(axis_names)
    }

    /// Descriptions of anything unusual about the names.
    pub fn oddities(&self) -> Vec<String> {
        let mut oddities = Vec::new();
        if let Some((first, _)) = self.index.again().first() {
            let (count, name) = (self.index.again().len(), self.get(u64::from(*first)));
            let repeat = if count == 1 { "repeats" } else { "repeat" };
            oddities.push(format!("{count} {repeat} (first: {})", one_line(name.as_ref())));
        }
        let empty = (0..self.len()).filter(|i| self.get(*i).is_empty()).count();
        if empty > 0 {
            oddities.push(format!("{empty} {} empty", if empty == 1 { "is" } else { "are" }));
        }
        if self.mended > 0 {
            let are = if self.mended == 1 { "is" } else { "are" };
            oddities.push(format!("{} {are} not UTF-8, and shown with \u{FFFD}", self.mended));
        }
        oddities
    }

    /// Whether any name is empty.
    pub fn has_empty(&self) -> bool {
        (0..self.len()).any(|i| self.get(i).is_empty())
    }

    /// The same names, with `word` and the index in place of empty ones. The index has at least `digits`
    /// digits.
    #[must_use]
    pub fn filled(&self, word: &str, digits: usize) -> Self {
        let (mut text, mut ends) =
            (String::with_capacity(self.text.len()), Vec::with_capacity(self.ends.len()));
        for i in 0..self.len() {
            match self.get(i) {
                "" => text.push_str(&format!("{word}{i:0digits$}")),
                name => text.push_str(name),
            }
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        Self { source: self.source.clone(), text, ends, ..Self::default() }
    }

    /// Whether any name occurs more than once.
    pub fn repeat(&self) -> bool {
        !self.index.again().is_empty()
    }

    /// The other rows or columns with the same name. `first` is the first one with that name.
    pub fn further(&self, first: u64) -> impl Iterator<Item = u64> {
        self.index.further(first)
    }

    /// Number of names, which is the number of the array's rows or columns.
    pub fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name of this row or column of the array. It is empty if the index is out of range.
    pub fn get(&self, i: u64) -> &str {
        let i = to_usize(i);
        let Some(end) = self.ends.get(i) else { return "" };
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start as usize..*end as usize]
    }

    /// Length of all names in bytes.
    pub fn bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// Length of the longest name in bytes.
    pub fn longest(&self) -> u64 {
        let first = self.ends.first().copied().unwrap_or(0);
        let others = self.ends.windows(2).map(|pair| pair[1] - pair[0]);
        others.fold(first, u32::max).into()
    }

    /// Length in bytes of all names before this one. An index out of range gives that of all names.
    pub fn start(&self, i: u64) -> u64 {
        let i = to_usize(i).min(self.ends.len());
        if i == 0 { 0 } else { self.ends[i - 1].into() }
    }

    /// Memory use in bytes.
    fn memory(&self) -> usize {
        self.text.len() + self.ends.len() * 4 + self.index.memory()
    }

    /// The first row or column of the array with this name.
    pub fn find(&self, name: &str) -> Option<u64> {
        self.index.find(self, name)
    }
}

#[cfg(test)]
impl<'n> FromIterator<&'n str> for AxisNames {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut axis_names = Self::default();
        for name in names {
            axis_names.text.push_str(name);
            axis_names.ends.push(u32::try_from(axis_names.text.len()).unwrap());
        }
        axis_names
    }
}

/// Descriptions of anything unusual about names that will be written, one per line.
#[cfg(feature = "import")]
pub(crate) fn oddities(lines: &[u8], count: u64) -> Vec<String> {
    let mut copy = Vec::new();
    if copy.try_reserve_exact(lines.len()).is_err() {
        return Vec::new();
    }
    copy.extend_from_slice(lines);
    let axis_names = text::parse("".as_ref(), copy, count, text::Style::Lines);
    axis_names.map(|axis_names| axis_names.oddities()).unwrap_or_default()
}

/// The names of an array's rows and columns, if they are known.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// A name for each row of the whole array.
    pub rows: Option<Arc<AxisNames>>,
    /// A name for each column.
    pub columns: Option<Arc<AxisNames>>,
}
