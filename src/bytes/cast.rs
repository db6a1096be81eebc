//! Exact conversion of elements from one dtype to another.
//!
//! Numbers are never rounded: reading an element that the target dtype cannot represent is an error. Float
//! to wider float keeps infinities, -0.0, and that a NaN is a NaN; `bool` becomes 0 or 1.

use std::sync::Arc;

use half::f16;

use crate::bytes::virtual_file::{Extent, Fill, Generate, VirtualFile};
use crate::dtype::{Bool, Dtype, Element};
use crate::error::{Error, Result};
use crate::store::source::Source;
use crate::word::to_usize;

/// Elements converted at a time.
const CHUNK: u64 = 8 * 1024;

/// Converts the elements in `bytes` from dtype `from` to dtype `to` (both little-endian). Returns the same
/// file if the dtypes are equal.
///
/// # Errors
///
/// [`Error::Refused`] when the result would exceed the largest size of a file. Reading the result fails
/// with [`Error::Invalid`] at an element that `to` cannot represent exactly.
pub fn cast(bytes: &VirtualFile, from: Dtype, to: Dtype) -> Result<VirtualFile> {
    if from == to {
        return Ok(bytes.clone());
    }
    let items = bytes.len() / from.itemsize();
    let length = items.checked_mul(to.itemsize());
    let length = length.ok_or_else(|| Error::refused("", "more bytes than a file can have"))?;
    let content = Cast { bytes: bytes.clone(), from, to };
    VirtualFile::new([Extent::Generated { content: Arc::new(content), length }])
}

struct Cast {
    bytes: VirtualFile,
    from: Dtype,
    to: Dtype,
}

impl Cast {
    fn fault(&self, item: u64, value: Value) -> Error {
        let sources = self.bytes.sources();
        let path = sources.first().map(|source| source.name().to_owned()).unwrap_or_default();
        let found = match value {
            Value::Integer(value) => format!("{value} at {item}"),
            Value::Float(value) => format!("{value} at {item}"),
        };
        Error::invalid(path, "element", format!("one that {} holds exactly", self.to), found)
    }
}

impl Generate for Cast {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let (wide, width) = (self.to.itemsize(), self.from.itemsize());
        let (mut items, mut made) = (Vec::new(), Vec::new());
        while !out.is_full() {
            let first = out.seek_item(wide);
            let count = CHUNK.min(out.missing(wide));
            items.resize(to_usize(count * width), 0);
            self.bytes.read_exact_at(first * width, &mut items)?;
            made.clear();
            convert(self.from, self.to, &items, &mut made)
                .map_err(|(i, value)| self.fault(first + i, value))?;
            out.put_some(&made)?;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.bytes.sources()
    }
}

/// An element of any dtype. `i128` holds every `i64` and `u64`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Integer(i128),
    Float(f64),
}

trait Number: Element {
    fn value(self) -> Value;

    /// The element with exactly this value, if there is one.
    fn exactly(value: Value) -> Option<Self>;
}

#[allow(clippy::cast_possible_truncation)]
fn integer(value: Value) -> Option<i128> {
    match value {
        Value::Integer(value) => Some(value),
        // -0.0 is not an integer: its sign would be lost.
        // The bound only has to exceed 2^64. Below it, the conversion to `i128` is exact.
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e20 => {
            Some(value as i128).filter(|integer| *integer != 0 || value.is_sign_positive())
        }
        Value::Float(_) => None,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn float(value: Value) -> Option<f64> {
    match value {
        Value::Float(value) => Some(value),
        // Converting there and back detects rounding.
        Value::Integer(value) => Some(value as f64).filter(|float| *float as i128 == value),
    }
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Number for $t {
            #[inline]
            fn value(self) -> Value {
                Value::Integer(self.into())
            }

            #[inline]
            fn exactly(value: Value) -> Option<Self> {
                integer(value)?.try_into().ok()
            }
        }
    )*};
}

