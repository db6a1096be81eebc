//! One number as text, in a cell whose width depends only on its dtype.
//!
//! ```text
//! bool      0   1                      integers     -128      7   right-aligned
//! float32   1.500000000e+00            the shortest digits that read back to the same bits; the fraction
//! float64   -1.5000000000000000e-300   padded with zeros and an exponent of fixed width, because not every
//!                                      reader skips spaces; float16 like the equal float32
//! others               NaN       -inf  right-aligned
//! ```
//!
//! Integers have no leading zeros, because some readers would take them for text. No cell has trailing
//! spaces.

use half::f16;

use crate::dtype::Dtype;

/// Width in bytes of a cell of this dtype: that of its longest number.
pub const fn width(dtype: Dtype) -> usize {
    match dtype {
        Dtype::Bool => 1,
        Dtype::Int8 => 4,
        Dtype::Int16 => 6,
        Dtype::Int32 => 11,
        Dtype::Int64 | Dtype::Uint64 => 20,
        Dtype::Uint8 => 3,
        Dtype::Uint16 => 5,
        Dtype::Uint32 => 10,
        Dtype::Float16 | Dtype::Float32 => 15,
        Dtype::Float64 => 24,
    }
}

/// Writes one cell for each of the `items` (elements of `dtype`, little-endian). Cells start every `stride`
/// bytes of `out`.
pub fn write(dtype: Dtype, items: &[u8], out: &mut [u8], stride: usize) {
    match dtype {
        Dtype::Bool => {
            each(items, out, stride, |[item], [cell]: &mut [u8; 1]| *cell = b'0' + u8::from(item != 0))
        }
        Dtype::Int8 => {
            each(items, out, stride, |item, cell: &mut [u8; 4]| signed(i8::from_le_bytes(item), cell))
        }
        Dtype::Int16 => {
            each(items, out, stride, |item, cell: &mut [u8; 6]| signed(i16::from_le_bytes(item), cell))
        }
        Dtype::Int32 => {
            each(items, out, stride, |item, cell: &mut [u8; 11]| signed(i32::from_le_bytes(item), cell))
        }
        Dtype::Int64 => {
            each(items, out, stride, |item, cell: &mut [u8; 20]| signed(i64::from_le_bytes(item), cell))
        }
        Dtype::Uint8 => {
            each(items, out, stride, |[item], cell: &mut [u8; 3]| right_aligned(item.into(), cell))
        }
        Dtype::Uint16 => each(items, out, stride, |item, cell: &mut [u8; 5]| {
            right_aligned(u16::from_le_bytes(item).into(), cell);
        }),
        Dtype::Uint32 => each(items, out, stride, |item, cell: &mut [u8; 10]| {
            right_aligned(u32::from_le_bytes(item).into(), cell);
        }),
        Dtype::Uint64 => each(items, out, stride, |item, cell: &mut [u8; 20]| {
            right_aligned(u64::from_le_bytes(item), cell);
        }),
        Dtype::Float16 => each(items, out, stride, |item, cell: &mut [u8; 15]| {
            narrow(f16::from_le_bytes(item).to_f32(), cell);
        }),
        Dtype::Float32 => each(items, out, stride, |item, cell: &mut [u8; 15]| {
            narrow(f32::from_le_bytes(item), cell);
        }),
        Dtype::Float64 => each(items, out, stride, |item, cell: &mut [u8; 24]| {
            let value = f64::from_le_bytes(item);
            match value.is_finite() {
                true => finite::<3, _>(zmij::Buffer::new().format_finite(value).as_bytes(), cell),
                false => no_number(value.is_nan(), value > 0.0, cell),
            }
        }),
    }
}

fn each<const N: usize, const W: usize>(
    items: &[u8],
    out: &mut [u8],
    stride: usize,
    put: impl Fn([u8; N], &mut [u8; W]),
) {
    for (item, cell) in items.as_chunks().0.iter().zip(out.chunks_mut(stride)) {
        if let Some(cell) = cell.first_chunk_mut() {
            put(*item, cell);
        }
    }
}

/// Writes `value` at the end of `cell`. Returns the position of its first digit.
fn digits(value: u64, cell: &mut [u8]) -> usize {
    let mut at = cell.len();
    let mut rest = value;
    let pair = |number: u64| &PAIRS[usize::from(number.to_le_bytes()[0])];
    while rest >= 100 {
        at -= 2;
        cell[at..at + 2].copy_from_slice(pair(rest % 100));
        rest /= 100;
    }
    if rest >= 10 {
        at -= 2;
        cell[at..at + 2].copy_from_slice(pair(rest));
        return at;
    }
    cell[at - 1] = b'0' + rest.to_le_bytes()[0];
    at - 1
}

/// The digit pairs `00` to `99`. Writing pairs halves the number of divisions.
pub(super) static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut i = 0;
    while i < 10 {
        let mut j = 0;
        while j < 10 {
            pairs[i * 10 + j] = [b"0123456789"[i], b"0123456789"[j]];
            j += 1;
        }
        i += 1;
    }
    pairs
};

