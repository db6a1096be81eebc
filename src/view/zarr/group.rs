//! Groups of arrays: those that AnnData and xarray open.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::array::{Array, sharded, strings};
use crate::error::Result;
use crate::format::Shape;
use crate::names::{Labels, Names};
use crate::part::{Part, Scope, Selection, Thing};
use crate::select::Rows;
use crate::strings::Strings;
use crate::vfile::VirtualFile;
use crate::view::Members;

/// Groups and arrays by their paths below a root, that of the root being empty.
#[derive(Default)]
pub(super) struct Group {
    nodes: Vec<(String, Array)>,
}

impl Group {
    /// Adds an array.
    pub fn put(&mut self, path: impl Into<String>, array: Array) {
        self.nodes.push((path.into(), array));
    }

    fn put_group(&mut self, path: &str, attributes: &Value) {
        let metadata = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
        self.put(path, Array { metadata, shard: None });
    }

    /// The files. A group's root repeats the metadata of all that is in it, which saves readers a walk.
    pub fn members(mut self) -> Result<Members> {
        let inner = self.nodes.iter().filter(|(path, _)| !path.is_empty());
        let inner: Map<_, _> = inner.map(|(path, array)| (path.clone(), array.metadata.clone())).collect();
        if let Some((_, root)) = self.nodes.iter_mut().find(|(path, _)| path.is_empty() && !inner.is_empty())
        {
            root.metadata["consolidated_metadata"] =
                json!({"kind": "inline", "must_understand": false, "metadata": inner});
        }
        let mut files = Vec::new();
        for (path, array) in self.nodes {
            let prefix = if path.is_empty() { path } else { path + "/" };
            let chunk = match array.metadata["shape"].as_array().map_or(0, Vec::len) {
                2 => "c/0/0",
                _ => "c/0",
            };
            files.push((prefix.clone() + "zarr.json", VirtualFile::literal(text(&array.metadata))));
            files.extend(array.shard.map(|shard| (prefix + chunk, shard)));
        }
        Ok(Members::new(files))
    }
}

fn text(metadata: &Value) -> Vec<u8> {
    format!("{metadata:#}\n").into_bytes()
}

/// Names of the axes: those of the files that their names come from, where these have a name of their
/// own (`cell#.csv`), and differ.
pub(super) fn axes(names: &Names) -> [String; 2] {
    let axis = |labels: &Option<_>| labels.as_deref().and_then(|labels: &Labels| stem(&labels.source));
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

/// A whole sparse matrix, as AnnData writes one.
pub(super) fn anndata(selection: &Selection) -> Result<Group> {
    let (names, shape) = (selection.names()?, selection.shape());
    let mut group = Group::default();
    group.put_group("", &json!({"encoding-type": "anndata", "encoding-version": "0.1.0"}));
    let csr = json!({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape.axes()});
    group.put_group("X", &csr);
    for thing in [Thing::Data, Thing::Indices, Thing::Indptr] {
        let block = selection.block(Part { thing, of: Scope::All })?;
        let name = thing.name();
        group.put(format!("X/{name}"), sharded(&block, &[name.to_owned(), String::new()])?);
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
        group.put_group(name, &frame);
        group.put(format!("{name}/_index"), strings(&names)?);
    }
    Ok(group)
}

/// A dense array and, as coordinates, the names that are known.
pub(super) fn dataset(selection: &Selection, part: Part) -> Result<Group> {
    let names = selection.names()?;
    let axes = axes(&names);
    let block = selection.block(part)?;
    let mut group = Group::default();
    group.put_group("", &json!({}));
    group.put(part.thing.name(), sharded(&block, &axes)?);
    let columns = match block.shape {
        Shape::Matrix(_, columns) => names.columns.map(|labels| (labels, Rows::all(columns))),
        Shape::Vector(_) => None,
    };
    let rows = names.rows.map(|labels| (labels, selection.rows()));
    for (axis, named) in axes.into_iter().zip([rows, columns]) {
        let Some((labels, rows)) = named else { continue };
        let mut array = strings(&Strings::new(Some(labels), rows))?;
        array.metadata["dimension_names"] = json!([axis]);
        group.put(axis, array);
    }
    Ok(group)
}
