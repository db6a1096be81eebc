//! Numbers from text.

use half::f16;

use crate::dtype::Dtype;

/// The bytes of one element, little-endian, and zeros after them.
pub(super) type Number = [u8; 8];

/// The element of this type that the text, spaces around it, stands for. What is not there is a NaN.
pub(super) fn parse(dtype: Dtype, text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let mut number = Number::default();
    macro_rules! parse {
        ($t:ty) => {{
            let bytes = text.parse::<$t>().ok()?.to_le_bytes();
            number[..bytes.len()].copy_from_slice(&bytes);
        }};
    }
    match (dtype, text) {
        (Dtype::Bool, _) => number[0] = parse_bool(text)?.into(),
        (Dtype::Float16 | Dtype::Float32 | Dtype::Float64, "" | "NA") => return parse(dtype, b"NaN"),
        (Dtype::Int8, _) => parse!(i8),
        (Dtype::Int16, _) => parse!(i16),
        (Dtype::Int32, _) => parse!(i32),
        (Dtype::Int64, _) => parse!(i64),
        (Dtype::Uint8, _) => parse!(u8),
        (Dtype::Uint16, _) => parse!(u16),
        (Dtype::Uint32, _) => parse!(u32),
        (Dtype::Uint64, _) => parse!(u64),
        (Dtype::Float16, _) => number[..2].copy_from_slice(&f16::from_f64(text.parse().ok()?).to_le_bytes()),
        (Dtype::Float32, _) => parse!(f32),
        (Dtype::Float64, _) => parse!(f64),
    }
    Some(number)
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => parse_word(text),
    }
}

/// Truth in words.
pub(super) fn parse_word(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_the_number_it_stands_for() {
        let bytes = |number: [u8; 4]| [number.as_slice(), &[0; 4]].concat().try_into().ok();
        assert_eq!(parse(Dtype::Float32, b" -1.50000000e+00"), bytes((-1.5f32).to_le_bytes()));
        assert_eq!(parse(Dtype::Float32, b"-Inf"), bytes(f32::NEG_INFINITY.to_le_bytes()));
        assert_eq!(parse(Dtype::Int32, b"-7"), bytes((-7i32).to_le_bytes()));
        assert_eq!(parse(Dtype::Uint64, b"18446744073709551615"), Some([0xFF; 8]));
        assert_eq!(parse(Dtype::Bool, b"TRUE"), Some([1, 0, 0, 0, 0, 0, 0, 0]));
        for nan in [&b"NaN"[..], b"nan", b"", b"NA"] {
            let number = parse(Dtype::Float64, nan).map(f64::from_le_bytes);
            assert!(number.is_some_and(f64::is_nan), "{nan:?}");
        }
        for (dtype, text) in [
            (Dtype::Int8, &b"128"[..]),
            (Dtype::Uint8, b"-1"),
            (Dtype::Int64, b"1.0"),
            (Dtype::Int64, b""),
            (Dtype::Bool, b"2"),
            (Dtype::Float64, b"gene"),
            (Dtype::Float64, b"1 2"),
            (Dtype::Float64, b"\xFF"),
        ] {
            assert_eq!(parse(dtype, text), None, "{dtype} {text:?}");
        }
    }
}
