//! Elements converted to the dtypes that readers of AnnData files support.

use std::path::PathBuf;
use std::sync::Arc;

use half::f16;

use crate::bytes::virtual_file::{Extent, Fill, Generate, VirtualFile};
use crate::daf::metadata::IndptrRule;
use crate::dtype::{Dtype, decode_integers, encode_integer, integer_text};
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::word::to_usize;

/// Elements read at a time.
const CHUNK: u64 = 16 * 1024;

/// Integers as int32 or int64, or float16 as float32. Integers are checked against their valid range.
pub(super) struct Cast {
    pub bytes: VirtualFile,
    pub from: Dtype,
    pub to: Dtype,
    /// The largest valid integer.
    pub most: u64,
    /// Whether the integers must increase from 0 to `most`, as in `indptr`.
    pub rising: bool,
    /// The file that holds the elements, for errors.
    pub name: PathBuf,
    /// All sources of the array.
    pub sources: Vec<Arc<Source>>,
}

impl Cast {
    /// The elements. Without a copy if they have the target dtype and need no check.
    pub fn file(self) -> Result<VirtualFile> {
        if self.from == self.to && !self.rising {
            return Ok(self.bytes);
        }
        let length = (self.bytes.len() / self.from.itemsize()).checked_mul(self.to.itemsize());
        let length = length.ok_or_else(|| Error::refused(&self.name, "more bytes than a file can have"))?;
        VirtualFile::new([Extent::Generated { content: Arc::new(self), length }])
    }

    /// The original bytes of the elements `first..last`.
    fn read(&self, first: u64, last: u64) -> Result<Vec<u8>> {
        let item = self.from.itemsize();
        let mut bytes = vec![0; to_usize((last - first) * item)];
        self.bytes.read_exact_at(first * item, &mut bytes)?;
        Ok(bytes)
    }

    /// The elements `first..last`, checked and converted.
    fn elements(&self, first: u64, last: u64) -> Result<Vec<u8>> {
        if self.from == Dtype::Float16 {
            let bytes = self.read(first, last)?;
            let floats = bytes.as_chunks().0.iter().map(|bytes| widened(f16::from_le_bytes(*bytes)));
            return Ok(floats.flat_map(f32::to_le_bytes).collect());
        }
        // Read one number more: whether numbers increase shows only in comparison with the one before.
        let before = u64::from(self.rising && first > 0);
        let bytes = self.read(first - before, last)?;
        let mut numbers = Vec::with_capacity(bytes.len());
        decode_integers(self.from, &bytes, &mut numbers);
        self.check(first - before, &numbers)?;
        let mut out = Vec::with_capacity(numbers.len() * 8);
        for number in numbers.iter().skip(usize::from(before > 0)) {
            encode_integer(self.to, *number, &mut out);
        }
        Ok(out)
    }

    fn check(&self, first: u64, numbers: &[u64]) -> Result<()> {
        if self.rising {
            let rows = (self.bytes.len() / self.from.itemsize()).saturating_sub(1);
            return IndptrRule { rows, nnz: self.most }.check(&self.name, self.from, first, numbers);
        }
        match (first..).zip(numbers).find(|(_, number)| **number > self.most) {
            None => Ok(()),
            Some((at, number)) => {
                let found = format!("{} at {at}", integer_text(self.from, *number));
                Err(Error::invalid(&self.name, "number", format!("0 to {}", self.most), found))
            }
        }
    }
}

/// The same number. A NaN keeps its sign and payload, which a hardware conversion may change.
fn widened(value: f16) -> f32 {
    if !value.is_nan() {
        return value.to_f32();
    }
    let bits = u32::from(value.to_bits());
    f32::from_bits((bits & 0x8000) << 16 | 0x7F80_0000 | (bits & 0x03FF) << 13)
}

impl Generate for Cast {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let item = self.to.itemsize();
        while !out.is_full() {
            let first = out.seek_item(item);
            out.put_some(&self.elements(first, first + out.missing(item).min(CHUNK))?)?;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.sources.clone()
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cast(bytes: Vec<u8>, from: Dtype, to: Dtype, most: u64) -> VirtualFile {
        let bytes = VirtualFile::literal(bytes);
        Cast { bytes, from, to, most, rising: false, name: PathBuf::new(), sources: Vec::new() }
            .file()
            .unwrap()
    }

    fn read(file: &VirtualFile) -> Result<Vec<u8>> {
        let mut bytes = vec![0xFF; file.len() as usize];
        file.read_at(0, &mut bytes).map(|_| bytes)
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let good = cast(vec![0, 1, 9], Dtype::Uint8, Dtype::Int32, 9);
        assert_eq!(read(&good).unwrap(), [0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0]);
        for bytes in [[0, 1, 10], [0xFF, 0, 0]] {
            for from in [Dtype::Uint8, Dtype::Int8] {
                assert!(matches!(
                    read(&cast(bytes.to_vec(), from, Dtype::Int64, 9)),
                    Err(Error::Invalid { .. })
                ));
            }
        }
    }

    #[test]
    fn ranges_of_rows_that_do_not_rise_are_an_error() {
        let read = |bounds: &[u8], range: std::ops::Range<usize>| {
            let bytes = VirtualFile::literal(bounds);
            let (dtype, name) = (Dtype::Uint8, PathBuf::new());
            let cast =
                Cast { bytes, from: dtype, to: dtype, most: 9, rising: true, name, sources: Vec::new() };
            let mut bytes = vec![0xFF; range.len()];
            cast.file().unwrap().read_at(range.start as u64, &mut bytes).map(|_| bytes)
        };
        assert_eq!(read(&[0, 3, 3, 9], 0..4).unwrap(), [0, 3, 3, 9]);
        assert_eq!(read(&[0, 3, 3, 9], 2..3).unwrap(), [3]);
        for (bounds, range) in [
            ([1, 3, 3, 9], 0..1),
            ([0, 3, 2, 9], 2..3),
            ([0, 3, 2, 9], 1..4),
            ([0, 10, 10, 9], 1..2),
            ([0, 3, 4, 8], 3..4),
        ] {
            assert!(matches!(read(&bounds, range), Err(Error::Invalid { .. })), "{bounds:?}");
        }
    }

    #[test]
    fn every_float16_is_the_same_number() {
        let bytes = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let wide = read(&cast(bytes, Dtype::Float16, Dtype::Float32, 0)).unwrap();
        for (bits, wide) in (0..=u16::MAX).zip(wide.as_chunks().0) {
            let (narrow, wide) = (f16::from_bits(bits), f32::from_le_bytes(*wide));
            assert!(narrow.is_nan() && wide.is_nan() || f64::from(narrow) == f64::from(wide), "{bits:#x}");
            assert_eq!(narrow.is_sign_negative(), wide.is_sign_negative());
        }
    }

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0u64..160_000, length in 0usize..160_000) {
            let numbers = (0..20_000u16).flat_map(u16::to_le_bytes).collect();
            let file = cast(numbers, Dtype::Uint16, Dtype::Int64, 20_000);
            let whole = read(&file).unwrap();
            let mut part = vec![0xFF; length];
            let filled = file.read_at(offset, &mut part).unwrap();
            let expected = &whole[offset as usize..][..filled];
            prop_assert_eq!(&part[..filled], expected);
        }
    }
}
