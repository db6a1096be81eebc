//! `meta.yaml` says what shape and types the array has.

use std::io::Read;

use serde_yaml::Value;

use super::{Fault, Shown, Verified};
use crate::format::Metadata;

pub(super) fn verify(shown: &Shown<'_>) -> Verified {
    let mut text = String::new();
    shown.file()?.read_to_string(&mut text)?;
    let facts: Value = serde_yaml::from_str(&text)?;
    let mut expected = vec![("shape", Value::from(shown.selection.shape().axes()))];
    match &shown.selection.array().metadata {
        Metadata::Dense(meta) => expected.push(("dtype", meta.dtype.name().into())),
        Metadata::Sparse(meta) => expected.extend([
            ("data_dtype", meta.data_dtype.name().into()),
            ("indices_dtype", meta.indices_dtype.name().into()),
            ("indptr_dtype", meta.indptr_dtype.name().into()),
        ]),
    }
    match expected.into_iter().find(|(key, value)| facts.get(*key) != Some(value)) {
        None => Ok(()),
        Some((key, value)) => Err(Fault(format!("{key}: expected {value:?}, found {:?}", facts.get(key)))),
    }
}
