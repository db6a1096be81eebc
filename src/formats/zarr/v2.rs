//! Version 2: `.zgroup` or `.zarray` for each group or array, `.zattrs` beside it.
//!
//! No element is missing, so there is no `fill_value`: xarray takes elements of that value for missing ones.

use serde_json::{Map, Value, json};

use super::node::{Array, Kind, Node};
use crate::encode::members::Layout;

/// The metadata of a node.
pub(super) fn metadata(node: &Node) -> Vec<(&'static str, Value)> {
    match node {
        Node::Group(attributes) => {
            vec![(".zgroup", json!({"zarr_format": 2})), (".zattrs", attributes.clone())]
        }
        Node::Array(array) => vec![(".zarray", of_array(array)), (".zattrs", attributes(array))],
    }
}

/// The metadata of all nodes in one file, in the root of a group.
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

/// With the names of the axes, as xarray writes and reads them.
fn attributes(array: &Array) -> Value {
    let mut attributes = array.attributes.clone();
    if !array.axes.is_empty() {
        attributes["_ARRAY_DIMENSIONS"] = json!(array.axes);
    }
    attributes
}

/// The chunks are in the array's folder: `0.0`, or `0` along one axis.
pub(super) fn layout(array: &Array) -> (&'static str, Layout) {
    ("", if array.shape.len() == 2 { Layout::Dotted } else { Layout::Numbers })
}
