//! Text tables: `.csv` has commas, `.tsv` tabs. Lines end with a newline alone.
//!
//! ```text
//! array, dense     a line for each row; each number a cell of its type's width, see `text::cell`:
//!                  so any byte's cell is arithmetic, and files of any size can be read anywhere
//! … with names     where the names of rows and columns are known: a line of the columns' names, the
//!                  first cell of it empty, and the row's name at the start of every other line
//! matrix           row,column,value: a line for each stored element, rows and columns counted from 0 as in
//!                  NumPy, pandas, and the names of the folder's own rows/
//! rows/17          one line of exact text, each number as short as it can be; cells where it is very wide
//! cols/3, data, …  one number a line
//! ```
//!
//! All floats read back to the same bits. NaN and infinities are `NaN`, `Inf` and `-Inf` behind spaces:
//! NumPy, R, DuckDB and Arrow skip these, pandas where `skipinitialspace=True`, polars where a schema
//! says that the column has numbers. Names are in quotes where they need them (RFC 4180), in `.tsv` too.

use std::sync::Arc;

use super::View;
use crate::error::{Error, Result};
use crate::format::Shape;
use crate::part::{Part, Scope, Selection, Thing};
use crate::select::Rows;
use crate::text::{Axis, Coordinates, Layout, NameLines, NamedTable, Piece, Table, WIDEST_ROW, exact_row};
use crate::vfile::{Extent, VirtualFile};

/// Text with separators of one kind.
pub(super) struct Separated {
    format: &'static str,
    separator: u8,
    is_listed: bool,
    about: &'static str,
    header: &'static str,
    column_name: &'static [Piece],
}

impl Separated {
    /// `.csv`.
    pub const CSV: Self = Self {
        format: "csv",
        separator: b',',
        is_listed: true,
        about: "text with commas: spreadsheets, `cut`, DuckDB, `read.csv` in R, `pandas.read_csv(file, skipinitialspace=True)`",
        header: "row,column,value\n",
        column_name: &[Piece::Text(","), Piece::Name],
    };

    /// `.tsv`.
    pub const TSV: Self = Self {
        format: "tsv",
        separator: b'\t',
        is_listed: false,
        about: "text with tabs, else as `.csv`: `cut`, `read.delim` in R",
        header: "row\tcolumn\tvalue\n",
        column_name: &[Piece::Text("\t"), Piece::Name],
    };

    fn elements(&self, selection: &Selection) -> Result<VirtualFile> {
        let elements = Coordinates::new(selection, Layout::table(self.separator))?;
        let length = elements.length();
        let header = Extent::Literal(self.header.as_bytes().into());
        VirtualFile::new([header, Extent::Generated { content: Arc::new(elements), length }])
    }

    /// A row as exact text, made whole.
    fn row(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let block = selection.block(part)?;
        let mut bytes = vec![0; usize::try_from(block.bytes.len()).unwrap_or(usize::MAX)];
        block.bytes.read_exact_at(0, &mut bytes)?;
        Ok(VirtualFile::literal(exact_row(block.dtype, &bytes, self.separator.into()).into_bytes()))
    }

    fn table(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let columns = columns(selection, part);
        let block = selection.block(part)?;
        let table = Table::new(block, columns, self.separator);
        let table = table.ok_or_else(|| Error::not_found(&selection.array().path))?;
        match names(selection, part)? {
            None => {
                let length = table.length();
                VirtualFile::new([Extent::Generated { content: Arc::new(table), length }])
            }
            Some([rows, columns]) => {
                let header = NameLines::new(columns, self.column_name);
                let table = NamedTable::new(rows, table);
                let (header_length, length) = (header.length(), table.length());
                VirtualFile::new([
                    Extent::Generated { content: Arc::new(header), length: header_length },
                    Extent::Literal(b"\n".to_vec().into()),
                    Extent::Generated { content: Arc::new(table), length },
                ])
            }
        }
    }
}

/// Numbers on a line.
fn columns(selection: &Selection, part: Part) -> u64 {
    match (part.thing, part.of, selection.shape()) {
        (Thing::Array | Thing::Dense, Scope::All | Scope::Row(_), Shape::Matrix(_, columns)) => columns,
        _ => 1,
    }
}

