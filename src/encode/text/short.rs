//! Numbers as short text: the fewest digits that read back to the same bits, without padding.
//!
//! ```text
//! bool      0   1
//! integers  -128   7
//! floats    1.5   -0.0   0.00001   1e-6   1234567890123456.0   1.5e300     float16 like the equal float32
//! others    NaN   inf   -inf
//! ```
//!
//! Floats from 1e-5 to below 1e16 are plain decimals. They always have a point; otherwise readers would
//! take them for integers and lose the sign of -0.0. NaN and infinities are spelled so that pandas, polars,
//! R and DuckDB all parse them as numbers by default.

use half::f16;

use super::cell::{PAIRS, split_exponent};
use crate::dtype::Dtype;

/// The most bytes of a number with its separator.
const CELL: usize = 32;

type Cell = [u8; CELL];

/// The most cells of a short table: for floats, and for other dtypes. Measuring larger ones would take too
/// long.
const MOST: [u64; 2] = [64 << 20, 256 << 20];

/// Whether a table with this many numbers uses short text.
pub const fn is_short(dtype: Dtype, cells: u64) -> bool {
    let is_float = matches!(dtype, Dtype::Float16 | Dtype::Float32 | Dtype::Float64);
    cells <= if is_float { MOST[0] } else { MOST[1] }
}

/// The separators after the numbers: `separator`, or a newline at the end of each line.
#[derive(Clone, Copy, Debug)]
pub struct Separators {
    separator: u8,
    /// Numbers per line.
    columns: u64,
    /// Numbers left in the current line.
    left: u64,
}

impl Separators {
    /// Starts at this number, with `columns` numbers per line.
    pub const fn from(number: u64, columns: u64, separator: u8) -> Self {
        Self { separator, columns, left: columns - number % columns }
    }

    fn next(&mut self) -> u8 {
        self.left -= 1;
        if self.left > 0 {
            return self.separator;
        }
        self.left = self.columns;
        b'\n'
    }
}

/// Text in a buffer that is reused, and therefore not zeroed each time.
#[derive(Debug, Default)]
pub struct Text {
    bytes: Vec<u8>,
    length: usize,
}

impl Text {
    /// The text.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Removes the text but keeps the buffer.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends these bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Appends the items (elements of `dtype`, little-endian), each with its separator.
    pub fn push_items(&mut self, dtype: Dtype, items: &[u8], separators: &mut Separators) {
        let count = items.len() / usize::try_from(dtype.itemsize()).unwrap_or(1);
        self.room(count * CELL);
        let mut at = self.length;
        let room = &mut self.bytes;
        each(dtype, items, &mut Put { room, at: &mut at, separators });
        self.length = at;
    }

    /// Appends an integer and the byte `after`.
    pub fn push_number(&mut self, number: u64, after: u8) {
        self.room(CELL);
        if let Some(cell) = self.bytes[self.length..].first_chunk_mut() {
            let length = number.write(cell);
            cell[length] = after;
            self.length += length + 1;
        }
    }

    /// Makes room for `bytes` more bytes, and for a whole cell after them: numbers are written to whole
    /// cells.
    fn room(&mut self, bytes: usize) {
        if self.bytes.len() < self.length + bytes + CELL {
            self.bytes.resize(self.length + bytes + CELL, 0);
        }
    }
}

/// Length in bytes of the items as text, each with a separator.
pub fn length(dtype: Dtype, items: &[u8]) -> u64 {
    let mut count = Count { bytes: 0, cell: [0; CELL] };
    each(dtype, items, &mut count);
    count.bytes
}

/// Receives each number in turn. Generic, so that writing and measuring each compile to one loop per dtype.
trait Take {
    fn take(&mut self, number: impl Number);
}

struct Put<'t> {
    room: &'t mut [u8],
    at: &'t mut usize,
    separators: &'t mut Separators,
}

impl Take for Put<'_> {
    #[inline]
    fn take(&mut self, number: impl Number) {
        if let Some(cell) = self.room.get_mut(*self.at..).and_then(<[u8]>::first_chunk_mut) {
            let length = number.write(cell).min(CELL - 1);
            cell[length] = self.separators.next();
            *self.at += length + 1;
        }
    }
}

struct Count {
    bytes: u64,
    cell: Cell,
}

impl Take for Count {
    #[inline]
    fn take(&mut self, number: impl Number) {
        self.bytes += number.length(&mut self.cell) as u64 + 1;
    }
}

