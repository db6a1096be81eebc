//! Comparing what was read with what was expected.

use std::io::Read;

use super::element::{element, fits_float64, is_same, shown};
use super::rising::rising;
use super::truth::{Numbers, numbers};
use super::{Mismatch, Shown, Verified};
use crate::array::selection::Component;
use crate::dtype::Dtype;

/// Fails unless a property has the expected value.
pub(crate) fn expect<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    found: &T,
    expected: &T,
) -> Verified {
    match found == expected {
        true => Ok(()),
        false => Err(Mismatch(format!("{what}: expected {expected:?}, found {found:?}"))),
    }
}

/// Reads the expected number of elements, and compares them bit for bit.
pub(crate) fn compare(reader: &mut dyn Read, numbers: Numbers<'_>) -> Verified {
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
            return Err(Mismatch(format!("element {place}: expected {expected}, found {found}")));
        }
        before += piece.len() / width;
    }
    Ok(())
}

/// Reads the expected number of elements of type `dtype`, and compares their values; bit for bit if the types
/// are the same.
pub(crate) fn compare_as(reader: &mut dyn Read, dtype: Dtype, numbers: Numbers<'_>) -> Verified {
    if dtype == numbers.dtype {
        return compare(reader, numbers);
    }
    let expected = numbers.dtype;
    let [width, own] = [dtype, expected].map(|dtype| usize::try_from(dtype.itemsize()).unwrap_or(8));
    let (mut found, mut before) = (Vec::new(), 0);
    for piece in numbers.pieces {
        let piece = piece?;
        let count = piece.len() / own;
        found.resize(count * width, 0);
        reader.read_exact(&mut found)?;
        let pairs = found.chunks_exact(width).zip(piece.chunks_exact(own));
        for (i, (a, b)) in pairs.map(|(a, b)| (element(a), element(b))).enumerate() {
            if !is_same((dtype, a), (expected, b)) {
                let (place, expected, found) = (before + i, shown(expected, b), shown(dtype, a));
                return Err(Mismatch(format!("element {place}: expected {expected}, found {found}")));
            }
        }
        before += count;
    }
    Ok(())
}

/// For formats that hold no more than float64. If the store has a number that float64 cannot hold, then
/// reading the file must fail. In this case, a mismatch is accepted if the file cannot be read, because the
/// format must never round a number.
pub(crate) fn or_refused(shown: &Shown<'_>, verified: Verified) -> Verified {
    let Err(fault) = verified else { return verified };
    let numbers = match shown.part.component {
        Component::Matrix => {
            let [data, ..] = rising(shown.selection)?;
            data
        }
        _ => numbers(shown.selection, shown.part)?,
    };
    let dtype = numbers.dtype;
    for element in numbers.elements() {
        if !fits_float64(dtype, element?) {
            return match std::io::copy(&mut shown.file()?, &mut std::io::sink()) {
                Err(_) => Ok(()),
                Ok(_) => Err(fault),
            };
        }
    }
    Err(fault)
}
