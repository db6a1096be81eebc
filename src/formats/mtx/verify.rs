//! Verifies `.mtx` according to "The Matrix Market Exchange Formats": lines of a row, a column and a number.

use std::io::{BufRead, BufReader, Read};

use crate::dtype::Dtype;
use crate::oracle::expect;
use crate::oracle::expect_end;
use crate::oracle::stored;
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{is_text, shown as in_words};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let file = shown.file()?;
    file.expect_lines()?;
    verify_lines(shown, &mut BufReader::with_capacity(1 << 20, file), false)
}

/// Verifies the lines of an `.mtx` file. In the lines of a transposed matrix, the column comes first.
pub(crate) fn verify_lines(shown: &Shown<'_>, file: &mut dyn BufRead, is_transposed: bool) -> Verified {
    let mut line = Vec::new();
    let dtype = shown.selection.array().metadata.dtype();
    next(file, &mut line)?;
    let words: Vec<_> = words(&line).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let is_known = words.len() == 5
        && words[..3] == ["%%MatrixMarket", "matrix", "coordinate"]
        && ["integer", "real"].contains(&words[3].as_str())
        && words[4] == "general";
    expect("header", &is_known, &true)?;
    // Integers may be `real` too (uint64 is), because their text is the same.
    if matches!(dtype, Dtype::Float16 | Dtype::Float32 | Dtype::Float64) {
        expect("field", &words[3][..], "real")?;
    }
    // Skip comments. The line read last is the header, which starts with `%` as well.
    line.push(b'%');
    while line.first().is_none_or(|byte| *byte == b'%') {
        next(file, &mut line)?;
    }
    let turned = |[row, column]: [u64; 2]| if is_transposed { [column, row] } else { [row, column] };
    let (count, stored) = stored(shown.selection, shown.part)?;
    let shape = shown.selection.shape();
    let [lines, across] = turned([shape.rows(), shape.columns()]);
    expect_words(&line, [lines, across, count].map(|n| (Dtype::Uint64, n.to_le_bytes())))?;
    for element in stored {
        let (row, column, value) = element?;
        next(file, &mut line)?;
        let place = turned([row + 1, column + 1]).map(|n| (Dtype::Uint64, n.to_le_bytes()));
        expect_words(&line, [place[0], place[1], (dtype, value)])?;
    }
    expect_end(file)
}

fn next(file: &mut dyn BufRead, line: &mut Vec<u8>) -> Verified {
    /// The longest line that is accepted, in bytes.
    const LONGEST: u64 = 1 << 16;
    line.clear();
    match file.take(LONGEST).read_until(b'\n', line)? {
        0 => Err(Mismatch("fewer lines than elements".into())),
        _ => Ok(()),
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn expect_words(line: &[u8], expected: [(Dtype, [u8; 8]); 3]) -> Verified {
    let mut found = words(line);
    let is_same =
        expected.iter().all(|(dtype, n)| found.next().is_some_and(|word| is_text(*dtype, *n, word)));
    if is_same && found.next().is_none() {
        return Ok(());
    }
    let [a, b, c] = expected.map(|(dtype, n)| in_words(dtype, n));
    Err(Mismatch(format!("expected {a} {b} {c}, found {}", String::from_utf8_lossy(line.trim_ascii()))))
}
