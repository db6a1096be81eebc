//! Verifies `meta.yaml`: name, types, shape, sizes, order and files of the array.

use std::io::Read;

use serde_yaml::{Mapping, Value};

use crate::array::selection::Selection;
use crate::daf::metadata::{Metadata, Shape};
use crate::error::shown as in_words;
use crate::oracle::{Mismatch, Shown, Verified};

/// The most bytes that are read.
const MOST: u64 = 1 << 20;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut text = String::new();
    shown.file()?.take(MOST).read_to_string(&mut text)?;
    let facts: Value = serde_yaml::from_str(&text)?;
    match expected(shown.selection).into_iter().find(|(key, value)| facts.get(*key) != Some(value)) {
        None => Ok(()),
        Some((key, value)) => Err(Mismatch(format!("{key}: expected {value:?}, found {:?}", facts.get(key)))),
    }
}

/// The keys that must be present with these values. Others, about rows and names, are optional.
fn expected(selection: &Selection) -> Vec<(&'static str, Value)> {
    let array = selection.array();
    let (shape, version) = (selection.shape(), array.metadata.version());
    let itemsize = array.metadata.dtype().itemsize();
    let row_bytes = shape.columns().saturating_mul(itemsize);
    let file = |name: &str, bytes: u64| {
        let fact = [("file".into(), name.into()), ("bytes".into(), bytes.into())];
        Value::Mapping(Mapping::from_iter(fact))
    };
    let files: Value = array.sources().map(|source| file(&in_words(source.name()), source.len())).collect();
    let mut facts = vec![
        ("name", in_words(&array.path).into()),
        ("shape", shape.axes().into()),
        ("byte_order", "little-endian".into()),
        ("itemsize", itemsize.into()),
        ("row_bytes", row_bytes.into()),
        ("version", version.to_vec().into()),
        ("files", files),
    ];
    match &array.metadata {
        Metadata::Dense(meta) => facts.extend([
            ("kind", "dense".into()),
            ("dtype", meta.dtype.name().into()),
            ("bytes", (row_bytes * shape.rows()).into()),
            ("order", if matches!(shape, Shape::Vector(_)) { "vector".into() } else { "row-major".into() }),
        ]),
        Metadata::Sparse(meta) => facts.extend([
            ("kind", "sparse".into()),
            ("data_dtype", meta.data_dtype.name().into()),
            ("indices_dtype", meta.indices_dtype.name().into()),
            ("indptr_dtype", meta.indptr_dtype.name().into()),
            ("nnz", meta.nnz.into()),
            ("order", "CSR".into()),
        ]),
    }
    facts
}
