//! NumPy's `.npz`: a zip archive of uncompressed `.npy` files.
//!
//! ```text
//! array.npz     array.npy                               np.load(file)["array"]
//! dense.npz     dense.npy
//! matrix.npz    indices.npy  indptr.npy  format.npy  shape.npy  data.npy
//! ```
//!
//! A sparse matrix has the members that `scipy.sparse.save_npz` writes (`scipy/sparse/_matrix_io.py`). SciPy
//! does not support float16, so float16 is widened to float32 there. A zip archive needs checksums of its
//! members. They are computed when they are first read, which is when a program opens the archive. All other
//! bytes come directly from the store.

#[cfg(feature = "import")]
pub(super) mod import;
#[cfg(feature = "verify")]
pub(super) mod verify;

mod zip;

use self::zip::{Member, archive};
use super::Format;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::crc_cache::Key;
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;
use crate::encode::Rendered;
use crate::encode::checksum::crc32;
use crate::encode::numbers::float16_as_float32;
use crate::error::Result;
use crate::formats::npy::header::{Order, npy_header, npy_scalar_header};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Npz;

impl Npz {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let member = |component| stored(selection, component, part.component);
        match part.component {
            Component::Matrix => archive(&[
                member(Component::Indices)?,
                member(Component::Indptr)?,
                made(selection, "format", "npz/format", npy_scalar_header("|S3"), b"csr".to_vec()),
                shape(selection),
                member(Component::Data)?,
            ]),
            component => archive(&[member(component)?]),
        }
    }
}

impl Format for Npz {
    fn extension(&self) -> &'static str {
        "npz"
    }

    fn about(&self) -> &'static str {
        "NumPy's archive; of a sparse matrix SciPy's: `np.load(file)`, `scipy.sparse.load_npz`"
    }

    fn shows_names(&self, _: Part) -> bool {
        false
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.of == Region::Whole
            && matches!(part.component, Component::Array | Component::Dense | Component::Matrix)
    }

    fn is_listed(&self, part: Part) -> bool {
        part.component == Component::Matrix
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

/// A component of the array as a member of the archive for `whole`.
fn stored(selection: &Selection, component: Component, whole: Component) -> Result<Member> {
    let block = selection.block(Part { component, of: Region::Whole })?;
    let is_widened = whole == Component::Matrix && block.dtype == Dtype::Float16;
    let (dtype, elements) = match is_widened {
        true => (Dtype::Float32, vec![float16_as_float32(block.bytes)]),
        false => (block.dtype, block.bytes.extents().to_vec()),
    };
    let header = Extent::Literal(npy_header(dtype.descr(), Order::C, block.shape).into());
    let content = VirtualFile::new([header].into_iter().chain(elements))?;
    let what = match component {
        Component::Data => "npz/data",
        Component::Indices => "npz/indices",
        Component::Indptr => "npz/indptr",
        Component::Dense => "npz/dense",
        _ => "npz/array",
    };
    Ok(member(selection, component.name(), what, content))
}

/// A member with a given header and elements.
fn made(selection: &Selection, name: &str, what: &'static str, header: Vec<u8>, elements: Vec<u8>) -> Member {
    member(selection, name, what, VirtualFile::literal([header, elements].concat()))
}

fn shape(selection: &Selection) -> Member {
    let axes = selection.shape().axes();
    let header = npy_header(Dtype::Int64.descr(), Order::C, Shape::Vector(axes.len() as u64));
    let elements = axes.into_iter().flat_map(u64::to_le_bytes).collect();
    made(selection, "shape", "npz/shape", header, elements)
}

// The checksum depends on the selected rows, so they are part of the key under which it is cached.
fn member(selection: &Selection, name: &str, what: &'static str, content: VirtualFile) -> Member {
    let key = Key { what, rows: selection.rows() };
    let crc32 = crc32(selection.array(), key, content.clone());
    Member { name: format!("{name}.npy"), content, crc32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::stored_array::StoredArray;
    use crate::store::Store;
    use proptest::prelude::*;
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    /// A matrix with three rows and float16 data.
    fn matrix() -> (tempfile::TempDir, Selection) {
        let dir = tempfile::tempdir().unwrap();
        let yaml = "data_dtype: float16\nindices_dtype: uint8\nindptr_dtype: int32\nnnz: 2\nshape: [3, 4]\n\
            version: [1, 0]\n";
        let files: [(&str, &[u8]); 4] = [
            ("x.yaml", yaml.as_bytes()),
            ("x.data", &[0x00, 0x3C, 0x00, 0xC0]),
            ("x.indices", &[3, 1]),
            ("x.indptr", &[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]),
        ];
        files.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let array = Arc::new(StoredArray::load(&store, Path::new("x")).unwrap());
        (dir, Selection::whole(array))
    }

    fn file(selection: &Selection) -> VirtualFile {
        Npz.file(selection, Part { component: Component::Matrix, of: Region::Whole }).unwrap()
    }

    fn read(file: &VirtualFile) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn members_are_those_of_scipy() {
        let (_dir, selection) = matrix();
        let bytes = read(&file(&selection));
        let expected: [(&str, &str, &str, &[u8]); 5] = [
            ("indices", "|u1", "(2,)", &[3, 1]),
            ("indptr", "<i4", "(4,)", &[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]),
            ("format", "|S3", "()", b"csr"),
            ("shape", "<i8", "(2,)", &[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]),
            ("data", "<f4", "(2,)", &[0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]),
        ];
        let mut at = 0;
        for (name, descr, shape, elements) in expected {
            let name = format!("{name}.npy");
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
            let content =
                [b"\x93NUMPY\x01\x00\x76\x00", format!("{text:117}\n").as_bytes(), elements].concat();
            assert_eq!(bytes[at..at + 4], *b"PK\x03\x04");
            assert_eq!(bytes[at + 14..at + 18], crc32fast::hash(&content).to_le_bytes(), "{name}");
            assert_eq!(bytes[at + 30..at + 30 + name.len()], *name.as_bytes());
            let extra = usize::from(u16::from_le_bytes([bytes[at + 28], bytes[at + 29]]));
            let start = at + 30 + name.len() + extra;
            assert_eq!((start % 64, &bytes[start..start + content.len()]), (0, &content[..]), "{name}");
            at = start + content.len();
        }
        assert_eq!(bytes[at..at + 4], *b"PK\x01\x02");
    }

    proptest! {
        #[test]
        fn any_read_gives_the_bytes_of_the_whole(offset in 0u64..1600, length in 0usize..1600) {
            let (_dir, selection) = matrix();
            let file = file(&selection);
            let mut buffer = vec![0xAA; length];
            let filled = file.read_at(offset, &mut buffer).unwrap();
            let expected: Vec<u8> = read(&file).into_iter().skip(usize::try_from(offset).unwrap()).take(length).collect();
            prop_assert_eq!(&buffer[..filled], &expected[..]);
        }
    }
}
