//! How a text writes its table: what stands between cells, and before fractions. Pure: records in, a choice out.
//!
//! 1. Of the delimiters that cut the lines into as many cells, two or more (the first line may have one fewer), the
//!    first that leaves nothing but numbers in all columns after the first; else the one that leaves most numbers.
//!    The first that is tried is that of the file's name; blanks come last.
//! 2. The comma stands before fractions where it makes numbers of cells that are none without, and no cell has a point
//!    there; it is the delimiter too where all these cells are in quotes. Where all such numbers could have been written with thousands (`1,234`), it cannot
//!    be known.
//! 3. A comma that leaves text in the first column gives way to a delimiter that makes as good a table of fractions
//!    with commas: `1 2,5`. Where blanks would leave text there too (`A 1,5`), it cannot be known.

use super::record::Record;
use super::sample::Sample;
use crate::import::Delimiter;
use crate::import::number::{Numerals, Value};

/// The most cells of a line: what is known of each takes memory before any number is there.
const MOST_COLUMNS: usize = 1 << 24;

/// How to recognize cells and numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect<'o> {
    pub delimiter: Delimiter,
    pub numerals: Numerals<'o>,
}

/// How the name of a file says that its cells are delimited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// Is tried first.
    pub first: Delimiter,
    /// Is taken where nothing makes a table.
    pub otherwise: Delimiter,
}

impl Usual {
    /// The delimiter if none makes a table, and `decimal` is the mark before fractions.
    fn otherwise(self, decimal: Option<u8>) -> Delimiter {
        match decimal {
            Some(mark) if self.otherwise == Delimiter::Byte(mark) => Delimiter::Byte(b';'),
            _ => self.otherwise,
        }
    }
}

/// The delimiters to try, in this order, after the one that the name of the file suggests.
const DELIMITERS: [Delimiter; 5] = [
    Delimiter::Byte(b','),
    Delimiter::Byte(b'\t'),
    Delimiter::Byte(b';'),
    Delimiter::Byte(b'|'),
    Delimiter::Blanks,
];

/// The dialect of a text, as far as it is not given.
///
/// # Errors
///
/// A message about what the text leaves undecided.
pub(super) fn choose<'o>(
    sample: &Sample,
    usual: Usual,
    given: Option<Delimiter>,
    decimal: Option<u8>,
    numerals: Numerals<'o>,
) -> Result<Dialect<'o>, String> {
    // A delimiter that does not occur in the sample separates nothing, so it need not be tried.
    let others = DELIMITERS.into_iter().filter(|other| *other != usual.first && sample.has(*other));
    let tried: Vec<_> = match given {
        Some(given) => vec![given],
        None => [usual.first].into_iter().chain(others).collect(),
    };
    let mut best: Option<Trial> = None;
    for delimiter in tried {
        let trial = Trial::of(sample, delimiter, decimal, numerals)?;
        let is_both = decimal.is_some_and(|mark| delimiter == Delimiter::Byte(mark));
        if is_both && !trial.has_commas {
            continue;
        }
        best = Some(match best {
            Some(best) if !trial.is_better(&best)? => best,
            _ => trial,
        });
    }
    let best = match (best, given) {
        (Some(best), Some(_)) => best,
        (Some(best), None) if best.is_table => best,
        (None, Some(_)) => return Err("the same stands between cells and before fractions".into()),
        (_, None) => Trial::of(sample, usual.otherwise(decimal), decimal, numerals)?,
    };
    if let (Some(b','), Some(text), None) = (best.decimal, &best.thousands, decimal) {
        return Err(format!(
            "{text} may be a number with a fraction or with thousands: --decimal , or --decimal ."
        ));
    }
    let decimal = best.decimal.unwrap_or(b'.');
    Ok(Dialect { delimiter: best.delimiter, numerals: Numerals { decimal, ..numerals } })
}

