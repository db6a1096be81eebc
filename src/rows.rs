//! Selections of rows: their syntax as file names, and their meaning.
//!
//! The grammar is that of Python for an integer (`17`, `-1`) and for a slice with a positive step
//! (`100:200`, `:100`, `100:`, `::2`). A number is an optional minus and ASCII digits, with or without
//! leading zeros. As in Python, slices are clamped to the array. But a slice without any rows is invalid
//! here, because the format has no empty arrays.

/// `count` rows of an array: `start`, `start + step`, … There is at least one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rows {
    start: u64,
    step: u64,
    count: u64,
}

impl Rows {
    /// All rows of an array with `count` rows (above zero).
    pub const fn all(count: u64) -> Self {
        Self { start: 0, step: 1, count }
    }

    /// The rows with this [`start`](Self::start), [`step`](Self::step) and [`count`](Self::count).
    pub const fn of_parts(start: u64, step: u64, count: u64) -> Self {
        Self { start, step, count }
    }

    /// The rows that a slice such as `100:200` selects from an array with `count` rows. `None` if it is
    /// invalid or selects nothing.
    pub fn parse(text: &[u8], count: u64) -> Option<Self> {
        let mut parts = text.split(|byte| *byte == b':');
        let (start, stop) = (parts.next()?, parts.next()?);
        let step = parts.next().unwrap_or_default();
        if parts.next().is_some() {
            return None;
        }
        // `i128` holds every sum of an `i64` or `u64` and a length. Larger numbers saturate and are then
        // clamped.
        let length = i128::from(count);
        let bound = |text: &[u8], default: i128| {
            if text.is_empty() {
                return Some(default);
            }
            let value = parse_integer(text)?;
            let from_front = if value < 0 { value.saturating_add(length) } else { value };
            Some(from_front.clamp(0, length))
        };
        let (start, stop) = (bound(start, 0)?, bound(stop, length)?);
        let step = if step.is_empty() { 1 } else { parse_integer(step)? };
        if step <= 0 || stop <= start {
            return None;
        }
        let selected = (stop - start - 1) / step + 1;
        Some(Self {
            start: u64::try_from(start).ok()?,
            // For a single row, the step has no meaning. Normalize it, so that equal selections compare
            // equal.
            step: if selected == 1 { 1 } else { u64::try_from(step).ok()? },
            count: u64::try_from(selected).ok()?,
        })
    }

    /// Number of rows selected, above zero.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The first selected row.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Distance between selected rows.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// Whether the rows are adjacent, and therefore stored in one run of bytes.
    pub const fn is_contiguous(&self) -> bool {
        self.step == 1
    }

    /// The row of the array at index `i` of the selection (`i` below `count`).
    pub const fn row(&self, i: u64) -> u64 {
        self.start + i * self.step
    }

    /// The index of a row of the array in the selection. `None` if it is not selected.
    pub const fn position(&self, row: u64) -> Option<u64> {
        match row.checked_sub(self.start) {
            Some(past) if past.is_multiple_of(self.step) && past / self.step < self.count => {
                Some(past / self.step)
            }
            _ => None,
        }
    }

    /// A selection of only the row at index `i` (`i` below `count`).
    pub const fn only(&self, i: u64) -> Self {
        Self { start: self.row(i), step: 1, count: 1 }
    }

    /// Converts a selection within the selection `outer` to a selection of the array's rows.
    pub fn of(&self, outer: &Self) -> Option<Self> {
        Some(Self {
            start: outer.row(self.start),
            step: if self.count == 1 { 1 } else { outer.step.checked_mul(self.step)? },
            count: self.count,
        })
    }
}

/// The row that an integer such as `17` or `-1` names in an array with `count` rows.
pub fn parse_index(text: &[u8], count: u64) -> Option<u64> {
    let value = parse_integer(text)?;
    let from_front = if value < 0 { value.saturating_add(i128::from(count)) } else { value };
    u64::try_from(from_front).ok().filter(|row| *row < count)
}

/// Parses an optional minus and ASCII digits. Saturates at the limits of `i128`.
fn parse_integer(text: &[u8]) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0i128, |value, digit| value.saturating_mul(10).saturating_add(i128::from(digit - b'0')));
    Some(if negative { -value } else { value })
}

