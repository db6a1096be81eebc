//! Parses names in text, one per line. This is a pure function from bytes to names.

use std::collections::TryReserveError;
use std::io::ErrorKind;
use std::path::Path;

use super::{AxisNames, MANY};
use crate::error::{Error, Result};
use crate::task;
use crate::word::to_usize;

/// Limit on the length of a name, in bytes.
pub const LONGEST_NAME: u64 = 4096;

/// The syntax of a file.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Style {
    /// One name per line, taken literally.
    Lines,
    /// CSV with one column: a header line, and quotes around names that need them (RFC 4180).
    Csv,
}

/// Limit on the size of a file with `count` names, in bytes.
pub(super) fn most_bytes(count: u64) -> u64 {
    count.saturating_add(1).saturating_mul(LONGEST_NAME + 2)
}

/// Parses the `count` names in a text. A carriage return before a newline and a byte order mark are not part
/// of a name, and the last newline may be missing. Invalid UTF-8 becomes U+FFFD.
///
/// # Errors
///
/// [`Error::Invalid`] for the file `source` if there are more or fewer names, or a name is too long.
/// [`Error::Unfinished`] if nobody waits for the result any more.
pub(super) fn parse(source: &Path, bytes: Vec<u8>, count: u64, style: Style) -> Result<AxisNames> {
    let invalid = |what, expected: &str, found: String| Error::invalid(source, what, expected, found);
    task::check()?;
    let (mut bytes, mended) = mend(bytes).map_err(|_| no_memory(source))?;
    let header = u64::from(style == Style::Csv);
    let found = lines(&bytes).saturating_sub(header);
    if found != count {
        return Err(invalid("number of names", &count.to_string(), found.to_string()));
    }
    let mut ends = Vec::new();
    ends.try_reserve_exact(to_usize(count)).map_err(|_| no_memory(source))?;
    let (mut read, mut written) = (if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 }, 0);
    for line in 0..count + header {
        if line % MANY == 0 {
            task::check()?;
        }
        let end = bytes[read..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| read + at);
        let start = std::mem::replace(&mut read, (end + 1).min(bytes.len()));
        if line < header {
            continue;
        }
        let before = written;
        let end = if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end };
        written = compact(&mut bytes, start..end, written, style);
        if (written - before) as u64 > LONGEST_NAME {
            let found = format!("one of {} bytes for number {}", written - before, line - header);
            return Err(invalid("names", &format!("names of at most {LONGEST_NAME} bytes"), found));
        }
        ends.push(u32::try_from(written).map_err(|_| invalid("names", "less than 4 GiB", "more".into()))?);
    }
    bytes.truncate(written);
    bytes.shrink_to_fit();
    let text = String::from_utf8(bytes).map_err(|error| invalid("names", "UTF-8", error.to_string()))?;
    AxisNames::new(source.to_owned(), text, ends, mended)
}

/// The error for names that do not fit in memory.
pub(super) fn no_memory(source: &Path) -> Error {
    Error::io(source, "keep names in memory", ErrorKind::OutOfMemory.into())
}

/// The text as valid UTF-8, and the number of lines that were not.
fn mend(bytes: Vec<u8>) -> std::result::Result<(Vec<u8>, u64), TryReserveError> {
    if std::str::from_utf8(&bytes).is_ok() {
        return Ok((bytes, 0));
    }
    let lines = bytes.split(|byte| *byte == b'\n');
    let mended = lines.filter(|line| std::str::from_utf8(line).is_err()).count() as u64;
    let wrong = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    let mut text = Vec::new();
    text.try_reserve_exact(bytes.len().saturating_add(wrong.saturating_mul(REPLACEMENT.len())))?;
    for chunk in bytes.utf8_chunks() {
        text.extend_from_slice(chunk.valid().as_bytes());
        text.extend_from_slice(if chunk.invalid().is_empty() { b"" } else { REPLACEMENT.as_bytes() });
    }
    Ok((text, mended))
}

/// The replacement for invalid UTF-8.
const REPLACEMENT: &str = "\u{FFFD}";

/// Number of lines. A last line without a newline counts.
fn lines(bytes: &[u8]) -> u64 {
    let newlines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    newlines + u64::from(bytes.last().is_some_and(|last| *last != b'\n'))
}

/// Moves the name of a line to the end of the names before it, without its quotes, and returns its new end.
/// Names only move towards the front, so a large file needs no second buffer.
fn compact(bytes: &mut [u8], line: std::ops::Range<usize>, to: usize, style: Style) -> usize {
    let inner = line.start + 1..line.end.saturating_sub(1);
    let is_quoted = style == Style::Csv
        && line.len() >= 2
        && bytes[line.start] == b'"'
        && bytes[line.end - 1] == b'"'
        && quotes_are_doubled(&bytes[inner.clone()]);
    if !is_quoted {
        bytes.copy_within(line.clone(), to);
        return to + line.len();
    }
    let (mut to, mut skip) = (to, false);
    for at in inner {
        let byte = bytes[at];
        skip = byte == b'"' && !skip;
        if !skip {
            bytes[to] = byte;
            to += 1;
        }
    }
    to
}

