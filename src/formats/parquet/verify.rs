//! Verifies `.parquet`. Apache's `parquet` crate reads the footer once, then the pages of each row group.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use parquet::basic::{ColumnOrder, LogicalType, Type};
use parquet::column::reader::ColumnReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, FileReader as _, Length, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;

use crate::array::selection::{Component, Part, Region};
use crate::bytes::virtual_file::VirtualFile;
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::error::Result as OwnResult;
use crate::oracle::expect;
use crate::oracle::{Element, element, is_same, shown as in_words};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Stored, numbers, stored};

/// Elements of a column that are decoded at once.
const BATCH: u64 = 8192;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let Rendered::File(file) = &shown.content else {
        return Err(Mismatch("a folder where there should be a file".into()));
    };
    let source = Pages { file: file.clone(), read: Arc::default() };
    expect("magic string", &source.get_bytes(0, 4)?[..], b"PAR1")?;
    let reader = SerializedFileReader::new(source.clone())?;
    let mut wanted = Wanted::new(shown)?;
    let about = reader.metadata().file_metadata();
    expect("elements", &u64::try_from(about.num_rows()).ok(), &Some(wanted.count))?;
    let columns = about.schema_descr().columns();
    let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
    expect("columns", &names[..], if wanted.has_places { &["row", "column", "value"] } else { &["value"] })?;
    let dtypes = columns.iter().map(|column| dtype_of(column)).collect::<Result<Vec<_>, _>>()?;
    wanted.expect_types(&dtypes)?;
    for i in 0..columns.len() {
        // Programs ignore the statistics of a column whose order they do not know.
        let is_ordered = matches!(about.column_order(i), ColumnOrder::TYPE_DEFINED_ORDER(_));
        expect("a known order of a column", &is_ordered, &true)?;
    }
    let mut end = 4;
    for i in 0..reader.num_row_groups() {
        let group = reader.get_row_group(i)?;
        end = expect_places(group.metadata(), end)?;
        let readers = (0..columns.len()).map(|column| group.get_column_reader(column));
        let readers = readers.collect::<ParquetResult<Vec<_>>>()?;
        verify_group(group.metadata(), readers, &dtypes, &mut wanted)?;
        (shown.progress)(source.read.swap(0, Relaxed));
    }
    match wanted.elements.next() {
        None => Ok(()),
        Some(_) => Err(Mismatch("fewer elements than in the store".into())),
    }
}

/// The expected elements, with their row and column if the file has columns for these.
struct Wanted<'s> {
    count: u64,
    has_places: bool,
    /// The types of the column numbers, if prescribed, and of the elements.
    dtypes: [Option<Dtype>; 2],
    elements: Box<dyn Iterator<Item = OwnResult<Stored>> + 's>,
}

impl<'s> Wanted<'s> {
    fn new(shown: &'s Shown<'_>) -> Result<Self, Mismatch> {
        let Part { component, of } = shown.part;
        let (selection, is_matrix) = (shown.selection, shown.selection.shape().axes().len() == 2);
        let type_of = |component| selection.dtype_of(Part { component, of });
        if component == Component::Matrix {
            let (count, elements) = stored(selection, shown.part)?;
            let dtypes = [type_of(Component::Indices), type_of(Component::Data)];
            return Ok(Self { count, has_places: true, dtypes, elements });
        }
        let has_places =
            is_matrix && of == Region::Whole && matches!(component, Component::Array | Component::Dense);
        let dtypes = [None, type_of(component)];
        if has_places {
            let (count, elements) = stored(selection, shown.part)?;
            return Ok(Self { count, has_places, dtypes, elements });
        }
        let numbers = numbers(selection, shown.part)?;
        let count = numbers.count();
        let elements = Box::new(numbers.elements().map(|element| Ok((0, 0, element?))));
        Ok(Self { count, has_places, dtypes, elements })
    }

    fn expect_types(&self, found: &[Dtype]) -> Verified {
        let [columns, values] = self.dtypes;
        expect("type of the values", &found.last().copied(), &values)?;
        if let (Some(columns), true) = (columns, self.has_places) {
            expect("type of the columns", &found[1], &columns)?;
        }
        Ok(())
    }
}

