//! Raw bytes: little-endian elements in row-major order, and nothing else.

#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Part, Region, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::encode::Rendered;
use crate::error::Result;
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::store::source::ByteRange;

pub(super) struct Raw;

impl Raw {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        Ok(selection.block(part)?.bytes)
    }
}

impl Format for Raw {
    fn extension(&self) -> &'static str {
        ""
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.component.is_block()
    }

    fn about(&self) -> &'static str {
        "the bytes as they are: `od`, `numpy.memmap`, `readBin` in R, `Mmap.mmap` in Julia, `memmapfile` in MATLAB"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn is_listed(&self, part: Part) -> bool {
        // Only the raw rows are listed in `rows/`, so that `cat rows/*` yields the array.
        matches!(part.of, Region::Whole | Region::Row(_) | Region::Column(_))
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    fn byte_range<'s>(&self, selection: &'s Selection, part: Part) -> Option<ByteRange<'s>> {
        // `None` for parts that have gaps, or whose place is known only after a read. Those are assembled.
        selection.run(part)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}
