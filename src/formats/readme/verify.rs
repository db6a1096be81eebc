//! Verifies `README.md`: its shape and types are those of the array, and every file it names exists.

use std::io::Read;

use crate::array::selection::{Component, Part, Region, Selection};
use crate::daf::metadata::Metadata;
use crate::formats;
use crate::oracle::{Mismatch, Shown, Verified};
use crate::rows::parse_index;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut text = String::new();
    shown.file()?.read_to_string(&mut text)?;
    let lost = |what: &str| Mismatch(format!("{what} is not told"));
    let fact = text.split("\n\n").nth(1).unwrap_or_default();
    let fact = fact.split(';').next().unwrap_or_default();
    if fact != expected(shown.selection) {
        return Err(Mismatch(format!("expected {:?}, found {fact:?}", expected(shown.selection))));
    }
    let table = text.split("|---|---|\n").nth(1).ok_or_else(|| lost("the table of files"))?;
    let mut count = 0;
    for line in table.lines().take_while(|line| line.starts_with('|')) {
        let files = line.split('|').nth(1).unwrap_or_default();
        expect_files(shown.selection, files.split('`').skip(1).step_by(2))?;
        count += 1;
    }
    if count == 0 {
        return Err(lost("any file"));
    }
    for code in text.split("\n```").skip(1).step_by(2) {
        expect_files(shown.selection, code.split(['"', '\'', ' ', '\n']).filter(|word| is_path(word)))?;
    }
    match text.ends_with("```\n") {
        true => Ok(()),
        false => Err(Mismatch("the end is missing".into())),
    }
}

/// The sentence about the array.
fn expected(selection: &Selection) -> String {
    let axes = selection.shape().axes();
    match (&selection.array().metadata, &axes[..]) {
        (Metadata::Dense(meta), [count]) => format!("Vector of {count} elements, {}", meta.dtype.name()),
        (Metadata::Dense(meta), [rows, columns, ..]) => {
            format!("Matrix of {rows} rows and {columns} columns, {}, row after row", meta.dtype.name())
        }
        (Metadata::Sparse(meta), [rows, columns]) => format!(
            "Sparse matrix (CSR) of {rows} rows and {columns} columns: `data` {}, `indices` {}, `indptr` {}",
            meta.data_dtype.name(),
            meta.indices_dtype.name(),
            meta.indptr_dtype.name()
        ),
        _ => String::new(),
    }
}

/// Whether a word of an example is a path: a component with an extension, or a path in a directory.
fn is_path(word: &str) -> bool {
    let in_folder = ["rows/", "cols/", "slices/"].iter().any(|folder| word.starts_with(folder));
    let of_thing = Component::ALL
        .iter()
        .any(|component| word.strip_prefix(component.name()).is_some_and(|rest| rest.starts_with('.')));
    in_folder || of_thing && !word.contains(['(', ')', ','])
}

fn expect_files<'t>(selection: &Selection, files: impl Iterator<Item = &'t str>) -> Verified {
    for file in files {
        if !is_there(selection, file.trim_end_matches('/')) {
            return Err(Mismatch(format!("there is no {file}")));
        }
    }
    Ok(())
}

/// Whether the path leads to a file or a directory.
fn is_there(selection: &Selection, path: &str) -> bool {
    let of = |component: &str, of| {
        let (component, format) = component.split_once('.').unwrap_or((component, ""));
        let component = Component::ALL.into_iter().find(|other| other.name() == component);
        component.is_some_and(|component| {
            formats::find(selection, Part { component, of }, format.as_bytes()).is_some()
        })
    };
    let number = |text: &str, count| parse_index(text.split('.').next().unwrap_or(text).as_bytes(), count);
    // A row of a sparse matrix is a directory. With an extension it is a file of the row as if it were dense.
    let line = |text: &str, of_line| {
        let format = text.find('.').map_or("", |dot| &text[dot..]);
        ["array", "dense"].iter().any(|component| of(&format!("{component}{format}"), of_line))
    };
    let shape = selection.shape();
    match path.split('/').collect::<Vec<_>>()[..] {
        [component] => of(component, Region::Whole),
        ["rows", row] => number(row, shape.rows()).is_some_and(|i| line(row, Region::Row(i))),
        ["rows", row, component] => number(row, shape.rows()).is_some_and(|i| of(component, Region::Row(i))),
        ["cols", column] => number(column, shape.columns()).is_some_and(|j| line(column, Region::Column(j))),
        ["slices", rows, ref rest @ ..] => selection
            .slice(rows.as_bytes())
            .is_some_and(|selection| rest.is_empty() || is_there(&selection, &rest.join("/"))),
        _ => false,
    }
}
