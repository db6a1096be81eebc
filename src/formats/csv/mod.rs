//! Text tables. `.csv` uses commas and `.tsv` tabs, both with a header. `.txt` uses spaces, and contains
//! numbers only. Lines end with `\n`.
//!
//! ```text
//! array, dense     one line per row, the numbers separated
//! rows/17          one such line, rendered whole unless it is very long
//! cols/3, data, …  one number per line
//! matrix           row,column,value: one line per stored element; rows and columns are numbered from 0, as
//!                  in NumPy, pandas and the names in rows/; not available as .txt
//! ```
//!
//! The header holds the names of the columns, or `c0`, `c1` and so on; for a vector, `value`. If rows have
//! names, these are the first column. Its header is the name of their axis, or `row`. Names are quoted where
//! necessary (RFC 4180), in `.tsv` as well.
//!
//! Up to a certain size of the table, numbers are [as short as possible](crate::encode::text::is_short). In
//! larger tables, every number is a cell of fixed width, padded with leading spaces. The position of any cell
//! is then arithmetic, so that tables of any size can be read at any offset. All numbers read back to the
//! same bits.

#[cfg(feature = "import")]
pub(super) mod import;
#[cfg(feature = "verify")]
pub(super) mod verify;

use std::sync::Arc;

use super::Format;
use crate::array::names::write_quoted;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::{Metadata, Shape};
use crate::encode::Rendered;
use crate::encode::text::{
    Axis, Coordinates, Layout, NameLines, NamedTable, Piece, Separators, ShortCoordinates, ShortTable, Table,
    Text, is_short,
};
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::rows::Rows;
use crate::word::to_usize;

/// The longest row that is rendered whole, in numbers.
const LONGEST_ROW: u64 = 1 << 20;

/// A text format with one kind of separator.
pub(super) struct Separated {
    extension: &'static str,
    separator: u8,
    is_listed: bool,
    about: &'static str,
    /// How to write the header. `None` for formats without one, which hold numbers only.
    header: Option<Header>,
}

struct Header {
    /// The header line of a sparse matrix, listed by elements.
    of_elements: &'static str,
    separator: &'static str,
    /// A column name that is not the last: the name and a separator.
    column: &'static [Piece],
}

/// The text around the numbers of a table.
#[derive(Default)]
struct Frame {
    header: Vec<Extent>,
    /// The names in front of each line.
    rows: Option<Axis>,
}

impl Separated {
    /// `.csv`.
    pub const CSV: Self = Self {
        extension: "csv",
        separator: b',',
        is_listed: true,
        about: "a table with a header: spreadsheets, DuckDB, `polars.read_csv`, `pandas.read_csv`, `read.csv` in R",
        header: Some(Header {
            of_elements: "row,column,value\n",
            separator: ",",
            column: &[Piece::Name, Piece::Text(",")],
        }),
    };

    /// `.tsv`.
    pub const TSV: Self = Self {
        extension: "tsv",
        separator: b'\t',
        is_listed: false,
        about: "a table with tabs, else as `.csv`: `cut`, `read.delim` in R",
        header: Some(Header {
            of_elements: "row\tcolumn\tvalue\n",
            separator: "\t",
            column: &[Piece::Name, Piece::Text("\t")],
        }),
    };

    /// `.txt`.
    pub const TXT: Self = Self {
        extension: "txt",
        separator: b' ',
        is_listed: false,
        about: "numbers only, blanks between them: `awk`, `sort`, gnuplot, `numpy.loadtxt`, `scan` in R",
        header: None,
    };

    /// A sparse matrix, one line per stored element.
    fn elements(&self, selection: &Selection, header: &Header) -> Result<VirtualFile> {
        let elements = Coordinates::new(selection, Layout::table(self.separator))?;
        let elements = match is_short(selection.array().metadata.dtype(), elements.count()) {
            true => {
                let elements = ShortCoordinates::new(selection, elements, self.separator)?;
                let length = elements.length();
                Extent::Generated { content: Arc::new(elements), length }
            }
            false => {
                let length = elements.length();
                Extent::Generated { content: Arc::new(elements), length }
            }
        };
        VirtualFile::new([Extent::Literal(header.of_elements.as_bytes().into()), elements])
    }

