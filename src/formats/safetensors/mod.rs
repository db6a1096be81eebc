//! Hugging Face's `.safetensors`: a JSON header, followed by the raw tensors.
//!
//! ```text
//! length of the header, 8 bytes
//! {"__metadata__":{"layout":"csr","shape":"[700,765]"},"data":{"dtype":"F32","shape":[38614],
//!  "data_offsets":[0,154456]},…}  spaces up to a page
//! the tensors, those with the largest elements first
//! ```
//!
//! Specification: README of <https://github.com/huggingface/safetensors>, "Format". A dense array is the
//! tensor `array`, a sparse matrix shown as dense is `dense`, and a sparse matrix is the tensors `data`,
//! `indices` and `indptr`. Their order and the length of the header align every tensor to its elements.

#[cfg(feature = "verify")]
pub(super) mod verify;

use serde_json::{Map, json};

use super::Format;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Safetensors;

/// Bytes before the text of the header: its length.
const PREFIX: usize = 8;

/// Alignment of the first tensor in bytes: a page.
const ALIGNMENT: usize = 4096;

impl Safetensors {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let components: &[Component] = match part.component {
            Component::Matrix => &[Component::Data, Component::Indices, Component::Indptr],
            Component::Array => &[Component::Array],
            _ => &[Component::Dense],
        };
        let block = |component: &Component| {
            Ok((component.name(), selection.block(Part { component: *component, of: Region::Whole })?))
        };
        let mut tensors = components.iter().map(block).collect::<Result<Vec<_>>>()?;
        // Largest elements first, so that each tensor ends at a multiple of the item size of the next.
        tensors.sort_by_key(|(_, block)| std::cmp::Reverse(block.dtype.itemsize()));
        let mut about = Map::new();
        if part.component == Component::Matrix {
            about.insert("layout".into(), "csr".into());
            about.insert("shape".into(), json!(json!(selection.shape().axes()).to_string()));
        }
        let header =
            header(about, &tensors).ok_or_else(|| Error::refused("", "more bytes than a file can have"))?;
        let elements = tensors.iter().flat_map(|(_, block)| block.bytes.extents().iter().cloned());
        VirtualFile::new([Extent::Literal(header.into())].into_iter().chain(elements))
    }
}

impl Format for Safetensors {
    fn extension(&self) -> &'static str {
        "safetensors"
    }

    fn about(&self) -> &'static str {
        "tensors of machine learning: `safetensors.numpy.load_file`"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.of == Region::Whole
            && matches!(part.component, Component::Array | Component::Dense | Component::Matrix)
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

/// The header, or `None` if the offsets overflow.
fn header(about: Map<String, serde_json::Value>, tensors: &[(&str, Block)]) -> Option<Vec<u8>> {
    let mut entries = Map::new();
    if !about.is_empty() {
        entries.insert("__metadata__".into(), about.into());
    }
    let mut start = 0u64;
    for (name, block) in tensors {
        let end = start.checked_add(block.bytes.len())?;
        let entry = json!({
            "dtype": dtype_name(block.dtype), "shape": block.shape.axes(), "data_offsets": [start, end],
        });
        entries.insert((*name).into(), entry);
        start = end;
    }
    let text = serde_json::Value::from(entries).to_string();
    let length = (PREFIX + text.len()).next_multiple_of(ALIGNMENT);
    let mut bytes = ((length - PREFIX) as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(length, b' ');
    Some(bytes)
}

fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bool => "BOOL",
        Dtype::Int8 => "I8",
        Dtype::Int16 => "I16",
        Dtype::Int32 => "I32",
        Dtype::Int64 => "I64",
        Dtype::Uint8 => "U8",
        Dtype::Uint16 => "U16",
        Dtype::Uint32 => "U32",
        Dtype::Uint64 => "U64",
        Dtype::Float16 => "F16",
        Dtype::Float32 => "F32",
        Dtype::Float64 => "F64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daf::metadata::Shape;

    #[test]
    fn the_header_byte_for_byte() {
        let block = |dtype, n, bytes| Block {
            dtype,
            shape: Shape::Vector(n),
            bytes: VirtualFile::new([Extent::Zeros(bytes)]).unwrap(),
        };
        let tensors = [("indptr", block(Dtype::Int64, 3, 24)), ("data", block(Dtype::Float16, 2, 4))];
        let about = Map::from_iter([("layout".to_owned(), "csr".into())]);
        let header = header(about, &tensors).unwrap();
        assert_eq!((header.len(), &header[..8]), (4096, &4088u64.to_le_bytes()[..]));
        let text = std::str::from_utf8(&header[8..]).unwrap();
        let expected = r#"{"__metadata__":{"layout":"csr"},"data":{"data_offsets":[24,28],"dtype":"F16","shape":[2]},"indptr":{"data_offsets":[0,24],"dtype":"I64","shape":[3]}}"#;
        assert_eq!(text.trim_end_matches(' '), expected);
    }
}
