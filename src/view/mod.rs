//! The formats: each dresses up a part of an array as a file. One format, one file, one line in
//! [`VIEWS`].

mod csv;
mod meta;
mod npy;
mod raw;

use crate::error::Result;
use crate::part::{Part, Selection};
use crate::vfile::VirtualFile;

/// A format that parts of an array can be read in.
pub trait View: Sync {
    /// What follows the thing and the dot in the file's name; empty for the bytes as they are.
    fn format(&self) -> &'static str;

    /// Whether the part, which the selection has, comes in this format. Reads no data.
    fn offers(&self, selection: &Selection, part: Part) -> bool;

    /// Whether a listing shows the file; others are found by name all the same.
    fn is_listed(&self, part: Part) -> bool {
        matches!(part.of, crate::part::Scope::All)
    }

    /// The part as a file, its size known.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotFound`] when the format does not [`offer`](Self::offers) the part, and
    /// whatever is read to know the size.
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile>;
}

/// All formats. A file's inode number depends on its format's place here: add at the end.
pub static VIEWS: [&dyn View; 4] = [&raw::Raw, &meta::Meta, &npy::Npy, &csv::Csv];
