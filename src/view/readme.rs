//! `README.md`: how to read this very array, with lines to paste for the shell and four languages.
//!
//! It is written from what `meta.yaml` tells too: neither data nor long lists of names are read. Each
//! language has one code block, which holds without the others.

mod julia;
mod matlab;
mod python;
mod r;
mod shell;

use std::fmt::Write;
use std::path::Path;

use super::View;
use crate::dtype::Dtype;
use crate::error::{Error, Result, shown};
use crate::format::{Metadata, Shape};
use crate::part::{Part, Scope, Selection, Thing};
use crate::select::index_width;
use crate::vfile::VirtualFile;

pub(super) struct Readme;

impl View for Readme {
    fn format(&self) -> &'static str {
        "md"
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.thing == Thing::Readme
    }

    fn about(&self) -> &'static str {
        "this text"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if part.thing != Thing::Readme {
            return Err(Error::not_found(&selection.array().path));
        }
        Ok(VirtualFile::literal(text(selection).into_bytes()))
    }
}

/// Rows that an example reads of an array too large to be read whole.
const BLOCK: u64 = 100;
/// Bytes that an example reads whole.
const SMALL: u64 = 256 << 20;

/// What the examples are made of.
struct Facts {
    shape: Shape,
    types: Types,
    /// A row, by its file or folder: the last, which shows how wide the numbers are.
    row: String,
    column: String,
    /// How the format that NumPy maps is offered.
    has_npy: bool,
    /// How one row comes as text.
    has_csv_rows: bool,
}

enum Types {
    Dense(Dtype),
    Sparse { data: Dtype, indices: Dtype, indptr: Dtype },
}

impl Facts {
    fn of(selection: &Selection) -> Self {
        let shape = selection.shape();
        let last = |count: u64| format!("{:0width$}", count - 1, width = index_width(count));
        let types = match &selection.array().metadata {
            Metadata::Dense(meta) => Types::Dense(meta.dtype),
            Metadata::Sparse(meta) => {
                let (data, indices, indptr) = (meta.data_dtype, meta.indices_dtype, meta.indptr_dtype);
                Types::Sparse { data, indices, indptr }
            }
        };
        let (main, row) = match types {
            Types::Dense(_) => (Thing::Array, Thing::Array),
            Types::Sparse { .. } => (Thing::Data, Thing::Dense),
        };
        let has = |thing, of, format: &[u8]| super::find(selection, Part { thing, of }, format).is_some();
        Self {
            shape,
            types,
            row: format!("rows/{}", last(shape.rows())),
            column: format!("cols/{}", last(shape.columns())),
            has_npy: has(main, Scope::All, b"npy"),
            has_csv_rows: has(row, Scope::Row(0), b"csv"),
        }
    }

    /// The file and shape of what an example may read whole: all, or some rows.
    fn readable(&self, dtype: Dtype) -> (String, Shape) {
        match self.shape.bytes(dtype) {
            Some(bytes) if bytes <= SMALL => ("array".into(), self.shape),
            _ => {
                let fits = SMALL / self.shape.columns().saturating_mul(dtype.itemsize());
                let rows = BLOCK.min(fits).clamp(1, self.shape.rows());
                (format!("slices/0:{rows}/array"), self.shape.with_rows(rows))
            }
        }
    }
}

fn text(selection: &Selection) -> String {
    let facts = Facts::of(selection);
    let blocks = [
        ("Shell", "sh", shell::lines(&facts)),
        ("Python", "python", python::lines(&facts)),
        ("R", "r", r::lines(&facts)),
        ("Julia", "julia", julia::lines(&facts)),
        ("MATLAB", "matlab", matlab::lines(&facts)),
    ];
    let mut text = format!("# {}\n\n", shown(&selection.array().path).replace('`', "'"));
    text.push_str(&introduction(selection, &facts));
    text.push_str("\nThe lines below are run in this folder: file names are those in it.\n");
    for (title, language, lines) in blocks {
        let _ = write!(text, "\n## {title}\n\n```{language}\n{lines}```\n");
    }
    text.push_str("\n## All files\n\n");
    text.push_str(&all_files(selection));
    text
}

fn introduction(selection: &Selection, facts: &Facts) -> String {
    let rows = selection.rows();
    let mut text = match (facts.shape, &facts.types) {
        (Shape::Vector(n), Types::Dense(dtype)) => format!("Vector of {n} elements, {}", dtype.name()),
        (Shape::Matrix(rows, columns), Types::Dense(dtype)) => {
            format!("Matrix of {rows} rows and {columns} columns, {}, row after row", dtype.name())
        }
        (shape, Types::Sparse { data, indices, indptr }) => format!(
            "Sparse matrix (CSR) of {} rows and {} columns: `data` {}, `indices` {}, `indptr` {}",
            shape.rows(),
            shape.columns(),
            data.name(),
            indices.name(),
            indptr.name()
        ),
    };
    text.push_str("; little-endian. Rows and columns count from 0.\n");
    if !selection.is_whole() {
        let (start, step, all) = (rows.start(), rows.step(), selection.array().metadata.shape().rows());
        let _ = writeln!(text, "\nA slice of {all} rows: from {start} in steps of {step}.");
    }
    text.push_str(&names(selection, facts.shape));
    text
}