/// What a delimiter makes of a text.
struct Trial {
    delimiter: Delimiter,
    /// What stands before fractions, where it shows.
    decimal: Option<u8>,
    /// Whether a number has a comma.
    has_commas: bool,
    /// A number that may be one with thousands, where all with commas may.
    thousands: Option<String>,
    is_table: bool,
    is_clean: bool,
    /// Whether the first column is numbers too.
    is_numbers: bool,
    /// Whether something stands between a quote and the next delimiter.
    has_open_quotes: bool,
    /// Whether a name of the first line has a comma, though it is in no quotes.
    has_comma_names: bool,
    /// Whether the first line has as many cells as the others.
    is_square: bool,
    cells: u64,
    numbers: u64,
}

impl Trial {
    fn of(
        sample: &Sample,
        delimiter: Delimiter,
        decimal: Option<u8>,
        numerals: Numerals<'_>,
    ) -> Result<Self, String> {
        let counts = |decimal| Counts::of(sample, delimiter, Numerals { decimal, ..numerals });
        let point = counts(b'.')?;
        let may_have_commas = decimal == Some(b',') || sample.has(Delimiter::Byte(b','));
        let comma = may_have_commas.then(|| counts(b',')).transpose()?;
        // A comma makes more numbers than a point; of cells between commas these are in quotes.
        let has_commas = comma.as_ref().is_some_and(|comma| comma.numbers > point.numbers);
        let decimal = match decimal {
            Some(decimal) => Some(decimal),
            None if has_commas && point.fractions == 0 => Some(b','),
            None => None,
        };
        let chosen = comma.filter(|_| decimal == Some(b',')).unwrap_or(point);
        Ok(Self {
            delimiter,
            decimal,
            has_commas: chosen.has_plain_fraction || chosen.thousands.is_some(),
            thousands: chosen.thousands.filter(|_| !chosen.has_plain_fraction),
            is_table: chosen.is_even && chosen.width > 1,
            is_clean: chosen.is_clean,
            is_numbers: chosen.is_numbers,
            has_open_quotes: chosen.has_open_quotes,
            has_comma_names: chosen.has_comma_names,
            is_square: chosen.is_square,
            cells: chosen.cells,
            numbers: chosen.numbers,
        })
    }

    /// Whether this one is to be taken, and not one that was tried before it.
    fn is_better(&self, other: &Self) -> Result<bool, String> {
        let rank = |trial: &Self| match trial.is_table {
            true => (true, trial.is_clean, trial.is_square),
            false => (false, false, false),
        };
        let (own, its) = (rank(self), rank(other));
        let makes_more = || {
            let (own, its) = (u128::from(self.numbers), u128::from(other.numbers));
            own * u128::from(other.cells) > its * u128::from(self.cells)
        };
        if own == its && own.0 && own.1 && other.may_cut_fractions() && self.decimal == Some(b',') {
            return self.has_fractions_that(other);
        }
        let is_cleaner = own.0 && !own.1 && self.delimiter != Delimiter::Blanks;
        Ok(own > its || own == its && is_cleaner && makes_more())
    }

    /// Whether it is commas that leave text in the first column.
    fn may_cut_fractions(&self) -> bool {
        self.delimiter == Delimiter::Byte(b',') && self.decimal != Some(b',') && !self.is_numbers
    }

    /// Whether the commas of another table as good as this one are those of its fractions.
    fn has_fractions_that(&self, other: &Self) -> Result<bool, String> {
        if !self.has_comma_names
            && (self.is_numbers || self.delimiter != Delimiter::Blanks || other.has_open_quotes)
        {
            return Ok(true);
        }
        Err("its commas may stand between cells or before fractions: --delimiter comma, or --delimiter blanks \
             --decimal ,"
            .into())
    }
}

/// What the cells of the sample are.
#[derive(Default)]
struct Counts {
    width: usize,
    /// Whether nearly all lines after the first have as many cells, and the first as many or one fewer.
    is_even: bool,
    is_square: bool,
    /// Whether all cells after the first column and the first line are numbers, or missing.
    is_clean: bool,
    /// Whether those of the first column are, too.
    is_numbers: bool,
    has_open_quotes: bool,
    has_comma_names: bool,
    cells: u64,
    numbers: u64,
    /// Numbers with a point before a fraction.
    fractions: u64,
    thousands: Option<String>,
    has_plain_fraction: bool,
}

