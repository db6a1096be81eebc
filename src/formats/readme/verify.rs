//! Verifies `README.md`: its shape and types are those of the array, and every file it names exists.

use std::io::Read;

use crate::array::selection::{Part, Scope, Selection, Thing};
use crate::daf::metadata::Metadata;
use crate::formats;
use crate::oracle::{Fault, Shown, Verified};
use crate::rows::parse_index;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut text = String::new();
    shown.file()?.read_to_string(&mut text)?;
    let lost = |what: &str| Fault(format!("{what} is not told"));
    let fact = text.split("\n\n").nth(1).unwrap_or_default();
    let fact = fact.split(';').next().unwrap_or_default();
    if fact != expected(shown.selection) {
        return Err(Fault(format!("expected {:?}, found {fact:?}", expected(shown.selection))));
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
        false => Err(Fault("the end is missing".into())),
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
    let of_thing = Thing::ALL
        .iter()
        .any(|thing| word.strip_prefix(thing.name()).is_some_and(|rest| rest.starts_with('.')));
    in_folder || of_thing && !word.contains(['(', ')', ','])
}

fn expect_files<'t>(selection: &Selection, files: impl Iterator<Item = &'t str>) -> Verified {
    for file in files {
        if !is_there(selection, file.trim_end_matches('/')) {
            return Err(Fault(format!("there is no {file}")));
        }
    }
    Ok(())
}

/// Whether the path leads to a file or a directory.
fn is_there(selection: &Selection, path: &str) -> bool {
    let of = |thing: &str, of| {
        let (thing, format) = thing.split_once('.').unwrap_or((thing, ""));
        let thing = Thing::ALL.into_iter().find(|other| other.name() == thing);
        thing.is_some_and(|thing| formats::find(selection, Part { thing, of }, format.as_bytes()).is_some())
    };
    let number = |text: &str, count| parse_index(text.split('.').next().unwrap_or(text).as_bytes(), count);
    // A row of a sparse matrix is a directory. With an extension it is a file of the row as if it were dense.
    let line = |text: &str, of_line| {
        let format = text.find('.').map_or("", |dot| &text[dot..]);
        ["array", "dense"].iter().any(|thing| of(&format!("{thing}{format}"), of_line))
    };
    let shape = selection.shape();
    match path.split('/').collect::<Vec<_>>()[..] {
        [thing] => of(thing, Scope::All),
        ["rows", row] => number(row, shape.rows()).is_some_and(|i| line(row, Scope::Row(i))),
        ["rows", row, thing] => number(row, shape.rows()).is_some_and(|i| of(thing, Scope::Row(i))),
        ["cols", column] => number(column, shape.columns()).is_some_and(|j| line(column, Scope::Column(j))),
        ["slices", rows, ref rest @ ..] => selection
            .slice(rows.as_bytes())
            .is_some_and(|selection| rest.is_empty() || is_there(&selection, &rest.join("/"))),
        _ => false,
    }
}
