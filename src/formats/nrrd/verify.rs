//! Verifies `.nrrd` and `.nhdr` according to "Definition of NRRD File Format": lines of a field and its
//! value, then the elements after an empty line, or in the named data file.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use crate::array::selection::{Component, Part};
use crate::dtype::Dtype;
use crate::formats;
use crate::oracle::compare;
use crate::oracle::expect;
use crate::oracle::expect_end;
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, numbers};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut file = BufReader::new(shown.file()?);
    let numbers = numbers(shown.selection, shown.part)?;
    let fields = read_fields(&mut file)?;
    expect("fields", &fields, &expected(&numbers))?;
    compare(&mut file, numbers)?;
    expect_end(&mut file)
}

pub(crate) fn verify_header(shown: &Shown<'_>) -> Verified {
    let file = shown.file()?;
    file.expect_lines()?;
    let numbers = numbers(shown.selection, shown.part)?;
    let mut fields = read_fields(&mut BufReader::new(file))?;
    let name = fields.remove("data file").ok_or_else(|| Mismatch("no data file is named".into()))?;
    expect("fields", &fields, &expected(&numbers))?;
    expect_data_file(shown, &name, numbers.count() * numbers.dtype.itemsize())
}

/// Checks that the data file exists in the same directory, holds the raw bytes, and has the right size.
fn expect_data_file(shown: &Shown<'_>, name: &str, bytes: u64) -> Verified {
    let component = Component::ALL.into_iter().find(|component| component.name() == name);
    let part = component.map(|component| Part { component, ..shown.part });
    // The bytes of another component would be other numbers.
    let part = part.filter(|part| *part == shown.part);
    let view = part.and_then(|part| formats::find(shown.selection, part, b""));
    let view = view.ok_or_else(|| Mismatch(format!("the data file {name} is not that of the numbers")))?;
    let file = formats::format(view)
        .ok_or_else(|| Mismatch("no format".into()))?
        .render(shown.selection, shown.part)?
        .file();
    expect("bytes of the data file", &file.map_or(0, |file| file.len()), &bytes)
}

type Fields = BTreeMap<String, String>;

/// Reads fields up to an empty line or the end of the file.
fn read_fields(file: &mut dyn BufRead) -> Result<Fields, Mismatch> {
    /// The longest header that is accepted, in bytes.
    const LONGEST: u64 = 1 << 16;
    let mut file = file.take(LONGEST);
    let mut next = || -> Result<String, Mismatch> {
        let mut line = String::new();
        file.read_line(&mut line)?;
        Ok(line.trim_end_matches('\n').to_owned())
    };
    expect("magic string", &next()?[..], "NRRD0004")?;
    let mut fields = Fields::new();
    loop {
        let line = next()?;
        match line.split_once(": ") {
            _ if line.is_empty() => return Ok(fields),
            // The only comment is padding.
            _ if line.starts_with('#') => expect("comment", line[1..].trim_matches(' '), "")?,
            Some((field, value)) => match fields.insert(field.to_owned(), value.to_owned()) {
                None => {}
                Some(_) => return Err(Mismatch(format!("{field} is there twice"))),
            },
            None => return Err(Mismatch(format!("a line that is no field: {line}"))),
        }
    }
}

/// The expected fields, apart from the name of a data file.
fn expected(numbers: &Numbers<'_>) -> Fields {
    let name = match numbers.dtype {
        Dtype::Bool => "uint8",
        Dtype::Float32 => "float",
        Dtype::Float64 => "double",
        dtype => dtype.name(),
    };
    // The fastest axis comes first.
    let sizes: Vec<_> = numbers.shape.iter().rev().map(u64::to_string).collect();
    let dimension = numbers.shape.len().to_string();
    let fields = [
        ("type", name),
        ("dimension", &dimension),
        ("sizes", &sizes.join(" ")),
        ("endian", "little"),
        ("encoding", "raw"),
    ];
    fields.into_iter().map(|(field, value)| (field.to_owned(), value.to_owned())).collect()
}