fn quotes_are_doubled(text: &[u8]) -> bool {
    text.chunk_by(|a, b| *a == b'"' && *b == b'"').all(|run| run[0] != b'"' || run.len() % 2 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &[u8], count: u64, style: Style) -> std::result::Result<Vec<String>, String> {
        let axis_names = parse(Path::new("x"), text.to_vec(), count, style).map_err(|e| e.to_string())?;
        let all: Vec<_> = (0..axis_names.len()).map(|i| axis_names.get(i).to_owned()).collect();
        for name in all.iter().filter(|name| !name.is_empty()) {
            assert_eq!(axis_names.find(name), all.iter().position(|other| other == name).map(|i| i as u64));
        }
        assert_eq!(
            (axis_names.find(""), axis_names.find("no such name"), axis_names.get(count)),
            (None, None, "")
        );
        Ok(all)
    }

    #[test]
    fn one_name_a_line() {
        let cases: [(&[u8], Style, &[&str]); 15] = [
            (b"a\nb\n", Style::Lines, &["a", "b"]),
            (b"a\nb", Style::Lines, &["a", "b"]),
            (b"a\r\nb\r\n", Style::Lines, &["a", "b"]),
            (b"\xEF\xBB\xBFa\nb\n", Style::Lines, &["a", "b"]),
            ("ä b\n\"c\"\n".as_bytes(), Style::Lines, &["ä b", "\"c\""]),
            (b"head\na\nb\n", Style::Csv, &["a", "b"]),
            (b"head\r\na,b\r\nc", Style::Csv, &["a,b", "c"]),
            (b"head\n\"a,b\"\n\"say \"\"x\"\"\"\n", Style::Csv, &["a,b", "say \"x\""]),
            (b"head\n\"\"\"\"\n\"a\"b\"\n", Style::Csv, &["\"", "\"a\"b\""]),
            (b"head\n\"\n%2F/..\n", Style::Csv, &["\"", "%2F/.."]),
            (b"a\n\n", Style::Lines, &["a", ""]),
            (b"h\n\"\"\n", Style::Csv, &[""]),
            (b"a\n\r\nb", Style::Lines, &["a", "", "b"]),
            (b"a\nb\na\na\n", Style::Lines, &["a", "b", "a", "a"]),
            (b"a\nGr\xF6\xDFe\n", Style::Lines, &["a", "Gr\u{FFFD}\u{FFFD}e"]),
        ];
        for (text, style, wanted) in cases {
            assert_eq!(names(text, wanted.len() as u64, style).unwrap(), wanted, "{text:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let long = "x".repeat(5000);
        let cases: [(&[u8], u64, Style, &str); 4] = [
            (b"a\nb\nc\n", 2, Style::Lines, "number of names: expected 2, found 3"),
            (b"a\n", 2, Style::Lines, "number of names: expected 2, found 1"),
            (b"", 2, Style::Csv, "number of names: expected 2, found 0"),
            (long.as_bytes(), 1, Style::Lines, "one of 5000 bytes for number 0"),
        ];
        for (text, count, style, wanted) in cases {
            let error = names(text, count, style).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn what_is_odd_is_counted_and_the_places_of_a_name_are_known() {
        let text = b"a\nb\na\n\nb\na\n\xFF\n";
        let axis_names = parse(Path::new("x"), text.to_vec(), 7, Style::Lines).unwrap();
        let oddities = axis_names.oddities().join(", ");
        assert_eq!(oddities, "3 repeat (first: a), 1 is empty, 1 is not UTF-8, and shown with \u{FFFD}");
        let places =
            |name| axis_names.find(name).map(|first| (first, axis_names.further(first).collect::<Vec<_>>()));
        assert_eq!(places("a"), Some((0, vec![2, 5])));
        assert_eq!(places("b"), Some((1, vec![4])));
        assert_eq!(places("\u{FFFD}"), Some((6, vec![])));
        assert!(axis_names.repeat() && places("").is_none());
        let plain = parse(Path::new("x"), b"a\nb\n".to_vec(), 2, Style::Lines).unwrap();
        assert!(plain.oddities().is_empty() && !plain.repeat());
    }

    #[test]
    fn a_million_names_are_found() {
        let text: String = (0..1_000_000).map(|i| format!("Cell_{i}-1\n")).collect();
        let axis_names = parse(Path::new("x"), text.into_bytes(), 1_000_000, Style::Lines).unwrap();
        for i in (0..1_000_000).step_by(9973) {
            assert_eq!(axis_names.find(&format!("Cell_{i}-1")), Some(i));
        }
        assert_eq!(axis_names.find("Cell_1000000-1"), None);
    }
}