impl Counts {
    fn of(sample: &Sample, delimiter: Delimiter, numerals: Numerals<'_>) -> Result<Self, String> {
        let mut counts = Self { is_clean: true, is_numbers: true, ..Self::default() };
        let marked = sample.marked_rows(delimiter, numerals);
        let mut records = sample.records(delimiter);
        let (mut record, mut first, mut lines, mut even) = (Record::default(), None, 0u64, 0u64);
        while records.next(&mut record) {
            let width = record.cells(delimiter).take(MOST_COLUMNS + 1).count();
            if width > MOST_COLUMNS {
                return Err(format!("line {}: more than {MOST_COLUMNS} cells", record.line));
            }
            let expected = if lines == 0 { first.unwrap_or(width) } else { counts.width };
            if first.is_some() && sample.is_comment(&record, expected, &marked) {
                continue;
            }
            for (i, cell) in record.cells(delimiter).enumerate() {
                counts.see(&cell.text, numerals, i == 0 || first.is_none());
                counts.has_open_quotes |= cell.is_open;
                let is_name = first.is_none() && !cell.is_quoted && numerals.value(&cell.text) == Value::Text;
                counts.has_comma_names |= is_name && cell.text.contains(&b',');
                counts.is_numbers &= first.is_none() || numerals.value(&cell.text) != Value::Text;
            }
            if first.is_none() {
                first = Some(width);
                continue;
            }
            lines += 1;
            counts.width = if counts.width == 0 { width } else { counts.width };
            even += u64::from(counts.width == width);
        }
        let first = first.unwrap_or(0);
        counts.width = if lines == 0 { first } else { counts.width };
        counts.is_square = first == counts.width;
        // A few lines of another width are allowed here. They are reported later, as errors of those lines.
        counts.is_even = even * 10 >= lines * 9 && (counts.is_square || first + 1 == counts.width);
        Ok(counts)
    }

    fn see(&mut self, text: &[u8], numerals: Numerals<'_>, may_be_name: bool) {
        let value = numerals.value(text);
        self.cells += 1;
        self.numbers += u64::from(value != Value::Text);
        self.is_clean &= may_be_name || value != Value::Text;
        if value != Value::Text && text.contains(&b'.') {
            self.fractions += 1;
        }
        if value != Value::Text && text.contains(&b',') {
            if has_thousands(text) {
                self.thousands.get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
            } else {
                self.has_plain_fraction = true;
            }
        }
    }
}

