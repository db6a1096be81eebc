//! Selections of rows: how they read as file names, and what they mean.
//!
//! The grammar is Python's for one integer (`17`, `-1`) and for a slice with a step above zero
//! (`100:200`, `:100`, `100:`, `::2`): an optional minus and ASCII digits, zero-padded or not, and
//! nothing else. As in Python a slice is clamped to the array; one that selects nothing is no
//! selection here, for no array of the format is empty.

/// Rows `start`, `start + step`, … of an array, `count` of them; never none.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rows {
    start: u64,
    step: u64,
    count: u64,
}

impl Rows {
    /// All rows of an array that has `count` (above zero).
    pub const fn all(count: u64) -> Self {
        Self { start: 0, step: 1, count }
    }

    /// Rows of which [`start`](Self::start), [`step`](Self::step) and [`count`](Self::count) are known.
    pub const fn of_parts(start: u64, step: u64, count: u64) -> Self {
        Self { start, step, count }
    }

    /// The rows that a slice such as `100:200` selects of `count`; none if it is no slice, or an
    /// empty one.
    pub fn parse(text: &[u8], count: u64) -> Option<Self> {
        let mut parts = text.split(|byte| *byte == b':');
        let (start, stop) = (parts.next()?, parts.next()?);
        let step = parts.next().unwrap_or_default();
        if parts.next().is_some() {
            return None;
        }
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
            // A step beyond the end selects one row, whatever its size.
            step: if selected == 1 { 1 } else { u64::try_from(step).ok()? },
            count: u64::try_from(selected).ok()?,
        })
    }

    /// Number of rows selected, above zero.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Row of the array that comes first.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Rows of the array from one selected row to the next.
    pub const fn step(&self) -> u64 {
        self.step
    }

    /// Whether the rows are neighbours, so that their bytes are one run.
    pub const fn is_contiguous(&self) -> bool {
        self.step == 1
    }

    /// Row of the array that is the `i`-th selected (`i` below `count`).
    pub const fn row(&self, i: u64) -> u64 {
        self.start + i * self.step
    }

    /// Which of the selected rows is this row of the array, if it is one.
    pub const fn position(&self, row: u64) -> Option<u64> {
        match row.checked_sub(self.start) {
            Some(past) if past.is_multiple_of(self.step) && past / self.step < self.count => {
                Some(past / self.step)
            }
            _ => None,
        }
    }

    /// The `i`-th selected row alone (`i` below `count`).
    pub const fn only(&self, i: u64) -> Self {
        Self { start: self.row(i), step: 1, count: 1 }
    }

    /// These rows of a selection `outer`, as rows of the array.
    pub fn of(&self, outer: &Self) -> Option<Self> {
        Some(Self {
            start: outer.row(self.start),
            step: if self.count == 1 { 1 } else { outer.step.checked_mul(self.step)? },
            count: self.count,
        })
    }
}

/// The row that an integer such as `17` or `-1` names of `count`, counted from the front.
pub fn parse_index(text: &[u8], count: u64) -> Option<u64> {
    let value = parse_integer(text)?;
    let from_front = if value < 0 { value.saturating_add(i128::from(count)) } else { value };
    u64::try_from(from_front).ok().filter(|row| *row < count)
}

/// An optional minus and ASCII digits; what is too large for `i128` saturates.
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

/// Digits of the last index of `count` things: the width that makes names sort as numbers.
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
