//! `meta.yaml`: the metadata of an array or of a slice of it. Rendering it reads no data.

#[cfg(feature = "verify")]
pub(super) mod verify;

use serde::Serialize;

use super::Format;
use crate::array::selection::{Component, Part, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::{Kind, Metadata, Shape};
use crate::encode::Rendered;
use crate::error::{Error, Result, shown};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};

pub(super) struct Meta;

impl Meta {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let path = &selection.array().path;
        if part.component != Component::Meta {
            return Err(Error::not_found(path));
        }
        let text =
            serde_yaml::to_string(&facts(selection)).map_err(|e| Error::refused(path, e.to_string()))?;
        Ok(VirtualFile::literal(text.into_bytes()))
    }
}

impl Format for Meta {
    fn extension(&self) -> &'static str {
        "yaml"
    }

    fn offers(&self, _: &Selection, part: Part) -> bool {
        part.component == Component::Meta
    }

    fn about(&self) -> &'static str {
        "what is known about the array, for people and for any YAML reader"
    }

    fn shows_names(&self, _: Part) -> bool {
        // It lists the files of names, but no names.
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

/// The keys of `meta.yaml`, in the order in which they are written.
#[derive(Serialize)]
struct Facts {
    name: String,
    kind: &'static str,
    #[serde(flatten)]
    types: Types,
    shape: Vec<u64>,
    order: &'static str,
    byte_order: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Selected>,
    /// The store's files that hold the names of rows and columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    row_names: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column_names: Option<String>,
    version: [u64; 2],
    /// The store's files, with their sizes.
    files: Vec<StoreFile>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Types {
    Dense {
        dtype: &'static str,
        itemsize: u64,
        row_bytes: u64,
        bytes: u64,
    },
    Sparse {
        data_dtype: &'static str,
        indices_dtype: &'static str,
        indptr_dtype: &'static str,
        itemsize: u64,
        /// Of the whole matrix, even for a slice: the number in a slice would need a read of `indptr`.
        nnz: u64,
        /// Size in bytes of one row (and, below, of all rows) if the matrix were dense.
        row_bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        dense_bytes: Option<u64>,
        /// Total size of the files of the whole matrix, in bytes.
        bytes: u64,
    },
}

/// The rows of the stored array that a slice selects.
#[derive(Serialize)]
struct Selected {
    of: u64,
    start: u64,
    step: u64,
    count: u64,
}

#[derive(Serialize)]
struct StoreFile {
    file: String,
    bytes: u64,
}

fn facts(selection: &Selection) -> Facts {
    let array = selection.array();
    let metadata = &array.metadata;
    let shape = selection.shape();
    let itemsize = metadata.dtype().itemsize();
    let row_bytes = shape.columns().saturating_mul(itemsize);
    let files: Vec<_> =
        array.sources().map(|source| StoreFile { file: shown(source.name()), bytes: source.len() }).collect();
    let types = match metadata {
        Metadata::Dense(meta) => {
            Types::Dense { dtype: meta.dtype.name(), itemsize, row_bytes, bytes: row_bytes * shape.rows() }
        }
        Metadata::Sparse(meta) => Types::Sparse {
            data_dtype: meta.data_dtype.name(),
            indices_dtype: meta.indices_dtype.name(),
            indptr_dtype: meta.indptr_dtype.name(),
            itemsize,
            nnz: meta.nnz,
            row_bytes,
            dense_bytes: shape.bytes(meta.data_dtype),
            bytes: metadata
                .files()
                .iter()
                .map(|(_, bytes)| bytes)
                .fold(0, |sum, bytes| sum.saturating_add(*bytes)),
        },
    };
    let rows = selection.rows();
    Facts {
        name: shown(&array.path),
        kind: metadata.kind().name(),
        types,
        shape: shape.axes(),
        order: order(metadata.kind(), shape),
        byte_order: "little-endian",
        rows: (!selection.is_whole()).then(|| Selected {
            of: metadata.shape().rows(),
            start: rows.start(),
            step: rows.step(),
            count: rows.count(),
        }),
        row_names: array.names.of_rows().map(shown),
        column_names: array.names.of_columns().map(shown),
        version: metadata.version(),
        files,
    }
}

fn order(kind: Kind, shape: Shape) -> &'static str {
    match (kind, shape) {
        (Kind::Sparse, _) => "CSR",
        (Kind::Dense, Shape::Vector(_)) => "vector",
        (Kind::Dense, Shape::Matrix(..)) => "row-major",
    }
}
