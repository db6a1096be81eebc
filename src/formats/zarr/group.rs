//! Groups of arrays, for AnnData and for xarray.

use std::path::Path;

use serde_json::json;

use super::Tree;
use super::node::{Array, Node};
use crate::array::names::{AxisNames, Names};
use crate::array::selection::{Component, Part, Selection};
use crate::daf::metadata::Shape;
use crate::encode::hdf5;
use crate::encode::strings::Strings;
use crate::error::Result;
use crate::rows::Rows;

/// Names of the axes: those of the files with the names, if these are named after an axis (`cell#.csv`) and
/// differ; otherwise `rows` and `columns`.
pub(super) fn axes(names: &Names) -> [String; 2] {
    // In a group, the array and its axes are siblings, so an axis must not have the name of a component.
    let is_free = |name: &String| Component::ALL.iter().all(|component| component.name() != name);
    let axis = |axis_names: &Option<_>| {
        axis_names.as_deref().and_then(|axis_names: &AxisNames| stem(&axis_names.source)).filter(is_free)
    };
    let rows = axis(&names.rows).unwrap_or_else(|| "rows".into());
    match axis(&names.columns).unwrap_or_else(|| "columns".into()) {
        columns if columns != rows => [rows, columns],
        _ => ["rows".into(), "columns".into()],
    }
}

fn stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix("#.csv").filter(|axis| !axis.is_empty()).map(str::to_owned)
}

/// A whole sparse matrix, as written by AnnData. Its numbers have types that SciPy supports.
pub(super) fn anndata(selection: &Selection) -> Result<Tree> {
    let (names, shape) = (selection.names()?, selection.shape());
    let csr = json!({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape.axes()});
    let mut tree = Tree::default();
    tree.put("", Node::Group(json!({"encoding-type": "anndata", "encoding-version": "0.1.0"})));
    tree.put("X", Node::Group(csr));
    for (component, block) in hdf5::csr_blocks(selection)? {
        let name = component.name();
        tree.put(&format!("X/{name}"), Node::Array(Array::numbers(block, &[name.to_owned()])));
    }
    let obs = Strings::new(names.rows, selection.rows());
    let var = Strings::new(names.columns, Rows::all(shape.columns()));
    let frame = json!({
        "encoding-type": "dataframe",
        "encoding-version": "0.2.0",
        "_index": "_index",
        "column-order": [],
    });
    for (name, names) in [("obs", obs), ("var", var)] {
        tree.put(name, Node::Group(frame.clone()));
        tree.put(&format!("{name}/_index"), Node::Array(Array::names(&names)?));
    }
    Ok(tree)
}

/// A dense array, with the names of rows and columns (if any) as coordinates.
pub(super) fn dataset(selection: &Selection, part: Part) -> Result<Tree> {
    let names = selection.names()?;
    let axes = axes(&names);
    let block = selection.block(part)?;
    let columns = match block.shape {
        Shape::Matrix(_, columns) => names.columns.map(|axis_names| (axis_names, Rows::all(columns))),
        Shape::Vector(_) => None,
    };
    let rows = names.rows.map(|axis_names| (axis_names, selection.rows()));
    let mut tree = Tree::default();
    tree.put("", Node::Group(json!({})));
    tree.put(part.component.name(), Node::Array(Array::numbers(block, &axes)));
    for (axis, named) in axes.into_iter().zip([rows, columns]) {
        let Some((axis_names, rows)) = named else { continue };
        let names = Array::names(&Strings::new(Some(axis_names), rows))?;
        tree.put(&axis, Node::Array(Array { axes: vec![axis.clone()], ..names }));
    }
    Ok(tree)
}
