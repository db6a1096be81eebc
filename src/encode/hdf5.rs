//! Writes HDF5 files around data that stays where it is.
//!
//! ```text
//! superblock   48 bytes
//! headers      one for each group and dataset: its type, its attributes, links to its children
//! heap         the text of the attributes
//! zeros        up to a multiple of 4096
//! elements     of each dataset, large ones at multiples of 4096
//! ```
//!
//! Superblock and object headers have version 2, links are stored in the headers, and datasets are
//! contiguous (layout version 3). HDF5 1.8 and later read this. See the HDF5 file format specification,
//! version 3. Everything except the elements takes a few KiB, whatever their number, and is generated at
//! once.
//!
//! Why not use the HDF5 library? It would copy all elements to the file that it writes. Here, they are read
//! from the store on demand.

mod cast;
mod cells;
mod content;
mod encode;
mod lookup3;

use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::word::to_usize;
use encode::{Header, Heap, NOWHERE, sealed};

pub use content::{
    array, counts, csr, csr_blocks, left_out, names, names_or_numbers, parts, wide_names, words,
};

/// The value of an attribute.
#[derive(Clone, Debug)]
pub enum Value {
    /// UTF-8 text.
    Text(String),
    /// One int64.
    Integer(i64),
    /// A vector of int64.
    Integers(Vec<i64>),
    /// An empty vector.
    Nothing,
}

/// The type of the elements of a dataset.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// Numbers. As in h5py, bool is an enumeration of FALSE and TRUE.
    Number(Dtype),
    /// UTF-8 text in cells of this many bytes, padded with zeros.
    Text(u32),
    /// UTF-32 text in cells of this many characters, padded with zeros. HDF5 has no such type; this is how
    /// h5py stores text of NumPy's own type.
    Wide(u32),
}

/// An array of elements of one type.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Type of the elements.
    pub kind: Type,
    /// Number of elements along each axis.
    pub shape: Vec<u64>,
    /// The elements, row-major and little-endian.
    pub bytes: VirtualFile,
}

/// A group or a dataset, with its attributes.
#[derive(Clone, Debug)]
pub struct Node {
    attributes: Vec<(&'static str, Value)>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Group(Vec<(&'static str, Node)>),
    Dataset(Dataset),
}

impl From<Dataset> for Node {
    fn from(dataset: Dataset) -> Self {
        Self { attributes: Vec::new(), body: Body::Dataset(dataset) }
    }
}

impl Node {
    /// A group with these children.
    pub fn group(children: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self { attributes: Vec::new(), body: Body::Group(children.into_iter().collect()) }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.attributes.push((name, value));
        self
    }

    /// Adds the attributes that tell AnnData how to read a group or dataset.
    #[must_use]
    pub fn encoded(self, kind: &'static str, version: &'static str) -> Self {
        self.with("encoding-type", Value::Text(kind.into()))
            .with("encoding-version", Value::Text(version.into()))
    }
}

/// Bytes of the superblock.
const SUPERBLOCK: u64 = 48;

/// A file with this node, which must be a group, as its root.
///
/// # Errors
///
/// [`Error::Refused`] when the file would exceed the largest size of a file.
pub fn file(root: &Node) -> Result<VirtualFile> {
    let mut objects = Vec::new();
    number(root, &mut objects);
    // Headers contain addresses, but their size does not depend on them. So encode twice: first to measure,
    // then with the real addresses.
    let mut places =
        Places { headers: vec![NOWHERE; objects.len()], data: vec![NOWHERE; objects.len()], heap: 0 };
    let mut next = SUPERBLOCK;
    let (headers, heap) = encode(&objects, &places);
    for (place, header) in places.headers.iter_mut().zip(&headers) {
        *place = next;
        next += header.len() as u64;
    }
    places.heap = next.next_multiple_of(8);
    let metadata = places.heap + heap.len() as u64;
    let mut end = metadata;
    for (place, object) in places.data.iter_mut().zip(&objects) {
        let Some(length) = object.data().map(VirtualFile::len).filter(|length| *length > 0) else { continue };
        let aligned = end
            .checked_next_multiple_of(alignment(length))
            .and_then(|at| Some((at, at.checked_add(length)?)));
        (*place, end) = aligned.ok_or_else(|| Error::refused("", "more bytes than a file can have"))?;
    }
    let (headers, heap) = encode(&objects, &places);
    let mut bytes = superblock(end);
    bytes.extend(headers.concat());
    bytes.resize(to_usize(places.heap), 0);
    bytes.extend(heap);
    VirtualFile::new([Extent::Literal(bytes.into())].into_iter().chain(elements(&objects, &places, metadata)))
}

/// Page-aligned elements can be mapped. Datasets smaller than a page do not need that.
const fn alignment(length: u64) -> u64 {
    if length < 4096 { 8 } else { 4096 }
}

