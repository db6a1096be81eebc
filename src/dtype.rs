//! The element types of the format, all little-endian and IEEE 754: `FIXED_DTYPES` of the original package.

use std::fmt;

use half::f16;

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dtype {
    /// One byte: 0 is false, every other value is true.
    Bool,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// IEEE binary16.
    Float16,
    /// IEEE binary32.
    Float32,
    /// IEEE binary64.
    Float64,
}

/// Every element type of the format (`FIXED_DTYPES` of the original package).
pub const FIXED_DTYPES: [Dtype; 12] = [
    Dtype::Bool,
    Dtype::Int8,
    Dtype::Int16,
    Dtype::Int32,
    Dtype::Int64,
    Dtype::Uint8,
    Dtype::Uint16,
    Dtype::Uint32,
    Dtype::Uint64,
    Dtype::Float16,
    Dtype::Float32,
    Dtype::Float64,
];

impl Dtype {
    /// The type with this NumPy name, for example `float32`. Other spellings are not accepted.
    pub fn from_name(name: &str) -> Option<Self> {
        FIXED_DTYPES.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The NumPy name, as it appears in the metadata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }

    /// Bytes per element.
    pub const fn itemsize(self) -> u64 {
        match self {
            Self::Bool | Self::Int8 | Self::Uint8 => 1,
            Self::Int16 | Self::Uint16 | Self::Float16 => 2,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Int64 | Self::Uint64 | Self::Float64 => 8,
        }
    }

    /// The type string of NumPy's array interface, for example `<f4`.
    pub const fn descr(self) -> &'static str {
        match self {
            Self::Bool => "|b1",
            Self::Int8 => "|i1",
            Self::Int16 => "<i2",
            Self::Int32 => "<i4",
            Self::Int64 => "<i8",
            Self::Uint8 => "|u1",
            Self::Uint16 => "<u2",
            Self::Uint32 => "<u4",
            Self::Uint64 => "<u8",
            Self::Float16 => "<f2",
            Self::Float32 => "<f4",
            Self::Float64 => "<f8",
        }
    }

    /// Whether the type is an integer type, as required for `indices` and `indptr`.
    pub const fn is_integer(self) -> bool {
        !matches!(self, Self::Bool | Self::Float16 | Self::Float32 | Self::Float64)
    }

    /// All names, for error messages: `bool, int8, …`.
    pub fn names() -> String {
        FIXED_DTYPES.map(Self::name).join(", ")
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Dtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::from_name(name).ok_or_else(|| format!("expected one of {}", Self::names()))
    }
}

/// An element of a `bool` array: a byte that is true if it is not zero, as in NumPy. Rust's `bool` would be
/// undefined behavior for bytes other than 0 and 1.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Bool(u8);

impl Bool {
    /// The truth value.
    pub const fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    fn from(value: bool) -> Self {
        Self(u8::from(value))
    }
}

impl PartialEq for Bool {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

/// A Rust type for the elements of an array. Sealed, because the format has a fixed set of types.
pub trait Element: bytemuck::Pod + private::Sealed {
    /// The corresponding type of the format.
    const DTYPE: Dtype;
}

mod private {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),* $(,)?) => {$(
        impl private::Sealed for $rust {}
        impl Element for $rust {
            const DTYPE: Dtype = Dtype::$dtype;
        }
    )*};
}

elements! {
    Bool => Bool, i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64,
    f16 => Float16, f32 => Float32, f64 => Float64,
}

/// Appends the integers in `bytes` (elements of `dtype`, little-endian) to `out`.
///
/// Negative integers become numbers above `i64::MAX`. No valid bound is that large, so the bounds checks
/// that every index and count needs anyway also catch them. Other types than integers append nothing, and
/// an incomplete element at the end is ignored.
pub fn decode_integers(dtype: Dtype, bytes: &[u8], out: &mut Vec<u64>) {
    macro_rules! read {
        ($t:ty) => {
            out.extend(bytes.as_chunks().0.iter().map(|item| {
                #[allow(clippy::cast_lossless, clippy::cast_sign_loss, clippy::cast_possible_wrap)]
                let wide = <$t>::from_le_bytes(*item) as i64 as u64;
                wide
            }))
        };
    }
    match dtype {
        Dtype::Int8 => read!(i8),
        Dtype::Int16 => read!(i16),
        Dtype::Int32 => read!(i32),
        Dtype::Int64 => read!(i64),
        Dtype::Uint8 => read!(u8),
        Dtype::Uint16 => read!(u16),
        Dtype::Uint32 => read!(u32),
        Dtype::Uint64 => read!(u64),
        Dtype::Bool | Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => {}
    }
}