/// Writes `value`, which must fit, with spaces in front.
pub fn right_aligned(value: u64, cell: &mut [u8]) {
    let start = digits(value, cell);
    cell[..start].fill(b' ');
}

/// Writes `value`, which must fit, with spaces after it.
pub fn left_aligned(value: u64, cell: &mut [u8]) {
    let (start, end) = (digits(value, cell), cell.len());
    cell.copy_within(start.., 0);
    cell[end - start..].fill(b' ');
}

fn signed(value: impl Into<i64>, cell: &mut [u8]) {
    let value = value.into();
    let mut start = digits(value.unsigned_abs(), cell);
    if value < 0 {
        start -= 1;
        cell[start] = b'-';
    }
    cell[..start].fill(b' ');
}

fn narrow(value: f32, cell: &mut [u8; 15]) {
    match value.is_finite() {
        true => finite::<2, _>(zmij::Buffer::new().format_finite(value).as_bytes(), cell),
        false => no_number(value.is_nan(), value > 0.0, cell),
    }
}

fn no_number(is_nan: bool, is_positive: bool, cell: &mut [u8]) {
    let text: &[u8] = match (is_nan, is_positive) {
        (true, _) => b"NaN",
        (false, true) => b"inf",
        (false, false) => b"-inf",
    };
    let start = cell.len() - text.len();
    cell[..start].fill(b' ');
    cell[start..].copy_from_slice(text);
}

/// Rewrites a number such as `-12.5` or `1.25e-7` with one digit before the point and an exponent of `E`
/// digits.
fn finite<const E: usize, const W: usize>(text: &[u8], cell: &mut [u8; W]) {
    cell.fill(b'0');
    let negative = text[0] == b'-';
    if negative {
        cell[0] = b'-';
    }
    let first = usize::from(negative);
    let (mantissa, exponent) = split_exponent(&text[first..]);
    let (place, after) = cell[first..].split_at_mut(W - E - 2 - first);
    place[1] = b'.';
    let exponent = exponent + normal(mantissa, place);
    after[0] = b'e';
    after[1] = if exponent < 0 { b'-' } else { b'+' };
    let size = exponent.unsigned_abs() as usize;
    let (hundreds, pair) = after[2..].split_at_mut(E.saturating_sub(2));
    if let [hundreds] = hundreds {
        *hundreds = b'0' + (size / 100).to_le_bytes()[0];
    }
    let length = pair.len();
    pair.copy_from_slice(&PAIRS[size % 100][2 - length..]);
}

/// Writes the digits of a number such as `12.5` or `0.001` around the point that is already in `place`, one
/// digit before it. Returns the exponent that this requires.
fn normal(mantissa: &[u8], place: &mut [u8]) -> i32 {
    let put = |digits: &[u8], place: &mut [u8]| {
        // Digits beyond the cell are zeros before the point: zeros of a large integer, beyond the dtype's
        // precision.
        let length = digits.len().min(place.len());
        place[..length].copy_from_slice(&digits[..length]);
    };
    if mantissa[0] == b'0' {
        let Some(first) = mantissa.iter().position(|byte| (b'1'..=b'9').contains(byte)) else { return 0 };
        place[0] = mantissa[first];
        put(&mantissa[first + 1..], &mut place[2..]);
        return 1 - i32::try_from(first).unwrap_or(0);
    }
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    place[0] = mantissa[0];
    let fraction = mantissa.get(point + 1..).unwrap_or_default();
    if point > 1 {
        put(&mantissa[1..point], &mut place[2..]);
    }
    put(fraction, place.get_mut(point + 1..).unwrap_or_default());
    i32::try_from(point).unwrap_or(1) - 1
}

