//! The table of all files in the directory: a line for each format, and one each for rows, columns and
//! slices.

use std::fmt::Write;

use crate::array::format_id::FormatId;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::daf::metadata::{Kind, Shape};
use crate::formats::{FORMATS, Format, find, offered};
use crate::rows::index_width;

/// Every format of every component, with its purpose. It includes files that no listing shows.
pub(super) fn all_files(selection: &Selection) -> String {
    let mut text = String::from("| file | what it is, and what reads it |\n|---|---|\n");
    for (id, view) in FORMATS {
        let names: Vec<_> = components(selection, *id)
            .map(|component| format!("`{}`", name(component.name(), *view)))
            .collect();
        if !names.is_empty() {
            let _ = writeln!(text, "| {} | {} |", names.join(" "), view.about());
        }
    }
    if let Shape::Matrix(rows, columns) = selection.shape() {
        let row = line(selection, Region::Row(0), &format!("rows/{}", number(rows, 0)));
        let _ = writeln!(text, "| {row} | one row, the last is `rows/{}` |", number(rows, rows - 1));
        let column = line(selection, Region::Column(0), &format!("cols/{}", number(columns, 0)));
        if !column.is_empty() {
            let last = number(columns, columns - 1);
            let _ = writeln!(text, "| {column} | one column, the last is `cols/{last}` |");
        }
    }
    let rows = selection.shape().rows();
    let _ = writeln!(
        text,
        "| `slices/0:{rows}/` | some rows, a folder like this one: `::2`, `-1:` as in Python |"
    );
    text
}

/// The names of all files of the whole region.
pub(super) fn names(selection: &Selection) -> Vec<String> {
    let all = Component::ALL.into_iter().flat_map(|component| {
        let views = offered(selection, Part { component, of: Region::Whole });
        views.map(move |(_, view)| name(component.name(), view))
    });
    all.collect()
}

/// The components that are available in this format.
fn components(selection: &Selection, format: FormatId) -> impl Iterator<Item = Component> {
    let is_there = move |component: &Component| {
        offered(selection, Part { component: *component, of: Region::Whole })
            .any(|(other, _)| other == format)
    };
    Component::ALL.into_iter().filter(is_there)
}

/// The name of a file, or of a directory with a slash at the end.
fn name(stem: &str, view: &dyn Format) -> String {
    let (dot, slash) =
        (if view.extension().is_empty() { "" } else { "." }, if view.is_directory() { "/" } else { "" });
    format!("{stem}{dot}{}{slash}", view.extension())
}

/// The files of a row or a column, and the formats of the last component.
fn line(selection: &Selection, of: Region, stem: &str) -> String {
    let is_sparse = selection.array().metadata.kind() == Kind::Sparse;
    let components = if is_sparse {
        &[Component::Data, Component::Indices, Component::Dense][..]
    } else {
        &[Component::Array]
    };
    let mut files = Vec::new();
    for component in components {
        let stem = if is_sparse { format!("{stem}/{}", component.name()) } else { stem.to_owned() };
        if find(selection, Part { component: *component, of }, b"").is_some() {
            files.push(format!("`{stem}`"));
        }
        let last = component == &components[components.len() - 1];
        let formats =
            offered(selection, Part { component: *component, of }).map(|(_, view)| view.extension());
        files.extend(
            formats.filter(|format| last && !format.is_empty()).map(|format| format!("`{stem}.{format}`")),
        );
    }
    files.join(" ")
}

/// An index with as many digits as the last of `count`.
pub(super) fn number(count: u64, i: u64) -> String {
    format!("{i:0width$}", width = index_width(count))
}
