//! Zarr, versions 3 and 2: directories of JSON metadata and raw chunks.
//!
//! ```text
//! array.zarr/zarr.json          one array
//! array.zarr/c/0/0  c/1/0  …    its chunks: a number of whole rows each, the last one padded with zeros
//!
//! array.v2.zarr/.zarray .zattrs 0.0 1.0 …    the same in version 2
//!
//! matrix.zarr/zarr.json         AnnData's group
//! matrix.zarr/X/                CSR: data/ indices/ indptr/, each an array as above
//! matrix.zarr/obs/ var/         _index/: the names of rows and columns, or their numbers
//!
//! array.xarray.zarr/            a group for xarray: array/, and the names as coordinates
//! ```
//!
//! A chunk has 4 to 8 MiB, or a single row if that is larger. Whole rows make each chunk a contiguous run of
//! the elements. Chunks are not combined in shards, which many readers do not support.
//!
//! Specifications: Zarr core specification 3.0; Zarr storage specification version 2; AnnData's on-disk
//! format 0.1.0 with `csr_matrix` 0.1.0 and `dataframe` 0.2.0.

#[cfg(feature = "verify")]
pub(super) mod verify;

mod group;
mod node;
mod v2;
mod v3;

use serde_json::Value;

use super::Format;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::encode::Rendered;
use crate::encode::members::Content;
use crate::encode::members::{Chunks, Members};
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use node::{Array, Node};

/// A dense array or component as one Zarr array, or a whole sparse matrix as AnnData's group.
pub(super) struct Zarr(Version);
/// A group for xarray.
pub(super) struct Dataset;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    Two,
    Three,
}

impl Zarr {
    /// The current version of Zarr.
    pub const V3: Self = Self(Version::Three);
    /// The previous version, for older programs.
    pub const V2: Self = Self(Version::Two);
}

/// The most names that a chunk of strings can count, in its 32-bit header.
const MOST_NAMES: u64 = u32::MAX as u64;

/// Groups and arrays by their paths below the root. The path of the root is empty, and the root comes first.
#[derive(Default)]
struct Tree {
    nodes: Vec<(String, Node)>,
}

impl Tree {
    fn put(&mut self, path: &str, node: Node) {
        self.nodes.push((path.to_owned(), node));
    }

    /// Renders the files in one version of the format.
    fn members(self, version: Version) -> Members {
        let mut files = Vec::new();
        for (path, node) in &self.nodes {
            let metadata = match version {
                Version::Two => v2::metadata(node),
                Version::Three => v3::metadata(node),
            };
            files.extend(metadata.into_iter().map(|(name, value)| (join(path, name), value)));
        }
        match version {
            Version::Two => v2::consolidate(&self.nodes, &mut files),
            Version::Three => v3::consolidate(&self.nodes, &mut files),
        }
        let chunks = self.nodes.into_iter().filter_map(|(path, node)| chunks(&path, node, version));
        let files = files.into_iter().map(|(path, value)| (path, text(&value).into()));
        Members::new(files.chain(chunks).collect::<Vec<(String, Content)>>())
    }
}

/// The directory of an array's chunks. `None` for a group.
fn chunks(path: &str, node: Node, version: Version) -> Option<(String, Content)> {
    let Node::Array(array) = node else { return None };
    let (folder, layout) = match version {
        Version::Two => v2::layout(&array),
        Version::Three => v3::layout(&array),
    };
    let chunks = Chunks::new(array.bytes, array.chunk_bytes, layout);
    Some((join(path, folder), Content::Chunks(chunks)))
}

fn join(path: &str, name: &str) -> String {
    let slash = if path.is_empty() || name.is_empty() { "" } else { "/" };
    format!("{path}{slash}{name}")
}

fn text(metadata: &Value) -> VirtualFile {
    VirtualFile::literal(format!("{metadata:#}\n").into_bytes())
}

/// Whether rows and columns are few enough to count their names.
fn is_countable(selection: &Selection) -> bool {
    let shape = selection.shape();
    shape.rows() <= MOST_NAMES && shape.columns() <= MOST_NAMES
}

impl Zarr {
    fn members(&self, selection: &Selection, part: Part) -> Result<Members> {
        let tree = match part.component {
            _ if !self.offers(selection, part) => return Err(Error::not_found(&selection.array().path)),
            Component::Matrix => group::anndata(selection)?,
            Component::Array | Component::Dense => array(selection, part, &group::axes(&selection.names()?))?,
            component => array(selection, part, &[component.name().to_owned()])?,
        };
        Ok(tree.members(self.0))
    }
}

