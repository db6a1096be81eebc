//! Numbers from text: what a cell says, and the element of a type that is exactly that.
//!
//! A float takes the nearest number that it has, as everywhere, but never in silence another integer than the text
//! has, an infinity or a zero: that is [`Unfit`].

use std::borrow::Cow;
use std::fmt;

use half::f16;

use super::lines::beginning;
use crate::dtype::Dtype;

/// The bytes of one element, little-endian, before others that mean nothing.
pub(crate) type Number = [u8; 8];

/// What stands for a number that is not there, beside nothing at all and what the user says.
const MISSING: [&[u8]; 14] = [
    b"NA",
    b"N/A",
    b"n/a",
    b"<NA>",
    b"#N/A",
    b"#NA",
    b"#N/A N/A",
    b"null",
    b"NULL",
    b"None",
    b"1.#QNAN",
    b"-1.#QNAN",
    b"1.#IND",
    b"-1.#IND",
];

/// The longest text that is read as a number, in bytes: all digits of any float are fewer.
const LONGEST: usize = 4096;

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A number that is not there.
    Missing,
    /// Truth in words.
    Word(bool),
    /// Digits: whether a minus is before them, and what they come to.
    Integer(bool, u64),
    /// Any other number, or the nearest to it.
    Decimal(f64),
    /// No number.
    Text,
}

/// How numbers are written, and how they are to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numerals<'o> {
    /// What stands before the fraction.
    pub decimal: u8,
    /// More words for a number that is not there.
    pub missing: &'o [String],
    /// Whether the nearest number will do where the type does not have it.
    pub is_lossy: bool,
}

