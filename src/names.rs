//! The names of an array's rows and columns, where the store knows them.
//!
//! They stand in text files, one name a line ([`NameFiles`] finds them), and are read when they are
//! first asked for: names that do not fit the array are told of and not used.

mod files;
mod index;
mod quoted;
mod text;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::error::Result;
pub use files::{COLUMN_NAMES, NameFiles, ROW_NAMES};
use index::Index;
use quoted::Gain;
pub use quoted::write_quoted;
pub use text::LONGEST_NAME;

/// A name that is there twice, and its places.
type Twice = (String, u64, u64);

/// Names that are looked at before it is asked again whether anybody waits for them.
const MANY: u64 = 1 << 16;

/// The names along one axis of an array, in order: all differ, and none is empty.
#[derive(Debug, Default)]
pub struct Labels {
    /// File of the store that they come from.
    pub source: PathBuf,
    /// All names, one after the other.
    text: String,
    /// Where each name ends in the text.
    ends: Vec<u32>,
    index: Index,
    /// What quotes add, once text was made of the names.
    gains: OnceLock<Vec<Gain>>,
}

impl Labels {
    /// The names that end there in the text; or a name that is there twice, and its places.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unfinished`] when nobody waits for them any more.
    fn new(source: PathBuf, text: String, ends: Vec<u32>) -> Result<std::result::Result<Self, Twice>> {
        let mut labels = Self { source, text, ends, ..Self::default() };
        match Index::new(&labels)? {
            Ok(index) => labels.index = index,
            Err((first, second)) => return Ok(Err((labels.get(first).to_owned(), first, second))),
        }
        Ok(Ok(labels))
    }

    /// Number of names: that of the array's rows or columns.
    pub fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name of this row or column of the array; empty beyond the last.
    pub fn get(&self, i: u64) -> &str {
        let i = usize::try_from(i).unwrap_or(usize::MAX);
        let Some(end) = self.ends.get(i) else { return "" };
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start as usize..*end as usize]
    }

    /// Bytes of all names together.
    pub fn bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// Bytes of the longest name.
    pub fn longest(&self) -> u64 {
        let first = self.ends.first().copied().unwrap_or(0);
        let others = self.ends.windows(2).map(|pair| pair[1] - pair[0]);
        others.fold(first, u32::max).into()
    }

    /// Bytes of all names before this one; of all there are beyond the last.
    pub fn start(&self, i: u64) -> u64 {
        let i = usize::try_from(i).unwrap_or(usize::MAX).min(self.ends.len());
        if i == 0 { 0 } else { self.ends[i - 1].into() }
    }

    /// Bytes of memory that they take.
    fn memory(&self) -> usize {
        self.text.len() + self.ends.len() * 4 + self.index.memory()
    }

    /// The row or column of the array that has this name.
    pub fn find(&self, name: &str) -> Option<u64> {
        self.index.find(self, name)
    }
}

#[cfg(test)]
impl<'n> FromIterator<&'n str> for Labels {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut labels = Self::default();
        for name in names {
            labels.text.push_str(name);
            labels.ends.push(u32::try_from(labels.text.len()).unwrap());
        }
        labels
    }
}

/// The names of the rows and columns of an array, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Of each row of the whole array.
    pub rows: Option<Arc<Labels>>,
    /// Of each column.
    pub columns: Option<Arc<Labels>>,
}
