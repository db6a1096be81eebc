//! Encodes the messages of HDF5 objects: types, shapes, links and attributes.
//!
//! Sections are those of the HDF5 file format specification, version 3.

use super::{Type, Value, lookup3};
use crate::dtype::Dtype;

/// The undefined address.
pub(super) const NOWHERE: u64 = u64::MAX;

/// An object header of version 2 (IV.A.1.b): a sequence of messages, and a checksum.
///
/// ```text
/// OHDR  2  flags: size of 4 bytes  size  { type  size: 2 bytes  flags  message }…  checksum
/// ```
pub(super) struct Header(Vec<u8>);

impl Header {
    pub fn new() -> Self {
        Self(b"OHDR\x02\x02\0\0\0\0".to_vec())
    }

    fn message(&mut self, kind: u8, flags: u8, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).expect("messages of names, shapes and types are small");
        self.0.push(kind);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.push(flags);
        self.0.extend_from_slice(bytes);
    }

    /// Marks the object as a group whose links are stored in the header (IV.A.2.c and k).
    pub fn group(&mut self) {
        self.message(0x02, 0, &[&[0, 0][..], &NOWHERE.to_le_bytes(), &NOWHERE.to_le_bytes()].concat());
        self.message(0x0A, 0, &[0, 0]);
    }

    /// A hard link of version 1 to the object at an address (IV.A.2.g).
    pub fn link(&mut self, name: &str, address: u64) {
        let length = u8::try_from(name.len()).expect("names of objects are a word");
        self.message(0x06, 0, &[&[1, 0, length], name.as_bytes(), &address.to_le_bytes()].concat());
    }

    /// Marks the object as a contiguous dataset: dataspace, datatype, fill value and layout (IV.A.2.b, d, f
    /// and i).
    pub fn dataset(&mut self, kind: Type, shape: &[u64], address: u64, length: u64) {
        self.message(0x01, 0, &dataspace(Some(shape)));
        self.message(0x03, 1, &datatype(kind));
        // Version 3: late space allocation; a fill value is written only if set, and none is set.
        self.message(0x05, 1, &[3, 0x0A]);
        let address = if length == 0 { NOWHERE } else { address };
        self.message(0x08, 0, &[&[3, 1][..], &address.to_le_bytes(), &length.to_le_bytes()].concat());
    }

    /// An attribute of version 3 (IV.A.2.m). Its text is stored in the heap.
    pub fn attribute(&mut self, name: &str, value: &Value, heap: &mut Heap) {
        let (datatype, dataspace, data) = match value {
            Value::Text(text) => (variable_text(), dataspace(None), heap.add(text).to_vec()),
            Value::Integer(number) => {
                (datatype(Type::Number(Dtype::Int64)), dataspace(None), number.to_le_bytes().to_vec())
            }
            Value::Integers(numbers) => {
                let data = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                (datatype(Type::Number(Dtype::Int64)), dataspace(Some(&[numbers.len() as u64])), data)
            }
            // As AnnData writes an empty list of names.
            Value::Nothing => (datatype(Type::Number(Dtype::Float64)), dataspace(Some(&[0])), Vec::new()),
        };
        let mut bytes = vec![3, 0];
        for length in [name.len() + 1, datatype.len(), dataspace.len()] {
            let length = u16::try_from(length).expect("names, types and shapes are small");
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.push(0); // The name is ASCII.
        for part in [name.as_bytes(), &[0], &datatype, &dataspace, &data] {
            bytes.extend_from_slice(part);
        }
        self.message(0x0C, 0, &bytes);
    }

    pub fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 10).expect("a header is a few messages");
        self.0[6..10].copy_from_slice(&length.to_le_bytes());
        sealed(self.0)
    }
}

