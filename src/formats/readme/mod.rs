//! `README.md`: how to read this particular array, with examples to paste for the shell and five languages.
//!
//! It is generated from the metadata alone, so that reading it costs nothing: neither data nor long lists of
//! names are read. Each language has one code block, which works without the others.

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
use crate::array::selection::{Component, Part, Region, Selection};
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
        if part.component != Component::Readme {
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
        part.component == Component::Readme
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

/// Number of rows that an example reads if the array is too large to read whole.
const BLOCK: u64 = 100;
/// Limit on the size in bytes that an example reads whole.
const SMALL: u64 = 256 << 20;

/// Limit on the columns of a table of which an example reads ten rows as text.
const WIDE: u64 = 10_000;

/// The facts about the array that the examples need.
struct Facts {
    shape: Shape,
    types: Types,
    /// The path of a row's file or directory. It is the last row, which shows how many digits the numbers
    /// have.
    row: String,
    column: String,
    /// Names of the files of the whole region.
    files: Vec<String>,
    /// Whether single rows are available as CSV.
    has_csv_rows: bool,
    /// Whether lines of a table begin with names.
    has_row_names: bool,
    /// Size of all numbers in bytes.
    bytes: u64,
}

/// Size in bytes of the numbers. For a sparse matrix it is that of the stored elements and their columns.
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
            Types::Dense(_) => Part { component: Component::Array, of: Region::Row(0) },
            Types::Sparse { .. } => Part { component: Component::Dense, of: Region::Row(0) },
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

    /// Whether a file of this name exists.
    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.trim_end_matches('/') == name)
    }

    /// The component that represents the whole array.
    fn whole(&self) -> &'static str {
        match self.types {
            Types::Dense(_) => "array",
            Types::Sparse { .. } => "matrix",
        }
    }

    /// The component that a table shows, with the zeros.
    fn table_thing(&self) -> &'static str {
        if matches!(self.types, Types::Dense(_)) { "array" } else { "dense" }
    }

    /// The text file of all numbers, without a header.
    fn numbers(&self) -> String {
        format!("{}.txt", self.table_thing())
    }

    /// A hint for reading all numbers as text, if the table is so large that its numbers have a fixed width.
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

    /// The path of the first rows as a table, if there is one.
    fn table(&self) -> Option<String> {
        let component = format!("{}.csv", self.table_thing());
        let table = || format!("slices/0:{}/{component}", self.shape.rows().min(10));
        (self.has(&component) && self.shape.columns() <= WIDE).then(table)
    }

    /// The file and shape that an example may read whole: the array, or some of its rows if it is too large.
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

/// The sentences about names. They name the files of the names but do not read them.
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
    // A column of a sparse matrix has no file of its own to which a name could lead.
    let columns = columns.map(|text| text.replace(": see `by-name//`", ""));
    let lines: Vec<_> = [of(what, files.of_rows(), "rows"), columns].into_iter().flatten().collect();
    if lines.is_empty() { String::new() } else { format!("\n{}\n", lines.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(shape: Shape, types: Types) -> Facts {
        let (row, column) = ("rows/17".into(), "cols/3".into());
        let components = ["array", "dense", "data", "matrix"];
        let formats = ["npy", "csv", "parquet", "h5ad", "zarr", "safetensors", "rds", "mat", "h5"];
        let files =
            components.iter().flat_map(|component| formats.map(|format| format!("{component}.{format}")));
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
