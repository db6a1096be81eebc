//! Single numbers of any type: comparing, printing and adding them.

use half::f16;

use crate::dtype::Dtype;

/// The bytes of one element, little-endian and padded with zeros.
pub(crate) type Element = [u8; 8];

/// The value of an element. Both variants together represent every number of every type exactly.
#[derive(Clone, Copy, PartialEq)]
enum Value {
    Integer(i128),
    Float(f64),
}

/// An element from the bytes of its own type.
pub(crate) fn element(bytes: &[u8]) -> Element {
    let mut element = [0; 8];
    element[..bytes.len()].copy_from_slice(bytes);
    element
}

fn value(dtype: Dtype, element: Element) -> Value {
    let [a, b, c, d, ..] = element;
    match dtype {
        Dtype::Bool => Value::Integer(i128::from(a != 0)),
        Dtype::Int8 => Value::Integer(i8::from_le_bytes([a]).into()),
        Dtype::Int16 => Value::Integer(i16::from_le_bytes([a, b]).into()),
        Dtype::Int32 => Value::Integer(i32::from_le_bytes([a, b, c, d]).into()),
        Dtype::Int64 => Value::Integer(i64::from_le_bytes(element).into()),
        Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => {
            Value::Integer(u64::from_le_bytes(element).into())
        }
        Dtype::Float16 => Value::Float(f16::from_le_bytes([a, b]).into()),
        Dtype::Float32 => Value::Float(f32::from_le_bytes([a, b, c, d]).into()),
        Dtype::Float64 => Value::Float(f64::from_le_bytes(element)),
    }
}

/// An element as text for messages.
pub(crate) fn shown(dtype: Dtype, element: Element) -> String {
    match value(dtype, element) {
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
    }
}

/// Whether the text, with optional spaces around it, is exactly this number. All NaN are equal.
pub(crate) fn is_text(dtype: Dtype, element: Element, text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text).map(|text| text.trim_matches([' ', '\n'])) else { return false };
    match value(dtype, element) {
        Value::Integer(value) => text.parse() == Ok(value),
        Value::Float(value) => {
            // Parse to the type directly where possible: a detour through float64 would round twice.
            let found = match dtype {
                Dtype::Float32 => text.parse::<f32>().map(f64::from),
                Dtype::Float16 => text.parse().map(|found| f16::from_f64(found).to_f64()),
                _ => text.parse::<f64>(),
            };
            found.is_ok_and(|found| found.to_bits() == value.to_bits() || found.is_nan() && value.is_nan())
        }
    }
}

/// Whether two elements of any types are the same number. All NaN are equal, but 0.0 and -0.0 differ.
pub(crate) fn is_same(a: (Dtype, Element), b: (Dtype, Element)) -> bool {
    match (value(a.0, a.1), value(b.0, b.1)) {
        (Value::Integer(a), Value::Integer(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (Value::Integer(integer), Value::Float(float)) | (Value::Float(float), Value::Integer(integer)) => {
            // The cast truncates and saturates. It is exact for floats without a fraction that are in range,
            // and any other float fails the comparison.
            #[allow(clippy::cast_possible_truncation)]
            let whole = float as i128;
            float.fract() == 0.0 && whole == integer && float.is_sign_negative() == (integer < 0)
        }
    }
}

/// Whether float64 can hold this value exactly.
pub(crate) fn fits_float64(dtype: Dtype, element: Element) -> bool {
    match value(dtype, element) {
        #[allow(clippy::cast_possible_truncation)]
        Value::Integer(value) => (value as f64) as i128 == value,
        Value::Float(_) => true,
    }
}

/// The sum of two elements, with the wraparound and rounding of their type. Adding to zero keeps the bits of
/// the other element, including -0.0 and the payload of a NaN.
pub(crate) fn sum(dtype: Dtype, a: Element, b: Element) -> Element {
    if a == Element::default() {
        return b;
    }
    let width = usize::try_from(dtype.itemsize()).unwrap_or(8);
    match (value(dtype, a), value(dtype, b)) {
        (Value::Integer(a), Value::Integer(b)) if dtype == Dtype::Bool => element(&[u8::from(a + b > 0)]),
        (Value::Integer(a), Value::Integer(b)) => element(&(a + b).to_le_bytes()[..width]),
        // float64 has enough bits that rounding the sum of two narrower floats twice gives the correct
        // result.
        (Value::Float(a), Value::Float(b)) => match dtype {
            Dtype::Float16 => element(&f16::from_f64(a + b).to_le_bytes()),
            #[allow(clippy::cast_possible_truncation)]
            Dtype::Float32 => element(&((a + b) as f32).to_le_bytes()),
            _ => element(&(a + b).to_le_bytes()),
        },
        _ => unreachable!("elements of one type are of one kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_a_number_or_not() {
        let minus = element(&(-1.5f32).to_le_bytes());
        assert!(is_text(Dtype::Float32, minus, b"  -1.50000000e+00"));
        assert!(!is_text(Dtype::Float32, minus, b"1.5"));
        assert!(!is_text(Dtype::Float64, element(&0.0f64.to_le_bytes()), b"-0.0"));
        assert!(is_text(Dtype::Float16, element(&f16::NAN.to_le_bytes()), b"      NaN"));
        assert!(is_text(Dtype::Float32, element(&f32::NEG_INFINITY.to_le_bytes()), b"-Inf"));
        assert!(is_text(Dtype::Uint64, [0xFF; 8], b"18446744073709551615"));
        assert!(is_text(Dtype::Int8, element(&[0xFF]), b"-1"));
        assert!(is_text(Dtype::Bool, element(&[2]), b"1") && !is_text(Dtype::Bool, element(&[2]), b""));
    }

    #[test]
    fn numbers_of_two_types_are_the_same_or_not() {
        let int = |n: i32| (Dtype::Int32, element(&n.to_le_bytes()));
        let float = |n: f64| (Dtype::Float64, element(&n.to_le_bytes()));
        assert!(is_same(int(-3), float(-3.0)) && is_same(float(0.0), int(0)));
        assert!(
            !is_same(int(3), float(3.5))
                && !is_same(int(0), float(-0.0))
                && !is_same(int(0), float(f64::NAN))
        );
        assert!(is_same(float(f64::NAN), (Dtype::Float16, element(&f16::NAN.to_le_bytes()))));
        assert!(
            is_same((Dtype::Bool, element(&[2])), int(1))
                && !is_same(int(-1), (Dtype::Uint8, element(&[0xFF])))
        );
        let fits = |n: u64| fits_float64(Dtype::Uint64, n.to_le_bytes());
        assert!(fits(1 << 63) && fits(1 << 53) && !fits((1 << 53) + 1) && !fits(u64::MAX));
        let large = 9_007_199_254_740_993u64;
        assert!(!is_same((Dtype::Uint64, large.to_le_bytes()), float(9_007_199_254_740_992.0)));
    }

    #[test]
    fn sums_are_those_of_the_type() {
        let sum8 = |a: i8, b: i8| {
            i8::from_le_bytes([sum(Dtype::Int8, element(&a.to_le_bytes()), element(&b.to_le_bytes()))[0]])
        };
        assert_eq!((sum8(100, 100), sum8(-1, -1), sum8(0, 5)), (-56, -2, 5));
        assert_eq!(sum(Dtype::Bool, element(&[1]), element(&[1])), element(&[1]));
    }
}
