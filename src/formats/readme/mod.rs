//! `README.md`: how to read this very array, with lines to paste for the shell and four languages.
//!
//! It is written from what `meta.yaml` tells too: neither data nor long lists of names are read. Each
//! language has one code block, which holds without the others.

#[cfg(feature = "verify")]
pub(super) mod verify;

mod julia;
mod matlab;
mod octave;
mod python;
mod r;
mod shell;
mod table;

use std::fmt::Write;
use std::path::Path;

use super::Format;
use crate::array::selection::{Part, Scope, Selection, Thing};
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::{Metadata, Shape};
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::encode::text::is_short;
use crate::error::{Error, Result, shown};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Readme;

impl Readme {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if part.thing != Thing::Readme {
            return Err(Error::not_found(&selection.array().path));
        }
        Ok(VirtualFile::literal(text(selection).into_bytes()))
    }
}

impl Format for Readme {
    fn extension(&self) -> &'static str {
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

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

/// Rows that an example reads of an array too large to be read whole.
const BLOCK: u64 = 100;
/// Bytes that an example reads whole.
const SMALL: u64 = 256 << 20;

/// Columns of a table that an example reads ten rows of, as text.
const WIDE: u64 = 10_000;

/// What the examples are made of.
struct Facts {
    shape: Shape,
    types: Types,
    /// A row, by its file or folder: the last, which shows how wide the numbers are.
    row: String,
    column: String,
    /// Names of the files that hold all rows.
    files: Vec<String>,
    /// Whether one row comes as text.
    has_csv_rows: bool,
    /// Whether names stand in front of the lines of a table.
    has_row_names: bool,
    /// Bytes of all numbers.
    bytes: u64,
}

/// Bytes of the numbers, of a sparse matrix of those of all rows.
fn bytes(metadata: &Metadata, shape: Shape) -> u64 {
    match metadata {
        Metadata::Dense(meta) => shape.bytes(meta.dtype).unwrap_or(u64::MAX),
        Metadata::Sparse(meta) => {
            let item = meta.data_dtype.itemsize() + meta.indices_dtype.itemsize();
            meta.nnz.saturating_mul(item)
        }
    }
}

enum Types {
    Dense(Dtype),
    Sparse { data: Dtype, indices: Dtype, indptr: Dtype },
}

impl Facts {
    fn of(selection: &Selection) -> Self {
        let shape = selection.shape();
        let last = |count: u64| table::number(count, count - 1);
        let types = match &selection.array().metadata {
            Metadata::Dense(meta) => Types::Dense(meta.dtype),
            Metadata::Sparse(meta) => {
                let (data, indices, indptr) = (meta.data_dtype, meta.indices_dtype, meta.indptr_dtype);
                Types::Sparse { data, indices, indptr }
            }
        };
        let row = match types {
            Types::Dense(_) => Part { thing: Thing::Array, of: Scope::Row(0) },
            Types::Sparse { .. } => Part { thing: Thing::Dense, of: Scope::Row(0) },
        };
        let names = &selection.array().names;
        Self {
            shape,
            types,
            row: format!("rows/{}", last(shape.rows())),
            column: format!("cols/{}", last(shape.columns())),
            files: table::names(selection),
            has_csv_rows: super::find(selection, row, b"csv").is_some(),
            has_row_names: names.of_rows().is_some(),
            bytes: bytes(&selection.array().metadata, shape),
        }
    }

    /// Whether there is a file of this name.
    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.trim_end_matches('/') == name)
    }

    /// What the numbers are called, as one thing.
    fn whole(&self) -> &'static str {
        match self.types {
            Types::Dense(_) => "array",
            Types::Sparse { .. } => "matrix",
        }
    }

    /// What the numbers of a table are, zeros too.
    fn table_thing(&self) -> &'static str {
        if matches!(self.types, Types::Dense(_)) { "array" } else { "dense" }
    }

    /// The file of all numbers as text without a header.
    fn numbers(&self) -> String {
        format!("{}.txt", self.table_thing())
    }

    /// What who reads all numbers as text must be told, where they are many.
    fn wide_text(&self) -> Option<String> {
        let (Types::Dense(dtype) | Types::Sparse { data: dtype, .. }) = self.types;
        let table = format!("{}.csv", self.table_thing());
        (self.has(&table) && !is_short(dtype, self.shape.elements())).then(|| {
            format!(
                "`{table}` is so large that its numbers have spaces in front, all of one width, and any of them is \
found by arithmetic: it is read by `pandas.read_csv(file, skipinitialspace=True)`, R and DuckDB as it is, polars \
where `schema=` says that these are numbers.\n"
            )
        })
    }

    /// The first rows as a table of text, where there is one.
    fn table(&self) -> Option<String> {
        let thing = format!("{}.csv", self.table_thing());
        let table = || format!("slices/0:{}/{thing}", self.shape.rows().min(10));
        (self.has(&thing) && self.shape.columns() <= WIDE).then(table)
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
        ("Octave", "octave", octave::lines(&facts)),
    ];
    let mut text = format!("# {}\n\n", shown(&selection.array().path).replace('`', "'"));
    text.push_str(&introduction(selection, &facts));
    text.push('\n');
    text.push_str(&table::all_files(selection));
    text.push_str("\nThe lines below are run in this folder; whatever is unknown here may be left out.\n");
    for (title, language, lines) in blocks {
        let _ = write!(text, "\n## {title}\n```{language}\n{lines}```\n");
    }
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
    text.extend(facts.wide_text().map(|wide| format!("\n{wide}")));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(shape: Shape, types: Types) -> Facts {
        let (row, column) = ("rows/17".into(), "cols/3".into());
        let things = ["array", "dense", "data", "matrix"];
        let formats = ["npy", "csv", "parquet", "h5ad", "zarr", "safetensors", "rds", "mat", "h5"];
        let files = things.iter().flat_map(|thing| formats.map(|format| format!("{thing}.{format}")));
        let files = files.collect();
        Facts { shape, types, row, column, files, has_csv_rows: true, has_row_names: false, bytes: 1 }
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
                for lines in
                    [shell::lines, python::lines, r::lines, julia::lines, matlab::lines, octave::lines]
                {
                    let lines = lines(&facts);
                    assert!(lines.ends_with('\n') && !lines.contains("```"), "{lines}");
                }
            }
        }
    }
}
