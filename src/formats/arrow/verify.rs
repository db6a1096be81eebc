//! Verifies `.arrow`. Apache's `arrow-ipc` decodes the messages, one batch at a time.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, LargeListArray, make_array};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{
    Block, FieldNode, MessageHeader, convert::try_fb_to_schema, root_as_footer, root_as_message,
};
use arrow_schema::{DataType, Field, Schema};

use crate::array::selection::{Component, Part};
use crate::dtype::Dtype;
use crate::oracle::compare;
use crate::oracle::expect;
use crate::oracle::{FileReader, expect_end, read_bytes, read_word};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, numbers, stored};
use crate::oracle::{element, is_same, shown as in_words};
use crate::word::to_usize;

const MAGIC: &[u8; 8] = b"ARROW1\0\0";
/// The continuation marker before each message. Followed by a zero length, it marks the end of the messages.
const CONTINUED: u32 = u32::MAX;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut batches = Batches::open(shown.file()?)?;
    if shown.part.component == Component::Matrix {
        return verify_lists(shown, batches);
    }
    let numbers = numbers(shown.selection, shown.part)?;
    expect("columns", batches.field()?, &column(&numbers))?;
    compare(&mut batches, numbers)?;
    expect_end(&mut batches)
}

/// The expected column: `value`, or `elements` with one row of the matrix each.
fn column(numbers: &Numbers<'_>) -> Field {
    match numbers.shape[..] {
        [_, columns] => {
            let columns = i32::try_from(columns).unwrap_or(i32::MAX);
            let item = Arc::new(number("item", numbers.dtype));
            Field::new("elements", DataType::FixedSizeList(item, columns), false)
        }
        _ => number("value", numbers.dtype),
    }
}

/// A field of numbers. bool is the extension type `arrow.bool8`.
fn number(name: &str, dtype: Dtype) -> Field {
    let kind = match dtype {
        Dtype::Bool | Dtype::Int8 => DataType::Int8,
        Dtype::Int16 => DataType::Int16,
        Dtype::Int32 => DataType::Int32,
        Dtype::Int64 => DataType::Int64,
        Dtype::Uint8 => DataType::UInt8,
        Dtype::Uint16 => DataType::UInt16,
        Dtype::Uint32 => DataType::UInt32,
        Dtype::Uint64 => DataType::UInt64,
        Dtype::Float16 => DataType::Float16,
        Dtype::Float32 => DataType::Float32,
        Dtype::Float64 => DataType::Float64,
    };
    let field = Field::new(name, kind, false);
    let bool8 = [("ARROW:extension:name", "arrow.bool8"), ("ARROW:extension:metadata", "")];
    match dtype {
        Dtype::Bool => {
            let pairs = bool8.map(|(key, value)| (key.to_owned(), value.to_owned()));
            field.with_metadata(HashMap::from(pairs))
        }
        _ => field,
    }
}

/// Verifies a sparse matrix: one list of (column, value) per row.
fn verify_lists(shown: &Shown<'_>, mut batches: Batches<'_>) -> Verified {
    let of = |component| shown.selection.dtype_of(Part { component, ..shown.part });
    let (Some(indices), Some(data)) = (of(Component::Indices), of(Component::Data)) else {
        return Err(Mismatch("no sparse matrix".into()));
    };
    let item = DataType::Struct(vec![number("column", indices), number("value", data)].into());
    let lists = DataType::LargeList(Arc::new(Field::new("item", item, false)));
    expect("columns", batches.field()?, &Field::new("elements", lists, false))?;
    let mut stored = stored(shown.selection, shown.part)?.1;
    let mut row = 0;
    while let Some(batch) = batches.next_batch()? {
        let lists = batch.as_any().downcast_ref::<LargeListArray>();
        let lists = lists.ok_or_else(|| Mismatch("a column that is no lists".into()))?;
        let items = lists.values().to_data();
        let columns = bytes_of(&make_array(items.child_data()[0].clone()))?;
        let values = bytes_of(&make_array(items.child_data()[1].clone()))?;
        let [wide, wider] = [indices, data].map(width);
        let mut found =
            columns.chunks_exact(wide).zip(values.chunks_exact(wider)).map(|(a, b)| (element(a), element(b)));
        for bounds in lists.value_offsets().windows(2) {
            for _ in bounds[0]..bounds[1] {
                let (Some((at, value)), Some(wanted)) = (found.next(), stored.next().transpose()?) else {
                    return Err(Mismatch(format!("row {row} has too many elements")));
                };
                let place = (Dtype::Uint64, wanted.1.to_le_bytes());
                if wanted.0 != row || !is_same((indices, at), place) || value != wanted.2 {
                    let expected = in_words(data, wanted.2);
                    return Err(Mismatch(format!(
                        "expected {expected} at {}, {}, found {} at {row}, {}",
                        wanted.0,
                        wanted.1,
                        in_words(data, value),
                        in_words(indices, at)
                    )));
                }
            }
            row += 1;
        }
        expect("elements in no row", &found.count(), &0)?;
    }
    expect("rows", &row, &shown.selection.shape().rows())?;
    expect("elements that are missing", &stored.count(), &0)
}