/// Number of digits of the last of `count` indices. Names padded to this width sort like numbers.
pub fn index_width(count: u64) -> usize {
    count.saturating_sub(1).checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str, count: u64) -> Option<Vec<u64>> {
        let rows = Rows::parse(text.as_bytes(), count)?;
        Some((0..rows.count()).map(|i| rows.row(i)).collect())
    }

    #[test]
    fn slices_read_as_in_python() {
        assert_eq!(rows("2:5", 10).unwrap(), [2, 3, 4]);
        assert_eq!(rows("002:05", 10).unwrap(), [2, 3, 4]);
        assert_eq!(rows(":3", 10).unwrap(), [0, 1, 2]);
        assert_eq!(rows("8:", 10).unwrap(), [8, 9]);
        assert_eq!(rows("-2:", 10).unwrap(), [8, 9]);
        assert_eq!(rows(":-8", 10).unwrap(), [0, 1]);
        assert_eq!(rows("::4", 10).unwrap(), [0, 4, 8]);
        assert_eq!(rows("1:9:3", 10).unwrap(), [1, 4, 7]);
        assert_eq!(rows("-99:99", 3).unwrap(), [0, 1, 2]);
        assert_eq!(rows(":", 2).unwrap(), [0, 1]);
        assert_eq!(rows("::", 2).unwrap(), [0, 1]);
        assert_eq!(rows("-0:1", 2).unwrap(), [0]);
        assert_eq!(rows("0:99999999999999999999999999999999999999999999", 2).unwrap(), [0, 1]);
        assert_eq!(rows("::99999999999999999999999999999999999999999999", 2).unwrap(), [0]);
    }

    #[test]
    fn what_is_no_slice_or_selects_nothing_is_none() {
        for text in [
            "", "1", "-1", "1:0", "5:5", "10:", "::0", "::-1", "a:b", "1:2:3:4", "0x1:2", "+1:2", " 1:2",
            "1 :2", "1:2 ", "1_0:", "١:٢", "1.0:2", "1:2\n", "--1:", "-:", ":-",
        ] {
            assert_eq!(rows(text, 10), None, "{text:?}");
        }
    }

    #[test]
    fn integers_read_as_in_python() {
        let index = |text: &str| parse_index(text.as_bytes(), 700);
        assert_eq!((index("17"), index("017"), index("00017")), (Some(17), Some(17), Some(17)));
        assert_eq!((index("-1"), index("-700"), index("-0")), (Some(699), Some(0), Some(0)));
        let nines = "9".repeat(4096);
        for text in
            ["700", "-701", "99999999999999999999", &nines, "+1", " 1", "1 ", "0x10", "١", "", "-", "1e1"]
        {
            assert_eq!(index(text), None, "{text:?}");
        }
    }

    #[test]
    fn rows_know_their_places() {
        let rows = Rows::parse(b"2:9:3", 10).unwrap();
        let places: Vec<_> = (0..12).filter_map(|row| Some((row, rows.position(row)?))).collect();
        assert_eq!(places, [(2, 0), (5, 1), (8, 2)]);
    }

    #[test]
    fn widths_fit_the_last_index() {
        assert_eq!([1, 10, 11, 100, 700, 1001].map(index_width), [1, 1, 2, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn any_slice_is_what_a_plain_walk_selects(
            count in 1u64..40, start in -60i64..60, stop in -60i64..60, step in 1i64..50,
        ) {
            let at = |bound: i64| if bound < 0 { (bound + count as i64).max(0) } else { bound.min(count as i64) };
            let expected: Vec<u64> =
                (at(start)..at(stop)).step_by(step as usize).map(|row| row as u64).collect();
            let found = rows(&format!("{start}:{stop}:{step}"), count).unwrap_or_default();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_slice_of_a_slice_is_what_two_walks_select(
            a in 0u64..30, b in 31u64..60, s in 1u64..7, c in 0u64..10, d in 11u64..30, t in 1u64..7,
        ) {
            let outer = Rows::parse(format!("{a}:{b}:{s}").as_bytes(), 60).unwrap();
            if let Some(inner) = Rows::parse(format!("{c}:{d}:{t}").as_bytes(), outer.count()) {
                let both = inner.of(&outer).unwrap();
                let walked: Vec<u64> = (0..inner.count()).map(|i| outer.row(inner.row(i))).collect();
                prop_assert_eq!((0..both.count()).map(|i| both.row(i)).collect::<Vec<_>>(), walked);
            }
        }
    }
}
