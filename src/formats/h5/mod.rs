//! HDF5, readable by h5py, MATLAB, R, Julia and `h5dump`.
//!
//! ```text
//! array.h5, dense.h5    /array          the elements
//!                       /row_names      text, if there are names
//!                       /column_names
//! matrix.h5             /matrix         a group of data, indices and indptr, with the attribute `shape`
//!                       /row_names  /column_names
//! ```
//!
//! Attributes of the root tell which array this is and, for a slice, which of its rows. Names are cells of
//! fixed width. They are left out if padding them to the longest name takes more than 1 GiB; an attribute of
//! the root then says why. The array and the matrix use AnnData's encodings, so that `anndata.io.read_elem`
//! can read them too.

#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::encode::Rendered;
use crate::encode::hdf5::{self, Node, Value};
use crate::error::{Error, Result, shown};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::rows::Rows;

pub(super) struct H5;

impl H5 {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let content = match part.component {
            Component::Array | Component::Dense => ("array", hdf5::array(selection, part)?),
            Component::Matrix => ("matrix", hdf5::csr(selection)?),
            _ => return Err(Error::not_found(&selection.array().path)),
        };
        let (names, columns) = (selection.names()?, Rows::all(selection.shape().columns()));
        let axes = [("row_names", names.rows, selection.rows()), ("column_names", names.columns, columns)];
        let mut children = vec![content];
        let mut left_out = Vec::new();
        for (name, axis_names, rows) in axes {
            let Some(axis_names) = axis_names else { continue };
            match hdf5::names(&axis_names, rows)? {
                Some(names) => children.push((name, names)),
                None => left_out.push((name, Value::Text(hdf5::left_out(&axis_names)))),
            }
        }
        let root = facts(selection, Node::group(children));
        hdf5::file(&left_out.into_iter().fold(root, |root, (name, why)| root.with(name, why)))
    }
}

impl Format for H5 {
    fn extension(&self) -> &'static str {
        "h5"
    }

    fn about(&self) -> &'static str {
        "HDF5: `h5py.File`, `rhdf5::h5read` in R, `h5read` in MATLAB and Julia's HDF5.jl"
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

/// Adds the attributes that identify the array and the selected rows.
fn facts(selection: &Selection, root: Node) -> Node {
    let root = root.with("name", Value::Text(shown(&selection.array().path)));
    if selection.is_whole() {
        return root;
    }
    let rows = selection.rows();
    let facts = [
        ("rows_of", selection.array().metadata.shape().rows()),
        ("rows_start", rows.start()),
        ("rows_step", rows.step()),
    ];
    facts.into_iter().fold(root, |root, (name, number)| {
        root.with(name, Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
    })
}