/// Whether a table of the part shows names, should they be known.
fn may_have_names(part: Part) -> bool {
    part.of == Scope::All && matches!(part.thing, Thing::Array | Thing::Dense)
}

/// The names of rows and columns, where a table of the part shows them: both are known.
fn names(selection: &Selection, part: Part) -> Result<Option<[Axis; 2]>> {
    if !may_have_names(part) {
        return Ok(None);
    }
    let names = selection.names()?;
    let (Some(rows), Some(columns)) = (names.rows, names.columns) else { return Ok(None) };
    let all_columns = Rows::all(columns.len());
    Ok(Some([Axis::known(rows, selection.rows()), Axis::known(columns, all_columns)]))
}

fn is_short_row(selection: &Selection, part: Part) -> bool {
    matches!((part.of, part.thing), (Scope::Row(_), Thing::Array | Thing::Dense))
        && selection.shape().columns() <= WIDEST_ROW
}

impl View for Separated {
    fn format(&self) -> &'static str {
        self.format
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let dtype = selection.array().metadata.dtype();
        let elements = selection.shape().elements();
        match part.thing {
            Thing::Matrix => Coordinates::length_of(selection, Layout::table(self.separator)).is_some(),
            Thing::Array | Thing::Dense => Table::length_of(dtype, elements).is_some(),
            Thing::Data | Thing::Indices | Thing::Indptr => true,
            _ => false,
        }
    }

    fn is_listed(&self, part: Part) -> bool {
        self.is_listed && may_have_names(part)
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn shows_names(&self, part: Part) -> bool {
        may_have_names(part)
    }

    fn is_sized_by_data(&self, selection: &Selection, part: Part) -> bool {
        matches!((part.thing, part.of), (Thing::Data | Thing::Indices, Scope::Row(_)))
            || is_short_row(selection, part)
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        match part.thing {
            _ if !self.offers(selection, part) => Err(Error::not_found(&selection.array().path)),
            Thing::Matrix => self.elements(selection),
            _ if is_short_row(selection, part) => self.row(selection, part),
            _ => self.table(selection, part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::testing::{dense, sparse, text};

    fn read(view: &Separated, selection: &Selection, thing: Thing, of: Scope) -> String {
        text(&view.file(selection, Part { thing, of }).unwrap())
    }

    #[test]
    fn tables_are_exact() {
        let (_dir, selection) = dense("int16", "[2, 3]", &[1, 0, 0xFF, 0xFF, 3, 0, 4, 0, 0, 0x80, 6, 0]);
        let csv = |of| read(&Separated::CSV, &selection, Thing::Array, of);
        assert_eq!(csv(Scope::All), "     1,    -1,     3\n     4,-32768,     6\n");
        assert_eq!(csv(Scope::Row(1)), "4,-32768,6\n");
        assert_eq!(csv(Scope::Column(0)), "     1\n     4\n");
        let tsv = read(&Separated::TSV, &selection, Thing::Array, Scope::All);
        assert_eq!(tsv, csv(Scope::All).replace(',', "\t"));
        let last = selection.slice(b"1:").unwrap();
        assert_eq!(read(&Separated::CSV, &last, Thing::Array, Scope::All), "     4,-32768,     6\n");
    }

    #[test]
    fn sparse_tables_are_exact() {
        let (_dir, selection) = sparse([2, 3], &[1.5, f32::NAN], &[2, 0], &[0, 1, 2]);
        let csv = |thing, of| read(&Separated::CSV, &selection, thing, of);
        assert_eq!(
            csv(Thing::Matrix, Scope::All),
            "row,column,value\n0,2,1.500000000e+00\n1,0,            NaN\n"
        );
        let zero = "0.000000000e+00";
        assert_eq!(
            csv(Thing::Dense, Scope::All),
            format!("{zero},{zero},1.500000000e+00\n            NaN,{zero},{zero}\n")
        );
        assert_eq!(csv(Thing::Dense, Scope::Row(1)), "NaN,0.0,0.0\n");
        assert_eq!(csv(Thing::Indices, Scope::All), "          2\n          0\n");
    }
}
