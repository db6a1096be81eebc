//! Conversion of elements to the types that Parquet has: integers of at least 32 bits, and bool as bits.

use std::sync::Arc;

use crate::bytes::virtual_file::{Extent, Fill, Generate, VirtualFile};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::store::source::Source;

/// Elements that are converted at once.
const CHUNK: usize = 16 * 1024;

/// Integers of 8 or 16 bits, sign- or zero-extended to 32 bits.
struct Widened {
    of: VirtualFile,
    dtype: Dtype,
}

/// Widens integers of 8 or 16 bits to 32 bits.
pub(super) fn widened(of: VirtualFile, dtype: Dtype) -> Result<VirtualFile> {
    let length = of.len() / dtype.itemsize() * 4;
    VirtualFile::new([Extent::Generated { content: Arc::new(Widened { of, dtype }), length }])
}

impl Generate for Widened {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let item = self.dtype.itemsize();
        let mut narrow = Vec::new();
        out.put_items(4, self.of.len() / item, &mut |first, out| {
            let out = out.as_chunks_mut::<4>().0;
            let count = out.len().min(CHUNK);
            narrow.resize(count * usize::try_from(item).unwrap_or(2), 0);
            self.of.read_exact_at(first * item, &mut narrow)?;
            widen(self.dtype, &narrow, &mut out[..count]);
            Ok(count as u64)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.of.sources()
    }
}

fn widen(dtype: Dtype, bytes: &[u8], out: &mut [[u8; 4]]) {
    macro_rules! widen {
        ($t:ty) => {
            for (out, item) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = i32::from(<$t>::from_le_bytes(*item)).to_le_bytes();
            }
        };
    }
    match dtype {
        Dtype::Int8 => widen!(i8),
        Dtype::Int16 => widen!(i16),
        Dtype::Uint8 => widen!(u8),
        _ => widen!(u16),
    }
}

/// bool packed to bits, least significant bit first. In the store, bool is one byte, true if not zero.
struct Bits {
    of: VirtualFile,
}

/// Packs bool of one byte each to bits. Unused bits at the end are zero.
pub(super) fn bits(of: VirtualFile) -> Result<VirtualFile> {
    let length = of.len().div_ceil(8);
    VirtualFile::new([Extent::Generated { content: Arc::new(Bits { of }), length }])
}

impl Generate for Bits {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let mut wide = Vec::new();
        out.put_items(1, self.of.len().div_ceil(8), &mut |first, out| {
            let count = out.len().min(CHUNK / 8);
            wide.resize(count * 8, 0);
            // Clear the rest, so that unused bits at the end are zero.
            let found = self.of.read_at(first * 8, &mut wide)?;
            wide[found..].fill(0);
            for (out, eight) in out.iter_mut().zip(wide.as_chunks::<8>().0) {
                *out = bits_of(u64::from_le_bytes(*eight));
            }
            Ok(count as u64)
        })
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.of.sources()
    }
}

/// Maps each byte to one bit: whether it is not zero. The lowest byte gives the lowest bit.
fn bits_of(eight: u64) -> u8 {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    // The top bit of each byte that is not zero. The masked addition cannot carry into the next byte.
    let high = (((eight & LOW) + LOW) | eight) & !LOW;
    // The multiplication moves each of these bits to its own position in the top byte.
    ((high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(file: &VirtualFile, offset: u64, length: usize) -> Vec<u8> {
        let mut buffer = vec![0xAA; length];
        let filled = file.read_at(offset, &mut buffer).unwrap();
        buffer.truncate(filled);
        buffer
    }

    proptest! {
        #[test]
        fn truth_values_are_bits(items in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 1..300), offset in 0usize..40, length in 0usize..40) {
            let packed = bits(VirtualFile::literal(items.clone())).unwrap();
            let byte = |eight: &[u8]| (0..eight.len()).map(|i| u8::from(eight[i] != 0) << i).sum();
            let expected: Vec<u8> = items.chunks(8).map(byte).collect();
            prop_assert_eq!(packed.len(), expected.len() as u64);
            let wanted: Vec<u8> = expected.into_iter().skip(offset).take(length).collect();
            prop_assert_eq!(read(&packed, offset as u64, length), wanted);
        }

        #[test]
        fn integers_become_wider(items in prop::collection::vec(any::<i16>(), 1..100), offset in 0usize..400, length in 0usize..90) {
            let bytes: Vec<u8> = items.iter().flat_map(|item| item.to_le_bytes()).collect();
            for (dtype, wide) in [
                (Dtype::Int16, items.iter().flat_map(|item| i32::from(*item).to_le_bytes()).collect::<Vec<u8>>()),
                (Dtype::Uint16, items.iter().flat_map(|item| u32::from(item.cast_unsigned()).to_le_bytes()).collect()),
                (Dtype::Uint8, bytes.iter().flat_map(|item| u32::from(*item).to_le_bytes()).collect()),
                (Dtype::Int8, bytes.iter().flat_map(|item| i32::from(item.cast_signed()).to_le_bytes()).collect()),
            ] {
                let file = widened(VirtualFile::literal(bytes.clone()), dtype).unwrap();
                prop_assert_eq!(file.len(), wide.len() as u64);
                let wanted: Vec<u8> = wide.into_iter().skip(offset).take(length).collect();
                prop_assert_eq!(read(&file, offset as u64, length), wanted);
            }
        }
    }
}
