//! What a format is: which parts of an array it offers, how it is made, and how it is verified.

use crate::array::selection::{Part, Scope, Selection};
use crate::encode::Rendered;
use crate::error::Result;
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::store::source::Run;

/// A format that parts of an array can be read in.
pub(crate) trait Format: Sync {
    /// What follows the thing and the dot in the file's name; empty for the bytes as they are.
    fn extension(&self) -> &'static str;

    /// What the format is called where formats are chosen.
    fn name(&self) -> &'static str {
        self.extension()
    }

    /// Whether the part, which the selection has, comes in this format. Reads no data.
    fn offers(&self, selection: &Selection, part: Part) -> bool;

    /// Whether a listing shows the file; others are found by name all the same.
    fn is_listed(&self, part: Part) -> bool {
        matches!(part.of, Scope::All)
    }

    /// What the format is and what reads it, in a line of Markdown.
    fn about(&self) -> &'static str {
        ""
    }

    /// Whether the file may show names of rows or columns: only who may read those may read it, and it
    /// changes when they do.
    fn shows_names(&self, part: Part) -> bool {
        let _ = part;
        true
    }

    /// Whether to tell the size of the file takes a look at the data: that is for when it is asked for.
    fn size_needs_data(&self, selection: &Selection, part: Part) -> bool {
        let _ = (selection, part);
        false
    }

    /// Whether the format is a folder of files.
    fn is_directory(&self) -> bool {
        false
    }

    /// The part in the format, all sizes known: a file, or a directory where the format [is
    /// one](Self::is_directory).
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotFound`] when the format does not [`offer`](Self::offers) the part, and
    /// whatever is read to know the sizes.
    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered>;

    /// The run of a file of the store that the part is in this format, if that is known without
    /// reading or making anything: then it is read with no detour.
    fn run<'s>(&self, selection: &'s Selection, part: Part) -> Option<Run<'s>> {
        let _ = (selection, part);
        None
    }

    /// Decodes what is shown, without anything that makes it, and compares it with the store's numbers.
    ///
    /// # Errors
    ///
    /// Why they are not the same.
    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified;
}
