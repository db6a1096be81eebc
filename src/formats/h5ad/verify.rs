//! Verifies `.h5ad` according to AnnData's on-disk format.

use crate::formats::h5::verify::{matrix, names_or_numbers};
use crate::oracle::hdf5::{self, Node, Value};
use crate::oracle::{Called, MatrixNames};
use crate::oracle::{Shown, Verified};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let names = MatrixNames::of(shown.selection)?;
    let empty = ["layers", "obsm", "obsp", "uns", "varm", "varp"]
        .map(|name| (name, Node::group([]).encoded("dict", "0.1.0")));
    let tables = [("obs", table(&names.rows)), ("var", table(&names.columns))];
    let children = [("X", matrix(shown)?)].into_iter().chain(empty).chain(tables);
    hdf5::verify(shown, Node::group(children).encoded("anndata", "0.1.0"))
}

/// A dataframe with an index of names, and no other columns.
fn table(names: &Called) -> Node<'_> {
    Node::group([("_index", names_or_numbers(names))])
        .encoded("dataframe", "0.2.0")
        .with("_index", Value::Text("_index".into()))
        .with("column-order", Value::Nothing)
}