/// Whether a number with a comma may be one with thousands: one to three digits, which are not 0, and three.
fn has_thousands(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let Some(at) = text.iter().position(|byte| *byte == b',') else { return false };
    let (whole, fraction) = (&text[..at], &text[at + 1..]);
    (1..=3).contains(&whole.len())
        && whole[0] != b'0'
        && fraction.len() == 3
        && fraction.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::lines::Lines;

    const PLAIN: Numerals<'static> = Numerals { decimal: b'.', missing: &[], is_lossy: false };

    fn chosen(text: &str, usual: u8) -> Result<(Delimiter, char), String> {
        let sample = Sample::of(Lines::of(Path::new("t"), text.as_bytes(), b'\n'), None, 0).unwrap();
        let usual = match usual {
            b' ' => Usual { first: Delimiter::Byte(b'\t'), otherwise: Delimiter::Blanks },
            byte => Usual { first: Delimiter::Byte(byte), otherwise: Delimiter::Byte(byte) },
        };
        let dialect = choose(&sample, usual, None, None, PLAIN)?;
        Ok((dialect.delimiter, dialect.numerals.decimal.into()))
    }

    #[test]
    fn delimiters_and_decimals_are_told_by_what_they_make() {
        let comma = Delimiter::Byte(b',');
        let (tab, semicolon) = (Delimiter::Byte(b'\t'), Delimiter::Byte(b';'));
        let cases: [(&str, u8, Delimiter, char); 35] = [
            ("a,b\n1,2\n", b',', comma, '.'),
            ("1,5;2,5\n3,5;4,5\n", b',', semicolon, ','),
            ("a;b\n1,5;2\n3;4\n", b',', semicolon, ','),
            ("a;b\n1;2\n3;4\n", b',', semicolon, '.'),
            ("a;b\n1.5;2\n3;4\n", b',', semicolon, '.'),
            ("\"\";\"a\"\n\"r1\";1,25\n\"r2\";3,5\n", b',', semicolon, ','),
            ("a\tb\n1\t2\n", b',', tab, '.'),
            ("a\tb\n1,5\t2,25\n", b'\t', tab, ','),
            ("1|2\n3|4\n", b',', Delimiter::Byte(b'|'), '.'),
            ("1 2\n3 4\n", b',', Delimiter::Blanks, '.'),
            ("1,5 2,5\n3,5 4,5\n", b' ', Delimiter::Blanks, ','),
            ("  1.0   2.0\n -3.0   4.0\n", b' ', Delimiter::Blanks, '.'),
            ("1, 2\n3, 4\n", b' ', comma, '.'),
            ("gene\ts 1\ts 2\nA B\t1\t2\nC D\t3\t4\n", b' ', tab, '.'),
            ("gene,a\n\"x;y\",1\n\"z;w\",2\n", b',', comma, '.'),
            ("type,a\nx;y,1\nz;w,2\n", b',', comma, '.'),
            ("1\n2\n", b',', comma, '.'),
            ("1.5\n", b' ', Delimiter::Blanks, '.'),
            ("x,1\n", b',', comma, '.'),
            ("a b\n1 2\n", b' ', Delimiter::Blanks, '.'),
            // R's write.table: no cell above the names.
            ("\"a\" \"b\"\n\"x\" 1 2\n\"y\" 3 4\n", b' ', Delimiter::Blanks, '.'),
            ("a;b\n1.234;2\n3.5;4,5\n", b',', semicolon, '.'),
            ("x;type\n1,5;a b\n2,5;c d\n", b',', semicolon, ','),
            ("a;b\n1,234;0,5\n", b',', semicolon, ','),
            // Commas in quotes: pandas' to_csv(decimal=",").
            ("a,b\n\"1,5\",2\n\"3,25\",4\n", b',', comma, ','),
            ("a,b\n2,\"1,5\"\n4,\"-3,25\"\n", b',', comma, ','),
            ("a,b\n\"1,5\",2.5\n\"3,25\",4\n", b',', comma, '.'),
            // Commas of the last column only.
            ("1 2,5\n2 3,5\n", b' ', Delimiter::Blanks, ','),
            ("1 2,5\n2 3,5\n", b',', Delimiter::Blanks, ','),
            ("\"x\" \"y\"\n\"1\" 1 2,5\n\"2\" 2 3,5\n", b' ', Delimiter::Blanks, ','),
            ("\"x\" \"y\"\n\"A\" 1 2,5\n\"B\" 2 3,5\n", b' ', Delimiter::Blanks, ','),
            ("1\t2,5\n2\t3,5\n", b',', tab, ','),
            ("A;1,5\nB;2,5\n", b',', semicolon, ','),
            ("name,count\nSample 1,5\nSample 2,7\n", b',', comma, '.'),
            ("Sample 1,0.5\nSample 2,0.7\n", b',', comma, '.'),
        ];
        for (text, usual, delimiter, decimal) in cases {
            assert_eq!(chosen(text, usual), Ok((delimiter, decimal)), "{text:?}");
        }
    }

    #[test]
    fn commas_of_two_meanings_are_asked_for() {
        for text in ["A 1,5\nB 2,5\n", "x y\nA 1 2,5\nB 2 3,5\n", "a b,c\n1 2,5\n3 4,5\n"] {
            let error = chosen(text, b',').unwrap_err();
            assert!(error.contains("--delimiter blanks --decimal ,"), "{error}");
        }
    }

    #[test]
    fn thousands_are_not_taken_for_fractions() {
        for text in ["a;b\n1,234;2\n", "1,234\t5,678\n12,345\t6,789\n"] {
            let error = chosen(text, b'\t').unwrap_err();
            assert!(error.contains("1,234 may be") && error.contains("--decimal"), "{error}");
        }
        for (text, is) in
            [("1,234", true), ("-12,345", true), ("0,234", false), ("1,2345", false), ("1,23", false)]
        {
            assert_eq!(has_thousands(text.as_bytes()), is, "{text}");
        }
    }
}