/// A node, and the names and numbers of its children.
struct Object<'n> {
    node: &'n Node,
    links: Vec<(&'static str, usize)>,
}

impl<'n> Object<'n> {
    fn data(&self) -> Option<&'n VirtualFile> {
        match &self.node.body {
            Body::Dataset(dataset) => Some(&dataset.bytes),
            Body::Group(_) => None,
        }
    }
}

/// Addresses in the file. Those of objects are indexed by object number.
struct Places {
    headers: Vec<u64>,
    /// The elements of datasets.
    data: Vec<u64>,
    heap: u64,
}

/// Numbers a node and all its descendants, and returns its own number.
fn number<'n>(node: &'n Node, objects: &mut Vec<Object<'n>>) -> usize {
    let own = objects.len();
    objects.push(Object { node, links: Vec::new() });
    if let Body::Group(children) = &node.body {
        let links = children.iter().map(|(name, child)| (*name, number(child, objects))).collect();
        objects[own].links = links;
    }
    own
}

/// The headers of all objects, and the heap.
fn encode(objects: &[Object<'_>], places: &Places) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut heap = Heap::at(places.heap);
    let headers = objects.iter().zip(&places.data).map(|(object, data)| {
        let mut header = Header::new();
        match &object.node.body {
            Body::Group(_) => header.group(),
            Body::Dataset(dataset) => {
                header.dataset(dataset.kind, &dataset.shape, *data, dataset.bytes.len())
            }
        }
        for (name, value) in &object.node.attributes {
            header.attribute(name, value, &mut heap);
        }
        for (name, link) in &object.links {
            header.link(name, places.headers[*link]);
        }
        header.finish()
    });
    (headers.collect(), heap.finish())
}

/// The superblock of version 2 (II.A). The header of the root follows it.
///
/// ```text
/// \x89HDF\r\n\x1a\n  2  bytes of an offset: 8  of a length: 8  flags: 0
/// base address: 0  extension: none  end of the file  header of the root  checksum
/// ```
fn superblock(end: u64) -> Vec<u8> {
    let mut bytes = b"\x89HDF\r\n\x1a\n\x02\x08\x08\0".to_vec();
    for address in [0, NOWHERE, end, SUPERBLOCK] {
        bytes.extend_from_slice(&address.to_le_bytes());
    }
    sealed(bytes)
}

/// The elements of all datasets, from `end` on, with zeros in between.
fn elements(objects: &[Object<'_>], places: &Places, mut end: u64) -> Vec<Extent> {
    let mut extents = Vec::new();
    for (object, place) in objects.iter().zip(&places.data) {
        let Some(data) = object.data().filter(|data| !data.is_empty()) else { continue };
        extents.push(Extent::Zeros(place - end));
        extents.extend(data.extents().iter().cloned());
        end = place + data.len();
    }
    extents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(file: &VirtualFile) -> Vec<u8> {
        let mut bytes = vec![0xFF; usize::try_from(file.len()).unwrap()];
        assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
        bytes
    }

    fn dataset(kind: Type, shape: &[u64], bytes: &[u8]) -> Node {
        Dataset { kind, shape: shape.to_vec(), bytes: VirtualFile::literal(bytes) }.into()
    }

    /// A dataset of three int16 as `h5dump` shows it:
    /// `GROUP "/" { DATASET "a" { H5T_STD_I16LE, SIMPLE { ( 3 ) / ( 3 ) }, (0): 1, 2, -3 } }`.
    #[test]
    fn a_small_file_has_these_bytes() {
        let numbers = [1i16, 2, -3].map(i16::to_le_bytes).concat();
        let root = Node::group([("a", dataset(Type::Number(Dtype::Int16), &[3], &numbers))]);
        let undefined = [0xFF; 8];
        let expected: Vec<&[u8]> = vec![
            // Superblock: version 2, offsets and lengths of 8 bytes; base, extension, end, root.
            b"\x89HDF\r\n\x1a\n\x02\x08\x08\0",
            &[0; 8],
            &undefined,
            &[190, 0, 0, 0, 0, 0, 0, 0],
            &[48, 0, 0, 0, 0, 0, 0, 0],
            &[0x98, 0xF8, 0xC5, 0x8D],
            // The root: messages of 44 bytes.
            b"OHDR\x02\x02\x2c\0\0\0",
            // Link info: no heap, no index. Group info.
            &[0x02, 18, 0, 0, 0, 0],
            &undefined,
            &undefined,
            &[0x0A, 2, 0, 0, 0, 0],
            // Link `a`, to 106.
            &[0x06, 12, 0, 0, 1, 0, 1, b'a', 106, 0, 0, 0, 0, 0, 0, 0],
            &[0x4F, 0x09, 0xC4, 0xCD],
            // The dataset: messages of 60 bytes.
            b"OHDR\x02\x02\x3c\0\0\0",
            // Dataspace: one axis of 3. Datatype: signed, 2 bytes, 16 bits. No fill value.
            &[0x01, 12, 0, 0, 2, 1, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0],
            &[0x03, 12, 0, 1, 0x10, 8, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0],
            &[0x05, 2, 0, 1, 3, 0x0A],
            // Layout: contiguous, 6 bytes at 184.
            &[0x08, 18, 0, 0, 3, 1, 184, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
            &[0xF6, 0xC9, 0x7E, 0x75],
            &[0; 4],
            &[1, 0, 2, 0, 0xFD, 0xFF],
        ];
        let file = file(&root).unwrap();
        assert_eq!(bytes_of(&file), expected.concat());
    }

    #[test]
    fn large_datasets_start_at_pages_and_small_ones_do_not() {
        let large = |count: u64| Dataset {
            kind: Type::Number(Dtype::Int8),
            shape: vec![count],
            bytes: VirtualFile::new([Extent::Zeros(count)]).unwrap(),
        };
        let root = Node::group([
            ("a", dataset(Type::Text(2), &[2], b"xyz\0")),
            ("b", large(5000).into()),
            ("c", large(0).into()),
            ("d", large(1 << 40).into()),
            ("e", dataset(Type::Number(Dtype::Bool), &[1], &[1])),
        ]);
        let file = file(&root.with("text", Value::Text("of the heap".into()))).unwrap();
        let lengths: Vec<u64> = file.extents().iter().map(Extent::len).collect();
        // Metadata, then every dataset except the empty one, each behind the zeros that align it.
        let metadata = lengths[0];
        assert_eq!(metadata % 8, 0);
        assert_eq!(lengths[1..3], [4, metadata.next_multiple_of(4096) - metadata - 4]);
        assert_eq!(lengths[3..], [5000, 8192 - 5000, 1 << 40, 1]);
        let beyond =
            Node::group([("a", large(i64::MAX as u64).into()), ("b", large(i64::MAX as u64).into())]);
        assert!(matches!(super::file(&beyond), Err(Error::Refused { .. })));
    }

    #[test]
    fn text_is_in_the_heap() {
        let file = file(&Node::group([]).encoded("dict", "0.1.0")).unwrap();
        let bytes = bytes_of(&file);
        let heap = bytes.len() - 4096;
        let expected = b"GCOL\x01\0\0\0\0\x10\0\0\0\0\0\0\
            \x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0dict\0\0\0\0\
            \x02\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\x000.1.0\0\0\0\
            \0\0\0\0\0\0\0\0\xC0\x0F\0\0\0\0\0\0";
        assert_eq!(&bytes[heap..heap + expected.len()], expected);
        assert!(bytes[heap + expected.len()..].iter().all(|byte| *byte == 0));
        // An attribute stores the length of its text, the address of the heap, and the index in it.
        let reference = [&[4, 0, 0, 0][..], &(heap as u64).to_le_bytes(), &[1, 0, 0, 0]].concat();
        assert!(bytes.windows(reference.len()).any(|window| window == reference));
    }

    /// Every float type is encoded as h5py writes it.
    #[test]
    fn types_are_those_of_other_writers() {
        let written = |kind| {
            let bytes = bytes_of(&file(&Node::group([("a", dataset(kind, &[1], &[0; 8]))])).unwrap());
            let start = bytes.windows(4).position(|window| window == b"OHDR").unwrap();
            let dataset =
                bytes[start + 4..].windows(4).position(|window| window == b"OHDR").unwrap() + start + 4;
            let message = dataset + 10 + 16;
            assert_eq!(bytes[message], 3);
            bytes[message + 4..][..usize::from(bytes[message + 1])].to_vec()
        };
        let float = |dtype| written(Type::Number(dtype));
        assert_eq!(float(Dtype::Float16), b"\x11\x20\x0f\0\x02\0\0\0\0\0\x10\0\x0a\x05\0\x0a\x0f\0\0\0");
        assert_eq!(float(Dtype::Float32), b"\x11\x20\x1f\0\x04\0\0\0\0\0\x20\0\x17\x08\0\x17\x7f\0\0\0");
        assert_eq!(float(Dtype::Float64), b"\x11\x20\x3f\0\x08\0\0\0\0\0\x40\0\x34\x0b\0\x34\xff\x03\0\0");
        assert_eq!(float(Dtype::Uint64), b"\x10\0\0\0\x08\0\0\0\0\0\x40\0");
        assert_eq!(written(Type::Text(7)), b"\x13\x11\0\0\x07\0\0\0");
    }
}
