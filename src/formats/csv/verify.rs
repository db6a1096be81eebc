//! Verifies `.csv`, `.tsv` and `.txt`. The `csv` crate splits the cells, and the standard library parses the
//! numbers.

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::array::selection::{Component, Part, Region};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;
use crate::oracle::FileReader;
use crate::oracle::expect;
use crate::oracle::{Element, is_text, shown as in_words};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Stored, numbers, stored};

pub(crate) fn verify_csv(shown: &Shown<'_>) -> Verified {
    verify(shown, b',')
}

pub(crate) fn verify_tsv(shown: &Shown<'_>) -> Verified {
    verify(shown, b'\t')
}

/// Numbers separated by spaces, without a header.
pub(crate) fn verify_txt(shown: &Shown<'_>) -> Verified {
    verify(shown, b' ')
}

fn verify(shown: &Shown<'_>, separator: u8) -> Verified {
    let file = shown.file()?;
    file.expect_lines()?;
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator).buffer_capacity(1 << 20);
    let mut table = builder.from_reader(file);
    match shown.part.component {
        Component::Matrix => verify_stored(shown, &mut table)?,
        _ => verify_cells(shown, &mut table, separator != b' ')?,
    }
    match table.read_byte_record(&mut ByteRecord::new())? {
        false => Ok(()),
        true => Err(Mismatch("more lines than rows".into())),
    }
}

/// Lines of `row,column,value`, one per stored element.
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
            return Err(Mismatch(format!(
                "expected {} at {row}, {column}, found {line:?}",
                in_words(dtype, value)
            )));
        }
    }
    Ok(())
}

/// Lines of numbers. If there is a header, it holds the names of columns, and names of rows may precede the
/// numbers.
fn verify_cells(shown: &Shown<'_>, table: &mut Reader<FileReader<'_>>, has_header: bool) -> Verified {
    let Part { component, of } = shown.part;
    let numbers = numbers(shown.selection, shown.part)?;
    let is_table = matches!(component, Component::Array | Component::Dense);
    let (lines, width) = match (is_table, of, &numbers.shape[..]) {
        (true, Region::Row(_), [columns]) => (1, *columns),
        (true, Region::Whole, [rows, columns]) => (*rows, *columns),
        (_, _, shape) => (shape.iter().product(), 1),
    };
    let mut line = ByteRecord::new();
    let names = if has_header && is_table { shown.selection.names()?.rows } else { None };
    if has_header {
        table.read_byte_record(&mut line)?;
        verify_header(shown, &line, is_table)?;
    }
    let (rows, dtype) = (shown.selection.rows(), numbers.dtype);
    let row = |i| rows.row(if let Region::Row(row) = of { row } else { i });
    let is_padded = numbers.count() > most_short(dtype);
    let mut elements = numbers.elements();
    for i in 0..lines {
        table.read_byte_record(&mut line)?;
        if let Some(names) = &names {
            expect("name", line.get(0).unwrap_or_default(), names.get(row(i)).as_bytes())?;
        }
        // In `.txt`, the spaces that pad a number are separators too, and look like empty cells.
        let cells = line.iter().skip(usize::from(names.is_some()));
        let cells: Vec<_> = cells.filter(|cell| has_header || !is_padded || !cell.is_empty()).collect();
        expect("cells of a line", &(cells.len() as u64), &width)?;
        for (j, cell) in cells.into_iter().enumerate() {
            let wanted = elements.next().transpose()?.unwrap_or_default();
            expect_number(dtype, wanted, cell, i, j)?;
            // Only numbers in cells of fixed width may be padded.
            expect("spaces", &(cell.contains(&b' ') && !is_padded), &false)?;
        }
    }
    Ok(())
}

/// The most numbers in a table that are written without padding.
fn most_short(dtype: Dtype) -> u64 {
    if dtype.name().starts_with("float") { 1 << 26 } else { 1 << 28 }
}

/// The names of the columns, or their substitutes, preceded by the header of the row names.
fn verify_header(shown: &Shown<'_>, line: &ByteRecord, is_table: bool) -> Verified {
    let (names, array) = (shown.selection.names()?, shown.selection.array());
    let axes = array.names.row_axis().zip(array.names.property());
    let mut wanted = Vec::new();
    if is_table && names.rows.is_some() {
        wanted.push(axes.map_or("row", |(axis, _)| axis).as_bytes().to_vec());
    }
    let column = |j: u64| match &names.columns {
        Some(names) => names.get(j).as_bytes().to_vec(),
        None => format!("c{j}").into_bytes(),
    };
    match (array.metadata.shape(), shown.part.of) {
        (Shape::Matrix(..), Region::Column(j)) if is_table => wanted.push(column(j)),
        (Shape::Matrix(_, columns), _) if is_table => wanted.extend((0..columns).map(column)),
        _ => {
            let property = axes.filter(|_| is_table && names.rows.is_some()).map(|(_, property)| property);
            wanted.push(property.unwrap_or("value").as_bytes().to_vec());
        }
    }
    expect("header", line, &ByteRecord::from(wanted))
}

fn expect_number(dtype: Dtype, wanted: Element, cell: &[u8], row: u64, column: usize) -> Verified {
    if is_text(dtype, wanted, cell) {
        return Ok(());
    }
    let (expected, found) = (in_words(dtype, wanted), String::from_utf8_lossy(cell));
    Err(Mismatch(format!("cell {row}, {column}: expected {expected}, found {found}")))
}