impl Numerals<'_> {
    /// What the text says, spaces around it aside.
    pub fn value(&self, text: &[u8]) -> Value {
        let text = text.trim_ascii();
        if text.is_empty() || self.missing.iter().any(|word| word.as_bytes() == text) {
            return Value::Missing;
        }
        if text.len() > LONGEST {
            return Value::Text;
        }
        if let Some((is_negative, sum)) = integer(text) {
            return Value::Integer(is_negative, sum);
        }
        let number = match text[0] {
            b'0'..=b'9' | b'+' | b'-' | b'.' | b',' | b'n' | b'N' | b'i' | b'I' => self.decimal(text),
            _ => None,
        };
        match (number, word(text)) {
            (Some(number), _) => Value::Decimal(number),
            (None, Some(word)) => Value::Word(word),
            (None, None) if MISSING.contains(&text) => Value::Missing,
            (None, None) => Value::Text,
        }
    }

    fn decimal(&self, text: &[u8]) -> Option<f64> {
        self.with_point(text)?.parse().ok()
    }

    /// The text with a point before the fraction; none where there are two kinds.
    fn with_point<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        let text = std::str::from_utf8(text).ok()?;
        match self.decimal {
            b'.' => Some(text.into()),
            _ if text.contains('.') || text.ends_with(',') => None,
            mark => Some(text.replace(char::from(mark), ".").into()),
        }
    }

    /// The element of this type that the text stands for.
    ///
    /// # Errors
    ///
    /// Why there is none that is right.
    pub fn element(&self, dtype: Dtype, text: &[u8]) -> Result<Number, Unfit> {
        let text = text.trim_ascii();
        let value = self.value(text);
        let plain = match value {
            Value::Text => return Err(Unfit::Text),
            Value::Missing => "NaN".into(),
            Value::Word(is_true) => (if is_true { "1" } else { "0" }).into(),
            _ => self.with_point(text).ok_or(Unfit::Text)?,
        };
        match (dtype, value) {
            // What is read already.
            (Dtype::Float64, Value::Integer(is_negative, sum)) if sum <= 1 << 53 => {
                #[allow(clippy::cast_precision_loss)]
                let number = sum as f64;
                Ok((if is_negative { -number } else { number }).to_le_bytes())
            }
            (Dtype::Float64, Value::Decimal(number)) => {
                let is_kept = self.is_lossy || is_kept(&plain, number, dtype, || number.abs().to_string());
                if is_kept { Ok(number.to_le_bytes()) } else { Err(Unfit::Changed(number)) }
            }
            (Dtype::Float16 | Dtype::Float32 | Dtype::Float64, _) => self.float(dtype, &plain),
            (_, Value::Missing) => Err(Unfit::Missing),
            _ => self.whole(dtype, value, &plain),
        }
    }

    fn float(&self, dtype: Dtype, text: &str) -> Result<Number, Unfit> {
        let mut number = Number::default();
        // The number as it is now, and the digits with which the type would be written.
        let (wide, digits): (f64, fn(&Number) -> String) = match dtype {
            Dtype::Float16 => {
                let value = f16::from_f64(text.parse().map_err(|_| Unfit::Text)?);
                number[..2].copy_from_slice(&value.to_le_bytes());
                (value.into(), |number| f16::from_le_bytes([number[0], number[1]]).to_f32().abs().to_string())
            }
            Dtype::Float32 => {
                let value: f32 = text.parse().map_err(|_| Unfit::Text)?;
                number[..4].copy_from_slice(&value.to_le_bytes());
                (value.into(), |number| {
                    f32::from_le_bytes([number[0], number[1], number[2], number[3]]).abs().to_string()
                })
            }
            _ => {
                let value: f64 = text.parse().map_err(|_| Unfit::Text)?;
                number = value.to_le_bytes();
                (value, |number| f64::from_le_bytes(*number).abs().to_string())
            }
        };
        if self.is_lossy || is_kept(text, wide, dtype, || digits(&number)) {
            Ok(number)
        } else {
            Err(Unfit::Changed(wide))
        }
    }

    /// The integer, or the truth, that the text stands for: `2.0` and `1e+05` are integers.
    fn whole(&self, dtype: Dtype, value: Value, text: &str) -> Result<Number, Unfit> {
        let (is_negative, sum) = match value {
            Value::Integer(is_negative, sum) => (is_negative, Some(sum)),
            Value::Word(is_true) => (false, Some(is_true.into())),
            Value::Decimal(number) if number.is_nan() => return Err(Unfit::Missing),
            _ => match exact_integer(text) {
                Ok(sum) => (text.starts_with('-'), sum),
                Err(NotWhole) if self.is_lossy => return Ok(nearest(dtype, text)),
                Err(NotWhole) => return Err(Unfit::Fraction),
            },
        };
        let (least, most) = range(dtype);
        let sum = sum.map(i128::from).map(|sum| if is_negative { -sum } else { sum });
        match sum.filter(|sum| (least..=most).contains(sum)) {
            Some(sum) => Ok(low_bytes(sum)),
            None if self.is_lossy => Ok(low_bytes(if is_negative { least } else { most })),
            None => Err(Unfit::Range),
        }
    }
}

/// Whether a text is an integer that uint64 has and int64 has not.
pub(crate) fn is_beyond_int64(text: &[u8]) -> bool {
    // Fewer bytes are in int64 whatever they are.
    text.len() >= 19
        && integer(text.trim_ascii())
            .is_some_and(|(is_negative, sum)| !is_negative && i64::try_from(sum).is_err())
}

/// Why a text gives no element of a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unfit {
    /// It is no number.
    Text,
    /// There is none, and the type has no NaN.
    Missing,
    /// It is beyond the type.
    Range,
    /// It has a fraction.
    Fraction,
    /// It would be this number.
    Changed(f64),
}

impl Unfit {
    /// What is wrong with this text as an element of this type.
    pub fn words(self, dtype: Dtype, text: &[u8]) -> impl fmt::Display {
        let found = beginning(text.trim_ascii(), 80);
        let nearest = "--lossy takes the nearest";
        match self {
            Self::Text => format!("expected a number, found {found:?}"),
            Self::Missing => format!("there is no number ({found:?}), and {dtype} has no NaN"),
            Self::Range if dtype == Dtype::Int64 && is_beyond_int64(text) => {
                format!(
                    "{found} is beyond int64 (--dtype uint64 has it, and nothing that is negative; {nearest})"
                )
            }
            Self::Range => format!("{found} is beyond {dtype} ({nearest})"),
            Self::Fraction => format!("{found} is no integer, as {dtype} must be ({nearest})"),
            Self::Changed(number) => format!("{found} would be {number} in {dtype} ({nearest})"),
        }
    }
}