/// What to say of names; they themselves are not read.
fn names(selection: &Selection, shape: Shape) -> String {
    let files = &selection.array().names;
    let of = |what: &str, file: Option<&Path>, folder: &str| {
        let file = shown(file?).replace('`', "'");
        let place = match shape {
            Shape::Vector(_) => String::new(),
            Shape::Matrix(..) => format!(": see `by-name/{folder}/`"),
        };
        Some(format!("{what} have names, which `{file}` of the store holds{place}."))
    };
    let has_columns = !matches!(selection.array().metadata, Metadata::Sparse(_));
    let what = if matches!(shape, Shape::Vector(_)) { "Elements" } else { "Rows" };
    let folder = |has: bool, name: &'static str| if has { name } else { "" };
    let columns = of("Columns", files.of_columns(), folder(has_columns, "cols"));
    // The columns of a sparse matrix have no files that a name could lead to.
    let columns = columns.map(|text| text.replace(": see `by-name//`", ""));
    let lines: Vec<_> = [of(what, files.of_rows(), "rows"), columns].into_iter().flatten().collect();
    if lines.is_empty() { String::new() } else { format!("\n{}\n", lines.join("\n")) }
}

/// Every format of every thing, those that no listing shows too.
fn all_files(selection: &Selection) -> String {
    let mut text = String::new();
    let offered = |part: Part| super::offered(selection, part).map(|(_, view)| view);
    let name = |stem: &str, view: &dyn View| {
        let slash = if view.is_folder() { "/" } else { "" };
        match view.format() {
            "" => format!("{stem}{slash}"),
            format => format!("{stem}.{format}{slash}"),
        }
    };
    for thing in Thing::ALL {
        for view in offered(Part { thing, of: Scope::All }) {
            let about = view.about();
            let colon = if about.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "- `{}`{colon}{about}", name(thing.name(), view));
        }
    }
    let (rows, columns) = (selection.shape().rows(), selection.shape().columns());
    let number = |count: u64, i: u64| format!("{i:0width$}", width = index_width(count));
    let is_sparse = matches!(selection.array().metadata, Metadata::Sparse(_));
    if let Shape::Matrix(..) = selection.shape() {
        let of = Scope::Row(0);
        let first = format!("rows/{}", number(rows, 0));
        let things =
            if is_sparse { &[Thing::Data, Thing::Indices, Thing::Dense][..] } else { &[Thing::Array] };
        let files = things.iter().flat_map(|thing| {
            let stem = if is_sparse { format!("{first}/{}", thing.name()) } else { first.clone() };
            offered(Part { thing: *thing, of }).map(move |view| format!("`{}`", name(&stem, view)))
        });
        let files: Vec<_> = files.collect();
        let _ = writeln!(text, "- one row: {} … to `rows/{}`", files.join(" "), number(rows, rows - 1));
        let files = offered(Part { thing: Thing::Array, of: Scope::Column(0) });
        let first = format!("cols/{}", number(columns, 0));
        let files: Vec<_> = files.map(|view| format!("`{}`", name(&first, view))).collect();
        if !files.is_empty() {
            let last = number(columns, columns - 1);
            let _ = writeln!(text, "- one column: {} … to `cols/{last}`", files.join(" "));
        }
    }
    let _ = writeln!(
        text,
        "- `slices/0:{rows}/`: some rows, as a folder like this one; `::2`, `-1:` and so on as in Python"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(shape: Shape, types: Types) -> Facts {
        let (row, column) = ("rows/17".into(), "cols/3".into());
        Facts { shape, types, row, column, has_npy: true, has_csv_rows: true }
    }

    #[test]
    fn what_is_too_large_to_be_read_whole_is_read_in_part() {
        let readable = |shape| facts(shape, Types::Dense(Dtype::Float64)).readable(Dtype::Float64);
        assert_eq!(readable(Shape::Matrix(18, 4)), ("array".into(), Shape::Matrix(18, 4)));
        assert_eq!(readable(Shape::Matrix(1 << 30, 4)), ("slices/0:100/array".into(), Shape::Matrix(100, 4)));
        assert_eq!(readable(Shape::Matrix(7, 1 << 50)).1, Shape::Matrix(1, 1 << 50));
        assert_eq!(readable(Shape::Vector(1 << 60)).1, Shape::Vector(100));
    }

    #[test]
    fn every_dtype_has_lines_in_every_language() {
        for dtype in crate::dtype::FIXED_DTYPES {
            let sparse = Types::Sparse { data: dtype, indices: Dtype::Int32, indptr: Dtype::Int64 };
            let cases = [
                facts(Shape::Vector(5), Types::Dense(dtype)),
                facts(Shape::Matrix(18, 4), Types::Dense(dtype)),
                facts(Shape::Matrix(18, 4), sparse),
            ];
            for facts in cases {
                for lines in [shell::lines, python::lines, r::lines, julia::lines, matlab::lines] {
                    let lines = lines(&facts);
                    assert!(lines.ends_with('\n') && !lines.contains("```"), "{lines}");
                }
            }
        }
    }
}