/// Splits at the `e`, into the mantissa and the exponent (`-7`, `+16` or `4`).
pub(super) fn split_exponent(text: &[u8]) -> (&[u8], i32) {
    let Some(at) = (2..=5).filter_map(|back| text.len().checked_sub(back)).find(|at| text[*at] == b'e')
    else {
        return (text, 0);
    };
    let digits = text[at + 1..].iter().filter(|byte| byte.is_ascii_digit());
    let size = digits.fold(0, |number, digit| number * 10 + i32::from(digit - b'0'));
    (&text[..at], if text[at + 1] == b'-' { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{any_bits, patience};
    use super::*;
    use crate::dtype::FIXED_DTYPES;

    fn cell(dtype: Dtype, item: &[u8]) -> String {
        let mut out = vec![b'?'; width(dtype)];
        write(dtype, item, &mut out, width(dtype));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_exact() {
        let f32 = |value: f32| cell(Dtype::Float32, &value.to_le_bytes());
        assert_eq!(f32(1.5), "1.500000000e+00");
        assert_eq!(f32(-1.5), "-1.50000000e+00");
        assert_eq!(f32(0.0), "0.000000000e+00");
        assert_eq!(f32(-0.0), "-0.00000000e+00");
        assert_eq!(f32(0.1), "1.000000000e-01");
        assert_eq!(f32(0.0012), "1.200000000e-03");
        assert_eq!(f32(1234.5), "1.234500000e+03");
        assert_eq!(f32(16777216.0), "1.677721600e+07");
        assert_eq!(f32(-1.234567e15), "-1.23456700e+15");
        assert_eq!(f32(1e15), "1.000000000e+15");
        assert_eq!(f32(f32::MIN), "-3.40282350e+38");
        assert_eq!(f32(f32::from_bits(1)), "1.000000000e-45");
        assert_eq!(f32(f32::NAN), "            NaN");
        assert_eq!(f32(f32::INFINITY), "            inf");
        assert_eq!(f32(f32::NEG_INFINITY), "           -inf");
        let f64 = |value: f64| cell(Dtype::Float64, &value.to_le_bytes());
        assert_eq!(f64(-1.797_693_134_862_315_7e308), "-1.7976931348623157e+308");
        assert_eq!(f64(5e-324), "5.00000000000000000e-324");
        assert_eq!(f64(1e15), "1.00000000000000000e+015");
        let f16 = |value: f64| cell(Dtype::Float16, &f16::from_f64(value).to_le_bytes());
        assert_eq!((f16(-65504.0).as_str(), f16(0.1).as_str()), ("-6.55040000e+04", "9.997558600e-02"));
        assert_eq!(
            (f16(-0.0).as_str(), f16(f64::NEG_INFINITY).as_str()),
            ("-0.00000000e+00", "           -inf")
        );
        assert_eq!((f16(6e-8).as_str(), f16(f64::NAN).as_str()), ("5.960464500e-08", "            NaN"));
        assert_eq!(cell(Dtype::Int8, &[0x80]), "-128");
        assert_eq!(cell(Dtype::Int16, &[7, 0]), "     7");
        assert_eq!(cell(Dtype::Int64, &i64::MIN.to_le_bytes()), i64::MIN.to_string());
        assert_eq!(cell(Dtype::Uint64, &[0xFF; 8]), u64::MAX.to_string());
        assert_eq!(cell(Dtype::Uint64, &[0; 8]), "                   0");
        assert_eq!(cell(Dtype::Bool, &[2]), "1");
        let mut left = [0; 4];
        left_aligned(17, &mut left);
        assert_eq!(&left, b"17  ");
    }

    #[test]
    fn every_cell_has_its_width() {
        for dtype in FIXED_DTYPES {
            let item = usize::try_from(dtype.itemsize()).unwrap();
            for byte in [0x00, 0x01, 0x7B, 0x7F, 0x80, 0xFE, 0xFF] {
                let text = cell(dtype, &[byte].repeat(item));
                assert!(!text.contains('?') && !text.ends_with(' '), "{dtype} {text:?}");
            }
        }
    }

    #[test]
    fn every_float16_reads_back_to_its_bits() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            let text = cell(Dtype::Float16, &bits.to_le_bytes());
            let text = text.trim_start();
            let (wide, narrow) = (f16::from_f64(text.parse().unwrap()), f16::from_f32(text.parse().unwrap()));
            let same = |back: f16| back.to_bits() == bits || value.is_nan() && back.is_nan();
            assert!(same(wide) && same(narrow), "{bits:#x} {text}");
        }
    }

    #[test]
    fn floats_read_back_to_their_bits() {
        let edges = (0..64).map(|bit| 1 << bit).chain([0, u64::MAX, 1 << 63 | 1]);
        let mut wide = [0; 24];
        let mut narrow = [0; 15];
        for bits in edges.chain(any_bits(patience())) {
            let value = f64::from_bits(bits);
            write(Dtype::Float64, &bits.to_le_bytes(), &mut wide, 24);
            let back: f64 = std::str::from_utf8(&wide).unwrap().trim_start().parse().unwrap();
            assert!(back.to_bits() == bits || value.is_nan() && back.is_nan(), "{bits:#x}");
            for half in [&bits.to_le_bytes()[..4], &bits.to_le_bytes()[4..]] {
                let value = f32::from_le_bytes(*half.first_chunk().unwrap());
                write(Dtype::Float32, half, &mut narrow, 15);
                let text = std::str::from_utf8(&narrow).unwrap().trim_start();
                // Directly, and through float64, for readers that have no float32.
                #[allow(clippy::cast_possible_truncation)]
                let backs = [text.parse::<f32>().unwrap(), text.parse::<f64>().unwrap() as f32];
                let same = |back: f32| back.to_bits() == value.to_bits() || value.is_nan() && back.is_nan();
                assert!(backs.into_iter().all(same), "{value:?} {text}");
            }
        }
    }
}