/// The array type that the type of a column stands for.
fn dtype_of(column: &ColumnDescriptor) -> Result<Dtype, Mismatch> {
    let integer = |bits, is_signed| column.logical_type_ref() == Some(&LogicalType::integer(bits, is_signed));
    let is_plain = column.logical_type_ref().is_none();
    let is_half = column.logical_type_ref() == Some(&LogicalType::Float16);
    expect(
        "levels of missing and repeated values",
        &[column.max_def_level(), column.max_rep_level()],
        &[0; 2],
    )?;
    match column.physical_type() {
        Type::BOOLEAN if is_plain => Ok(Dtype::Bool),
        Type::FLOAT if is_plain => Ok(Dtype::Float32),
        Type::DOUBLE if is_plain => Ok(Dtype::Float64),
        Type::FIXED_LEN_BYTE_ARRAY if is_half => Ok(Dtype::Float16),
        Type::INT32 if is_plain => Ok(Dtype::Int32),
        Type::INT32 if integer(8, true) => Ok(Dtype::Int8),
        Type::INT32 if integer(16, true) => Ok(Dtype::Int16),
        Type::INT32 if integer(8, false) => Ok(Dtype::Uint8),
        Type::INT32 if integer(16, false) => Ok(Dtype::Uint16),
        Type::INT32 if integer(32, false) => Ok(Dtype::Uint32),
        Type::INT64 if is_plain => Ok(Dtype::Int64),
        Type::INT64 if integer(64, false) => Ok(Dtype::Uint64),
        physical => Err(Mismatch(format!("a column of {physical} that is {:?}", column.logical_type_ref()))),
    }
}

/// The type in which the reader returns values: integers of fewer than 32 bits are widened.
const fn decoded(dtype: Dtype) -> Dtype {
    match dtype {
        Dtype::Int8 | Dtype::Int16 | Dtype::Uint8 | Dtype::Uint16 => Dtype::Int32,
        dtype => dtype,
    }
}

/// Verifies the elements and statistics of a row group.
fn verify_group(
    about: &RowGroupMetaData,
    mut readers: Vec<ColumnReader>,
    dtypes: &[Dtype],
    wanted: &mut Wanted<'_>,
) -> Verified {
    let rows = u64::try_from(about.num_rows()).unwrap_or(0);
    let (mut left, mut range) = (rows, None);
    while left > 0 {
        let count = left.min(BATCH);
        let columns = readers.iter_mut().map(|reader| read(reader, count)).collect::<Result<Vec<_>, _>>()?;
        for i in 0..usize::try_from(count).unwrap_or(0) {
            let next = wanted.elements.next().transpose()?;
            let (row, column, value) =
                next.ok_or_else(|| Mismatch("more elements than in the store".into()))?;
            let found = columns.iter().zip(dtypes).map(|(column, dtype)| (decoded(*dtype), column[i]));
            expect_element(found.rev(), row, column, (wanted.dtypes[1].unwrap_or(Dtype::Int64), value))?;
            range = Some((range.map_or(row, |(low, _)| low), row));
        }
        left -= count;
    }
    expect_statistics(about, range.filter(|_| wanted.has_places))
}

/// Compares one element. The last column holds its value, and those before it its row and column.
fn expect_element(
    mut found: impl Iterator<Item = (Dtype, Element)>,
    row: u64,
    column: u64,
    value: (Dtype, Element),
) -> Verified {
    let same_value = found.next().is_some_and(|found| match found.0 == value.0 && found.0 != Dtype::Bool {
        true => found.1 == value.1,
        false => is_same(found, value),
    });
    let mut place = [column, row].into_iter().map(|place| (Dtype::Uint64, place.to_le_bytes()));
    if same_value && found.all(|found| place.next().is_some_and(|place| is_same(found, place))) {
        return Ok(());
    }
    Err(Mismatch(format!("expected {} at {row}, {column}, found another", in_words(value.0, value.1))))
}

