//! `10x.h5`: the HDF5 file of Cell Ranger 3 and later, as read by `scanpy.read_10x_h5` and Seurat's
//! `Read10X_h5`.
//!
//! ```text
//! /matrix/data  indices  indptr                the matrix; its rows are the cells
//! /matrix/shape                                features, cells
//! /matrix/barcodes                             names of the rows, or their numbers
//! /matrix/features/id  name                    names of the columns, or their numbers
//! /matrix/features/feature_type  genome        Gene Expression, unknown
//! /matrix/wide/barcodes  id  name              the same names in UTF-32, if they are not ASCII
//! ```
//!
//! `wide` is a workaround for Scanpy, which decodes HDF5 strings as ASCII and fails on others. It visits all
//! groups in alphabetical order, and the last dataset of a name wins. That is the one in `wide`, whose type
//! is NumPy's own. Readers that open names by their full path, such as Seurat, get the UTF-8 version.

use super::Format;
use crate::array::selection::{Component, Part, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::Kind;
use crate::encode::Rendered;
use crate::encode::hdf5::{self, Node};
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::rows::Rows;

pub(super) struct H5TenX;

impl H5TenX {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        let (names, rows, shape) = (selection.names()?, selection.rows(), selection.shape());
        let columns = Rows::all(shape.columns());
        let feature = || hdf5::names_or_numbers(names.columns.as_ref(), columns);
        let features = Node::group([
            ("feature_type", hdf5::words("Gene Expression", columns)?),
            ("genome", hdf5::words("unknown", columns)?),
            ("id", feature()?),
            ("name", feature()?),
        ]);
        let others = [
            ("barcodes", hdf5::names_or_numbers(names.rows.as_ref(), rows)?),
            ("features", features),
            ("shape", hdf5::counts(&[shape.columns(), shape.rows()])),
        ];
        let mut wide = Vec::new();
        let axes = [
            ("barcodes", &names.rows, rows),
            ("id", &names.columns, columns),
            ("name", &names.columns, columns),
        ];
        for (name, axis_names, rows) in axes {
            let names =
                axis_names.as_ref().map(|axis_names| hdf5::wide_names(axis_names, rows)).transpose()?;
            wide.extend(names.flatten().map(|names| (name, names)));
        }
        let wide = (!wide.is_empty()).then(|| ("wide", Node::group(wide)));
        let matrix = Node::group(hdf5::parts(selection)?.into_iter().chain(others).chain(wide));
        hdf5::file(&Node::group([("matrix", matrix)]))
    }
}

impl Format for H5TenX {
    fn extension(&self) -> &'static str {
        "h5"
    }

    fn about(&self) -> &'static str {
        "Cell Ranger's matrix: `scanpy.read_10x_h5`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_sparse = selection.array().metadata.kind() == Kind::Sparse;
        part.component == Component::TenX && is_sparse && super::has_countable_axes(selection)
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        super::h5::verify::verify(shown)
    }
}