fn width(dtype: Dtype) -> usize {
    usize::try_from(dtype.itemsize()).unwrap_or(8)
}

/// The bytes of a column of numbers, none of which may be null.
fn bytes_of(numbers: &ArrayRef) -> Result<Vec<u8>, Mismatch> {
    expect("missing elements", &numbers.null_count(), &0)?;
    let (data, width) = (numbers.to_data(), numbers.data_type().primitive_width().unwrap_or(1));
    let range = data.offset() * width..(data.offset() + data.len()) * width;
    let bytes = data.buffers().first().and_then(|buffer| buffer.get(range));
    Ok(bytes.ok_or_else(|| Mismatch("a column of no numbers".into()))?.to_vec())
}

/// The batches that the footer lists. They must follow one another without gaps.
struct Batches<'a> {
    file: FileReader<'a>,
    schema: Arc<Schema>,
    decoder: FileDecoder,
    blocks: std::vec::IntoIter<Block>,
    /// Offset at which the previous batch ended.
    end: u64,
    ahead: io::Cursor<Vec<u8>>,
}

impl<'a> Batches<'a> {
    fn open(mut file: FileReader<'a>) -> Result<Self, Mismatch> {
        let length = file.len();
        expect("magic string", &read_bytes(&mut file)?, MAGIC)?;
        let (first, end) = read_schema(&mut file)?;
        file.seek(SeekFrom::End(-10))?;
        let footer_length = read_footer_length(read_bytes(&mut file)?)? as u64;
        // The file ends with the footer, its length (4 bytes) and the magic string (6 bytes).
        let start =
            (length - 10).checked_sub(footer_length).ok_or_else(|| Mismatch("a footer too long".into()))?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; to_usize(footer_length)];
        file.read_exact(&mut bytes)?;
        let footer = root_as_footer(&bytes)?;
        let (Some(schema), Some(blocks)) = (footer.schema(), footer.recordBatches()) else {
            return Err(Mismatch("a footer without schema or batches".into()));
        };
        let schema = Arc::new(try_fb_to_schema(schema)?);
        expect("first schema", &first, &*schema)?;
        let blocks: Vec<Block> = blocks.iter().copied().collect();
        let decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
        let ends = blocks.last().map_or(Some(end), end_of);
        expect("end of the batches", &ends, &start.checked_sub(8))?;
        file.seek(SeekFrom::Start(start.saturating_sub(8)))?;
        expect("end mark", &[read_word(&mut file)?, read_word(&mut file)?], &[CONTINUED, 0])?;
        Ok(Self { file, schema, decoder, blocks: blocks.into_iter(), end, ahead: io::Cursor::default() })
    }

    /// The only column.
    fn field(&self) -> Result<&Field, Mismatch> {
        expect("number of columns", &self.schema.fields().len(), &1)?;
        Ok(self.schema.field(0))
    }

    fn next_batch(&mut self) -> Result<Option<ArrayRef>, Mismatch> {
        let Some(block) = self.blocks.next() else { return Ok(None) };
        expect("place of a batch", &u64::try_from(block.offset()).ok(), &Some(self.end))?;
        let end = end_of(&block).filter(|end| *end <= self.file.len());
        let end = end.ok_or_else(|| Mismatch("a batch beyond the end of the file".into()))?;
        let mut bytes = vec![0; to_usize(end - self.end)];
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.read_exact(&mut bytes)?;
        self.end = end;
        expect_buffers(&bytes, &block)?;
        let batch = self.decoder.read_record_batch(&block, &Buffer::from_vec(bytes))?;
        let batch = batch.ok_or_else(|| Mismatch("a message that is no batch".into()))?;
        Ok(Some(Arc::clone(batch.column(0))))
    }

    /// The numbers of the next batch, row after row.
    fn next_numbers(&mut self) -> Result<Option<Vec<u8>>, Mismatch> {
        let Some(batch) = self.next_batch()? else { return Ok(None) };
        expect("missing rows", &batch.null_count(), &0)?;
        let numbers = match batch.data_type() {
            DataType::FixedSizeList(..) => make_array(batch.to_data().child_data()[0].clone()),
            _ => batch,
        };
        bytes_of(&numbers).map(Some)
    }
}

