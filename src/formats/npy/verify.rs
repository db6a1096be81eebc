//! Verifies `.npy`. The header is parsed according to "Format Version 1.0" in `numpy/lib/format.py`.

use std::io::Read;

use crate::array::selection::{Component, Part};
use crate::oracle::expect_end;
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, numbers};
use crate::oracle::{compare, expect};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut file = shown.file()?;
    match shown.part.component {
        Component::Transposed => {
            let stored = Part { component: Component::Array, ..shown.part };
            let mut numbers = numbers(shown.selection, stored)?;
            numbers.shape.reverse();
            verify_array(&mut file, numbers, true)
        }
        _ => verify_array(&mut file, numbers(shown.selection, shown.part)?, false),
    }
}

/// Verifies that the rest of `file` is an array of these numbers, with nothing after it.
pub(crate) fn verify_array(file: &mut dyn Read, numbers: Numbers<'_>, is_fortran: bool) -> Verified {
    let header = Header::read(file)?;
    expect("dtype", &header.descr[..], numbers.dtype.descr())?;
    expect("shape", &header.shape, &numbers.shape)?;
    // With a single axis, both orders are the same.
    if numbers.shape.len() > 1 {
        expect("fortran_order", &header.is_fortran, &is_fortran)?;
    }
    compare(file, numbers)?;
    expect_end(file)
}

/// The fields of an array's header.
pub(crate) struct Header {
    pub descr: String,
    pub is_fortran: bool,
    pub shape: Vec<u64>,
}

impl Header {
    /// Reads exactly the header.
    pub fn read(file: &mut dyn Read) -> Result<Self, Mismatch> {
        let mut start = [0; 10];
        file.read_exact(&mut start)?;
        let [magic @ .., low, high] = start;
        expect("magic string and version", &magic, b"\x93NUMPY\x01\x00")?;
        let length = usize::from(u16::from_le_bytes([low, high]));
        // NumPy writes a header of this size for any array that occurs here.
        expect("bytes of the header", &(start.len() + length), &128)?;
        let mut text = vec![0; length];
        file.read_exact(&mut text)?;
        let text = String::from_utf8(text)?;
        Self::parse(&text).ok_or_else(|| Mismatch(format!("a header that is none: {}", text.trim())))
    }

    /// Parses a Python dictionary literal with three keys in NumPy's order, followed by a newline.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('\n')?.trim_end_matches(' ');
        let text = text.strip_prefix("{'descr': '")?.strip_suffix(", }")?;
        let (descr, text) = text.split_once("', 'fortran_order': ")?;
        let (order, shape) = text.split_once(", 'shape': ")?;
        let is_fortran = ["False", "True"].iter().position(|word| *word == order)? == 1;
        let axes = shape.strip_prefix('(')?.strip_suffix(')')?;
        let axes = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty());
        let shape = axes.map(|axis| axis.parse().ok()).collect::<Option<_>>()?;
        Some(Self { descr: descr.to_owned(), is_fortran, shape })
    }
}
