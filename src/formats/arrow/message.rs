//! The flatbuffers of Arrow's IPC format: schema message, batch message and footer.
//!
//! Field numbers are those of `Schema.fbs`, `Message.fbs` and `File.fbs` of Apache Arrow's
//! "Arrow Columnar Format", section "Serialization and Interprocess Communication".

use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, UnionWIPOffset, VOffsetT, WIPOffset};

use crate::dtype::Dtype;
use crate::word::to_usize;

/// Alignment of every message and body in bytes. Arrow recommends 64, so that the numbers are aligned for
/// SIMD wherever the file is mapped.
pub(super) const ALIGN: u64 = 64;

/// `MetadataVersion.V5`.
const VERSION: i16 = 4;
/// `MessageHeader.Schema` and `MessageHeader.RecordBatch`.
const SCHEMA: u8 = 1;
const RECORD_BATCH: u8 = 3;
/// Members of the union `Type`.
const INT: u8 = 2;
const FLOAT: u8 = 3;
const STRUCT: u8 = 13;
const FIXED_SIZE_LIST: u8 = 16;
const LARGE_LIST: u8 = 21;

/// A column, or a level of nesting within it.
pub(super) struct Field {
    pub name: &'static str,
    pub kind: Kind,
}

/// The type of a column.
pub(super) enum Kind {
    Number(Dtype),
    /// This many values in each row.
    Rows(i32, Box<Field>),
    /// Any number of values in each row.
    Lists(Box<Field>),
    Struct(Vec<Field>),
}

/// `length` rounded up to [`ALIGN`]. A length too large to round up is returned unchanged; it exceeds the
/// largest file size anyway, and is refused later.
pub(super) fn aligned(length: u64) -> u64 {
    length.checked_next_multiple_of(ALIGN).unwrap_or(length)
}

type Finished = WIPOffset<TableFinishedWIPOffset>;

/// The vtable slot of field `number` in a flatbuffers table.
const fn slot(number: u16) -> VOffsetT {
    4 + 2 * number
}

/// The schema message, which follows the magic string of `before` bytes.
pub(super) fn schema_message(field: &Field, before: u64) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let schema = schema(&mut builder, field);
    let message = message(&mut builder, SCHEMA, schema, 0);
    builder.finish_minimal(message);
    framed(builder.finished_data(), before)
}

/// The message in front of a batch of `rows` rows. `nodes` are the numbers of elements of each field, parents
/// before their children. `buffers` are the (offset, length) of each buffer in the body of `body` bytes.
pub(super) fn batch_message(rows: u64, nodes: &[u64], buffers: &[(u64, u64)], body: u64) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let nodes: Vec<_> = nodes.iter().map(|length| (*length, 0)).collect();
    let nodes = pairs(&mut builder, &nodes);
    let buffers = pairs(&mut builder, buffers);
    let table = builder.start_table();
    builder.push_slot_always(slot(0), rows.cast_signed());
    builder.push_slot_always(slot(1), nodes);
    builder.push_slot_always(slot(2), buffers);
    let batch = builder.end_table(table);
    let message = message(&mut builder, RECORD_BATCH, batch, body);
    builder.finish_minimal(message);
    framed(builder.finished_data(), 0)
}

/// The footer up to the length of its last vector, the list of batches. The caller appends one
/// [`footer_block`] per batch. This way the entries can be generated on read, however many batches there are.
pub(super) fn footer(field: &Field, batches: u32) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    // Flatbuffers are built back to front: the vector created first ends up last in the file.
    let blocks = builder.create_vector::<i64>(&[]);
    let schema = schema(&mut builder, field);
    let table = builder.start_table();
    builder.push_slot_always(slot(0), VERSION);
    builder.push_slot_always(slot(1), schema);
    builder.push_slot_always(slot(3), blocks);
    let footer = builder.end_table(table);
    builder.finish_minimal(footer);
    let mut bytes = builder.finished_data().to_vec();
    bytes.truncate(bytes.len() - size_of::<u32>());
    bytes.extend_from_slice(&batches.to_le_bytes());
    bytes
}

/// An entry of the footer's list of batches: its offset, and the sizes in bytes of its message and its body.
pub(super) fn footer_block(offset: u64, message: u32, body: u64) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..12].copy_from_slice(&message.to_le_bytes());
    bytes[16..].copy_from_slice(&body.to_le_bytes());
    bytes
}

