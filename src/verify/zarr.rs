//! `.zarr`, by the words of the Zarr version 3 core specification and of its sharding codec: arrays of
//! one shard with its index at the start, AnnData's group of a sparse matrix, and groups for xarray.

use std::io::{self, Read};

use serde_json::{Value, json};

use super::members::Files;
use super::names::{AxisNames, Called};
use super::npy::expect;
use super::raw::compare;
use super::reader::{expect_end, read_word};
use super::truth::{Numbers, numbers};
use super::{Fault, Shown, Verified};
use crate::dtype::Dtype;
use crate::part::{Part, Thing};
use crate::vfile::VirtualFile;

/// `.zarr`: an array, or AnnData's group.
pub(super) fn verify(shown: &Shown<'_>) -> Verified {
    let tree = Tree { files: Files::of(shown)?, shown };
    match shown.part.thing {
        Thing::Matrix => tree.verify_anndata()?,
        _ => drop(tree.verify_array("", numbers(shown.selection, shown.part)?)?),
    }
    tree.files.expect_no_others()
}

/// `.dataset.zarr`: a group of an array and of the names that are known.
pub(super) fn verify_dataset(shown: &Shown<'_>) -> Verified {
    let tree = Tree { files: Files::of(shown)?, shown };
    let names = AxisNames::of(shown.selection)?;
    let (name, numbers) = (shown.part.thing.name(), numbers(shown.selection, shown.part)?);
    let axes = tree.verify_array(name, numbers)?;
    let mut nodes = vec![name.to_owned()];
    for (axis, names) in axes.into_iter().zip([&names.rows, &names.columns]) {
        if names.name(0).is_some() {
            tree.verify_names(&axis, names, Some(&axis))?;
            nodes.push(axis);
        }
    }
    tree.verify_group("", &json!({}), &nodes)?;
    tree.files.expect_no_others()
}

/// The nodes below one folder.
struct Tree<'a> {
    files: Files<'a>,
    shown: &'a Shown<'a>,
}

impl Tree<'_> {
    fn verify_anndata(&self) -> Verified {
        let selection = self.shown.selection;
        let names = AxisNames::of(selection)?;
        for thing in [Thing::Data, Thing::Indices, Thing::Indptr] {
            let axes = self.verify_array(
                &format!("X/{}", thing.name()),
                numbers(selection, Part { thing, ..self.shown.part })?,
            )?;
            expect("name of the axis", &axes[..], &[thing.name().to_owned()][..])?;
        }
        let shape = selection.shape().axes();
        let csr = json!({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape});
        self.verify_group("X", &csr, &[])?;
        let table = json!({
            "encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index", "column-order": [],
        });
        for (name, names) in [("obs", &names.rows), ("var", &names.columns)] {
            self.verify_group(name, &table, &[])?;
            self.verify_names(&format!("{name}/_index"), names, None)?;
        }
        let nodes = ["X", "X/data", "X/indices", "X/indptr", "obs", "obs/_index", "var", "var/_index"];
        let root = json!({"encoding-type": "anndata", "encoding-version": "0.1.0"});
        self.verify_group("", &root, &nodes.map(str::to_owned))
    }

    fn json(&self, path: &str) -> Result<Value, Fault> {
        Ok(serde_json::from_slice(&self.files.read(&in_folder(path, "zarr.json"))?)?)
    }

    /// A group with these attributes, whose metadata repeats that of these nodes.
    fn verify_group(&self, path: &str, attributes: &Value, nodes: &[String]) -> Verified {
        let mut expected = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
        if !nodes.is_empty() {
            let nodes = nodes.iter().map(|node| Ok((node.clone(), self.json(node)?)));
            let metadata = nodes.collect::<Result<serde_json::Map<_, _>, Fault>>()?;
            expected["consolidated_metadata"] =
                json!({"kind": "inline", "must_understand": false, "metadata": metadata});
        }
        expect(&format!("metadata of the group {path}"), &self.json(path)?, &expected)
    }

    /// An array of these numbers, in one shard. Returns the names of its axes.
    fn verify_array(&self, path: &str, numbers: Numbers<'_>) -> Result<Vec<String>, Fault> {
        let found = self.json(path)?;
        let shape = numbers.shape.clone();
        let shard: Vec<u64> =
            serde_json::from_value(found["chunk_grid"]["configuration"]["chunk_shape"].clone())?;
        let inner = &found["codecs"][0]["configuration"]["chunk_shape"];
        let chunk: Vec<u64> = serde_json::from_value(inner.clone())?;
        let axes: Vec<String> = serde_json::from_value(found["dimension_names"].clone())?;
        let bytes = json!([{"name": "bytes", "configuration": {"endian": "little"}}]);
        let fill = match numbers.dtype {
            Dtype::Bool => json!(false),
            Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => json!(0.0),
            _ => json!(0),
        };
        let mut expected = metadata(numbers.dtype.name(), &shape, &shard, &fill);
        expected["dimension_names"] = json!(axes);
        expected["codecs"] = json!([{"name": "sharding_indexed", "configuration": {
            "chunk_shape": chunk, "codecs": bytes, "index_codecs": bytes, "index_location": "start",
        }}]);
        expect(&format!("metadata of {path}"), &found, &expected)?;
        let is_distinct = axes.len() == shape.len()
            && axes.iter().all(|axis| !axis.is_empty())
            && axes.first() != axes.get(1);
        expect("names of axes that differ", &is_distinct, &true)?;
        if !shape.contains(&0) {
            let file = self.files.get(&in_folder(path, chunk_name(&shape)))?;
            let grid = Grid::new(&shape, &shard, &chunk, numbers.dtype.itemsize())?;
            let mut shard =
                Shard { file, grid, next: 0, ahead: io::Cursor::default(), progress: self.shown.progress };
            compare(&mut shard, numbers)?;
            expect_end(&mut shard)?;
        }
        Ok(axes)
    }

    /// A vector of names, or of numbers in their place, along the axis of that name, if it has one.
    fn verify_names(&self, path: &str, names: &Called, axis: Option<&str>) -> Verified {
        let shape = [names.count];
        let mut expected = metadata("string", &shape, &shape, &json!(""));
        expected["codecs"] = json!([{"name": "vlen-utf8", "configuration": {}}]);
        expected["attributes"] = json!({"encoding-type": "string-array", "encoding-version": "0.2.0"});
        if let Some(axis) = axis {
            expected["dimension_names"] = json!([axis]);
        }
        expect(&format!("metadata of {path}"), &self.json(path)?, &expected)?;
        let mut file = io::BufReader::new(self.files.open(&in_folder(path, "c/0"))?);
        expect("number of names", &u64::from(read_word(&mut file)?), &names.count)?;
        for i in 0..names.count {
            let expected = names.name(i).map_or_else(|| names.number(i), <[u8]>::to_vec);
            let length = u64::from(read_word(&mut file)?);
            let mut found = Vec::new();
            // No more than is needed to tell that they differ.
            (&mut file).take(length.min(expected.len() as u64 + 1)).read_to_end(&mut found)?;
            expect(&format!("name {i} in {path}"), &found, &expected)?;
        }
        expect_end(&mut file)
    }
}