/// Whether a float is what the text says, or the nearest to a fraction.
fn is_kept(text: &str, number: f64, dtype: Dtype, digits: impl Fn() -> String) -> bool {
    let unsigned = text.as_bytes();
    let unsigned = if let [b'+' | b'-', rest @ ..] = unsigned { rest } else { unsigned };
    let (mut whole, mut is_fraction, mut is_whole, mut is_zero, mut is_scaled) =
        (0, false, true, true, false);
    for byte in unsigned {
        match byte {
            b'0'..=b'9' => {
                is_zero &= *byte == b'0';
                whole += usize::from(!is_fraction);
                is_whole &= !is_fraction || *byte == b'0';
            }
            b'.' => is_fraction = true,
            b'e' | b'E' => {
                is_scaled = true;
                break;
            }
            // An infinity, or none.
            _ => return true,
        }
    }
    if number.is_infinite() || number == 0.0 {
        return is_zero && number == 0.0;
    }
    if is_scaled {
        return is_scaled_kept(unsigned, number, dtype, digits);
    }
    // Every float has all integers of three digits.
    if !is_whole || whole <= 3 {
        return true;
    }
    let whole = String::from_utf8_lossy(&unsigned[..whole]);
    let whole = whole.trim_start_matches('0');
    // What a program wrote with the fewest digits that tell the number from others is that number.
    format!("{:.0}", number.abs()) == whole || digits() == whole
}

/// The same of a number with an exponent. Its last digit may stand for tens or millions: then it is a float64 that was
/// written with so many digits, or what was measured with fewer than that.
fn is_scaled_kept(unsigned: &[u8], number: f64, dtype: Dtype, digits: impl Fn() -> String) -> bool {
    // Zeros and infinities were told already, and this is a number: what has no digits has a fraction.
    let Ok(Integer { significant, zeros }) = integer_digits(&String::from_utf8_lossy(unsigned)) else {
        return true;
    };
    if zeros > 0 && dtype != Dtype::Float64 {
        return true;
    }
    let exact = format!("{:.0}", number.abs());
    let has_digits = |exact: &str| {
        let (head, rest) = exact.split_at_checked(significant.len()).unwrap_or((exact, ""));
        let half = rest.bytes().zip(std::iter::once(b'5').chain(std::iter::repeat(b'0')));
        head == significant
            && half
                .map(|(digit, half)| digit.cmp(&half))
                .find(|order| order.is_ne())
                .is_none_or(|order| order.is_lt())
    };
    let rounded = format!("{:.*e}", significant.len().saturating_sub(1), number.abs());
    let rounded: String =
        rounded.split('e').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let is_as_long = exact.len() as u64 == significant.len() as u64 + zeros;
    let shortest = digits();
    is_as_long && (has_digits(&exact) || rounded == significant)
        || shortest.trim_end_matches('0') == significant
            && shortest.len() as u64 == significant.len() as u64 + zeros
}

/// Digits with or without a sign, if they come to less than 2^64.
fn integer(text: &[u8]) -> Option<(bool, u64)> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut sum = 0u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum.checked_mul(10)?.checked_add(digit.into())?;
    }
    Some((is_negative, sum))
}

/// A number with a fraction.
#[derive(Debug)]
struct NotWhole;

/// The digits of an integer above zero.
struct Integer {
    /// The first of them, up to the last that is not 0.
    significant: String,
    /// How many follow.
    zeros: u64,
}