/// Reads the next elements of a column.
fn read(reader: &mut ColumnReader, count: u64) -> Result<Vec<Element>, Mismatch> {
    let count = usize::try_from(count).unwrap_or(0);
    macro_rules! read {
        ($reader:expr, $bytes:expr) => {{
            let mut values = Vec::with_capacity(count);
            while values.len() < count {
                if $reader.read_records(count - values.len(), None, None, &mut values)?.0 == 0 {
                    return Err(Mismatch("fewer elements than the row group has".into()));
                }
            }
            Ok(values.iter().map($bytes).collect())
        }};
    }
    match reader {
        ColumnReader::BoolColumnReader(reader) => read!(reader, |value: &bool| element(&[u8::from(*value)])),
        ColumnReader::Int32ColumnReader(reader) => read!(reader, |value: &i32| element(&value.to_le_bytes())),
        ColumnReader::Int64ColumnReader(reader) => read!(reader, |value: &i64| value.to_le_bytes()),
        ColumnReader::FloatColumnReader(reader) => read!(reader, |value: &f32| element(&value.to_le_bytes())),
        ColumnReader::DoubleColumnReader(reader) => read!(reader, |value: &f64| value.to_le_bytes()),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            read!(reader, |value: &parquet::data_type::FixedLenByteArray| element(value.data()))
        }
        _ => Err(Mismatch("a column of a type that no array has".into())),
    }
}

/// Checks that no value is null, and that the statistics have the right first and last row. Programs skip row
/// groups based on them.
fn expect_statistics(group: &RowGroupMetaData, range: Option<(u64, u64)>) -> Verified {
    for (i, column) in group.columns().iter().enumerate() {
        let told = column.statistics().ok_or_else(|| Mismatch("a column without statistics".into()))?;
        expect("missing elements", &told.null_count_opt(), &Some(0))?;
        let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let told_range = match told {
            Statistics::Int32(told) => {
                (told.min_opt().map(|n| i64::from(*n)), told.max_opt().map(|n| i64::from(*n)))
            }
            Statistics::Int64(told) => (told.min_opt().copied(), told.max_opt().copied()),
            _ => (None, None),
        };
        let told_range = number(told_range.0).zip(number(told_range.1));
        expect("first and last row", &told_range, &range.filter(|_| i == 0))?;
    }
    Ok(())
}

/// Checks that the pages of a group start where the previous group ended, and have the sizes that the footer
/// claims. Returns the offset at which they end.
fn expect_places(group: &RowGroupMetaData, start: i64) -> Result<i64, Mismatch> {
    let mut end = start;
    for column in group.columns() {
        expect("elements of a column", &column.num_values(), &group.num_rows())?;
        expect("place of a page", &column.data_page_offset(), &end)?;
        expect("place of a dictionary", &column.dictionary_page_offset(), &None)?;
        expect("bytes not compressed", &column.uncompressed_size(), &column.compressed_size())?;
        expect("another file", &column.file_path(), &None)?;
        end = end.saturating_add(column.compressed_size().max(0));
    }
    expect("bytes of a group", &group.total_byte_size(), &(end - start))?;
    Ok(end)
}

/// The file, as the `parquet` crate reads it.
#[derive(Clone)]
struct Pages {
    file: VirtualFile,
    /// Bytes that were read, but not yet reported as progress.
    read: Arc<AtomicU64>,
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Pages {
    type T = io::BufReader<PageReader>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        // A small buffer is enough, because a page header has few bytes.
        Ok(io::BufReader::with_capacity(256, PageReader { pages: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are beyond the end")));
        }
        let mut bytes = vec![0; length];
        let filled = self.file.read_at(start, &mut bytes).map_err(|e| ParquetError::External(Box::new(e)))?;
        self.read.fetch_add(filled as u64, Relaxed);
        bytes.truncate(filled);
        Ok(bytes.into())
    }
}

/// A position in the file.
struct PageReader {
    pages: Pages,
    at: u64,
}

impl Read for PageReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.pages.file.read_at(self.at, buffer).map_err(io::Error::other)?;
        self.at += filled as u64;
        Ok(filled)
    }
}
