//! Verifying what is shown: every file of every format is decoded, and its numbers are those of the store.
//!
//! Nothing that makes the files is used to check them. The decoders are others' wherever there are any;
//! what to compare with is read from the store's files by `oracle`, element by element.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::array::catalog::StoredArray;
use crate::array::selection::{Part, Scope, Selection, Thing};
use crate::encode::Rendered;
use crate::error::Result;
use crate::formats::{Format, offered};
use crate::oracle::{Fault, Shown, Verified};

/// A file, or a folder of files, that is to be verified.
pub struct Case {
    selection: Arc<Selection>,
    folder: String,
    part: Part,
    format: &'static dyn Format,
}

/// Everything that is shown of an array: all parts in all formats of the whole and of two slices, and of
/// its first and last row and column.
pub fn cases(array: &Arc<StoredArray>) -> Vec<Case> {
    let whole = Arc::new(Selection::whole(Arc::clone(array)));
    let mut cases = scopes(whole.shape().rows(), whole.shape().columns())
        .into_iter()
        .flat_map(|of| cases_of(&whole, String::new(), of))
        .collect::<Vec<_>>();
    for slice in slices(whole.shape().rows()) {
        if let Some(selection) = whole.slice(slice.as_bytes()) {
            cases.extend(cases_of(&Arc::new(selection), format!("slices/{slice}/"), Scope::All));
        }
    }
    cases
}

fn scopes(rows: u64, columns: u64) -> Vec<Scope> {
    let mut scopes =
        vec![Scope::All, Scope::Row(0), Scope::Row(rows - 1), Scope::Column(0), Scope::Column(columns - 1)];
    scopes.dedup();
    scopes
}

/// Rows that are neighbours and rows that are apart, never very many.
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

fn cases_of(selection: &Arc<Selection>, folder: String, of: Scope) -> impl Iterator<Item = Case> {
    let selection = Arc::clone(selection);
    Thing::ALL.into_iter().flat_map(move |thing| {
        let part = Part { thing, of };
        let views: Vec<_> = offered(&selection, part).map(|(_, view)| view).collect();
        let (selection, folder) = (Arc::clone(&selection), folder.clone());
        let case =
            move |format| Case { selection: Arc::clone(&selection), folder: folder.clone(), part, format };
        views.into_iter().map(case)
    })
}

impl Case {
    /// What the format is called; nothing for the bytes as they are.
    pub fn format(&self) -> &'static str {
        self.format.name()
    }

    /// Bytes to be read.
    ///
    /// # Errors
    ///
    /// Whatever making the file gives.
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

    /// Decodes and compares, and calls `progress` with the bytes read since the call before.
    ///
    /// # Errors
    ///
    /// Why the numbers are not those of the store, or could not be read.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> std::result::Result<(), String> {
        let content = self.content().map_err(|error| error.to_string())?;
        decode(self.format, &Shown { selection: &self.selection, part: self.part, content, progress })
            .map_err(|Fault(why)| why)
    }
}

/// Decodes and compares. Others' decoders panic over some files that are wrong: that is a fault of the file,
/// and no reason not to look at the next.
fn decode(format: &dyn Format, shown: &Shown<'_>) -> Verified {
    let decoded = catch_unwind(AssertUnwindSafe(|| format.verify(shown)));
    decoded.unwrap_or_else(|_| Err(Fault("the decoder could make nothing of it".into())))
}

/// Where it is in the array's folder.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folder)?;
        match (self.part.of, self.part.thing) {
            (Scope::All, _) => {}
            (Scope::Row(i), Thing::Array) => write!(f, "rows/{i}")?,
            (Scope::Row(i), _) => write!(f, "rows/{i}/")?,
            (Scope::Column(j), _) => write!(f, "cols/{j}")?,
        }
        if self.part.of == Scope::All || self.part.thing != Thing::Array {
            f.write_str(self.part.thing.name())?;
        }
        match self.format.extension() {
            "" => Ok(()),
            format => write!(f, ".{format}"),
        }
    }
}

#[cfg(test)]
mod tests;
