//! Verifies `.envi` according to "ENVI Header Format": lines of a key and its value, and the data file.

use std::collections::BTreeMap;
use std::io::Read;

use crate::dtype::Dtype;
use crate::oracle::Files;
use crate::oracle::compare;
use crate::oracle::expect;
use crate::oracle::expect_end;
use crate::oracle::numbers;
use crate::oracle::{Mismatch, Shown, Verified};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut text = String::new();
    let files = Files::of(shown)?;
    let name = shown.part.component.name();
    let mut file = files.open(&format!("{name}.hdr"))?;
    file.expect_lines()?;
    file.read_to_string(&mut text)?;
    let mut lines = text.lines();
    expect("magic string", &lines.next(), &Some("ENVI"))?;
    let mut keys = BTreeMap::new();
    for line in lines {
        let (key, value) =
            line.split_once(" = ").ok_or_else(|| Mismatch(format!("a line that is no key: {line}")))?;
        // The meaning of a repeated key is ambiguous.
        if keys.insert(key, value.to_owned()).is_some() {
            return Err(Mismatch(format!("{key} is there twice")));
        }
    }
    let numbers = numbers(shown.selection, shown.part)?;
    let (lines, samples) = match numbers.shape[..] {
        [rows, columns] => (rows, columns),
        _ => (1, numbers.count()),
    };
    let expected = [
        ("samples", samples.to_string()),
        ("lines", lines.to_string()),
        ("bands", "1".into()),
        ("header offset", "0".into()),
        ("file type", "ENVI Standard".into()),
        ("data type", code(numbers.dtype).to_string()),
        ("interleave", "bsq".into()),
        ("byte order", "0".into()),
    ];
    expect("keys", &keys, &expected.into_iter().collect())?;
    // ENVI finds the data file by the name of the header without its extension.
    let mut data = files.open(name)?;
    compare(&mut data, numbers)?;
    expect_end(&mut data)?;
    files.expect_no_others()
}

/// The data type code in "ENVI Header Format"; 0 if the type has none.
const fn code(dtype: Dtype) -> u8 {
    match dtype {
        Dtype::Bool | Dtype::Uint8 => 1,
        Dtype::Int16 => 2,
        Dtype::Int32 => 3,
        Dtype::Float32 => 4,
        Dtype::Float64 => 5,
        Dtype::Uint16 => 12,
        Dtype::Uint32 => 13,
        Dtype::Int64 => 14,
        Dtype::Uint64 => 15,
        Dtype::Int8 | Dtype::Float16 => 0,
    }
}
