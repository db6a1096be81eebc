//! The bytes as they are, and what other formats have of them.

use std::io::Read;

use super::element::{element, shown};
use super::reader::expect_end;
use super::truth::{Numbers, numbers};
use super::{Fault, Shown, Verified};

pub(super) fn verify(shown: &Shown<'_>) -> Verified {
    let mut file = shown.file()?;
    compare(&mut file, numbers(shown.selection, shown.part)?)?;
    expect_end(&mut file)
}

/// Reads as many numbers as there should be, and compares them bit for bit.
pub(super) fn compare(reader: &mut dyn Read, numbers: Numbers<'_>) -> Verified {
    let dtype = numbers.dtype;
    let width = usize::try_from(dtype.itemsize()).unwrap_or(8);
    let (mut found, mut before) = (Vec::new(), 0);
    for piece in numbers.pieces {
        let piece = piece?;
        found.resize(piece.len(), 0);
        reader.read_exact(&mut found)?;
        if let Some(at) = found.iter().zip(&piece).position(|(a, b)| a != b) {
            let i = at / width;
            let text = |bytes: &[u8]| shown(dtype, element(&bytes[i * width..(i + 1) * width]));
            let (place, found, expected) = (before + i, text(&found), text(&piece));
            return Err(Fault(format!("element {place}: expected {expected}, found {found}")));
        }
        before += piece.len() / width;
    }
    Ok(())
}