/// The bytes followed by their checksum.
pub(super) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = lookup3::checksum(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// A dataspace of version 2 (IV.A.2.b): the shape, or a scalar for `None`.
fn dataspace(shape: Option<&[u64]>) -> Vec<u8> {
    let Some(shape) = shape else { return vec![2, 0, 0, 0] };
    let axes = u8::try_from(shape.len()).expect("arrays have one or two axes");
    let mut bytes = vec![2, axes, 0, 1];
    bytes.extend(shape.iter().flat_map(|count| count.to_le_bytes()));
    bytes
}

/// A datatype of version 1 (IV.A.2.d).
fn datatype(kind: Type) -> Vec<u8> {
    match kind {
        Type::Number(Dtype::Bool) => truth(),
        Type::Number(dtype) if dtype.is_integer() => integer(dtype),
        Type::Number(dtype) => float(dtype),
        // Class 3: zero-padded UTF-8.
        Type::Text(width) => [&[0x13, 0x11, 0, 0][..], &width.to_le_bytes()].concat(),
        Type::Wide(width) => wide(width),
    }
}

/// Class 0: little-endian, signed or unsigned, all bits used.
fn integer(dtype: Dtype) -> Vec<u8> {
    let signed = matches!(dtype, Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64);
    let size = size(dtype);
    vec![0x10, if signed { 8 } else { 0 }, 0, 0, size, 0, 0, 0, 0, 0, size * 8, 0]
}

/// Class 1: little-endian, implied leading bit of the mantissa, sign in the highest bit.
fn float(dtype: Dtype) -> Vec<u8> {
    let (mantissa, exponent, bias): (u8, u8, u32) = match dtype {
        Dtype::Float16 => (10, 5, 15),
        Dtype::Float32 => (23, 8, 127),
        _ => (52, 11, 1023),
    };
    let size = size(dtype);
    let sign = size * 8 - 1;
    let mut bytes =
        vec![0x11, 0x20, sign, 0, size, 0, 0, 0, 0, 0, size * 8, 0, mantissa, exponent, 0, mantissa];
    bytes.extend_from_slice(&bias.to_le_bytes());
    bytes
}

/// Class 8: names for the numbers 0 and 1, as h5py writes `bool`.
fn truth() -> Vec<u8> {
    let head = [0x18, 2, 0, 0, 1, 0, 0, 0];
    [&head[..], &integer(Dtype::Int8), b"FALSE\0\0\0TRUE\0\0\0\0\0\x01"].concat()
}

/// Class 5: opaque, with a zero-padded tag that names the NumPy type.
fn wide(width: u32) -> Vec<u8> {
    let mut tag = format!("NUMPY:<U{width}").into_bytes();
    tag.resize(tag.len().next_multiple_of(8), 0);
    let length = u8::try_from(tag.len()).expect("a tag is a word and a number");
    [&[0x15, length, 0, 0][..], &width.saturating_mul(4).to_le_bytes(), &tag].concat()
}

/// Class 9: UTF-8 text of any length, stored in a global heap.
fn variable_text() -> Vec<u8> {
    [&[0x19, 1, 1, 0, 16, 0, 0, 0][..], &integer(Dtype::Uint8)].concat()
}

fn size(dtype: Dtype) -> u8 {
    u8::try_from(dtype.itemsize()).expect("an element has at most 8 bytes")
}

/// A global heap collection (III.E) for the text of attributes.
///
/// ```text
/// GCOL  1 0 0 0  size  { index: 2 bytes  references: 2  0: 4  size: 8  text  zeros to a multiple of 8 }…
/// the free space, with the index 0
/// ```
pub(super) struct Heap {
    address: u64,
    bytes: Vec<u8>,
    count: u16,
}

impl Heap {
    pub fn at(address: u64) -> Self {
        Self { address, bytes: b"GCOL\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec(), count: 0 }
    }

    /// Adds a text. Returns the reference for the attribute: length, address of the heap, index.
    fn add(&mut self, text: &str) -> [u8; 16] {
        self.count += 1;
        let index = self.count.to_le_bytes();
        let length = text.len() as u64;
        let head: [&[u8]; 4] = [&index, &[0; 6], &length.to_le_bytes(), text.as_bytes()];
        head.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let mut reference = [0; 16];
        reference[..4].copy_from_slice(&length.to_le_bytes()[..4]);
        reference[4..12].copy_from_slice(&self.address.to_le_bytes());
        reference[12..14].copy_from_slice(&index);
        reference
    }

    /// Pads the collection to its minimum size of 4096 bytes. Without any text, there is no collection.
    pub fn finish(mut self) -> Vec<u8> {
        if self.count == 0 {
            return Vec::new();
        }
        let used = self.bytes.len();
        let size = (used + 16).next_multiple_of(4096);
        self.bytes.resize(size, 0);
        self.bytes[8..16].copy_from_slice(&(size as u64).to_le_bytes());
        self.bytes[used + 8..used + 16].copy_from_slice(&((size - used) as u64).to_le_bytes());
        self.bytes
    }
}
