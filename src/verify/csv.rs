//! `.csv` and `.tsv`, their cells found by `csv` and their numbers read by Rust's own parsers.

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::element::{Element, is_text, shown as in_words};
use super::npy::expect;
use super::reader::FileReader;
use super::truth::{Stored, numbers, stored};
use super::{Fault, Shown, Verified};
use crate::dtype::Dtype;
use crate::part::{Part, Scope, Thing};
use crate::select::Rows;

pub(super) fn verify_csv(shown: &Shown<'_>) -> Verified {
    verify(shown, b',')
}

pub(super) fn verify_tsv(shown: &Shown<'_>) -> Verified {
    verify(shown, b'\t')
}

fn verify(shown: &Shown<'_>, separator: u8) -> Verified {
    let file = shown.file()?;
    file.expect_lines()?;
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator).buffer_capacity(1 << 20);
    let mut table = builder.from_reader(file);
    match shown.part.thing {
        Thing::Matrix => verify_stored(shown, &mut table)?,
        _ => verify_cells(shown, &mut table)?,
    }
    match table.read_byte_record(&mut ByteRecord::new())? {
        false => Ok(()),
        true => Err(Fault("more lines than rows".into())),
    }
}

/// `row,column,value`, a line for each stored element.
fn verify_stored(shown: &Shown<'_>, table: &mut Reader<FileReader<'_>>) -> Verified {
    let mut line = ByteRecord::new();
    table.read_byte_record(&mut line)?;
    expect("header", &line, &ByteRecord::from(vec!["row", "column", "value"]))?;
    let dtype = shown.selection.array().metadata.dtype();
    for element in stored(shown.selection, shown.part)?.1 {
        let (row, column, value): Stored = element?;
        table.read_byte_record(&mut line)?;
        let is_same = line.len() == 3
            && is_text(Dtype::Uint64, row.to_le_bytes(), &line[0])
            && is_text(Dtype::Uint64, column.to_le_bytes(), &line[1])
            && is_text(dtype, value, &line[2]);
        if !is_same {
            return Err(Fault(format!(
                "expected {} at {row}, {column}, found {line:?}",
                in_words(dtype, value)
            )));
        }
    }
    Ok(())
}

/// Numbers in lines; in front of them names where those of both axes are known.
fn verify_cells(shown: &Shown<'_>, table: &mut Reader<FileReader<'_>>) -> Verified {
    let Part { thing, of } = shown.part;
    let numbers = numbers(shown.selection, shown.part)?;
    let is_table = matches!(thing, Thing::Array | Thing::Dense);
    let (lines, width) = match (is_table, of, &numbers.shape[..]) {
        (true, Scope::Row(_), [columns]) => (1, *columns),
        (true, Scope::All, [rows, columns]) => (*rows, *columns),
        (_, _, shape) => (shape.iter().product(), 1),
    };
    let names = shown.selection.names()?;
    let names =
        names.rows.zip(names.columns).filter(|_| is_table && of == Scope::All && numbers.shape.len() == 2);
    let mut line = ByteRecord::new();
    if let Some((_, columns)) = &names {
        table.read_byte_record(&mut line)?;
        let found = line.iter().skip(1).eq((0..width).map(|j| columns.get(j).as_bytes()));
        expect("names of columns", &found, &true)?;
    }
    let rows: Rows = shown.selection.rows();
    let dtype = numbers.dtype;
    let mut elements = numbers.elements();
    for i in 0..lines {
        table.read_byte_record(&mut line)?;
        if let Some((names, _)) = &names {
            expect("name", line.get(0).unwrap_or_default(), names.get(rows.row(i)).as_bytes())?;
        }
        let skip = usize::from(names.is_some());
        expect(
            "cells of a line",
            &line.len().saturating_sub(skip),
            &usize::try_from(width).unwrap_or(usize::MAX),
        )?;
        for (j, cell) in line.iter().skip(skip).enumerate() {
            let wanted = elements.next().transpose()?.unwrap_or_default();
            expect_number(dtype, wanted, cell, i, j)?;
        }
    }
    Ok(())
}

fn expect_number(dtype: Dtype, wanted: Element, cell: &[u8], row: u64, column: usize) -> Verified {
    if is_text(dtype, wanted, cell) {
        return Ok(());
    }
    let (expected, found) = (in_words(dtype, wanted), String::from_utf8_lossy(cell));
    Err(Fault(format!("cell {row}, {column}: expected {expected}, found {found}")))
}
