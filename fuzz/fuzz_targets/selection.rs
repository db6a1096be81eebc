//! Any text as a row or a slice: what Python selects by it, or nothing.
#![no_main]

use arbitrary::Arbitrary;
use arrayfs::rows::{Rows, parse_index};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'t> {
    count: u8,
    text: &'t [u8],
    parts: [Option<i16>; 3],
}

/// What `range(count)[start:stop:step]` gives, found by walking.
fn python(count: i64, [start, stop, step]: [Option<i64>; 3]) -> Vec<u64> {
    let bound = |bound: i64| if bound < 0 { (bound + count).max(0) } else { bound.min(count) };
    let (start, stop) = (start.map_or(0, bound), stop.map_or(count, bound));
    let (mut at, mut found) = (start, Vec::new());
    while at < stop {
        found.push(at as u64);
        at += step.unwrap_or(1);
    }
    found
}

/// The rows that a text selects, if it does.
fn selected(text: &[u8], count: u64) -> Option<Vec<u64>> {
    let rows = Rows::parse(text, count)?;
    Some((0..rows.count()).map(|i| rows.row(i)).collect())
}

fuzz_target!(|input: Input| {
    let count = u64::from(input.count) + 1;
    if let Some(rows) = selected(input.text, count) {
        assert!(!rows.is_empty() && rows.iter().all(|row| *row < count));
    }
    if let Some(rows) = Rows::parse(input.text, u64::MAX) {
        assert!(rows.count() > 0 && rows.row(rows.count() - 1) < u64::MAX);
    }
    if let Some(row) = parse_index(input.text, count) {
        assert!(row < count);
    }
    let parts = input.parts.map(|part| part.map(i64::from));
    if parts[2].is_none_or(|step| step > 0) {
        let text = |part: Option<i64>| part.map_or_else(String::new, |part| part.to_string());
        let text = parts.map(text).join(":");
        let expected = Some(python(count as i64, parts)).filter(|rows| !rows.is_empty());
        assert_eq!(selected(text.as_bytes(), count), expected, "{text} of {count}");
    }
    if let Some(index) = parts[0] {
        let row = if index < 0 { index + count as i64 } else { index };
        let expected = u64::try_from(row).ok().filter(|row| *row < count);
        assert_eq!(parse_index(index.to_string().as_bytes(), count), expected);
    }
});
