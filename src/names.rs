//! The names of an array's rows and columns, where the store knows them.

use std::path::PathBuf;
use std::sync::Arc;

/// The names along one axis of an array, in order.
#[derive(Debug, Default)]
pub struct Labels {
    /// File of the store that they come from.
    pub source: PathBuf,
    /// All names, one after the other.
    text: String,
    /// Where each name ends in the text.
    ends: Vec<u32>,
}

impl Labels {
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

    /// Bytes of all names before this one; of all there are beyond the last.
    pub fn start(&self, i: u64) -> u64 {
        let i = usize::try_from(i).unwrap_or(usize::MAX).min(self.ends.len());
        if i == 0 { 0 } else { self.ends[i - 1].into() }
    }
}

impl<'a> FromIterator<&'a str> for Labels {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        let mut labels = Self::default();
        for name in names {
            labels.text.push_str(name);
            labels.ends.push(u32::try_from(labels.text.len()).unwrap_or(u32::MAX));
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
