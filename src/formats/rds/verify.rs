//! Verifies `.rds` according to "Serialization Formats" in R Internals: items, each a word of flags and its
//! content. No crate is used, because those available hold the whole file in memory.

use std::io::{BufReader, Read};
use std::sync::Arc;

use crate::array::names::AxisNames;
use crate::array::selection::{Component, Region};
use crate::dtype::Dtype;
use crate::oracle::expect;
use crate::oracle::rising;
use crate::oracle::{FileReader, expect_end, read_bytes, read_word};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, numbers};
use crate::oracle::{compare_as, or_refused};
use crate::rows::Rows;

type File<'a> = BufReader<FileReader<'a>>;

/// The names of an axis, and the rows or columns whose names are shown.
type Names = Option<(Arc<AxisNames>, Rows)>;

/// Types of items. The bits above 255 are flags.
const SYMBOL: u32 = 1;
const TAGGED: u32 = 2 | 1 << 10;
const CHARACTERS: u32 = 9;
const INTEGER: u32 = 13;
const STRINGS: u32 = 16;
const LIST: u32 = 19;
const NULL: u32 = 254;
const WITH_ATTRIBUTES: u32 = 1 << 9;
/// An S4 object, whose slots are its attributes.
const OBJECT: u32 = 25 | 1 << 8 | WITH_ATTRIBUTES | 1 << 16;
/// Encodings of strings.
const UTF8: u32 = 1 << 15;
const ASCII: u32 = 1 << 18;

/// The longest name of an attribute or class, in bytes.
const LONGEST: u64 = 64;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    or_refused(shown, verify_file(shown))
}

fn verify_file(shown: &Shown<'_>) -> Verified {
    let mut file = BufReader::with_capacity(1 << 20, shown.file()?);
    expect("magic string", &read_bytes(&mut file)?, b"B\n")?;
    let versions = [read_word(&mut file)?, read_word(&mut file)?, read_word(&mut file)?];
    // Versions of the format, of the R that wrote it, and of the oldest R that reads it.
    expect("versions", &versions, &[2, 0x0004_0200, 0x0002_0300])?;
    match shown.part.component {
        Component::Matrix => verify_sparse(shown, &mut file)?,
        _ => verify_dense(shown, &mut file)?,
    }
    expect_end(&mut file)
}

/// Verifies a vector and, for a matrix, its dimensions. R is column-major, so the axes are exchanged.
fn verify_dense(shown: &Shown<'_>, file: &mut File<'_>) -> Verified {
    let numbers = numbers(shown.selection, shown.part)?;
    let shape = numbers.shape.clone();
    let is_named =
        matches!(shown.part.component, Component::Array | Component::Dense) && shown.part.of == Region::Whole;
    let names = if is_named { names(shown)? } else { [None, None] };
    let mut wanted = match (&shape[..], &names) {
        ([_, _], [None, None]) => vec!["dim"],
        ([_, _], _) => vec!["dim", "dimnames"],
        (_, [_, Some(_)]) => vec!["names"],
        _ => Vec::new(),
    };
    let flags = if wanted.is_empty() { 0 } else { WITH_ATTRIBUTES };
    verify_vector(file, flags, numbers)?;
    if wanted.is_empty() {
        return Ok(());
    }
    verify_attributes(file, &mut wanted, |file, name| match name {
        "dim" => expect("dim", &integers(file)?, &shape.iter().rev().copied().collect()),
        "dimnames" => verify_dimnames(file, &names),
        _ => verify_names(file, names[1].as_ref()),
    })
}

/// Verifies a compressed column matrix, whose columns are the rows of the store. Matrix accepts the object
/// only if its row numbers are sorted.
fn verify_sparse(shown: &Shown<'_>, file: &mut File<'_>) -> Verified {
    let [data, indices, indptr] = rising(shown.selection)?.map(Some);
    let (mut data, mut indices, mut indptr) = (data, indices, indptr);
    let mut take = |name: &str| {
        let numbers = match name {
            "i" => &mut indices,
            "p" => &mut indptr,
            _ => &mut data,
        };
        numbers.take().ok_or_else(|| Mismatch(format!("{name} is there twice")))
    };
    let shape = shown.selection.shape();
    let is_bool = shown.selection.array().metadata.dtype() == Dtype::Bool;
    let class = if is_bool { "lgCMatrix" } else { "dgCMatrix" };
    let names = names(shown)?;
    expect("type", &read_word(file)?, &OBJECT)?;
    let mut wanted = vec!["i", "p", "Dim", "Dimnames", "x", "factors", "class"];
    verify_attributes(file, &mut wanted, |file, name| match name {
        "i" | "p" => verify_indices(file, take(name)?),
        "x" if is_bool => verify_vector(file, 0, take(name)?),
        "x" => verify_reals(file, take(name)?),
        "Dim" => expect("Dim", &integers(file)?, &vec![shape.columns(), shape.rows()]),
        "Dimnames" => verify_dimnames(file, &names),
        "factors" => expect("factors", &[read_word(file)?, read_word(file)?], &[LIST, 0]),
        _ => verify_class(file, class),
    })
}

