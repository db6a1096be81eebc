//! NumPy's `.npz`: a zip archive of `.npy` files, stored as they are.
//!
//! ```text
//! array.npz     array.npy                               np.load(file)["array"]
//! dense.npz     dense.npy
//! matrix.npz    indices.npy  indptr.npy  format.npy  shape.npy  data.npy
//! ```
//!
//! The last is what `scipy.sparse.save_npz` writes of a CSR matrix (`scipy/sparse/_matrix_io.py`).
//! SciPy has no float16, so that is float32 there. The checksums that a zip archive needs are computed
//! when they are first read, which is when the archive is opened; all else is where it is in the store.

mod zip;

use self::zip::{Member, archive};
use super::View;
use super::cast::float16_as_float32;
use super::npy_header::{Order, npy_header, npy_scalar_header};
use crate::checksum::crc32;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::format::Shape;
use crate::memo::Key;
use crate::part::{Part, Scope, Selection, Thing};
use crate::vfile::{Extent, VirtualFile};

pub(super) struct Npz;

/// Bytes of the header of each `.npy`, a multiple of what the elements are to be aligned to.
const HEADER: usize = 128;

impl View for Npz {
    fn format(&self) -> &'static str {
        "npz"
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.of == Scope::All && matches!(part.thing, Thing::Array | Thing::Dense | Thing::Matrix)
    }

    fn is_listed(&self, part: Part) -> bool {
        part.thing == Thing::Matrix
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let member = |thing| stored(selection, thing, part.thing);
        match part.thing {
            Thing::Matrix => archive(&[
                member(Thing::Indices)?,
                member(Thing::Indptr)?,
                made(selection, "format", "npz/format", npy_scalar_header("|S3", HEADER), b"csr".to_vec()),
                shape(selection),
                member(Thing::Data)?,
            ]),
            thing => archive(&[member(thing)?]),
        }
    }
}

/// A part of the array as a member of the archive of `whole`.
fn stored(selection: &Selection, thing: Thing, whole: Thing) -> Result<Member> {
    let block = selection.block(Part { thing, of: Scope::All })?;
    let is_widened = whole == Thing::Matrix && block.dtype == Dtype::Float16;
    let (dtype, elements) = match is_widened {
        true => (Dtype::Float32, vec![float16_as_float32(block.bytes)]),
        false => (block.dtype, block.bytes.extents().to_vec()),
    };
    let header = Extent::Literal(npy_header(dtype.descr(), Order::C, block.shape, HEADER).into());
    let content = VirtualFile::new([header].into_iter().chain(elements))?;
    let what = match thing {
        Thing::Data => "npz/data",
        Thing::Indices => "npz/indices",
        Thing::Indptr => "npz/indptr",
        Thing::Dense => "npz/dense",
        _ => "npz/array",
    };
    Ok(member(selection, thing.name(), what, content))
}

/// A member of these very elements.
fn made(selection: &Selection, name: &str, what: &'static str, header: Vec<u8>, elements: Vec<u8>) -> Member {
    member(selection, name, what, VirtualFile::literal([header, elements].concat()))
}

fn shape(selection: &Selection) -> Member {
    let axes = selection.shape().axes();
    let header = npy_header(Dtype::Int64.descr(), Order::C, Shape::Vector(axes.len() as u64), HEADER);
    let elements = axes.into_iter().flat_map(u64::to_le_bytes).collect();
    made(selection, "shape", "npz/shape", header, elements)
}

fn member(selection: &Selection, name: &str, what: &'static str, content: VirtualFile) -> Member {
    let key = Key { what, rows: selection.rows() };
    let crc32 = crc32(selection.array(), key, content.clone());
    Member { name: format!("{name}.npy"), content, crc32 }
}