fn in_folder(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// The only chunk of an array.
fn chunk_name(shape: &[u64]) -> &'static str {
    if shape.len() == 2 { "c/0/0" } else { "c/0" }
}

fn metadata(dtype: &str, shape: &[u64], chunk: &[u64], fill: &Value) -> Value {
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "attributes": {},
    })
}

/// Rows and columns of an array, of its only shard, and of the chunks in the shard.
struct Grid {
    shape: [u64; 2],
    shard: [u64; 2],
    chunk: [u64; 2],
    item: u64,
}

impl Grid {
    fn new(shape: &[u64], shard: &[u64], chunk: &[u64], item: u64) -> Result<Self, Fault> {
        let pair = |axes: &[u64]| match *axes {
            [rows] => Some([rows, 1]),
            [rows, columns] => Some([rows, columns]),
            _ => None,
        };
        let (is_alike, pairs) = (
            shard.len() == shape.len() && chunk.len() == shape.len(),
            [pair(shape), pair(shard), pair(chunk)],
        );
        if let [Some(shape), Some(shard), Some(chunk)] = pairs
            && is_alike
            && (0..2).all(|i| chunk[i] > 0 && shard[i] % chunk[i] == 0 && shard[i] >= shape[i])
            && shard[0].checked_mul(shard[1]).and_then(|count| count.checked_mul(16 * item)).is_some()
        {
            return Ok(Self { shape, shard, chunk, item });
        }
        Err(Fault(format!("a shard of shape {shard:?} with chunks of shape {chunk:?}")))
    }

    /// Chunks across the shard.
    fn across(&self) -> u64 {
        self.shard[1] / self.chunk[1]
    }

    fn chunk_bytes(&self) -> u64 {
        self.chunk[0] * self.chunk[1] * self.item
    }
}

/// The numbers of an array in the order of its rows, found chunk by chunk by the index of the shard.
struct Shard<'a> {
    file: &'a VirtualFile,
    grid: Grid,
    /// The number that comes next.
    next: u64,
    ahead: io::Cursor<Vec<u8>>,
    progress: &'a dyn Fn(u64),
}

impl Shard<'_> {
    /// Where a chunk is in the shard.
    fn start_of(&self, chunk: u64) -> crate::Result<Option<u64>> {
        let mut entry = [0; 16];
        self.file.read_at(chunk * 16, &mut entry)?;
        let [start, length] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|i| entry[at + i])));
        let is_there = length == self.grid.chunk_bytes()
            && start.checked_add(length).is_some_and(|end| end <= self.file.len());
        Ok(is_there.then_some(start))
    }

    /// Reads the run of numbers that comes next in one chunk.
    fn read_ahead(&mut self) -> Verified {
        let Grid { shape: [rows, columns], chunk: [height, width], item, .. } = self.grid;
        if self.next >= rows * columns {
            return Ok(());
        }
        let (row, column) = (self.next / columns, self.next % columns);
        let chunk = row / height * self.grid.across() + column / width;
        let start =
            self.start_of(chunk)?.ok_or_else(|| Fault(format!("chunk {chunk} is not in the shard")))?;
        let (down, right) = (row % height, column % width);
        let left_in_row = (width - right).min(columns - column);
        // Whole rows of a chunk that is as wide as the array follow one another.
        let whole = if width == columns { (height - down).min(rows - row) * columns - column } else { 0 };
        let count = whole.max(left_in_row).min((1 << 20) / item);
        let mut bytes = vec![0; usize::try_from(count * item)?];
        self.file.read_at(start + (down * width + right) * item, &mut bytes)?;
        (self.progress)(bytes.len() as u64);
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
        self.read_ahead().map_err(|Fault(why)| io::Error::other(why))?;
        self.ahead.read(buffer)
    }
}
