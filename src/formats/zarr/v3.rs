//! Version 3: one `zarr.json` for each group and each array.

use serde_json::{Map, Value, json};

use super::node::{Array, Kind, Node};
use crate::dtype::Dtype;
use crate::encode::members::Layout;

/// The metadata file of a node.
pub(super) fn metadata(node: &Node) -> Vec<(&'static str, Value)> {
    vec![("zarr.json", of_node(node))]
}

fn of_node(node: &Node) -> Value {
    match node {
        Node::Group(attributes) => {
            json!({"zarr_format": 3, "node_type": "group", "attributes": attributes})
        }
        Node::Array(array) => of_array(array),
    }
}

/// Copies the metadata of all nodes to that of the root, if it is a group. It saves readers a walk.
pub(super) fn consolidate(nodes: &[(String, Node)], files: &mut [(String, Value)]) {
    let inner = nodes.iter().filter(|(path, _)| !path.is_empty());
    let inner: Map<_, _> = inner.map(|(path, node)| (path.clone(), of_node(node))).collect();
    if let Some((_, root)) = files.iter_mut().find(|(path, _)| path == "zarr.json" && !inner.is_empty()) {
        root["consolidated_metadata"] =
            json!({"kind": "inline", "must_understand": false, "metadata": inner});
    }
}

fn of_array(array: &Array) -> Value {
    // Version 3 requires a fill value, although every chunk exists.
    let (dtype, fill) = match array.kind {
        Kind::Number(dtype @ Dtype::Bool) => (dtype.name(), json!(false)),
        Kind::Number(dtype @ (Dtype::Float16 | Dtype::Float32 | Dtype::Float64)) => {
            (dtype.name(), json!(0.0))
        }
        Kind::Number(dtype) => (dtype.name(), json!(0)),
        Kind::Text => ("string", json!("")),
    };
    let codec = match array.kind {
        Kind::Number(_) => json!({"name": "bytes", "configuration": {"endian": "little"}}),
        Kind::Text => json!({"name": "vlen-utf8", "configuration": {}}),
    };
    let mut metadata = json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": array.shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": array.chunk()}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [codec],
        "attributes": array.attributes,
    });
    if !array.axes.is_empty() {
        metadata["dimension_names"] = json!(array.axes);
    }
    metadata
}

/// The directory of the chunks, and their names: `c/0/0`, or `c/0` for a vector.
pub(super) fn layout(array: &Array) -> (&'static str, Layout) {
    ("c", if array.shape.len() == 2 { Layout::Folders } else { Layout::Numbers })
}