macro_rules! floats {
    ($($t:ty, $from:expr;)*) => {$(
        impl Number for $t {
            #[inline]
            fn value(self) -> Value {
                Value::Float(self.into())
            }

            #[inline]
            fn exactly(value: Value) -> Option<Self> {
                let wide = float(value)?;
                let narrow: Self = $from(wide);
                (f64::from(narrow) == wide || wide.is_nan()).then_some(narrow)
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);
#[allow(clippy::cast_possible_truncation)]
const fn narrow(wide: f64) -> f32 {
    wide as f32
}
floats! {
    f16, f16::from_f64;
    f32, narrow;
    f64, std::convert::identity;
}

impl Number for Bool {
    #[inline]
    fn value(self) -> Value {
        Value::Integer(self.get().into())
    }

    #[inline]
    fn exactly(value: Value) -> Option<Self> {
        match integer(value)? {
            0 => Some(false.into()),
            1 => Some(true.into()),
            _ => None,
        }
    }
}

/// Appends the converted elements to `made`. On failure, returns the index and value of the first element
/// that does not fit.
fn convert(
    from: Dtype,
    to: Dtype,
    items: &[u8],
    made: &mut Vec<u8>,
) -> std::result::Result<(), (u64, Value)> {
    macro_rules! dispatch {
        ($dtype:expr, $t:ident => $call:expr) => {
            match $dtype {
                Dtype::Bool => {
                    type $t = Bool;
                    $call
                }
                Dtype::Int8 => {
                    type $t = i8;
                    $call
                }
                Dtype::Int16 => {
                    type $t = i16;
                    $call
                }
                Dtype::Int32 => {
                    type $t = i32;
                    $call
                }
                Dtype::Int64 => {
                    type $t = i64;
                    $call
                }
                Dtype::Uint8 => {
                    type $t = u8;
                    $call
                }
                Dtype::Uint16 => {
                    type $t = u16;
                    $call
                }
                Dtype::Uint32 => {
                    type $t = u32;
                    $call
                }
                Dtype::Uint64 => {
                    type $t = u64;
                    $call
                }
                Dtype::Float16 => {
                    type $t = f16;
                    $call
                }
                Dtype::Float32 => {
                    type $t = f32;
                    $call
                }
                Dtype::Float64 => {
                    type $t = f64;
                    $call
                }
            }
        };
    }
    dispatch!(from, A => dispatch!(to, B => convert_as::<A, B>(items, made)))
}

fn convert_as<A: Number, B: Number>(
    items: &[u8],
    made: &mut Vec<u8>,
) -> std::result::Result<(), (u64, Value)> {
    made.reserve(items.len() / size_of::<A>() * size_of::<B>());
    for (i, item) in (0..).zip(items.chunks_exact(size_of::<A>())) {
        let value = bytemuck::pod_read_unaligned::<A>(item).value();
        let item = B::exactly(value).ok_or((i, value))?;
        made.extend_from_slice(bytemuck::bytes_of(&item));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(from: Dtype, to: Dtype, bytes: &[u8]) -> Result<Vec<u8>> {
        let file = cast(&VirtualFile::literal(bytes), from, to)?;
        let mut out = vec![0xAA; usize::try_from(file.len()).unwrap()];
        assert_eq!(file.read_at(0, &mut out)?, out.len());
        Ok(out)
    }

    #[test]
    fn what_fits_is_exact() {
        let ints = [i64::from(i32::MIN), -1, 0, 7].map(i64::to_le_bytes).concat();
        let expected = [i32::MIN, -1, 0, 7].map(i32::to_le_bytes).concat();
        assert_eq!(whole(Dtype::Int64, Dtype::Int32, &ints).unwrap(), expected);
        assert_eq!(whole(Dtype::Int32, Dtype::Int64, &expected).unwrap(), ints);
        let floats = [1.5f32, -0.0, f32::INFINITY, f32::MIN_POSITIVE / 2.0];
        let wide = floats.map(|value| f64::from(value).to_le_bytes()).concat();
        assert_eq!(
            whole(Dtype::Float32, Dtype::Float64, &floats.map(f32::to_le_bytes).concat()).unwrap(),
            wide
        );
        assert_eq!(
            whole(Dtype::Bool, Dtype::Int32, &[0, 1, 2]).unwrap(),
            [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
        );
        let nan = whole(Dtype::Float32, Dtype::Float64, &f32::NAN.to_le_bytes()).unwrap();
        assert!(bytemuck::pod_read_unaligned::<f64>(&nan).is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let large = (1u64 << 53) + 1;
        assert!(whole(Dtype::Uint64, Dtype::Float64, &large.to_le_bytes()).is_err());
        assert!(whole(Dtype::Uint64, Dtype::Float64, &(large - 1).to_le_bytes()).is_ok());
        assert!(whole(Dtype::Uint64, Dtype::Float64, &u64::MAX.to_le_bytes()).is_err());
        assert!(whole(Dtype::Int64, Dtype::Float64, &i64::MIN.to_le_bytes()).is_ok());
        assert!(whole(Dtype::Uint32, Dtype::Int32, &[0xFF; 4]).is_err());
        for value in [0.5, -0.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(whole(Dtype::Float64, Dtype::Int64, &value.to_le_bytes()).is_err(), "{value}");
        }
        assert!(whole(Dtype::Float64, Dtype::Float32, &0.1f64.to_le_bytes()).is_err());
        assert!(whole(Dtype::Int8, Dtype::Bool, &[2]).is_err());
    }

    #[test]
    fn every_float16_is_exact() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let wide = whole(Dtype::Float16, Dtype::Float64, &bytes).unwrap();
        for (bits, item) in (0..=u16::MAX).zip(wide.as_chunks().0) {
            let (value, wide) = (f16::from_bits(bits), f64::from_le_bytes(*item));
            assert!(value.to_f64().to_bits() == wide.to_bits() || value.is_nan() && wide.is_nan());
        }
    }

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0u64..80_000, length in 0usize..80_000) {
            let items: Vec<u8> = (0..10_000u16).flat_map(u16::to_le_bytes).collect();
            let file = cast(&VirtualFile::literal(items.clone()), Dtype::Uint16, Dtype::Float64).unwrap();
            let bytes = whole(Dtype::Uint16, Dtype::Float64, &items).unwrap();
            let mut buffer = vec![0xAA; length];
            let filled = file.read_at(offset, &mut buffer).unwrap();
            let start = usize::try_from(offset).unwrap();
            prop_assert_eq!(&buffer[..filled], &bytes[start..bytes.len().min(start + length)]);
        }
    }
}