/// Passes each item to `take`.
fn each(dtype: Dtype, items: &[u8], take: &mut impl Take) {
    macro_rules! all {
        ($decode:expr) => {
            items.as_chunks().0.iter().for_each(|item| take.take($decode(*item)))
        };
    }
    match dtype {
        Dtype::Bool => all!(|[item]: [u8; 1]| u8::from(item != 0)),
        Dtype::Int8 => all!(i8::from_le_bytes),
        Dtype::Int16 => all!(i16::from_le_bytes),
        Dtype::Int32 => all!(i32::from_le_bytes),
        Dtype::Int64 => all!(i64::from_le_bytes),
        Dtype::Uint8 => all!(u8::from_le_bytes),
        Dtype::Uint16 => all!(u16::from_le_bytes),
        Dtype::Uint32 => all!(u32::from_le_bytes),
        Dtype::Uint64 => all!(u64::from_le_bytes),
        Dtype::Float16 => all!(|item| f16::from_le_bytes(item).to_f32()),
        Dtype::Float32 => all!(f32::from_le_bytes),
        Dtype::Float64 => all!(f64::from_le_bytes),
    }
}

/// A number that can be written as text.
trait Number: Copy {
    /// Writes the number at the start of a cell. Returns its length, which is less than that of the cell.
    fn write(self, cell: &mut Cell) -> usize;

    /// Returns only the length. May overwrite `cell`.
    fn length(self, cell: &mut Cell) -> usize {
        self.write(cell)
    }
}

/// The number of decimal digits.
macro_rules! count_digits {
    ($number:expr) => {
        $number.checked_ilog10().map_or(1, |log| log as usize + 1)
    };
}

macro_rules! integers {
    ($($unsigned:ty, $signed:ty;)*) => {$(
        impl Number for $unsigned {
            #[inline]
            fn write(self, cell: &mut Cell) -> usize {
                let length = count_digits!(self);
                write_digits(self.into(), &mut cell[..length]);
                length
            }

            #[inline]
            fn length(self, _: &mut Cell) -> usize {
                count_digits!(self)
            }
        }

        impl Number for $signed {
            #[inline]
            fn write(self, cell: &mut Cell) -> usize {
                let (size, sign) = (self.unsigned_abs(), usize::from(self < 0));
                cell[0] = b'-';
                let length = sign + count_digits!(size);
                write_digits(size.into(), &mut cell[sign..length]);
                length
            }

            #[inline]
            fn length(self, _: &mut Cell) -> usize {
                usize::from(self < 0) + count_digits!(self.unsigned_abs())
            }
        }
    )*};
}

integers! { u8, i8; u16, i16; u32, i32; u64, i64; }

/// Writes a number that has exactly as many digits as `room` has bytes.
#[inline]
fn write_digits(number: u64, room: &mut [u8]) {
    let (mut rest, mut end) = (number, room.len());
    while end >= 2 {
        room[end - 2..end].copy_from_slice(&PAIRS[usize::from((rest % 100).to_le_bytes()[0])]);
        (rest, end) = (rest / 100, end - 2);
    }
    if end == 1 {
        room[0] = b'0' + rest.to_le_bytes()[0];
    }
}

macro_rules! floats {
    ($($float:ty, $plain:expr;)*) => {$(
        impl Number for $float {
            #[inline]
            fn write(self, cell: &mut Cell) -> usize {
                if !self.is_finite() {
                    return write_no_number(self.is_nan(), self > 0.0, cell);
                }
                let mut buffer = zmij::Buffer::new();
                let text = buffer.format_finite(self).as_bytes();
                // In this range, the output of zmij already has the form used here.
                if $plain.contains(&self.abs()) || self == 0.0 {
                    cell[..text.len()].copy_from_slice(text);
                    return text.len();
                }
                write_decimal(text, cell)
            }
        }
    )*};
}

floats! { f32, (1e-5..1e13f32); f64, (1e-5..1e16f64); }

#[cold]
fn write_no_number(is_nan: bool, is_positive: bool, cell: &mut Cell) -> usize {
    let text: &[u8] = match (is_nan, is_positive) {
        (true, _) => b"NaN",
        (false, true) => b"inf",
        (false, false) => b"-inf",
    };
    cell[..text.len()].copy_from_slice(text);
    text.len()
}