    fn table(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let Frame { mut header, rows } = self.frame(selection, part)?;
        let (block, columns) = (selection.block(part)?, columns(selection, part));
        header.push(match block.shape.elements() {
            _ if is_whole_row(selection, part) => self.row(&block, rows)?,
            cells if is_short(block.dtype, cells) => {
                let table = ShortTable::new(selection, part, block, columns, self.separator, rows)?;
                let length = table.length();
                Extent::Generated { content: Arc::new(table), length }
            }
            _ => {
                let table = Table::new(block, columns, self.separator);
                let table = table.ok_or_else(|| Error::not_found(&selection.array().path))?;
                wide(table, rows)
            }
        });
        VirtualFile::new(header)
    }

    /// One row, rendered whole instead of on read.
    fn row(&self, block: &Block, name: Option<Axis>) -> Result<Extent> {
        let mut bytes = vec![0; to_usize(block.bytes.len())];
        block.bytes.read_exact_at(0, &mut bytes)?;
        let mut text = Text::default();
        if let Some(name) = name {
            name.write(0, &mut text);
            text.push(&[self.separator]);
        }
        let columns = block.shape.elements();
        text.push_items(block.dtype, &bytes, &mut Separators::from(0, columns, self.separator));
        Ok(Extent::Literal(text.bytes().into()))
    }

    /// The header, and the names of the rows.
    fn frame(&self, selection: &Selection, part: Part) -> Result<Frame> {
        let Some(header) = &self.header else { return Ok(Frame::default()) };
        if !may_have_names(part) {
            return Ok(Frame { header: vec![Extent::Literal(b"value\n".as_slice().into())], rows: None });
        }
        let names = selection.names()?;
        let files = &selection.array().names;
        let rows = names.rows.map(|rows| match part.of {
            Region::Row(i) => Axis::known(rows, selection.rows().only(i)).one(0),
            _ => Axis::known(rows, selection.rows()),
        });
        let columns = match selection.shape() {
            Shape::Vector(_) => {
                let property = files.property().filter(|_| rows.is_some());
                Axis::only(quoted(property.unwrap_or("value")))
            }
            Shape::Matrix(_, columns) => {
                let all = match names.columns {
                    Some(names) => Axis::known(names, Rows::all(columns)),
                    None => Axis::counted("c", columns),
                };
                if let Region::Column(j) = part.of { all.one(j) } else { all }
            }
        };
        let corner = rows.is_some().then(|| quoted(files.row_axis().unwrap_or("row")));
        Ok(Frame { header: header.line(corner, &columns), rows })
    }
}

impl Header {
    /// The header line: `corner`, if rows have names, and the names of the columns.
    fn line(&self, corner: Option<Vec<u8>>, columns: &Axis) -> Vec<Extent> {
        let mut header = Vec::new();
        if let Some(mut corner) = corner {
            corner.extend_from_slice(self.separator.as_bytes());
            header.push(Extent::Literal(corner.into()));
        }
        // The last name is followed by a newline and not by a separator, so it is written separately.
        if let Some(columns) = columns.but_last() {
            let lines = NameLines::new(columns, self.column);
            let length = lines.length();
            header.push(Extent::Generated { content: Arc::new(lines), length });
        }
        let mut last = Vec::new();
        columns.append(columns.count() - 1, &mut last);
        last.push(b'\n');
        header.push(Extent::Literal(last.into()));
        header
    }
}

/// A table with cells of fixed width.
fn wide(table: Table, rows: Option<Axis>) -> Extent {
    match rows {
        None => {
            let length = table.length();
            Extent::Generated { content: Arc::new(table), length }
        }
        Some(rows) => {
            let table = NamedTable::new(rows, table);
            let length = table.length();
            Extent::Generated { content: Arc::new(table), length }
        }
    }
}

fn quoted(name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    write_quoted(name, &mut text);
    text
}

/// How many numbers are on one line.
fn columns(selection: &Selection, part: Part) -> u64 {
    match (part.component, part.of, selection.shape()) {
        (Component::Array | Component::Dense, Region::Whole | Region::Row(_), Shape::Matrix(_, columns)) => {
            columns
        }
        _ => 1,
    }
}

/// Whether a table of this part shows names if there are any.
fn may_have_names(part: Part) -> bool {
    matches!(part.component, Component::Array | Component::Dense)
}

fn is_whole_row(selection: &Selection, part: Part) -> bool {
    matches!((part.of, part.component), (Region::Row(_), Component::Array | Component::Dense))
        && selection.shape().columns() <= LONGEST_ROW
}

