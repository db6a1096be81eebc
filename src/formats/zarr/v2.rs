//! Version 2: `.zgroup` or `.zarray` for each group or array, and `.zattrs` next to it.
//!
//! There is no `fill_value`, because no element is missing: xarray would treat elements of that value as
//! missing.

use serde_json::{Map, Value, json};

use super::node::{Array, Kind, Node};
use crate::encode::members::Layout;

/// The metadata files of a node.
pub(super) fn metadata(node: &Node) -> Vec<(&'static str, Value)> {
    match node {
        Node::Group(attributes) => {
            vec![(".zgroup", json!({"zarr_format": 2})), (".zattrs", attributes.clone())]
        }
        Node::Array(array) => vec![(".zarray", of_array(array)), (".zattrs", attributes(array))],
    }
}

/// Adds `.zmetadata`, which has the metadata of all nodes, to the root of a group. It saves readers a walk.
pub(super) fn consolidate(nodes: &[(String, Node)], files: &mut Vec<(String, Value)>) {
    if let [(_, Node::Group(_)), ..] = nodes {
        let all: Map<_, _> = files.iter().cloned().collect();
        files.push((".zmetadata".into(), json!({"zarr_consolidated_format": 1, "metadata": all})));
    }
}

fn of_array(array: &Array) -> Value {
    let (dtype, filters) = match array.kind {
        Kind::Number(dtype) => (dtype.descr(), Value::Null),
        Kind::Text => ("|O", json!([{"id": "vlen-utf8"}])),
    };
    json!({
        "zarr_format": 2,
        "shape": array.shape,
        "chunks": array.chunk(),
        "dtype": dtype,
        "compressor": null,
        "fill_value": null,
        "order": "C",
        "filters": filters,
        "dimension_separator": ".",
    })
}

/// The attributes of an array, with the names of its axes in xarray's convention.
fn attributes(array: &Array) -> Value {
    let mut attributes = array.attributes.clone();
    if !array.axes.is_empty() {
        attributes["_ARRAY_DIMENSIONS"] = json!(array.axes);
    }
    attributes
}

/// Chunks are in the directory of the array: `0.0`, or `0` for a vector.
pub(super) fn layout(array: &Array) -> (&'static str, Layout) {
    ("", if array.shape.len() == 2 { Layout::Dotted } else { Layout::Numbers })
}