/// Writes a number in the form used here, from decimal text of another form.
#[cold]
fn write_decimal(text: &[u8], cell: &mut Cell) -> usize {
    let sign = usize::from(text[0] == b'-');
    let (mantissa, exponent) = split_exponent(&text[sign..]);
    cell[0] = b'-';
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let mut digits = [b'0'; CELL];
    let mut count = 0;
    for digit in mantissa.iter().filter(|byte| **byte != b'.') {
        digits[count] = *digit;
        count += 1;
    }
    let zeros = digits[..count].iter().take_while(|digit| **digit == b'0').count();
    let last = digits[..count].iter().rposition(|digit| *digit != b'0').unwrap_or(0);
    // The power of ten of the first nonzero digit.
    let power = exponent + i32::try_from(point).unwrap_or(0) - 1 - i32::try_from(zeros).unwrap_or(0);
    sign + write_power(&digits[zeros..], last + 1 - zeros, power, &mut cell[sign..])
}

/// Writes the first `count` digits, padded with zeros. The first digit has the given power of ten.
fn write_power(digits: &[u8], count: usize, power: i32, out: &mut [u8]) -> usize {
    if let (0..16, Ok(before)) = (power, usize::try_from(power + 1)) {
        out[..before].copy_from_slice(&digits[..before]);
        out[before] = b'.';
        let fraction = count.saturating_sub(before).max(1);
        out[before + 1..=before + fraction].copy_from_slice(&digits[before..before + fraction]);
        return before + 1 + fraction;
    }
    out[0] = digits[0];
    let mut at = 1;
    if count > 1 {
        out[1] = b'.';
        out[2..=count].copy_from_slice(&digits[1..count]);
        at = count + 1;
    }
    out[at] = b'e';
    out[at + 1] = b'-';
    at += 1 + usize::from(power < 0);
    let size = u64::from(power.unsigned_abs());
    let length = count_digits!(size);
    write_digits(size, &mut out[at..at + length]);
    at + length
}

#[cfg(test)]
mod tests {
    use super::super::testing::{any_bits, patience};
    use super::*;
    use crate::dtype::FIXED_DTYPES;

