//! Verifying a mount's content: decodes every file of every format, and compares its numbers with the store.
//!
//! No code that renders files is used to verify them. Decoders come from third-party crates where there are
//! any. The expected numbers are read from the store's files by `oracle`, element by element.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::array::selection::{Component, Part, Region, Selection};
use crate::array::stored_array::StoredArray;
use crate::encode::Rendered;
use crate::error::Result;
use crate::formats::{Format, offered};
use crate::oracle::{Mismatch, Shown, Verified};

/// A file, or a directory of a format, that can be verified.
pub struct Case {
    selection: Arc<Selection>,
    folder: String,
    part: Part,
    format: &'static dyn Format,
}

/// All cases of an array: all components in all formats, of the whole array, of two slices, and of the first
/// and last row and column.
pub fn cases(array: &Arc<StoredArray>) -> Vec<Case> {
    let whole = Arc::new(Selection::whole(Arc::clone(array)));
    let mut cases = scopes(whole.shape().rows(), whole.shape().columns())
        .into_iter()
        .flat_map(|of| cases_of(&whole, String::new(), of))
        .collect::<Vec<_>>();
    for slice in slices(whole.shape().rows()) {
        if let Some(selection) = whole.slice(slice.as_bytes()) {
            cases.extend(cases_of(&Arc::new(selection), format!("slices/{slice}/"), Region::Whole));
        }
    }
    cases
}

fn scopes(rows: u64, columns: u64) -> Vec<Region> {
    // An array with a single row or column has it only once.
    let mut scopes = vec![
        Region::Whole,
        Region::Row(0),
        Region::Row(rows - 1),
        Region::Column(0),
        Region::Column(columns - 1),
    ];
    scopes.dedup();
    scopes
}

/// A contiguous slice and one with a step, of at most about 1000 rows each, so that large arrays take not
/// much longer.
fn slices(rows: u64) -> Vec<String> {
    const MOST: u64 = 1000;
    if rows < 3 {
        return Vec::new();
    }
    let start = rows / 3;
    vec![
        format!("{start}:{}", (start + MOST).min(rows - 1).max(start + 1)),
        format!("1::{}", rows.div_ceil(MOST).max(2)),
    ]
}

fn cases_of(selection: &Arc<Selection>, folder: String, of: Region) -> impl Iterator<Item = Case> {
    let selection = Arc::clone(selection);
    Component::ALL.into_iter().flat_map(move |component| {
        let part = Part { component, of };
        let views: Vec<_> = offered(&selection, part).map(|(_, view)| view).collect();
        let (selection, folder) = (Arc::clone(&selection), folder.clone());
        let case =
            move |format| Case { selection: Arc::clone(&selection), folder: folder.clone(), part, format };
        views.into_iter().map(case)
    })
}

impl Case {
    /// The name of the format; empty for raw bytes.
    pub fn format(&self) -> &'static str {
        self.format.name()
    }

    /// Number of bytes to read. For a directory, the total of its files.
    ///
    /// # Errors
    ///
    /// Any error of rendering the file.
    pub fn size(&self) -> Result<u64> {
        Ok(match self.content()? {
            Rendered::File(file) => file.len(),
            Rendered::Directory(members) => {
                let lengths = members.iter().filter_map(|member| Some(member.file?.len()));
                lengths.fold(0, u64::saturating_add)
            }
        })
    }

    fn content(&self) -> Result<Rendered> {
        self.format.render(&self.selection, self.part)
    }

    /// Decodes the content and compares it with the store. Calls `progress` with the number of bytes read
    /// since the last call.
    ///
    /// # Errors
    ///
    /// The first mismatch, or why the content could not be read.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> std::result::Result<(), String> {
        let content = self.content().map_err(|error| error.to_string())?;
        decode(self.format, &Shown { selection: &self.selection, part: self.part, content, progress })
            .map_err(|Mismatch(why)| why)
    }
}

/// Decodes and compares. Third-party decoders panic on some invalid files. This counts as a mismatch, and
/// must not prevent the verification of the next file.
fn decode(format: &dyn Format, shown: &Shown<'_>) -> Verified {
    let decoded = catch_unwind(AssertUnwindSafe(|| format.verify(shown)));
    decoded.unwrap_or_else(|_| Err(Mismatch("the decoder could make nothing of it".into())))
}

/// The path in the array's directory.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folder)?;
        match (self.part.of, self.part.component) {
            (Region::Whole, _) => {}
            (Region::Row(i), Component::Array) => write!(f, "rows/{i}")?,
            (Region::Row(i), _) => write!(f, "rows/{i}/")?,
            (Region::Column(j), _) => write!(f, "cols/{j}")?,
        }
        if self.part.of == Region::Whole || self.part.component != Component::Array {
            f.write_str(self.part.component.name())?;
        }
        match self.format.extension() {
            "" => Ok(()),
            format => write!(f, ".{format}"),
        }
    }
}

#[cfg(test)]
mod tests;
