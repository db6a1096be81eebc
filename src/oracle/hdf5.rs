//! Verifying HDF5 files, read by `hdf5_reader`: groups, attributes and datasets must be exactly those
//! expected.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5_reader::group::Group;
use hdf5_reader::messages::datatype::Datatype;
use hdf5_reader::storage::RangeRequestStorage;
use hdf5_reader::{Attribute, Dataset, H5Type, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem};

use super::compare::compare_as;
use super::compare::expect;
use super::element::{Element, element};
use super::reader::expect_end;
use super::truth::Numbers;
use super::{Mismatch, Shown, Verified};
use crate::bytes::virtual_file::VirtualFile;
use crate::dtype::Dtype;
use crate::encode::Rendered;

/// Bytes of a dataset that are read at once.
const PIECE: u64 = 1 << 20;

/// An expected node.
pub(crate) struct Node<'s> {
    pub attributes: Vec<(&'static str, Value)>,
    pub body: Body<'s>,
}

/// The expected content of a node.
pub(crate) enum Body<'s> {
    Group(Vec<(&'static str, Node<'s>)>),
    /// Numbers, in any one of these types.
    Numbers(Numbers<'s>, Vec<Dtype>),
    /// Strings: their number, their encoding, and the text of each.
    Text(u64, Encoding, Box<dyn Fn(u64) -> Vec<u8> + 's>),
}

/// The encoding of strings, in cells of equal size.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    Utf8,
    /// NumPy's strings, which h5py stores as an opaque type.
    Utf32,
}

impl Encoding {
    /// The datatype message for cells of `width` bytes (HDF5 file format specification, IV.A.2.d).
    fn datatype(self, width: u32) -> Vec<u8> {
        match self {
            // Fixed size, padded with zeros, UTF-8.
            Self::Utf8 => [&[0x13, 0x11, 0, 0][..], &width.to_le_bytes()].concat(),
            Self::Utf32 => {
                let mut tag = format!("NUMPY:<U{}", width / 4).into_bytes();
                tag.resize(tag.len().next_multiple_of(8), 0);
                let length = u8::try_from(tag.len()).unwrap_or(u8::MAX);
                [&[0x15, length, 0, 0][..], &width.to_le_bytes(), &tag].concat()
            }
        }
    }

    /// Encodes a text.
    fn encode(self, text: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Utf8 => text,
            Self::Utf32 => {
                let text = String::from_utf8_lossy(&text).into_owned();
                text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect()
            }
        }
    }
}

/// The value of an attribute.
#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Integers(Vec<i64>),
    /// An empty vector.
    Nothing,
}

impl<'s> Node<'s> {
    pub(crate) fn group(children: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self { attributes: Vec::new(), body: Body::Group(children.into_iter().collect()) }
    }

    /// Numbers of their own type.
    pub(crate) fn numbers(numbers: Numbers<'s>) -> Self {
        let own = vec![numbers.dtype];
        Self { attributes: Vec::new(), body: Body::Numbers(numbers, own) }
    }

    /// Integers that count, which SciPy has as int32 or int64.
    pub(crate) fn counts(numbers: Numbers<'s>) -> Self {
        Self { attributes: Vec::new(), body: Body::Numbers(numbers, vec![Dtype::Int32, Dtype::Int64]) }
    }

    pub(crate) fn text(count: u64, text: impl Fn(u64) -> Vec<u8> + 's) -> Self {
        Self { attributes: Vec::new(), body: Body::Text(count, Encoding::Utf8, Box::new(text)) }
    }

