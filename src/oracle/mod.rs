//! What the store's numbers are, read as plainly as can be: what files in a format are held against.
//!
//! Nothing here is used to make the files, and nothing that makes them is used here. The decoders are others'
//! wherever there are any; what to compare with is read from the store's files by `truth`, element by element.

mod compare;
mod element;
pub(crate) mod hdf5;
mod members;
mod names;
mod reader;
mod rising;
mod truth;

use crate::array::selection::{Part, Selection};
use crate::encode::Rendered;
pub(crate) use {compare::*, element::*, members::Files, names::*, reader::*, rising::*, truth::*};

/// Why the numbers of a file are not those of the store, in words.
#[derive(Debug)]
pub(crate) struct Fault(pub String);

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What a verifying function returns.
pub(crate) type Verified = std::result::Result<(), Fault>;

/// A part of an array in one of its formats.
pub(crate) struct Shown<'a> {
    pub selection: &'a Selection,
    pub part: Part,
    pub content: Rendered,
    pub progress: &'a dyn Fn(u64),
}

impl Shown<'_> {
    /// The file, for a format that is one.
    pub(crate) fn file(&self) -> std::result::Result<FileReader<'_>, Fault> {
        match &self.content {
            Rendered::File(file) => Ok(FileReader::new(file.clone(), self.progress)),
            Rendered::Directory(_) => Err(Fault("a folder where there should be a file".into())),
        }
    }
}
