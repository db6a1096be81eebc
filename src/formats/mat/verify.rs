//! Verifies `.mat` according to "MAT-File Format", level 5: one variable, uncompressed. No crate is used,
//! because those available read the whole file at once and do not support sparse matrices.

use std::io::Read;

use crate::array::selection::Component;
use crate::dtype::Dtype;
use crate::oracle::expect;
use crate::oracle::rising;
use crate::oracle::{FileReader, expect_end, expect_zeros, read_bytes, read_word};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, numbers};
use crate::oracle::{compare, compare_as, or_refused};

/// Types of data elements.
const INT8: u32 = 1;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    or_refused(shown, verify_file(shown))
}

fn verify_file(shown: &Shown<'_>) -> Verified {
    let mut file = shown.file()?;
    read_header(&mut file)?;
    match shown.part.component {
        Component::Matrix => verify_sparse(shown, &mut file, rising(shown.selection)?)?,
        _ => verify_dense(shown, &mut file, numbers(shown.selection, shown.part)?)?,
    }
    expect_end(&mut file)
}

/// The header of 128 bytes, and the tag of the only variable, which is the rest of the file.
fn read_header(file: &mut FileReader<'_>) -> Verified {
    let text: [u8; 116] = read_bytes(file)?;
    let text = String::from_utf8_lossy(&text);
    expect("text", text.trim_end_matches(' '), "MATLAB 5.0 MAT-file, written by arrayfs")?;
    expect_zeros(file, 8)?;
    expect("version and byte order", &read_bytes(file)?, b"\0\x01IM")?;
    expect("type", &read_word(file)?, &MATRIX)?;
    let length = read_word(file)?;
    expect("bytes of the variable", &u64::from(length), &file.len().saturating_sub(128 + 8))
}

fn verify_dense(shown: &Shown<'_>, file: &mut FileReader<'_>, numbers: Numbers<'_>) -> Verified {
    let (kind, class, stored) = class(numbers.dtype);
    let logical = if numbers.dtype == Dtype::Bool { 1 << 9 } else { 0 };
    let dimensions = match numbers.shape[..] {
        [rows, columns] => [columns, rows],
        _ => [numbers.count(), 1],
    };
    expect_description(shown, file, [class | logical, 0], dimensions)?;
    verify_elements(file, kind, stored, numbers)
}

/// The class `sparse`, the capacity for elements, and the three arrays. Programs look up an element by its
/// sorted position.
fn verify_sparse(
    shown: &Shown<'_>,
    file: &mut FileReader<'_>,
    [data, indices, indptr]: [Numbers<'_>; 3],
) -> Verified {
    let shape = shown.selection.shape();
    let room = u32::try_from(data.count().max(1)).unwrap_or(u32::MAX);
    expect_description(shown, file, [5, room], [shape.columns(), shape.rows()])?;
    verify_elements(file, INT32, Dtype::Int32, indices)?;
    verify_elements(file, INT32, Dtype::Int32, indptr)?;
    verify_elements(file, DOUBLE, Dtype::Float64, data)
}

/// Flags, dimensions and name of the variable.
fn expect_description(
    shown: &Shown<'_>,
    file: &mut FileReader<'_>,
    flags: [u32; 2],
    dimensions: [u64; 2],
) -> Verified {
    expect("flags", &words(&small(file, UINT32)?), &flags.map(u64::from).to_vec())?;
    expect("dimensions", &words(&small(file, INT32)?), &dimensions.to_vec())?;
    expect("name", &small(file, INT8)?[..], shown.part.component.name().as_bytes())
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word).into()).collect()
}

/// A short data element. Up to four bytes may be in the tag itself (the compressed form).
fn small(file: &mut FileReader<'_>, kind: u32) -> Result<Vec<u8>, Mismatch> {
    let first = read_word(file)?;
    let (found, length) = (first & 0xFFFF, first >> 16);
    expect("type", &found, &kind)?;
    let (length, room) = if length > 0 { (length, 4) } else { (read_word(file)?, 64) };
    if length > room {
        return Err(Mismatch(format!("{length} bytes where there should be a few")));
    }
    let length = usize::try_from(length).unwrap_or(0);
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    let filled = if room == 4 { 4 } else { length.next_multiple_of(8) };
    expect_zeros(file, filled - length)?;
    Ok(bytes)
}

fn verify_elements(file: &mut FileReader<'_>, kind: u32, dtype: Dtype, numbers: Numbers<'_>) -> Verified {
    expect("type", &read_word(file)?, &kind)?;
    let bytes = numbers.count() * dtype.itemsize();
    expect("bytes", &u64::from(read_word(file)?), &bytes)?;
    match numbers.dtype {
        Dtype::Bool if dtype == Dtype::Uint8 => compare(file, numbers)?,
        _ => compare_as(file, dtype, numbers)?,
    }
    expect_zeros(file, usize::try_from(bytes.next_multiple_of(8) - bytes).unwrap_or(0))
}

/// Type of the data element, class of the array, and type of its numbers.
const fn class(dtype: Dtype) -> (u32, u32, Dtype) {
    match dtype {
        Dtype::Float64 => (DOUBLE, 6, dtype),
        // MATLAB has no float16.
        Dtype::Float32 | Dtype::Float16 => (7, 7, Dtype::Float32),
        Dtype::Int8 => (INT8, 8, dtype),
        Dtype::Uint8 | Dtype::Bool => (2, 9, Dtype::Uint8),
        Dtype::Int16 => (3, 10, dtype),
        Dtype::Uint16 => (4, 11, dtype),
        Dtype::Int32 => (INT32, 12, dtype),
        Dtype::Uint32 => (UINT32, 13, dtype),
        Dtype::Int64 => (12, 14, dtype),
        Dtype::Uint64 => (13, 15, dtype),
    }
}