    /// Strings in UTF-32.
    pub(crate) fn wide(count: u64, text: impl Fn(u64) -> Vec<u8> + 's) -> Self {
        Self { attributes: Vec::new(), body: Body::Text(count, Encoding::Utf32, Box::new(text)) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.attributes.push((name, value));
        self
    }

    /// Adds AnnData's attributes for the type of a node.
    pub(crate) fn encoded(self, kind: &str, version: &str) -> Self {
        let text = |text: &str| Value::Text(text.to_owned());
        self.with("encoding-type", text(kind)).with("encoding-version", text(version))
    }
}

/// Verifies that the file consists of this group.
pub(crate) fn verify(shown: &Shown<'_>, root: Node<'_>) -> Verified {
    let Rendered::File(file) = &shown.content else {
        return Err(Mismatch("a folder where there should be a file".into()));
    };
    let read = Arc::new(AtomicU64::new(0));
    // Data is read once, so a cache is useless. The limits keep an invalid file from exhausting memory.
    let options = OpenOptions { chunk_cache_bytes: 0, ..OpenOptions::default() }
        .with_max_read_bytes(1 << 22)
        .with_max_object_header_bytes(1 << 20);
    let opened = Hdf5File::from_storage_with_options(Arc::new(storage(file, &read)), options)?;
    expect("end of the file", &opened.superblock().eof_address, &file.len())?;
    let progress = || (shown.progress)(read.swap(0, Ordering::Relaxed));
    expect_group("", &opened.root_group()?, root, &progress)
}

fn storage(file: &VirtualFile, read: &Arc<AtomicU64>) -> RangeRequestStorage {
    let (file, read) = (file.clone(), Arc::clone(read));
    RangeRequestStorage::new(file.len(), move |offset, length| {
        let mut bytes = vec![0; length];
        let filled = file
            .read_at(offset, &mut bytes)
            .map_err(|e| hdf5_reader::error::Error::from(io::Error::other(e)))?;
        read.fetch_add(filled as u64, Ordering::Relaxed);
        bytes.truncate(filled);
        Ok(bytes)
    })
}

fn expect_group(path: &str, group: &Group, node: Node<'_>, progress: &dyn Fn()) -> Verified {
    let Body::Group(children) = node.body else {
        return Err(Mismatch(format!("{path}: a group")));
    };
    expect_attributes(path, &group.attributes()?, node.attributes)?;
    let (groups, datasets) = group.members()?;
    let mut found: Vec<_> =
        groups.iter().map(Group::name).chain(datasets.iter().map(Dataset::name)).collect();
    let mut names: Vec<_> = children.iter().map(|(name, _)| *name).collect();
    found.sort_unstable();
    names.sort_unstable();
    expect(&format!("what is in {path}/"), &found, &names)?;
    for (name, child) in children {
        let path = format!("{path}/{name}");
        let inner = groups.iter().find(|group| group.name() == name);
        match (inner, datasets.iter().find(|dataset| dataset.name() == name)) {
            (Some(group), _) => expect_group(&path, group, child, progress)?,
            (None, Some(dataset)) => {
                let found = expect_dataset(dataset, child, progress);
                found.map_err(|Mismatch(why)| Mismatch(format!("{path}: {why}")))?;
            }
            (None, None) => return Err(Mismatch(format!("{path} is not there"))),
        }
    }
    Ok(())
}

fn expect_attributes(path: &str, found: &[Attribute], expected: Vec<(&'static str, Value)>) -> Verified {
    let expected: BTreeMap<_, _> = expected.into_iter().collect();
    let found: BTreeMap<_, _> = found
        .iter()
        .map(|attribute| Ok((&attribute.name[..], value(attribute)?)))
        .collect::<Result<_, Mismatch>>()?;
    expect(&format!("attributes of {path}"), &found, &expected)
}

/// The value of an attribute. Fails for types that do not occur in our files.
fn value(attribute: &Attribute) -> Result<Value, Mismatch> {
    let text = attribute.decoded_strings.as_deref();
    match (&attribute.datatype, &attribute.shape[..], text) {
        (_, [], Some([text])) => Ok(Value::Text(text.clone())),
        (_, [0], None) => Ok(Value::Nothing),
        (Datatype::FixedPoint { size: 8, signed: true, .. }, [], None) => {
            Ok(Value::Integer(attribute.read_scalar()?))
        }
        (Datatype::FixedPoint { size: 8, signed: true, .. }, [_], None) => {
            Ok(Value::Integers(attribute.read_1d()?))
        }
        _ => Err(Mismatch(format!("attribute {} of the type {:?}", attribute.name, attribute.datatype))),
    }
}

fn expect_dataset(dataset: &Dataset, node: Node<'_>, progress: &dyn Fn()) -> Verified {
    expect_attributes("it", &dataset.attributes(), node.attributes)?;
    let found = dataset.raw_datatype()?;
    match node.body {
        Body::Group(_) => Err(Mismatch("a dataset".into())),
        Body::Numbers(numbers, types) => {
            expect("shape", dataset.shape(), &numbers.shape[..])?;
            let dtype = types.into_iter().find(|dtype| is_type(*dtype, &found));
            let dtype =
                dtype.ok_or_else(|| Mismatch(format!("numbers of the type {:?}", dataset.dtype())))?;
            let elements =
                |items: Vec<Item>| items.iter().flat_map(|item| item.0[..width(dtype)].to_vec()).collect();
            let mut reader = Reader::new(dataset, dtype.itemsize(), elements, progress);
            compare_as(&mut reader, dtype, numbers)?;
            expect_end(&mut reader)
        }
        Body::Text(count, encoding, text) => {
            expect("shape", dataset.shape(), &[count][..])?;
            let width = u32::try_from(dataset.raw_element_size()?)?;
            expect("type", &found[..], &encoding.datatype(width)[..])?;
            expect_texts(dataset, count, &|i| encoding.encode(text(i)), progress)
        }
    }
}

fn expect_texts(
    dataset: &Dataset,
    count: u64,
    text: &dyn Fn(u64) -> Vec<u8>,
    progress: &dyn Fn(),
) -> Verified {
    let width = u64::try_from(dataset.raw_element_size()?)?;
    expect("size of a text", &(1..=PIECE).contains(&width), &true)?;
    let step = (PIECE / width).max(1);
    for first in (0..count).step_by(usize::try_from(step)?) {
        let end = count.min(first + step);
        let cells =
            read::<Cell>(dataset, vec![SliceInfoElem::Slice { start: first, end, step: 1 }], progress)?;
        for (i, cell) in (first..end).zip(&cells) {
            let mut padded = text(i);
            padded.resize(usize::try_from(width)?, 0);
            if cell.0 != padded {
                let [expected, found] =
                    [&padded, &cell.0].map(|text| String::from_utf8_lossy(text).into_owned());
                return Err(Mismatch(format!("text {i}: expected {expected:?}, found {found:?}")));
            }
        }
    }
    Ok(())
}

fn read<T: H5Type>(
    dataset: &Dataset,
    selections: Vec<SliceInfoElem>,
    progress: &dyn Fn(),
) -> Result<Vec<T>, Mismatch> {
    let slice = dataset.read_slice::<T>(&SliceInfo { selections })?;
    progress();
    Ok(slice.into_iter().collect())
}

fn width(dtype: Dtype) -> usize {
    usize::try_from(dtype.itemsize()).unwrap_or(8)
}

/// Whether these are the bytes of the datatype message for `dtype` (HDF5 file format specification,
/// IV.A.2.d).
fn is_type(dtype: Dtype, bytes: &[u8]) -> bool {
    // Class and version, flags, size and bits; for floats, then the position of exponent and mantissa.
    let int = |flags: u8, size: u8| vec![0x10, flags, 0, 0, size, 0, 0, 0, 0, 0, size * 8, 0];
    let float = |size: u8, fields: [u8; 8]| {
        [&[0x11, 0x20, size * 8 - 1, 0, size, 0, 0, 0, 0, 0, size * 8, 0], &fields[..]].concat()
    };
    let expected = match dtype {
        // An enumeration of two values, based on int8, as h5py stores bool.
        Dtype::Bool => {
            [&[0x18, 2, 0, 0, 1, 0, 0, 0][..], &int(8, 1), b"FALSE\0\0\0TRUE\0\0\0\0\0\x01"].concat()
        }
        Dtype::Int8 => int(8, 1),
        Dtype::Int16 => int(8, 2),
        Dtype::Int32 => int(8, 4),
        Dtype::Int64 => int(8, 8),
        Dtype::Uint8 => int(0, 1),
        Dtype::Uint16 => int(0, 2),
        Dtype::Uint32 => int(0, 4),
        Dtype::Uint64 => int(0, 8),
        Dtype::Float16 => float(2, [10, 5, 0, 10, 15, 0, 0, 0]),
        Dtype::Float32 => float(4, [23, 8, 0, 23, 127, 0, 0, 0]),
        Dtype::Float64 => float(8, [52, 11, 0, 52, 0xFF, 3, 0, 0]),
    };
    bytes == expected
}

/// Reads the elements of a dataset in row-major order.
struct Reader<'d, F> {
    dataset: &'d Dataset,
    item: u64,
    bytes: F,
    /// Index of the next element.
    next: u64,
    ahead: Cursor<Vec<u8>>,
    progress: &'d dyn Fn(),
}

impl<'d, F: Fn(Vec<Item>) -> Vec<u8>> Reader<'d, F> {
    fn new(dataset: &'d Dataset, item: u64, bytes: F, progress: &'d dyn Fn()) -> Self {
        Self { dataset, item, bytes, next: 0, ahead: Cursor::default(), progress }
    }

