//! Imports `.npz` with the `zip` crate: a sparse matrix from SciPy (CSR, CSC or COO), or one of NumPy's
//! arrays.

mod members;
mod sparse;

use crate::error::Result;
use crate::formats::npy::import::Header;
use crate::import::input::Input;
use crate::import::{Fill, Found, Options, dense};
use members::{by_name, end, names, open};

pub(crate) fn find<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    if options.dtype.is_some() {
        return Err(input.refused("its arrays have types of their own: none can be chosen"));
    }
    let names = names(input)?;
    let has = |parts: &[&str]| parts.iter().all(|part| names.iter().any(|name| name == part));
    match &options.member {
        None if has(&["data", "shape", "format"]) => sparse::find(input, options.is_lossy),
        None if has(&["data", "indices", "indptr"]) => {
            sparse::without_format(input, has(&["shape"]), options.is_lossy)
        }
        None if names.len() == 1 => member(input, names[0].clone()),
        Some(name) if names.contains(name) => member(input, name.clone()),
        None if names.is_empty() => Err(input.refused("it has no arrays")),
        _ => Err(input.refused(format!("which of its arrays? --member {}", names.join(", --member ")))),
    }
}

/// A dense array.
fn member<'f>(input: &'f Input<'f>, name: String) -> Result<Found<'f>> {
    let header = Header::read(input, &mut by_name(input, &mut open(input)?, &name)?)?;
    let metadata = dense(&input.path, header.dtype, &header.shape)?;
    Ok(Found { metadata, fill: vec![copy(input, name)], beside: Vec::new(), notes: Vec::new() })
}

/// Copies a member, and verifies its checksum.
fn copy<'f>(input: &'f Input<'f>, name: String) -> Fill<'f> {
    Box::new(move |to| {
        let mut archive = open(input)?;
        let mut member = by_name(input, &mut archive, &name)?;
        let header = Header::read(input, &mut member)?;
        header.copy(input, &mut |buffer| members::fill(input, &mut member, &name, buffer), to)?;
        end(input, &mut member, &name)
    })
}
