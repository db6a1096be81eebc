//! `.zarr`, by the words of the Zarr version 3 core specification and of its sharding codec: arrays of
//! one shard with its index at the start, and AnnData's group of a sparse matrix.

use std::io::{self, Read};

use serde_json::Value;

use super::element::{element, is_text, shown as in_words};
use super::npy::expect;
use super::raw::compare;
use super::reader::expect_end;
use super::truth::{Numbers, numbers};
use super::{Content, Fault, Shown, Verified};
use crate::dtype::Dtype;
use crate::part::{Part, Thing};
use crate::vfile::VirtualFile;
use crate::view::Members;

pub(super) fn verify(shown: &Shown<'_>) -> Verified {
    let Content::Folder(members) = &shown.content else {
        return Err(Fault("a file where there should be a folder".into()));
    };
    let of = |thing| numbers(shown.selection, Part { thing, ..shown.part });
    if shown.part.thing != Thing::Matrix {
        return verify_array(shown, members, "", of(shown.part.thing)?);
    }
    let group = json(members, "X/zarr.json")?;
    expect("encoding", &group["attributes"]["encoding-type"], &"csr_matrix".into())?;
    expect("shape", &group["attributes"]["shape"], &shown.selection.shape().axes().into())?;
    for thing in [Thing::Data, Thing::Indices, Thing::Indptr] {
        verify_array(shown, members, &format!("X/{}/", thing.name()), of(thing)?)?;
    }
    Ok(())
}

/// An array of these numbers in the folder of that name.
fn verify_array(shown: &Shown<'_>, members: &Members, folder: &str, numbers: Numbers<'_>) -> Verified {
    let array = json(members, &format!("{folder}zarr.json"))?;
    expect("shape", &array["shape"], &numbers.shape.clone().into())?;
    expect(
        "byte order",
        &inner(&array)["codecs"][0]["configuration"]["endian"].as_str().unwrap_or("little"),
        &"little",
    )?;
    let dtype = array["data_type"].as_str().and_then(Dtype::from_name);
    let dtype = dtype.ok_or_else(|| Fault(format!("data_type {}", array["data_type"])))?;
    if numbers.shape.contains(&0) {
        // An array without numbers has no chunks.
        return Ok(());
    }
    let key = ["c", "0", "0"][..=numbers.shape.len()].join("/");
    let file = file(members, &format!("{folder}{key}"))?;
    let mut shard = Shard::new(file, &array, dtype, &numbers.shape, shown.progress)?;
    if dtype == numbers.dtype {
        compare(&mut shard, numbers)?;
    } else {
        compare_values(&mut shard, dtype, numbers)?;
    }
    expect_end(&mut shard)
}

/// That numbers of another type have the same values.
fn compare_values(found: &mut dyn Read, dtype: Dtype, numbers: Numbers<'_>) -> Verified {
    let mut bytes = vec![0; usize::try_from(dtype.itemsize()).unwrap_or(8)];
    let expected = numbers.dtype;
    for (i, number) in numbers.elements().enumerate() {
        let number = number?;
        found.read_exact(&mut bytes)?;
        let text = in_words(dtype, element(&bytes));
        if !is_text(expected, number, text.as_bytes()) {
            return Err(Fault(format!("number {i}: expected {}, found {text}", in_words(expected, number))));
        }
    }
    Ok(())
}

/// What the one codec of the array says of the chunks in the shard.
fn inner(array: &Value) -> &Value {
    &array["codecs"][0]["configuration"]
}

fn json(members: &Members, path: &str) -> Result<Value, Fault> {
    let file = file(members, path)?;
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap_or(0)];
    file.read_at(0, &mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn file<'m>(members: &'m Members, path: &str) -> Result<&'m VirtualFile, Fault> {
    let mut nodes = (0..Members::MOST).filter_map(|i| members.get(i));
    let found = nodes.find(|(other, _)| *other == path).and_then(|(_, file)| file);
    found.ok_or_else(|| Fault(format!("there is no {path}")))
}

/// The numbers of an array in the order of its rows, found chunk by chunk by the index of the shard.
struct Shard<'a> {
    file: &'a VirtualFile,
    /// Rows and columns of the array, and of a chunk.
    shape: [u64; 2],
    chunk: [u64; 2],
    item: u64,
    /// The number that comes next.
    next: u64,
    ahead: io::Cursor<Vec<u8>>,
    progress: &'a dyn Fn(u64),
}

impl<'a> Shard<'a> {
    fn new(
        file: &'a VirtualFile,
        array: &Value,
        dtype: Dtype,
        shape: &[u64],
        progress: &'a dyn Fn(u64),
    ) -> Result<Self, Fault> {
        expect("codec", &array["codecs"][0]["name"], &"sharding_indexed".into())?;
        expect("index", &inner(array)["index_location"], &"start".into())?;
        let chunk: Vec<u64> = serde_json::from_value(inner(array)["chunk_shape"].clone())?;
        let pair = |axes: &[u64]| match *axes {
            [rows] => Some([rows, 1]),
            [rows, columns] => Some([rows, columns]),
            _ => None,
        };
        let (Some(shape), Some(chunk)) = (pair(shape), pair(&chunk).filter(|chunk| !chunk.contains(&0)))
        else {
            return Err(Fault(format!("chunks of shape {chunk:?}")));
        };
        Ok(Self {
            file,
            shape,
            chunk,
            item: dtype.itemsize(),
            next: 0,
            ahead: io::Cursor::default(),
            progress,
        })
    }

    /// Reads the run of numbers that comes next in one chunk.
    fn read_ahead(&mut self) -> crate::Result<()> {
        let [rows, columns] = self.shape;
        if self.next >= rows * columns {
            return Ok(());
        }
        let (row, column) = (self.next / columns, self.next % columns);
        let number = row / self.chunk[0] * columns.div_ceil(self.chunk[1]) + column / self.chunk[1];
        let mut place = [0; 8];
        self.file.read_at(number * 16, &mut place)?;
        let (down, right) = (row % self.chunk[0], column % self.chunk[1]);
        let left_in_row = (self.chunk[1] - right).min(columns - column);
        // Whole rows of a chunk that is as wide as the array follow one another.
        let whole =
            if self.chunk[1] == columns { (self.chunk[0] - down).min(rows - row) * columns } else { 0 };
        let count = whole.max(left_in_row).min((1 << 20) / self.item);
        let mut bytes = vec![0; usize::try_from(count * self.item).unwrap_or(0)];
        let start = u64::from_le_bytes(place).saturating_add((down * self.chunk[1] + right) * self.item);
        let filled = self.file.read_at(start, &mut bytes)?;
        bytes.truncate(filled);
        (self.progress)(filled as u64);
        self.next += count;
        self.ahead = io::Cursor::new(bytes);
        Ok(())
    }
}

impl Read for Shard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.ahead.read(buffer)?;
        if filled > 0 {
            return Ok(filled);
        }
        self.read_ahead().map_err(io::Error::other)?;
        self.ahead.read(buffer)
    }
}