/// Prefixes a flatbuffer with its length, and pads it so that it ends on a multiple of [`ALIGN`] when
/// `before` bytes precede it.
fn framed(message: &[u8], before: u64) -> Vec<u8> {
    const PREFIX: usize = 8;
    let length = aligned(before + (PREFIX + message.len()) as u64) - before;
    let mut bytes = vec![0xFF; 4];
    let rest = u32::try_from(length).unwrap_or(u32::MAX) - 8;
    bytes.extend_from_slice(&rest.to_le_bytes());
    bytes.extend_from_slice(message);
    bytes.resize(to_usize(length), 0);
    bytes
}

fn message(builder: &mut FlatBufferBuilder<'_>, kind: u8, header: Finished, body: u64) -> Finished {
    let table = builder.start_table();
    builder.push_slot_always(slot(3), body.cast_signed());
    builder.push_slot_always(slot(2), header);
    builder.push_slot_always(slot(0), VERSION);
    builder.push_slot_always(slot(1), kind);
    builder.end_table(table)
}

fn schema(builder: &mut FlatBufferBuilder<'_>, column: &Field) -> Finished {
    let column = field(builder, column);
    let columns = builder.create_vector(&[column]);
    let table = builder.start_table();
    // The default byte order is little-endian, so it is not written.
    builder.push_slot_always(slot(1), columns);
    builder.end_table(table)
}

fn field(builder: &mut FlatBufferBuilder<'_>, Field { name, kind }: &Field) -> Finished {
    let children: Vec<_> = match kind {
        Kind::Number(_) => Vec::new(),
        Kind::Rows(_, child) | Kind::Lists(child) => vec![field(builder, child)],
        Kind::Struct(children) => children.iter().map(|child| field(builder, child)).collect(),
    };
    let children = builder.create_vector(&children);
    let metadata = if matches!(kind, Kind::Number(Dtype::Bool)) { Some(bool8(builder)) } else { None };
    let name = builder.create_string(name);
    let (tag, kind) = type_of(builder, kind);
    let table = builder.start_table();
    builder.push_slot_always(slot(0), name);
    builder.push_slot_always(slot(3), kind);
    builder.push_slot_always(slot(5), children);
    if let Some(metadata) = metadata {
        builder.push_slot_always(slot(6), metadata);
    }
    builder.push_slot_always(slot(1), false);
    builder.push_slot_always(slot(2), tag);
    builder.end_table(table)
}

/// The metadata that turns a column of int8 into the extension type `arrow.bool8`. Arrow's own bool is one
/// bit per value, which would have to be converted.
fn bool8<'b>(
    builder: &mut FlatBufferBuilder<'b>,
) -> WIPOffset<flatbuffers::Vector<'b, flatbuffers::ForwardsUOffset<TableFinishedWIPOffset>>> {
    let pairs = [("ARROW:extension:name", "arrow.bool8"), ("ARROW:extension:metadata", "")];
    let pairs = pairs.map(|(key, value)| {
        let (key, value) = (builder.create_string(key), builder.create_string(value));
        let table = builder.start_table();
        builder.push_slot_always(slot(0), key);
        builder.push_slot_always(slot(1), value);
        builder.end_table(table)
    });
    builder.create_vector(&pairs)
}

fn type_of(builder: &mut FlatBufferBuilder<'_>, kind: &Kind) -> (u8, WIPOffset<UnionWIPOffset>) {
    let table = builder.start_table();
    let tag = match kind {
        Kind::Number(dtype @ (Dtype::Float16 | Dtype::Float32 | Dtype::Float64)) => {
            let precision: i16 = match dtype.itemsize() {
                2 => 0,
                4 => 1,
                _ => 2,
            };
            builder.push_slot_always(slot(0), precision);
            FLOAT
        }
        Kind::Number(dtype) => {
            let bits = i32::try_from(dtype.itemsize() * 8).unwrap_or(i32::MAX);
            builder.push_slot_always(slot(0), bits);
            builder.push_slot_always(slot(1), !dtype.name().starts_with('u'));
            INT
        }
        Kind::Rows(columns, _) => {
            builder.push_slot_always(slot(0), *columns);
            FIXED_SIZE_LIST
        }
        Kind::Lists(_) => LARGE_LIST,
        Kind::Struct(_) => STRUCT,
    };
    (tag, builder.end_table(table).as_union_value())
}

/// A vector of structs of two 64-bit integers: `FieldNode` or `Buffer`.
fn pairs<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    pairs: &[(u64, u64)],
) -> WIPOffset<flatbuffers::Vector<'b, i64>> {
    builder.start_vector::<i64>(pairs.len() * 2);
    // Flatbuffers are built back to front.
    for (first, second) in pairs.iter().rev() {
        builder.push(second.cast_signed());
        builder.push(first.cast_signed());
    }
    builder.end_vector(pairs.len())
}
