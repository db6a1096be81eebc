//! The bytes as they are: little-endian elements, row after row, and nothing else.

use super::View;
use crate::error::Result;
use crate::part::{Part, Scope, Selection};
use crate::source::Run;
use crate::vfile::VirtualFile;

pub(super) struct Raw;

impl View for Raw {
    fn format(&self) -> &'static str {
        ""
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.thing.is_block()
    }

    fn about(&self) -> &'static str {
        "the bytes as they are: `od`, `numpy.memmap`, `readBin` in R, `Mmap.mmap` in Julia, `memmapfile` in MATLAB"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn is_listed(&self, part: Part) -> bool {
        // `cat rows/*` is the array: nothing but the rows is listed there.
        matches!(part.of, Scope::All | Scope::Row(_) | Scope::Column(_))
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        Ok(selection.block(part)?.bytes)
    }

    fn run<'s>(&self, selection: &'s Selection, part: Part) -> Option<Run<'s>> {
        selection.run(part)
    }
}