    fn cell(dtype: Dtype, item: &[u8]) -> String {
        let mut text = Text::default();
        text.push_items(dtype, item, &mut Separators::from(0, 1, b','));
        assert_eq!(length(dtype, item), text.bytes().len() as u64, "{dtype}");
        String::from_utf8(text.bytes().strip_suffix(b"\n").unwrap().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_exact() {
        let f32 = |value: f32| cell(Dtype::Float32, &value.to_le_bytes());
        let f64 = |value: f64| cell(Dtype::Float64, &value.to_le_bytes());
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e-5, "0.00001"),
            (1.5e-5, "0.000015"),
            (1e-6, "1e-6"),
            (9.5e-6, "9.5e-6"),
            (-1.25e-30, "-1.25e-30"),
            (16777216.0, "16777216.0"),
            (1e12, "1000000000000.0"),
            (1e13, "10000000000000.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e16"),
            (-2.5e20, "-2.5e20"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, wanted) in cases {
            #[allow(clippy::cast_possible_truncation)]
            let narrow = value as f32;
            assert_eq!((f64(value).as_str(), f32(narrow).as_str()), (wanted, wanted));
        }
        assert_eq!(f64(1_234_567_890_123_456.0), "1234567890123456.0");
        assert_eq!(f64(9_007_199_254_740_993.5), "9007199254740994.0");
        assert_eq!((f64(f64::MIN).as_str(), f64(5e-324).as_str()), ("-1.7976931348623157e308", "5e-324"));
        assert_eq!((f32(f32::MIN).as_str(), f32(f32::from_bits(1)).as_str()), ("-3.4028235e38", "1e-45"));
        assert_eq!(
            (f32(1.234_567e15).as_str(), f32(1.234_567e14).as_str()),
            ("1234567000000000.0", "123456700000000.0")
        );
        let f16 = |value: f64| cell(Dtype::Float16, &f16::from_f64(value).to_le_bytes());
        assert_eq!((f16(65504.0).as_str(), f16(0.1).as_str()), ("65504.0", "0.099975586"));
        assert_eq!((f16(-0.0).as_str(), f16(6e-8).as_str()), ("-0.0", "5.9604645e-8"));
    }

    #[test]
    fn integers_are_exact() {
        for dtype in FIXED_DTYPES.into_iter().filter(|dtype| dtype.is_integer()) {
            let width = usize::try_from(dtype.itemsize()).unwrap();
            let signed = dtype.name().starts_with("int");
            let powers = (0..20).flat_map(|power| {
                let ten = 10u64.pow(power);
                [ten - 1, ten, ten.wrapping_neg(), 1u64.wrapping_sub(ten)]
            });
            for number in powers.chain(any_bits(1000)).chain([0, 1, 9, 10, 99, 100, 1 << 63, u64::MAX]) {
                let bits = number << (64 - 8 * width);
                let item = (bits >> (64 - 8 * width)).to_le_bytes();
                let wanted = match signed {
                    true => (bits.cast_signed() >> (64 - 8 * width)).to_string(),
                    false => (bits >> (64 - 8 * width)).to_string(),
                };
                assert_eq!(cell(dtype, &item[..width]), wanted, "{dtype}");
            }
        }
        assert_eq!((cell(Dtype::Bool, &[0]).as_str(), cell(Dtype::Bool, &[2]).as_str()), ("0", "1"));
    }

    #[test]
    fn lines_end_where_they_should() {
        let mut text = Text::default();
        text.push(b"x,");
        text.push_items(Dtype::Int8, &[1, 2, 0xFF, 100, 5], &mut Separators::from(2, 4, b','));
        assert_eq!(text.bytes(), b"x,1,2\n-1,100,5,");
        text.clear();
        text.push_number(17, b';');
        assert_eq!(text.bytes(), b"17;");
    }

    #[test]
    fn floats_read_back_to_their_bits() {
        let edges = (0..64).map(|bit| 1 << bit).chain([0, u64::MAX, 1 << 63 | 1]);
        // The limits of plain decimals, and numbers around them.
        let near = [1e-7, 1e-6, 1e-5, 1e-4, 1e12, 1e13, 1e15, 1e16, 1e17].map(f64::to_bits);
        let near = near.into_iter().flat_map(|bits| bits - 20..bits + 20);
        for bits in edges.chain(near).chain(any_bits(patience())) {
            let value = f64::from_bits(bits);
            let text = cell(Dtype::Float64, &bits.to_le_bytes());
            let back: f64 = text.parse().unwrap();
            assert!(back.to_bits() == bits || value.is_nan() && back.is_nan(), "{bits:#x} {text}");
            check_form(&text, value, &value.to_string());
            #[allow(clippy::cast_possible_truncation)]
            for narrow in [f32::from_bits(bits as u32), f32::from_bits((bits >> 32) as u32), value as f32] {
                let text = cell(Dtype::Float32, &narrow.to_le_bytes());
                // Directly, and through float64, for readers that have no float32.
                let backs = [text.parse::<f32>().unwrap(), text.parse::<f64>().unwrap() as f32];
                let same = |back: f32| back.to_bits() == narrow.to_bits() || narrow.is_nan() && back.is_nan();
                assert!(backs.into_iter().all(same), "{narrow:?} {text}");
                check_form(&text, narrow.into(), &narrow.to_string());
            }
        }
    }

    /// Plain or not, depending on the size of the number, and no more digits than Rust's shortest form.
    fn check_form(text: &str, value: f64, shortest: &str) {
        if !value.is_finite() {
            return;
        }
        let is_plain = value == 0.0 || (0.99999e-5..1.00001e16).contains(&value.abs());
        assert!(is_plain || text.contains('e'), "{text}");
        let is_plain = value == 0.0 || (1.00001e-5..0.99999e16).contains(&value.abs());
        assert!(!is_plain || (text.contains('.') && !text.contains('e')), "{text}");
        let digits =
            |text: &str| text.split('e').next().unwrap().replace(['-', '.'], "").trim_matches('0').len();
        assert!(digits(text) <= digits(shortest), "{text} {shortest}");
    }

    #[test]
    fn every_float16_reads_back_to_its_bits() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            let text = cell(Dtype::Float16, &bits.to_le_bytes());
            let (wide, narrow) = (f16::from_f64(text.parse().unwrap()), f16::from_f32(text.parse().unwrap()));
            let same = |back: f16| back.to_bits() == bits || value.is_nan() && back.is_nan();
            assert!(same(wide) && same(narrow), "{bits:#x} {text}");
        }
    }
}