impl Format for Zarr {
    fn extension(&self) -> &'static str {
        match self.0 {
            Version::Two => "v2.zarr",
            Version::Three => "zarr",
        }
    }

    fn about(&self) -> &'static str {
        match self.0 {
            Version::Two => "Zarr, version 2: zarr-python 2, GDAL, Julia's Zarr.jl, `anndata` before 0.12",
            Version::Three => {
                "Zarr, version 3: `zarr.open`, `dask.array.from_zarr`; of a sparse matrix `anndata.read_zarr`"
            }
        }
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_matrix = part.component == Component::Matrix && is_countable(selection);
        part.of == Region::Whole && (part.component.is_block() || is_matrix)
    }

    fn is_listed(&self, part: Part) -> bool {
        self.0 == Version::Three && matches!(part.component, Component::Array | Component::Matrix)
    }

    fn is_directory(&self) -> bool {
        true
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.members(selection, part).map(Rendered::Directory)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        match self.0 {
            Version::Two => verify::verify_v2(shown),
            Version::Three => verify::verify(shown),
        }
    }
}

fn array(selection: &Selection, part: Part, axes: &[String]) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.put("", Node::Array(Array::numbers(selection.block(part)?, axes)));
    Ok(tree)
}

impl Dataset {
    fn members(&self, selection: &Selection, part: Part) -> Result<Members> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        Ok(group::dataset(selection, part)?.members(Version::Three))
    }
}

impl Format for Dataset {
    fn extension(&self) -> &'static str {
        "xarray.zarr"
    }

    fn about(&self) -> &'static str {
        "a Zarr group with the names as coordinates: `xarray.open_zarr`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_dense = matches!(part.component, Component::Array | Component::Dense);
        part.of == Region::Whole && is_dense && is_countable(selection)
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn is_directory(&self) -> bool {
        true
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.members(selection, part).map(Rendered::Directory)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify_dataset(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::selection::Block;
    use crate::daf::metadata::Shape;
    use crate::dtype::Dtype;

    fn files(block: Block, version: Version) -> Vec<(String, Vec<u8>)> {
        let mut tree = Tree::default();
        let axes = ["rows", "columns"].map(String::from);
        tree.put("", Node::Array(Array::numbers(block, &axes)));
        let file = |member: crate::encode::members::Member| {
            let file = member.file?;
            let mut bytes = vec![0xAA; usize::try_from(file.len()).unwrap()];
            file.read_at(0, &mut bytes).unwrap();
            Some((member.path, bytes))
        };
        tree.members(version).iter().filter_map(file).collect()
    }

    fn expect(files: Vec<(String, Vec<u8>)>, expected: &[(&str, &str)]) {
        assert_eq!(files.len(), expected.len());
        for ((path, bytes), (name, content)) in files.iter().zip(expected) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let text = if name.contains('.') {
                serde_json::from_str::<Value>(&text).unwrap().to_string()
            } else {
                text
            };
            assert_eq!((&path[..], &text[..]), (*name, *content));
        }
    }

    #[test]
    fn a_small_array_is_one_chunk() {
        let block = Block {
            dtype: Dtype::Int16,
            shape: Shape::Matrix(2, 3),
            bytes: VirtualFile::literal(*b"a\0b\0c\0d\0e\0f\0"),
        };
        let three = concat!(
            r#"{"attributes":{},"#,
            r#""chunk_grid":{"configuration":{"chunk_shape":[2,3]},"name":"regular"},"#,
            r#""chunk_key_encoding":{"configuration":{"separator":"/"},"name":"default"},"#,
            r#""codecs":[{"configuration":{"endian":"little"},"name":"bytes"}],"#,
            r#""data_type":"int16","dimension_names":["rows","columns"],"fill_value":0,"#,
            r#""node_type":"array","shape":[2,3],"zarr_format":3}"#,
        );
        let bytes = "a\0b\0c\0d\0e\0f\0";
        expect(files(block.clone(), Version::Three), &[("zarr.json", three), ("c/0/0", bytes)]);
        let two = concat!(
            r#"{"chunks":[2,3],"compressor":null,"dimension_separator":".","dtype":"<i2","#,
            r#""fill_value":null,"filters":null,"order":"C","shape":[2,3],"zarr_format":2}"#,
        );
        let attributes = r#"{"_ARRAY_DIMENSIONS":["rows","columns"]}"#;
        let files = files(block, Version::Two);
        assert_eq!(files[2], ("0.0".to_owned(), bytes.into()));
        expect(files[..2].to_vec(), &[(".zarray", two), (".zattrs", attributes)]);
    }

    #[test]
    fn an_array_without_elements_has_no_chunk() {
        let block = Block { dtype: Dtype::Bool, shape: Shape::Vector(0), bytes: VirtualFile::default() };
        for version in [Version::Two, Version::Three] {
            let files = files(block.clone(), version);
            assert!(files.iter().all(|(path, _)| path.contains('z')), "{files:?}");
            let metadata: Value = serde_json::from_slice(&files[0].1).unwrap();
            assert_eq!(metadata["shape"], serde_json::json!([0]));
        }
    }
}
