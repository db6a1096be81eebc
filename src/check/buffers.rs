//! The memory of a thread that checks: used for one batch after the other.

use std::ops::Range;

use crate::dtype::{Dtype, decode_integers};
use crate::error::Result;
use crate::store::source::Source;
use crate::word::to_usize;

/// The buffers of one thread, reused for all reads.
#[derive(Default)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    /// The integers decoded from `bytes`.
    pub numbers: Vec<u64>,
}

impl Buffers {
    /// Reads elements of a file.
    pub fn read(&mut self, source: &Source, dtype: Dtype, items: Range<u64>) -> Result<&[u8]> {
        let length = (items.end - items.start) * dtype.itemsize();
        self.bytes.resize(to_usize(length), 0);
        source.read_exact_at(&mut self.bytes, items.start * dtype.itemsize())?;
        Ok(&self.bytes)
    }

    /// Reads and decodes integers of a file into `numbers`.
    pub fn read_numbers(&mut self, source: &Source, dtype: Dtype, items: Range<u64>) -> Result<()> {
        self.read(source, dtype, items)?;
        self.numbers.clear();
        decode_integers(dtype, &self.bytes, &mut self.numbers);
        Ok(())
    }
}
