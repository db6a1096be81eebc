//! The [`Format`] trait: which parts of an array a format offers, how it renders them, and how it verifies
//! them.

use crate::array::selection::{Part, Region, Selection};
use crate::encode::Rendered;
use crate::error::Result;
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::store::source::ByteRange;

/// A file format in which parts of an array can be read.
pub(crate) trait Format: Sync {
    /// The file extension: what follows the component's name and a dot. Empty for the raw bytes.
    fn extension(&self) -> &'static str;

    /// What the format is called where formats are chosen.
    fn name(&self) -> &'static str {
        self.extension()
    }

    /// Whether the format can show this part, which must be one that the selection has. Reads no data.
    fn offers(&self, selection: &Selection, part: Part) -> bool;

    /// Whether directory listings show the file. Unlisted files can still be opened by name, which keeps
    /// listings short.
    fn is_listed(&self, part: Part) -> bool {
        matches!(part.of, Region::Whole)
    }

    /// What the format is and which programs read it, as one line of Markdown for the `README.md` of an
    /// array.
    fn about(&self) -> &'static str {
        ""
    }

    /// Whether the file may contain names of rows or columns. Only users who may read the names may read such
    /// a file, and it is invalidated when the names change.
    fn shows_names(&self, part: Part) -> bool {
        let _ = part;
        true
    }

    /// Whether computing the size of the file must read the data. If so, the size is computed only on demand,
    /// because a mere listing must not read whole arrays.
    fn size_needs_data(&self, selection: &Selection, part: Part) -> bool {
        let _ = (selection, part);
        false
    }

    /// Whether the format is a directory of files rather than one file.
    fn is_directory(&self) -> bool {
        false
    }

    /// Renders the part: a directory where [`is_directory`](Self::is_directory) says so, and a file
    /// otherwise. All sizes are known when this returns.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotFound`] if the format does not [offer](Self::offers) the part, and any error of
    /// reading the data that determines the sizes.
    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered>;

    /// The byte range of a store file that equals the rendered file, if it is known without reading or
    /// rendering anything. The mount then serves reads directly from the store file.
    fn byte_range<'s>(&self, selection: &'s Selection, part: Part) -> Option<ByteRange<'s>> {
        let _ = (selection, part);
        None
    }

    /// Decodes what is shown, independently of the code that renders it, and compares it with the numbers in
    /// the store.
    ///
    /// # Errors
    ///
    /// The first mismatch, or why the content could not be read.
    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified;
}
