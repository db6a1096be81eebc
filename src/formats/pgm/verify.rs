//! `.pgm`, read by the words of "PGM Format Specification".

use std::io::Read;

use crate::oracle::{Mismatch, Shown, Verified, compare, expect, expect_end, numbers, read_bytes};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let numbers = numbers(shown.selection, shown.part)?;
    let mut file = shown.file()?;
    let (magic, axes, largest) = (word(&mut file)?, [word(&mut file)?, word(&mut file)?], word(&mut file)?);
    expect("magic number and largest element", &[&magic[..], &largest], &["P5", "255"])?;
    // The width comes first.
    let expected: Vec<_> = numbers.shape.iter().rev().map(u64::to_string).collect();
    expect("axes", &axes[..], &expected)?;
    compare(&mut file, numbers)?;
    expect_end(&mut file)
}

/// Bytes up to a white space, of which there is one.
fn word(file: &mut dyn Read) -> Result<String, Mismatch> {
    let mut word = String::new();
    loop {
        match read_bytes(file)? {
            [b' ' | b'\n'] => return Ok(word),
            [byte] if byte.is_ascii_alphanumeric() && word.len() < 20 => word.push(byte.into()),
            [byte] => return Err(Mismatch(format!("a header with the byte {byte}"))),
        }
    }
}
