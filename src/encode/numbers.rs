//! float16 converted to float32 on read, for formats and programs without float16.

use std::sync::Arc;

use half::f16;

use crate::bytes::virtual_file::{Extent, Fill, Generate, VirtualFile};
use crate::error::Result;
use crate::store::source::Source;
use crate::word::to_usize;

/// Numbers converted at a time.
const BATCH: u64 = 16 * 1024;

/// `float16` as `float32`. The conversion is exact, and NaNs keep their sign and payload.
pub fn float16_as_float32(numbers: VirtualFile) -> Extent {
    let length = numbers.len() / 2 * 4;
    Extent::Generated { content: Arc::new(Widened { numbers }), length }
}

struct Widened {
    numbers: VirtualFile,
}

impl Generate for Widened {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let (mut narrow, mut wide) = (Vec::new(), Vec::new());
        while !out.is_full() {
            let first = out.seek_item(4);
            let count = out.missing(4).min(BATCH);
            narrow.resize(to_usize(count * 2), 0);
            self.numbers.read_exact_at(first * 2, &mut narrow)?;
            wide.clear();
            wide.extend(narrow.as_chunks().0.iter().flat_map(|item| widened(*item)));
            out.put_some(&wide)?;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.numbers.sources()
    }
}

fn widened(item: [u8; 2]) -> [u8; 4] {
    let narrow = f16::from_le_bytes(item);
    if narrow.is_nan() {
        // A hardware conversion may turn a signaling NaN into a quiet one, so move the bits instead.
        let bits = u32::from(narrow.to_bits());
        return ((bits & 0x8000) << 16 | 0x7F80_0000 | (bits & 0x03FF) << 13).to_le_bytes();
    }
    narrow.to_f32().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wide(count: u16) -> (VirtualFile, Vec<u8>) {
        let narrow: Vec<f16> = (0..count).map(|bits| f16::from_bits(bits.wrapping_mul(7))).collect();
        let numbers = narrow.iter().flat_map(|item| item.to_le_bytes()).collect::<Vec<_>>();
        let expected = narrow.iter().flat_map(|item| widened(item.to_le_bytes())).collect();
        (VirtualFile::new([float16_as_float32(VirtualFile::literal(numbers))]).unwrap(), expected)
    }

    #[test]
    fn every_number_keeps_its_value() {
        for bits in 0..=u16::MAX {
            let wide = f32::from_le_bytes(widened(bits.to_le_bytes()));
            let back = f16::from_f32(wide);
            assert!(back.to_bits() == bits || wide.is_nan() && f16::from_bits(bits).is_nan(), "{bits:#x}");
        }
        assert_eq!(widened(0xFC01u16.to_le_bytes()), 0xFF80_2000u32.to_le_bytes());
    }

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0u64..160_000, length in 0usize..160_000) {
            let (file, expected) = wide(40_000);
            prop_assert_eq!(file.len(), expected.len() as u64);
            let mut buffer = vec![0xAA; length];
            let filled = file.read_at(offset, &mut buffer).unwrap();
            let start = usize::try_from(offset).unwrap();
            prop_assert_eq!(&buffer[..filled], &expected[start..(start + length).min(expected.len())]);
        }
    }
}