/// The digits of a decimal number, without its sign; none of zero.
fn integer_digits(unsigned: &str) -> Result<Integer, NotWhole> {
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let significant = digits.trim_end_matches('0');
    let zeros = (digits.len() - significant.len()) as i128 - fraction.len() as i128;
    let significant = significant.trim_start_matches('0').to_owned();
    if significant.is_empty() {
        return Ok(Integer { significant, zeros: 0 });
    }
    let is_negative = exponent.starts_with('-');
    // An exponent of more digits is beyond all types, or below all of them.
    let exponent = exponent.parse().unwrap_or(i128::from(if is_negative { i64::MIN } else { i64::MAX }));
    match exponent.saturating_add(zeros) {
        ..0 => Err(NotWhole),
        zeros => Ok(Integer { significant, zeros: u64::try_from(zeros).unwrap_or(u64::MAX) }),
    }
}

/// The integer that a decimal number is, without its sign; none where it is 2^64 or more.
fn exact_integer(text: &str) -> Result<Option<u64>, NotWhole> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        // An infinity.
        return Ok(None);
    }
    let Integer { significant, zeros } = integer_digits(unsigned)?;
    if significant.is_empty() {
        return Ok(Some(0));
    }
    match usize::try_from(zeros) {
        Ok(zeros) if significant.len().saturating_add(zeros) <= 20 => {
            Ok(format!("{significant}{}", "0".repeat(zeros)).parse().ok())
        }
        _ => Ok(None),
    }
}

/// The nearest integer of the type.
#[allow(clippy::cast_possible_truncation)]
fn nearest(dtype: Dtype, text: &str) -> Number {
    let (least, most) = range(dtype);
    let number = text.parse::<f64>().unwrap_or_default().round_ties_even();
    low_bytes((number as i128).clamp(least, most))
}

fn range(dtype: Dtype) -> (i128, i128) {
    let bits = dtype.itemsize() * 8;
    match dtype {
        Dtype::Bool => (0, 1),
        Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => (0, (1 << bits) - 1),
        _ => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
    }
}

/// The integer as an element; those of fewer bytes are the first of them.
fn low_bytes(number: i128) -> Number {
    let mut bytes = Number::default();
    bytes.copy_from_slice(&number.to_le_bytes()[..8]);
    bytes
}