/// Checks that the buffers of a batch lie in its body and are aligned, and that it does not claim more
/// elements than bytes. `arrow-ipc` relies on this without checking.
fn expect_buffers(bytes: &[u8], block: &Block) -> Verified {
    let message = root_as_message(bytes.get(8..).unwrap_or_default())?;
    let batch =
        message.header_as_record_batch().ok_or_else(|| Mismatch("a message that is no batch".into()))?;
    expect("bytes of the body", &message.bodyLength(), &block.bodyLength())?;
    expect("compression", &batch.compression().is_some(), &false)?;
    let is_inside = |buffer: &arrow_ipc::Buffer| {
        let end = buffer.offset().checked_add(buffer.length());
        buffer.offset() >= 0
            && buffer.offset() % 8 == 0
            && buffer.length() >= 0
            && end.is_some_and(|end| end <= block.bodyLength())
    };
    let is_sound = batch.buffers().is_some_and(|buffers| buffers.iter().all(is_inside));
    expect("buffers inside the batch", &is_sound, &true)?;
    let is_sound =
        |node: &FieldNode| (0..=block.bodyLength()).contains(&node.length()) && node.null_count() == 0;
    let is_sound = batch.nodes().is_some_and(|nodes| nodes.iter().all(is_sound));
    expect("elements that fit, none of them missing", &is_sound, &true)
}

/// The offset at which a batch ends.
fn end_of(block: &Block) -> Option<u64> {
    let offset = u64::try_from(block.offset()).ok()?;
    let message = u64::try_from(block.metaDataLength()).ok()?;
    offset.checked_add(message)?.checked_add(u64::try_from(block.bodyLength()).ok()?)
}

/// Reads the schema message. Returns the schema and the offset at which the message ends.
fn read_schema(file: &mut FileReader<'_>) -> Result<(Schema, u64), Mismatch> {
    expect("mark of a message", &read_word(file)?, &CONTINUED)?;
    let length = u64::from(read_word(file)?);
    if length > file.len() {
        return Err(Mismatch(format!("a message of {length} bytes")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact(&mut bytes)?;
    let message = root_as_message(&bytes)?;
    expect("first message", &message.header_type(), &MessageHeader::Schema)?;
    let schema = message.header_as_schema().ok_or_else(|| Mismatch("no schema".into()))?;
    Ok((try_fb_to_schema(schema)?, 16 + length))
}

impl Read for Batches<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let filled = self.ahead.read(buffer)?;
            if filled > 0 || buffer.is_empty() {
                return Ok(filled);
            }
            match self.next_numbers().map_err(|Mismatch(why)| io::Error::other(why))? {
                Some(numbers) => self.ahead = io::Cursor::new(numbers),
                None => return Ok(0),
            }
        }
    }
}
