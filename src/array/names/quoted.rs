//! Names as they appear in tables of text: quoted if necessary (RFC 4180, section 2).

use super::AxisNames;
use crate::word::to_usize;

/// A name that needs quotes: its index, and the total bytes that quotes add up to and including it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gain {
    number: u64,
    bytes: u64,
}

impl AxisNames {
    /// Length in bytes of the first `count` names with their quotes.
    pub fn quoted_before(&self, count: u64) -> u64 {
        let Some(last) = count.checked_sub(1) else { return 0 };
        let last = to_usize(last).min(self.ends.len().saturating_sub(1));
        let gains = self.gains.get_or_init(|| self.gains());
        let gained =
            gains.partition_point(|gain| gain.number < count).checked_sub(1).map_or(0, |i| gains[i].bytes);
        self.ends.get(last).map_or(0, |end| u64::from(*end)) + gained
    }

    /// Appends a name, quoted if necessary.
    pub fn write_quoted(&self, i: u64, out: &mut Vec<u8>) {
        write_quoted(self.get(i), out);
    }

    /// The names that need quotes, usually none. This reads all names once.
    fn gains(&self) -> Vec<Gain> {
        let mut gains = Vec::new();
        let mut bytes = 0;
        for number in 0..self.len() {
            let name = self.get(number);
            if needs_quotes(name) {
                bytes += 2 + name.bytes().filter(|byte| *byte == b'"').count() as u64;
                gains.push(Gain { number, bytes });
            }
        }
        gains
    }

    /// Names for tests that do not come from a file.
    #[cfg(test)]
    pub(crate) fn of(names: &[&str]) -> Self {
        let ends = names.iter().scan(0, |end, name| {
            *end += u32::try_from(name.len()).unwrap();
            Some(*end)
        });
        Self { text: names.concat(), ends: ends.collect(), ..Self::default() }
    }
}

/// Appends a name, quoted if necessary.
pub fn write_quoted(name: &str, out: &mut Vec<u8>) {
    if !needs_quotes(name) {
        return out.extend_from_slice(name.as_bytes());
    }
    out.push(b'"');
    for byte in name.bytes() {
        out.push(byte);
        // A quote inside quotes is doubled.
        if byte == b'"' {
            out.push(byte);
        }
    }
    out.push(b'"');
}

/// Whether a name needs quotes. Commas and tabs both do, so that CSV and TSV have the same rule. So do
/// leading and trailing spaces, which some readers strip.
fn needs_quotes(name: &str) -> bool {
    let awkward = |byte: u8| matches!(byte, b',' | b'\t' | b'"' | b'\n' | b'\r');
    name.is_empty() || name.starts_with(' ') || name.ends_with(' ') || name.bytes().any(awkward)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_count_the_quotes() {
        let names = ["plain", "a,b", "say \"hi\"", "", " x", "tab\there", "é"];
        let quoted = ["plain", "\"a,b\"", "\"say \"\"hi\"\"\"", "\"\"", "\" x\"", "\"tab\there\"", "é"];
        let axis_names = AxisNames::of(&names);
        let mut bytes = 0;
        for (i, quoted) in (0..).zip(quoted) {
            assert_eq!(axis_names.quoted_before(i), bytes);
            let mut out = Vec::new();
            axis_names.write_quoted(i, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), quoted);
            bytes += quoted.len() as u64;
        }
        assert_eq!(axis_names.quoted_before(7), bytes);
    }
}