/// Formats a decoded integer as its type has it: with a minus if it was negative.
#[allow(clippy::cast_possible_wrap)]
pub fn integer_text(dtype: Dtype, number: u64) -> String {
    match dtype {
        Dtype::Uint64 => number.to_string(),
        _ => (number as i64).to_string(),
    }
}

/// Appends `value` to `out` as one little-endian integer of `dtype`.
///
/// The value must fit. Counts up to `nnz` always fit the type that holds `nnz`.
pub fn encode_integer(dtype: Dtype, value: u64, out: &mut Vec<u8>) {
    let width = usize::try_from(dtype.itemsize()).expect("an item has at most 8 bytes");
    out.extend_from_slice(&value.to_le_bytes()[..width]);
}

/// Adds an element to another of the same type. Integers wrap around. A sum that is still zero is replaced
/// by the element, to keep its exact bits: 0.0 + -0.0 would lose the sign.
pub fn add(dtype: Dtype, sum: &mut [u8], value: &[u8]) {
    if sum.iter().all(|byte| *byte == 0) {
        sum.copy_from_slice(value);
        return;
    }
    macro_rules! add {
        ($t:ty, $add:expr) => {
            if let (Some(a), Some(b)) = (sum.first_chunk(), value.first_chunk()) {
                let total: $t = $add(<$t>::from_le_bytes(*a), <$t>::from_le_bytes(*b));
                sum.copy_from_slice(&total.to_le_bytes());
            }
        };
    }
    match dtype {
        Dtype::Bool => sum[0] |= value[0],
        Dtype::Int8 | Dtype::Uint8 => add!(u8, u8::wrapping_add),
        Dtype::Int16 | Dtype::Uint16 => add!(u16, u16::wrapping_add),
        Dtype::Int32 | Dtype::Uint32 => add!(u32, u32::wrapping_add),
        Dtype::Int64 | Dtype::Uint64 => add!(u64, u64::wrapping_add),
        Dtype::Float16 => add!(f16, |a: f16, b: f16| a + b),
        Dtype::Float32 => add!(f32, |a: f32, b: f32| a + b),
        Dtype::Float64 => add!(f64, |a: f64, b: f64| a + b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_agree_with_sizes() {
        for dtype in FIXED_DTYPES {
            assert_eq!(dtype.name().parse(), Ok(dtype));
            assert!(dtype.descr().ends_with(&dtype.itemsize().to_string()));
        }
        for other in ["", "float", "Float32", "<f4", "float128", "str", "object"] {
            assert_eq!(Dtype::from_name(other), None, "{other}");
        }
    }

    #[test]
    fn elements_are_as_large_as_their_dtype() {
        fn check<T: Element>() {
            assert_eq!(size_of::<T>() as u64, T::DTYPE.itemsize());
        }
        check::<Bool>();
        check::<i16>();
        check::<f16>();
        check::<u64>();
        check::<f64>();
    }

    #[test]
    fn integers_are_little_endian_and_signed() {
        let decode = |dtype, bytes: &[u8]| {
            let mut out = Vec::new();
            decode_integers(dtype, bytes, &mut out);
            out
        };
        assert_eq!(decode(Dtype::Int16, &[0xFE, 0xFF, 3, 0, 9]), [u64::MAX - 1, 3]);
        assert_eq!(decode(Dtype::Uint16, &[0xFE, 0xFF]), [0xFFFE]);
        assert_eq!(decode(Dtype::Uint64, &[0xFF; 8]), [u64::MAX]);
        assert!(decode(Dtype::Float32, &[0; 4]).is_empty());
        let mut bytes = Vec::new();
        encode_integer(Dtype::Int32, 0x0102, &mut bytes);
        assert_eq!(bytes, [2, 1, 0, 0]);
    }
}
