//! AnnData's `.h5ad`: one matrix as `X`, with the names of its rows (`obs`) and columns (`var`).
//!
//! ```text
//! /X                                       a dataset, or a group of data, indices and indptr
//! /obs/_index  /var/_index                 the names, or the numbers of rows and columns
//! /layers /obsm /obsp /uns /varm /varp     empty
//! ```
//!
//! Names are cells as wide as the longest name. If the padding would exceed 1 GiB, the row or column numbers
//! take their place, and an attribute says why. Row numbers are those in the whole array, so that the rows of
//! a slice keep theirs, as in AnnData.
//!
//! Specification: AnnData's on-disk format since release 0.8, with the encodings anndata 0.1.0, array 0.2.0,
//! csr_matrix 0.1.0, dataframe 0.2.0, string-array 0.2.0 and dict 0.1.0.

#[cfg(feature = "verify")]
pub(super) mod verify;

use super::Format;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::Shape;
use crate::encode::Rendered;
use crate::encode::hdf5::{self, Node, Value};
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::rows::Rows;

pub(super) struct H5ad;

impl H5ad {
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let x = match part.component {
            _ if !self.offers(selection, part) => return Err(Error::not_found(&selection.array().path)),
            Component::Matrix => hdf5::csr(selection)?,
            _ => hdf5::array(selection, part)?,
        };
        let names = selection.names()?;
        let columns = Rows::all(selection.shape().columns());
        let obs = hdf5::names_or_numbers(names.rows.as_ref(), selection.rows())?;
        let var = hdf5::names_or_numbers(names.columns.as_ref(), columns)?;
        let mut children = vec![("X", x)];
        // Sorted by name, which is the order in which readers list them.
        let empty = |name| (name, Node::group([]).encoded("dict", "0.1.0"));
        children.push(empty("layers"));
        children.push(("obs", table(obs)));
        children.extend(["obsm", "obsp", "uns"].map(empty));
        children.push(("var", table(var)));
        children.extend(["varm", "varp"].map(empty));
        hdf5::file(&Node::group(children).encoded("anndata", "0.1.0"))
    }
}

impl Format for H5ad {
    fn extension(&self) -> &'static str {
        "h5ad"
    }

    fn about(&self) -> &'static str {
        "AnnData: `anndata.read_h5ad(file, backed=\"r\")`, `scanpy.read_h5ad`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        part.of == Region::Whole
            && matches!(part.component, Component::Array | Component::Dense | Component::Matrix)
            && matches!(selection.shape(), Shape::Matrix(..))
            && super::has_countable_axes(selection)
    }

    fn is_listed(&self, part: Part) -> bool {
        matches!(part.component, Component::Array | Component::Matrix)
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.file(selection, part).map(Rendered::File)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

/// A dataframe without columns other than the index.
fn table(index: Node) -> Node {
    Node::group([("_index", index)])
        .encoded("dataframe", "0.2.0")
        .with("_index", Value::Text("_index".into()))
        .with("column-order", Value::Nothing)
}