/// Truth in words.
fn word(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Numerals<'static> = Numerals { decimal: b'.', missing: &[], is_lossy: false };
    const LOSSY: Numerals<'static> = Numerals { is_lossy: true, ..PLAIN };

    fn padded(bytes: &[u8]) -> Number {
        let mut number = Number::default();
        number[..bytes.len()].copy_from_slice(bytes);
        number
    }

    #[test]
    fn a_cell_says_what_programs_mean() {
        let comma = Numerals { decimal: b',', missing: &["-999".into(), "?".into()], is_lossy: false };
        let cases: [(Numerals<'_>, &str, Value); 30] = [
            (PLAIN, " 17 ", Value::Integer(false, 17)),
            (PLAIN, "-0", Value::Integer(true, 0)),
            (PLAIN, "+18446744073709551615", Value::Integer(false, u64::MAX)),
            (PLAIN, "18446744073709551616", Value::Decimal(18_446_744_073_709_551_616.0)),
            (PLAIN, "2.0", Value::Decimal(2.0)),
            (PLAIN, ".5", Value::Decimal(0.5)),
            (PLAIN, "5.", Value::Decimal(5.0)),
            (PLAIN, "1e+05", Value::Decimal(1e5)),
            (PLAIN, "-Inf", Value::Decimal(f64::NEG_INFINITY)),
            (PLAIN, "+inf", Value::Decimal(f64::INFINITY)),
            (PLAIN, "Infinity", Value::Decimal(f64::INFINITY)),
            (PLAIN, "", Value::Missing),
            (PLAIN, "NA", Value::Missing),
            (PLAIN, "N/A", Value::Missing),
            (PLAIN, "null", Value::Missing),
            (PLAIN, "None", Value::Missing),
            (PLAIN, "#N/A", Value::Missing),
            (PLAIN, "TRUE", Value::Word(true)),
            (PLAIN, "False", Value::Word(false)),
            (PLAIN, "1,5", Value::Text),
            (PLAIN, "1 2", Value::Text),
            (PLAIN, "1,234.5", Value::Text),
            (PLAIN, "0x1F", Value::Text),
            (PLAIN, "gene", Value::Text),
            (PLAIN, &"1".repeat(5000), Value::Text),
            (PLAIN, "-", Value::Text),
            (comma, "-1,5", Value::Decimal(-1.5)),
            (comma, "1.5", Value::Text),
            (comma, "-999", Value::Missing),
            (comma, "?", Value::Missing),
        ];
        for (numerals, text, wanted) in cases {
            assert_eq!(numerals.value(text.as_bytes()), wanted, "{text:?}");
        }
        for nan in ["NaN", "nan", "-nan", "NAN"] {
            assert!(
                matches!(PLAIN.value(nan.as_bytes()), Value::Decimal(number) if number.is_nan()),
                "{nan}"
            );
        }
        assert_eq!(PLAIN.value(b"\xFF"), Value::Text);
    }

    #[test]
    fn text_becomes_the_element_it_stands_for() {
        let cases: [(Dtype, &str, Number); 27] = [
            (Dtype::Float32, " -1.50000000e+00", padded(&(-1.5f32).to_le_bytes())),
            (Dtype::Float32, "-Inf", padded(&f32::NEG_INFINITY.to_le_bytes())),
            (Dtype::Float32, "16777217.5", padded(&16_777_218f32.to_le_bytes())),
            // As a program writes a float32 that is 12345678848.
            (Dtype::Float32, "12345679000", padded(&12_345_678_848f32.to_le_bytes())),
            (Dtype::Float64, "1e23", padded(&1e23f64.to_le_bytes())),
            (Dtype::Float64, "9007199254740992e0", padded(&9_007_199_254_740_992f64.to_le_bytes())),
            (Dtype::Float64, "9007199254740993.5e0", padded(&9_007_199_254_740_994f64.to_le_bytes())),
            // As %.18e and an old library write 123456789012345683968.
            (
                Dtype::Float64,
                "1.234567890123456840e+20",
                padded(&123_456_789_012_345_683_968f64.to_le_bytes()),
            ),
            (
                Dtype::Float64,
                "1.23456789012345680000e+020",
                padded(&123_456_789_012_345_683_968f64.to_le_bytes()),
            ),
            (Dtype::Float64, "1.2345678901234568e20", padded(&123_456_789_012_345_683_968f64.to_le_bytes())),
            (Dtype::Float64, "5e-324", padded(&5e-324f64.to_le_bytes())),
            (Dtype::Float64, "1.7976931348623157e308", padded(&f64::MAX.to_le_bytes())),
            (Dtype::Float32, "6.02214076e23", padded(&6.022_140_6e23f32.to_le_bytes())),
            (Dtype::Float32, "1.6777216e7", padded(&16_777_216f32.to_le_bytes())),
            (Dtype::Float64, "-0", padded(&(-0f64).to_le_bytes())),
            (Dtype::Float64, "590295810358705700000", padded(&590_295_810_358_705_700_000f64.to_le_bytes())),
            (Dtype::Float64, "000000000000000000000.000", padded(&0f64.to_le_bytes())),
            (Dtype::Float16, "2048.0", padded(&f16::from_f64(2048.0).to_le_bytes())),
            (Dtype::Float64, "true", padded(&1f64.to_le_bytes())),
            (Dtype::Int32, "-7", padded(&(-7i32).to_le_bytes())),
            (Dtype::Int32, "2.0", padded(&2i32.to_le_bytes())),
            (Dtype::Int32, "1e+05", padded(&100_000i32.to_le_bytes())),
            (Dtype::Int64, "-9223372036854775808.0", padded(&i64::MIN.to_le_bytes())),
            (Dtype::Int64, "12.50e1", padded(&125i64.to_le_bytes())),
            (Dtype::Uint64, "18446744073709551615", [0xFF; 8]),
            (Dtype::Bool, "TRUE", padded(&[1])),
            (Dtype::Bool, "0.0", padded(&[0])),
        ];
        for (dtype, text, wanted) in cases {
            let found = PLAIN.element(dtype, text.as_bytes()).map(|number| {
                let mut number = number;
                number[usize::try_from(dtype.itemsize()).unwrap()..].fill(0);
                number
            });
            assert_eq!(found, Ok(wanted), "{dtype} {text:?}");
        }
        for nan in ["NaN", "nan", "", "NA", "-nan"] {
            let number = PLAIN.element(Dtype::Float64, nan.as_bytes()).map(f64::from_le_bytes);
            assert!(number.is_ok_and(f64::is_nan), "{nan:?}");
        }
    }

    #[test]
    fn what_no_element_is_is_told_and_the_nearest_is_chosen_only_when_asked_for() {
        let int = |number: i64| Some(number.to_le_bytes());
        let float = |number: f64| Some(number.to_le_bytes());
        let single = |number: f32| Some(padded(&number.to_le_bytes()));
        let cases: [(Dtype, &str, Unfit, Option<Number>); 26] = [
            (Dtype::Int8, "128", Unfit::Range, int(127)),
            (Dtype::Uint8, "-1", Unfit::Range, int(0)),
            (Dtype::Int64, "1e400", Unfit::Range, int(i64::MAX)),
            (Dtype::Int64, "9223372036854775808", Unfit::Range, int(i64::MAX)),
            (Dtype::Int64, "-inf", Unfit::Range, int(i64::MIN)),
            (Dtype::Int32, "2.5", Unfit::Fraction, int(2)),
            (Dtype::Int32, "1e-400", Unfit::Fraction, int(0)),
            (Dtype::Int32, "1e-99999999999999999999999999999999999999999", Unfit::Fraction, int(0)),
            (Dtype::Int32, "", Unfit::Missing, None),
            (Dtype::Int32, "nan", Unfit::Missing, None),
            (Dtype::Bool, "2", Unfit::Range, int(1)),
            (Dtype::Float64, "gene", Unfit::Text, None),
            (Dtype::Float64, "1 2", Unfit::Text, None),
            (Dtype::Float64, "\u{FFFD}", Unfit::Text, None),
            (
                Dtype::Float64,
                "9007199254740993",
                Unfit::Changed(9_007_199_254_740_992.0),
                float(9_007_199_254_740_992.0),
            ),
            (
                Dtype::Float64,
                "9007199254740993.0",
                Unfit::Changed(9_007_199_254_740_992.0),
                float(9_007_199_254_740_992.0),
            ),
            (
                Dtype::Float64,
                "9007199254740993e0",
                Unfit::Changed(9_007_199_254_740_992.0),
                float(9_007_199_254_740_992.0),
            ),
            (
                Dtype::Float64,
                "-90071992547409930e-1",
                Unfit::Changed(-9_007_199_254_740_992.0),
                float(-9_007_199_254_740_992.0),
            ),
            (
                Dtype::Float64,
                "9.007199254740993E+15",
                Unfit::Changed(9_007_199_254_740_992.0),
                float(9_007_199_254_740_992.0),
            ),
            (
                Dtype::Float64,
                "9007199254740993e1",
                Unfit::Changed(90_071_992_547_409_936.0),
                float(90_071_992_547_409_936.0),
            ),
            (Dtype::Float32, "1.6777217e7", Unfit::Changed(16_777_216.0), single(16_777_216.0)),
            (Dtype::Float64, "-1e400", Unfit::Changed(f64::NEG_INFINITY), float(f64::NEG_INFINITY)),
            (Dtype::Float64, "1e-400", Unfit::Changed(0.0), float(0.0)),
            (Dtype::Float32, "1e40", Unfit::Changed(f64::INFINITY), single(f32::INFINITY)),
            (Dtype::Float32, "16777217", Unfit::Changed(16_777_216.0), single(16_777_216.0)),
            (
                Dtype::Float16,
                "2049",
                Unfit::Changed(2048.0),
                Some(padded(&f16::from_f64(2048.0).to_le_bytes())),
            ),
        ];
        for (dtype, text, why, nearest) in cases {
            assert_eq!(PLAIN.element(dtype, text.as_bytes()), Err(why), "{dtype} {text:?}");
            assert_eq!(LOSSY.element(dtype, text.as_bytes()).ok(), nearest, "{dtype} {text:?}");
        }
    }
}