impl Separated {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        match (part.component, &self.header) {
            _ if !self.offers(selection, part) => Err(Error::not_found(&selection.array().path)),
            (Component::Matrix, Some(header)) => self.elements(selection, header),
            _ => self.table(selection, part),
        }
    }
}

impl Format for Separated {
    fn extension(&self) -> &'static str {
        self.extension
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let dtype = selection.array().metadata.dtype();
        let elements = selection.shape().elements();
        match part.component {
            Component::Matrix => {
                let length = || Coordinates::length_of(selection, Layout::table(self.separator));
                self.header.is_some() && length().is_some()
            }
            Component::Array | Component::Dense => Table::length_of(dtype, elements).is_some(),
            Component::Data | Component::Indices | Component::Indptr => true,
            _ => false,
        }
    }

    fn is_listed(&self, part: Part) -> bool {
        self.is_listed && part.of == Region::Whole && may_have_names(part)
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn shows_names(&self, part: Part) -> bool {
        self.header.is_some() && may_have_names(part)
    }

    fn size_needs_data(&self, selection: &Selection, part: Part) -> bool {
        let cells = match (&selection.array().metadata, part.component, part.of) {
            (_, Component::Array | Component::Dense, Region::Whole) => selection.shape().elements(),
            (_, _, Region::Column(_)) => selection.rows().count(),
            // The number of elements in some rows is unknown without a read; that of all rows is an upper
            // bound.
            (Metadata::Sparse(meta), Component::Matrix | Component::Data | Component::Indices, _) => meta.nnz,
            _ => 0,
        };
        is_short(selection.dtype_of(part).unwrap_or(selection.array().metadata.dtype()), cells)
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        match self.extension {
            "csv" => verify::verify_csv(shown),
            "tsv" => verify::verify_tsv(shown),
            _ => verify::verify_txt(shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::text::testing::{dense, sparse, text};

    fn read(view: &Separated, selection: &Selection, component: Component, of: Region) -> String {
        text(&view.file(selection, Part { component, of }).unwrap())
    }

    #[test]
    fn tables_are_exact() {
        let (_dir, selection) = dense("int16", "[2, 3]", &[1, 0, 0xFF, 0xFF, 3, 0, 4, 0, 0, 0x80, 6, 0]);
        let csv = |of| read(&Separated::CSV, &selection, Component::Array, of);
        assert_eq!(csv(Region::Whole), "c0,c1,c2\n1,-1,3\n4,-32768,6\n");
        assert_eq!(csv(Region::Row(1)), "c0,c1,c2\n4,-32768,6\n");
        assert_eq!(csv(Region::Column(0)), "c0\n1\n4\n");
        assert_eq!(csv(Region::Column(2)), "c2\n3\n6\n");
        let of_all = |view| read(view, &selection, Component::Array, Region::Whole);
        assert_eq!(of_all(&Separated::TSV), csv(Region::Whole).replace(',', "\t"));
        assert_eq!(of_all(&Separated::TXT), "1 -1 3\n4 -32768 6\n");
        assert_eq!(read(&Separated::TXT, &selection, Component::Array, Region::Row(0)), "1 -1 3\n");
        let last = selection.slice(b"1:").unwrap();
        assert_eq!(read(&Separated::CSV, &last, Component::Array, Region::Whole), "c0,c1,c2\n4,-32768,6\n");
        let (_dir, vector) = dense("float32", "[2]", &[0, 0, 0xC0, 0x3F, 0, 0, 0xC0, 0x7F]);
        assert_eq!(read(&Separated::CSV, &vector, Component::Array, Region::Whole), "value\n1.5\nNaN\n");
        assert_eq!(read(&Separated::TXT, &vector, Component::Array, Region::Whole), "1.5\nNaN\n");
    }

    #[test]
    fn sparse_tables_are_exact() {
        let (_dir, selection) = sparse([2, 3], &[1.5, f32::NAN], &[2, 0], &[0, 1, 2]);
        let csv = |component, of| read(&Separated::CSV, &selection, component, of);
        assert_eq!(csv(Component::Matrix, Region::Whole), "row,column,value\n0,2,1.5\n1,0,NaN\n");
        assert_eq!(csv(Component::Dense, Region::Whole), "c0,c1,c2\n0.0,0.0,1.5\nNaN,0.0,0.0\n");
        assert_eq!(csv(Component::Dense, Region::Row(1)), "c0,c1,c2\nNaN,0.0,0.0\n");
        assert_eq!(csv(Component::Indices, Region::Whole), "value\n2\n0\n");
        assert_eq!(csv(Component::Indices, Region::Row(1)), "value\n0\n");
        assert_eq!(
            read(&Separated::TXT, &selection, Component::Dense, Region::Whole),
            "0.0 0.0 1.5\nNaN 0.0 0.0\n"
        );
        assert!(!Separated::TXT.offers(&selection, Part { component: Component::Matrix, of: Region::Whole }));
        let (_dir, none) = sparse([2, 3], &[], &[], &[0, 0, 0]);
        assert_eq!(read(&Separated::CSV, &none, Component::Matrix, Region::Whole), "row,column,value\n");
        assert_eq!(read(&Separated::CSV, &none, Component::Data, Region::Whole), "value\n");
    }

    #[test]
    fn names_show_where_there_are_any() {
        let (dir, selection) = dense("int8", "[2, 2]", &[1, 2, 3, 4]);
        let again = || {
            let store = Arc::new(crate::store::Store::open(dir.path()).unwrap());
            let array =
                crate::array::stored_array::StoredArray::load(&store, selection.array().path.as_path())
                    .unwrap();
            Selection::whole(Arc::new(array))
        };
        let csv = |of| read(&Separated::CSV, &again(), Component::Array, of);
        std::fs::write(dir.path().join("x.cols.txt"), "a,b\nc\n").unwrap();
        assert_eq!(csv(Region::Whole), "\"a,b\",c\n1,2\n3,4\n");
        assert_eq!(csv(Region::Column(0)), "\"a,b\"\n1\n3\n");
        std::fs::write(dir.path().join("x.rows.txt"), "r\ns t\n").unwrap();
        assert_eq!(csv(Region::Whole), "row,\"a,b\",c\nr,1,2\ns t,3,4\n");
        assert_eq!(csv(Region::Row(1)), "row,\"a,b\",c\ns t,3,4\n");
        assert_eq!(csv(Region::Column(1)), "row,c\nr,2\ns t,4\n");
        let last = again().slice(b"1:").unwrap();
        assert_eq!(
            read(&Separated::TSV, &last, Component::Array, Region::Whole),
            "row\t\"a,b\"\tc\ns t\t3\t4\n"
        );
        assert_eq!(read(&Separated::TXT, &last, Component::Array, Region::Whole), "3 4\n");
        std::fs::remove_file(dir.path().join("x.cols.txt")).unwrap();
        assert_eq!(csv(Region::Whole), "row,c0,c1\nr,1,2\ns t,3,4\n");
    }

    #[test]
    fn axes_head_the_names() {
        let (dir, _) = dense("int8", "[2, 2]", &[1, 2, 3, 4]);
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("__daf__.yaml"), "").unwrap();
        std::fs::write(at("cell#.csv"), "cell\nA\nB\n").unwrap();
        std::fs::rename(at("x.array"), at("cell,gene#X.array")).unwrap();
        std::fs::rename(at("x.yaml"), at("cell,gene#X.yaml")).unwrap();
        std::fs::write(at("cell#age.array"), [7, 8]).unwrap();
        std::fs::write(at("cell#age.yaml"), "dtype: int8\nshape: [2]\nversion: [1, 0]\n").unwrap();
        let csv = |name: &str, of| {
            let store = Arc::new(crate::store::Store::open(dir.path()).unwrap());
            let array =
                crate::array::stored_array::StoredArray::load(&store, std::path::Path::new(name)).unwrap();
            read(&Separated::CSV, &Selection::whole(Arc::new(array)), Component::Array, of)
        };
        assert_eq!(csv("cell,gene#X", Region::Whole), "cell,c0,c1\nA,1,2\nB,3,4\n");
        assert_eq!(csv("cell,gene#X", Region::Row(0)), "cell,c0,c1\nA,1,2\n");
        assert_eq!(csv("cell,gene#X", Region::Column(1)), "cell,c1\nA,2\nB,4\n");
        assert_eq!(csv("cell#age", Region::Whole), "cell,age\nA,7\nB,8\n");
        std::fs::write(at("gene#.csv"), "gene\nx\ny\n").unwrap();
        assert_eq!(csv("cell,gene#X", Region::Whole), "cell,x,y\nA,1,2\nB,3,4\n");
        std::fs::remove_file(at("cell#.csv")).unwrap();
        assert_eq!(csv("cell#age", Region::Whole), "value\n7\n8\n");
    }

    #[test]
    fn long_tables_are_the_same_in_pieces_and_in_slices() {
        let values: Vec<f32> = (0..30_000u16).map(|i| (f32::from(i) - 5e3).powi(5) * 0.37e-9).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (_dir, selection) = dense("float32", "[10000, 3]", &bytes);
        let all = read(&Separated::TXT, &selection, Component::Array, Region::Whole);
        let found: Vec<f32> = all.split_whitespace().map(|cell| cell.parse().unwrap()).collect();
        assert!(found == values && all.lines().count() == 10_000);
        let lines: Vec<_> = all.lines().collect();
        for (slice, first, last, step) in
            [("17:9000", 17, 9000, 1), ("500:501", 500, 501, 1), ("::7", 0, 10_000, 7)]
        {
            // With the layout known from the whole table, and with a layout that is measured again.
            for selection in [&selection, &selection.anew()] {
                let part = selection.slice(slice.as_bytes()).unwrap();
                let found = read(&Separated::TXT, &part, Component::Array, Region::Whole);
                assert!(found.lines().eq(lines[first..last].iter().step_by(step).copied()), "{slice}");
            }
        }
        let column = read(&Separated::CSV, &selection, Component::Array, Region::Column(1));
        assert!(column.lines().skip(1).eq(lines.iter().map(|line| line.split(' ').nth(1).unwrap())));
    }

    #[test]
    fn what_has_another_length_by_now_is_an_error() {
        let (dir, selection) = dense("int32", "[4000]", &7i32.to_le_bytes().repeat(4000));
        let file =
            Separated::CSV.file(&selection, Part { component: Component::Array, of: Region::Whole }).unwrap();
        file.open().unwrap();
        assert_eq!(file.len(), 6 + 2 * 4000);
        let written = std::fs::File::options().write(true).open(dir.path().join("x.array")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&written, &70i32.to_le_bytes(), 4 * 3000).unwrap();
        let mut bytes = [0; 100];
        // Text before and after the changed number stays readable, because neither moves.
        for place in [0, 6 + 2 * 1500, 6 + 2 * 3500] {
            file.read_at(place, &mut bytes).unwrap();
            assert!(bytes.ends_with(b"7\n7\n7\n"), "{place}");
        }
        for place in [2900, 3000, 3050] {
            let broken = file.read_at(6 + 2 * place, &mut bytes);
            assert!(matches!(broken, Err(Error::Stale { .. })), "{place} {broken:?}");
        }
    }

    #[test]
    fn tables_beyond_the_limits_have_cells_of_one_width() {
        let dir = tempfile::tempdir().unwrap();
        let load = |dtype: &str, count: u64, item: u64| {
            let file = std::fs::File::create(dir.path().join("x.array")).unwrap();
            file.set_len(count * item).unwrap();
            let yaml = format!("dtype: {dtype}\nshape: [{count}]\nversion: [1, 0]\n");
            std::fs::write(dir.path().join("x.yaml"), yaml).unwrap();
            let store = Arc::new(crate::store::Store::open(dir.path()).unwrap());
            let array =
                crate::array::stored_array::StoredArray::load(&store, std::path::Path::new("x")).unwrap();
            let selection = Selection::whole(Arc::new(array));
            let part = Part { component: Component::Array, of: Region::Whole };
            assert_eq!(Separated::CSV.size_needs_data(&selection, part), count <= 64 << 20);
            (selection, part)
        };
        let (selection, part) = load("float32", (64 << 20) + 1, 4);
        let file = Separated::CSV.file(&selection, part).unwrap();
        assert_eq!(file.len(), 6 + ((64 << 20) + 1) * 16);
        let mut end = [0; 17];
        file.read_at(file.len() - 17, &mut end).unwrap();
        assert_eq!(&end, b"\n0.000000000e+00\n");
        let (selection, part) = load("uint8", (256 << 20) + 1, 1);
        let file = Separated::TXT.file(&selection, part).unwrap();
        assert_eq!(file.len(), ((256 << 20) + 1) * 4);
        file.read_at(0, &mut end).unwrap();
        assert_eq!(&end[..8], b"  0\n  0\n");
    }
}