/// The names of both axes, in R's order: columns of the array first.
fn names(shown: &Shown<'_>) -> Result<[Names; 2], Mismatch> {
    let names = shown.selection.names()?;
    let columns = Rows::all(shown.selection.shape().columns());
    let rows = shown.selection.rows();
    Ok([names.columns.map(|names| (names, columns)), names.rows.map(|names| (names, rows))])
}

/// Verifies numbers of the R type that holds all values of their own type.
fn verify_vector(file: &mut File<'_>, flags: u32, numbers: Numbers<'_>) -> Verified {
    let (kind, dtype) = match numbers.dtype {
        Dtype::Bool => (10, Dtype::Int32),
        Dtype::Int8 | Dtype::Int16 | Dtype::Uint8 | Dtype::Uint16 => (INTEGER, Dtype::Int32),
        _ => (14, Dtype::Float64),
    };
    verify_as(file, kind | flags, dtype, numbers)
}

fn verify_reals(file: &mut File<'_>, numbers: Numbers<'_>) -> Verified {
    verify_as(file, 14, Dtype::Float64, numbers)
}

fn verify_indices(file: &mut File<'_>, numbers: Numbers<'_>) -> Verified {
    verify_as(file, INTEGER, Dtype::Int32, numbers)
}

fn verify_as(file: &mut File<'_>, flags: u32, dtype: Dtype, numbers: Numbers<'_>) -> Verified {
    expect("type", &read_word(file)?, &flags)?;
    expect("length", &length(file)?, &numbers.count())?;
    compare_as(file, dtype, numbers)
}

/// Reads a length: one word, or -1 and two words.
fn length(file: &mut File<'_>) -> Result<u64, Mismatch> {
    match read_word(file)? {
        u32::MAX => Ok(u64::from(read_word(file)?) << 32 | u64::from(read_word(file)?)),
        length => Ok(length.into()),
    }
}

/// Verifies attributes up to the terminating null. All must be in `wanted`, and all of `wanted` must occur.
fn verify_attributes(
    file: &mut File<'_>,
    wanted: &mut Vec<&str>,
    mut verify: impl FnMut(&mut File<'_>, &str) -> Verified,
) -> Verified {
    loop {
        match read_word(file)? {
            NULL => break,
            flags => expect("type of an attribute", &flags, &TAGGED)?,
        }
        expect("type of a name", &read_word(file)?, &SYMBOL)?;
        let name = characters(file, LONGEST)?;
        let place = wanted.iter().position(|wanted| *wanted == name);
        let place = place.ok_or_else(|| Mismatch(format!("an attribute {name}, or that twice")))?;
        verify(file, wanted.swap_remove(place))?;
    }
    expect("attributes that are missing", &wanted[..], &[])
}

fn characters(file: &mut File<'_>, longest: u64) -> Result<String, Mismatch> {
    let flags = read_word(file)?;
    let length = length(file)?;
    if length > longest {
        return Err(Mismatch(format!("a name of {length} bytes")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact(&mut bytes)?;
    let encoding = if bytes.is_ascii() && flags & UTF8 == 0 { ASCII } else { UTF8 };
    expect("type of characters", &flags, &(CHARACTERS | encoding))?;
    Ok(String::from_utf8(bytes)?)
}

fn integers(file: &mut File<'_>) -> Result<Vec<u64>, Mismatch> {
    expect("type", &read_word(file)?, &INTEGER)?;
    expect("length", &length(file)?, &2)?;
    Ok(vec![read_word(file)?.into(), read_word(file)?.into()])
}

fn verify_dimnames(file: &mut File<'_>, names: &[Names; 2]) -> Verified {
    expect("type", &read_word(file)?, &LIST)?;
    expect("length", &length(file)?, &2)?;
    names.iter().try_for_each(|names| verify_names(file, names.as_ref()))
}

fn verify_names(file: &mut File<'_>, names: Option<&(Arc<AxisNames>, Rows)>) -> Verified {
    let Some((axis_names, rows)) = names else {
        return expect("type", &read_word(file)?, &NULL);
    };
    expect("type", &read_word(file)?, &STRINGS)?;
    expect("length", &length(file)?, &rows.count())?;
    for i in 0..rows.count() {
        let name = axis_names.get(rows.row(i));
        expect("name", &characters(file, name.len() as u64)?[..], name)?;
    }
    Ok(())
}

/// Verifies the name of the class, and the package that defines it.
fn verify_class(file: &mut File<'_>, class: &str) -> Verified {
    expect("type", &read_word(file)?, &(STRINGS | WITH_ATTRIBUTES))?;
    expect("length", &length(file)?, &1)?;
    expect("class", &characters(file, LONGEST)?[..], class)?;
    verify_attributes(file, &mut vec!["package"], |file, _| {
        expect("type", &read_word(file)?, &STRINGS)?;
        expect("length", &length(file)?, &1)?;
        expect("package", &characters(file, LONGEST)?[..], "Matrix")
    })
}
