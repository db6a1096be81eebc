//! All files of the folder: a line for each format, and one each for rows, columns and slices.

use std::fmt::Write;

use crate::format::{Kind, Shape};
use crate::part::{Part, Scope, Selection, Thing};
use crate::select::index_width;
use crate::view::{VIEWS, View, find, offered};

/// Every format of every thing, those that no listing shows too, and what it is for.
pub(super) fn all_files(selection: &Selection) -> String {
    let mut text = String::from("| file | what it is, and what reads it |\n|---|---|\n");
    for (place, view) in VIEWS.iter().enumerate() {
        let names: Vec<_> =
            things(selection, place).map(|thing| format!("`{}`", name(thing.name(), *view))).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "| {} | {} |", names.join(" "), view.about());
        }
    }
    if let Shape::Matrix(rows, columns) = selection.shape() {
        let row = line(selection, Scope::Row(0), &format!("rows/{}", number(rows, 0)));
        let _ = writeln!(text, "| {row} | one row, the last is `rows/{}` |", number(rows, rows - 1));
        let column = line(selection, Scope::Column(0), &format!("cols/{}", number(columns, 0)));
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

/// The names of all files, as far as they are of all rows.
pub(super) fn names(selection: &Selection) -> Vec<String> {
    let all = Thing::ALL.into_iter().flat_map(|thing| {
        let views = offered(selection, Part { thing, of: Scope::All });
        views.map(move |(_, view)| name(thing.name(), view))
    });
    all.collect()
}

/// What comes in the format of this place.
fn things(selection: &Selection, place: usize) -> impl Iterator<Item = Thing> {
    let is_there = move |thing: &Thing| {
        offered(selection, Part { thing: *thing, of: Scope::All }).any(|(other, _)| other == place)
    };
    Thing::ALL.into_iter().filter(is_there)
}

/// A file in a folder, and a folder with a slash.
fn name(stem: &str, view: &dyn View) -> String {
    let (dot, slash) =
        (if view.format().is_empty() { "" } else { "." }, if view.is_folder() { "/" } else { "" });
    format!("{stem}{dot}{}{slash}", view.format())
}

/// The files of a row or a column, and in which formats they come too.
fn line(selection: &Selection, of: Scope, stem: &str) -> String {
    let is_sparse = selection.array().metadata.kind() == Kind::Sparse;
    let things = if is_sparse { &[Thing::Data, Thing::Indices, Thing::Dense][..] } else { &[Thing::Array] };
    let mut files = Vec::new();
    for thing in things {
        let stem = if is_sparse { format!("{stem}/{}", thing.name()) } else { stem.to_owned() };
        if find(selection, Part { thing: *thing, of }, b"").is_some() {
            files.push(format!("`{stem}`"));
        }
        let last = thing == &things[things.len() - 1];
        let formats = offered(selection, Part { thing: *thing, of }).map(|(_, view)| view.format());
        files.extend(
            formats.filter(|format| last && !format.is_empty()).map(|format| format!("`{stem}.{format}`")),
        );
    }
    files.join(" ")
}

/// A number as wide as the last of so many.
pub(super) fn number(count: u64, i: u64) -> String {
    format!("{i:0width$}", width = index_width(count))
}