    /// The next slice: whole rows, or a part of one row that is too long. `None` at the end.
    fn slice(&mut self) -> Option<Vec<SliceInfoElem>> {
        let range = |start, count| SliceInfoElem::Slice { start, end: start + count, step: 1 };
        let most = PIECE / self.item;
        let (slice, count) = match *self.dataset.shape() {
            [length] if self.next < length => {
                let count = most.min(length - self.next);
                (vec![range(self.next, count)], count)
            }
            [rows, columns] if columns > 0 && self.next / columns < rows => {
                let (row, column) = (self.next / columns, self.next % columns);
                let count = (most / columns).clamp(1, rows - row);
                let across = if columns > most { most.min(columns - column) } else { columns };
                (vec![range(row, count), range(column, across)], count * across)
            }
            _ => return None,
        };
        self.next += count;
        Some(slice)
    }
}

impl<F: Fn(Vec<Item>) -> Vec<u8>> Read for Reader<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.ahead.read(buffer)?;
        if filled > 0 {
            return Ok(filled);
        }
        let Some(slice) = self.slice() else { return Ok(0) };
        let items =
            read(self.dataset, slice, self.progress).map_err(|Mismatch(why)| io::Error::other(why))?;
        self.ahead = Cursor::new((self.bytes)(items));
        self.ahead.read(buffer)
    }
}

/// A number of any type, as raw bytes.
#[derive(Clone)]
struct Item(Element);

impl H5Type for Item {
    fn hdf5_type() -> Datatype {
        u64::hdf5_type()
    }

    fn from_bytes(bytes: &[u8], _: &Datatype) -> hdf5_reader::error::Result<Self> {
        Ok(Self(element(bytes.get(..bytes.len().min(8)).unwrap_or_default())))
    }

    fn element_size(dtype: &Datatype) -> usize {
        hdf5_reader::datatype_api::dtype_element_size(dtype).unwrap_or(0)
    }
}

/// A string of fixed size.
#[derive(Clone)]
struct Cell(Vec<u8>);

impl H5Type for Cell {
    fn hdf5_type() -> Datatype {
        u8::hdf5_type()
    }

    fn from_bytes(bytes: &[u8], _: &Datatype) -> hdf5_reader::error::Result<Self> {
        Ok(Self(bytes.to_vec()))
    }

    fn element_size(dtype: &Datatype) -> usize {
        Item::element_size(dtype)
    }
}
